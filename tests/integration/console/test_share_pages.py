"""Pages of clearances, attachments, the ledger and spaces: who sees what, wrong input, and one walk through them."""

import base64
import hashlib
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gongshu.console.guard import OTHER, POLICY
from gongshu.console.texts import Language, read_texts
from tests.integration.console.conftest import Visit, _token
from tests.integration.console.partnership import CHANGED, EMPTIED, FIGURED, KEY_CURRENT, KEY_FORMER, SHOP, contract_of

pytestmark = pytest.mark.browser
NewVisit = Callable[..., Visit]


def t(key: str, language: str = "zh", **fields: object) -> str:
    return read_texts().get(key, Language(language), **fields)


def page_of(address: str, path: str, name: str, language: str = "zh") -> str:
    """The page as it is sent: what it shows stands in it as JSON."""
    cookies = {"gongshu_session": _token(address, name), "gongshu_language": language}
    answer = httpx.get(address + path, cookies=cookies, trust_env=False, timeout=60)
    assert answer.status_code == 200
    return html.unescape(html.unescape(answer.text))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_show_what_there_is(node_address: str, language: str) -> None:
    shown = {path: page_of(node_address, path, "li", language) for path in SHOWN}
    missing = [(path, key) for path, keys in SHOWN.items() for key in keys if t(key, language) not in shown[path]]
    assert missing == []


SHOWN = {
    "/sharing/clearances": ("clearance_kind.strict", "clearances.ask", "trace.choose"),
    "/sharing/clearances/new?dataset=grid_load": ("important.checked_by", "important.acceptable", "clearances.go"),
    "/sharing/clearances/new?dataset=parts": ("clearances.not_needed",),
    "/sharing/offer?dataset=grid_load": ("needs.ask", "clearance_kind.important", "offer.nobody_cleared"),
    "/sharing/offer?dataset=parts": ("attach.choose", "offer.go"),
    "/sharing": ("attach.none", "attach.offer"),
    "/sharing/partners": ("party.key_changed", "key_changes.open"),
    f"/sharing/contract/{contract_of('forge')}": ("key_changes.stands", "key_changes.open"),
    "/sharing/key-changes": ("key_changes.stands", "key_change.contracts", "key_change.groups", "key_change.places"),
    "/sharing/ledger": ("ledger.received", "ledger.given", "disputed.lapses", "notices.none_in", "proof.go"),
}


def test_nobody_is_asked_to_confirm_or_share_a_deleted_copy(node_address: str) -> None:
    shown = page_of(node_address, f"/catalogue/{EMPTIED}", "li")
    assert t("dataset.emptied") in shown
    assert t("dataset.offer") not in shown
    assert t("dataset.confirm_go") not in shown
    assert t("grade_obstacle.emptied") in page_of(node_address, f"/sharing/offer?dataset={EMPTIED}", "li")
    assert EMPTIED not in page_of(node_address, "/sharing/offer", "li")
    token = {"Authorization": f"Bearer {_token(node_address, 'li')}"}
    due = httpx.get(f"{node_address}/api/v1/catalogue/reviews", headers=token, trust_env=False, timeout=60).json()
    assert EMPTIED not in {each["dataset_id"] for each in due}
    waiting = sum(each["why"] == "proposed" for each in due)
    assert waiting > 0
    assert t("due.unconfirmed", count=waiting) in page_of(node_address, "/", "li")


def test_of_offers_that_say_the_same_the_newest_can_be_had_at_once(node_address: str) -> None:
    shown = page_of(node_address, f"/sharing/find?party={SHOP}&dataset=coolant", "li")
    assert shown.count(t("market.negotiate")) == 2
    assert shown.count(t("market.get_hint")) == 1


def test_a_time_in_a_choice_is_the_readers_as_elsewhere_on_the_page(visit: NewVisit) -> None:
    page = visit("li").open("/sharing")
    shown = page.locator(".q-field__native time").first
    shown.wait_for()
    here = "new Intl.DateTimeFormat('sv-SE', {dateStyle: 'short', timeStyle: 'medium', timeZone: 'Asia/Shanghai'})"
    assert shown.inner_text() == shown.evaluate(f"each => {here}.format(new Date(each.getAttribute('datetime')))")


def test_what_comes_after_a_partner_was_let_in_is_said(node_address: str) -> None:
    said = t("partners.admitted_next")
    shown = page_of(node_address, f"/sharing/partners?admitted={SHOP}", "li")
    assert said in shown
    assert t("partners.admitted", name="测试合作方 (synthetic)") in shown
    assert said not in page_of(node_address, "/sharing/partners?admitted=urn:nobody", "li")


@pytest.mark.parametrize("name", ["chen", "root"])
def test_who_answers_for_no_data_sees_no_clearance(node_address: str, name: str) -> None:
    shown = page_of(node_address, "/sharing/clearances", name)
    assert t("clearances.who") in shown
    assert "recipes" not in shown
    assert t("trace.choose") not in shown


def test_a_viewer_sees_the_ledger_and_can_change_nothing(node_address: str) -> None:
    assert t("ledger.received") in page_of(node_address, "/sharing/ledger", "chen")
    offers = page_of(node_address, "/sharing", "chen")
    assert t("attach.offer") in offers
    assert t("attach.choose") not in offers
    assert t("clearances.go") in page_of(node_address, "/sharing/clearances/new?dataset=grid_load", "li")


@pytest.mark.parametrize(
    ("path", "name", "code"),
    [
        ("/sharing/clearance/nothing", "li", "share.clearance_unknown"),
        ("/sharing/clearance/nothing", "chen", "secure.not_allowed"),
        ("/sharing/clearances/new?dataset=nothing", "li", "govern.dataset_unknown"),
        ("/sharing/clearances/new?dataset=%3Cscript%3E", "li", "govern.dataset_unknown"),
        ("/sharing/spaces?space=x&operator=urn:nobody", "li", "secure.party_unknown"),
        ("/sharing/spaces?space=x&operator=urn:nobody", "chen", "secure.not_allowed"),
    ],
)
def test_a_wrong_address_gets_one_clear_error(node_address: str, path: str, name: str, code: str) -> None:
    shown = page_of(node_address, path, name)
    assert shown.count("gs-notice bad") == 1
    assert code in shown


def test_every_answer_tells_browsers_what_they_may_run(node_address: str) -> None:
    session = {"gongshu_session": _token(node_address, "li")}
    for path in ("/", "/sign-in", "/docs"):
        answer = httpx.get(node_address + path, cookies=session, trust_env=False, timeout=60)
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "'unsafe-inline'" not in policy.split("style-src")[0]
        for script in re.findall(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", answer.text, re.DOTALL):
            digest = hashlib.sha256(script.encode()).digest()
            assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy, "each script of ours may run"
    answer = httpx.get(node_address + "/api/v1/share/offers", trust_env=False)
    assert answer.headers["content-security-policy"] == OTHER[POLICY]
    assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == ("nosniff", "same-origin")
    hostile = httpx.get(node_address + "/sign-in", headers={"host": "x; script-src *"}, trust_env=False)
    assert "*" not in hostile.headers.get("content-security-policy", "")


def test_a_handler_that_data_bring_into_a_page_does_not_run(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/docs")
    assert window.faults == []
    page = window.open("/sharing/ledger")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in fault for fault in window.faults)
    window.leave()


def test_a_clearance_from_its_request_to_the_offer(visit: NewVisit) -> None:
    steward = visit("li")
    page = steward.open("/sharing/clearances")
    page.get_by_role("link", name="recipes").first.click()
    page.click("[data-test=approve]")
    page.get_by_text(t("clearance.needs", roles=t("role.security_admin"))).wait_for()
    address = page.url.removeprefix(steward.address)
    guard = visit("zhao").open(address)
    guard.click("[data-test=approve]")
    guard.get_by_text(t("clearance_state.in_force")).first.wait_for()
    page = steward.open("/sharing/offer?dataset=recipes")
    page.get_by_text(t("needs.nothing")).wait_for()
    page.locator("[data-test=make]").wait_for()
    page.locator(".q-chip", has_text="测试合作方").wait_for()
    page = steward.open(address)
    page.click("[data-test=revoke]")
    page.fill("[data-test=reason]", "the analysis is over")
    page.click("[data-test=go]")
    page.get_by_text(t("clearance_lacks.revoked")).first.wait_for()
    assert steward.faults == []


@pytest.mark.parametrize("name", ["chen", "root", "zhao"])
def test_who_may_not_ask_that_a_changed_key_goes_on_is_not_offered_it(node_address: str, name: str) -> None:
    shown = page_of(node_address, "/sharing/key-changes", name)
    assert t("key_change.contracts") in shown
    assert t("key_changes.ask") not in shown
    assert KEY_CURRENT not in shown, "the whole fingerprint is what its people read out"


def test_a_changed_key_goes_on_when_a_second_person_types_what_was_read_out(visit: NewVisit) -> None:
    steward = visit("li")
    page = steward.open(f"/sharing/contract/{contract_of('foundry')}")
    page.get_by_role("link", name=t("key_changes.open")).click()
    mine = page.locator("section", has_text=CHANGED["foundry"])
    mine.locator("[data-test=ask]").click()
    mine.locator(".gs-notice").wait_for()
    mine.locator("[data-test=why]").fill("新设备，已电话问明")
    mine.locator("[data-test=ask]").click()
    page.get_by_text(t("key_changes.not_own")).wait_for()
    assert page.locator("[data-test=confirm]").count() == 0
    guard = visit("zhao").open("/sharing/key-changes")
    guard.fill("[data-test=fingerprint]", KEY_FORMER)
    guard.click("[data-test=confirm]")
    guard.get_by_text("share.key_change_refused").wait_for()
    assert guard.locator(".gs-notice.bad").count() == 1
    assert guard.locator("[data-test=fingerprint]").input_value() == KEY_FORMER
    digits = KEY_CURRENT.removeprefix("sha256:").upper()
    guard.fill("[data-test=fingerprint]", f"SHA256: {digits[:4]} {digits[4:]}")
    guard.click("[data-test=confirm]")
    guard.get_by_text(t("key_outcome.confirmed")).wait_for()
    page = steward.open(f"/sharing/contract/{contract_of('foundry')}")
    assert page.get_by_text(t("key_changes.stands")).count() == 0
    assert steward.faults == []


def test_a_received_copy_is_looked_at_when_asked_and_gone_after(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/catalogue/spindle?tab=look")
    said = page.locator(".gs-facts", has_text=t("look.costs")).first
    before = said.inner_text()
    assert "P-2" not in page.content(), "nothing is read before somebody asks"
    page.click("[data-test=look]")
    page.get_by_role("cell", name="44.2").wait_for()
    page.wait_for_function("before => !document.body.innerText.includes(before)", arg=before.splitlines()[1])
    page.get_by_role("tab", name=t("dataset.tab.columns")).click()
    page.get_by_role("tab", name=t("dataset.tab.look")).click()
    page.locator("[data-test=look]").wait_for()
    page.wait_for_function("() => !document.body.innerText.includes('P-2')")
    page = window.open("/sharing")
    page.go_back()
    page.locator("[data-test=look]").wait_for()
    assert "P-2" not in page.content()
    assert window.faults == []


def test_a_copy_of_which_figures_alone_may_be_seen_shows_them_once(visit: NewVisit) -> None:
    first, second = visit("li"), visit("li", "en", 1024)
    pages = {
        language: window.open(f"/catalogue/{FIGURED}?tab=look") for language, window in (("zh", first), ("en", second))
    }
    page = pages["zh"]
    page.click("[data-test=look]")
    page.get_by_text("一个用途").wait_for()
    for each in pages.values():
        each.locator("[data-test=look-groups]").click()
        each.get_by_role("option", name="batch").click()
        each.keyboard.press("Escape")
        each.locator("[data-test=look-purpose]").click()
        each.get_by_role("option", name="maintenance").click()
    page.click("[data-test=look]")
    page.get_by_role("cell", name="851").wait_for()
    assert "B-2" not in page.locator(".q-table").first.inner_text(), "a group of one row is left out"
    page.get_by_text(t("look.closed")).wait_for()
    assert page.locator("[data-test=look]").count() == 0
    pages["en"].click("[data-test=look]")
    pages["en"].get_by_text("secure.denied").wait_for()
    assert "its 1 uses are used up" in pages["en"].locator(".gs-notice.bad").inner_text()
    pages["en"].get_by_text(t("look.remedy.uses", "en")).first.wait_for()
    assert "851" not in pages["en"].content()
    assert (first.faults, second.faults) == ([], [])


def test_a_form_keeps_what_was_typed_when_it_is_refused(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/sharing/clearances/new?dataset=grid_load")
    page.fill("[data-test=checked_by]", "甲")
    page.fill("[data-test=lawfulness]", "合同目的")
    page.evaluate("window.socket.disconnect(); setTimeout(() => window.socket.connect(), 3500)")  # a network that fails
    page.click("[data-test=go]")
    page.wait_for_selector(".gs-notice.bad")
    assert t("important.expected", count=6) in window.alert()
    page.fill("[data-test=until]", "some day")
    page.click("[data-test=go]")
    page.get_by_text("形如 2027-12-31 的日期").wait_for()
    assert page.locator(".gs-notice").count() == 1
    assert page.input_value("[data-test=checked_by]") == "甲"
    assert page.input_value("[data-test=lawfulness]") == "合同目的"
    assert window.faults == []


def test_what_a_record_lacks_is_said_by_the_name_of_its_field(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/sharing/clearances/new?dataset=recipes")
    page.fill("[data-test=name]", "甲")
    page.fill("[data-test=post]", "岗" * 201)
    page.click("[data-test=go]")
    page.get_by_text(t("strict.expected", longest=200)).wait_for()
    page = window.open("/sharing/clearances/new?dataset=grid_load")
    for aspect in page.locator(".gs-aspect").all():
        aspect.locator("textarea").first.fill("合同目的")
        aspect.locator(".q-checkbox").click()
    page.click("[data-test=go]")
    page.get_by_text(t("important.reference") + "”一栏应填1 到 200 个字").wait_for()
    page.fill("[data-test=reference]", "HT-1")
    page.fill("[data-test=signed_on]", "2999-01-01")
    page.click("[data-test=go]")
    page.get_by_text(t("important.signed_on") + "”一栏应填已到的日期").wait_for()
    assert window.faults == []


def test_a_long_name_of_a_partner_widens_no_page_and_hides_no_column(visit: NewVisit) -> None:
    window = visit("li", "en", 1024)
    page = window.open(f"/catalogue/{EMPTIED}")
    page.evaluate("for (const each of document.querySelector('.gs-title').children) each.textContent = 'W'.repeat(300)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page = window.open("/sharing/ledger")
    page.click("[data-test=verify]")
    page.locator(".gs-notice strong").wait_for()
    page.evaluate("document.querySelector('.gs-notice strong').textContent = 'W'.repeat(300)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".gs-dispute td").first.wait_for()
    page.evaluate("document.querySelector('.gs-dispute td a').textContent = 'W'.repeat(180)")
    assert page.evaluate("document.querySelector('.gs-dispute td').offsetWidth < 330"), "the counts stay in sight"
    assert window.faults == []


def test_a_counter_offer_begins_with_the_terms_on_the_table(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/sharing/agreements")
    page.get_by_role("link", name="parts").first.click()
    page.get_by_text(t("process.counter"), exact=True).click()
    assert page.input_value("[data-test=purposes]") == "quality"
    assert page.input_value("[data-test=uses]") == "5"
    assert page.locator("[data-test=no_onward]").get_attribute("aria-checked") == "true"
    assert window.faults == []


def test_evidence_and_a_leak_are_searched_from_the_page(visit: NewVisit, tmp_path: Path) -> None:
    window = visit("li")
    page = window.open("/sharing/ledger")
    page.click("[data-test=verify]")
    page.get_by_text("一个或两个文件").wait_for()
    bundle = tmp_path / "evidence.jsonl"
    bundle.write_bytes(_evidence(window))
    forged = tmp_path / "forged.jsonl"
    forged.write_bytes(bundle.read_bytes().replace(b'"uses', b'"used', 1).replace(b"consumer", b"customer", 1))
    for file, expected in ((bundle, t("verdict.agrees")), (forged, "")):
        page = window.open("/sharing/ledger")
        page.set_input_files("[data-test=bundles] input[type=file]", str(file))
        page.get_by_text(f"{file.name} ·").wait_for()
        page.click("[data-test=verify]")
        notice = page.locator(".gs-notice").first
        notice.wait_for()
        if expected:
            page.get_by_text(expected, exact=True).first.wait_for()
        else:
            assert notice.get_attribute("class") in {"gs-notice bad", "gs-notice warn"}
    leak = tmp_path / "leak.csv"
    leak.write_text("part,temperature\nP-1,851.237\n", encoding="utf-8")
    page = window.open("/sharing/clearances")
    page.set_input_files("[data-test=leak] input[type=file]", str(leak))
    page.get_by_text(t("trace.nobody")).wait_for()
    assert window.faults == []


def _evidence(window: Visit) -> bytes:
    token: Any = {"Authorization": f"Bearer {_token(window.address, 'li')}"}
    top = f"{window.address}/api/v1/share"
    found = httpx.get(f"{top}/agreements", headers=token, trust_env=False, timeout=60).json()
    agreement = next(each for each in found if each["side"] == "provider")["agreement_id"]
    answer = httpx.get(
        f"{top}/evidence", params={"agreement_id": agreement}, headers=token, trust_env=False, timeout=60
    )
    assert answer.status_code == 200
    return answer.content

"""Every page shows itself in both languages, from the own origin alone, and explains a wrong input."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gongshu.console.places import AREAS
from gongshu.console.texts import Language, read_texts
from tests.integration.console.conftest import PASSWORD, Visit, _token
from tests.integration.console.partnership import MILL_DATA, SHOP

pytestmark = pytest.mark.browser
NewVisit = Callable[..., Visit]

LISTED = {place.path: f"nav.{place.name}" for places in AREAS.values() for place in places}
DETAILS = {
    "/sources/add": "sources.add",
    "/sources/line-1": "",
    "/catalogue/orders": "",
    "/catalogue/plant_1_line_1_mill_01": "",
    "/assets?asset=plant-1/line-1/mill-01": "nav.assets",
    "/sharing/offer?dataset=plant_1_line_1_mill_01": "sharing.offer",
    "/hub?period=2026-10": "nav.hub",
    "/sharing/clearances/new?dataset=grid_load": "clearances.ask",
    "/sharing/key-changes": "key_changes.title",
}


def t(key: str, language: str = "zh", **fields: object) -> str:
    return read_texts().get(key, Language(language), **fields)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("path", [*LISTED, *DETAILS])
def test_a_page_shows_itself(visit: NewVisit, path: str, language: str) -> None:
    window = visit("wang" if path == "/audit" else "li", language, 1024 if language == "en" else 1440)
    page = window.open(path)
    page.wait_for_timeout(250)  # what a page asks for late shows its faults now
    key = LISTED.get(path) or DETAILS[path]
    if key:
        assert page.locator("h1").inner_text() == t(key, language)
    assert page.locator("html").get_attribute("lang") == ("zh-CN" if language == "zh" else "en-US")
    assert page.locator(".gs-notice").all_inner_texts() == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it is wider than the window"
    assert window.faults == []


@pytest.mark.parametrize("path", ["/sign-in", "/first"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_doors_show_themselves(visit: NewVisit, path: str, language: str) -> None:
    window = visit("", language)
    page = window.open(path)
    assert page.locator("h1").inner_text() == t("sign_in.title" if path == "/sign-in" else "first.title", language)
    assert window.faults == []


def test_nobody_sees_a_page_without_signing_in(visit: NewVisit) -> None:
    window = visit("")
    window.page.goto(window.address + "/catalogue/orders?x=1")
    assert window.page.url.endswith("/sign-in?to=/catalogue/orders%3Fx%3D1")
    window.page.fill("input[name=name]", "li")
    window.page.fill("input[name=password]", PASSWORD)
    window.page.click("button[type=submit]")
    window.page.wait_for_url("**/catalogue/orders?x=1")


@pytest.mark.parametrize("path", [*LISTED, *DETAILS])
def test_a_forged_session_shows_no_page(node_address: str, path: str) -> None:
    """The wrong input of pages that ask for none, such as home, components and agreements."""
    forged = {"gongshu_session": "eyJhbGciOiJub25lIn0.e30."}
    answer = httpx.get(node_address + path, cookies=forged, trust_env=False, follow_redirects=False, timeout=60)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?to=")
    assert "<h1" not in answer.text


def test_signing_out_ends_the_session(visit: NewVisit) -> None:
    window = visit("")
    window.sign_in("li")
    cookies = {c["name"]: c["value"] for c in window.page.context.cookies()}
    token = {"gongshu_session": cookies["gongshu_session"]}
    window.open("/")
    window.page.click("form[action='/session/end'] button")
    window.page.wait_for_url("**/sign-in")
    answer = httpx.get(window.address + "/", cookies=token, trust_env=False, follow_redirects=False, timeout=60)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?to=/")


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(visit: NewVisit) -> None:
    window = visit("")
    window.sign_in("li")
    (cookie,) = [c for c in window.page.context.cookies() if c["name"] == "gongshu_session"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_signing_in_leads_only_to_pages_of_this_node(node_address: str, target: str) -> None:
    form = {"name": "li", "password": PASSWORD, "to": target}
    answer = httpx.post(node_address + "/session", data=form, trust_env=False, follow_redirects=False, timeout=60)
    assert answer.headers["location"] == "/"
    taste = httpx.get(
        node_address + "/taste", params={"to": target}, trust_env=False, follow_redirects=False, timeout=60
    )
    assert taste.headers["location"] == "/"


def test_a_form_from_another_site_signs_nobody_in(node_address: str) -> None:
    form = {"name": "li", "password": PASSWORD}
    headers = {"Origin": "https://evil.example"}
    answer = httpx.post(
        node_address + "/session", data=form, headers=headers, trust_env=False, follow_redirects=False, timeout=60
    )
    assert "gongshu_session" not in answer.cookies


def test_language_and_theme_are_switched_in_the_header(visit: NewVisit) -> None:
    window = visit("li", "zh", own=True)
    page = window.open("/catalogue")
    page.click("[data-test=language]")
    page.wait_for_function("document.documentElement?.lang === 'en-US'")
    page.click("[data-test=theme]")
    page.wait_for_selector("body.body--dark")
    assert page.url.endswith("/catalogue")


def test_times_are_local_with_utc_on_hover(visit: NewVisit) -> None:
    page = visit("li").open("/catalogue")
    time = page.locator("time").first
    time.wait_for()
    page.wait_for_function("document.querySelector('time').title.endsWith('UTC')")
    assert "T" not in time.inner_text()


def test_a_steward_confirms_a_dataset(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/catalogue/orders")
    page.fill("[data-test=reason]", "checked with the owner")
    page.get_by_role("button", name=t("dataset.confirm_go")).click()
    page.wait_for_selector(f".gs-title .gs-chip:has-text('{t('standing.confirmed')}')")
    assert window.faults == []


def test_oee_is_computed_and_a_figure_opens_to_its_readings(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/apps/oee")
    page.click("[data-test=run]")
    page.wait_for_url("**run=oee-*", timeout=60_000)
    page.locator("td a[href='#']").first.click()
    page.wait_for_selector(".q-dialog h2")
    assert "SELECT" in page.locator(".q-dialog pre").first.text_content()
    assert window.faults == []


def test_a_contract_is_not_ended_without_a_reason_for_the_other_side(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/sharing/agreements")
    page.get_by_role("link", name="spindle").first.click()
    page.click("[data-test=end]")
    page.click("[data-test=go]")
    assert t("contract.reason") in window.alert()
    page.locator("[data-test=reason]").wait_for()
    assert window.faults == []


def test_what_waits_and_contracts_are_renewed_in_the_order_that_the_reader_chose(visit: NewVisit) -> None:
    window, at_home = visit("li"), visit("li", "en", 1024)
    page, home = window.open("/sharing/agreements"), at_home.open("/")
    page.locator("th", has_text=t("agreement.party")).nth(1).click()
    home.get_by_text(t("due.negotiations", "en", count=2)).wait_for()
    policy = {"@type": "Offer", "@id": "urn:uuid:late", "target": "late_news", "permission": [{"action": "use"}]}
    session = {"Authorization": f"Bearer {_token(window.address, 'li')}"}
    api = httpx.Client(base_url=f"{window.address}/api/v1/share", headers=session, trust_env=False, timeout=60)
    with api:
        waiting = api.get("/negotiations", params={"waiting": True}).json()
        waits = next(each for each in waiting if each["dataset_id"] == MILL_DATA)
        asked = api.post("/negotiations", json={"party": SHOP, "dataset_id": "late_news", "policy": policy})
        assert asked.status_code == 201, asked.text
        page.get_by_role("link", name="late_news").wait_for()
        panel = page.locator("section", has=page.get_by_text(t("agreements.waiting"), exact=True))
        panel.get_by_role("link", name=MILL_DATA).wait_for()
        declined = api.post(f"/negotiations/{waits['process_id']}/decline", json={"reason": "not now"})
        assert declined.status_code == 200, declined.text
    panel.get_by_role("link", name=MILL_DATA).wait_for(state="hidden")
    home.get_by_text(t("due.negotiations", "en", count=1)).wait_for()
    assert page.locator("th.sorted").all_inner_texts() == [t("agreement.party") + "arrow_upward"]
    assert window.faults + at_home.faults == []


def test_a_disputed_contract_is_settled_from_its_page(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/sharing/agreements")
    page.get_by_role("link", name="spindle").first.click()
    page.get_by_text(t("dispute.title")).wait_for()
    body = page.locator("#main").inner_text()
    assert t("contract.verified") in body, "both signatures hold"
    assert all(t("metered.figures", rows=rows, size="") in body for rows in "34"), "our figures stand beside theirs"
    page.fill("[data-test=settle-reason]", "counted anew")
    page.click("[data-test=take-theirs]")
    page.get_by_text(t("standing_of.answered")).first.wait_for()
    said = page.locator(".gs-dispute").inner_text()
    assert f"{t('dispute.our_reason')}\ncounted anew" in said, "what was signed is there to be read"
    assert window.faults == []


def test_the_preview_of_figures_shows_no_row(visit: NewVisit) -> None:
    window = visit("li")
    page = window.open("/sharing/offer?dataset=parts")
    page.locator("[data-test=shape]").click()
    page.get_by_role("option", name=t("terms.as_figures")).click()
    page.fill("[data-test=smallest]", "3")
    page.click("[data-test=preview]")
    page.locator(".gs-muted", has_text="count(*)、avg(hardness_hrc)").wait_for()
    assert "P-1" not in page.locator("#main").inner_text()
    for uses, done in (("0", page.get_by_text("avg(hardness_hrc)")), ("5", page.locator(".gs-notice.bad"))):
        page.fill("[data-test=uses]", uses)  # what was said of other terms goes
        page.keyboard.press("Tab")
        done.first.wait_for(state="hidden")
        if uses == "0":
            page.click("[data-test=make]")
            page.locator(".gs-notice.bad").wait_for()
    assert window.faults == []


def test_the_log_verifies_from_the_page(visit: NewVisit) -> None:
    window = visit("wang")
    window.open("/audit")
    window.page.get_by_role("button", name=t("audit.verify")).click()
    window.page.wait_for_selector(".gs-notice", timeout=60_000)
    assert t("audit.verified") in window.alert()


def _wrong_sign_in(window: Visit) -> None:
    window.sign_in("li", "not the password")


def _passwords_differ(window: Visit) -> None:
    page = window.open("/first?code=x")
    for field, value in {"name": "new", "password": "Wolframit-2026", "again": "Wolframit-2027"}.items():
        page.fill(f"input[name={field}]", value)
    page.click("button[type=submit]")


def _open(path: str) -> Callable[[Visit], None]:
    return lambda window: window.open(path)


def _click(path: str, button: str, **fields: str) -> Callable[[Visit], None]:
    def act(window: Visit) -> None:
        page = window.open(path)
        for expansion in page.locator(".q-expansion-item .q-item").all():
            expansion.click()
        for name, value in fields.items():
            box: Any = page.locator(f"[data-test={name}]").first
            box.fill(value)
        # By the keyboard: pages say at once what a form says, and a button that moves meanwhile escapes the mouse.
        page.get_by_role("button", name=t(button), exact=True).press("Enter")

    return act


def _lower_grade(window: Visit) -> None:
    page = window.open("/catalogue/plant_1_line_1_mill_01")
    page.locator("[data-test=grade]").click()
    page.get_by_role("option", name=t("grade.1")).click()
    page.get_by_role("button", name=t("dataset.confirm_go")).click()


def _no_machine(window: Visit) -> None:
    page = window.open("/apps/oee")
    chips = page.locator(".q-chip__icon--remove")
    chips.first.wait_for()
    while count := chips.count():
        chips.first.click()
        page.wait_for_function("n => document.querySelectorAll('.q-chip__icon--remove').length < n", arg=count)
    page.click("[data-test=run]")


WRONG: dict[str, tuple[str, Callable[[Visit], None], str]] = {
    "sign-in": ("", _wrong_sign_in, "账号或口令不正确"),
    "first": ("", _passwords_differ, "不一致"),
    "source": ("li", _open("/sources/nowhere"), "gather.source_unknown"),
    "source-add": ("li", _click("/sources/add", "source_add.go", source_id="Mill 3!"), "lower-case letters"),
    "dataset": ("li", _lower_grade, "govern.reason_missing"),
    "dataset-unknown": ("li", _open("/catalogue/nowhere"), "govern.dataset_unknown"),
    "audit": ("chen", _open("/audit"), "audit_admin / security_admin"),
    "accounts": ("root", _click("/accounts", "accounts.create", name="new", password="short"), "12"),
    "policy": ("zhao", _click("/accounts", "policy.deploy", policy="permit (nonsense"), "secure.policy_invalid"),
    "hub-period": ("li", _open("/hub?period=2026-13"), "hub.period_malformed"),
    "hub-join": (
        "li",
        _click("/hub", "hub.look", address="http://province.example", invitation="code-code@sha256:00"),
        "hub.address_unsafe",
    ),
    "partner": (
        "li",
        _click("/sharing/partners", "partners.admit_go", line="gongshu-invite-1.e30.e30", fingerprint="sha256:00"),
        "share.invite_invalid",
    ),
    "offer": (
        "li",
        _click("/sharing/offer?dataset=plant_1_line_1_mill_01", "offer.go", until="tomorrow"),
        "形如 2027-12-31 的日期",
    ),
    "contract": ("li", _open("/sharing/contract/nothing"), "share.agreement_unknown"),
    "transfers": ("li", _click("/sharing/transfers", "process_act.suspend"), "至少选一个传输"),
    "market": ("li", _click("/sharing/find", "market.go"), "127.0.0.1:"),
    "market-search": ("li", _open("/sharing/find?words=%20%3F"), "share.search_empty"),
    "spaces": ("li", _open("/sharing/spaces?space=nothing"), "space.unknown"),
    "process": ("li", _open("/sharing/process/nothing"), "share."),
    "oee": ("li", _no_machine, "there is none"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_input_is_explained(visit: NewVisit, case: str) -> None:
    who, act, expected = WRONG[case]
    window = visit(who)
    act(window)
    assert expected in window.coming_alert()
    assert window.faults == []


@pytest.mark.parametrize(
    ("path", "box"), [("/catalogue", "search"), ("/standards", "search"), ("/decisions", "search")]
)
def test_words_that_match_nothing_say_so(visit: NewVisit, path: str, box: str) -> None:
    window = visit("li")
    page = window.open("/assets?asset=plant-1/line-1/mill-01")  # so that there is a decision to search among
    page = window.open(path)
    page.fill(f"[data-test={box}]", "zzzz-nothing")
    page.get_by_text(t("table.empty")).first.wait_for()


def test_a_place_that_does_not_exist_is_said_to_be_empty(visit: NewVisit) -> None:
    page = visit("li").open("/assets?asset=nowhere")
    assert t("assets.no_series") in page.locator("#main").inner_text()


def test_hostile_titles_are_text(visit: NewVisit) -> None:
    """A title that is markup is shown, never run."""
    window = visit("li")
    page = window.open("/decisions?outcome=<script>alert(1)</script>")
    page.goto(window.address + "/assets?asset=<img src=x onerror=alert(1)>")
    page.wait_for_selector("h1")
    assert page.locator("#main img").count() == 0
    assert window.faults == []

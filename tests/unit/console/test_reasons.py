"""Every sentence of the share room that a page can show has a Chinese one."""

import ast
import re
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from string import Formatter

import pytest

import gongshu.share
from gongshu.console.reasons import (
    LENGTH_MAX,
    error_classes,
    error_in_chinese,
    in_chinese,
    read_sentences,
)
from gongshu.hub.errors import SourceUnusable
from gongshu.model.access import Role
from gongshu.secure.errors import AccountInvalid, Denied, NotAllowed
from gongshu.secure.gate.service import ASK_ADMINISTRATOR, ASK_PROVIDER
from gongshu.secure.identity.rules import name_fault, password_fault
from gongshu.share.clearances.errors import ClearanceClosed
from gongshu.share.clearances.model import State
from gongshu.share.clearances.states import Step
from gongshu.share.errors import PeerRefused, TermsForbid
from gongshu.share.evidence.disputes import Standing
from gongshu.share.evidence.errors import SettlementRefused
from gongshu.share.key_changes.errors import KeyChangeRefused
from gongshu.share.spaces.errors import SpaceForbids, SpaceMoveIllegal
from gongshu.share.spaces.roles import Act

SHARE = Path(str(gongshu.share.__file__)).parent
BETWEEN_NODES = {
    "contract_words.py",  # has both languages itself
    "crawl/sources.py",
    "data_wire.py",
    "dsp",
    "evidence/entries.py",
    "evidence/exchange.py",
    "filters.py",
    "inbox.py",
    "intake.py",
    "keeping/chain.py",
    "keeping/watching.py",
    "reading.py",
    "selection.py",
    "spaces/model.py",
    "tokens.py",
    "metering.py",
}
"""Modules that answer other parties' nodes and programs: their words are for who repairs those."""
ELSEWHERE = {
    "hub.source_unusable",
    "secure.query_failed",
    "secure.sql_invalid",
    "secure.sql_refused",
    "govern.dataset_unknown",
    "govern.grade_below_parts",
    "govern.reason_missing",
    "govern.role_missing",
    "secure.account_exists",
    "secure.account_invalid",
    "secure.account_unknown",
    "secure.denied",
    "secure.not_allowed",
    "secure.party_invalid",
    "secure.party_key_differs",
    "secure.party_unknown",
    "secure.password_too_weak",
    "secure.roles_conflict",
    "secure.trust_list_invalid",
    "secure.trust_list_unknown",
}
"""Errors of other rooms that pages show on the way to a first contract or report."""


ENGLISH = re.compile(r"(?!gongshu )\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b(?! --)")
"""Three words of a sentence; commands stay as they are."""


def test_every_error_of_the_share_room_has_a_chinese_sentence_with_its_fields() -> None:
    for module in walk_packages(gongshu.share.__path__, "gongshu.share."):
        if module.name.endswith(".errors"):
            import_module(module.name)
    chinese = read_sentences()["errors"]
    classes = {kind.code: kind for kind in error_classes() if kind.code}
    shown = {code for code in classes if code.startswith(("share.", "space."))} | ELSEWHERE
    assert sorted(shown - set(chinese)) == [], "write each into gongshu/console/reasons.yaml"
    for code, sentence in chinese.items():
        if code in classes:
            assert fields(sentence) <= fields(classes[code].template), code
            assert re.search(r"[一-鿿]", sentence), code


def test_every_reason_of_the_share_room_has_a_chinese_sentence() -> None:
    missing = [f"{file}: {text}" for file, text in reasons() if ENGLISH.search(said(text))]
    assert missing == [], "write each into gongshu/console/reasons.yaml"


def test_every_phrase_says_all_that_varies() -> None:
    for english, chinese in read_sentences()["phrases"].items():
        count = len([name for _, name, _, _ in Formatter().parse(english) if name is not None])
        assert {str(number) for number in range(count)} == fields(chinese), english


def test_an_error_is_said_with_the_reason_in_it() -> None:
    error = TermsForbid(agreement_id="urn:a", reason="its 3 uses are used up")
    assert error_in_chinese(error) == "合同 urn:a 不允许：3 次已用完。请与提供方协商新条款。"
    assert in_chinese(str(error)) == error_in_chinese(error), "a stored message is found again by its form"
    told = PeerRefused(party="urn:p", what="the message apply", status_code=403, reason=str(error))
    assert "3 次已用完" in error_in_chinese(told)


def test_a_sentence_inside_of_an_error_ends_it_once() -> None:
    said = str(PeerRefused(party="urn:mill", what="the data request", status_code=403, reason="Ask in `../x`."))
    assert said == "urn:mill refused the data request (status 403): Ask in `../x`. Settle it with that party."
    for reason in ("不同意。", "不同意。\n", "不同意"):
        told = PeerRefused(party="urn:p", what="x", status_code=403, reason=reason)
        assert str(told) == "urn:p refused x (status 403): 不同意. Settle it with that party."
        assert error_in_chinese(told) == in_chinese(str(told)) == "urn:p 拒绝了 x（状态 403）：不同意。请与对方商量。"


def test_an_error_that_another_one_quotes_is_found_again_by_its_form() -> None:
    quoted = TermsForbid(agreement_id="urn:a", reason="its 3 uses are used up")
    stored = str(PeerRefused(party="urn:p", what="x", status_code=403, reason=str(quoted)))
    assert in_chinese(stored) == f"urn:p 拒绝了 x（状态 403）：{in_chinese(str(quoted))}请与对方商量。"


def test_states_and_lists_of_steps_inside_of_an_error_are_said_in_chinese() -> None:
    error = SpaceMoveIllegal(what="Space", name="轴承链", state="active", move="approved", possible="dissolved, left")
    assert error_in_chinese(error) == "轴承链 的状态是 有效，不能变为 批准。现在可以：已解散、已退出。"
    told = PeerRefused(party="urn:p", what="the message apply", status_code=409, reason=str(error))
    assert "。。" not in error_in_chinese(told), "a sentence inside of a sentence ends once"
    assert in_chinese("the state STARTED does not allow it") == "状态 已开始 不允许"
    assert in_chinese("lot, part_number, admitted") == "lot, part_number, admitted", "columns stay what they are"


def test_no_state_of_a_clearance_or_a_dispute_stays_english_in_an_error() -> None:
    closed = [ClearanceClosed(clearance_id="7", state=state.value, step=step.value) for state in State for step in Step]
    settled = [SettlementRefused(agreement_id="7", delivery="7", state=each.value) for each in Standing]
    keys = [
        KeyChangeRefused(change_id="7", party="7", reason=f"it is {each} already") for each in ("confirmed", "refused")
    ]
    said = [error_in_chinese(error) for error in (*closed, *settled, *keys)]
    assert [each for each in said if re.search("[a-z]", each)] == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ("0 rows with 2 columns", "得到 0 行 2 列；"),
        ("a string that is no finite number", "得到的是 string 类型的值，不是有限的数；"),
        ("a number outside 0 to 100 %", "得到的数不在 0 到 100 % 之间；"),
        ("a figure of the part that you may see only", "得到的只是您能看到的那部分的数；"),
    ],
)
def test_a_wrong_query_behind_an_indicator_is_told_in_chinese_when_it_is_named(seen: str, said: str) -> None:
    error = SourceUnusable(indicator="oee", dataset="orders", seen=seen)
    assert error_in_chinese(error) == f"指标 oee 在 orders 上的查询{said}应恰好得到一行一个数。请改正查询后重新指定。"


def test_what_a_space_forbids_reads_in_chinese_here_and_where_an_operator_says_it() -> None:
    for act in [*Act, "bring news", "see its standing"]:
        error = SpaceForbids(party="7", act=act, space_id="7", reason="its role is 7")
        told = PeerRefused(party="7", what="the message leave", status_code=403, reason=str(error))
        assert not re.search("[a-z]", error_in_chinese(error).partition("：")[0]), act
        assert read_sentences()["acts"][act] in error_in_chinese(told)


def test_who_may_not_do_something_reads_in_chinese_what_and_who_may() -> None:
    asked = re.compile(r"(?:require_right|require_person)\((?:[^()]|\([^()]*\))*?\"([a-z][^\"]*)\"")
    acts = {act for file in SHARE.rglob("*.py") for act in asked.findall(file.read_text(encoding="utf-8"))}
    assert len(acts) > 40
    assert sorted(acts - set(read_sentences()["acts"])) == [], "write each into gongshu/console/reasons.yaml"
    assert set(read_sentences()["roles"]) == {role.value for role in Role}
    error = NotAllowed(actor="user:chen", act="look at spaces", role="analyst or steward")
    assert error_in_chinese(error).startswith("user:chen 不能这样做（查看空间）：需要角色 分析员或数据管理员。")
    assert in_chinese("analyst") == "analyst", "a column may be named so"


def test_whoever_makes_accounts_or_grades_reads_in_chinese_what_is_wrong() -> None:
    faults = [name_fault("A"), *(password_fault(word, "wang") for word in ("short", "1" * 12, "wang-12345678"))]
    below = ["the rules propose 二级/一般", "三级/一般 was confirmed before", "its source orders is 二级/一般"]
    assert [text for text in (*faults, *below) if text is None or ENGLISH.search(in_chinese(text))] == []
    error = AccountInvalid(name="wang", reason="it needs a role, and the role partner is for other organisations")
    assert not ENGLISH.search(error_in_chinese(error))


@pytest.mark.parametrize(
    "text", ["", "王工说不行", "our own words; and more of them", "x" * (LENGTH_MAX + 1), "{} {0}"]
)
def test_what_is_not_known_stays_as_it_is(text: str) -> None:
    assert in_chinese(text).replace("；", "; ") == text


def test_hostile_words_of_a_partner_cost_no_time() -> None:
    begun = time.process_time()
    for word in ("it is graded ", " of ", "; ", "the operator ", " and needs ", "it "):
        in_chinese(word * (LENGTH_MAX // len(word)))
    assert time.process_time() - begun < 5


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def said(text: str) -> str:
    return in_chinese(text.replace("{}", "x1"))


def reasons() -> Iterator[tuple[str, str]]:
    """Every sentence that is returned, yielded or given as a reason in the room, with {} for what varies."""
    for file in sorted(SHARE.rglob("*.py")):
        name = file.relative_to(SHARE).as_posix()
        if name in BETWEEN_NODES or name.split("/")[0] in BETWEEN_NODES:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            is_said = isinstance(node, ast.keyword) and node.arg in {"reason", "waiting", "fault", "what", "because"}
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append":
                yield from ((name, text) for each in node.args for text in sentences(each) if is_sentence(text))
            if isinstance(node, ast.keyword | ast.Yield | ast.Return) and (
                is_said or not isinstance(node, ast.keyword)
            ):
                yield from ((name, text) for text in sentences(node.value) if is_sentence(text))


def sentences(value: ast.expr | None) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from (*sentences(value.body), *sentences(value.orelse))
    elif isinstance(value, ast.BoolOp):
        for each in value.values:
            yield from sentences(each)
    elif isinstance(value, ast.List | ast.Tuple):
        for each in value.elts:
            yield from sentences(each)
    elif isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in value.values)


def is_sentence(text: str) -> bool:
    words = [word for word in text.replace("{}", " ").split() if re.fullmatch(r"[a-z']{2,}[,;:.]?", word)]
    return len(words) >= 3 and not text.startswith(("SELECT", "<"))


def test_a_refusal_of_the_gate_says_in_chinese_why_and_what_helps() -> None:
    facts = {"subject": "user:li", "action": "read", "object": "copy", "purpose": "quality"}
    for reason, ask in (("no-policy-permits", ASK_ADMINISTRATOR), ("contract: its 2 uses are used up", ASK_PROVIDER)):
        said = error_in_chinese(Denied(**facts, reasons=reason, ask=ask))
        left = re.findall(r"[A-Za-z-]{3,}", re.sub("`[^`]*`", "", said))
        assert left == ["user", "quality", "copy"]

"""Every word stands in both languages, none is missing where it is used, and none is left over."""

import ast
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from string import Formatter

import pytest

from gongshu.apply.model import Outcome
from gongshu.config import NodeRole
from gongshu.console.copy_looks import FUNCTIONS, REMEDIES
from gongshu.console.pages import terms_form
from gongshu.console.pages.contract import ELEMENTS
from gongshu.console.pages.contract_acts import WAYS
from gongshu.console.pages.oee import FIGURES, SPANS
from gongshu.console.places import AREAS
from gongshu.console.texts import Language, read_texts
from gongshu.evidence_verifier.findings import CHINESE, KINDS
from gongshu.gather.connector import Can
from gongshu.gather.counters import State as SourceState
from gongshu.govern.model import ChangeKind
from gongshu.hub.disclosure import Shown
from gongshu.hub.model import DeliveryState, Standing
from gongshu.model.access import Role
from gongshu.model.grade import Grade, GradeStanding, Importance
from gongshu.model.reading import Quality
from gongshu.packs import Confidence
from gongshu.share.clearances.model import Kind as Clearance
from gongshu.share.clearances.model import State as ClearanceState
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.enforcement import Enforcement
from gongshu.share.evidence.disputes import Standing as Counted
from gongshu.share.keeping.chain import NOTHING_READ
from gongshu.share.model import AgreementStatus
from gongshu.share.spaces.model import EntryKind
from gongshu.share.spaces.roles import SpaceRole
from gongshu.share.spaces.states import TABLE, Hand
from gongshu.share.spaces.states import Standing as SpaceStanding
from gongshu.share.terms import Comparison, Operation

FOLDER = Path(__file__).parents[3] / "gongshu" / "console"


TERMS_CODE = Path(str(terms_form.__file__)).read_text(encoding="utf-8")


def values(kind: type[StrEnum]) -> list[str]:
    return [member.value for member in kind]


FAMILIES: dict[str, list[str]] = {
    "area": [area for area in AREAS if area],
    "nav": [place.name for places in AREAS.values() for place in places],
    "role": values(Role),
    "role_of_node": values(NodeRole),
    "grade": [str(int(grade)) for grade in Grade],
    "importance": values(Importance),
    "standing": values(GradeStanding),
    "quality_of": values(Quality),
    "state": values(SourceState),
    "can": values(Can),
    "change": values(ChangeKind),
    "confidence": values(Confidence),
    "withheld": [state.value for state in Shown if state is not Shown.SHOWN],
    "reporter": values(Standing),
    "delivery": values(DeliveryState),
    "process": values(State),
    "kind": values(Kind),
    "side": values(Side),
    "agreement_status": values(AgreementStatus),
    "judged": values(Outcome),
    "enforcement": values(Enforcement),
    "standing_of": [*values(Counted), "one_sided"],
    "deletion_state": ["held", "ending", "shredded", "proved", "told", "due", "overdue"],
    "element": [*ELEMENTS.values(), "open", "until", "forbidden"],
    "environment": ["both_nodes", "provider_only"],
    "space_asked": ["requested", "refused", "active"],
    "space_mine": ["applied", "refused", "suspended", "left", "over"],
    "space_state": [*values(SpaceStanding), "open"],
    "space_role": values(SpaceRole),
    "space_step": [row.step.name.lower() for row in TABLE if Hand.OPERATOR in row.hands],
    "entry_kind": values(EntryKind),
    "way": list(WAYS.values()),
    "transfers": list(WAYS.values()),
    "contract": ["with_provider", "with_consumer", "end_provider", "end_consumer"],
    "metered": ["ours", "theirs"],
    "dispute": [
        "take_ours",
        "take_theirs",
        *(f"{who}_{what}" for who in ("our", "their") for what in ("choice", "reason")),
    ],
    "deletion": ["ours", "theirs"],
    "comparison": values(Comparison),
    "terms_group": re.findall(r'self._group\("(\w+)"\)', TERMS_CODE),
    "terms": [
        *(f"{name}_label" for name in re.findall(r'self._(?:line|hinted|choice|flag)\("(\w+)"', TERMS_CODE)),
        *(f"{name}_hint" for name in re.findall(r'self._hinted\("(\w+)"', TERMS_CODE)),
    ],
    "grade_obstacle": ["core", "proposed", "expired"],
    "operation": [*values(Operation), NOTHING_READ],
    "clearance_kind": values(Clearance),
    "clearance_record": values(Clearance),
    "clearance_state": values(ClearanceState),
    "clearance_lacks": ["refused", "revoked", "expired", "outdated"],
    "clearance": ["ended_refused", "ended_revoked", "refuse_text", "revoke_text"],
    "offer": [f"needs_{int(grade)}" for grade in Grade],
    "ledger": ["received", "received_hint", "no_received", "given", "given_hint", "no_given"],
    "ledger_state": [*values(AgreementStatus), "ended", "deleting", "deleted"],
    "notices": ["in", "out", "none_in", "none_out"],
    "notice_in": ["party"],
    "notice_out": ["party"],
    "key_outcome": ["confirmed", "refused"],
    "proof_kind": list(KINDS),
    "verdict": [verdict.replace(" ", "_") for verdict in CHINESE],
    "party_role": ["partner", "province", "member", "operator", "issuer"],
    "figure": list(FIGURES),
    "span": list(SPANS),
    "look": ["costs", "told", "shows", "under"],
    "look.function": list(FUNCTIONS),
    "look.figure": ["count", *FUNCTIONS],
    "look.remedy": [*REMEDIES.values(), "other"],
}
"""Keys that are made of a closed set of values: each value needs its text."""


def keys_used() -> set[str]:
    """Every string in the code that is a key, and every `<prefix>.` that is joined with names listed beside it."""
    found: set[str] = set()
    for file in FOLDER.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        found |= {s for s in strings if re.fullmatch(r"[a-z_]+(\.[A-Za-z0-9_]+)+", s)}
        prefixes = {s for s in strings if re.fullmatch(r"[a-z_]+(\.[a-z_]+)*\.", s)}
        found |= {prefix + name for prefix in prefixes for name in strings if re.fullmatch(r"[a-z_0-9]+", name)}
        for key in re.findall(r'empty\(view, "([a-z_.]+)"', file.read_text(encoding="utf-8")):
            found |= {f"{key}.title", f"{key}.step"}
    return found | {f"{family}.{name}" for family, names in FAMILIES.items() for name in names}


def keys_asked() -> Iterator[tuple[str, str]]:
    """Every literal key that is asked for, with its file."""
    for file in FOLDER.rglob("*.py"):
        code = file.read_text(encoding="utf-8")
        for key in re.findall(r'\bt\(\s*"([^"]+)"', code):
            yield key, file.name
        for pair in re.findall(r'\bt\(\s*"([^"]+)" if [^"]*? else "([^"]+)"', code):
            yield from ((key, file.name) for key in pair)
        for key in re.findall(r'empty\(view, "([^"]+)"', code):
            yield from ((f"{key}.{part}", file.name) for part in ("title", "step"))


def test_every_text_has_both_languages_with_the_same_fields() -> None:
    for key, entry in read_texts().entries.items():
        assert set(entry) == {"zh", "en"}, key
        fields = [{name for _, name, _, _ in Formatter().parse(entry[lang]) if name} for lang in ("zh", "en")]
        assert fields[0] == fields[1], key
        assert all(entry[lang].strip() for lang in ("zh", "en")), key


def test_chinese_is_chinese_and_english_is_english() -> None:
    same = {"page.title", "quality.a", "quality.b", "quality.x", "figure.oee_index"}
    swapped = {"frame.other_language"}
    for key, entry in read_texts().entries.items():
        if key in same | swapped:
            continue
        assert re.search(r"[一-鿿]", entry["zh"]), key
        assert not re.search(r"[一-鿿]", entry["en"]), key


def test_no_text_is_missing() -> None:
    entries = read_texts().entries
    assert [(key, file) for key, file in keys_asked() if key not in entries] == []
    assert [f"{f}.{n}" for f, names in FAMILIES.items() for n in names if f"{f}.{n}" not in entries] == []


def test_no_text_is_left_over() -> None:
    assert sorted(set(read_texts().entries) - keys_used()) == []


def test_a_missing_key_is_our_mistake() -> None:
    with pytest.raises(KeyError):
        read_texts().get("no.such.key", Language.ZH)

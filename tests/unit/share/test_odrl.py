"""Terms in ODRL: there and back without loss, and nothing that cannot be enforced gets through."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.model.ids import PartyId
from gongshu.share.dsp.messages import CONTEXT, encode
from gongshu.share.dsp.reader import read_document
from gongshu.share.dsp.schema import find_fault
from gongshu.share.errors import TermsUnknown
from gongshu.share.odrl import (
    COLUMNS,
    agreement_policy,
    canonical_text,
    message_offer,
    offer_policy,
    read_terms,
    text_hash,
)
from gongshu.share.terms import Terms

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
names = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)

any_terms = st.builds(
    Terms,
    parties=st.frozensets(names.map(PartyId), max_size=4),
    until=st.none() | st.integers(0, 4 * 10**15).map(lambda us: NOW + timedelta(microseconds=us)),
    uses_max=st.none() | st.integers(1, 10**9),
    purposes=st.frozensets(names, max_size=4),
    columns=st.frozensets(names, max_size=4),
    rows_max=st.none() | st.integers(1, 10**11),
)


@given(any_terms)
def test_terms_survive_the_wire(terms: Terms) -> None:
    agreement = agreement_policy(
        terms, agreement_id="a", target="d", assigner=PartyId("p"), assignee=PartyId("c"), at=NOW
    )
    message = {
        "@context": [CONTEXT],
        "@type": "ContractAgreementMessage",
        "providerPid": "p",
        "consumerPid": "c",
        "agreement": agreement,
    }
    assert find_fault(message, "ContractAgreementMessage") is None
    read = read_document(encode(message))["agreement"]
    assert read_terms(read).bounds == terms.bounds
    assert text_hash(canonical_text(read)) == text_hash(canonical_text(agreement))


def test_a_catalogue_offer_has_no_target_and_a_message_offer_has() -> None:
    assert "target" not in offer_policy(Terms(uses_max=1), offer_id="o")
    assert message_offer(Terms(uses_max=1), offer_id="o", target="d")["target"] == "d"


def test_a_permission_without_constraints_is_read_as_unrestricted() -> None:
    terms = read_terms({"@id": "CD123:ACN0102:456", "@type": "Offer", "permission": [{"action": "use"}]})
    assert terms == Terms(unrestricted=True)
    assert read_terms({"@id": "o", "permission": [{"action": "use", "constraint": []}]}) == terms


def policy(*constraints: Any, **changes: Any) -> dict[str, Any]:
    return {"@id": "o", "@type": "Offer", "permission": [{"action": "use", "constraint": list(constraints)}], **changes}


def c(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


@pytest.mark.parametrize(
    "unknown",
    [
        policy(c("spatial", "eq", "EU")),
        policy(c("https://w3id.org/catenax/2025/9/policy/Membership", "eq", "active")),
        policy(c("odrl:count", "gt", "5")),
        policy(c("odrl:count", "lteq", "five")),
        policy(c("odrl:count", "lteq", "-1")),
        policy(c("odrl:count", "lteq", "0")),
        policy(c("odrl:count", "lteq", "٣")),
        policy(c("odrl:count", "lteq", {"@value": "5"})),
        policy(c("odrl:dateTime", "gteq", "2026-01-01T00:00:00Z")),
        policy(c("odrl:dateTime", "lteq", "2026-01-01T00:00:00")),
        policy(c("odrl:dateTime", "lteq", "tomorrow")),
        policy(c("odrl:purpose", "isNoneOf", ["x"])),
        policy(c("odrl:purpose", "neq", "x")),
        policy(c("odrl:purpose", "isAnyOf", [])),
        policy(c("odrl:purpose", "isAnyOf", [{"@id": "x", "y": 1}])),
        policy(c("odrl:purpose", "isAnyOf", ["x"]), c("odrl:purpose", "isAnyOf", ["y"])),
        policy({"or": [c("odrl:count", "lteq", "5"), c("odrl:count", "lteq", "6")]}),
        policy({"xone": [c("odrl:count", "lteq", "5")]}),
        policy({"andSequence": [c("odrl:count", "lteq", "5")]}),
        policy({**c("odrl:count", "lteq", "5"), "unit": "x"}),
        policy("text"),
        policy(prohibition=[{"action": "distribute"}]),
        policy(obligation=[{"action": "delete"}]),
        policy(profile="https://example.org/profile"),
        policy(permission=[]),
        policy(permission=[{"action": "use"}, {"action": "use"}]),
        policy(permission=[{"action": "distribute"}]),
        policy(permission=[{"action": "use", "duty": [{"action": "delete"}]}]),
        policy(permission=[{"action": "use", "refinement": []}]),
        policy(permission=[{"action": "use", "target": "another"}], target="d"),
        policy(**{"urn:x:permission": []}),
    ],
    ids=range(31),
)
def test_what_cannot_be_enforced_is_refused(unknown: dict[str, Any]) -> None:
    with pytest.raises(TermsUnknown):
        read_terms(unknown)


def test_other_ways_to_write_the_same_are_understood() -> None:
    terms = read_terms(
        policy(
            {"and": [c("http://www.w3.org/ns/odrl/2/count", "lteq", "5"), c("purpose", "eq", "quality")]},
            c("dateTime", "lteq", "2027-01-01T01:00:00+01:00"),
            c(COLUMNS, "isAnyOf", ["time"]),
        )
    )
    assert (
        terms.bounds
        == Terms(
            uses_max=5,
            purposes=frozenset({"quality"}),
            until=NOW.replace(year=2027, month=1, day=1, hour=0),
            columns=frozenset({"time"}),
        ).bounds
    )


def test_a_day_without_time_ends_where_it_begins() -> None:
    assert read_terms(policy(c("dateTime", "lteq", "2027-01-01"))).until == datetime(2027, 1, 1, tzinfo=UTC)

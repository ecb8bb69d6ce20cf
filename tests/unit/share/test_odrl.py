"""Terms in ODRL: there and back without loss, and nothing that cannot be enforced gets through."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
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
from gongshu.share.terms import Comparison, Operation, Payment, RowCondition, Terms

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
CNY = "urn:iso:std:iso:4217:CNY"
names = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)

any_terms = st.builds(
    Terms,
    parties=st.frozensets(names.map(PartyId), max_size=4),
    until=st.none() | st.integers(0, 4 * 10**15).map(lambda us: NOW + timedelta(microseconds=us)),
    uses_max=st.none() | st.integers(1, 10**9),
    purposes=st.frozensets(names, max_size=4),
    columns=st.frozensets(names, max_size=4),
    rows_max=st.none() | st.integers(1, 10**11),
    groups=st.frozensets(names, max_size=2),
    not_before=st.none() | st.integers(0, 10**9).map(lambda s: NOW - timedelta(seconds=s)),
    duration_s=st.none() | st.integers(1, 10**9),
    places=st.frozensets(st.sampled_from(["CN", "CN-33", "DE"])),
    connectors=st.frozensets(names, max_size=2),
    rows_where=st.frozensets(
        st.builds(RowCondition, names, st.just(Comparison.AMONG), st.frozensets(names, min_size=1, max_size=3))
        | st.builds(RowCondition, names, st.sampled_from(Comparison), st.frozensets(names, min_size=1, max_size=1)),
        max_size=3,
    ),
    operations=st.frozensets(st.sampled_from(Operation)),
    aggregate_min=st.none() | st.integers(2, 1000),
    delete_after_s=st.none() | st.integers(1, 10**9),
    notify=st.frozensets(names.map(PartyId), max_size=3),
    no_onward=st.booleans(),
    payment=st.none() | st.sampled_from([Payment("1200.00", "CNY"), Payment("0.5", "EUR")]),
    legal_only=st.frozensets(st.sampled_from(["delete_after_s", "no_onward"])),
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
        policy(c("odrl:industry", "eq", "EU")),
        policy(c("spatial", "isNoneOf", ["EU"])),
        policy(c("spatial", "eq", [])),
        policy(c("elapsedTime", "lteq", "P1M")),
        policy(c("elapsedTime", "lteq", "P")),
        policy(c("elapsedTime", "lteq", "PT0S")),
        policy(c("elapsedTime", "gteq", "PT5S")),
        policy(c("elapsedTime", "lteq", "PT999999999999S")),
        policy(c("purpose", "isPartOf", ["x"])),
        policy(c("recipient", "isNoneOf", ["x"])),
        policy(c("recipient", "isPartOf", ["x"]), c("recipient", "isPartOf", ["y"])),
        policy(c("urn:gongshu:term:row:", "eq", "1")),
        policy(c("urn:gongshu:term:row:price", "isNoneOf", ["1"])),
        policy(c("urn:gongshu:term:row:price", "eq", ["1", "2"])),
        policy(c("urn:gongshu:term:row:price", "eq", {"x": 1})),
        policy(c("urn:gongshu:term:row:price", "isAnyOf", [])),
        policy(*(c("urn:gongshu:term:row:price", "neq", str(n)) for n in range(33))),
        policy(c("urn:gongshu:term:aggregate_min", "lteq", "5")),
        policy(c("urn:gongshu:term:legal_only", "isAnyOf", ["uses_max"])),
        policy(c("urn:gongshu:term:something", "eq", "x")),
        policy(c("dateTime", "gteq", "9999-12-31T23:59:59-14:00")),
        policy(c("https://w3id.org/catenax/2025/9/policy/Membership", "eq", "active")),
        policy(c("odrl:count", "gt", "5")),
        policy(c("odrl:count", "lteq", "five")),
        policy(c("odrl:count", "lteq", "-1")),
        policy(c("odrl:count", "lteq", "0")),
        policy(c("odrl:count", "lteq", "٣")),
        policy(c("odrl:count", "lteq", {"@value": "5"})),
        policy(c("odrl:dateTime", "gt", "2026-01-01T00:00:00Z")),
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
        policy(prohibition=[{"action": "derive"}]),
        policy(prohibition=[{"action": "distribute", "constraint": [c("spatial", "eq", "EU")]}]),
        policy(prohibition=[{"action": "distribute", "remedy": []}]),
        policy(prohibition=["distribute"]),
        policy(prohibition=[{"action": "distribute", "target": "another"}], target="d"),
        policy(obligation=[{"action": "delete"}]),
        policy(obligation=[{"action": "delete", "constraint": [c("dateTime", "lteq", "2027-01-01")]}]),
        policy(obligation=[{"action": "delete", "constraint": [c("elapsedTime", "lteq", "P1D")] * 2}]),
        policy(obligation=[{"action": "delete", "constraint": [c("elapsedTime", "lteq", "P1D")]}] * 2),
        policy(obligation=[{"action": "inform"}]),
        policy(
            obligation=[{"action": "inform", "constraint": [c("recipient", "isAnyOf", [f"p{n}" for n in range(17)])]}]
        ),
        policy(obligation=[{"action": "attribute"}]),
        policy(obligation=[{"action": "compensate", "constraint": [c("payAmount", "eq", "5")]}]),
        policy(obligation=[{"action": "compensate", "constraint": [c("payAmount", "eq", "5") | {"unit": "CNY"}]}]),
        policy(obligation=[{"action": "compensate", "constraint": [c("payAmount", "eq", "-5") | {"unit": CNY}]}]),
        policy(obligation=[{"action": "compensate", "constraint": [c("payAmount", "eq", "1e9") | {"unit": CNY}]}]),
        policy(profile="https://example.org/profile"),
        policy(permission=[]),
        policy(permission=[{"action": "use"}, {"action": "use"}]),
        policy(permission=[{"action": "distribute"}]),
        policy(permission=[{"action": "read"}, {"action": "read"}]),
        policy(permission=[{"action": "use"}, {"action": "read"}]),
        policy(permission=[{"action": "read"}, {"action": "derive", "constraint": [c("spatial", "eq", "CN")]}]),
        policy(permission=[{"action": {"x": 1}}]),
        policy(permission=["use"]),
        policy(permission=[{"action": "use", "duty": [{"action": "delete"}]}]),
        policy(permission=[{"action": "use", "refinement": []}]),
        policy(permission=[{"action": "use", "target": "another"}], target="d"),
        policy(**{"urn:x:permission": []}),
    ],
)
def test_what_cannot_be_enforced_is_refused(unknown: dict[str, Any]) -> None:
    with pytest.raises(TermsUnknown):
        read_terms(unknown)


def test_other_ways_to_write_the_same_are_understood() -> None:
    terms = read_terms(
        policy(
            {"and": [c("http://www.w3.org/ns/odrl/2/count", "lteq", "5"), c("purpose", "eq", "quality")]},
            c("dateTime", "lteq", "2027-01-01T01:00:00+01:00"),
            c("elapsedTime", "lteq", "P30DT12H"),
            c(COLUMNS, "isAnyOf", ["time"]),
            obligation=[{"action": "odrl:delete", "constraint": [c("odrl:elapsedTime", "eq", "P1D")]}],
            prohibition=[{"action": "http://www.w3.org/ns/odrl/2/distribute", "constraint": []}],
        )
    )
    assert (
        terms.bounds
        == Terms(
            uses_max=5,
            purposes=frozenset({"quality"}),
            until=NOW.replace(year=2027, month=1, day=1, hour=0),
            columns=frozenset({"time"}),
            duration_s=(30 * 24 + 12) * 3600,
            delete_after_s=86_400,
            no_onward=True,
        ).bounds
    )


def test_a_day_without_time_ends_where_it_begins() -> None:
    assert read_terms(policy(c("dateTime", "lteq", "2027-01-01"))).until == datetime(2027, 1, 1, tzinfo=UTC)


def test_agreements_that_were_stored_before_the_newer_terms_read_the_same() -> None:
    stored = (
        '{"@id":"a","@type":"Agreement","assignee":"c","assigner":"p","permission":[{"action":"use","constraint":['
        '{"leftOperand":"odrl:recipient","operator":"isAnyOf","rightOperand":["c"]},'
        '{"leftOperand":"odrl:dateTime","operator":"lteq","rightOperand":"2027-01-01T00:00:00.000000Z"},'
        '{"leftOperand":"odrl:count","operator":"lteq","rightOperand":"2"},'
        '{"leftOperand":"odrl:purpose","operator":"isAnyOf","rightOperand":["quality"]},'
        '{"leftOperand":"urn:gongshu:term:columns","operator":"isAnyOf","rightOperand":["time"]},'
        '{"leftOperand":"urn:gongshu:term:rows","operator":"lteq","rightOperand":"9"}]}],'
        '"target":"d","timestamp":"2026-11-02T08:00:00Z"}'
    )
    terms = Terms(
        frozenset({PartyId("c")}),
        datetime(2027, 1, 1, tzinfo=UTC),
        2,
        frozenset({"quality"}),
        frozenset({"time"}),
        9,
    )
    assert read_terms(orjson.loads(stored)) == terms
    written = agreement_policy(
        terms, agreement_id="a", target="d", assigner=PartyId("p"), assignee=PartyId("c"), at=NOW
    )
    assert canonical_text(written) == stored


def test_operations_are_actions_of_their_own() -> None:
    written = offer_policy(Terms(operations=frozenset({Operation.AGGREGATE, Operation.EXPORT})), offer_id="o")
    assert [rule["action"] for rule in written["permission"]] == ["odrl:aggregate", "urn:gongshu:term:export"]
    assert read_terms({"@id": "o", "permission": [{"action": "read"}]}).operations == {Operation.READ}

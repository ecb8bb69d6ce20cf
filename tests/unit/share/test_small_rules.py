"""Addresses, retries, filters, links, rules, invitations: the small pure parts."""

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest

from gongshu.model.ids import PartyId
from gongshu.secure.keys import KeyStore
from gongshu.share.addresses import is_under, join
from gongshu.share.automation import ASK_FIRST, DEFAULT_RULES, Occasion, Rules, occasion_of
from gongshu.share.catalog import next_link, read_catalog, read_elsewhere
from gongshu.share.dsp.reader import read_document
from gongshu.share.dsp.routes import FIRST, NEXT, route_of
from gongshu.share.dsp.states import Move, State
from gongshu.share.errors import InviteInvalid, MessageInvalid
from gongshu.share.filters import CatalogueFilter, read_filter
from gongshu.share.invites import PREFIX, read_invite, write_invite
from gongshu.share.links import read_links
from gongshu.share.model import CatalogueElsewhere
from gongshu.share.sending import Outcome, Retries, judge_status, plan_delay


@pytest.mark.parametrize(
    "address, registered",
    [
        ("http://a.example", "http://a.example"),
        ("http://a.example/", "http://a.example"),
        ("http://A.example:80/dsp", "http://a.example"),
        ("https://a.example/x/dsp/2025-1", "https://a.example:443/x/"),
    ],
)
def test_addresses_below_the_registered_one(address: str, registered: str) -> None:
    assert is_under(address, registered)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a.example/x",
        "ftp://a.example/x",
        "https://a.example/x",
        "http://a.example:81/x",
        "http://b.example/x",
        "http://a.example.evil/x",
        "http://a.example@evil/x",
        "http://evil#@a.example/x",
        "http://a.example/y",
        "http://a.example/xy",
        "http://a.example/x/../y",
        "http://a.example/x/%2e%2e/y",
        "http://a.example/x?y=1",
        "http://a.example/x#y",
        "http://a.example/x\\..\\y",
        "http://a.example/x\r\nHost: b",
        "http://a.example:99999/x",
        "http://ａ.example/x",
        "http://a.example/" + "x" * 900,
    ],
)
def test_addresses_elsewhere(address: str) -> None:
    assert not is_under(address, "http://a.example/x")


def test_a_joined_address_has_one_slash() -> None:
    assert join("http://a", "b") == join("http://a/", "/b") == "http://a/b"


@pytest.mark.parametrize("status", [None, 408, 425, 429, 500, 503])
def test_no_answer_and_patience_are_tried_again(status: int | None) -> None:
    assert judge_status(status, attempts=9, retries=Retries()) is Outcome.RETRY


def test_a_missing_process_is_given_a_moment() -> None:
    retries = Retries(not_found_max=3)
    assert [judge_status(404, attempts=n, retries=retries).value for n in (1, 2, 3)] == ["retry", "retry", "refused"]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 409])
def test_an_understood_no_is_not_tried_again(status: int) -> None:
    assert judge_status(status, attempts=1, retries=Retries()) is Outcome.REFUSED


def test_delays_grow_to_a_bound() -> None:
    delays = [plan_delay(n, Retries(), jitter=1.0).total_seconds() for n in range(1, 20)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (0.5, 300.0)


@pytest.mark.parametrize(
    "filters, wanted",
    [
        ([], CatalogueFilter()),
        ([{"dataset": "x"}], CatalogueFilter(dataset_id="x")),
        ([{"search": "x", "limit": 5}], CatalogueFilter(search="x", limit=5)),
        ([{"@type": "QuerySpec", "offset": 0, "limit": 500}], CatalogueFilter()),
        (
            [{"filterExpression": [{"operandLeft": "id", "operator": "=", "operandRight": "x"}]}],
            CatalogueFilter(dataset_id="x"),
        ),
        (
            [{"filterExpression": [{"operandLeft": "title", "operator": "like", "operandRight": "%x%"}]}],
            CatalogueFilter(search="x"),
        ),
        ([{"@type": "QuerySpec", "offset": 50, "limit": 500}], CatalogueFilter(offset=50)),
        (
            [
                {
                    "@type": ["https://w3id.org/edc/v0.0.1/ns/QuerySpec"],
                    "https://w3id.org/edc/v0.0.1/ns/offset": [{"@value": 5}],
                    "edc:limit": {"@value": 10},
                    "edc:filterExpression": {
                        "edc:operandLeft": {"@value": "https://w3id.org/edc/v0.0.1/ns/id"},
                        "edc:operator": {"@value": "="},
                        "edc:operandRight": {"@value": "orders"},
                    },
                }
            ],
            CatalogueFilter(dataset_id="orders", limit=10, offset=5),
        ),
    ],
)
def test_filters_that_are_understood(filters: list[Any], wanted: CatalogueFilter) -> None:
    assert read_filter(filters) == wanted


@pytest.mark.parametrize(
    "item",
    [
        "x",
        {"unknown": 1},
        {"dataset": 5},
        {"limit": 0},
        {"offset": -1},
        {"offset": True},
        {"offset": 2_000_000},
        [{"@value": "x"}],
        {"dataset": "a", "filterExpression": [{"operandLeft": "id", "operator": "=", "operandRight": "b"}]},
        {"filterExpression": [{"operandLeft": "id", "operator": "=", "operandRight": "x", "more": 1}]},
        {"filterExpression": [{"operandLeft": "price", "operator": "=", "operandRight": "x"}]},
        {"filterExpression": "x"},
        {"filterExpression": [{"operandLeft": "id", "operator": "!=", "operandRight": "x"}]},
        {"sortOrder": "DESC"},
    ],
)
def test_a_filter_that_is_not_understood_is_refused_not_ignored(item: Any) -> None:
    with pytest.raises(MessageInvalid, match="filter"):
        read_filter([item])


def test_nested_catalogues_and_unknown_policies_are_read() -> None:
    inner = {"@id": "d", "dct:title": {"@value": "Title"}, "hasPolicy": [{"@id": "o", "prohibition": [{}]}]}
    found = read_catalog({"catalog": [{"dataset": [inner]}]})
    assert (found[0].title, found[0].offers[0].terms) == ("Title", None)
    assert found[0].offers[0].obstacle


def test_datasets_of_a_nested_catalogue_say_whose_they_are() -> None:
    deep = {"participantId": "urn:b", "dataset": [{"@id": "c"}]}
    nested = {"participantId": "urn:b", "dataset": [{"@id": "b"}], "catalog": [deep]}
    own = {"participantId": "urn:a", "dataset": [{"@id": "also-a"}]}
    found = read_catalog({"participantId": "urn:a", "dataset": [{"@id": "a"}], "catalog": [nested, own]})
    assert [(each.dataset_id, each.participant) for each in found] == [
        ("a", ""),
        ("b", "urn:b"),
        ("c", "urn:b"),
        ("also-a", ""),
    ]


def test_catalogues_that_are_only_named_are_told_and_not_asked() -> None:
    example = (Path(__file__).parent / "examples" / "nested-catalog.json").read_bytes()
    assert read_elsewhere(read_document(example)) == (CatalogueElsewhere("", "https://provder-a.com/subcatalog"),)
    there = {"participantId": "urn:b", "service": [{"endpointURL": "https://b.example/dsp"}, {"endpointURL": 7}, "x"]}
    here = {"participantId": "urn:b", "dataset": [{"@id": "b"}], "service": [{"endpointURL": "https://b.example"}]}
    found = read_elsewhere({"participantId": "urn:a", "catalog": [{"catalog": [there]}, here, "x"]})
    assert found == (CatalogueElsewhere("urn:b", "https://b.example/dsp"),)


def test_links_are_read_as_others_write_them() -> None:
    assert read_links('<http://a/1>; rel="prev"; title="a, b", <http://a/2?x=<y>') == {"previous": "http://a/1"}
    assert read_links("<http://a/1>;rel=previous,<http://a/2>;REL=Next") == {
        "previous": "http://a/1",
        "next": "http://a/2",
    }
    assert read_links("<" * 100_000) == {}


def test_the_next_page_is_found_among_links() -> None:
    assert next_link('<http://a/1>; rel="previous", <http://a/2>;rel=next') == "http://a/2"
    assert next_link("") == next_link("<http://a/1>; rel=prev") == ""


def test_every_path_has_its_message() -> None:
    assert {*FIRST.values(), *NEXT.values()} == {move.message_type for move in Move}
    assert route_of("/transfers/a%2Fb/start") == ("TransferStartMessage", "a%2Fb")
    with pytest.raises(KeyError):
        route_of("/elsewhere")


def test_rules_survive_storing() -> None:
    for rules in [*DEFAULT_RULES.values(), ASK_FIRST]:
        assert Rules.from_json(orjson.loads(orjson.dumps(rules.as_json()))) == rules
    with pytest.raises(ValueError, match="sometimes"):
        Rules.from_json({"sometimes": []})


def test_occasions_tell_the_way_into_a_state() -> None:
    assert occasion_of(State.OFFERED, State.REQUESTED) is Occasion.COUNTERED
    assert occasion_of(State.NEW, State.REQUESTED) is Occasion.REQUESTED
    assert occasion_of(State.REQUESTED, State.STARTED) is Occasion.STARTED
    assert occasion_of(State.STARTED, State.TERMINATED) is None


@pytest.fixture
def invite(tmp_path: Path) -> str:
    keys = KeyStore(tmp_path / "keys")
    return write_invite(keys, party_id=PartyId("urn:x"), title="示例", address="http://a.example")


def test_an_invitation_brings_id_address_and_key(invite: str, tmp_path: Path) -> None:
    party = read_invite(f"  {invite[:50]}\n{invite[50:]}\n")
    assert (party.party_id, party.title, party.address) == ("urn:x", "示例", "http://a.example")
    assert party.fingerprint == KeyStore(tmp_path / "keys").fingerprint()


def test_an_altered_cut_or_resigned_invitation_is_refused(invite: str) -> None:
    payload, signature = invite.removeprefix(PREFIX).split(".")
    fields = orjson.loads(base64.urlsafe_b64decode(payload + "=="))
    elsewhere = orjson.dumps({**fields, "address": "http://evil.example"})
    changed = base64.urlsafe_b64encode(elsewhere).decode().rstrip("=")
    for line in (invite[:-5], f"{PREFIX}{changed}.{signature}", payload, "", PREFIX, f"{PREFIX}{payload}.AAAA"):
        with pytest.raises(InviteInvalid):
            read_invite(line)

"""Addresses, sequence numbers, endpoints, config: what is decided without a server."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gongshu.gather.connectors.opcua.addresses import (
    Address,
    NamespaceUnknown,
    format_address,
    namespace_index,
    parse_address,
)
from gongshu.gather.connectors.opcua.config import OpcUaConfig, Security
from gongshu.gather.connectors.opcua.endpoints import Offer, choose_offer, describe_offers
from gongshu.gather.connectors.opcua.sequence import SequenceLog
from gongshu.gather.errors import DecodeError

identifiers = st.one_of(
    st.tuples(st.just("i"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("s"), st.text(min_size=1)),
    st.tuples(st.just("g"), st.uuids()),
    st.tuples(st.just("b"), st.binary(min_size=1)),
)


@given(st.sampled_from(["", "urn:a", "http://x/%3B;y"]), identifiers)
def test_an_address_survives_its_text(uri: str, identifier: tuple[str, Any]) -> None:
    address = Address(uri, *identifier)
    assert parse_address(format_address(address)) == address


@pytest.mark.parametrize("text", ["ns=2;s=x", "nsu=;i=1", "nsu=urn:a", "i=-1", "i=x", "x=1", "", "s=", "g=1", "b=*"])
def test_what_is_no_lasting_address_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        parse_address(text)


def test_an_address_follows_its_namespace_to_another_index() -> None:
    address = parse_address("nsu=urn:mill;s=load")
    assert namespace_index(address, ["http://opcfoundation.org/UA/", "urn:mill"]) == 1
    assert namespace_index(address, ["http://opcfoundation.org/UA/", "urn:other", "urn:mill"]) == 2
    with pytest.raises(NamespaceUnknown):
        namespace_index(address, ["http://opcfoundation.org/UA/"])


def test_sequence_gaps_are_named_and_repeats_and_wraps_known() -> None:
    log = SequenceLog()
    assert log.notification(2**32 - 2).missing == ()
    assert log.notification(1).missing == (2**32 - 1,)
    assert log.notification(1).repeated
    assert log.keep_alive(4).missing == (2, 3)
    assert log.notification(4).missing == ()
    assert log.notification(1_000_000).jumped
    assert log.expected == 1_000_001


@given(st.lists(st.integers(1, 50), max_size=30))
def test_every_number_up_to_the_newest_was_taken_or_named(numbers: list[int]) -> None:
    log, taken = SequenceLog(expected=1), set()
    for number in numbers:
        arrival = log.notification(number)
        taken |= {*arrival.missing, number}
    assert taken == set(range(1, max(numbers, default=0) + 1))


def offer(mode: Security, policy: str, *logins: str) -> Offer:
    return Offer(mode, policy, frozenset(logins), b"", "urn:x")


OFFERS = [
    offer(Security.NONE, "None", "anonymous"),
    offer(Security.SIGN, "Basic256Sha256", "username"),
    offer(Security.SIGN_AND_ENCRYPT, "Basic256", "username"),
    offer(Security.SIGN_AND_ENCRYPT, "Basic256Sha256", "username"),
    offer(Security.SIGN_AND_ENCRYPT, "Aes256_Sha256_RsaPss", "username"),
]


def test_the_best_policy_of_the_protection_asked_for_is_taken() -> None:
    chosen = choose_offer(OFFERS, Security.SIGN_AND_ENCRYPT, "username")
    assert chosen is not None
    assert chosen.policy == "Aes256_Sha256_RsaPss"


@pytest.mark.parametrize(
    ("offers", "login"), [(OFFERS[:3], "username"), (OFFERS, "anonymous"), (OFFERS[:1], "username"), ([], "username")]
)
def test_there_is_no_silent_downgrade(offers: list[Offer], login: str) -> None:
    assert choose_offer(offers, Security.SIGN_AND_ENCRYPT, login) is None
    assert describe_offers(offers)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"anonymous": True, "username": "a"},
        {"user_certificate": "a.pem"},
        {"security": "none", "username": "a", "password": "b"},
        {"anonymous": True, "url": "opc.tcp://user:pass@host:1"},
        {"anonymous": True, "trusted_sha256": ["12"]},
        {"anonymous": True, "url": "http://host"},
        {"anonymous": True, "unknown": 1},
    ],
)
def test_a_config_that_is_unclear_or_unsafe_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OpcUaConfig.model_validate({"url": "opc.tcp://host:4840"} | fields)


def test_the_default_is_signed_encrypted_and_not_anonymous() -> None:
    config = OpcUaConfig.model_validate({"url": "opc.tcp://host:4840", "username": "a"})
    assert (config.security, config.anonymous, config.check_host) == (Security.SIGN_AND_ENCRYPT, False, True)

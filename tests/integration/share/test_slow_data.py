"""Heads of answers, refusals and receipts that come a byte at a time end with their bound; rows take their time."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import httpx
import pytest

from gongshu.model.ids import PartyId
from gongshu.secure.hurry import HurriedTransport
from gongshu.share.data_addresses import DataAddresses
from gongshu.share.data_wire import DataWire
from gongshu.share.errors import PeerUnreachable
from tests.dripping import BOUND_S, END_S, HEADER, Partner, partners

PARTY = PartyId("urn:example:slow")


class Anywhere:
    def require_own(self, party: PartyId, address: str) -> None:
        """Every address is this party's."""


@contextmanager
def given_up() -> Iterator[None]:
    with pytest.raises(PeerUnreachable) as caught:
        yield
    assert isinstance(caught.value.__cause__, httpx.ReadTimeout), "it was not the partner that hung up"


@pytest.fixture
def partner() -> Iterator[Partner]:
    with partners() as start:
        yield start


@pytest.fixture
def wire() -> Iterator[DataWire]:
    transport = HurriedTransport(ssl.create_default_context(), httpx.Limits())
    with httpx.Client(transport=transport, trust_env=False, timeout=END_S) as client:
        yield DataWire(cast(DataAddresses, Anywhere()), lambda _: client, head_s=BOUND_S, answer_s=BOUND_S)


def test_a_head_that_never_ends_is_given_up(wire: DataWire, partner: Partner) -> None:
    with given_up(), wire.fetch(PARTY, partner(HEADER, b"a"), {}):
        pass


def test_a_refusal_that_never_ends_is_given_up(wire: DataWire, partner: Partner) -> None:
    address = partner(b"HTTP/1.1 403 No\r\nContent-Length: 9999\r\n\r\n", b"a")
    with given_up(), wire.fetch(PARTY, address, {}) as response:
        response.read()


def test_rows_may_come_slowly(wire: DataWire, partner: Partner) -> None:
    address = partner(b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n", b"a")
    with wire.fetch(PARTY, address, {}) as response:
        assert response.read() == b"a" * 25


@pytest.mark.parametrize("begun", [HEADER, b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"], ids=["head", "body"])
def test_the_answer_to_a_push_that_never_ends_is_given_up(wire: DataWire, partner: Partner, begun: bytes) -> None:
    with given_up():
        wire.send(PARTY, partner(begun, b"a"), method="POST", headers={}, pieces=iter([b"rows"]))

"""A partner that answers a byte at a time holds nobody longer than the bound of the whole exchange."""

import ssl
import time
from collections.abc import Iterator

import httpx
import pytest

from gongshu.secure.hurry import HurriedTransport, all_within, answer_within
from tests.dripping import BOUND_S, END_S, HEADER, Partner, partners


@pytest.fixture
def partner() -> Iterator[Partner]:
    with partners() as start:
        yield start


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    transport = HurriedTransport(ssl.create_default_context(), httpx.Limits())
    with httpx.Client(transport=transport, trust_env=False, timeout=END_S) as client:
        yield client


@pytest.mark.parametrize(
    ("whole", "again"),
    [
        (HEADER, b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"a"),
    ],
    ids=["header", "continue", "body"],
)
def test_an_answer_that_never_ends_is_given_up(
    partner: Partner, client: httpx.Client, whole: bytes, again: bytes
) -> None:
    with all_within(BOUND_S), pytest.raises(httpx.ReadTimeout):
        client.get(partner(whole, again))


def test_what_is_sent_may_take_longer_than_its_answer(partner: Partner, client: httpx.Client) -> None:
    def slowly() -> Iterator[bytes]:
        time.sleep(BOUND_S * 1.2)
        yield b"rows"

    with answer_within(BOUND_S):
        assert client.post(partner(b"HTTP/1.1 204 None\r\n\r\n", b""), content=slowly()).status_code == 204
    with answer_within(BOUND_S), pytest.raises(httpx.ReadTimeout):
        client.post(partner(HEADER, b"a"), content=slowly())


def test_no_exchange_begins_when_the_time_is_up(partner: Partner, client: httpx.Client) -> None:
    with all_within(0), pytest.raises(httpx.ConnectTimeout):
        client.get(partner(b"HTTP/1.1 204 None\r\n\r\n", b""))


def test_outside_of_the_block_only_the_clients_own_bounds_hold(partner: Partner, client: httpx.Client) -> None:
    with all_within(0):
        pass
    assert client.get(partner(b"HTTP/1.1 204 None\r\n\r\n", b"")).status_code == 204

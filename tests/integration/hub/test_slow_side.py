"""The other side of the hub cannot hold the courier, nor fill its memory."""

from collections.abc import Iterator

import pytest

from gongshu.hub.client import ANSWER_BYTES_MAX, HubClient
from gongshu.hub.errors import FarSideSilent
from tests.dripping import BOUND_S, END_S, HEADER, Partner, partners


@pytest.fixture
def partner() -> Iterator[Partner]:
    with partners() as start:
        yield start


@pytest.mark.parametrize("begun", [HEADER, b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"], ids=["head", "body"])
def test_an_answer_that_never_ends_is_given_up(partner: Partner, begun: bytes) -> None:
    with pytest.raises(FarSideSilent, match="ReadTimeout"):
        HubClient(timeout_s=BOUND_S).post(partner(begun, b"a"), "/x", {}, what="report")


def test_an_answer_that_is_too_long_is_not_read(partner: Partner) -> None:
    address = partner(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * (ANSWER_BYTES_MAX + 1))
    with pytest.raises(FarSideSilent, match="over"):
        HubClient(timeout_s=END_S).post(address, "/x", {}, what="report")


@pytest.mark.parametrize(("status", "said"), [(b"200 OK", "not JSON"), (b"500 Broken", "500")])
def test_an_answer_that_nests_without_end_is_no_answer(partner: Partner, status: bytes, said: str) -> None:
    body = b"[" * 200_000
    address = partner(b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body, b"")
    with pytest.raises(FarSideSilent, match=said):
        HubClient(timeout_s=END_S).post(address, "/x", {}, what="report")

"""Messages that are answered before the framework looks for their route."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gongshu.share.desk import Desk, Later
from gongshu.share.dsp.api import ShortWay
from gongshu.share.dsp.messages import PATH
from gongshu.share.service import ShareService, ShareSettings


def answered(path: str, parts: list[dict[str, Any]], *, method: str = "POST") -> list[int]:
    """Return the statuses of the answers to a request that comes in these parts; 0 where the framework was asked."""
    statuses, coming = list[int](), iter(parts)

    async def framework(*_: Any) -> None:
        statuses.append(0)

    async def receive() -> dict[str, Any]:
        return next(coming)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    intake = SimpleNamespace(answer=lambda: Later(Desk()))
    share = cast(ShareService, SimpleNamespace(settings=ShareSettings(), intake=intake))
    asyncio.run(ShortWay(framework, share)(scope, receive, send))
    return statuses


@pytest.mark.parametrize("path", ["/negotiations/request", "/transfers/urn:uuid:1/start"])
def test_a_message_that_is_cut_off_is_no_failure_of_ours(path: str) -> None:
    begun = {"type": "http.request", "body": b"{", "more_body": True}
    assert answered(PATH + path, [begun, {"type": "http.disconnect"}]) == [400]


@pytest.mark.parametrize(
    "path",
    ["", "/", "/negotiations", "/negotiations/1", "/negotiations//request", "/negotiations/1/../request", "x/y/1/z"],
)
def test_what_is_no_message_is_left_to_the_framework(path: str) -> None:
    assert answered(PATH + path, []) == [0]


def test_another_method_is_left_to_the_framework() -> None:
    assert answered(f"{PATH}/negotiations/request", [], method="HEAD") == [0]

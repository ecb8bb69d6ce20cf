"""Bodies that may be long, as they are read part by part."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from gongshu.share.dsp.api import _parts


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_is_not_forgotten_when_a_part_comes_in_the_same_moment(turns: int) -> None:
    coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    body = _parts(Request({"type": "http", "method": "POST", "headers": []}, coming.get))
    reading = asyncio.ensure_future(anext(body))
    for _ in range(3):
        await asyncio.sleep(0)
    coming.put_nowait({"type": "http.request", "body": b"rows", "more_body": False})
    for _ in range(turns):
        await asyncio.sleep(0)
    if reading.cancel():
        with pytest.raises(asyncio.CancelledError):
            await reading
    else:
        assert reading.result() == b"rows"

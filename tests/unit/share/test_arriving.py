"""A body that arrives a byte at a time holds nobody who does not want it any more."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pyarrow as pa
import pytest

from gongshu.share.ahead import read_ahead
from gongshu.share.arriving import Arriving
from gongshu.share.arrow_stream import open_arrow


def test_who_cannot_keep_the_rows_need_not_wait_for_a_slow_partner() -> None:
    batch = pa.record_batch({"a": pa.array(range(1000))})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
        first = sink.tell()
        writer.write_batch(batch)
    body, is_full = sink.getvalue(), threading.Event()
    dripped: list[int] = []

    def drip() -> Iterator[bytes]:
        yield body[:first]
        for place in range(first, first + 4000):
            assert is_full.wait(60)
            time.sleep(0.005)
            dripped.append(place)
            yield body[place : place + 1]

    arrived = Arriving(httpx.Response(200, content=drip()), 1 << 20)
    rows = open_arrow(io.BufferedReader(arrived, 100).read)

    def keep() -> None:
        with closing(read_ahead(iter(rows))) as batches, arrived.wanted():
            assert next(batches).num_rows == 1000
            is_full.set()
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        keep()
    assert len(dripped) < 4000

"""Few bytes that would unpack to tens of gigabytes are refused before they do, in every form a partner may send."""

import io
import sys
import threading
from collections.abc import Callable
from struct import pack_into
from typing import Any

import psutil
import pyarrow as pa
import pytest

from gongshu.lake import sealed
from gongshu.share import unpacking
from gongshu.share.arrow_stream import METADATA_BYTES_MAX, StreamRefused, open_arrow
from gongshu.share.decoding import Undecodable, decoded
from gongshu.share.encoding import BATCH_BYTES, Encoding, accepts_packed, encode_batches
from gongshu.share.errors import MessageTooLarge
from gongshu.share.unfolding import unfolded_bytes
from gongshu.share.unpacking import unpacked

BYTES_MAX = 1 << 40
HUGE = 40 * 1024**3


def stream(*batches: pa.RecordBatch, **options: Any) -> bytes:
    """Return an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def inflated(codec: str, declared: int) -> bytes:
    """Return a compressed stream of zeros, each buffer of which declares another length than it has."""
    zeros = pa.record_batch({"zeros": pa.array([0] * 100_000, pa.int64())})
    raw = bytearray(stream(zeros, compression=codec))
    true = (800_000).to_bytes(8, "little")
    assert raw.count(true) == 1, "one buffer of values"
    pack_into("<q", raw, raw.index(true), declared)
    return bytes(raw)


def read(body: bytes, encoding: Encoding = Encoding.ARROW, bytes_max: int = BYTES_MAX) -> int:
    """Return the rows of a delivery."""
    with decoded(io.BytesIO(body), encoding, bytes_max) as rows:
        return sum(batch.num_rows for batch in rows.batches)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_compressed_stream_is_read(codec: str) -> None:
    assert read(inflated(codec, 800_000)) == 100_000


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("declared", [HUGE, 2**62, -2, 799_999, 800_001])
def test_a_buffer_that_declares_another_size_is_refused_unread(codec: str, declared: int) -> None:
    before = pa.default_memory_pool().max_memory() or 0
    with pytest.raises(Undecodable):
        read(inflated(codec, declared))
    assert (pa.default_memory_pool().max_memory() or 0) - before < 1 << 30


def test_many_buffers_are_counted_together() -> None:
    columns = {f"c{number}": pa.array([0] * 1000, pa.int64()) for number in range(100)}
    body = stream(pa.record_batch(columns), compression="zstd")
    with pytest.raises(StreamRefused, match="a batch, unpacked, would take 800000 bytes"):
        open_arrow(io.BytesIO(body).read, bytes_max=799_999).read_all()
    assert open_arrow(io.BytesIO(body).read, bytes_max=800_000).read_all().num_rows == 1000


def test_dictionaries_that_grow_are_counted_together() -> None:
    parts = [pa.array([f"{number} " + "x" * 1000]).dictionary_encode() for number in range(50)]
    grown, batches = pa.array([], pa.string()), []
    for part in parts:
        grown = pa.concat_arrays([grown, part.dictionary])
        batches.append(pa.record_batch({"a": pa.DictionaryArray.from_arrays(pa.array([len(grown) - 1]), grown)}))
    body = stream(*batches, emit_dictionary_deltas=True)
    with pytest.raises(StreamRefused, match="the dictionaries would take"):
        open_arrow(io.BytesIO(body).read, bytes_max=20_000).read_all()
    replaced = stream(*[pa.record_batch({"a": part}) for part in parts])
    assert open_arrow(io.BytesIO(replaced).read, bytes_max=20_000).read_all().num_rows == 50


def long_dictionary() -> pa.Array:
    """Return a million short rows that stand for a hundred gigabytes."""
    indices = pa.repeat(pa.scalar(0, pa.int8()), 1_000_000)
    return pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 100_000]))


def long_views() -> pa.Array:
    """Return views of one long text, a hundred thousand times."""
    text = b"x" * 1_000_000
    view = len(text).to_bytes(4, "little") + text[:4] + bytes(8)
    buffers = [None, pa.py_buffer(view * 100_000), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string_view(), 100_000, buffers)


def endless_nulls() -> pa.Array:
    """Return two billion rows of nothing."""
    return pa.Array.from_buffers(pa.null(), (1 << 31) - 1, [None])


@pytest.mark.parametrize("make", [long_dictionary, long_views, endless_nulls])
def test_rows_that_stand_for_much_more_are_refused(make: Callable[[], pa.Array]) -> None:
    body = stream(pa.record_batch({"a": make()}))
    assert len(body) < 4_000_000
    with pytest.raises(Undecodable, match="bytes of memory"):
        read(body)


def test_plain_values_count_as_they_lie() -> None:
    texts = pa.array(["a", None, "a longer text than is kept inside of a view"], pa.string_view())
    nested = pa.array([["ab", "c"], None], pa.list_(pa.dictionary(pa.int8(), pa.string())))
    assert unfolded_bytes(pa.record_batch({"a": texts})) == 3 * 8 + 1 + 43
    assert unfolded_bytes(pa.record_batch({"a": nested})) == 2 * 8 + 2 * 8 + 3
    assert unfolded_bytes(pa.record_batch({"a": pa.array([1.5, 2.5])})) == 16


def test_all_rows_together_have_a_bound() -> None:
    batch = pa.record_batch({"a": pa.nulls(10_000)})
    assert read(stream(*[batch] * 10), bytes_max=10 * 80_000) == 100_000
    with pytest.raises(MessageTooLarge):
        read(stream(*[batch] * 11), bytes_max=10 * 80_000)


def one_row() -> pa.RecordBatch:
    """Return twenty bits that take ten thousand bytes."""
    return pa.record_batch({f"c{number}": pa.array([True]) for number in range(20)})


def test_batches_of_one_row_count_for_what_they_take() -> None:
    body = stream(*[one_row()] * 100)
    assert read(body, bytes_max=1_300_000) == 100
    with pytest.raises(MessageTooLarge):
        read(body, bytes_max=1_000_000)


def test_batches_of_one_row_do_not_wait_for_a_million_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "GROUP_BYTES", 100_000)
    groups = [group.num_rows for group in sealed._groups(one_row().schema, [one_row()] * 100)]
    assert sum(groups) == 100
    assert max(groups) < 10


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"\x10\x00\x00\x00", "no Arrow stream"),
        (b"\xff\xff\xff\xff" + (METADATA_BYTES_MAX + 1).to_bytes(4, "little"), "description of a message"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", "description of a message"),
        (b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\xff" * 16, "malformed"),
    ],
)
def test_a_malformed_stream_says_so(head: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        read(head + bytes(64))


def test_a_stream_that_is_cut_has_no_end() -> None:
    body = stream(pa.record_batch({"a": [1, 2, 3]}), compression="lz4")
    for cut in range(len(body)):
        with pytest.raises(Undecodable):
            read(body[:cut])
    assert read(body) == 3


def parquet_bomb() -> bytes:
    """Return a Parquet file of a few kilobytes, whose million rows are a hundred gigabytes of text."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    table = pa.table({"a": long_dictionary()})
    pq.write_table(table, sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def test_a_parquet_bomb_ends_its_reader_and_nothing_else() -> None:
    body = parquet_bomb()
    assert len(body) < 1_000_000
    with (
        unpacked(io.BytesIO(body), Encoding.PARQUET, memory_mb=400) as told,
        pytest.raises(ValueError, match="memory"),
    ):
        open_arrow(told).read_all()


def test_parquet_and_text_are_read_by_a_process_that_is_gone_afterwards() -> None:
    import pyarrow.parquet as pq

    table, sink = pa.table({"a": range(100_000), "b": ["x"] * 100_000}), io.BytesIO()
    pq.write_table(table, sink)
    with decoded(sink, Encoding.PARQUET, BYTES_MAX) as rows:
        assert pa.Table.from_batches(rows.batches) == table
    assert read(b"a,b\n1,2\n", Encoding.CSV) == 1
    assert [child for child in psutil.Process().children() if "gongshu.share.unpacking" in child.cmdline()] == []


def test_compressed_buffers_are_sent_to_who_asks_for_them() -> None:
    assert accepts_packed('application/vnd.apache.arrow.stream;codecs="lz4", text/csv')
    assert not accepts_packed("text/csv, application/vnd.apache.arrow.stream; codecs=lz4")
    assert not accepts_packed("application/vnd.apache.arrow.stream; codecs=zstd")
    batch = pa.record_batch({"a": pa.array([0] * 10_000)})
    sizes = [
        len(b"".join(encode_batches(batch.schema, iter([batch]), Encoding.ARROW, packed=packed)))
        for packed in (False, True)
    ]
    assert sizes[1] < sizes[0] / 10


def test_large_batches_are_cut_on_their_way_out() -> None:
    batch = pa.record_batch({"a": pa.array([bytes(1024 * 1024)] * 100)})
    body = b"".join(encode_batches(batch.schema, iter([batch]), Encoding.ARROW, packed=True))
    sizes = [part.nbytes for part in open_arrow(io.BytesIO(body).read)]
    assert sum(sizes) >= 100 << 20
    assert max(sizes) <= BATCH_BYTES


def test_who_asks_for_bytes_waits_until_who_tells_has_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []
    asking = threading.Thread(target=unpacking._tell, args=(b"r", 0, 7))

    class Out:
        """The pipe; in the middle of a piece another thread asks."""

        @property
        def buffer(self) -> "Out":
            return self

        def flush(self) -> None:
            pass

        def write(self, part: bytes) -> None:
            if part == b"rows":
                asking.start()
                asking.join(0.2)
            told.append(part)

    monkeypatch.setattr(sys, "stdout", Out())
    unpacking._tell(b"p", 0, 4, b"rows")
    asking.join()
    assert told.index(b"rows") == 1, "what is told is one piece"

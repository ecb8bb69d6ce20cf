"""A partner's Parquet, CSV or JSON, read by a process of its own with bounded memory.

A few bytes of these formats may stand for any number of values, which no header tells truthfully. So the reading
process may take `MEMORY_MB` and no more, has no secrets in its environment, and answers with an Arrow stream, which the
node judges like any partner's. It asks the node for the file's bytes, so that the file may lie encrypted. See decision
0086.
"""

import io
import json
import os
import resource
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from struct import Struct
from typing import IO, TYPE_CHECKING, Any

from gongshu.affinity import on_all

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_MB = 2048
"""What reading may take; a row group of Parquet, or a delivery as JSON, has to fit into it. Ours."""
QUIET_S = 120.0
"""A reader that asks for nothing and tells nothing for so long is ended. Ours."""
PIECE_BYTES_MAX = 1024 * 1024
BATCH_ROWS = 65_536
JSON_BYTES_MAX = 256 * 1024 * 1024
"""What is read as JSON, which has to be in memory at once; for more there are three better encodings. Ours."""

_FRAME = Struct("<cQQ")
"""A kind and two numbers: `r` asks for bytes (place, count), `p` carries a piece of the answer (0, length), `e` a
reason (0, length), `d` says that all is told."""
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class NotUnpacked(ValueError):
    """The file could not be read; the text is the reason."""


@contextmanager
def unpacked(file: IO[bytes], encoding: str, *, memory_mb: int = MEMORY_MB) -> Iterator[Callable[[int], bytes]]:
    """Yield how to read the rows of a file as an Arrow stream, while the block runs; the file must allow seeking.

    Raises: NotUnpacked, when it is read.
    Cost: a process, a third of a second.
    """
    size = file.seek(0, io.SEEK_END)
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with on_all():
        process = subprocess.Popen(
            [sys.executable, "-m", "gongshu.share.unpacking", encoding, str(size), str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    with process:
        try:
            yield io.BufferedReader(_Answer(process, file), PIECE_BYTES_MAX).read
        finally:
            process.kill()


class _Answer(io.RawIOBase):
    """What the reading process tells; what it asks for is served in between."""

    def __init__(self, process: "subprocess.Popen[bytes]", file: IO[bytes]) -> None:
        super().__init__()
        assert process.stdin is not None, "it is piped"
        assert process.stdout is not None, "it is piped"
        self._process, self._in, self._out = process, process.stdin, process.stdout.fileno()
        self._file = file
        self._rest = memoryview(b"")
        self._is_whole = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Return what was told; 0 when all was. Raises: NotUnpacked."""
        while not self._rest and not self._is_whole:
            self._follow()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _follow(self) -> None:
        kind, place, count = _FRAME.unpack(self._exactly(_FRAME.size))
        if kind == b"d":
            self._is_whole = True
        elif count > PIECE_BYTES_MAX:
            raise NotUnpacked("its reading went astray")
        elif kind == b"r":
            self._file.seek(place)
            try:
                self._in.write(self._file.read(count))
                self._in.flush()
            except BrokenPipeError:
                raise self._ended() from None
        elif kind == b"p":
            self._rest = memoryview(self._exactly(count))
        else:
            raise NotUnpacked(str(json.loads(self._exactly(count)))[:200])

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        while len(parts) < count:
            if not poll.poll(QUIET_S * 1000):
                raise NotUnpacked(f"its reading made no progress in {QUIET_S:.0f} s")
            part = os.read(self._out, count - len(parts))
            if not part:
                raise self._ended()
            parts += part
        return bytes(parts)

    def _ended(self) -> NotUnpacked:
        code = self._process.wait()
        return NotUnpacked(f"its reading ended with status {code}: it may take no more memory than it has")


# ---- the reading process ---------------------------------------------------------------------------------------------

_telling = threading.Lock()
"""Arrow reads text ahead in a thread of its own, which asks while another one tells."""


class _Asked(io.RawIOBase):
    """The file, whose bytes the node is asked for."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._place, PIECE_BYTES_MAX))
        if count:
            _tell(b"r", self._place, count)
            buffer[:count] = sys.stdin.buffer.read(count)
            self._place += count
        return count


def _tell(kind: bytes, place: int, count: int, payload: bytes | memoryview = b"") -> None:
    out = sys.stdout.buffer
    with _telling:
        out.write(_FRAME.pack(kind, place, count))
        out.write(payload)
        out.flush()


def main(encoding: str, size: int, memory_mb: int) -> None:
    """Read one file and tell its rows, or the reason why not."""
    import pyarrow as pa

    from gongshu.share.encoding import Encoding, encode_batches

    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faults = (pa.ArrowException, OSError, ValueError, TypeError, ArithmeticError, RecursionError)
    try:
        file = io.BufferedReader(_Asked(size), PIECE_BYTES_MAX)
        schema, batches = _READERS[encoding](file)
        for piece in encode_batches(schema, batches, Encoding.ARROW):
            view = memoryview(piece)
            for start in range(0, len(view), PIECE_BYTES_MAX):
                part = view[start : start + PIECE_BYTES_MAX]
                _tell(b"p", 0, len(part), part)
    except (MemoryError, pa.ArrowMemoryError):
        _refuse(f"reading it takes over {memory_mb} MiB of memory")
    except faults as fault:
        _refuse(str(fault)[:200])
    else:
        _tell(b"d", 0, 0)


def _refuse(reason: str) -> None:
    told = json.dumps(reason).encode()
    _tell(b"e", 0, len(told), told)


def _read_csv(file: IO[bytes]) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    import pyarrow.csv as pa_csv

    reader = pa_csv.open_csv(file, read_options=pa_csv.ReadOptions(use_threads=False))
    return reader.schema, iter(reader)


def _read_parquet(file: IO[bytes]) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    import pyarrow.parquet as pa_parquet

    source = pa_parquet.ParquetFile(file, buffer_size=PIECE_BYTES_MAX, pre_buffer=False)
    return source.schema_arrow, source.iter_batches(BATCH_ROWS, use_threads=False)


def _read_json(file: IO[bytes]) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    import orjson
    import pyarrow as pa

    text = file.read(JSON_BYTES_MAX + 1)
    if len(text) > JSON_BYTES_MAX:
        raise ValueError(f"it is over {JSON_BYTES_MAX} bytes of JSON")
    rows = orjson.loads(text)
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is no list of objects")
    table = pa.Table.from_pylist(rows)
    return table.schema, iter(table.to_batches(BATCH_ROWS))


_READERS: dict[str, Callable[[IO[bytes]], "tuple[pa.Schema, Iterator[pa.RecordBatch]]"]] = {
    "csv": _read_csv,
    "parquet": _read_parquet,
    "json": _read_json,
}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

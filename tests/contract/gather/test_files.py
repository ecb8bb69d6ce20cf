"""A folder of files passes the contract; its far end is the file system itself."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from gongshu.gather.connector import ConnectorConfig
from gongshu.gather.connectors.files import SPEC
from gongshu.gather.connectors.files.config import FilesConfig
from gongshu.model.reading import Quality, ValueType
from gongshu.testing.connector_contract import ConnectorContract, Gap, Native, Rig

COLUMNS: dict[str, tuple[pa.DataType, object, ValueType]] = {
    "int_min": (pa.int64(), -(2**63), ValueType.INT64),
    "int_max": (pa.int64(), 2**63 - 1, ValueType.INT64),
    "small": (pa.int8(), -128, ValueType.INT64),
    "double": (pa.float64(), 5e-324, ValueType.FLOAT64),
    "nan": (pa.float64(), float("nan"), ValueType.FLOAT64),
    "infinite": (pa.float64(), float("-inf"), ValueType.FLOAT64),
    "single": (pa.float32(), 0.10000000149011612, ValueType.FLOAT64),
    "yes": (pa.bool_(), True, ValueType.BOOL),
    "text": (pa.string(), "主轴 5号", ValueType.TEXT),
}


class FilesRig(Rig):
    spec = SPEC
    known = Native("#known", ValueType.FLOAT64, 0.0)

    async def start(self) -> None:
        self.place = self.folder / "export"
        self.place.mkdir()
        self.written = 0
        now = pa.array([datetime.now(UTC)], pa.timestamp("us", tz="UTC"))
        columns = {name: pa.array([value], kind) for name, (kind, value, _) in COLUMNS.items()}
        pq.write_table(pa.table({"time": now, **columns}), self.place / "natives.parquet")
        self._write("time,known\n" + self._row("0"))

    async def stop(self) -> None:
        """Nothing runs."""

    def config(self, **overrides: object) -> ConnectorConfig:
        fields: dict[str, object] = {"folder": self.place, "scan_every_s": 0.05, "settle_s": 0.05}
        fields |= {"timeout_s": self.timeout_s, "series": {"time_column": "time"}}
        return FilesConfig.model_validate(fields | overrides)

    async def change(self, step: int) -> Native:
        self._write("time,known\n" + self._row(repr(step * 1.25)))
        return Native("#known", ValueType.FLOAT64, double=step * 1.25)

    async def cut(self) -> None:
        self.place.rename(self.folder / "away")

    async def restore(self) -> None:
        (self.folder / "away").rename(self.place)

    async def natives(self) -> Sequence[Native]:
        found = []
        for name, (_, value, value_type) in COLUMNS.items():
            if value_type is ValueType.FLOAT64:
                assert isinstance(value, float)
                found.append(Native(f"#{name}", value_type, double=value))
            elif value_type is ValueType.TEXT:
                found.append(Native(f"#{name}", value_type, text=str(value)))
            else:
                assert isinstance(value, int)
                found.append(Native(f"#{name}", value_type, integer=int(value)))
        return found

    async def statuses(self) -> Sequence[tuple[str, Quality]]:
        await self.spoil_one()
        return [("#known", Quality.GOOD), ("#spoilt", Quality.BAD)]

    async def spoil_one(self) -> str:
        self._write("time,spoilt\n" + "".join(self._row(cell) for cell in ("1", "2", "ERR")))
        return "#spoilt"

    async def fingerprint(self) -> object:
        return sorted((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in self.place.iterdir())

    @asynccontextmanager
    async def wrong_endpoints(self) -> AsyncIterator[Sequence[ConnectorConfig]]:
        plain = self.folder / "plain"
        plain.write_text("")
        yield [self.config(folder=self.folder / "nowhere"), self.config(folder=plain)]

    async def spoil(self, spoilt: bytes) -> None:
        self._put(spoilt, ".csv")

    async def truncate(self, size_bytes: int) -> None:
        self._put((self.place / "natives.parquet").read_bytes()[:size_bytes], ".parquet")

    def links(self) -> int:
        return len([fd for fd in Path("/proc/self/fd").iterdir() if os.path.realpath(fd).startswith(str(self.place))])

    def _row(self, cell: str) -> str:
        self.written += 1
        at = datetime.now(UTC) + timedelta(microseconds=self.written)
        return f"{at.isoformat()},{cell}\n"

    def _write(self, text: str) -> None:
        self._put(text.encode(), ".csv")

    def _put(self, content: bytes, suffix: str) -> None:
        self.written += 1
        partial = self.place / f".{self.written}.partial"
        partial.write_bytes(content)
        partial.rename(self.place / f"values-{self.written:06}{suffix}")


class TestFolder(ConnectorContract):
    spec = SPEC
    gaps: ClassVar[dict[str, Gap]] = {
        "test_c02_refuses_a_wrong_credential_in_time_with_our_error": Gap("never", "a folder has no credentials"),
        "test_c10_a_far_end_that_falls_silent_is_noticed": Gap("never", "a folder may stay as it is for ever"),
        "test_c11_a_full_queue_drops_the_oldest_and_counts_them": Gap(
            "never", "the next file is taken only when the last one is stored, so the queue cannot fill"
        ),
        "test_c15_takes_a_rotated_credential": Gap("never", "a folder has no credentials"),
    }

    def make_rig(self) -> Rig:
        return FilesRig()

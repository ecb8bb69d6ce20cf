"""From native batches to stored readings: each tag gets its series, each reading its time, and the log its bytes."""

from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gongshu.gather.connector import Tag
from gongshu.gather.model import SourceDefinition, sightings_of
from gongshu.model.ids import SeriesId, SourceId
from gongshu.model.reading import READING_SCHEMA
from gongshu.model.series import SeriesSighting


class SeriesRegister(Protocol):
    """What the intake needs of the catalogue."""

    def register_series(self, sightings: list[SeriesSighting]) -> dict[tuple[SourceId, str], SeriesId]:
        """Return the series of each sighting, registering those that are new."""
        ...


class ReadingLog(Protocol):
    """What the intake needs of the lake."""

    def append_readings(self, batch: pa.RecordBatch, *, producer: str = "", sequence: int | None = None) -> int:
        """Store readings durably and return their offset in the log."""
        ...


class Intake:
    """Stores one source's batches (`gongshu.gather.loop.Store`). One thread uses it."""

    def __init__(self, definition: SourceDefinition, register: SeriesRegister, log: ReadingLog) -> None:
        self._definition = definition
        self._register = register
        self._log = log
        self._series: NDArray[np.int32] = np.zeros(0, np.int32)

    def __call__(self, fresh: dict[int, Tag], batch: pa.RecordBatch, once: tuple[str, int] | None) -> None:
        """Register the fresh tags, then store the batch; it is on disk when the call returns.

        Raises: what catalogue and lake raise; nothing of the batch is stored then.
        """
        if fresh:
            self._learn(fresh)
        producer, sequence = once or ("", None)
        self._log.append_readings(to_readings(batch, self._series), producer=producer, sequence=sequence)

    def _learn(self, fresh: dict[int, Tag]) -> None:
        found = self._register.register_series(sightings_of(self._definition, fresh.values()))
        if max(fresh) >= len(self._series):
            self._series = np.append(self._series, np.zeros(max(fresh) + 1 - len(self._series), np.int32))
        for number, tag in fresh.items():
            self._series[number] = found[self._definition.source_id, tag.address]


def to_readings(batch: pa.RecordBatch, series: NDArray[np.int32]) -> pa.RecordBatch:
    """Return the batch in READING_SCHEMA; `series` is the series id by tag number.

    Shape: same rows in the same order. Where there is no source time, `time` is the arrival time and says so.
    """
    source_time = batch.column("source_time")
    arrival_time = batch.column("arrival_time")
    return pa.RecordBatch.from_arrays(
        [
            pa.array(series[batch.column("tag").to_numpy()], pa.int32()),
            pc.coalesce(source_time, arrival_time),
            pc.is_valid(source_time),
            arrival_time,
            batch.column("value_double"),
            batch.column("value_int"),
            batch.column("value_text"),
            batch.column("status"),
        ],
        schema=READING_SCHEMA,
    )

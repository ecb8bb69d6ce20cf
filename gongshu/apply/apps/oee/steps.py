"""Readings of one series as a value over time: each good reading holds until the next, at most so long. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gongshu.model.ids import SeriesId
from gongshu.model.reading import STATUS_UNCERTAIN

Micros = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Steps:
    """The readings of one series, in order of time; of several at one time the last counts."""

    times: Micros
    """Microseconds since 1970, UTC."""
    values: Floats
    """NaN where a reading has no number."""
    texts: NDArray[Any]
    good: Bools

    def __len__(self) -> int:
        return len(self.times)

    def edges(self, hold_us: int) -> Micros:
        """Return every time at which the value or its validity can change."""
        return np.concatenate((self.times, self.times + hold_us))

    def at(self, times: Micros, hold_us: int) -> tuple[NDArray[np.int64], Bools]:
        """Return, for each time, which reading is in force from then on, and whether it is good and not too old."""
        return self._in_force(times, np.searchsorted(self.times, times, side="right") - 1, hold_us - 1)

    def before(self, times: Micros, hold_us: int) -> tuple[NDArray[np.int64], Bools]:
        """As `at`, for the moment just before each time: what was in force while a part was made, not since."""
        return self._in_force(times, np.searchsorted(self.times, times, side="left") - 1, hold_us)

    def _in_force(self, times: Micros, index: NDArray[np.int64], age_max_us: int) -> tuple[NDArray[np.int64], Bools]:
        if not len(self):
            return np.zeros(len(times), np.int64), np.zeros(len(times), np.bool_)
        safe = np.maximum(index, 0)
        known = (index >= 0) & self.good[safe] & (times - self.times[safe] <= age_max_us)
        return safe, known


def steps_of(readings: pa.Table, series_id: SeriesId, *, factor: float = 1.0, offset: float = 0.0) -> Steps:
    """Return the steps of one series out of readings that are in order of series and time."""
    mine = readings.filter(pc.equal(readings["series_id"], int(series_id)))
    status = mine["status"].to_numpy()
    values = mine["value"].to_numpy().astype(np.float64) * factor + offset
    return Steps(
        times=mine["time"].cast(pa.int64()).to_numpy(),
        values=values,
        texts=np.array(mine["value_text"].to_pylist(), dtype=object),
        good=status < STATUS_UNCERTAIN,
    )

"""The seeded set: readings of 1,000 series at one a second, in the four shapes that plant data have.

A quarter of the series each: full-precision floats (a calculated value), a walk rounded to 0.01 with clock jitter
(a sensor read by a controller), noisy steps of 0.1 (an analogue input), states that change every 200 s or so.
All synthetic. Readings of one second arrive together, as one publish of a server brings them.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa

from gongshu.model.reading import READING_SCHEMA

SEED = 20_261_102
SERIES = 1_000
START_US = 1_793_606_400_000_000
"""2026-11-02T08:00:00Z: three hours of readings lie in one day."""
SHAPES = ("full float", "rounded walk", "analogue steps", "states")


def series_values(shape: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the values of one series."""
    if shape == "full float":
        return 20 + np.cumsum(rng.normal(0, 0.1, count))
    if shape == "rounded walk":
        return np.round(20 + np.cumsum(rng.normal(0, 0.01, count)), 2)
    if shape == "analogue steps":
        return np.round(50 + rng.normal(0, 0.3, count), 1)
    return (np.cumsum(rng.random(count) < 1 / 200) % 5).astype(float)


@lru_cache(maxsize=1)
def readings_by_second(seconds: int, *, series: int = SERIES, seed: int = SEED) -> pa.Table:
    """Return `seconds` × `series` readings in the order in which they arrive."""
    rng = np.random.default_rng(seed)
    values = np.empty((seconds, series))
    jitter_us = np.zeros((seconds, series), dtype=np.int64)
    for column in range(series):
        shape = SHAPES[column % len(SHAPES)]
        values[:, column] = series_values(shape, seconds, rng)
        if shape == "rounded walk":
            jitter_us[:, column] = rng.integers(-15, 16, seconds) * 1_000
    second_us = START_US + np.arange(seconds, dtype=np.int64)[:, None] * 1_000_000
    arrival_us = np.repeat(second_us[:, 0] + rng.integers(20_000, 60_000, seconds), series)
    rows = seconds * series
    times = pa.timestamp("us", tz="UTC")
    return pa.table(
        [
            pa.array(np.tile(np.arange(1, series + 1, dtype=np.int32), seconds)),
            pa.array((second_us + jitter_us).ravel()).cast(times),
            pa.array(np.ones(rows, dtype=bool)),
            pa.array(arrival_us).cast(times),
            pa.array(values.ravel()),
            pa.nulls(rows, pa.int64()),
            pa.nulls(rows, pa.string()),
            pa.array(np.zeros(rows, dtype=np.uint32)),
        ],
        schema=READING_SCHEMA,
    )


def batches(table: pa.Table, rows: int = 10_000) -> Iterator[pa.Table]:
    """Yield the readings in batches, as a collector sends them."""
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


def of_shape(table: pa.Table, shape: str) -> pa.Table:
    """Return the readings of the series of one shape."""
    import pyarrow.compute as pc

    index = SHAPES.index(shape)
    position = pc.subtract(table.column("series_id"), 1)
    four = len(SHAPES)
    remainder = pc.subtract(position, pc.multiply(pc.divide(position, four), four))
    return table.filter(pc.equal(remainder, index))

"""A producer for the kill test: `python -m tests.integration.lake.producer LOG ACKS NUMBER`.

It appends a batch every tenth of a second and writes down each sequence that was acknowledged. After a restart it
sends its last few batches again, as a collector does that cannot know whether they arrived.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from gongshu.lake import Lake
from gongshu.lake.memory import without_pandas
from gongshu.model.reading import READING_SCHEMA

BATCH_ROWS = 500
INTERVAL_S = 0.1
SENT_AGAIN = 5


def batch(number: int, sequence: int) -> pa.Table:
    """Rows whose `value_int` counts through all batches of this producer."""
    now = pa.scalar(datetime.now(UTC), pa.timestamp("us", tz="UTC"))
    first = sequence * BATCH_ROWS
    columns = {
        "series_id": pa.repeat(pa.scalar(number, pa.int32()), BATCH_ROWS),
        "time": pa.repeat(now, BATCH_ROWS),
        "time_is_source": pa.repeat(pa.scalar(True), BATCH_ROWS),
        "arrival_time": pa.repeat(now, BATCH_ROWS),
        "value_int": pa.array(range(first, first + BATCH_ROWS), pa.int64()),
        "status": pa.repeat(pa.scalar(0, pa.uint32()), BATCH_ROWS),
    }
    schema = pa.schema([READING_SCHEMA.field(name) for name in columns])
    return pa.table(list(columns.values()), schema=schema)


def main() -> None:
    """Append until killed."""
    without_pandas()
    log_file, acks, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    lake = Lake.open(log_file=log_file, warehouse=log_file.parent / "lake")
    name = f"producer-{number}"
    last = lake.last_sequence(name)
    sequence = 0 if last is None else max(0, last + 1 - SENT_AGAIN)
    due = time.monotonic()
    with acks.open("a") as file:
        while True:
            lake.append_readings(batch(number, sequence), producer=name, sequence=sequence)
            file.write(f"{sequence}\n")
            file.flush()
            sequence += 1
            due = max(due + INTERVAL_S, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()

"""All benches, in the order of the page: add a function here and it is run. Each returns figures with references."""

from collections.abc import Callable

from bench.bulk import bench_bulk_pull
from bench.connectors import bench_connectors
from bench.gate import bench_gate
from bench.index import bench_catalogue, bench_index
from bench.lake import bench_log, bench_log_to_iceberg, bench_roll_up, bench_size_by_shape
from bench.negotiations import bench_negotiations
from bench.node import bench_demo, bench_serve, bench_set_up
from bench.open_negotiations import bench_open_negotiations
from bench.result import Result
from bench.share import bench_share

Bench = Callable[[int], list[Result]]
"""Takes the seconds of data that the run works on: 1,000 readings each."""

BENCHES: list[Bench] = [
    bench_log,
    bench_size_by_shape,
    bench_log_to_iceberg,
    bench_roll_up,
    bench_gate,
    bench_share,
    bench_connectors,
    bench_serve,
    bench_demo,
]
ON_REQUEST: list[Bench] = [
    bench_set_up,
    bench_index,
    bench_catalogue,
    bench_negotiations,
    bench_open_negotiations,
    bench_bulk_pull,
]
"""Run only when asked for by name: the first installs everything anew, the others take minutes."""

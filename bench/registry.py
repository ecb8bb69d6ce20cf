"""All benches, in the order of the page: add a function here and it is run. Each returns figures with references."""

from collections.abc import Callable

from bench.lake import bench_log, bench_log_to_iceberg, bench_roll_up, bench_size_by_shape
from bench.result import Result

Bench = Callable[[int], list[Result]]
"""Takes the seconds of data that the run works on: 1,000 readings each."""

BENCHES: list[Bench] = [bench_log, bench_log_to_iceberg, bench_size_by_shape, bench_roll_up]

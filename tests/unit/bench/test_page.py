"""The page of figures: what was run is replaced, what was not run is kept as it stands."""

from bench.page import Section, page, sections
from bench.registry import BENCHES, ON_REQUEST
from bench.result import Result


def test_a_page_is_read_as_it_was_written() -> None:
    log = Section.of("log", "Batches, each on disk.", [Result("batches", 1.5, "s", aim="≤ 2 s", holds=True)])
    size = Section.of("size", "Bytes.", [Result("bytes", 6.13, "bytes/reading")])
    assert sections(page([log, size])) == {"log": log, "size": size}


def test_a_page_without_sections_keeps_nothing() -> None:
    assert sections("# Benchmarks\n\n| what |\n| ---- |\n") == {}


def test_every_bench_says_what_it_measures_and_has_a_name_of_its_own() -> None:
    benches = [*BENCHES, *ON_REQUEST]
    assert all(bench.__doc__ and bench.__name__.startswith("bench_") for bench in benches)
    assert len({bench.__name__ for bench in benches}) == len(benches)


def test_what_was_missed_is_seen_in_the_table() -> None:
    missed = Section.of("log", "Batches.", [Result("batches", 3.0, "s", aim="≤ 2 s", holds=False)])
    assert "| NO " in missed.text

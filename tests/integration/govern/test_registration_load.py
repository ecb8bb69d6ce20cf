"""Registration in bulk, and by several processes at once."""

import multiprocessing
from collections import Counter
from pathlib import Path
from time import process_time

import pytest

from gongshu.database import Database
from tests.conftest import Clock
from tests.processes import racing
from tests.unit.govern.parts import Remembered, make_catalogue, packs, sighting


def test_ten_thousand_series_register_in_seconds(database: Database, clock: Clock) -> None:
    packs()
    many = [sighting(f"spindle_load_{i}", asset=f"plant-1/line-{i % 10}/mill-{i % 100:03d}") for i in range(10_000)]
    catalogue = make_catalogue(database, clock)
    began = process_time()
    ids = catalogue.register_series(many)
    took_s = process_time() - began
    assert len(set(ids.values())) == 10_000
    assert took_s < 30.0, f"{took_s:.1f} s, about 3 on an idle core"
    assert catalogue.register_series(many) == ids


def _register(url: str, first: int, results: "multiprocessing.Queue[dict[str, int]]") -> None:
    database = Database(url)
    catalogue = make_catalogue(database, Clock(), Remembered())
    found: dict[str, int] = {}
    for start in range(first, 600, 20):
        batch = [sighting(f"tag_{i}", address=f"a{i}", asset=f"plant-1/mill-{i % 7}") for i in range(start, start + 40)]
        found |= {address: int(series_id) for (_, address), series_id in catalogue.register_series(batch).items()}
    results.put(found)
    database.close()


def _race(url: str) -> list[dict[str, int]]:
    results: multiprocessing.Queue[dict[str, int]] = racing().Queue()
    processes = [racing().Process(target=_register, args=(url, first, results)) for first in (0, 20, 60)]
    for process in processes:
        process.start()
    found = [results.get(timeout=100) for _ in processes]
    for process in processes:
        process.join(timeout=20)
        assert process.exitcode == 0
    return found


def _assert_one_id_each(found: list[dict[str, int]]) -> None:
    given: dict[str, set[int]] = {}
    for one in found:
        for address, series_id in one.items():
            given.setdefault(address, set()).add(series_id)
    assert all(len(ids) == 1 for ids in given.values())
    assert max(Counter(next(iter(ids)) for ids in given.values()).values()) == 1


def test_processes_that_race_agree_on_every_id(tmp_path: Path, database: Database) -> None:
    _assert_one_id_each(_race(database.url))


@pytest.mark.postgres
def test_processes_that_race_on_postgres_agree_on_every_id(postgres: Database) -> None:
    _assert_one_id_each(_race(postgres.engine.url.render_as_string(hide_password=False)))

"""Files become datasets and readings of the real lake, each exactly once, whatever is killed."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gongshu.gather.counters import State
from gongshu.gather.errors import ConfigWrong, FileTooLarge, FileUnreadable, NameTaken
from gongshu.gather.fleet import Fleet
from gongshu.gather.importing import Importer
from gongshu.gather.model import SourceDefinition, asset_path
from gongshu.lake import TableRelation
from gongshu.model.grade import GradeStanding
from gongshu.model.ids import DatasetId, SourceId
from gongshu.supervise import Supervisor
from tests.integration.gather.conftest import Rooms

pytestmark = pytest.mark.disk
"""A source may not name a folder under /dev, where memory poses as a disk."""

ERP = SourceId("erp")


def until(holds: Callable[[], object], within_s: float = 40.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.05)


def rows(rooms: Rooms, table: str) -> list[dict[str, object]]:
    if table not in rooms.lake.tables():
        return []
    with rooms.lake.query("SELECT * FROM t", {"t": TableRelation(table)}) as result:
        found: list[dict[str, object]] = result.read_all().to_pylist()
    return found


def definition(folder: Path, **config: object) -> SourceDefinition:
    fields = {"folder": str(folder), "scan_every_s": 0.1, "settle_s": 0.2}
    return SourceDefinition(ERP, "files", asset_path("plant-1"), fields | config)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


def test_a_folder_becomes_datasets_and_a_changed_file_a_new_version(rooms: Rooms, export: Path) -> None:
    (export / "orders.csv").write_text("id,part\n1,007\n2,008\n3\n", encoding="utf-8")
    pq.write_table(pa.table({"id": [1], "price": [1.5]}), export / "prices.parquet")
    (export / "broken.parquet").write_bytes(b"PAR1 nonsense")
    with Supervisor() as supervisor:
        rooms.sources.add(definition(export))
        fleet = Fleet(supervisor, rooms.sources, rooms.home)
        fleet.start()
        until(lambda: rows(rooms, "erp_orders") and rows(rooms, "erp_prices"))
        assert rows(rooms, "erp_orders") == [{"id": 1, "part": "007"}, {"id": 2, "part": "008"}]
        dataset = rooms.catalogue.dataset(DatasetId("erp_orders"))
        assert dataset.origin == "source:erp"
        assert dataset.label.standing is GradeStanding.PROPOSED
        (side,) = (rooms.home.path / "sources" / "erp" / "set-aside").iterdir()
        assert side.read_text(encoding="utf-8").splitlines()[1] == "4,1 cells where 2 are expected,3"
        until(lambda: any("broken" in loss.address for loss in rooms.sources.losses(ERP)))
        (export / "orders.csv").write_text("id,part\n9,009\n", encoding="utf-8")
        until(lambda: rows(rooms, "erp_orders") == [{"id": 9, "part": "009"}])
        counters = rooms.sources.status(ERP).counters
        assert counters is not None
        assert rooms.sources.status(ERP).state is State.RUNNING
        fleet.stop()


def test_series_are_stored_once_though_the_collector_is_killed_again_and_again(rooms: Rooms, export: Path) -> None:
    count, files = 60_000, 6
    with Supervisor(restart_min_s=0.05, restart_max_s=0.2) as supervisor:
        rooms.sources.add(definition(export, settle_s=0.0, queue_rows_max=5_000, series={"time_column": "time"}))
        fleet = Fleet(supervisor, rooms.sources, rooms.home)
        fleet.start()
        until(lambda: rooms.sources.status(ERP).state is State.RUNNING)
        for number in range(files):
            base = number * count
            stamps = (f"2026-01-{1 + number:02}T00:00:{i // 1000:02}.{i % 1000:03}Z,{base + i}\n" for i in range(count))
            partial = export / ".partial"
            partial.write_text("time,n\n" + "".join(stamps), encoding="utf-8")
            partial.rename(export / f"day-{number}.csv")
            time.sleep(0.4)
            counters = rooms.sources.status(ERP).counters
            if counters is not None and supervisor.states()["collector:erp"].pid == counters.pid:
                os.kill(counters.pid, signal.SIGKILL)
        sql = "SELECT count(*) AS n, count(DISTINCT value_double) AS d, sum(value_double) AS s FROM r"
        total = count * files
        until(lambda: rooms.values(sql)[0]["d"] == total, 90.0)
        assert rooms.values(sql)[0] == {"n": total, "d": total, "s": total * (total - 1) / 2}
        assert supervisor.states()["collector:erp"].restarts >= 1
        fleet.stop()


def test_importing_makes_a_dataset_and_again_a_new_version(rooms: Rooms, export: Path) -> None:
    importer = Importer(rooms.store, rooms.catalogue, rooms.home)
    (export / "订单.csv").write_bytes("编号,金额\n1,2.5\n2,x\n3\n".encode("gb18030"))
    (one,) = importer.run(export / "订单.csv")
    assert (one.dataset_id, one.rows_taken, one.rows_set_aside) == ("ding_dan", 2, 1)
    assert one.side_file is not None
    assert rows(rooms, "ding_dan") == [{"编号": 1, "金额": "2.5"}, {"编号": 2, "金额": "x"}]
    (export / "订单.csv").write_text("编号,金额\n7,1\n", encoding="utf-8")
    (again,) = importer.run(export / "订单.csv")
    assert again.dataset_id == "ding_dan"
    assert rows(rooms, "ding_dan") == [{"编号": 7, "金额": 1}]


def test_every_sheet_of_a_workbook_is_a_dataset(rooms: Rooms, export: Path) -> None:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.title = "orders"
    for row in (["id", "due", "note"], [1, "2026-01-02", "a"], [2, None, 3], [3, None, "b", "beyond"]):
        sheet.append(row)
    workbook.create_sheet("empty")
    parts = workbook.create_sheet("parts")
    parts.append(["part", "weight"])
    parts.append(["007", 1.5])
    workbook.save(export / "erp.xlsx")
    found = {one.dataset_id: one for one in Importer(rooms.store, rooms.catalogue, rooms.home).run(export / "erp.xlsx")}
    assert {name: one.rows_taken for name, one in found.items()} == {"erp_orders": 2, "erp_parts": 1}
    assert found[DatasetId("erp_orders")].rows_set_aside == 1
    assert rows(rooms, "erp_orders")[1] == {"id": 2, "due": None, "note": "3"}
    assert rows(rooms, "erp_parts") == [{"part": "007", "weight": 1.5}]


def test_what_cannot_be_imported_is_one_clear_error(rooms: Rooms, export: Path) -> None:
    importer = Importer(rooms.store, rooms.catalogue, rooms.home)
    (export / "zip.xlsx").write_bytes(b"PK\x03\x04 nonsense")
    (export / "empty.csv").write_bytes(b"")
    (export / "large.csv").write_bytes(b"a,b\n" * 1_000)
    for name in ("zip.xlsx", "empty.csv", "nowhere.csv"):
        with pytest.raises(FileUnreadable) as caught:
            list(importer.run(export / name))
        assert "\n" not in str(caught.value)
    with pytest.raises(FileTooLarge):
        list(importer.run(export / "large.csv", size_max_bytes=1_000))


def test_an_import_does_not_replace_what_a_source_wrote(rooms: Rooms, export: Path) -> None:
    rooms.store.write("orders", pa.table({"a": [1]}), title="t", origin="source:erp")
    (export / "orders.csv").write_text("a\n2\n", encoding="utf-8")
    with pytest.raises(NameTaken, match="came from source:erp"):
        list(Importer(rooms.store, rooms.catalogue, rooms.home).run(export / "orders.csv"))


@pytest.mark.parametrize("place", ["", "keys", "lake", "run"])
def test_the_nodes_own_folders_are_no_source(rooms: Rooms, place: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(rooms.home.path)
    for folder in (rooms.home.path / place, tmp_path / "link" / place, rooms.home.path / "inbox" / ".." / place):
        with pytest.raises(ConfigWrong, match="own files"):
            rooms.sources.add(definition(folder))
    assert rooms.sources.sources() == []
    rooms.sources.check(definition(rooms.home.inbox))


@pytest.mark.parametrize("place", ["/etc", "/etc/ssl", "/proc/self", "/sys", "/dev"])
def test_the_systems_folders_are_no_source(rooms: Rooms, place: str) -> None:
    with pytest.raises(ConfigWrong, match="own files"):
        rooms.sources.check(definition(Path(place)))


def test_a_folder_around_the_node_gives_no_file_of_it(rooms: Rooms, tmp_path: Path, export: Path) -> None:
    (export / "orders.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (export / "innocent.csv").symlink_to(rooms.home.keys / "node.pem")
    (export / "lake").symlink_to(rooms.home.path)
    report = asyncio.run(rooms.sources.probe(definition(tmp_path, patterns=["*"])))
    (tags,) = (finding for finding in report.findings if finding.what == "tags")
    assert tags.detail.startswith("1 file")

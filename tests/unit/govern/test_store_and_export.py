"""Writing datasets, and the classification list."""

import base64
import hashlib
import json
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gongshu.database import Database
from gongshu.govern.errors import FileUnreadable, StateSecretDeclared, TableTaken
from gongshu.govern.export import Signer, encode_csv, read_classification_list, write_list
from gongshu.govern.store import DatasetStore
from gongshu.model.grade import GradeStanding
from tests.conftest import Clock
from tests.unit.govern.parts import STEWARD, make_catalogue, sighting

ORDERS = pa.table({"order_id": ["SO-1"], "quantity": [1]})


class KeptTables:
    """What the store needs of a lake, in memory."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int, str]] = []

    def write_table(self, table: str, data: pa.Table, *, mode: str = "append") -> int:
        self.written.append((table, data.num_rows, mode))
        return len(self.written)


def test_rows_are_registered_before_they_are_stored(database: Database, clock: Clock) -> None:
    catalogue = make_catalogue(database, clock)

    class Watching(KeptTables):
        def write_table(self, table: str, data: pa.Table, *, mode: str = "append") -> int:
            assert [d.table for d in catalogue.datasets()] == [table]
            return super().write_table(table, data, mode=mode)

    lake = Watching()
    dataset_id = DatasetStore(lake, catalogue).write("2026 订单", ORDERS, title="订单", origin="import:orders.csv")
    assert dataset_id == "d_2026_ding_dan"
    assert lake.written == [("d_2026_ding_dan", 1, "replace")]
    assert catalogue.dataset(dataset_id).label.standing is GradeStanding.PROPOSED


def test_a_name_of_a_series_dataset_or_of_a_secret_cannot_be_written(database: Database, clock: Clock) -> None:
    catalogue, lake = make_catalogue(database, clock), KeptTables()
    store = DatasetStore(lake, catalogue)
    catalogue.register_series([sighting(asset="mill")])
    with pytest.raises(TableTaken):
        store.write("mill", ORDERS, title="x", origin="app:x")
    dataset_id = store.write("orders", ORDERS, title="x", origin="app:x")
    catalogue.declare_state_secret(dataset_id, actor=STEWARD, reason="found")
    with pytest.raises(StateSecretDeclared):
        store.write("orders", ORDERS, title="x", origin="app:x")
    assert len(lake.written) == 1


def test_the_classification_list_names_domain_grade_and_basis(database: Database, clock: Clock, tmp_path: Path) -> None:
    catalogue = make_catalogue(database, clock)
    catalogue.register_series([sighting()])
    rows = read_classification_list(catalogue)
    assert rows[0]["domain"] == "生产数据域"
    assert rows[0]["category_title"] == "工况状态"
    assert rows[0]["category_2022"] == "生产运行数据"
    assert rows[0]["basis"] == "industrial-data-grading 2020; miit-data-security 2022"
    write_list(tmp_path / "list.xlsx", rows, now=clock())
    sheet = openpyxl.load_workbook(tmp_path / "list.xlsx").active
    assert sheet is not None
    assert [cell.value for cell in sheet[1]][:3] == ["序号", "数据集标识", "名称"]
    assert sheet.cell(2, 7).value == "一级"


def test_a_signed_list_can_be_checked_without_us(database: Database, clock: Clock, tmp_path: Path) -> None:
    catalogue = make_catalogue(database, clock)
    catalogue.register_series([sighting()])
    key = Ed25519PrivateKey.generate()
    file, proof = write_list(
        tmp_path / "list.csv", read_classification_list(catalogue), now=clock(), signer=Signer(key.sign, "PEM")
    )
    told = json.loads(proof.read_text())
    assert told["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    signed = f"{told['file']}\n{told['sha256']}\n{told['signed_at']}".encode()
    key.public_key().verify(base64.b64decode(told["signature_base64"]), signed)


def test_a_cell_cannot_become_a_formula(database: Database, clock: Clock) -> None:
    catalogue = make_catalogue(database, clock)
    catalogue.register_table(
        table="t", title="=cmd|' /C calc'!A0", schema=ORDERS.schema, sample=None, origin="+import", parents=()
    )
    text = encode_csv(read_classification_list(catalogue)).decode("utf-8-sig")
    assert "'=cmd" in text
    assert "'+import" in text


def test_an_unknown_ending_is_refused(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(FileUnreadable):
        write_list(tmp_path / "list.doc", [], now=clock())

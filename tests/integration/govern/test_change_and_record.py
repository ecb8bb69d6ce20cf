"""A change of the catalogue and its audit record are kept or lost together."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.govern.catalogue import CatalogueService
from gongshu.model.grade import Grade, GradeStanding, Importance
from gongshu.model.ids import DatasetId, SubjectId
from gongshu.packs import load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.keys import KeyStore
from tests.conftest import Clock
from tests.unit.govern.parts import sighting

STEWARD = SubjectId("user:chen")


@pytest.fixture
def audit(database: Database, clock: Clock, tmp_path: Path) -> AuditLog:
    return AuditLog(database, KeyStore(tmp_path / "keys"), clock)


@pytest.fixture
def catalogue(database: Database, clock: Clock, audit: AuditLog) -> CatalogueService:
    catalogue = CatalogueService(database, load_packs(), audit, clock)
    catalogue.register_series([sighting()])
    return catalogue


def confirm(catalogue: CatalogueService, dataset_id: DatasetId) -> None:
    category = catalogue.dataset(dataset_id).label.category
    catalogue.confirm(
        dataset_id, grade=Grade.ONE, importance=Importance.GENERAL, category=category, actor=STEWARD, reason="seen"
    )


def test_a_grade_that_cannot_be_recorded_does_not_change(
    database: Database, catalogue: CatalogueService, audit: AuditLog
) -> None:
    (before,) = catalogue.datasets()
    size, version = audit.size(), catalogue.version()
    full = "CREATE TRIGGER full BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    with database.begin() as connection:
        connection.execute(sa.text(full))
    with pytest.raises(sa.exc.IntegrityError, match="disk is full"):
        confirm(catalogue, before.dataset_id)
    with pytest.raises(sa.exc.IntegrityError, match="disk is full"):
        catalogue.set_owner(before.dataset_id, "somebody", actor=STEWARD)
    assert catalogue.dataset(before.dataset_id) == before
    assert (audit.size(), catalogue.version()) == (size, version)


def test_each_change_has_one_record_with_its_index(catalogue: CatalogueService, audit: AuditLog) -> None:
    (dataset,) = catalogue.datasets()
    confirm(catalogue, dataset.dataset_id)
    assert catalogue.dataset(dataset.dataset_id).label.standing is GradeStanding.CONFIRMED
    changes = catalogue.history(dataset.dataset_id)
    records = {entry.index: entry for entry in audit.entries(object=dataset.dataset_id)}
    assert len(records) == len(changes)
    for change in changes:
        assert change.audit_index is not None
        assert records[change.audit_index].details["change_id"] == change.change_id

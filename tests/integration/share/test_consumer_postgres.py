"""Clearances, evidence, counted time and appends of streams with the metadata on PostgreSQL, several at once."""

import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.ids import DatasetId
from gongshu.share.dsp.states import Side
from gongshu.share.errors import InboxBusy
from gongshu.share.tables import share_agreements
from gongshu.share.terms import Terms
from tests.integration.share.pantry import Pantry
from tests.unit.share import test_clearances as clearances
from tests.unit.share import test_counting as counting
from tests.unit.share.evidence_world import CONTRACT, Street

pytestmark = pytest.mark.postgres


def at_once(count: int, act: Callable[[], object]) -> None:
    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    "case",
    [
        clearances.test_of_many_who_approve_at_once_one_a_role_counts,
        clearances.test_what_ended_stays_ended,
        clearances.test_a_record_that_was_altered_in_the_database_opens_nothing,
    ],
)
def test_clearances_stand_as_on_the_other_database(
    case: Callable[[clearances.Desk], None], tmp_path: Path, postgres: Database
) -> None:
    case(clearances.Desk(tmp_path, postgres))


def test_evidence_is_written_once_by_processes_at_once_and_a_dispute_freezes_and_ends(
    tmp_path: Path, postgres: Database
) -> None:
    street = Street(tmp_path, database=postgres)
    street.mill.deliver("key-1")
    street.shop.deliver("key-1")
    street.mill.deliver("key-2", content=b"these")
    street.shop.deliver("key-2", content=b"those")
    street.is_cut = True
    at_once(4, street.mill.evidence.step)
    lines = [each for each in street.mill.evidence.entries(CONTRACT, street.mill.li) if each.kind == "line"]
    assert [each.sequence for each in lines] == [2, 1]
    street.is_cut = False
    street.clock.forward(minutes=5)
    street.meet()
    assert street.mill.stands() == street.shop.stands() == {"key-1": "agreed", "key-2": "disputed"}
    assert street.mill.status() == "disputed"
    for office in (street.mill, street.shop):
        office.evidence.settle(CONTRACT, "key-2", Side.PROVIDER, office.li, reason="seen")
    street.meet()
    assert (street.mill.status(), street.shop.status()) == ("active", "active")
    street.shop.database.close()


def test_the_time_is_counted_by_processes_together(postgres: Database) -> None:
    counting.test_two_processes_count_together(counting.Machine(postgres))


def test_of_appends_at_once_for_one_position_one_is_seen(tmp_path: Path, postgres: Database) -> None:
    pantry = Pantry(tmp_path / "shop", database=postgres)
    agreement = pantry.agree(Terms(unrestricted=True))
    pantry.keep(agreement, "grown", pa.table({"n": [0]}), append=True)
    refused: list[InboxBusy] = []

    def take(connection: sa.Connection, dataset: DatasetId) -> None:
        a = share_agreements.c
        change = sa.update(share_agreements).where(a.agreement_id == agreement.agreement_id, a.uses == 0)
        if connection.execute(change.values(uses=1)).rowcount != 1:
            raise InboxBusy(transfer_id="t1", reason="another process follows the stream")

    def append() -> None:
        try:
            pantry.keep(agreement, "grown", pa.table({"n": [1]}), append=True, also=take)
        except InboxBusy as late:
            refused.append(late)

    at_once(4, append)
    assert len(refused) == 3
    assert sorted(pantry.ask("SELECT n FROM grown")["n"].to_pylist()) == [0, 1]
    assert len(list((pantry.folder / "lake" / "sealed").iterdir())) == 2
    pantry.lake.close()

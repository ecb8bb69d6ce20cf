"""Kept data with the metadata on PostgreSQL: uses, receipts and deliveries of several processes at once."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.ids import DatasetId
from gongshu.secure.gate.copies import CopyRead
from gongshu.share.errors import MessageInvalid
from gongshu.share.keeping.chain import link_fault
from gongshu.share.terms import Terms
from tests.integration.share.pantry import MILL, Pantry

pytestmark = pytest.mark.postgres


@pytest.fixture
def pantry(tmp_path: Path, postgres: Database) -> Iterator[Pantry]:
    pantry = Pantry(tmp_path / "shop", database=postgres)
    yield pantry
    pantry.lake.close()


def at_once(count: int, act: Callable[[], object]) -> None:
    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_readers_at_once_share_the_uses_and_keep_one_chain(pantry: Pantry) -> None:
    agreement = pantry.agree(Terms(uses_max=5))
    pantry.keep(agreement, "copy")
    read = CopyRead(DatasetId("copy"), pantry.li, "read", "quality")
    refused: list[str] = []

    def use() -> None:
        try:
            pantry.keeping.law.finish(pantry.keeping.law.begin([read]), 3, "ok")
        except GongshuError as error:
            refused.append(error.code)

    at_once(12, use)
    assert refused == ["share.copy_forbidden"] * 7
    chain = pantry.keeping.receipts(agreement.agreement_id)[::-1]
    assert [receipt.sequence for receipt in chain] == [1, 2, 3, 4, 5]
    known = {receipt.sequence: receipt.body_hash for receipt in chain}
    for receipt in chain:
        previous = str(receipt.body["previous"])
        assert link_fault(receipt.sequence, previous, known=known, first_hash=agreement.policy_hash) is None


def test_deliveries_at_once_share_one_key_and_the_end_takes_all(pantry: Pantry) -> None:
    agreement = pantry.agree(Terms(until=pantry.clock() + timedelta(days=1)))
    numbers = iter(range(4))

    def deliver() -> None:
        number = next(numbers)
        pantry.keep(agreement, f"copy_{number}", transfer=f"t{number}")

    at_once(4, deliver)
    assert len(list((pantry.folder / "vault").glob("*.key"))) == 1
    assert len(pantry.keeping.kept()) == 4
    pantry.keeping.step()
    pantry.clock.forward(days=2)
    at_once(3, pantry.keeping.step)
    (line,) = pantry.keeping.deletions()
    assert (line.state, line.files) == ("proved", 4)
    assert list((pantry.folder / "lake" / "sealed").iterdir()) == []


def test_a_name_that_the_database_cannot_hold_is_refused(pantry: Pantry) -> None:
    texts = dict.fromkeys(("dataset", "role", "purpose", "operation", "outcome", "at", "previous"), "")
    entry = {"body": {"contract": "urn:\0", "rows": 1, "sequence": 1, **texts}, "signature": ""}
    with pytest.raises(MessageInvalid, match="NUL"):
        pantry.keeping.watch.take_receipts(MILL, b'{"receipts": [' + orjson.dumps(entry) + b"]}")

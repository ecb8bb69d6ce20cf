"""The time of contracts does not go back."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gongshu.database import Database
from gongshu.model.access import Role
from gongshu.secure.errors import NotAllowed
from gongshu.share.steady import SteadyClock
from tests.conftest import Clock
from tests.metadata import new_database
from tests.unit.share.world import Memory, subject


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path / "metadata.db")
    yield made
    made.close()


def test_a_clock_set_back_does_not_set_back_the_time_of_contracts(database: Database, clock: Clock) -> None:
    steady = SteadyClock(database, clock, Memory())
    highest = steady()
    clock.forward(hours=-1)
    assert steady() == highest
    assert steady.ahead() == timedelta(hours=1)
    clock.forward(hours=2)
    assert steady() == highest + timedelta(hours=1)


def test_the_highest_time_is_known_after_a_restart_and_to_another_process(database: Database, clock: Clock) -> None:
    first, other = SteadyClock(database, clock, Memory()), SteadyClock(database, clock, Memory())
    other()
    clock.forward(hours=3)
    first.keep()
    clock.forward(hours=-2)
    assert SteadyClock(database, clock, Memory())() == clock() + timedelta(hours=2)
    other.keep()
    assert other() == clock() + timedelta(hours=2)


def test_only_who_deals_may_judge_by_the_clock_again_and_it_is_recorded(database: Database, clock: Clock) -> None:
    audit = Memory()
    steady = SteadyClock(database, clock, audit)
    clock.forward(days=400)
    steady.keep()
    clock.forward(days=-400)
    with pytest.raises(NotAllowed):
        steady.reset(subject(Role.ANALYST))
    assert steady.reset(subject(Role.PRODUCT_OWNER)) == timedelta(days=400)
    assert steady() == clock()
    assert [event.action for event in audit.events] == ["share.time_reset"]

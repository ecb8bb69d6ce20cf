"""Received data are destroyed by a time that runs with the machine; a clock that jumps has to be believed first."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.database import Database
from gongshu.model.access import Role
from gongshu.model.ids import PartyId
from gongshu.share.keeping.counting import CONFIRMED, HOLD_MAX, JUMP, STEADY, Counted, CountedClock, count_on
from gongshu.share.steady import SteadyClock
from tests.conftest import Clock
from tests.metadata import new_database
from tests.unit.share.world import Memory, subject

MILL = PartyId("urn:gongshu:party:mill")
NOON = Clock().now
SPANS = st.timedeltas(timedelta(), timedelta(days=2000))


class Machine:
    """A machine with a clock; it can be started again."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock, self.audit = database, Clock(), Memory()
        self.begun = self.clock()
        self.start()

    def start(self) -> None:
        self.steady = SteadyClock(self.database, self.clock, self.audit)
        self.counting = CountedClock(self.database, self.clock, self.steady, self.audit, self.clock.ticks)

    def look(self) -> datetime:
        return self.counting.look(self.begun).at

    def jump(self, **delta: float) -> None:
        self.clock.now += timedelta(**delta)

    def hears(self, said: datetime) -> None:
        self.counting.hear(MILL, format_datetime(said, usegmt=True))

    def confirms(self) -> None:
        with self.database.begin() as connection:
            self.counting.confirm(connection)

    def recorded(self) -> list[str]:
        return [event.action for event in self.audit.events]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = new_database(tmp_path / "metadata.db")
    yield Machine(made)
    made.close()


@given(passed=SPANS, ahead=SPANS, back=SPANS)
def test_without_a_word_from_outside_the_count_is_the_time_that_ran_and_at_most_one_step(
    passed: timedelta, ahead: timedelta, back: timedelta
) -> None:
    for claimed in (NOON + passed + ahead, NOON + passed - back):
        at = count_on(Counted(NOON), passed, claimed, ()).at
        assert NOON + passed <= at <= NOON + passed + JUMP


def test_a_clock_that_runs_is_followed(machine: Machine) -> None:
    for _ in range(50):
        machine.clock.forward(minutes=7)
        assert machine.look() == machine.clock()
    assert machine.recorded() == []


def test_a_jump_ahead_is_held_and_over_when_the_clock_is_right_again(machine: Machine) -> None:
    machine.look()
    machine.jump(days=400)
    assert machine.look() == NOON
    machine.clock.forward(hours=3)
    assert machine.look() == NOON + timedelta(hours=3), "nobody holds the time itself"
    assert machine.recorded() == ["share.time_held"]
    assert machine.counting.instead() is not None
    machine.jump(days=-400)
    machine.steady.reset(subject(Role.PRODUCT_OWNER))
    assert machine.look() == machine.clock()
    assert machine.counting.look(machine.begun).basis == STEADY
    assert machine.counting.instead() is None
    assert machine.recorded() == ["share.time_held", "share.time_reset", "share.time_believed"]


def test_a_clock_set_back_delays_nothing(machine: Machine) -> None:
    machine.look()
    machine.jump(days=-30)
    machine.clock.forward(days=2)
    assert machine.look() == NOON + timedelta(days=2)
    assert machine.counting.behind() == timedelta(days=30)
    machine.start()
    machine.clock.forward(days=1)
    assert machine.look() >= NOON + timedelta(days=2)


def test_a_jump_over_a_restart_is_held_too_and_a_short_rest_is_none(machine: Machine) -> None:
    machine.look()
    machine.jump(minutes=50)
    machine.start()
    assert machine.look() == machine.clock()
    machine.jump(days=3)
    machine.start()
    before = machine.look()
    assert before == machine.clock() - timedelta(days=3)
    machine.clock.forward(hours=2)
    machine.look()
    machine.start()
    assert machine.look() == before + timedelta(hours=2), "what was counted is written down"


def test_a_process_that_starts_again_and_again_counts_on_while_the_clock_is_not_believed(machine: Machine) -> None:
    machine.look()
    machine.jump(days=3)
    for _ in range(90):
        machine.look()
        machine.clock.forward(seconds=40)
        machine.look()
        machine.start()
    assert machine.look() == NOON + timedelta(hours=1)


def test_the_first_look_counts_from_the_last_delivery(machine: Machine) -> None:
    machine.jump(days=90)
    assert machine.look() == NOON


def test_a_partners_clock_that_agrees_is_believed(machine: Machine) -> None:
    machine.look()
    machine.jump(days=3)
    machine.hears(machine.clock() + timedelta(minutes=2))
    assert machine.look() == machine.clock()
    assert "a partner's clock agrees" in machine.counting.look(machine.begun).basis


def test_a_partners_clock_that_contradicts_keeps_it_held_beyond_the_bound(machine: Machine) -> None:
    machine.look()
    machine.jump(days=400)
    for day in range(HOLD_MAX.days + 3):
        machine.hears(NOON + timedelta(days=day))
        assert machine.look() == NOON + timedelta(days=day)
        machine.clock.forward(days=1)


def test_one_partner_whose_clock_is_wrong_keeps_nothing_beyond_the_bound(machine: Machine) -> None:
    machine.look()
    machine.jump(days=3)
    for _ in range(HOLD_MAX.days * 24 + 1):
        machine.hears(machine.clock())
        machine.counting.hear(PartyId("urn:gongshu:party:late"), format_datetime(NOON, usegmt=True))
        counted = machine.counting.look(machine.begun)
        assert counted.at <= machine.clock()
        if counted.held_since is None:
            break
        machine.clock.forward(hours=1)
    assert machine.clock() >= NOON + timedelta(days=3) + HOLD_MAX
    assert counted.at == machine.clock()
    assert "some partners' clocks agree" in counted.basis


def test_without_any_word_a_hold_ends_by_itself(machine: Machine) -> None:
    machine.look()
    machine.jump(days=400)
    machine.look()
    machine.clock.forward(days=HOLD_MAX.days - 1)
    assert machine.look() < machine.clock()
    machine.start()
    machine.clock.forward(days=1)
    machine.look()
    machine.clock.forward(hours=25)
    assert machine.look() == machine.clock()
    assert "nobody said otherwise" in machine.counting.look(machine.begun).basis


def test_an_old_word_and_no_date_say_nothing(machine: Machine) -> None:
    machine.look()
    for word in ("", "yesterday", "Mon, 02 Nov 99999 08:00:00 GMT", "\0"):
        machine.counting.hear(MILL, word)
    machine.hears(machine.clock() + timedelta(days=400))
    machine.clock.forward(hours=2)
    machine.look()
    machine.jump(days=400)
    assert machine.look() < machine.clock()


def test_a_person_is_believed_by_the_process_that_destroys(machine: Machine) -> None:
    machine.look()
    machine.jump(days=400)
    machine.look()
    other = CountedClock(machine.database, machine.clock, machine.steady, machine.audit, machine.clock.ticks)
    with machine.database.begin() as connection:
        other.confirm(connection)
    assert machine.look() == machine.clock()
    assert machine.counting.look(machine.begun).basis == CONFIRMED


def test_two_processes_count_together(machine: Machine) -> None:
    other = CountedClock(machine.database, machine.clock, machine.steady, machine.audit, machine.clock.ticks)
    machine.look()
    machine.jump(days=400)
    for _ in range(60):
        machine.clock.forward(seconds=61)
        counted = (machine.look(), other.look(machine.begun).at)
        assert max(counted) <= NOON + timedelta(seconds=machine.clock.ran_s)
    assert machine.recorded() == ["share.time_held"]


def test_nothing_is_counted_where_nothing_is_held(machine: Machine) -> None:
    machine.look()
    machine.jump(days=400)
    assert machine.counting.look(None).at == machine.clock()
    machine.jump(days=-400)
    assert machine.look() == machine.clock()

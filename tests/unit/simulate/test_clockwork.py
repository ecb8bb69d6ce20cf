"""Told the time, the plant answers with what changed."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

from gongshu.simulate.clockwork import Change, Clockwork, Truth
from gongshu.simulate.machines import MACHINES, State
from gongshu.simulate.sensors import BAD_SENSOR_FAILURE, FAULTS
from gongshu.simulate.tags import ANALOG_NAMES, DISCRETE_NAMES

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


def run(
    seconds: float, *, every_s: float = 0.2, seed: int = 67, speed: float = 30.0
) -> tuple[list[Change], list[Truth]]:
    plant = Clockwork(seed=seed, speed=speed, started_at=START)
    changes, truths = plant.advance(START)
    for tick in range(1, round(seconds / every_s) + 1):
        more, happened = plant.advance(START + timedelta(seconds=tick * every_s))
        changes += more
        truths += happened
    return changes, truths


@cache
def minute() -> tuple[list[Change], list[Truth]]:
    return run(60.0)


def of(machine: str, tag: str) -> list[Change]:
    row = next(i for i, m in enumerate(MACHINES) if m.name == machine)
    return [c for c in minute()[0] if c.machine == row and c.tag == tag]


def truths() -> list[Truth]:
    return minute()[1]


def test_the_first_answer_has_every_variable() -> None:
    changes, _ = Clockwork(seed=1, speed=1.0, started_at=START).advance(START)
    assert {(c.machine, c.tag) for c in changes} == {
        (m, tag) for m in range(len(MACHINES)) for tag in (*ANALOG_NAMES, *DISCRETE_NAMES)
    }


def test_what_happens_does_not_depend_on_the_rhythm_of_the_calls() -> None:
    assert (
        run(20.0, every_s=0.1)[1]
        == run(20.0, every_s=0.5)[1]
        == [t for t in truths() if t.time <= START + timedelta(seconds=20)]
    )


def test_one_minute_at_speed_30_holds_cycles_stops_set_ups_breaks_and_rejects() -> None:
    assert {t.state for t in truths()} >= {State.PRODUCING, State.BREAK, State.SETUP, State.STOPPED, State.WAITING}
    for machine in MACHINES:
        assert int(of(machine.name, "part_count")[-1].value) >= 10
    assert sum(int(of(machine.name, "reject_count")[-1].value) for machine in MACHINES) >= 1


def test_each_variable_s_times_never_go_back_and_discrete_values_always_differ() -> None:
    for row, machine in enumerate(MACHINES):
        for tag in (*ANALOG_NAMES, *DISCRETE_NAMES):
            mine = of(machine.name, tag)
            times = [c.time for c in mine]
            assert times == sorted(times)
            if tag in DISCRETE_NAMES:
                assert all(a.value != b.value for a, b in pairwise(mine)), (row, tag)


def test_the_ideal_cycle_is_in_wall_seconds() -> None:
    slow = Clockwork(seed=1, speed=1.0, started_at=START)
    fast = Clockwork(seed=1, speed=30.0, started_at=START)
    one = next(c.value for c in slow.advance(START)[0] if c.tag == "ideal_cycle")
    other = next(c.value for c in fast.advance(START)[0] if c.tag == "ideal_cycle")
    assert isinstance(one, float)
    assert other == one / 30.0


def test_state_times_in_the_truth_are_those_of_the_readings() -> None:
    for machine in MACHINES:
        told = [(c.time, c.value) for c in of(machine.name, "state_code")]
        true = [(t.time, int(t.state)) for t in truths() if t.machine == machine.name]
        assert [t for t in true if t in told] == told


def test_the_stuck_sensor_goes_silent_and_its_neighbours_do_not() -> None:
    fault = next(f for f in FAULTS if f.kind == "stuck")
    since = START + timedelta(seconds=fault.from_s / 30.0 + 0.3)
    assert not [c for c in of(fault.machine, fault.tag) if c.time > since]
    assert [c for c in of("mill-01", fault.tag) if c.time > since]


def test_the_drifting_sensor_departs_from_the_truth() -> None:
    plant = Clockwork(seed=67, speed=30.0, started_at=START)
    changes, _ = plant.advance(START + timedelta(seconds=30))
    fault = next(f for f in FAULTS if f.kind == "drift")
    row = next(i for i, m in enumerate(MACHINES) if m.name == fault.machine)
    shown = next(c.value for c in changes if c.machine == row and c.tag == fault.tag)
    assert isinstance(shown, float)
    assert abs(shown - plant.state.temperature_c[row] - fault.size * 15.0) < 0.5


def test_a_failing_sensor_is_reported_as_bad_for_its_share_of_the_time() -> None:
    fault = next(f for f in FAULTS if f.kind == "dropout")
    mine = of(fault.machine, fault.tag)
    assert {c.status for c in mine} == {0, BAD_SENSOR_FAILURE}


def test_a_plant_that_slept_catches_up_in_slices() -> None:
    plant = Clockwork(seed=1, speed=150.0, started_at=START)
    plant.advance(START)
    late = START + timedelta(seconds=10)
    plant.advance(late)
    assert plant.time < late
    for _ in range(10):
        plant.advance(late)
    assert late - plant.time < timedelta(seconds=0.001)

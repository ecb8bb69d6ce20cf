"""Both state machines, explored exhaustively with a cable that loses, repeats, delays and reorders."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gongshu.share.dsp import states
from tests.unit.share.model_checker import Checker

COPY = "broken_states"
MACHINES = [("negotiation", "REQUEST", 6), ("negotiation", "OFFER", 6), ("transfer", "TRANSFER_REQUEST", 4)]


@pytest.mark.parametrize("kind, first, sends", MACHINES)
def test_every_state_is_reached_none_is_stuck_and_both_sides_end_alike(kind: str, first: str, sends: int) -> None:
    assert Checker(states, kind, first=first, sends=sends).faults() == []


def test_with_others_whose_messages_name_none_a_transfer_holds_for_three_messages_a_side() -> None:
    checker = Checker(states, "transfer", first="TRANSFER_REQUEST", sends=3, answering=False)
    assert checker.faults() == []
    wires = {move for world in checker.explore() for move, _ in world.ends[1].wire}
    assert states.Move.START_ANEW in wires, "the answer to a resumption was not explored"


@pytest.mark.parametrize("kind, first, sends", [*MACHINES[:2], ("transfer", "TRANSFER_REQUEST", 3)])
@pytest.mark.parametrize("answering", [True, False])
def test_nothing_is_stuck_where_attempts_run_out(kind: str, first: str, sends: int, answering: bool) -> None:
    faults = Checker(states, kind, first=first, sends=sends, exhausts=True, answering=answering).faults()
    assert [fault for fault in faults if "no end" in fault] == []


def copy_of_states() -> Any:
    """A second copy of the module, whose table can be broken."""
    assert states.__file__ is not None
    module = ModuleType(COPY)
    sys.modules[COPY] = module  # dataclasses look their module up
    source = Path(states.__file__).read_text(encoding="utf-8")
    exec(compile(source, COPY, "exec"), module.__dict__)  # our own file, once more
    return module


def lose_row(before: str, move: str) -> Callable[[Any], None]:
    """Break a copy by leaving out a row."""

    def change(copy: Any) -> None:
        copy.TABLE = tuple(row for row in copy.TABLE if (row.before.name, row.move.name) != (before, move))
        copy._ROWS = {(r.kind, r.before, r.move, s): r for r in copy.TABLE for s in r.senders}

    return change


def retarget(move: str, state: str) -> Callable[[Any], None]:
    """Break a copy by letting a message lead elsewhere."""

    def change(copy: Any) -> None:
        copy.TARGET[copy.Move[move]] = copy.State[state]

    return change


def trust_every_state(copy: Any) -> None:
    """Break a copy by taking a state that comes again for the proof that a message arrived."""
    copy.REPEATABLE = frozenset()


def forget_crossing(copy: Any) -> None:
    """Break a copy by letting a crossing message win over our termination."""
    copy._is_ending = lambda process: False


def believe_what_crossed(copy: Any) -> None:
    """Break a copy by taking a message that was written before ours arrived for an answer to it."""
    decide = copy.decide
    copy.decide = lambda *asked, **_: decide(*asked)


BROKEN = {
    "an offer that cannot be answered": ("negotiation", "REQUEST", lose_row("OFFERED", "ACCEPT")),
    "a contract that is never final": ("negotiation", "REQUEST", lose_row("VERIFIED", "FINALIZE")),
    "a suspension that leads to STARTED": ("transfer", "TRANSFER_REQUEST", retarget("SUSPEND", "STARTED")),
    "a verification that leads back": ("negotiation", "REQUEST", retarget("VERIFY", "ACCEPTED")),
    "a repeated state taken for proof": ("transfer", "TRANSFER_REQUEST", trust_every_state),
    "a crossing message that wins over the end": ("transfer", "TRANSFER_REQUEST", forget_crossing),
    "a crossing message taken for an answer": ("transfer", "TRANSFER_REQUEST", believe_what_crossed),
    "an answer to a resumption that suspends": ("transfer", "TRANSFER_REQUEST", retarget("START_ANEW", "SUSPENDED")),
}
SENDS = {"a crossing message taken for an answer": 4, "an answer to a resumption that suspends": 3}
"""How many messages a fault needs to show, where not three in a negotiation and two in a transfer."""


@pytest.mark.parametrize("name", BROKEN)
def test_the_model_finds_a_broken_machine(name: str) -> None:
    kind, first, breaking = BROKEN[name]
    copy = copy_of_states()
    breaking(copy)
    try:
        sends = SENDS.get(name, 3 if kind == "negotiation" else 2)
        assert Checker(copy, kind, first=first, sends=sends, answering="resumption" not in name).faults()
    finally:
        del sys.modules[COPY]

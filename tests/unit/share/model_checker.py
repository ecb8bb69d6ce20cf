"""A model checker for two connectors and the cable between them: breadth first, over the real decision functions.

A global state is what both sides have stored and what was ever given to the cable. Nothing leaves the cable: a message
that was sent once can arrive at any later moment, any number of times, in any order, or never. So loss, repetition,
delay and reordering are one rule, without a bound. An acknowledgement, too, can come at any later moment or never.

Bounds. Each side sends at most `sends` messages beside terminations. Four let a negotiation run through with a counter-
offer, and a transfer be suspended, resumed, suspended again and completed, with the other side doing the same across
it. `python -m tests.unit.share.model_checker 5` explores transfers further. One side's calls about one process follow
each other, as the lease of the outbox has it, so a refusal is judged before the next attempt. Attempts do not run out
unless `exhausts`: no protocol makes two sides agree that may fall silent at any moment, so then only being stuck is a
fault. `answering` has the messages of a transfer name the newest one that their sender had taken, as ours do; without,
the provider answers a consumer's resumption by a start anew, at any moment or never.
"""

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
STATES = {
    "negotiation": ("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED", "TERMINATED"),
    "transfer": ("REQUESTED", "STARTED", "SUSPENDED", "COMPLETED", "TERMINATED"),
}
"""What both sides have to reach. Source: Dataspace Protocol 2025-1, the figures of both state machines."""


class End(NamedTuple):
    """One side."""

    process: Any
    """None while the side knows nothing of it."""
    wire: tuple[tuple[Any, int | None], ...] = ()
    """Its messages that were given to the cable, in order, each with the one of the other side that it answers; the
    place is the message's @id."""
    seen: frozenset[int] = frozenset()
    """The other side's messages that were accepted: the inbox."""
    newest: int | None = None
    """The one that was accepted last."""
    answers: int | None = None
    """What was the newest when the message under way was written."""
    resuming: int = 0
    """How many of the consumer's suspension and start are the newest messages that this side knows both to have."""


class World(NamedTuple):
    """Both sides; `ends[0]` is the consumer."""

    ends: tuple[End, End]


class Checker:
    """Explores one machine from its beginning."""

    def __init__(
        self,
        rules: ModuleType,
        kind: str,
        *,
        first: str,
        sends: int,
        exhausts: bool = False,
        answering: bool = True,
    ) -> None:
        self.rules = rules
        self.kind = rules.Kind(kind)
        self.first = rules.Move[first]
        self.sends = sends
        self.exhausts = exhausts
        self.answering = answering and kind == "transfer"
        self.sides = (rules.Side.CONSUMER, rules.Side.PROVIDER)
        self.stop = rules.termination_of(self.kind)
        self.moves = sorted({row.move for row in rules.TABLE if row.kind is self.kind})
        self.decide = cache(lambda *asked, **known: rules.decide(*asked, NOW, **known))
        self.starter = 1 if self.first is rules.Move.OFFER else 0

    def explore(self) -> dict[World, list[World]]:
        """Return every global state that can be reached, with those that can follow it."""
        side = self.sides[self.starter]
        new = self.rules.Process(self.kind, side, self.rules.State.NEW, self.first)
        ends = [End(None), End(None)]
        ends[self.starter] = End(new)
        begin = World((ends[0], ends[1]))
        graph: dict[World, list[World]] = {}
        waiting = deque([begin])
        graph[begin] = []
        while waiting:
            world = waiting.popleft()
            following = list({after for after in self._follow(world) if after != world})
            graph[world] = following
            for after in following:
                if after not in graph:
                    graph[after] = []
                    waiting.append(after)
        return graph

    # ---- what can happen --------------------------------------------------------------------------------------------

    def _follow(self, world: World) -> Iterator[World]:
        for at in (0, 1):
            end, other = world.ends[at], world.ends[1 - at]
            if end.process is None:
                continue
            yield from self._begin(world, at, end)
            if end.process.pending is not None:
                yield from self._send(world, at, end)
                if end.process.pending_sent:
                    yield from self._hear(world, at, end, other)
            else:
                yield from self._watch(world, at, end, other)
            yield from self._arrivals(world, at, end, other)

    def _begin(self, world: World, at: int, end: End) -> Iterator[World]:
        """A rule or a person of this side wants to say something; or asks for a stop that is not said yet."""
        process = end.process
        for move in self.moves:
            if move is self.rules.Move.START_ANEW and (self.answering or end.resuming < 2):
                continue
            if process.pending is None and (move is self.stop or len(end.wire) < self.sends):
                step = self.decide(process, move, process.side)
                if isinstance(step, self.rules.Step):
                    yield _with(world, at, self._noted(end, step))
        is_running = process.state is self.rules.State.STARTED and not process.held
        if is_running and process.pending is None:
            yield _with(world, at, end._replace(process=replace(process, held=True)))

    def _send(self, world: World, at: int, end: End) -> Iterator[World]:
        """The message under way is given to the cable for the first time; later attempts are the same message."""
        if not end.process.pending_sent:
            sent = replace(end.process, pending_sent=True)
            wire = (*end.wire, (end.process.pending, end.answers))
            yield _with(world, at, end._replace(process=sent, wire=wire))

    def _arrivals(self, world: World, at: int, end: End, other: End) -> Iterator[World]:
        """Anything this side ever sent arrives at the other; its answer is lost (`_hear` has the answers)."""
        for number in range(len(end.wire)):
            after, _ = self._receive(end, other, number)
            yield _with(world, 1 - at, after)

    def _hear(self, world: World, at: int, end: End, other: End) -> Iterator[World]:
        """This side learns what became of its message: an acknowledgement, the other's state, a refusal."""
        number = len(end.wire) - 1
        if number in other.seen:
            yield _with(world, at, self._confirmed(end))
        if other.process is not None and self._knows_peer(end):
            yield from self._after_asking(world, at, end, other, was_refused=False)
        _, is_accepted = self._receive(end, other, number)
        if not is_accepted:
            yield from self._after_asking(world, at, end, other, was_refused=True)
        if self.exhausts:
            yield self._ended(world, at, end)

    def _after_asking(self, world: World, at: int, end: End, other: End, *, was_refused: bool) -> Iterator[World]:
        """As `Outbox._follow` and `Outbox._refused`."""
        rules, process = self.rules, end.process
        if other.process is None:
            return  # who never got the first message cannot have refused it
        peer_state = rules.shown_state(other.process)
        verdict = rules.reconcile(process, peer_state, was_refused=was_refused)
        if verdict is rules.Verdict.ADOPT:
            yield _with(world, at, self._confirmed(end))
        elif verdict is rules.Verdict.END:
            yield self._ended(world, at, end, peer_state)
        elif was_refused and verdict is not rules.Verdict.DIVERGED:
            idle = replace(process, pending=None, pending_sent=False)
            is_moot = process.state is peer_state and not rules.has_meaning(process)
            if is_moot or process.pending is rules.Move.START_ANEW:
                yield _with(world, at, end._replace(process=idle))
                return
            step = self.decide(idle, self.stop, process.side)
            if process.pending is self.stop or isinstance(step, rules.Refusal):
                yield self._ended(world, at, end)
            else:
                yield _with(world, at, self._noted(end, step))

    def _confirmed(self, end: End) -> End:
        resuming = self._resuming(end, end.process.pending, end.process.side)
        return end._replace(process=self.rules.confirm(end.process, NOW).process, resuming=resuming)

    def _resuming(self, end: End, move: Any, sender: Any) -> int:
        """As `processes.is_resumed`: where this side stands with a message more."""
        if sender is not self.rules.Side.CONSUMER or self.answering:
            return 0
        return {self.rules.Move.SUSPEND: 1, self.rules.Move.START: 2 * end.resuming}.get(move, 0)

    def _noted(self, end: End, step: Any) -> End:
        """Return the side with a message of its own noted; as `Engine.send`."""
        return end._replace(process=step.process, answers=end.newest if self.answering else None)

    def _watch(self, world: World, at: int, end: End, other: End) -> Iterator[World]:
        """As `Watchdog`: the deadline has passed, the other side is asked, and answers."""
        state = self.rules.State
        if end.process.state in self.rules.FINAL or other.process is None:
            return
        peer_state = self.rules.shown_state(other.process)
        if peer_state in (state.TERMINATED, state.COMPLETED):
            yield self._ended(world, at, end, peer_state)
        elif not self.rules.can_send(end.process, self.stop) and peer_state is not state.FINALIZED:
            yield self._ended(world, at, end)

    def _ended(self, world: World, at: int, end: End, state: Any = None) -> World:
        process = self.rules.abandon(end.process, NOW).process
        return _with(world, at, end._replace(process=replace(process, state=state or process.state)))

    # ---- one delivery -----------------------------------------------------------------------------------------------

    def _receive(self, end: End, other: End, number: int) -> tuple[End, bool]:
        """Return the other side after the message arrived, and whether it answered with a success; as `Inbox`."""
        if number in other.seen:
            return other, True
        (move, answers), process = end.wire[number], other.process
        if process is None:
            if number > 0:
                return other, False
            process = self.rules.Process(self.kind, end.process.side.other, self.rules.State.NEW)
        move = self._read(move, other)
        if move is None:
            return other, True  # asked to come again: neither taken nor refused
        knows_ours = answers is None or answers == len(other.wire) - 1
        step = self.decide(process, move, end.process.side, knows_ours=knows_ours)
        if isinstance(step, self.rules.Refusal):
            return other, False
        resuming = self._resuming(other, move, end.process.side)
        seen = other.seen | {number}
        return other._replace(process=step.process, seen=seen, newest=number, resuming=resuming), True

    def _read(self, move: Any, other: End) -> Any:
        """As `repeating.read_move`: on the wire both starts look alike."""
        starts, process = (self.rules.Move.START, self.rules.Move.START_ANEW), other.process
        if move not in starts or process.side is self.rules.Side.PROVIDER or self.answering:
            return move
        if process.pending is self.rules.Move.START and process.pending_sent:
            return None
        return starts[process.state is self.rules.State.STARTED and other.resuming == 2]

    def _knows_peer(self, end: End) -> bool:
        return bool(end.seen) or end.process.state is not self.rules.State.NEW

    # ---- what is wrong ----------------------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """Return what does not hold, each kind of fault once; empty if the machine is sound."""
        graph = self.explore()
        found = list(self._unreached(graph))
        both_ended = {world for world in graph if all(self._is_ended(end) for end in world.ends)}
        if not self.exhausts:
            split = next((world for world in both_ended if not self._agree(world)), None)
            if split is not None:
                found.append(f"both sides have ended and do not agree: {show(split)}")
            astray = next((world for world in graph if self._is_at_rest(world) and not self._agree(world)), None)
            if astray is not None:
                found.append(f"nothing is under way and both sides do not agree: {show(astray)}")
        stuck = set(graph) - _leading_to(graph, both_ended)
        if stuck:
            found.append(f"{len(stuck)} states lead to no end, for instance {show(min(stuck, key=_length))}")
        return found

    def _unreached(self, graph: Iterable[World]) -> Iterator[str]:
        seen = {(end.process.side, end.process.state) for world in graph for end in world.ends if end.process}
        for name in STATES[self.kind]:
            for side in self.sides:
                if (side, self.rules.State[name]) not in seen:
                    yield f"the {side} never reaches {name}"

    def _is_ended(self, end: End) -> bool:
        return end.process is None or end.process.state in self.rules.FINAL

    def _is_at_rest(self, world: World) -> bool:
        """True if both sides go on and neither has a message under way."""
        known = [end.process for end in world.ends if end.process is not None]
        is_idle = all(process.pending is None and process.state not in self.rules.FINAL for process in known)
        return len(known) == 2 and is_idle

    def _agree(self, world: World) -> bool:
        states = {end.process.state for end in world.ends if end.process is not None}
        is_one_sided = any(end.process is None for end in world.ends)
        return states == {self.rules.State.TERMINATED} if is_one_sided else len(states) == 1


def show(world: World) -> str:
    """Return a global state in one line."""
    parts = []
    for end in world.ends:
        process = end.process
        parts.append("nothing" if process is None else f"{process.side} {process.state} pending {process.pending}")
        parts.append(f"sent {[move.name for move, _ in end.wire]}")
    return "; ".join(parts)


def _with(world: World, at: int, end: End) -> World:
    return World((end, world.ends[1]) if at == 0 else (world.ends[0], end))


def _length(world: World) -> int:
    return sum(len(end.wire) for end in world.ends)


def _leading_to(graph: dict[World, list[World]], ends: Iterable[World]) -> set[World]:
    before: dict[World, list[World]] = {}
    for world, following in graph.items():
        for after in following:
            before.setdefault(after, []).append(world)
    reached = set(ends)
    waiting = deque(reached)
    while waiting:
        for world in before.get(waiting.popleft(), ()):
            if world not in reached:
                reached.add(world)
                waiting.append(world)
    return reached


def main(sends: int) -> int:
    """Explore transfers to a bound, print what was found and how long it took, and return the exit status."""
    from gongshu.share.dsp import states

    began = time.monotonic()
    checker = Checker(states, "transfer", first="TRANSFER_REQUEST", sends=sends)
    faults = checker.faults()
    found = "\n".join(faults) or f"sound with {sends} messages a side, in {time.monotonic() - began:.0f} s"
    sys.stdout.write(f"{found}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

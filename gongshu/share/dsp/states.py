"""The two state machines of the Dataspace Protocol as one table, and the pure decisions over it.

Both sides use the same rows: a side enters only as the sender of a message. A process keeps the last state that both
sides are known to share; a message of ours that is not acknowledged yet is `pending`. This module must not know how
messages travel or where processes are kept.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """Which of the two machines."""

    NEGOTIATION = "negotiation"
    TRANSFER = "transfer"


class Side(StrEnum):
    """Who we are in a process, or who sends."""

    CONSUMER = "consumer"
    PROVIDER = "provider"

    @property
    def other(self) -> "Side":
        """The opposite side."""
        return Side.PROVIDER if self is Side.CONSUMER else Side.CONSUMER


class State(StrEnum):
    """The protocol's states, and NEW: made by us, not yet known to the other side."""

    NEW = "NEW"
    REQUESTED = "REQUESTED"
    OFFERED = "OFFERED"
    ACCEPTED = "ACCEPTED"
    AGREED = "AGREED"
    VERIFIED = "VERIFIED"
    FINALIZED = "FINALIZED"
    STARTED = "STARTED"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


class Move(StrEnum):
    """The messages that change a state; two events of a negotiation and two uses of a start count as their own."""

    REQUEST = "ContractRequestMessage"
    OFFER = "ContractOfferMessage"
    ACCEPT = "ContractNegotiationEventMessage ACCEPTED"
    AGREE = "ContractAgreementMessage"
    VERIFY = "ContractAgreementVerificationMessage"
    FINALIZE = "ContractNegotiationEventMessage FINALIZED"
    TERMINATE = "ContractNegotiationTerminationMessage"
    TRANSFER_REQUEST = "TransferRequestMessage"
    START = "TransferStartMessage"
    START_ANEW = "TransferStartMessage ANEW"
    """A provider's answer to the consumer's resumption, with a new data address: both stand in STARTED already."""
    SUSPEND = "TransferSuspensionMessage"
    COMPLETE = "TransferCompletionMessage"
    TRANSFER_TERMINATE = "TransferTerminationMessage"

    @property
    def message_type(self) -> str:
        """The `@type` on the wire."""
        return self.value.split(" ")[0]


TARGET = {
    Move.REQUEST: State.REQUESTED,
    Move.OFFER: State.OFFERED,
    Move.ACCEPT: State.ACCEPTED,
    Move.AGREE: State.AGREED,
    Move.VERIFY: State.VERIFIED,
    Move.FINALIZE: State.FINALIZED,
    Move.TERMINATE: State.TERMINATED,
    Move.TRANSFER_REQUEST: State.REQUESTED,
    Move.START: State.STARTED,
    Move.START_ANEW: State.STARTED,
    Move.SUSPEND: State.SUSPENDED,
    Move.COMPLETE: State.COMPLETED,
    Move.TRANSFER_TERMINATE: State.TERMINATED,
}
"""Where each message leads, whatever the state it is sent in."""

REPEATABLE = frozenset({Move.OFFER, Move.REQUEST, Move.START, Move.START_ANEW, Move.SUSPEND})
"""Messages whose target state a process can reach more than once."""

FINAL = frozenset({State.FINALIZED, State.COMPLETED, State.TERMINATED})


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    kind: Kind
    before: State
    move: Move
    senders: frozenset[Side]
    tolerated: bool = False
    """Taken when it comes, never sent: the figure leaves it out, the text of the specification allows it."""


_C, _P = frozenset({Side.CONSUMER}), frozenset({Side.PROVIDER})
_BOTH = _C | _P
_N, _T = Kind.NEGOTIATION, Kind.TRANSFER

TABLE: tuple[Transition, ...] = (
    Transition(_N, State.NEW, Move.REQUEST, _C),
    Transition(_N, State.NEW, Move.OFFER, _P),
    Transition(_N, State.REQUESTED, Move.OFFER, _P),
    Transition(_N, State.REQUESTED, Move.AGREE, _P),
    Transition(_N, State.OFFERED, Move.REQUEST, _C),
    Transition(_N, State.OFFERED, Move.ACCEPT, _C),
    Transition(_N, State.ACCEPTED, Move.AGREE, _P),
    Transition(_N, State.AGREED, Move.VERIFY, _C),
    Transition(_N, State.VERIFIED, Move.FINALIZE, _P),
    Transition(_N, State.REQUESTED, Move.TERMINATE, _BOTH),
    Transition(_N, State.OFFERED, Move.TERMINATE, _BOTH),
    Transition(_N, State.ACCEPTED, Move.TERMINATE, _P),
    Transition(_N, State.VERIFIED, Move.TERMINATE, _P),
    Transition(_N, State.AGREED, Move.TERMINATE, _C),
    Transition(_N, State.ACCEPTED, Move.TERMINATE, _C, tolerated=True),
    Transition(_N, State.VERIFIED, Move.TERMINATE, _C, tolerated=True),
    Transition(_N, State.AGREED, Move.TERMINATE, _P, tolerated=True),
    Transition(_T, State.NEW, Move.TRANSFER_REQUEST, _C),
    Transition(_T, State.REQUESTED, Move.START, _P),
    Transition(_T, State.STARTED, Move.COMPLETE, _BOTH),
    Transition(_T, State.STARTED, Move.SUSPEND, _BOTH),
    Transition(_T, State.SUSPENDED, Move.START, _BOTH),
    Transition(_T, State.STARTED, Move.START_ANEW, _P),
    Transition(_T, State.REQUESTED, Move.TRANSFER_TERMINATE, _BOTH),
    Transition(_T, State.STARTED, Move.TRANSFER_TERMINATE, _BOTH),
    Transition(_T, State.SUSPENDED, Move.TRANSFER_TERMINATE, _BOTH),
)
"""Source: Dataspace Protocol 2025-1, figures of the contract negotiation and transfer process state machines; the three
tolerated rows follow the sentence that a termination may be sent at any state. A start anew is not in the figures, and
changes no state. See decisions 0039 and 0103."""

STATES = {
    kind: frozenset(state for row in TABLE if row.kind is kind for state in (row.before, TARGET[row.move]))
    for kind in Kind
}
"""The states of each machine. A negotiation never is COMPLETED, whatever the other side says."""

_ROWS: dict[tuple[Kind, State, Move | None, Side], Transition] = {
    (row.kind, row.before, row.move, sender): row for row in TABLE for sender in row.senders
}


def _reach_alone(kind: Kind, state: State, side: Side) -> frozenset[State]:
    """Return the states that a side can have come to since a shared one, without a message of the other side."""
    reached, added = {state}, {state}
    while added:
        rows = [row for row in TABLE if row.kind is kind and row.before in added and side in row.senders]
        added = {TARGET[row.move] for row in rows} - reached
        reached |= added
    return frozenset(reached)


_ALONE = {(kind, state, side): _reach_alone(kind, state, side) for kind in Kind for state in State for side in Side}

PATIENCE = {
    State.NEW: timedelta(hours=1),
    State.REQUESTED: timedelta(days=7),
    State.OFFERED: timedelta(days=7),
    State.ACCEPTED: timedelta(days=7),
    State.AGREED: timedelta(hours=1),
    State.VERIFIED: timedelta(hours=1),
    State.STARTED: timedelta(days=1),
    State.SUSPENDED: timedelta(days=30),
}
"""How long a process may stand in a state before the watchdog asks the peer and, if nothing moved, ends it. Ours, not
the standard's: a person may be asked in the first states, only programs in AGREED and VERIFIED. A transfer that is
STARTED goes on as long as the peer says so; the agreement's terms bound it."""


class Effect(StrEnum):
    """What the caller carries out beside storing the new process."""

    CONFIRM_PENDING = "confirm_pending"
    """The message under way has arrived: what it promised holds."""
    DROP_PENDING = "drop_pending"
    """The message under way has no meaning any more: do not send it again."""
    STOP_DATA = "stop_data"
    """No data may flow through this transfer from now on."""


@dataclass(frozen=True, slots=True)
class Process:
    """What the decisions need to know of a negotiation or transfer."""

    kind: Kind
    side: Side
    """Ours."""
    state: State
    pending: Move | None = None
    """Our message that is queued or under way."""
    pending_sent: bool = False
    """It was given to the wire at least once, so the peer may have it."""
    held: bool = False
    """We asked for the suspension, so only we may end it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A decision that holds."""

    process: Process
    effects: tuple[Effect, ...]
    deadline: datetime | None
    """When the watchdog looks at the process; None where the state has no bound."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision that changes nothing."""

    reason: str


class Verdict(StrEnum):
    """What to do about a message of ours whose outcome is unknown, once the peer's state is known."""

    ADOPT = "adopt"
    """The peer took it."""
    RESEND = "resend"
    """The peer stands where it stood: it did not arrive."""
    END = "end"
    """The peer ended the process before our message came."""
    DIVERGED = "diverged"
    """The states do not fit. A message of the peer may still be under way; if it stays so, end the process."""


_STOPS_DATA = frozenset({Move.SUSPEND, Move.COMPLETE, Move.TRANSFER_TERMINATE})


def decide(process: Process, move: Move, sender: Side, now: datetime, *, knows_ours: bool = True) -> Step | Refusal:
    """Judge one message, ours (`sender` is our side) or the peer's, against the table.

    Our own message changes no state yet: it becomes `pending` until `confirm`. The peer's changes the state at once.
    A message of the peer that is possible only after ours proves that ours arrived, unless the message says that its
    sender had not taken ours when it wrote it (`knows_ours`): then the two have crossed.

    >>> from datetime import UTC
    >>> p = Process(Kind.TRANSFER, Side.PROVIDER, State.REQUESTED)
    >>> decide(p, Move.COMPLETE, Side.CONSUMER, datetime(2026, 1, 1, tzinfo=UTC))
    Refusal(reason='the state REQUESTED does not allow it')
    """
    if sender is process.side:
        return _decide_ours(process, move, now)
    return _decide_theirs(process, move, now, knows_ours=knows_ours)


def confirm(process: Process, now: datetime) -> Step:
    """Return the process after the peer acknowledged our pending message: it stands where the message leads."""
    assert process.pending is not None, "only a pending message can be confirmed"
    if process.state in FINAL:
        return _step(replace(process, pending=None, pending_sent=False), (), now)
    after = replace(process, state=TARGET[process.pending], pending=None, pending_sent=False)
    return _step(after, (Effect.CONFIRM_PENDING,), now)


def abandon(process: Process, now: datetime) -> Step:
    """Return the process ended on our side alone: the peer cannot be told, and learns it when it next asks."""
    after = replace(process, state=State.TERMINATED, pending=None, pending_sent=False)
    return _step(after, (Effect.DROP_PENDING, Effect.STOP_DATA), now)


def reconcile(process: Process, peer_state: State, *, was_refused: bool) -> Verdict:
    """Judge, from the state the peer reports, what became of our pending message.

    Some states come again (an offer after an offer, a second start): there the state proves nothing while no answer has
    come, because the peer may stand in it from the time before. Such a message is sent again instead. A state further
    on proves it where the peer gets there only after our message: FINALIZED, that our verification arrived.

    >>> process = Process(Kind.NEGOTIATION, Side.PROVIDER, State.REQUESTED, Move.AGREE, True)
    >>> reconcile(process, State.AGREED, was_refused=False).value
    'adopt'
    """
    assert process.pending is not None, "only a pending message can be reconciled"
    if peer_state is process.state:
        return Verdict.RESEND
    if peer_state is TARGET[process.pending]:
        return Verdict.ADOPT if was_refused or process.pending not in REPEATABLE else Verdict.RESEND
    if peer_state in (State.COMPLETED, State.TERMINATED):
        return Verdict.END
    after = _ALONE[process.kind, TARGET[process.pending], process.side.other]
    if peer_state in after - _ALONE[process.kind, process.state, process.side.other]:
        return Verdict.ADOPT
    return Verdict.DIVERGED


def shown_state(process: Process) -> State:
    """Return the state that the peer may see: the last one both share; a peer that asks about NEW has our request."""
    if process.state is not State.NEW:
        return process.state
    return State.OFFERED if process.pending is Move.OFFER else State.REQUESTED


def can_send(process: Process, move: Move) -> bool:
    """True if the table lets us send this message now or once the pending one is acknowledged."""
    state = TARGET[process.pending] if process.pending else process.state
    row = _ROWS.get((process.kind, state, move, process.side))
    return row is not None and not row.tolerated


def has_meaning(process: Process) -> bool:
    """True if the pending message is still possible in the state the process has reached meanwhile."""
    return (process.kind, process.state, process.pending, process.side) in _ROWS


def termination_of(kind: Kind) -> Move:
    """Return the message that ends a process of this kind."""
    return Move.TERMINATE if kind is Kind.NEGOTIATION else Move.TRANSFER_TERMINATE


def _decide_ours(process: Process, move: Move, now: datetime) -> Step | Refusal:
    if process.pending is not None:
        return Refusal(f"{process.pending} is still under way")
    if move is Move.START_ANEW and process.held:
        return Refusal("this side is stopping it")
    row = _ROWS.get((process.kind, process.state, move, process.side))
    if row is None or row.tolerated:
        return Refusal(f"the state {process.state} does not allow it")
    held = move is Move.SUSPEND or (process.held and move is not Move.START)
    effects = (Effect.STOP_DATA,) if move in _STOPS_DATA else ()
    return _step(replace(process, pending=move, pending_sent=False, held=held), effects, now)


def _decide_theirs(process: Process, move: Move, now: datetime, *, knows_ours: bool) -> Step | Refusal:
    sender = process.side.other
    effects: tuple[Effect, ...] = (Effect.STOP_DATA,) if move in _STOPS_DATA else ()
    if move is Move.SUSPEND and process.state is State.SUSPENDED and process.held:
        return _step(process, effects, now)  # two suspensions have crossed: each side holds the transfer
    is_begun_by_us = process.state is State.NEW and process.pending is not None
    if (process.kind, process.state, move, sender) in _ROWS and not is_begun_by_us:
        if move is Move.START and process.held:
            return Refusal("the transfer was suspended by this side, which alone may resume it")
        if _is_ending(process) and TARGET[move] is not State.TERMINATED:
            return Refusal("this side is ending it")
        if move is Move.START and process.pending is Move.START:
            return Refusal("the transfer was suspended by this side, which is resuming it")
        after = replace(process, state=TARGET[move])
        if process.pending and (after.state in FINAL or _is_moot(after)):
            after, effects = replace(after, pending=None, pending_sent=False), (*effects, Effect.DROP_PENDING)
        return _step(after, effects, now)
    if process.pending and process.pending_sent and knows_ours and has_meaning(process):
        arrived = TARGET[process.pending]
        if (process.kind, arrived, move, sender) in _ROWS:
            after = replace(process, state=TARGET[move], pending=None, pending_sent=False)
            return _step(after, (Effect.CONFIRM_PENDING, *effects), now)
    return Refusal(f"the state {process.state} does not allow it")


def _is_moot(process: Process) -> bool:
    """True if our message under way means nothing any more; one that led nowhere does not, even if it arrived."""
    return not has_meaning(process) and (not process.pending_sent or process.pending is Move.START_ANEW)


def _is_ending(process: Process) -> bool:
    """True while our termination is under way: where two ends cross, the termination wins on both sides."""
    return process.pending_sent and process.pending is termination_of(process.kind)


def _step(process: Process, effects: tuple[Effect, ...], now: datetime) -> Step:
    patience = None if process.state in FINAL else PATIENCE.get(process.state)
    return Step(process, effects, now + patience if patience else None)

"""What this process has queued and will do itself at once, so that it need not ask the database for its own words.

Each piece lies in the database under a lease before it lies here: what is lost with this process is taken up again, by
it or by another, when the lease has ended. Nothing is taken while nobody works at the desk, or where it is full.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gongshu.share.dsp.states import Move
from gongshu.share.model import Record

SENDING_MAX = 16
"""Messages given to senders at a time: two for each of eight, so that a lease outlives the wait for a slow partner."""
SENDING_LOW = SENDING_MAX // 2
"""With so many left, those that found no room are fetched from the database, all in one transaction. No sender has
waited yet."""
REACTIONS_MAX = 256
SENDING_LEASE = timedelta(seconds=45)
"""Longer than two requests can take; after a crash the message waits so long for its next sender."""
REACTION_LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of ours as it lies in the outbox."""

    message_id: str
    process_id: str
    move: Move
    document: str
    attempts: int
    """How often it was sent before."""
    held_until: datetime
    """When the lease ends under which it is given to a sender; from then on it may be somebody else's."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What is to be done next with a process."""

    sequence: int
    process_id: str
    action: str
    actor: str
    reason: str


class Later:
    """The reactions to one message of a partner, which wait until it is answered.

    Other connectors are not ready for what comes next while the answer to their message is under way.
    """

    def __init__(self, desk: "Desk") -> None:
        self.reactions: list[Reaction] = []
        self.is_answered = False
        self._desk = desk

    def prepared(self) -> AbstractContextManager[None]:
        """Within the block, this thread prepares the answer: the reactions that it takes wait for that."""
        return self._desk.answering(self)

    async def answered(self) -> None:
        """Let the reactions be performed now; it never waits."""
        self._desk.release(self)


@dataclass(slots=True)
class _Taken:
    """What one transaction wants to be done."""

    messages: list[tuple[Record, Entry]] = field(default_factory=list)
    reactions: list[tuple[Reaction, Later | None]] = field(default_factory=list)
    places: int = 0
    is_to_look: bool = False
    has_found_no_room: bool = False


class Desk:
    """The work at hand of one process. Threads share it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: deque[tuple[Record, Entry]] = deque()
        self._reactions: deque[Reaction] = deque()
        self._sending = 0
        self._asked = 0
        self._is_open = False
        self._has_left = False
        self._local = threading.local()

    def open(self) -> None:
        """From now on somebody works here."""
        with self._changed:
            self._is_open = True

    def close(self) -> None:
        """Take nothing more; what lies here can still be done."""
        with self._changed:
            self._is_open = False

    # ---- who queues -------------------------------------------------------------------------------------------------

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Around one transaction of this thread: what is taken within is done if it is kept, and not if it is lost."""
        taken = self._local.taken = _Taken()
        is_kept = False
        try:
            yield
            is_kept = True
        finally:
            self._local.taken = None
            with self._changed:
                self._sending -= taken.places
                if is_kept:
                    self._sending += len(taken.messages)
                    self._messages.extend(taken.messages)
                    for reaction, later in taken.reactions:
                        if later is None or later.is_answered:
                            self._reactions.append(reaction)
                        else:
                            later.reactions.append(reaction)
                    self._asked += taken.is_to_look
                    self._changed.notify_all()
                self._look_for_left(more=is_kept and taken.has_found_no_room)

    def has_room_to_send(self) -> bool:
        """True if the message about to be queued can be given to `take_message`; the place is kept for it."""
        taken: _Taken | None = getattr(self._local, "taken", None)
        if taken is None:
            return False
        with self._changed:
            if not self._is_open or self._sending >= SENDING_MAX:
                taken.has_found_no_room = True  # whoever looks there next takes it
                return False
            self._sending += 1
            taken.places += 1
            return True

    def take_message(self, record: Record, entry: Entry) -> None:
        """Send this as soon as the transaction is kept; it is queued under a lease, in a place that was kept."""
        self._local.taken.messages.append((record, entry))

    def has_room_to_react(self) -> bool:
        """True if a reaction about to be queued can be given to `take_reaction`."""
        has_transaction = getattr(self._local, "taken", None) is not None
        return has_transaction and self._is_open and len(self._reactions) < REACTIONS_MAX

    def take_reaction(self, reaction: Reaction) -> None:
        """Perform this as soon as the transaction is kept, and what it reacts to is answered; it is under a lease."""
        self._local.taken.reactions.append((reaction, self.later))

    def leave(self) -> None:
        """Something is queued in the database only: whoever works here has to look there after the transaction."""
        taken = getattr(self._local, "taken", None)
        if taken is not None:
            taken.is_to_look = True

    def ask_to_look(self) -> None:
        """Something is queued in the database, or can be done now: look there."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()

    # ---- who answers ------------------------------------------------------------------------------------------------

    @property
    def later(self) -> Later | None:
        """For which answer the reactions wait that this thread takes; None for none."""
        found: Later | None = getattr(self._local, "later", None)
        return found

    @contextmanager
    def answering(self, later: Later | None) -> Iterator[None]:
        """Within the block, the reactions that this thread takes wait for this answer."""
        before, self._local.later = self.later, later
        try:
            yield
        finally:
            self._local.later = before

    def release(self, later: Later) -> None:
        """Perform what waits for this answer, and from now on at once what would wait for it."""
        with self._changed:
            later.is_answered = True
            if later.reactions:
                self._reactions.extend(later.reactions)
                later.reactions.clear()
                self._changed.notify_all()

    # ---- who works --------------------------------------------------------------------------------------------------

    @property
    def asked(self) -> int:
        """How often somebody asked to look."""
        return self._asked

    def free_places(self) -> int:
        """Return how many more messages can be given to senders."""
        with self._changed:
            return SENDING_MAX - self._sending

    def add_sending(self, count: int, *, has_more: bool = False) -> None:
        """Note that messages were claimed in the database and are given to senders, and that more may be there."""
        with self._changed:
            self._sending += count
            self._look_for_left(more=has_more)

    def end_sending(self) -> None:
        """Note that a sender is done with a message; if few are left, others may wait in the database."""
        with self._changed:
            self._sending -= 1
            self._look_for_left(more=False)

    def _look_for_left(self, *, more: bool) -> None:
        self._has_left = self._has_left or more
        if self._has_left and self._sending <= SENDING_LOW:
            self._has_left = False
            self._asked += 1
            self._changed.notify_all()

    def messages(self) -> list[tuple[Record, Entry]]:
        """Return what is to be sent, taken from the desk."""
        with self._changed:
            found = list(self._messages)
            self._messages.clear()
        return found

    def reactions(self, limit: int) -> list[Reaction]:
        """Return what is to be performed, taken from the desk."""
        with self._changed:
            return [self._reactions.popleft() for _ in range(min(limit, len(self._reactions)))]

    def wait(self, asked: int, timeout_s: float) -> None:
        """Return when something lies here, when somebody asked to look since `asked`, or after the time."""
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._messages or self._reactions) or self._asked != asked, timeout=max(0.0, timeout_s)
            )

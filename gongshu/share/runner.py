"""The thread that keeps sharing going: it sleeps until something happens or falls due, and never polls the partners."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Protocol

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.share.desk import Entry, Reaction
from gongshu.share.model import Record
from gongshu.share.outbox import Outbox
from gongshu.share.ports import Clock
from gongshu.share.reactor import Reactor
from gongshu.share.signals import Signals
from gongshu.share.watchdog import Watchdog

_logger = logging.getLogger(__name__)

SENDERS = 8
REACTORS = 3
"""Threads that plan reactions besides the runner's own on PostgreSQL, where each spends its time waiting for answers.
On SQLite writers take turns, and they would only be in each other's way."""
AT_A_TIME = 8
"""Reactions performed before messages are looked at again, so that the senders are never without work."""
LOOK_S = 1.0
"""Other processes of the node (the command line) queue into the same tables; this is how soon their work is seen."""
AFTER_ERROR_S = 5.0
INSIST_S = 30.0
AGAIN_S = 1.0
"""What is at hand is tried again so long, and so often, where the database is away. Shorter than its lease. Ours."""
SLOW_EVERY_S = 0.2
"""Deadlines and chores have time: while messages keep the thread busy, they are seen to so often."""


class Chore(Protocol):
    """Something else that falls due from time to time: notices, receipts."""

    def perform_due(self) -> int:
        """Do what is due and return how much it was; a failure is kept for later, not raised."""
        ...

    def next_due(self, connection: sa.Connection) -> datetime | None:
        """Return when the next piece is due, None if there is none."""
        ...


class Runner:
    """Starts and stops the thread; the work is done by reactor, outbox, watchdog, and the chores."""

    def __init__(
        self,
        database: Database,
        reactor: Reactor,
        outbox: Outbox,
        watchdog: Watchdog,
        clock: Clock,
        signals: Signals,
        *,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._database = database
        self._reactor = reactor
        self._outbox = outbox
        self._watchdog = watchdog
        self._clock = clock
        self._signals = signals
        self._chores = tuple(chores)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._desk = signals.desk
        self._free_reactors = threading.Semaphore(0 if database.is_sqlite else REACTORS)
        self._looked = -1
        self._look_at_s = self._slow_at_s = 0.0

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="share", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the messages under way have been answered or have failed."""
        if self._thread is not None:
            self._stopping.set()
            self._desk.ask_to_look()
            self._thread.join()
            self._thread = None

    def step(self) -> None:
        """Do everything that is due now, in this thread; tests and one-shot commands use it."""
        while self._work() + self._work_slowly():
            pass

    def _run(self) -> None:
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="share-send") as senders:
            with ThreadPoolExecutor(REACTORS, thread_name_prefix="share-react") as reactors:
                self._desk.open()
                while not self._stopping.is_set():
                    self._work_once(senders, reactors)
                    if not self._stopping.is_set():
                        self._desk.wait(self._looked, self._look_at_s - time.monotonic())
                self._desk.close()
                self._work_once(senders, reactors)
            self._send(senders, self._desk.messages())  # of the reactions that were still being performed

    def _work_once(self, senders: ThreadPoolExecutor, reactors: ThreadPoolExecutor) -> None:
        try:
            self._clear_desk(senders, reactors)
            is_asked = self._desk.asked != self._looked or time.monotonic() >= self._look_at_s
            if is_asked and not self._stopping.is_set():
                self._look(senders)
        except Exception as error:  # noqa: BLE001  # supervisor: sharing goes on after a database was away
            _logger.error("sharing stopped for a moment: %s", _code_of(error))
            self._stopping.wait(AFTER_ERROR_S)

    def _clear_desk(self, senders: ThreadPoolExecutor, reactors: ThreadPoolExecutor) -> None:
        """Do what this process has queued itself."""
        self._send(senders, self._desk.messages())
        while reactions := self._desk.reactions(AT_A_TIME):
            if self._free_reactors.acquire(blocking=False):
                reactors.submit(self._react_beside, reactions)
            else:
                self._react(reactions)
            self._send(senders, self._desk.messages())

    def _look(self, senders: ThreadPoolExecutor) -> None:
        """Do what is due in the database, and note when to look there again."""
        self._looked = self._desk.asked
        self._look_at_s = time.monotonic() + AFTER_ERROR_S  # where it cannot be read
        reactions = self._reactor.claim_due(limit=AT_A_TIME)
        if reactions:
            self._react(reactions)
        places = self._desk.free_places()
        claimed = self._outbox.claim_due(limit=places) if places > 0 else []
        self._desk.add_sending(len(claimed), has_more=len(claimed) == places > 0)
        self._send(senders, claimed)
        is_busy = bool(reactions or claimed)
        pause_s = 0.0 if is_busy else min(LOOK_S, self._until_next_s())
        if pause_s == 0.0 and (not is_busy or time.monotonic() >= self._slow_at_s):
            self._work_slowly()
            self._slow_at_s = time.monotonic() + SLOW_EVERY_S
        self._look_at_s = time.monotonic() + pause_s

    def _send(self, senders: ThreadPoolExecutor, messages: Sequence[tuple[Record, Entry]]) -> None:
        for record, entry in messages:
            senders.submit(self._deliver, record, entry)

    def _work(self) -> int:
        count = self._reactor.perform_due(limit=AT_A_TIME)
        for record, entry in self._outbox.claim_due():
            count += 1
            self._outbox.deliver(record, entry)
        return count

    def _work_slowly(self) -> int:
        return sum(chore.perform_due() for chore in self._chores) + self._watchdog.check_due()

    def _react(self, reactions: Sequence[Reaction]) -> None:
        work = partial(self._reactor.perform, reactions)
        self._insist(work, f"not all of {len(reactions)} reactions were performed", again=work)

    def _react_beside(self, reactions: Sequence[Reaction]) -> None:
        try:
            self._react(reactions)
        finally:
            self._free_reactors.release()

    def _deliver(self, record: Record, entry: Entry) -> None:
        asking = replace(entry, attempts=max(1, entry.attempts))  # whether it arrived, before it goes again
        first, again = (partial(self._outbox.deliver, record, each) for each in (entry, asking))
        try:
            self._insist(first, f"a message of {record.process_id} was not sent", again=again)
        finally:
            self._desk.end_sending()

    def _insist(self, work: Callable[[], object], fault: str, *, again: Callable[[], object]) -> None:
        """Do the work, again while the database is away; then, and if it fails, its lease ends and it is taken up."""
        until_s = time.monotonic() + INSIST_S
        is_told = False
        while True:
            try:
                work()
            except Exception as error:  # noqa: BLE001  # supervisor
                if not is_told:
                    _logger.error("%s: %s", fault, _code_of(error))
                is_told, is_away = True, isinstance(error, sa.exc.OperationalError)
                if is_away and time.monotonic() < until_s and not self._stopping.wait(AGAIN_S):
                    work = again
                    continue
            return

    def _until_next_s(self) -> float:
        with self._database.connect() as connection:
            parts = (self._reactor, self._watchdog)
            moments = [part.next_due(connection) for part in parts]
            if self._desk.free_places() > 0:  # else a sender that is done asks to look
                moments.append(self._outbox.next_due(connection))
            moments += [chore.next_due(connection) for chore in self._chores]
        due = [moment for moment in moments if moment is not None]
        return max(0.0, (min(due) - self._clock()).total_seconds()) if due else LOOK_S


def _code_of(error: Exception) -> str:
    return f"{error.code if isinstance(error, GongshuError) else type(error).__name__} ({error})"

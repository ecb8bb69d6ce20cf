"""The data planes of one node put together, and the thread that carries what this side has to bring or fetch itself.

The protocol (`engine`, `runner`) decides that data may flow; what is here makes them flow: answers to pulls, pushes to
consumers, the inbox for pushes to us. Jobs are found in the database, so that a restart goes on with them.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Protocol

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.audit import AuditSink
from gongshu.secure.parties import PartyRegistry
from gongshu.share.admission import Admission
from gongshu.share.arriving import DataAccess
from gongshu.share.clearances.marks import Marker
from gongshu.share.data_addresses import DataAddresses
from gongshu.share.data_wire import DataWire
from gongshu.share.delivery import Delivery
from gongshu.share.dsp.messages import FORMAT_STREAM
from gongshu.share.engine import Engine
from gongshu.share.following import Followers
from gongshu.share.metering import Meter, NoticeQueue
from gongshu.share.model import Record
from gongshu.share.peer import HttpWire
from gongshu.share.policy import SharePolicy
from gongshu.share.ports import Clock, GateDoor, Keeper
from gongshu.share.pushing import Pusher
from gongshu.share.receiving import Inboxes
from gongshu.share.sending import Retries
from gongshu.share.signals import Signals
from gongshu.share.steady import SteadyClock
from gongshu.share.streaming import Streams, StreamSettings
from gongshu.share.tokens import TokenDesk

_logger = logging.getLogger(__name__)

CARRIERS = 4
"""Deliveries carried at a time. Ours."""
REST_S = 0.02
"""Many changes come at once, few of them for a push: one look serves them all."""
LOOK_S = 1.0
AFTER_ERROR_S = 5.0

DATA_PATH = "/share/data"
INBOX_PATH = "/share/inbox"
STREAM_PATH = "/share/stream"
_PATHS = {FORMAT_STREAM: STREAM_PATH}


class FlowSettings(StreamSettings, Protocol):
    """The bounds that the data planes take from the room's settings."""

    @property
    def token_valid_s(self) -> int:
        """Life of a data token."""
        ...

    @property
    def receive_bytes_max(self) -> int:
        """What one delivery to us may bring."""
        ...

    @property
    def retries(self) -> Retries:
        """When to try again."""
        ...


class Flows:
    """The data planes of one node. Threads may share it."""

    def __init__(
        self,
        *,
        database: Database,
        engine: Engine,
        policy: SharePolicy,
        parties: PartyRegistry,
        gate: GateDoor,
        keeper: Keeper,
        audit: AuditSink,
        clock: Clock,
        signals: Signals,
        address: Callable[[], str],
        spool: Path,
        settings: FlowSettings,
        peer_wire: HttpWire,
        steady: SteadyClock,
        marker: Marker,
        notices: NoticeQueue | None = None,
    ) -> None:
        self._stopping = threading.Event()
        tokens = TokenDesk(database, clock, settings.token_valid_s)
        admission = Admission(database, engine, policy, parties, tokens, standing=peer_wire.why_not_standing)
        meter = Meter(database, audit, clock, notices)

        def place_of(record: Record) -> str:
            return f"{address()}{_PATHS.get(record.format, DATA_PATH)}/{record.process_id}"

        def inbox_of(transfer_id: str) -> str:
            return f"{address()}{INBOX_PATH}/{transfer_id}"

        retries, stopping, largest = settings.retries, self._stopping, settings.receive_bytes_max
        random = Random()  # noqa: S311  # spreads retries, protects nothing
        self.addresses = DataAddresses(database, parties, audit, clock)
        self.wire = DataWire(self.addresses, peer_wire.client_of)
        self.access = DataAccess(database, engine, peer_wire, self.wire)
        plane = (admission, meter, policy, gate, audit, clock, tokens)
        self.delivery = Delivery(*plane, endpoint_of=place_of, marker=marker)
        self.streams = Streams(engine, admission, self.delivery, meter, tokens, clock, settings, stopping)
        self.inboxes = Inboxes(
            database, engine, keeper, audit, clock, endpoint_of=inbox_of, spool=spool, bytes_max=largest
        )
        self.pusher = Pusher(
            *(database, engine, self.delivery, self.wire, audit, clock),
            retries=retries,
            random=random,
            stopping=stopping,
        )
        self.followers = Followers(
            *(database, engine, self.access, keeper, audit, clock), retries=retries, random=random, stopping=stopping
        )
        self._signals = signals
        self._steady = steady
        self._running: set[Future[None]] = set()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start carrying, in a thread of this process; a second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="share-flows", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop; what is being carried ends at its next piece and goes on at the next start."""
        if self._thread is not None:
            self._stopping.set()
            self._signals.notify()
            self._thread.join()
            self._thread = None

    def step(self) -> int:
        """Carry what is due now in the calling thread, for one-shot programs and tests; return how many there were."""
        pushes = self.pusher.claim_due()
        for push in pushes:
            self.pusher.carry(push)
        return len(pushes)

    def _run(self) -> None:
        with ThreadPoolExecutor(CARRIERS, thread_name_prefix="share-carry") as pool:
            while not self._stopping.is_set():
                seen = self._signals.data_count
                try:
                    self._steady.keep()
                    self._submit_due(pool)
                except Exception as error:  # noqa: BLE001  # supervisor: carrying goes on after a database was away
                    _logger.error("carrying data stopped for a moment: %s (%s)", _code(error), error)
                    self._stopping.wait(AFTER_ERROR_S)
                self._stopping.wait(REST_S)
                if not self._stopping.is_set():
                    self._signals.wait_for_data(seen, LOOK_S)

    def _submit_due(self, pool: ThreadPoolExecutor) -> None:
        self._running = {job for job in self._running if not job.done()}
        free = CARRIERS - len(self._running)
        if free:
            for push in self.pusher.claim_due(limit=free):
                self._running.add(pool.submit(self._guarded, partial(self.pusher.carry, push)))
        for follow in self.followers.claim_due():
            # A stream runs for days: it gets a thread of its own, not a place among those that come and go.
            carry = partial(self._guarded, partial(self.followers.carry, follow))
            threading.Thread(target=carry, name="share-follow", daemon=True).start()

    def _guarded(self, carry: Callable[[], None]) -> None:
        try:
            carry()
        except Exception as error:  # noqa: BLE001  # supervisor: its lease ends and the job is taken up again
            _logger.error("data were not carried: %s (%s)", _code(error), error)


def _code(error: Exception) -> str:
    return error.code if isinstance(error, GongshuError) else type(error).__name__

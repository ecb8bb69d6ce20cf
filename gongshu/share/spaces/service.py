"""The spaces of one node: those it operates and those it belongs to, with the thread that carries news."""

import logging
import threading
from collections.abc import Callable

from gongshu.database import Database
from gongshu.model.audit import AuditSink
from gongshu.model.ids import PartyId
from gongshu.packs import Packs
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.share.crawl.words import thesaurus_of
from gongshu.share.ports import Clock
from gongshu.share.spaces.desk import Desk
from gongshu.share.spaces.hosting import SpaceHost
from gongshu.share.spaces.membership import Contracts, SpaceMembership
from gongshu.share.spaces.notices import NoticeSender, PostWire
from gongshu.share.spaces.register import Register

_logger = logging.getLogger(__name__)

LOOK_S = 2.0
AFTER_ERROR_S = 5.0


class SpaceService:
    """`host` is the operator's side for its people, `desk` for other parties; `membership` is this node elsewhere."""

    def __init__(
        self,
        database: Database,
        wire: PostWire,
        parties: PartyRegistry,
        contracts: Contracts,
        keys: KeyStore,
        packs: Packs,
        audit: AuditSink,
        clock: Clock,
        own_party_id: PartyId,
    ) -> None:
        thesaurus, codes = thesaurus_of(packs), packs.get("ndi-catalogue")

        def address_of(party: PartyId) -> str:
            return parties.get(party).address

        register = Register(own_party_id, thesaurus, audit, clock)
        self.desk = Desk(database, register, parties, thesaurus, codes, clock)
        self.host = SpaceHost(database, register, self.desk, codes)
        self.membership = SpaceMembership(database, wire, address_of, keys, contracts, audit, clock, own_party_id)
        self._mail = Mail(NoticeSender(database, wire, address_of, clock).send_due)

    def start(self) -> None:
        """Start carrying news, in a thread of this process."""
        self._mail.start()

    def stop(self) -> None:
        """Stop; what has not arrived is sent after the next start."""
        self._mail.stop()

    def step(self) -> int:
        """Send the news that is due now, and return how much of it arrived."""
        return self._mail.step()


class Mail:
    """The thread that sends news when it is due."""

    def __init__(self, send_due: Callable[[], int]) -> None:
        self._send_due = send_due
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="space-news", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the message under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def step(self) -> int:
        """Send what is due until nothing more arrives."""
        total = 0
        while count := self._send_due():
            total += count
        return total

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause_s = LOOK_S
            try:
                self.step()
            except Exception as error:  # noqa: BLE001  # supervisor: news goes on after a database was away
                _logger.error("news of spaces stopped for a moment: %s (%s)", type(error).__name__, error)
                pause_s = AFTER_ERROR_S
            self._stopping.wait(pause_s)

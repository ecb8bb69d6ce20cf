"""The hub of one node: every node has both sides."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from gongshu.database import Database
from gongshu.hub.client import HubClient
from gongshu.hub.indicators import Rules, read_rules
from gongshu.hub.membership import Memberships, Own
from gongshu.hub.model import Agreement
from gongshu.hub.province import Province
from gongshu.hub.reporting import Reporting
from gongshu.model.access import Subject
from gongshu.model.audit import AuditSink
from gongshu.packs.model import Packs
from gongshu.secure.gate import Gate
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.peer_tokens import PeerTokens

LOOK_EVERY_S = 2.0
"""How often the courier looks for reports whose time has come; each report's own delay grows on its own."""

log = logging.getLogger(__name__)


class HubService:
    """Puts the three shells together: `memberships`, `reporting` (member's side) and `province` (receiver's side)."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        parties: PartyRegistry,
        peers: PeerTokens,
        gate: Gate,
        packs: Packs,
        audit: AuditSink,
        clock: Callable[[], datetime],
        own: Own,
        *,
        timeout_s: float = 10.0,
    ) -> None:
        client = HubClient(timeout_s=timeout_s)
        self._stopping = threading.Event()
        self._courier: threading.Thread | None = None
        self._packs = packs
        self.memberships = Memberships(database, keys, parties, packs, audit, clock, own, client)
        self.reporting = Reporting(database, keys, parties, peers, gate, packs, audit, clock, self.memberships, client)
        self.province = Province(database, keys, parties, packs, audit, clock, self.memberships)

    def rules(self) -> Rules:
        """Return the indicators and numbers of the pack in force."""
        return read_rules(self._packs)

    def join(self, address: str, invitation: str, actor: Subject) -> Agreement:
        """Join the province at this address; see `Memberships.join`."""
        return self.memberships.join(address, invitation, actor)

    def start(self) -> None:
        """Start the courier: a thread that delivers waiting reports until `stop`."""
        assert self._courier is None, "the courier runs already"
        self._stopping.clear()
        self._courier = threading.Thread(target=self._deliver_until_stopped, name="hub-courier", daemon=True)
        self._courier.start()

    def stop(self) -> None:
        """Stop the courier and wait for the report that is on its way."""
        self._stopping.set()
        if self._courier is not None:
            self._courier.join()
            self._courier = None

    def _deliver_until_stopped(self) -> None:
        is_failing = False
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                self.reporting.deliver_due()
                is_failing = False
            except Exception as error:  # noqa: BLE001  a supervisor: the courier outlives one bad round
                if not is_failing:
                    log.error("the hub's courier failed and goes on: %s", getattr(error, "code", type(error).__name__))
                is_failing = True

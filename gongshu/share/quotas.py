"""How much one partner may add here without anybody looking: beyond it a clear refusal, and nothing lost for others."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa

from gongshu.model.ids import PartyId
from gongshu.share.errors import PartnerAddsTooMuch

COUNTED_EVERY_S = 30.0
"""Between two counts a partner's additions are added up in memory, each process for itself, so none costs a count."""
PARTIES_MAX = 10_000
NOTICES_MAX, NOTICES_FOR = 100_000, timedelta(days=30)
"""Notices of one sender that are taken in so long, at most 8 KiB each: one in 26 seconds. All are kept. Ours."""
OPEN_MAX = 5_000
"""Negotiations, and transfers, of one partner that have not ended: five times what a node is measured with. Ours."""
OPEN_FOR = timedelta(days=1)
"""A started transfer of which no message came for so long counts no more: it stands until its contract ends, and other
connectors start one for each pull and complete none. So a partner may start one in 17 seconds. Ours."""
ENTRIES_MAX, ENTRIES_A_DAY = 1_000_000, 250_000
"""Entries, and receipts, of one contract, by their number in its chain, and how many more there may be with each day of
the contract: three a second. A page that shows a copy reads it each second, and each reading is a receipt. Ours."""
FAULTS_MAX = 1_000
"""Faults written down for one contract: enough to see what is wrong. Ours."""
PROOFS_MAX = 1_000
"""Deletion proofs of one contract, one for each key: a contract's data lie under one at a time. Ours."""


def entries_max(most: int, begun: datetime, now: datetime) -> int:
    """Return how many entries a contract may have that began so long ago.

    >>> begun = datetime(2026, 1, 1)
    >>> entries_max(1_000_000, begun, begun), entries_max(1_000_000, begun, datetime(2027, 1, 1))
    (1000000, 92250000)
    """
    return most + max(0, (now - begun).days) * ENTRIES_A_DAY


class Quota:
    """One bound for each partner. Threads share it."""

    def __init__(self, what: str, most: int, count: Callable[[PartyId], "sa.Select[int]"]) -> None:
        self._what = what
        self._most = most
        self._count = count
        self._lock = threading.Lock()
        self._seen: dict[PartyId, tuple[int, float]] = {}

    def take(self, connection: sa.Connection, party: PartyId) -> None:
        """Count one more of a partner. Raises: PartnerAddsTooMuch."""
        now = time.monotonic()
        with self._lock:
            known = self._seen.get(party)
        if known is None or now - known[1] >= COUNTED_EVERY_S or known[0] >= self._most:
            known = (int(connection.execute(self._count(party)).scalar_one()), now)
        if known[0] >= self._most:
            raise PartnerAddsTooMuch(party=party, what=self._what, most=self._most)
        with self._lock:
            if len(self._seen) >= PARTIES_MAX:
                self._seen.clear()
            self._seen[party] = (known[0] + 1, known[1])

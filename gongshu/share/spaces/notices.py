"""News on its way to members: written with the change that caused it, sent until the member's node has it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.ids import PartyId
from gongshu.share.ports import Clock, Reply
from gongshu.share.spaces.tables import space_notices

_N = space_notices.c

NOTICE_PATH = "/share/spaces/notices"
FIRST_S, LONGEST_S = 5.0, 3600.0
KEPT_TRYING = timedelta(days=30)
"""Where a node could not be reached for so long, its people ask for their standing: that counts like news."""
BATCH = 50


class PostWire(Protocol):
    """As much of the wire as news needs."""

    def post(self, party: PartyId, base: str, path: str, body: bytes) -> Reply:
        """Send one message below an address of the party."""
        ...


class NoticeSender:
    """Sends what is due. Two senders may send the same news; the receiver takes it once."""

    def __init__(self, database: Database, wire: PostWire, address_of: Callable[[PartyId], str], clock: Clock) -> None:
        self._database = database
        self._wire = wire
        self._address_of = address_of
        self._clock = clock

    def send_due(self) -> int:
        """Send to each member the oldest news of each space that it lacks, if it is due; return how much arrived.

        So news never overtakes older news of the same space, whatever has to be sent again, and news that a member
        does not take holds up none of another space. Who cannot be reached is tried once, not once for each space.
        """
        now = self._clock()
        oldest = sa.select(sa.func.min(_N.sequence)).where(_N.next_at.is_not(None)).group_by(_N.party_id, _N.space_id)
        is_due = sa.or_(_N.next_at <= now, _N.next_at > now + _FAR)
        due = sa.select(space_notices).where(_N.sequence.in_(oldest), is_due).order_by(_N.sequence).limit(BATCH)
        with self._database.connect() as connection:
            if connection.execute(sa.select(_N.sequence).where(_N.next_at.is_not(None)).limit(1)).first() is None:
                return 0
        with self._database.begin() as connection:
            late = sa.update(space_notices).where(_N.next_at.is_not(None), _N.created_at < now - KEPT_TRYING)
            connection.execute(late.values(next_at=None))
            rows = list(connection.execute(due))
        arrived, lost = 0, dict[str, str]()
        for row in rows:
            try:
                error = lost.get(row.party_id) or self._send(row)
            except GongshuError as cause:
                error = lost[row.party_id] = f"{cause} [{cause.code}]"
            arrived += not error
            self._note(row, error)
        return arrived

    def _send(self, row: Any) -> str:
        """Return why it was not taken, empty if it was. Raises: the wire's errors."""
        party = PartyId(row.party_id)
        reply = self._wire.post(party, self._address_of(party), NOTICE_PATH, orjson.dumps(row.content))
        return "" if reply.is_ok else f"status {reply.status_code}"

    def _note(self, row: Any, error: str) -> None:
        now = self._clock()
        values: dict[str, Any] = {"attempts": row.attempts + 1, "last_error": error[:500]}
        if not error:
            values |= {"delivered_at": now, "next_at": None}
        else:
            pause_s = min(FIRST_S * 2.0 ** min(row.attempts, 16), LONGEST_S)
            values["next_at"] = now + timedelta(seconds=pause_s)
        with self._database.begin() as connection:
            connection.execute(sa.update(space_notices).where(_N.notice_id == row.notice_id).values(**values))


_FAR = timedelta(seconds=LONGEST_S)
"""Nothing is planned further ahead; a later moment means that the clock was set back."""

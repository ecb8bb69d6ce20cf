"""How a stream is metered: in stretches between two positions, which both ends reached together.

Each end notes how many rows lay before each position it sent or kept. The consumer, who alone knows what it has kept,
draws a line over a stretch when the stream pauses, after a minute, or after a million rows; the provider answers with
what it sent in the same stretch. The bytes of a window differ when it is sent again, so the hash is over positions and
rows. A provider whose consumer draws no line in time draws one itself; where that crosses lines of the consumer's,
those count and the provider's does not. See decision 0082.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.share.dsp.states import Side
from gongshu.share.evidence.book import EvidenceBook
from gongshu.share.evidence.lines import MARKS
from gongshu.share.evidence.model import EvidenceSettings
from gongshu.share.evidence.tables import evidence_deliveries, stream_marks
from gongshu.share.keeping.chain import moment
from gongshu.share.ports import Clock
from gongshu.share.tables import share_deliveries, share_follows, share_processes, share_streams

LINE_EVERY = timedelta(minutes=1)
ROWS_MAX = 1_000_000
KEPT_FOR = timedelta(days=1)
"""Marks are kept after their line, so that a line of the other side that crossed ours can be answered."""
BASE = -1
"""The rows of the one mark of a stream that says up to where it stands in lines; its position is negative."""
STRETCH = re.compile(r"(\d{1,19})-(\d{1,19})")
_M, _P, _L, _D = stream_marks.c, share_processes.c, share_deliveries.c, evidence_deliveries.c


class StreamMeter:
    """Draws lines over streams, for one node."""

    def __init__(self, database: Database, book: EvidenceBook, clock: Clock, settings: EvidenceSettings) -> None:
        self._database = database
        self._book = book
        self._clock = clock
        self._late = timedelta(seconds=settings.line_within_s)

    def draw_due(self) -> int:
        """Draw the lines that are due; return how many there were."""
        with self._database.connect() as connection:
            known = sa.union(sa.select(share_streams.c.process_id), sa.select(share_follows.c.process_id))
            streams = list(connection.execute(known).scalars())
            due = [process_id for process_id in streams if self._stretch(connection, process_id) is not None]
        for process_id in due:
            with self._database.begin() as connection:
                process = _process(connection, process_id)
                agreement = self._book.lock(connection, process.agreement_id)
                stretch = self._stretch(connection, process_id)
                if stretch is not None:  # another process of this node may have been first
                    self._write(connection, agreement, process, *stretch)
                    if process.side == Side.CONSUMER:
                        named = self._covered(connection, agreement, process, stretch[1])
                        self._book.cover(connection, agreement, named)
        return len(due)

    def _stretch(self, connection: sa.Connection, process_id: str) -> tuple[int, int] | None:
        """Return the stretch over which a line is due now, None if none is."""
        start = _base_of(connection, process_id)
        fresh = sa.select(
            sa.func.max(_M.position).label("end"), sa.func.sum(_M.rows).label("rows"), sa.func.min(_M.at).label("since")
        ).where(_M.process_id == process_id, _M.rows > 0, _M.position > start)
        found = connection.execute(fresh).one()
        if found.end is None or not self._is_due(connection, _process(connection, process_id), found):
            return None
        return start, int(found.end)

    def _is_due(self, connection: sa.Connection, process: Any, found: Any) -> bool:
        age = self._clock() - found.since
        if process.side == Side.PROVIDER:
            return bool(age >= self._late)
        running = sa.select(_L.delivery_id).where(_L.process_id == process.process_id, _L.outcome == "open").limit(1)
        is_paused = connection.execute(running).first() is None
        return bool(is_paused or age >= LINE_EVERY or found.rows >= ROWS_MAX)

    def answer(self, connection: sa.Connection, agreement: Any, body: Mapping[str, Any]) -> None:
        """Draw our line over a stretch that the other side has drawn one over; a stream that is not ours gets none."""
        stretch = STRETCH.fullmatch(body["delivery"].removeprefix(f"{body['transfer']} "))
        if body["measure"] != MARKS or stretch is None:
            return
        pid = _P.process_id if agreement.side == Side.PROVIDER else _P.peer_pid
        mine = (pid == body["transfer"], _P.agreement_id == agreement.agreement_id, _P.side == agreement.side)
        process = connection.execute(sa.select(share_processes).where(*mine)).first()
        if process is None:
            return
        start, end, reached = int(stretch[1]), int(stretch[2]), _base_of(connection, process.process_id)
        if process.side == Side.CONSUMER and reached > start:
            # We have drawn lines of our own that the provider had not seen; a second one would count their rows twice.
            self._book.cover(connection, agreement, self._covered(connection, agreement, process, reached))
            return
        self._write(connection, agreement, process, start, end)
        if process.side == Side.PROVIDER:
            self._book.cover(connection, agreement, self._covered(connection, agreement, process, end))

    def _covered(self, connection: sa.Connection, agreement: Any, process: Any, reached: int) -> list[str]:
        """Return what the provider alone drew a line over, up to where the consumer's own lines reach."""
        line = _D.their_line if process.side == Side.PROVIDER else _D.own_line
        mine = (_D.agreement_id == agreement.agreement_id, line == "", _D.delivery.startswith(f"{_transfer(process)} "))
        names = connection.execute(sa.select(_D.delivery).where(*mine)).scalars().all()
        ends = {name: STRETCH.search(name) for name in names}
        return [name for name, stretch in ends.items() if stretch is not None and int(stretch[2]) <= reached]

    def _write(self, connection: sa.Connection, agreement: Any, process: Any, start: int, end: int) -> None:
        inside = (_M.process_id == process.process_id, _M.position > start, _M.position <= end)
        counted = sa.select(
            sa.func.sum(_M.rows).label("rows"), sa.func.min(_M.at).label("begun"), sa.func.max(_M.at).label("ended")
        ).where(*inside, _M.rows > 0)
        found = connection.execute(counted).one()
        transfer = _transfer(process)
        rows, now = int(found.rows or 0), self._clock()
        text = f"{transfer} {start}-{end} {rows}\n"
        fields = {
            "delivery": f"{transfer} {start}-{end}"[:200],
            "transfer": transfer,
            "rows": rows,
            "size_bytes": 0,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "measure": MARKS,
            "encoding": "arrow",
            "begun_at": moment(found.begun or now),
            "ended_at": moment(found.ended or now),
        }
        self._book.write_line(connection, agreement, fields)
        old = (_M.process_id == process.process_id, _M.rows > 0, _M.position < end, _M.at < now - KEPT_FOR)
        connection.execute(sa.delete(stream_marks).where(*old))
        _set_base(connection, process.process_id, end, now)


def _transfer(process: Any) -> str:
    """Return what both sides call a stream's transfer: the provider's id of it."""
    return str(process.process_id if process.side == Side.PROVIDER else process.peer_pid)


def _set_base(connection: sa.Connection, process_id: str, position: int, at: Any) -> None:
    if position > _base_of(connection, process_id):
        connection.execute(sa.delete(stream_marks).where(_M.process_id == process_id, _M.rows == BASE))
        values = {"process_id": process_id, "position": -position, "rows": BASE, "at": at}
        connection.execute(sa.insert(stream_marks).values(**values))


def _base_of(connection: sa.Connection, process_id: str) -> int:
    """Return up to where a stream stands in lines; 0 at its beginning."""
    query = sa.select(sa.func.min(_M.position)).where(_M.process_id == process_id, _M.position < 0)
    return -int(connection.execute(query).scalar() or 0)


def _process(connection: sa.Connection, process_id: str) -> Any:
    return connection.execute(sa.select(share_processes).where(_P.process_id == process_id)).one()

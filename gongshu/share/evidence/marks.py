"""Marks of a stream: how many rows lie before each position that was sent or kept. `streams` makes lines of them."""

from datetime import datetime

import sqlalchemy as sa

from gongshu.share.evidence.tables import stream_marks

_M = stream_marks.c


def note_mark(connection: sa.Connection, process_id: str, position: int, rows: int, at: datetime) -> None:
    """Write down that so many rows lie between the mark before and this position; said twice it counts once."""
    mine = (_M.process_id == process_id, _M.position == position)
    if rows > 0 and connection.execute(sa.select(_M.rows).where(*mine)).first() is None:
        values = {"process_id": process_id, "position": position, "rows": rows, "at": at}
        connection.execute(sa.insert(stream_marks).values(**values))


def drop_marks(connection: sa.Connection, process_id: str, after: int) -> None:
    """Forget what was sent behind a position: the consumer has not kept it and asks for it again."""
    mine = (_M.process_id == process_id, _M.position > after, _M.rows > 0)
    connection.execute(sa.delete(stream_marks).where(*mine))

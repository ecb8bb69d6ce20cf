"""From the meter's rows to signed lines: which deliveries are told to the other side, and what they are called there.

A pull and a push are named by the key that the request carried, so that both ends name them alike; a request without a
key came from a connector of another kind, and its line stays one-sided. Only deliveries that were sent or received to
their end are lines: what was cut stands in each side's own meter. A push counts once its receiver took it.
"""

from typing import Any

import sqlalchemy as sa

from gongshu.share.dsp.states import Side
from gongshu.share.keeping.chain import moment
from gongshu.share.tables import share_deliveries, share_processes, share_pushes

DUE, DONE = "due", "done"
BYTES, MARKS = "bytes", "marks"
"""What the hash is over: the body's bytes, or a stream's windows."""
BATCH = 200
_M, _P, _J = share_deliveries.c, share_processes.c, share_pushes.c


def due_deliveries(connection: sa.Connection) -> list[Any]:
    """Return complete deliveries that stand in no line yet, oldest first, each with what its process knows."""
    query = (
        sa.select(share_deliveries, _P.side, _P.peer_pid, _J.push_key, _J.delivered_at)
        .join(share_processes, _P.process_id == _M.process_id)
        .outerjoin(share_pushes, _J.delivery_id == _M.delivery_id)
        .where(_M.lined == DUE, _M.outcome == "complete")
        .where(sa.or_(_J.process_id.is_(None), _J.delivered_at.is_not(None)))
        .order_by(_M.delivery_id)
        .limit(BATCH)
    )
    return list(connection.execute(query))


def line_fields(row: Any) -> dict[str, Any]:
    """Return what a line says about one delivery."""
    provider_pid = row.process_id if row.side == Side.PROVIDER else row.peer_pid
    return {
        "delivery": (row.push_key or row.request_key or f"delivery-{row.delivery_id}")[:200],
        "transfer": provider_pid or "",
        "rows": row.rows,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
        "measure": BYTES,
        "encoding": row.encoding,
        "begun_at": moment(row.started_at),
        "ended_at": moment(row.finished_at or row.started_at),
    }


def mark_lined(connection: sa.Connection, delivery_id: int) -> None:
    """Note that a delivery stands in a line."""
    connection.execute(sa.update(share_deliveries).where(_M.delivery_id == delivery_id).values(lined=DONE))

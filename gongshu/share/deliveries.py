"""Reading the meter."""

from typing import Any

import sqlalchemy as sa

from gongshu.model.ids import PartyId
from gongshu.share.model import Delivery
from gongshu.share.tables import share_deliveries


def list_deliveries(connection: sa.Connection, *, agreement_id: str, limit: int, offset: int) -> list[Delivery]:
    """Return deliveries, newest first; all of them where no agreement is named."""
    query = sa.select(share_deliveries).order_by(share_deliveries.c.delivery_id.desc()).limit(limit).offset(offset)
    if agreement_id:
        query = query.where(share_deliveries.c.agreement_id == agreement_id)
    return [_delivery_of(row) for row in connection.execute(query)]


def _delivery_of(row: Any) -> Delivery:
    fields = dict(row._mapping)
    return Delivery(**{**fields, "counterparty": PartyId(row.counterparty)})

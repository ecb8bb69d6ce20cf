"""The beginning of an id for the whole: what a person types, and reads in a refusal; no message or program uses it."""

from collections.abc import Sequence
from enum import StrEnum

import sqlalchemy as sa

from gongshu.share.contract_tables import share_clearances, share_key_changes
from gongshu.share.errors import IdAmbiguous
from gongshu.share.tables import share_agreements, share_offers, share_processes

SHORTEST = 6
"""So many characters at least, after `urn:uuid:`: fewer are as good as a typing error. Ours."""
SHOWN_MAX = 10
_HEAD = "urn:uuid:"


class Named(StrEnum):
    """What an id stands for."""

    AGREEMENT = "agreement"
    OFFER = "offer"
    PROCESS = "process"
    DATASET = "dataset"
    CLEARANCE = "clearance"
    KEY_CHANGE = "key change"


_COLUMNS = {
    Named.AGREEMENT: share_agreements.c.agreement_id,
    Named.OFFER: share_offers.c.offer_id,
    Named.PROCESS: share_processes.c.process_id,
    Named.CLEARANCE: share_clearances.c.clearance_id,
    Named.KEY_CHANGE: share_key_changes.c.change_id,
}


def is_short(typed: str) -> bool:
    """True if the text is long enough to stand for an id that begins with it.

    >>> is_short("3f2a91"), is_short("urn:uuid:3f2"), is_short("orders")
    (True, False, True)
    """
    return len(typed.removeprefix(_HEAD)) >= SHORTEST and "\0" not in typed


def short_id(whole: str) -> str:
    """Return the beginning of an id that stands for it in a sentence and can be typed; other makers' ids stay whole.

    >>> short_id("urn:uuid:3f2a9100-1b2c-4d5e-a6f7-0123456789ab"), short_id("3f2a9100"), short_id("urn:uuid:1")
    ('3f2a9100', '3f2a9100', 'urn:uuid:1')
    """
    beginning = whole.removeprefix(_HEAD).partition("-")[0]
    return beginning if whole.startswith(_HEAD) and is_short(beginning) else whole


def find_ids(connection: sa.Connection, named: Named, typed: str) -> list[str]:
    """Return the ids that begin with what was typed, with or without `urn:uuid:`; one more than are shown at most."""
    column = _COLUMNS[named]
    begins = [column.startswith(head + typed, autoescape=True) for head in ("", _HEAD)]
    query = sa.select(column).where(sa.or_(column == typed, *begins))
    # What was typed whole comes first, however many longer ids begin with it.
    return list(connection.execute(query.order_by(column != typed, column).limit(SHOWN_MAX + 1)).scalars())


def choose_id(named: Named, typed: str, found: Sequence[str]) -> str:
    """Return the id that was meant; what was typed, where nothing begins with it.

    Raises: IdAmbiguous.

    >>> choose_id(Named.DATASET, "orders", ["orders", "orders_2026"]), choose_id(Named.OFFER, "3f2a91", [])
    ('orders', '3f2a91')
    """
    if typed in found or not found:
        return typed
    if len(found) > 1:
        more = ", …" if len(found) > SHOWN_MAX else ""
        raise IdAmbiguous(typed=typed[:200], kind=named.value, ids=", ".join(found[:SHOWN_MAX]) + more)
    return found[0]

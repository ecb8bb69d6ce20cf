"""Finding entries by meaning: terms of the question, weighed by their rarity, summed over the entries that hold them.

The inverted index is an ordinary table, so that SQLite and PostgreSQL rank alike, and entry and terms change in one
transaction.
"""

import math
from collections.abc import Collection
from datetime import datetime

import orjson
import sqlalchemy as sa

from gongshu.model.ids import PartyId
from gongshu.secure.tables import parties as registered
from gongshu.share.crawl.model import Found
from gongshu.share.crawl.tables import share_crawl_entries, share_search_postings

_E, _S = share_crawl_entries.c, share_search_postings.c

_ALL = sa.true()
POSTINGS_MAX = 60_000
"""Postings that one question may add up: the rarest terms first, at least one. Bounds the time, chosen by us."""
TERMS_ASKED_MAX = 60


def find(
    connection: sa.Connection,
    wanted: dict[str, float],
    *,
    own_party: PartyId,
    parties: Collection[PartyId],
    limit: int,
    among: sa.ColumnElement[bool] = _ALL,
) -> list[Found]:
    """Return the best entries for weighed terms, best first; with `parties`, of these alone; `among` is a condition.

    Cost: one count by index for the terms, one sum over at most `POSTINGS_MAX` postings, one read of the hits.
    """
    weights = _by_rarity(connection, dict(sorted(wanted.items(), key=lambda pair: -pair[1])[:TERMS_ASKED_MAX]))
    if not weights:
        return []
    weight = sa.case(*((_S.term == term, value) for term, value in weights.items()), else_=0.0)
    score = sa.func.sum(_S.impact * weight).label("score")
    query = (
        sa.select(_S.entry_id, score)
        .join(share_crawl_entries, _E.entry_id == _S.entry_id)
        .where(_S.term.in_(list(weights)), _E.shown, among)
        .group_by(_S.entry_id)
        .order_by(score.desc(), _S.entry_id)
        .limit(limit)
    )
    if parties:
        query = query.where(_E.party_id.in_(list(parties)))
    scores = {row.entry_id: float(row.score) for row in connection.execute(query)}
    rows = connection.execute(sa.select(share_crawl_entries).where(_E.entry_id.in_(list(scores))))
    found = [
        Found(
            PartyId(row.party_id),
            row.dataset_id,
            row.title,
            row.description,
            len(orjson.loads(row.document).get("offers", ())),
            round(scores[row.entry_id], 4),
            is_own=row.party_id == own_party,
        )
        for row in rows
    ]
    return sorted(found, key=lambda hit: (-hit.score, hit.party, hit.dataset_id))


def is_of_known(own_party: PartyId, now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that an entry is ours or of a party that is registered: who was forgotten offers nothing."""
    until = registered.c.valid_until
    known = sa.select(registered.c.party_id).where(sa.or_(until.is_(None), until > now))
    return sa.or_(_E.party_id == own_party, _E.party_id.in_(known))


def _by_rarity(connection: sa.Connection, wanted: dict[str, float]) -> dict[str, float]:
    """Return the weights times the rarity of each term (the idf of BM25), without the commonest where too many."""
    counted = sa.select(_S.term, sa.func.count().label("held")).where(_S.term.in_(list(wanted))).group_by(_S.term)
    held = {row.term: int(row.held) for row in connection.execute(counted)}
    newest = connection.execute(sa.select(sa.func.max(_E.entry_id))).scalar() or 0
    weights: dict[str, float] = {}
    read = 0
    for term, count in sorted(held.items(), key=lambda pair: (pair[1], pair[0])):
        read += count
        if weights and read > POSTINGS_MAX:
            break
        rarity = math.log(1 + (max(newest, count) - count + 0.5) / (count + 0.5))
        weights[term] = wanted[term] * rarity
    return weights

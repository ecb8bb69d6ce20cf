"""The crawl's rows. Every write of a run is fenced by its run id: who lost the party writes nothing more."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.model.ids import PartyId
from gongshu.prepared import Prepared
from gongshu.share.crawl.errors import CrawlOvertaken
from gongshu.share.crawl.model import Crawl, Entry, Pass
from gongshu.share.crawl.tables import share_crawl_entries, share_crawl_pages, share_crawls, share_search_postings
from gongshu.share.crawl.words import Thesaurus, plain

_C, _P, _E, _S = share_crawls.c, share_crawl_pages.c, share_crawl_entries.c, share_search_postings.c
_SOME = 400
"""Ids in one statement."""
ERROR_MAX = 500

_OF_PARTY = _E.party_id == sa.bindparam("party")
_PAGES_OF_PARTY = _P.party_id == sa.bindparam("party")
_UPDATE_HELD = Prepared(
    sa.update(share_crawls).where(_C.party_id == sa.bindparam("held_by"), _C.run_id == sa.bindparam("held_as"))
)
_VISITED = Prepared(sa.select(_P.address).where(_PAGES_OF_PARTY))
_NOTE_PAGE = Prepared(sa.insert(share_crawl_pages))
_DROP_PAGES = Prepared(sa.delete(share_crawl_pages).where(_PAGES_OF_PARTY))
_SEEN = Prepared(sa.select(_P.dataset_ids).where(_PAGES_OF_PARTY))
_INSERT_ENTRY = Prepared(sa.insert(share_crawl_entries).returning(_E.entry_id))
_STAGED = Prepared(sa.select(_E.entry_id, _E.dataset_id).where(_OF_PARTY, _E.shown.is_(False)))
_SHOWN = Prepared(sa.select(_E.dataset_id, _E.missed).where(_OF_PARTY, _E.shown))
_NOT_MISSED = Prepared(sa.update(share_crawl_entries).where(_OF_PARTY, _E.shown, _E.missed > 0))
_SHOW = Prepared(sa.update(share_crawl_entries).where(_OF_PARTY, _E.shown.is_(False)))
_COUNT_SHOWN = Prepared(sa.select(sa.func.count()).select_from(share_crawl_entries).where(_OF_PARTY, _E.shown))

NO_PASS: dict[str, Any] = {
    "pass_began_at": None,
    "pass_stamp": "",
    "pass_next": "",
    "pass_pages": 0,
    "pass_size_bytes": 0,
    "pass_exact": True,
}


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page on its way into the table."""

    number: int
    address: str
    entries: Sequence[Entry]


def crawl_of(row: Any, *, is_running: bool) -> Crawl:
    """Return a row as people see it."""
    return Crawl(
        PartyId(row.party_id),
        row.interval_s,
        row.entries,
        row.stamp,
        row.completed_at,
        row.checked_at,
        row.next_at,
        row.failures,
        row.last_error,
        is_running,
        row.pass_pages,
    )


def pass_of(row: Any) -> Pass | None:
    """Return the pass under way, None if there is none."""
    if row.pass_began_at is None:
        return None
    return Pass(
        row.pass_began_at, row.pass_stamp, row.pass_next, row.pass_pages, row.pass_size_bytes, is_exact=row.pass_exact
    )


def pass_values(current: Pass) -> dict[str, Any]:
    """Return the columns that hold a pass."""
    return {
        "pass_began_at": current.began_at,
        "pass_stamp": current.stamp,
        "pass_next": current.next_page,
        "pass_pages": current.pages,
        "pass_size_bytes": current.size_bytes,
        "pass_exact": current.is_exact,
    }


def update_held(connection: sa.Connection, party: PartyId, run_id: str, values: dict[str, Any]) -> None:
    """Change the party's row, as the run that holds it. Raises: CrawlOvertaken."""
    if _UPDATE_HELD.run(connection, {"held_by": party, "held_as": run_id, **values}) != 1:
        raise CrawlOvertaken(party=party)


def visited(connection: sa.Connection, party: PartyId) -> set[str]:
    """Return the addresses of the pages read in the pass under way."""
    return {row.address for row in _VISITED.all(connection, {"party": party})}


def stage_page(
    connection: sa.Connection,
    thesaurus: Thesaurus,
    party: PartyId,
    read: ReadPage,
    now: datetime,
) -> None:
    """Note a page of the pass, and stage those of its entries that differ from what is shown."""
    newest = {entry.dataset_id: entry for entry in read.entries}
    noted = {"party_id": party, "page": read.number, "address": read.address, "dataset_ids": list(newest)}
    _NOTE_PAGE.run(connection, noted)
    known = _rows(connection, party, newest)
    shown = {row.dataset_id: row for row in known if row.shown}
    _remove(connection, [row.entry_id for row in known if not row.shown])
    for entry in newest.values():
        before = shown.get(entry.dataset_id)
        if before is None or before.digest != entry.digest:
            first = now if before is None else before.first_seen_at
            insert_entry(connection, thesaurus, party, entry, first_seen_at=first, now=now)


def insert_entry(
    connection: sa.Connection,
    thesaurus: Thesaurus,
    party: PartyId,
    entry: Entry,
    *,
    first_seen_at: datetime,
    now: datetime,
) -> None:
    """Stage an entry with the terms it is found by."""
    title, description = plain(entry.title), plain(entry.description)
    values = {
        "party_id": party,
        "dataset_id": entry.dataset_id,
        "shown": False,
        "title": title,
        "description": description,
        "document": orjson.dumps(entry.document).decode(),
        "digest": entry.digest,
        "first_seen_at": first_seen_at,
        "changed_at": now,
    }
    key = _INSERT_ENTRY.scalar(connection, values)
    impacts = thesaurus.impacts(f"{title} {entry.dataset_id}", description)
    rows = [{"term": term, "entry_id": key, "impact": impact} for term, impact in impacts.items()]
    if rows:
        connection.execute(sa.insert(share_search_postings), rows)


def drop_pass(connection: sa.Connection, party: PartyId) -> None:
    """Forget the pass under way and everything it staged; the caller clears the party's own columns."""
    _DROP_PAGES.run(connection, {"party": party})
    _remove(connection, [row.entry_id for row in _STAGED.all(connection, {"party": party})])


def missing(connection: sa.Connection, party: PartyId) -> tuple[dict[str, int], str]:
    """Return what is shown but was on no page of the pass, with how often it was lacking before; and what was seen.

    The latter as a digest over the ids.
    """
    seen: set[str] = set()
    for page in _SEEN.all(connection, {"party": party}):
        seen.update(page.dataset_ids)
    shown = _SHOWN.all(connection, {"party": party})
    lacking = {row.dataset_id: row.missed for row in shown if row.dataset_id not in seen}
    return lacking, hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()


def swap(
    connection: sa.Connection, party: PartyId, gone: Collection[str], waiting: Collection[str]
) -> tuple[int, int, int]:
    """Show what the pass staged in place of what it replaces; return how many are new, replaced, and shown in all."""
    _NOT_MISSED.run(connection, {"party": party, "missed": 0})
    for ids in _chunks(waiting):
        missed = sa.update(share_crawl_entries).where(_E.party_id == party, _E.shown, _E.dataset_id.in_(ids))
        connection.execute(missed.values(missed=_E.missed + 1))
    for ids in _chunks(gone):
        _remove(connection, [row.entry_id for row in _rows(connection, party, ids) if row.shown])
    staged = [row.dataset_id for row in _STAGED.all(connection, {"party": party})]
    updated = 0
    for ids in _chunks(staged):
        replaced = [row.entry_id for row in _rows(connection, party, ids) if row.shown]
        _remove(connection, replaced)
        updated += len(replaced)
    _SHOW.run(connection, {"party": party, "shown": True})
    _DROP_PAGES.run(connection, {"party": party})
    return len(staged) - updated, updated, _COUNT_SHOWN.scalar(connection, {"party": party}) or 0


def forget(connection: sa.Connection, party: PartyId) -> None:
    """Remove a party with everything known of it."""
    drop_pass(connection, party)
    _remove(connection, list(connection.execute(sa.select(_E.entry_id).where(_E.party_id == party)).scalars()))
    connection.execute(sa.delete(share_crawls).where(_C.party_id == party))


def _rows(connection: sa.Connection, party: PartyId, dataset_ids: Iterable[str]) -> list[Any]:
    columns = sa.select(_E.entry_id, _E.dataset_id, _E.shown, _E.digest, _E.first_seen_at)
    found: list[Any] = []
    for ids in _chunks(list(dataset_ids)):
        found += connection.execute(columns.where(_E.party_id == party, _E.dataset_id.in_(ids)))
    return found


def _remove(connection: sa.Connection, entry_ids: Sequence[int]) -> None:
    for ids in _chunks(entry_ids):
        connection.execute(sa.delete(share_search_postings).where(_S.entry_id.in_(ids)))
        connection.execute(sa.delete(share_crawl_entries).where(_E.entry_id.in_(ids)))


def _chunks(values: Collection[Any]) -> Iterable[list[Any]]:
    whole = list(values)
    return (whole[start : start + _SOME] for start in range(0, len(whole), _SOME))


def show_entry(connection: sa.Connection, thesaurus: Thesaurus, party: PartyId, entry: Entry, now: datetime) -> None:
    """Put one entry into the index at once, in place of an older one; for catalogues that are kept in this database."""
    hide_entry(connection, party, entry.dataset_id)
    insert_entry(connection, thesaurus, party, entry, first_seen_at=now, now=now)
    staged = sa.update(share_crawl_entries).where(_E.party_id == party, _E.dataset_id == entry.dataset_id)
    connection.execute(staged.values(shown=True))


def hide_entry(connection: sa.Connection, party: PartyId, dataset_id: str) -> None:
    """Take one entry out of the index, if it is there."""
    _remove(connection, [row.entry_id for row in _rows(connection, party, [dataset_id])])

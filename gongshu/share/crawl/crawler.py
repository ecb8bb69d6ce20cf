"""One run over one party: ask for the stamp, read page after page, swap what is shown when the last one is there.

Each step is one transaction, so a run may end anywhere: the next one goes on where it stood. What readers see changes
in the last step alone.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.ids import PartyId
from gongshu.prepared import Prepared
from gongshu.share.crawl import store
from gongshu.share.crawl.errors import CatalogueBroken, CrawlBusy, CrawlOvertaken, NotFollowed, PeerBusy
from gongshu.share.crawl.model import Bounds, Outcome, Page, Pass
from gongshu.share.crawl.passes import (
    WAIT_MAX,
    Broken,
    Complete,
    decide_absences,
    is_due,
    is_free,
    is_stale,
    judge_page,
    plan_next,
)
from gongshu.share.crawl.sources import Source
from gongshu.share.crawl.tables import share_crawls
from gongshu.share.crawl.words import Thesaurus
from gongshu.share.errors import PeerAnswerInvalid, PeerUnreachable
from gongshu.share.ports import Clock

_C = share_crawls.c

_AGAIN = (PeerUnreachable, PeerAnswerInvalid)
"""Worth another try at once; what asks for a pause gets one."""

CANDIDATES = 64
"""Parties looked at when one is sought; more than are ever read at the same time."""

_IS_PARTY = _C.party_id == sa.bindparam("party")
_DUE = Prepared(
    sa.select(_C.party_id, _C.lease_until)
    .where(sa.or_(_C.next_at <= sa.bindparam("now"), _C.next_at > sa.bindparam("too_late")))
    .order_by(_C.next_at)
    .limit(CANDIDATES)
)
_LOCK = Prepared(sa.select(share_crawls).where(_IS_PARTY).with_for_update())
_HOLD = Prepared(sa.update(share_crawls).where(_C.party_id == sa.bindparam("held_by")))
_FAILURES = Prepared(sa.select(_C.failures).where(_IS_PARTY))


@dataclass(frozen=True, slots=True)
class _Claim:
    """A party held by one run, as its row stood then."""

    party: PartyId
    run_id: str
    interval_s: int
    stamp: str
    seen_digest: str
    current: Pass | None


class Crawler:
    """Reads catalogues into the index. Threads and processes may share the database; a party has one run at a time."""

    def __init__(
        self,
        database: Database,
        source_of: Callable[[PartyId], Source],
        thesaurus: Thesaurus,
        clock: Clock,
        *,
        bounds: Bounds,
        pause: Callable[[float], bool],
    ) -> None:
        self._database = database
        self._source_of = source_of
        self._thesaurus = thesaurus
        self._clock = clock
        self._bounds = bounds
        self._pause = pause

    def crawl_due(self) -> Outcome | None:
        """Read one party that is due and return what changed; None if none is due.

        Raises: a GongshuError when the party could not be read, noted and planned again; CrawlOvertaken.
        """
        for party in self.due():
            claimed = self._claim(party, is_forced=False)
            if claimed is not None:
                return self._run(claimed)
        return None

    def due(self) -> list[PartyId]:
        """Return parties that are due and that no run holds, the longest due first."""
        now = self._clock()
        with self._database.connect() as connection:
            rows = _DUE.all(connection, {"now": now, "too_late": now + WAIT_MAX})
        return [PartyId(row.party_id) for row in rows if is_free(row.lease_until, now, self._bounds)]

    def crawl(self, party: PartyId) -> Outcome:
        """Read one party now. Raises: NotFollowed; CrawlBusy; and as `crawl_due`."""
        claimed = self._claim(party, is_forced=True)
        if claimed is None:
            raise CrawlBusy(party=party)
        return self._run(claimed)

    def _claim(self, party: PartyId, *, is_forced: bool) -> "_Claim | None":
        """Return the party, held by a new run; None if it is not due or another run holds it."""
        run_id = secrets.token_hex(16)
        with self._database.begin() as connection:
            row = _LOCK.first(connection, {"party": party})
            now = self._clock()
            if row is None:
                if is_forced:
                    raise NotFollowed(party=party[:200])
                return None
            if not is_free(row.lease_until, now, self._bounds) or not (is_forced or is_due(row.next_at, now)):
                return None
            values: dict[str, Any] = {"run_id": run_id, "lease_until": now + self._bounds.lease}
            current = store.pass_of(row)
            if current is not None and is_stale(current, now, self._bounds):
                store.drop_pass(connection, party)
                values |= store.NO_PASS
                current = None
            _HOLD.run(connection, {"held_by": party, **values})
            return _Claim(party, run_id, row.interval_s, row.stamp, row.seen_digest, current)

    def _run(self, row: _Claim) -> Outcome:
        party = row.party
        try:
            current = row.current
            if current is None:
                stamp = self._source_of(party).stamp(party)
                if stamp and stamp == row.stamp:
                    return self._unchanged(row)
                current = Pass(self._clock(), stamp)
            return self._read(row, current)
        except CrawlOvertaken:
            raise
        except GongshuError as error:
            self._note_failure(row, error)
            raise

    def _unchanged(self, row: _Claim) -> Outcome:
        now = self._clock()
        with self._database.begin() as connection:
            values = {"checked_at": now, "next_at": plan_next(now, row.interval_s), **_ENDED_WELL}
            store.update_held(connection, row.party, row.run_id, values)
        return Outcome(row.party, changed=False)

    def _read(self, row: _Claim, current: Pass) -> Outcome:
        party, visited = row.party, set[str]()
        if current.pages:
            with self._database.connect() as connection:
                visited = store.visited(connection, party)
        while True:
            address = current.next_page
            page = self._fetch(party, address)
            verdict = judge_page(current, page, visited, self._bounds)
            if isinstance(verdict, Broken):
                raise CatalogueBroken(party=party, reason=verdict.reason)
            if isinstance(verdict, Complete):
                return self._finish(row, verdict.current, page, address)
            self._keep(row, verdict.current, page, address)
            visited.add(address)
            current = verdict.current
            if self._pause(self._bounds.pause_s):
                return self._leave(row, current)

    def _fetch(self, party: PartyId, address: str) -> Page:
        for _ in range(self._bounds.tries_max - 1):
            try:
                return self._source_of(party).page(party, address)
            except _AGAIN:
                self._pause(self._bounds.pause_s)
        return self._source_of(party).page(party, address)

    def _keep(self, row: _Claim, current: Pass, page: Page, address: str) -> None:
        now = self._clock()
        with self._database.begin() as connection:
            values = {**store.pass_values(current), "lease_until": now + self._bounds.lease, "failures": 0}
            store.update_held(connection, row.party, row.run_id, values)
            self._stage(connection, row, current, page, address)

    def _stage(self, connection: sa.Connection, row: _Claim, current: Pass, page: Page, address: str) -> None:
        read = store.ReadPage(current.pages, address, page.entries)
        store.stage_page(connection, self._thesaurus, row.party, read, self._clock())

    def _finish(self, row: _Claim, current: Pass, page: Page, address: str) -> Outcome:
        party, now = row.party, self._clock()
        with self._database.begin() as connection:
            store.update_held(connection, party, row.run_id, {"run_id": row.run_id})
            self._stage(connection, row, current, page, address)
            lacking, seen_digest = store.missing(connection, party)
            is_proof = current.is_exact or seen_digest == row.seen_digest
            gone, waiting = decide_absences(lacking, is_proof=is_proof)
            added, updated, shown = store.swap(connection, party, gone, waiting)
            values = {
                "entries": shown,
                "stamp": "" if waiting else current.stamp,
                "seen_digest": seen_digest,
                "completed_at": now,
                "checked_at": now,
                "next_at": plan_next(now, row.interval_s),
                **store.NO_PASS,
                **_ENDED_WELL,
            }
            store.update_held(connection, party, row.run_id, values)
        return Outcome(party, True, added, updated, len(gone), current.pages)

    def _leave(self, row: _Claim, current: Pass) -> Outcome:
        """Let go of the party in the middle of a pass, because the node stops; the next start goes on at once."""
        with self._database.begin() as connection:
            values = {"run_id": "", "lease_until": None, "next_at": self._clock()}
            store.update_held(connection, row.party, row.run_id, values)
        return Outcome(row.party, False, pages=current.pages)

    def _note_failure(self, row: _Claim, error: GongshuError) -> None:
        """Plan the next attempt; a pass goes on only where the network or a pause was the reason."""
        party, now = row.party, self._clock()
        wait_s = float(str(error.fields["wait_s"])) if isinstance(error, PeerBusy) else 0.0
        with self._database.begin() as connection:
            failures = (_FAILURES.scalar(connection, {"party": party}) or 0) + 1
            values: dict[str, Any] = {
                "failures": failures,
                "last_error": f"{error} [{error.code}]"[: store.ERROR_MAX],
                "next_at": plan_next(now, row.interval_s, failures=failures, wait_s=wait_s),
                "run_id": "",
                "lease_until": None,
            }
            if not isinstance(error, (PeerBusy, *_AGAIN)) or failures >= self._bounds.tries_max:
                store.drop_pass(connection, party)
                values |= store.NO_PASS
            store.update_held(connection, party, row.run_id, values)


_ENDED_WELL: dict[str, Any] = {"failures": 0, "last_error": "", "run_id": "", "lease_until": None}

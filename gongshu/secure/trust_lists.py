"""The trust lists of other spaces that this node believes: read again every half minute, and put in force.

A member of a believed list is a party like one that people registered, until the list ends, drops it, or is forgotten;
then nothing of it is taken and what flows to it ends. Source: decision 0061.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gongshu.database import Database, settles_races
from gongshu.errors import GongshuError
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.dcp.did import LOOPBACK
from gongshu.secure.dcp.fetching import Fetch
from gongshu.secure.errors import PartyKeyDiffers, PartyUnknown, TrustListInvalid, TrustListUnknown
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.tables import parties as party_table
from gongshu.secure.tables import trust_lists
from gongshu.secure.trust_documents import LENGTH_MAX, TrustList, read_trust_list

EVERY_S = 30.0
"""With the reading itself below a minute, within which a removal has to work. Chosen by us."""
ACTOR = "system:trust"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Believed:
    """One list in force."""

    space_id: str
    source: str
    fingerprint: str
    serial: int
    valid_until: datetime
    read_at: datetime
    members: int
    problem: str
    """What was wrong when it was last read, empty if nothing was."""


class TrustLists:
    """Believes lists, reads them again, forgets them. Changes are audited."""

    def __init__(
        self,
        database: Database,
        parties: PartyRegistry,
        audit: AuditSink,
        clock: Callable[[], datetime],
        fetch: Fetch,
        own_party_id: PartyId,
        schemes: Iterable[str],
    ) -> None:
        self._database = database
        self._parties = parties
        self._audit = audit
        self._clock = clock
        self._fetch = fetch
        self._own = own_party_id
        self._schemes = frozenset(schemes)
        self._working = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, source: str, fingerprint: str, *, actor: str = ACTOR) -> Believed:
        """Believe the list of a file or address whose operator's fingerprint was compared; its members are known.

        Raises: TrustListInvalid; PartyKeyDiffers if it names somebody who is known here by another key.
        """
        text, read = self._read(source)
        if fingerprint.strip() != read.fingerprint:
            raise TrustListInvalid(space=read.space_id, reason="the fingerprint read out to you is not its operator's")
        read.require_current(self._clock())
        with self._working:
            former = self._row(read.space_id)
            if former is not None:
                _require_successor(former, read)
            for member in read.members:
                self._require_same(member)
            self._store(source, text, read)
            details: dict[str, Any] = {"serial": read.serial, "fingerprint": read.fingerprint, "source": source}
            self._write(actor, "trust.added", read.space_id, details)
            self._apply()
        return next(believed for believed in self.all() if believed.space_id == read.space_id)

    def remove(self, space_id: str, *, actor: str = ACTOR) -> None:
        """Believe a space's list no more: its members become unknown.

        Raises: TrustListUnknown.
        """
        with self._working:
            with self._database.begin() as connection:
                if not connection.execute(sa.delete(trust_lists).where(trust_lists.c.space_id == space_id)).rowcount:
                    raise TrustListUnknown(space=space_id[:200])
                self._write(actor, "trust.removed", space_id, {})
            self._apply()

    def refresh(self) -> None:
        """Read every list again from where it came, and put in force what they say now.

        A list that cannot be read, is older or altered changes nothing: the former stays in force until it ends.
        """
        with self._working:
            for row in self._rows():
                problem = ""
                try:
                    text, read = self._read(row.source)
                    read.require_current(self._clock())
                    _require_successor(row, read)
                    self._store(row.source, text, read)
                except GongshuError as failed:
                    problem = str(failed)[:500]
                self._note(row.space_id, problem)
            self._apply()

    def all(self) -> list[Believed]:
        """Return the lists that are believed, by space."""
        found = []
        for row in self._rows():
            count = len(read_trust_list(row.document).members)
            found.append(
                Believed(
                    row.space_id,
                    row.source,
                    row.fingerprint,
                    row.serial,
                    row.valid_until,
                    row.read_at,
                    count,
                    row.problem,
                )
            )
        return found

    def start(self) -> None:
        """Read the lists again every half minute, in a thread of its own, until `stop`."""
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name="trust-lists", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        was_lost = False
        while not self._ended.is_set():
            try:
                self.refresh()
                was_lost = False
            except (GongshuError, SQLAlchemyError):  # lists end by themselves, so a fault here opens nothing
                if not was_lost:
                    LOG.exception("trust.refresh_failed")
                was_lost = True
            self._ended.wait(EVERY_S)

    def _read(self, source: str) -> tuple[str, TrustList]:
        """Return a list as it is written, and what it says. Raises: TrustListInvalid, or what the fetching raises."""
        parts = urlsplit(source)
        if parts.scheme in ("http", "https"):
            if parts.scheme == "http" and parts.hostname not in LOOPBACK:
                raise TrustListInvalid(space="?", reason="an address has to begin with https:")
            answer = self._fetch(Party(PartyId("urn:gongshu:trust-list"), "", ""), source)
            text = answer.decode("utf-8", "replace")
            return text, read_trust_list(text)
        try:
            with Path(source).open(encoding="utf-8", errors="replace") as file:
                text = file.read(LENGTH_MAX + 1)
        except (OSError, ValueError) as cause:
            raise TrustListInvalid(space="?", reason=f"{source[:200]} cannot be read") from cause
        return text, read_trust_list(text)

    def _apply(self) -> None:
        """Bring the register in line with all lists in force."""
        wanted, disputed = self._wanted()
        with self._database.connect() as connection:
            rows = connection.execute(
                sa.select(party_table.c.party_id, party_table.c.space).where(party_table.c.space != "")
            ).all()
        for row in rows:
            if row.party_id not in wanted:
                self._drop(PartyId(row.party_id))
        for party_id, member in wanted.items():
            try:
                self._take(member)
            except GongshuError as refused:
                self._note(member.space, f"{party_id}: {refused}"[:500])
        for space, party_id in disputed:
            self._note(space, f"{party_id} has another key in the list of another space; neither is taken")

    def _wanted(self) -> tuple[dict[str, Party], list[tuple[str, str]]]:
        """Return the members of all current lists, and the pairs of space and party that two lists disagree about."""
        wanted: dict[str, Party] = {}
        disputed: list[tuple[str, str]] = []
        for row in self._rows():
            if row.valid_until <= self._clock():
                continue
            for member in read_trust_list(row.document).members:
                if member.party_id == self._own or member.identity not in self._schemes:
                    continue
                other = wanted.setdefault(member.party_id, member)
                if _proof_of(other) != _proof_of(member):
                    disputed += [(other.space, member.party_id), (member.space, member.party_id)]
        for _, party_id in disputed:
            wanted.pop(party_id, None)
        return wanted, disputed

    def _take(self, member: Party) -> None:
        """Register a member, or follow a change of its own list. Raises: PartyKeyDiffers."""
        known = self._known(member.party_id)
        if known is None:
            self._parties.add(member, actor=ACTOR)
        elif known.space == "":
            self._require_same(member)  # who was registered by hand stays as registered
        elif _proof_of(known) != _proof_of(member):
            self._parties.replace(member, actor=ACTOR)
        elif known != member:
            self._parties.add(member, actor=ACTOR)

    def _require_same(self, member: Party) -> None:
        known = self._known(member.party_id)
        if known is not None and known.space != member.space and _proof_of(known) != _proof_of(member):
            raise PartyKeyDiffers(
                party_id=member.party_id,
                what="proof of identity",
                known=known.fingerprint or known.certificate_pin or known.identity,
                offered=member.fingerprint or member.certificate_pin or member.identity,
            )

    def _known(self, party_id: PartyId) -> Party | None:
        try:
            return self._parties.get(party_id)
        except PartyUnknown:
            self._drop(party_id)
            return None

    def _drop(self, party_id: PartyId) -> None:
        try:
            self._parties.remove(party_id, actor=ACTOR)
        except PartyUnknown:
            return

    def _rows(self) -> list[Any]:
        with self._database.connect() as connection:
            return list(connection.execute(sa.select(trust_lists).order_by(trust_lists.c.space_id)))

    def _row(self, space_id: str) -> Any:
        return next((row for row in self._rows() if row.space_id == space_id), None)

    @settles_races
    def _store(self, source: str, text: str, read: TrustList) -> None:
        now = self._clock()
        values = {
            "source": source,
            "fingerprint": read.fingerprint,
            "serial": read.serial,
            "document": text,
            "valid_until": read.valid_until,
            "read_at": now,
            "problem": "",
        }
        with self._database.begin() as connection:
            change = sa.update(trust_lists).where(trust_lists.c.space_id == read.space_id).values(**values)
            if not connection.execute(change).rowcount:
                new = sa.insert(trust_lists).values(space_id=read.space_id, added_at=now, **values)
                connection.execute(new)

    def _note(self, space_id: str, problem: str) -> None:
        with self._database.begin() as connection:
            change = sa.update(trust_lists).where(trust_lists.c.space_id == space_id)
            connection.execute(change.values(problem=problem))

    def _write(self, actor: str, action: str, space_id: str, details: dict[str, Any]) -> None:
        self._audit.write(AuditEvent(self._clock(), actor, action, space_id, "ok", details))


def _require_successor(former: Any, read: TrustList) -> None:
    """Refuse what does not follow on the list we have. Raises: TrustListInvalid."""
    reason = ""
    if read.space_id != former.space_id or read.fingerprint != former.fingerprint:
        reason = "it is another space's or another operator's; forget the former first if that is right"
    elif read.serial < former.serial:
        reason = f"its serial {read.serial} is older than {former.serial}, which was read before"
    elif read.serial == former.serial and read != read_trust_list(former.document):
        reason = f"its serial {read.serial} stands for another list"
    if reason:
        raise TrustListInvalid(space=read.space_id, reason=reason)


def _proof_of(party: Party) -> tuple[str, str, str]:
    """Return by what a party proves itself."""
    return party.fingerprint, party.certificate_pin, party.identity

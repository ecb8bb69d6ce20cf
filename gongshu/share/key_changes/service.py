"""Asking and confirming, in two people's names, that what was agreed with a party goes on under another key."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.access import Role, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.tables import parties
from gongshu.share.contract_tables import share_group_members, share_key_changes, share_places
from gongshu.share.dsp.states import FINAL
from gongshu.share.key_changes.errors import (
    KeyChangeNeedless,
    KeyChangeRefused,
    KeyChangeUnexplained,
    KeyChangeUnknown,
)
from gongshu.share.model import AgreementStatus
from gongshu.share.ports import Clock
from gongshu.share.rights import LOOKERS, require_right
from gongshu.share.signals import new_urn
from gongshu.share.spaces.states import Standing
from gongshu.share.spaces.tables import space_members
from gongshu.share.tables import share_agreements, share_offer_parties, share_offers, share_processes

REQUESTERS = frozenset({Role.PRODUCT_OWNER, Role.STEWARD})
CONFIRMERS = frozenset({Role.STEWARD, Role.SECURITY_ADMIN})
REASON_MAX = 2000
"""Letters of the reason of a request. Ours."""
CONFIRMED, REFUSED = "confirmed", "refused"
_K = share_key_changes.c
_A, _O, _P = share_agreements.c, share_offers.c, share_processes.c
_NAMED = share_offer_parties.c
_BELONGING = [Standing.APPLIED, Standing.ADMITTED, Standing.SUSPENDED]
_STANDING = sa.select(_O.offer_id).where(_O.withdrawn_at.is_(None))
_BOUND: tuple[tuple[str, sa.Column[Any], sa.Column[Any], sa.ColumnElement[bool]], ...] = (
    ("agreements", _A.agreement_id, _A.counterparty, _A.status != AgreementStatus.RETIRED),
    ("groups", share_group_members.c.group_id, share_group_members.c.party_id, sa.true()),
    ("places", share_places.c.place, share_places.c.party_id, sa.true()),
    ("offers", _NAMED.offer_id, _NAMED.party_id, _NAMED.offer_id.in_(_STANDING)),
    ("spaces", space_members.c.space_id, space_members.c.party_id, space_members.c.state.in_(_BELONGING)),
    ("processes", _P.process_id, _P.counterparty, _P.state.not_in(list(FINAL))),
)
"""What is bound to a party's key: its name in `Stranded`, what is shown of it, whose it is, and while it counts.
Clearances end with the key by themselves."""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One request, and what was decided."""

    change_id: str
    party_id: PartyId
    former: str
    """By what the party proved itself when contracts were made."""
    current: str
    """By what it proved itself when this was requested."""
    reason: str
    requested_at: datetime
    requested_by: str
    decided_at: datetime | None
    decided_by: str
    outcome: str
    """`confirmed`, `refused`, or empty while it waits."""


@dataclass(frozen=True, slots=True)
class Stranded:
    """What is bound to a key that its party does not have now."""

    party_id: PartyId
    former: str
    current: str
    """Empty if nobody is registered under the id."""
    agreements: tuple[str, ...] = ()
    """Those that have not ended."""
    groups: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    """Those that name the party and are not withdrawn."""
    spaces: tuple[str, ...] = ()
    """Those of ours that it belongs to."""
    processes: tuple[str, ...] = ()
    """Negotiations and transfers that have not ended."""


class KeyChanges:
    """The requests of one node. Threads and processes may share it."""

    def __init__(self, database: Database, registry: PartyRegistry, audit: AuditSink, clock: Clock) -> None:
        self._database = database
        self._registry = registry
        self._audit = audit
        self._clock = clock

    def stranded(self, actor: Subject) -> list[Stranded]:
        """Return what waits for a change to be confirmed, or to be retired. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see the data space")
        with self._database.connect() as connection:
            return _stranded(connection)

    def all(self, actor: Subject) -> list[KeyChange]:
        """Return every request, newest first. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see the data space")
        query = sa.select(share_key_changes).order_by(_K.requested_at.desc(), _K.change_id)
        with self._database.connect() as connection:
            return [_change(row) for row in connection.execute(query)]

    def request(self, party: PartyId, actor: Subject, *, reason: str, former: str = "") -> KeyChange:
        """Ask that what is bound to the party's former key goes on under the one it has now; it opens nothing yet.

        Raises: NotAllowed, KeyChangeUnexplained, PartyUnknown, KeyChangeNeedless, also if it is not clear which former
        key is meant.
        """
        require_right(actor, REQUESTERS, "request key changes")
        if not 0 < len(reason := reason.strip()) <= REASON_MAX:
            raise KeyChangeUnexplained(party=party[:200], longest=REASON_MAX)
        current = self._registry.get(party).proof
        with self._database.begin() as connection:
            known = [each.former for each in _stranded(connection, party)]
            if former not in known and (former or len(known) != 1):
                why = f"it is bound to {', '.join(known)}; name one" if known else "nothing is bound to a former key"
                raise KeyChangeNeedless(party=party, reason=why)
            same = (_K.party_id == party, _K.former == (former or known[0]), _K.current == current, _K.outcome == "")
            if connection.execute(sa.select(_K.change_id).where(*same)).first() is not None:
                raise KeyChangeNeedless(party=party, reason="it is asked for already; another person has to decide")
            values = {
                "change_id": new_urn(),
                "party_id": party,
                "former": former or known[0],
                "current": current,
                "reason": reason,
                "requested_at": self._clock(),
                "requested_by": actor.subject_id,
            }
            connection.execute(sa.insert(share_key_changes).values(**values))
            change = self._find(connection, str(values["change_id"]))
            self._write(actor, "requested", change, {})
        return change

    def confirm(self, change_id: str, fingerprint: str, actor: Subject) -> KeyChange:
        """Let contracts, groups and places go on under the new key, whose fingerprint was compared.

        Raises: NotAllowed, KeyChangeUnknown, KeyChangeRefused.
        """
        require_right(actor, CONFIRMERS, "confirm key changes")
        with self._database.begin() as connection:
            change = self._waiting(connection, change_id)
            if why_not := _why_not(change, actor, fingerprint, self._registry.get(change.party_id).proof):
                raise KeyChangeRefused(change_id=change_id, party=change.party_id, reason=why_not)
            moved = 0
            for _, _, party_id, _ in _BOUND:
                mine = (party_id == change.party_id, party_id.table.c.bound_to == change.former)
                renew = sa.update(party_id.table).where(*mine).values(bound_to=change.current)
                moved += connection.execute(renew).rowcount
            done = self._decide(connection, change, actor, CONFIRMED)
            self._write(actor, CONFIRMED, done, {"moved": moved})
        return done

    def refuse(self, change_id: str, actor: Subject) -> KeyChange:
        """Turn a request down. Raises: NotAllowed, KeyChangeUnknown, KeyChangeRefused."""
        require_right(actor, CONFIRMERS | REQUESTERS, "refuse key changes")
        with self._database.begin() as connection:
            done = self._decide(connection, self._waiting(connection, change_id), actor, REFUSED)
            self._write(actor, REFUSED, done, {})
        return done

    def _waiting(self, connection: sa.Connection, change_id: str) -> KeyChange:
        change = self._find(connection, change_id, lock=True)
        if change.outcome:
            raise KeyChangeRefused(change_id=change_id, party=change.party_id, reason=f"it is {change.outcome} already")
        return change

    def _find(self, connection: sa.Connection, change_id: str, *, lock: bool = False) -> KeyChange:
        query = sa.select(share_key_changes).where(_K.change_id == change_id)
        row = connection.execute(query.with_for_update() if lock else query).first()
        if row is None:
            raise KeyChangeUnknown(change_id=change_id[:200])
        return _change(row)

    def _decide(self, connection: sa.Connection, change: KeyChange, actor: Subject, outcome: str) -> KeyChange:
        values = {"decided_at": self._clock(), "decided_by": actor.subject_id, "outcome": outcome}
        mine = _K.change_id == change.change_id
        connection.execute(sa.update(share_key_changes).where(mine).values(**values))
        return self._find(connection, change.change_id)

    def _write(self, actor: Subject, step: str, change: KeyChange, more: dict[str, Any]) -> None:
        details = {"party": change.party_id, "former": change.former, "current": change.current, **more}
        details |= {"change": change.change_id, "reason": change.reason[:300]}
        event = AuditEvent(self._clock(), actor.subject_id, f"key_change.{step}", change.party_id, "ok", details)
        self._audit.write(event)


def _why_not(change: KeyChange, actor: Subject, fingerprint: str, now: str) -> str | None:
    if actor.subject_id == change.requested_by:
        return "it was requested by the same person"
    if now != change.current:
        return "the party's key has changed again since it was requested"
    if fingerprint.strip() not in {change.current, *change.current.split(" ")[1:]}:
        return "the fingerprint is not that of its key"
    return None


def _stranded(connection: sa.Connection, party: PartyId | None = None) -> list[Stranded]:
    found: dict[tuple[str, str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    now = sa.func.coalesce(parties.c.proof, "")
    for name, shown, party_id, counts in _BOUND:
        former = party_id.table.c.bound_to
        query = sa.select(party_id, former, now, shown).outerjoin(parties, parties.c.party_id == party_id)
        query = query.where(now != former, counts).order_by(shown)
        if party is not None:
            query = query.where(party_id == party)
        for whose, before, current, what in connection.execute(query):
            found[whose, before, current][name].append(what)
    return [
        Stranded(PartyId(whose), former, current, **{name: tuple(what) for name, what in bound.items()})
        for (whose, former, current), bound in sorted(found.items())
    ]


def _change(row: Any) -> KeyChange:
    return KeyChange(
        row.change_id,
        PartyId(row.party_id),
        row.former,
        row.current,
        row.reason,
        row.requested_at,
        row.requested_by,
        row.decided_at,
        row.decided_by,
        row.outcome,
    )

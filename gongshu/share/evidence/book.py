"""Both chains of a contract in the database, and what each entry does to the standing of a delivery.

Everything here runs inside the caller's transaction with the agreement's row locked, so that an entry, its effect and
the freezing of the agreement are kept or lost together, whichever process or thread is at work.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.keys import KeyStore
from gongshu.share.dsp.states import Side
from gongshu.share.errors import AgreementUnknown
from gongshu.share.evidence.disputes import FINAL, MAY_CHOOSE, OPEN, Event, Standing, next_state
from gongshu.share.evidence.entries import ENTRY_DOMAIN, build_body, choice_of, figures_of
from gongshu.share.evidence.errors import SettlementRefused
from gongshu.share.evidence.model import EntryKind, EvidenceSettings
from gongshu.share.evidence.tables import evidence_deliveries, evidence_entries
from gongshu.share.keeping.chain import canonical, hash_of, sign
from gongshu.share.model import AgreementStatus
from gongshu.share.ports import Clock
from gongshu.share.tables import share_agreements

SYSTEM = "system:share"
_A, _E, _D = share_agreements.c, evidence_entries.c, evidence_deliveries.c


class EvidenceBook:
    """Writes and judges entries for one node."""

    def __init__(
        self, keys: KeyStore, audit: AuditSink, clock: Clock, own_party_id: PartyId, settings: EvidenceSettings
    ) -> None:
        self._keys = keys
        self._audit = audit
        self._clock = clock
        self._own = own_party_id
        self._line_within = timedelta(seconds=settings.line_within_s)
        self._lapse_after = timedelta(seconds=settings.lapse_after_s)

    def lock(self, connection: sa.Connection, agreement_id: str) -> Any:
        """Return the agreement's row, held until the transaction ends. Raises: AgreementUnknown."""
        query = sa.select(share_agreements).where(_A.agreement_id == agreement_id).with_for_update()
        row = connection.execute(query).first()
        if row is None:
            raise AgreementUnknown(agreement_id=agreement_id[:200])
        return row

    def append(self, connection: sa.Connection, agreement: Any, kind: EntryKind, fields: Mapping[str, Any]) -> str:
        """Write one entry of ours and return its hash."""
        mine = (_E.direction == "out", _E.agreement_id == agreement.agreement_id)
        query = sa.select(_E.sequence, _E.body_hash).where(*mine).order_by(_E.sequence.desc()).limit(1)
        last = connection.execute(query).first()
        body = build_body(
            kind,
            fields,
            contract=agreement.agreement_id,
            contract_hash=agreement.policy_hash,
            author=self._own,
            sequence=last.sequence + 1 if last else 1,
            previous=last.body_hash if last else agreement.policy_hash,
            at=self._clock(),
        )
        text = canonical(body)
        signature = sign(ENTRY_DOMAIN, text, self._keys.sign)
        insert_entry(connection, "out", agreement, body, text, signature, self._clock())
        return hash_of(text)

    # ---- what we counted, and what they counted ---------------------------------------------------------------------

    def write_line(self, connection: sa.Connection, agreement: Any, fields: Mapping[str, Any]) -> None:
        """Write our line for a delivery and match it. A delivery that people have spoken about already gets none."""
        row = self.delivery(connection, agreement, fields["delivery"])
        if row is not None and (row.own_line or Standing(row.state) not in {Standing.WAITING_OURS, Standing.DISPUTED}):
            return
        digest = self.append(connection, agreement, EntryKind.LINE, fields)
        figures = canonical(figures_of(fields).as_json())
        self._place(connection, agreement, row, fields["delivery"], own_line=digest, own_figures=figures)

    def take_line(self, connection: sa.Connection, agreement: Any, body: Mapping[str, Any], digest: str) -> str | None:
        """Match a line of theirs; return what is wrong with it, None if it is taken."""
        row = self.delivery(connection, agreement, body["delivery"])
        if row is not None and row.their_line:
            return "it is a second line for the same delivery"
        figures = canonical(figures_of(body).as_json())
        self._place(connection, agreement, row, body["delivery"], their_line=digest, their_figures=figures)
        return None

    def _place(self, connection: sa.Connection, agreement: Any, row: Any, delivery: str, **line: str) -> None:
        """Put one side's line beside the other's and judge the two."""
        now = self._clock()
        if row is None:
            state = Standing.WAITING_THEIRS if "own_line" in line else Standing.WAITING_OURS
            values = {"state": state, "since": now, "due_at": now + self._line_within, **line}
            connection.execute(
                sa.insert(evidence_deliveries).values(agreement_id=agreement.agreement_id, delivery=delivery, **values)
            )
            return
        self._change(connection, agreement, delivery, **line)
        current = self.delivery(connection, agreement, delivery)
        if current.own_line and current.their_line:
            is_equal = current.own_figures == current.their_figures
            self.happen(connection, agreement, current, Event.LINES_EQUAL if is_equal else Event.LINES_DIFFER)

    # ---- what happens to a delivery ---------------------------------------------------------------------------------

    def happen(
        self, connection: sa.Connection, agreement: Any, row: Any, event: Event, reason: str = "", actor: str = SYSTEM
    ) -> Standing:
        """Let something happen to a delivery and draw every conclusion; return how it stands then."""
        before, now = Standing(row.state), self._clock()
        after = next_state(before, event)
        if after is before:
            return after
        why = reason or _why(row, event)
        due = now + self._lapse_after if after in OPEN else None
        if after in OPEN and before in OPEN:
            due = row.due_at  # whoever answers does not make it longer
        changes = {"state": after, "due_at": due, "since": now, "reason": why[:2000] or row.reason}
        self._change(connection, agreement, row.delivery, **changes)
        names = {"delivery": row.delivery, "line": row.their_line, "own": row.own_line}
        if after is Standing.AGREED:
            self.append(connection, agreement, EntryKind.AGREE, names)
        if after is Standing.DISPUTED and event is not Event.THEY_DISPUTE:
            self.append(connection, agreement, EntryKind.DISPUTE, {**names, "reason": why[:2000]})
        if after is Standing.DISPUTED or before in OPEN:
            details = {"agreement": agreement.agreement_id, "delivery": row.delivery, "reason": why[:300]}
            figures = {"ours": row.own_figures, "theirs": row.their_figures}
            event_name = f"evidence.{after}"
            self._audit.write(AuditEvent(now, actor, event_name, agreement.agreement_id, "ok", {**details, **figures}))
        self._freeze(connection, agreement.agreement_id)
        return after

    def _freeze(self, connection: sa.Connection, agreement_id: str) -> None:
        """Make the agreement's standing follow its deliveries': one open dispute stops everything."""
        count = sa.select(sa.func.count()).where(_D.agreement_id == agreement_id, _D.state.in_(sorted(OPEN)))
        is_open = bool(connection.execute(count).scalar())
        mine, status = _A.agreement_id == agreement_id, AgreementStatus
        if is_open:
            reason = "a delivery is disputed; see `gongshu evidence disputes`"
            change = sa.update(share_agreements).where(mine, _A.status == status.ACTIVE)
            connection.execute(change.values(status=status.DISPUTED, reason=reason))
        else:
            change = sa.update(share_agreements).where(mine, _A.status == status.DISPUTED)
            connection.execute(change.values(status=status.ACTIVE, reason=""))

    # ---- how people end a dispute -----------------------------------------------------------------------------------

    def choose(
        self, connection: sa.Connection, agreement: Any, delivery: str, figures: Side, *, reason: str, actor: str
    ) -> Standing:
        """Say whose figures count, for our side. Raises: SettlementRefused."""
        row = self.delivery(connection, agreement, delivery)
        if row is None or Standing(row.state) not in MAY_CHOOSE:
            state = "not known here" if row is None else row.state
            raise SettlementRefused(agreement_id=agreement.agreement_id, delivery=delivery[:200], state=state)
        number, theirs = (row.round or 1, row.their_choice)
        if row.state == Standing.OPPOSED:
            number, theirs = row.round + 1, ""
        names = {"delivery": delivery, "figures": figures.value, "line": row.their_line, "own": row.own_line}
        fields = {**names, "round": number, "reason": reason, "by": actor}
        self.append(connection, agreement, EntryKind.SETTLE, fields)
        choice = choice_of(fields, is_own=True, side=Side(agreement.side))
        self._change(connection, agreement, delivery, own_choice=choice, their_choice=theirs, round=number)
        event = Event.WE_CHOOSE if not theirs else _compared(choice, theirs)
        return self.happen(connection, agreement, row, event, reason, actor)

    def take_choice(self, connection: sa.Connection, agreement: Any, body: Mapping[str, Any]) -> None:
        """Hear whose figures count for the other side; one that belongs to no open round changes nothing."""
        row = self.delivery(connection, agreement, body["delivery"])
        if row is None or Standing(row.state) not in OPEN:
            return
        choice = choice_of(body, is_own=False, side=Side(agreement.side))
        is_next = row.state in (Standing.OPPOSED, Standing.DISPUTED) and body["round"] == row.round + 1
        is_answer = row.state == Standing.ANSWERED and body["round"] == row.round
        if not (is_next or is_answer):
            return
        own = "" if is_next else row.own_choice
        self._change(connection, agreement, row.delivery, own_choice=own, their_choice=choice, round=body["round"])
        event = Event.THEY_CHOOSE if is_next else _compared(own, choice)
        self.happen(connection, agreement, row, event, body["reason"], f"partner:{agreement.counterparty}")

    def cover(self, connection: sa.Connection, agreement: Any, deliveries: Sequence[str]) -> None:
        """Let stretches count nothing whose rows stand in the receiver's own lines."""
        for name in deliveries:
            row = self.delivery(connection, agreement, name)
            self.happen(connection, agreement, row, Event.LINES_COVER, "its rows stand in the receiver's own lines")

    def end_open(self, connection: sa.Connection, agreement: Any, reason: str) -> None:
        """Close the disputes of a contract that has ended."""
        mine = (_D.agreement_id == agreement.agreement_id, _D.state.in_(sorted(OPEN)))
        for row in connection.execute(sa.select(evidence_deliveries).where(*mine)).all():
            self.happen(connection, agreement, row, Event.CONTRACT_ENDS, reason)

    # ---- rows -------------------------------------------------------------------------------------------------------

    def delivery(self, connection: sa.Connection, agreement: Any, delivery: str) -> Any:
        """Return a delivery's row, None if neither side has told of it."""
        mine = (_D.agreement_id == agreement.agreement_id, _D.delivery == delivery)
        return connection.execute(sa.select(evidence_deliveries).where(*mine)).first()

    def _change(self, connection: sa.Connection, agreement: Any, delivery: str, **values: Any) -> None:
        mine = (_D.agreement_id == agreement.agreement_id, _D.delivery == delivery)
        connection.execute(sa.update(evidence_deliveries).where(*mine).values(**values))


def insert_entry(
    connection: sa.Connection,
    direction: str,
    agreement: Any,
    body: Mapping[str, Any],
    text: str,
    signature: str,
    at: Any,
) -> None:
    """Keep one entry as it was signed."""
    connection.execute(
        sa.insert(evidence_entries).values(
            direction=direction,
            agreement_id=agreement.agreement_id,
            sequence=body["sequence"],
            counterparty=agreement.counterparty,
            kind=body["kind"],
            body=text,
            body_hash=hash_of(text),
            signature=signature,
            at=at,
        )
    )


def is_final(state: str) -> bool:
    """True if nothing can happen to a delivery any more."""
    return Standing(state) in FINAL


def _compared(one: str, other: str) -> Event:
    return Event.CHOICES_MEET if one == other else Event.CHOICES_DIFFER


def _why(row: Any, event: Event) -> str:
    """Say what is disputed, with both figures."""
    if event is Event.LINES_DIFFER:
        return f"the figures differ: ours {_shown(row.own_figures)}; theirs {_shown(row.their_figures)}"
    if event is Event.OVERDUE:
        whose = "the other side's" if row.own_line else "our"
        return f"{whose} line is missing: ours {_shown(row.own_figures)}; theirs {_shown(row.their_figures)}"
    return ""


def _shown(figures: str) -> str:
    if not figures:
        return "none"
    found = orjson.loads(figures)
    return f"{found['rows']} rows, {found['size_bytes']} bytes, sha256 {found['sha256'][:16]}…"

"""The member's side: figures taken through the gate, signed, queued, sent until the province's receipt is here."""

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.hub import tables
from gongshu.hub.canonical import digest_of, encode_canonical
from gongshu.hub.client import HubClient
from gongshu.hub.errors import (
    AgreementNotInForce,
    AgreementUnknown,
    FarSideSilent,
    IndicatorUnbound,
    ReceiptForged,
    ReportUnknown,
    ReportWrong,
    SourceUnusable,
)
from gongshu.hub.indicators import Rules, decimal_of, read_rules, round_to
from gongshu.hub.judging import Known, judge_report
from gongshu.hub.membership import Memberships
from gongshu.hub.model import (
    Agreement,
    DeliveryState,
    Indicator,
    IndicatorSource,
    OpenedValue,
    Report,
    ReportedValue,
    SentReport,
    Signed,
)
from gongshu.hub.period import Period, bounds_of, parse_period, period_at
from gongshu.hub.roles import REPORTERS, require_role
from gongshu.hub.signing import require_signature, sign_document
from gongshu.hub.wire import ReceiptDocument, ReportDocument, SignedMessage, is_receipt_for
from gongshu.model.access import Obligations, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import DatasetId
from gongshu.packs.model import Packs
from gongshu.secure.gate import Gate, SqlQuery
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.peer_tokens import REQUEST_CLAIM, PeerTokens

REPORTS_PATH = "/api/v1/hub/reports"
PURPOSE = "report"
RETRY_FIRST_S, RETRY_LAST_S = 5, 3600
NO_FIGURE = "the query gave no figure for this month"


class Reporting:
    """Makes, keeps and delivers this node's reports."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        parties: PartyRegistry,
        peers: PeerTokens,
        gate: Gate,
        packs: Packs,
        audit: AuditSink,
        clock: Callable[[], datetime],
        memberships: Memberships,
        client: HubClient,
    ) -> None:
        self._database, self._keys, self._parties, self._peers, self._gate = database, keys, parties, peers, gate
        self._packs, self._audit, self._clock = packs, audit, clock
        self._memberships, self._client = memberships, client

    def bind(self, indicator: str, dataset_id: DatasetId, sql: str, actor: Subject) -> IndicatorSource:
        """Name the query behind an indicator: one number; `{period_start}` and `{period_end}` are filled in.

        It is asked once, for the month under way, so that a wrong one is found now and not when the report is due.

        Raises: RoleMissing, IndicatorUnknown, SourceUnusable, and what the gate raises when the actor may not read the
        source for the purpose `report`.
        """
        require_role(actor, REPORTERS, what="name the query behind an indicator")
        rules, source = self._rules(), IndicatorSource(indicator, dataset_id, sql)
        (named,), offset = rules.require((indicator,)), rules.utc_offset_minutes
        self._open(named, source, period_at(self._clock(), utc_offset_minutes=offset), actor, utc_offset_minutes=offset)
        row = {"dataset_id": dataset_id, "sql": sql, "changed_at": self._clock(), "changed_by": actor.subject_id}
        with self._database.begin() as connection:
            table = tables.indicator_sources
            if connection.execute(sa.update(table).where(table.c.indicator == indicator).values(row)).rowcount == 0:
                connection.execute(sa.insert(table).values(indicator=indicator, **row))
            digest = hashlib.sha256(sql.encode()).hexdigest()
            self._write(actor.subject_id, "indicator.bound", indicator, {"dataset": dataset_id, "query_sha256": digest})
        return source

    def sources(self) -> dict[str, IndicatorSource]:
        """Return the query behind each bound indicator, by its code."""
        with self._database.connect() as connection:
            rows = connection.execute(sa.select(tables.indicator_sources))
            return {r.indicator: IndicatorSource(r.indicator, DatasetId(r.dataset_id), r.sql) for r in rows}

    def agreement_in_force(self) -> Agreement:
        """Return the newest agreement under which this node may report now.

        Raises: AgreementUnknown if there is none.
        """
        now = self._clock()
        for agreement in self._memberships.agreements():
            if not agreement.as_province and agreement.ended_at is None and agreement.terms.is_in_force(now):
                return agreement
        raise AgreementUnknown(agreement_id="in force", party="this node as a member")

    def draft(self, agreement_id: str, period: Period, subject: Subject) -> tuple[Report, tuple[OpenedValue, ...]]:
        """Return the report exactly as it would be sent, and each figure opened; nothing is stored or sent.

        Raises: RoleMissing, AgreementUnknown, AgreementNotInForce, IndicatorUnbound, SourceUnusable, ReportWrong, and
        what the gate raises when the subject may not read a source for the purpose `report`.
        """
        require_role(subject, REPORTERS, what="make a report")
        agreement, now = self._own_agreement(agreement_id), self._clock()
        terms, sources = agreement.terms, self.sources()
        indicators = self._rules().require(terms.indicators)
        if unbound := [i.code for i in indicators if i.code not in sources]:
            raise IndicatorUnbound(indicators=", ".join(unbound))
        offset = terms.utc_offset_minutes
        opened = tuple(self._open(i, sources[i.code], period, subject, utc_offset_minutes=offset) for i in indicators)
        known = self._newest(agreement_id, period)
        report = Report(
            agreement_id=agreement_id,
            province=terms.province,
            member=terms.member,
            division=terms.division,
            period=period,
            revision=known.revision + 1 if known else 1,
            preliminary=now < bounds_of(period, utc_offset_minutes=terms.utc_offset_minutes)[1],
            made_at=now,
            values=tuple(o.value for o in opened),
        )
        if findings := judge_report(report, terms, indicators, known, now=now):
            raise ReportWrong(period=period, findings="; ".join(findings))
        return report, opened

    def submit(self, agreement_id: str, period: Period, subject: Subject) -> SentReport:
        """Sign the draft, keep it and queue it; a correction is submitted the same way and becomes a new revision.

        Raises: what `draft` raises.
        """
        report, opened = self.draft(agreement_id, period, subject)
        signed = sign_document(report.document(), self._keys)
        with self._database.begin() as connection:
            report_id = connection.execute(
                sa.insert(tables.sent_reports)
                .values(
                    agreement_id=agreement_id,
                    period=str(period),
                    revision=report.revision,
                    preliminary=report.preliminary,
                    document=encode_canonical(signed.document).decode(),
                    signature=signed.signature,
                    opened=json.dumps([_opened_document(o) for o in opened], ensure_ascii=False),
                    made_at=report.made_at,
                    made_by=subject.subject_id,
                )
                .returning(tables.sent_reports.c.report_id)
            ).scalar_one()
            queued = {"state": DeliveryState.QUEUED, "attempts": 0, "next_attempt_at": self._clock(), "answer": ""}
            connection.execute(sa.insert(tables.outbox).values(report_id=report_id, **queued))
            sha256 = digest_of(signed.document)
            details = {"revision": report.revision, "sha256": sha256, "preliminary": report.preliminary}
            self._write(subject.subject_id, "report.made", f"{agreement_id}/{period}", details)
        return self.sent(report_id)

    def deliver_due(self) -> list[SentReport]:
        """Send every queued report whose time has come, oldest first, and return those that were tried.

        A silent province delays the report (5 s, doubling, at most an hour) and those behind it under the same
        agreement, so that revisions arrive in order. Safe to run in several processes: the province knows repeats.
        Cost: a network call for each report.
        """
        tried, stuck = [], set()
        for sent in self.reports(state=DeliveryState.QUEUED):
            is_due = sent.next_attempt_at is not None and sent.next_attempt_at <= self._clock()
            if sent.agreement_id in stuck or not is_due:
                stuck.add(sent.agreement_id)
                continue
            try:
                self._deliver(sent)
            except (FarSideSilent, ReceiptForged) as error:
                stuck.add(sent.agreement_id)
                self._postpone(sent, error)
            except GongshuError as error:
                self._settle(sent.report_id, DeliveryState.REFUSED, str(error))
                self._write("system:hub", "report.refused", f"{sent.agreement_id}/{sent.period}", {}, outcome="denied")
            tried.append(self.sent(sent.report_id))
        return tried

    def reports(self, *, state: DeliveryState | None = None) -> list[SentReport]:
        """Return the reports that this node made, oldest first, each with its delivery."""
        select = (
            sa.select(tables.sent_reports, tables.outbox).join(tables.outbox).order_by(tables.sent_reports.c.report_id)
        )
        if state is not None:
            select = select.where(tables.outbox.c.state == state)
        with self._database.connect() as connection:
            return [_sent_of(row) for row in connection.execute(select)]

    def sent(self, report_id: int) -> SentReport:
        """Return one report with its delivery.

        Raises: ReportUnknown.
        """
        return _sent_of(self._row(report_id))

    def opened(self, report_id: int) -> tuple[OpenedValue, ...]:
        """Return each figure of a report with formula, dataset, the very query, and the audit record of the read (I7).

        Raises: ReportUnknown.
        """
        row = self._row(report_id)
        values = ReportDocument.read(json.loads(row.document), what="stored report").value().values
        kept = {entry["indicator"]: entry for entry in json.loads(row.opened)}
        return tuple(
            OpenedValue(
                v, DatasetId(kept[v.indicator]["dataset_id"]), kept[v.indicator]["sql"], kept[v.indicator]["audit"]
            )
            for v in values
        )

    def _open(
        self,
        indicator: Indicator,
        source: IndicatorSource,
        period: Period,
        subject: Subject,
        *,
        utc_offset_minutes: int,
    ) -> OpenedValue:
        start, end = bounds_of(period, utc_offset_minutes=utc_offset_minutes)
        sql = source.sql.replace("{period_start}", _literal(start)).replace("{period_end}", _literal(end))
        result = self._gate.read(
            subject, SqlQuery(sql, rows_max=2), purpose=PURPOSE, action="aggregate", is_onward=True
        )
        with closing(result):
            if any(decision.obligations != Obligations() for decision in result.decisions):
                seen = "a figure of the part that you may see only"
                raise SourceUnusable(indicator=indicator.code, dataset=source.dataset_id, seen=seen)
            number = _number_of(result.read_all(), indicator, source)
        value = ReportedValue(
            indicator=indicator.code,
            value=number,
            unit=indicator.unit,
            formula=indicator.formula,
            source=source.dataset_id,
            query_sha256=hashlib.sha256(sql.encode()).hexdigest(),
            reason="" if number is not None else NO_FIGURE,
        )
        return OpenedValue(value, source.dataset_id, sql, result.audit_index)

    def _deliver(self, sent: SentReport) -> None:
        row = self._row(sent.report_id)
        document = json.loads(row.document)
        province = self._parties.get(document["province"])
        message = {"document": document, "signature": row.signature}
        token = self._peers.issue(province.party_id, claims={REQUEST_CLAIM: f"POST {REPORTS_PATH}"})
        answer = self._client.post(province.address, REPORTS_PATH, message, what="report", authorization=token)
        receipt = self._checked_receipt(SignedMessage.read(answer, what="receipt").value(), document, province.address)
        values = {"receipt": encode_canonical(receipt.document).decode(), "receipt_signature": receipt.signature}
        number = str(receipt.document["receipt_number"])
        self._settle(sent.report_id, DeliveryState.ACCEPTED, number, **values)
        self._write("system:hub", "report.accepted", f"{sent.agreement_id}/{sent.period}", {"receipt": number})

    def _checked_receipt(self, receipt: Signed, document: dict[str, Any], address: str) -> Signed:
        province = self._parties.get(document["province"])
        try:
            read = ReceiptDocument.read(receipt.document, what="receipt")
            require_signature(receipt, province.public_key_pem, what="receipt", party=province.party_id)
        except GongshuError as cause:
            raise ReceiptForged(address=address, reason=str(cause)) from cause
        if not is_receipt_for(read, document, digest_of(document)):
            raise ReceiptForged(address=address, reason="it names another report")
        return receipt

    def _postpone(self, sent: SentReport, error: GongshuError) -> None:
        wait_s = min(RETRY_LAST_S, RETRY_FIRST_S * 2 ** min(sent.attempts, 20))
        with self._database.begin() as connection:
            connection.execute(
                sa.update(tables.outbox)
                .where(tables.outbox.c.report_id == sent.report_id, tables.outbox.c.state == DeliveryState.QUEUED)
                .values(
                    attempts=tables.outbox.c.attempts + 1,
                    next_attempt_at=self._clock() + timedelta(seconds=wait_s),
                    answer=str(error),
                )
            )

    def _settle(self, report_id: int, state: DeliveryState, answer: str, **values: str) -> None:
        with self._database.begin() as connection:
            connection.execute(
                sa.update(tables.outbox)
                .where(tables.outbox.c.report_id == report_id)
                .values(
                    state=state, attempts=tables.outbox.c.attempts + 1, next_attempt_at=None, answer=answer, **values
                )
            )

    def _own_agreement(self, agreement_id: str) -> Agreement:
        agreement = self._memberships.agreement(agreement_id)
        if agreement.as_province:
            raise AgreementUnknown(agreement_id=agreement_id, party=agreement.terms.province)
        if agreement.ended_at is not None or not agreement.terms.is_in_force(self._clock()):
            until = agreement.ended_at or agreement.terms.valid_until
            raise AgreementNotInForce(
                agreement_id=agreement_id, valid_from=agreement.terms.valid_from, valid_until=until
            )
        return agreement

    def _newest(self, agreement_id: str, period: Period) -> Known | None:
        """Return the newest report that was not refused: a refused one never reached the province's records."""
        reports = [
            r
            for r in self.reports()
            if r.agreement_id == agreement_id and r.period == period and r.state is not DeliveryState.REFUSED
        ]
        return Known(reports[-1].revision, reports[-1].preliminary) if reports else None

    def _row(self, report_id: int) -> Any:
        select = sa.select(tables.sent_reports, tables.outbox).join(tables.outbox)
        with self._database.connect() as connection:
            row = connection.execute(select.where(tables.sent_reports.c.report_id == report_id)).one_or_none()
        if row is None:
            raise ReportUnknown(report=report_id)
        return row

    def _rules(self) -> Rules:
        return read_rules(self._packs)

    def _write(self, actor: str, action: str, object_: str, details: dict[str, Any], outcome: str = "ok") -> None:
        self._audit.write(AuditEvent(self._clock(), actor, action, object_, outcome, details))


def _number_of(table: pa.Table, indicator: Indicator, source: IndicatorSource) -> Decimal | None:
    """Return the one figure, rounded as the indicator says; None where the query gave NULL."""

    def unusable(seen: str) -> SourceUnusable:
        return SourceUnusable(indicator=indicator.code, dataset=source.dataset_id, seen=seen)

    if (table.num_rows, table.num_columns) != (1, 1):
        raise unusable(f"{table.num_rows} rows with {table.num_columns} columns")
    seen = table.column(0)[0].as_py()
    if seen is None:
        return None
    number = decimal_of(seen)
    if number is None:
        raise unusable(f"a {table.schema.field(0).type} that is no finite number")
    if not indicator.minimum <= number <= indicator.maximum:
        raise unusable(f"a number outside {indicator.minimum} to {indicator.maximum} {indicator.unit}")
    return round_to(number, indicator)


def _literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat(sep=' ')}'"


def _opened_document(opened: OpenedValue) -> dict[str, Any]:
    return {
        "indicator": opened.value.indicator,
        "dataset_id": opened.dataset_id,
        "sql": opened.sql,
        "audit": opened.audit_index,
    }


def _sent_of(row: Any) -> SentReport:
    return SentReport(
        report_id=row.report_id,
        agreement_id=row.agreement_id,
        period=parse_period(row.period),
        revision=row.revision,
        preliminary=row.preliminary,
        made_at=row.made_at,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        answer=row.answer,
    )

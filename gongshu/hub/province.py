"""The province's side: reports received and receipted, members reminded, totals released. It shows no firm's value."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.hub import tables
from gongshu.hub.canonical import digest_of, encode_canonical
from gongshu.hub.disclosure import Shown
from gongshu.hub.errors import (
    AgreementNotInForce,
    AgreementUnknown,
    NotYetReleasable,
    NotYourReport,
    ReportWrong,
    TotalsUnknown,
)
from gongshu.hub.indicators import Rules, read_rules
from gongshu.hub.judging import Known, due_at, is_covered, judge_report, require_next_revision
from gongshu.hub.membership import Memberships
from gongshu.hub.model import (
    Aggregate,
    Agreement,
    Indicator,
    MemberStanding,
    Publication,
    Report,
    Signed,
    Standing,
    TotalCell,
)
from gongshu.hub.period import Period, parse_period
from gongshu.hub.releases import Contribution, add_up, decide_counted, decide_pattern
from gongshu.hub.roles import OVERSEERS, PUBLISHERS, READERS, require_role
from gongshu.hub.signing import require_signature, sign_document
from gongshu.hub.wire import ReportDocument, receipt_document
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.packs.model import Packs
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry


class Province:
    """Receives reports and publishes totals."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        parties: PartyRegistry,
        packs: Packs,
        audit: AuditSink,
        clock: Callable[[], datetime],
        memberships: Memberships,
    ) -> None:
        self._database, self._keys, self._parties, self._packs = database, keys, parties, packs
        self._audit, self._clock, self._memberships = audit, clock, memberships

    def receive(self, signed: Signed, caller: Subject) -> Signed:
        """Judge a report and return the signed receipt; the same report again gets the same receipt.

        Raises: DocumentMalformed, NotYourReport, AgreementUnknown, SignatureInvalid, AgreementNotInForce, ReportWrong,
        RevisionTaken. Each refusal is in the audit log, without the report's values.
        """
        try:
            report = ReportDocument.read(signed.document, what="report").value()
            return self._receive(report, signed, caller)
        except GongshuError as refusal:
            place = f"{str(signed.document.get('agreement_id'))[:100]}/{str(signed.document.get('period'))[:20]}"
            self._write(caller, "report.received", place, {"because": refusal.code}, outcome="denied")
            raise

    def _receive(self, report: Report, signed: Signed, caller: Subject) -> Signed:
        place = f"{report.agreement_id}/{report.period}"
        if report.member != caller.party_id:
            raise NotYourReport(caller=caller.party_id, member=report.member)
        agreement = self._agreement_for(report)
        party = self._parties.get(report.member)
        require_signature(signed, party.public_key_pem, what="report", party=report.member)
        digest, now = digest_of(signed.document), self._clock()
        indicators = self._rules().require(agreement.terms.indicators)
        with self._database.begin() as connection:
            if (again := _stored(connection, digest)) is not None:
                return again
            known = _newest(connection, report)
            if agreement.ended_at is not None or not agreement.terms.is_in_force(now):
                until = agreement.ended_at or agreement.terms.valid_until
                raise AgreementNotInForce(
                    agreement_id=report.agreement_id, valid_from=agreement.terms.valid_from, valid_until=until
                )
            if findings := judge_report(report, agreement.terms, indicators, known, now=now):
                raise ReportWrong(period=report.period, findings="; ".join(findings))
            require_next_revision(report, known)
            receipt = sign_document(
                receipt_document(
                    report,
                    report_sha256=digest,
                    receipt_number=f"{report.period}-{digest[:12]}",
                    received_at=now,
                ),
                self._keys,
            )
            connection.execute(sa.insert(tables.received_reports).values(_row_of(report, signed, receipt, digest, now)))
            details = {"revision": report.revision, "preliminary": report.preliminary, "sha256": digest}
            self._write(caller, "report.received", place, details)
        return receipt

    def standing(self, period: Period, subject: Subject) -> list[MemberStanding]:
        """Return each member that owes a report for the month and where it stands, late ones first; no value is shown.

        Raises: RoleMissing.
        """
        require_role(subject, OVERSEERS, what="see who reported")
        newest = self._newest_reports(period)
        owing = [a for a in self._memberships.agreements() if a.as_province and is_covered(period, a.terms)]
        rows = [
            self._standing_of(agreement, period, newest.get(agreement.terms.agreement_id))
            for agreement in owing
            if agreement.ended_at is None or agreement.terms.agreement_id in newest
        ]
        order = [Standing.LATE, Standing.MISSING, Standing.PRELIMINARY, Standing.REPORTED]
        return sorted(rows, key=lambda row: (order.index(row.standing), row.division, row.title))

    def periods(self) -> list[Period]:
        """Return the months for which any report was received, newest first."""
        with self._database.connect() as connection:
            rows = connection.execute(sa.select(tables.received_reports.c.period).distinct())
            return sorted((parse_period(row.period) for row in rows), reverse=True)

    def release(self, period: Period, actor: Subject) -> Publication:
        """Publish the month's totals from the newest report of each member, and return the publication.

        A later publication of the same month shows the same cells and counts changes only in groups large enough
        (docs/decisions/0047-no-rest-below-three.md). An indicator with too few contributors is left out whole.

        Raises: RoleMissing; NotYetReleasable if that leaves nothing.
        """
        require_role(actor, PUBLISHERS, what="release totals")
        rules, now = self._rules(), self._clock()
        reports = self._newest_by_member(period)
        with self._database.begin() as connection:
            before = connection.execute(_publications(period).limit(1)).one_or_none()
            old_cells = _cells(before.cells) if before else ()
            old_counted: Mapping[str, Any] = json.loads(before.counted) if before else {}
            cells: list[TotalCell] = []
            counted: dict[str, Any] = {}
            waiting: set[str] = set()
            for indicator in rules.indicators:
                latest = _contributions(reports, indicator)
                previous = _read_counted(old_counted.get(indicator.code))
                shown_before = {c.key: Shown(c.shown) for c in old_cells if c.indicator == indicator.code}
                chosen = decide_counted(latest, previous, shown_before, least=rules.least_contributors)
                if len(chosen.contributions) < rules.least_contributors:
                    continue
                contributions = list(chosen.contributions.values())
                pattern = decide_pattern(contributions, shown_before, least=rules.least_contributors)
                cells += add_up(indicator, contributions, pattern)
                counted[indicator.code] = [_contribution_document(c) for c in contributions]
                waiting |= chosen.held_back
            if not cells:
                raise NotYetReleasable(
                    period=period,
                    contributors=len(reports),
                    least=rules.least_contributors,
                )
            publication = Publication(
                period=period,
                number=before.number + 1 if before else 1,
                released_at=now,
                released_by=actor.subject_id,
                pack=rules.pack,
                least_contributors=rules.least_contributors,
                cells=tuple(cells),
                held_back=len(waiting),
            )
            connection.execute(sa.insert(tables.publications).values(_publication_row(publication, counted)))
            details = {"number": publication.number, "held_back": len(waiting)}
            self._write(actor, "totals.released", str(period), details)
        return publication

    def publication(self, period: Period, subject: Subject, *, number: int | None = None) -> Publication:
        """Return the newest publication of a month, or the one of that number.

        Raises: RoleMissing, TotalsUnknown.
        """
        require_role(subject, READERS, what="see the province's totals")
        select = _publications(period)
        if number is not None:
            select = select.where(tables.publications.c.number == number)
        with self._database.connect() as connection:
            row = connection.execute(select.limit(1)).one_or_none()
        if row is None:
            raise TotalsUnknown(period=period)
        return _publication_of(row)

    def published_periods(self) -> list[Period]:
        """Return the months with a publication, newest first."""
        with self._database.connect() as connection:
            rows = connection.execute(sa.select(tables.publications.c.period).distinct())
            return sorted((parse_period(row.period) for row in rows), reverse=True)

    def _agreement_for(self, report: Report) -> Agreement:
        agreement = self._memberships.agreement(report.agreement_id)
        if not agreement.as_province or agreement.terms.member != report.member:
            raise AgreementUnknown(agreement_id=report.agreement_id, party=report.member)
        return agreement

    def _standing_of(self, agreement: Agreement, period: Period, row: Any) -> MemberStanding:
        terms, due = agreement.terms, due_at(period, agreement.terms)
        is_final = row is not None and not row.preliminary
        standing = Standing.REPORTED if is_final else Standing.PRELIMINARY if row is not None else Standing.MISSING
        if not is_final and self._clock() >= due:
            standing = Standing.LATE
        return MemberStanding(
            member=terms.member,
            title=agreement.member_title,
            division=terms.division,
            agreement_id=terms.agreement_id,
            standing=standing,
            due_at=due,
            received_at=row.received_at if row is not None else None,
            revision=row.revision if row is not None else 0,
            was_late=is_final and row.received_at > due,
        )

    def _newest_reports(self, period: Period) -> dict[str, Any]:
        """Return the newest revision under each agreement."""
        table = tables.received_reports
        with self._database.connect() as connection:
            rows = connection.execute(sa.select(table).filter_by(period=str(period)).order_by(table.c.revision))
            return {row.agreement_id: row for row in rows}

    def _newest_by_member(self, period: Period) -> dict[str, Report]:
        """Return one report a member: under a new agreement the last one received counts, never both."""
        rows = sorted(self._newest_reports(period).values(), key=lambda row: row.received_id)
        return {row.member: ReportDocument.read(json.loads(row.document), what="stored report").value() for row in rows}

    def _rules(self) -> Rules:
        return read_rules(self._packs)

    def _write(
        self, actor: Subject, action: str, object_: str, details: Mapping[str, Any], outcome: str = "ok"
    ) -> None:
        self._audit.write(AuditEvent(self._clock(), actor.subject_id, action, object_, outcome, details))


def _stored(connection: sa.Connection, digest: str) -> Signed | None:
    row = connection.execute(sa.select(tables.received_reports).filter_by(report_sha256=digest)).one_or_none()
    return Signed(json.loads(row.receipt), row.receipt_signature) if row is not None else None


def _newest(connection: sa.Connection, report: Report) -> Known | None:
    table = tables.received_reports
    same = sa.select(table).filter_by(agreement_id=report.agreement_id, period=str(report.period))
    row = connection.execute(same.order_by(table.c.revision.desc()).limit(1)).one_or_none()
    return Known(row.revision, row.preliminary) if row is not None else None


def _row_of(report: Report, signed: Signed, receipt: Signed, digest: str, now: datetime) -> dict[str, Any]:
    return {
        "agreement_id": report.agreement_id,
        "member": report.member,
        "division": report.division,
        "period": str(report.period),
        "revision": report.revision,
        "preliminary": report.preliminary,
        "report_sha256": digest,
        "document": encode_canonical(signed.document).decode(),
        "signature": signed.signature,
        "received_at": now,
        "receipt": encode_canonical(receipt.document).decode(),
        "receipt_signature": receipt.signature,
    }


def _contributions(reports: Mapping[str, Report], indicator: Indicator) -> dict[str, Contribution]:
    found = {}
    for member, report in reports.items():
        values = {value.indicator: value.value for value in report.values}
        value = values.get(indicator.code)
        weight = values.get(indicator.weight) if indicator.aggregate is Aggregate.MEAN else Decimal(1)
        if value is not None and weight is not None:
            found[member] = Contribution(member, report.division, value, weight, report.preliminary)
    return found


def _contribution_document(contribution: Contribution) -> dict[str, Any]:
    return asdict(contribution) | {"value": str(contribution.value), "weight": str(contribution.weight)}


def _read_counted(entries: list[dict[str, Any]] | None) -> dict[str, Contribution] | None:
    if entries is None:
        return None
    read = (Contribution(**(e | {"value": Decimal(e["value"]), "weight": Decimal(e["weight"])})) for e in entries)
    return {contribution.member: contribution for contribution in read}


def _publications(period: Period) -> sa.Select[Any]:
    table = tables.publications
    return sa.select(table).where(table.c.period == str(period)).order_by(table.c.number.desc())


def _publication_row(publication: Publication, counted: Mapping[str, Any]) -> dict[str, Any]:
    cells = [asdict(c) | {"value": None if c.value is None else str(c.value)} for c in publication.cells]
    return asdict(replace(publication, cells=())) | {
        "period": str(publication.period),
        "cells": json.dumps(cells),
        "counted": json.dumps(counted, ensure_ascii=False),
    }


def _cells(text: str) -> tuple[TotalCell, ...]:
    return tuple(
        TotalCell(**(cell | {"value": None if cell["value"] is None else Decimal(cell["value"])}))
        for cell in json.loads(text)
    )


def _publication_of(row: Any) -> Publication:
    return Publication(
        period=parse_period(row.period),
        number=row.number,
        released_at=row.released_at,
        released_by=row.released_by,
        pack=row.pack,
        least_contributors=row.least_contributors,
        cells=_cells(row.cells),
        held_back=row.held_back,
    )

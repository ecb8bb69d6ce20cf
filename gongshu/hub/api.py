"""HTTP routes of the hub: three that other nodes call, the rest for people and programs of this node."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from gongshu.hub.errors import DocumentMalformed, ReportTooLarge
from gongshu.hub.model import Agreement, OpenedValue, Publication, SentReport
from gongshu.hub.period import parse_period
from gongshu.hub.reporting import REPORTS_PATH
from gongshu.hub.roles import CONTRACTORS, REPORTERS, require_role
from gongshu.hub.service import HubService
from gongshu.hub.wire import (
    MESSAGE_BYTES_MAX,
    CountersignedMessage,
    InvitationMessage,
    JoinMessage,
    OfferedTerms,
    SignedMessage,
)
from gongshu.model.access import Subject
from gongshu.model.ids import DatasetId
from gongshu.secure.peer_tokens import PeerTokens, require_made_for

Message = TypeVar("Message", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class InvitationBody(_Body):
    """What a province's operator asks members to report; every field has the pack's or a year's default."""

    indicators: list[str] = Field(default=[], examples=[["energy"]])
    purpose: str = Field(default="statistics", min_length=1, max_length=200)
    basis: str = Field(default="voluntary", min_length=1, max_length=200)
    valid_until: AwareDatetime | None = None


class JoinBody(_Body):
    """The province's address and the invitation it gave."""

    address: str = Field(examples=["https://province.example"])
    invitation: str


class SourceBody(_Body):
    """The query behind an indicator."""

    dataset_id: str
    sql: str = Field(max_length=20_000)


class ReportBody(_Body):
    """Which month to report under which agreement."""

    agreement_id: str
    period: str = Field(examples=["2026-10"])


def create_router(hub: HubService, peers: PeerTokens, subject_of: Callable[..., Subject]) -> APIRouter:
    """Return the routes under `/api/v1/hub`."""
    router = APIRouter(prefix="/api/v1/hub", tags=["hub"])
    _add_peer_routes(router, hub, peers)
    _add_member_routes(router, hub, subject_of)
    _add_province_routes(router, hub, subject_of)
    return router


def _add_peer_routes(router: APIRouter, hub: HubService, peers: PeerTokens) -> None:
    @router.post("/invitation")
    async def read_invitation(request: Request) -> OfferedTerms:
        """The terms behind a one-time code, for the node that holds it."""
        message = await _read(request, InvitationMessage, "invitation")
        return await run_in_threadpool(hub.memberships.offer, message.code)

    @router.post("/members")
    async def accept_member(request: Request) -> CountersignedMessage:
        """Join with signed terms; the answer is the countersignature."""
        message = await _read(request, JoinMessage, "acceptance")
        return await run_in_threadpool(hub.memberships.accept, message)

    @router.post("/reports")
    async def receive_report(request: Request) -> SignedMessage:
        """Hand in a signed report with a peer token; the answer is the signed receipt."""
        header = request.headers.get("authorization", "")
        caller = await run_in_threadpool(peers.subject_of, header)
        require_made_for(caller, {f"POST {REPORTS_PATH}"})
        message = await _read(request, SignedMessage, "report")
        receipt = await run_in_threadpool(hub.province.receive, message.value(), caller)
        return SignedMessage(document=dict(receipt.document), signature=receipt.signature)


def _add_member_routes(router: APIRouter, hub: HubService, subject_of: Callable[..., Subject]) -> None:
    @router.get("/agreements")
    def agreements(subject: Subject = Depends(subject_of)) -> list[dict[str, Any]]:
        """Reporting agreements of this node, on either side."""
        require_role(subject, CONTRACTORS | REPORTERS, what="see reporting agreements")
        return [_agreement(a) for a in hub.memberships.agreements()]

    @router.post("/join")
    def join(body: JoinBody, subject: Subject = Depends(subject_of)) -> dict[str, Any]:
        """Sign the invited terms with a province."""
        return _agreement(hub.join(body.address, body.invitation, subject))

    @router.put("/sources/{indicator}")
    def bind(indicator: str, body: SourceBody, subject: Subject = Depends(subject_of)) -> dict[str, Any]:
        """Name the query behind an indicator."""
        return asdict(hub.reporting.bind(indicator, DatasetId(body.dataset_id), body.sql, subject))

    @router.post("/drafts")
    def draft(body: ReportBody, subject: Subject = Depends(subject_of)) -> dict[str, Any]:
        """The report as it would be sent, each figure opened."""
        report, opened = hub.reporting.draft(body.agreement_id, parse_period(body.period), subject)
        return {"report": report.document(), "opened": [_opened(o) for o in opened]}

    @router.post("/outbox")
    def submit(body: ReportBody, subject: Subject = Depends(subject_of)) -> dict[str, Any]:
        """Sign and queue a report; the courier delivers it."""
        return _sent(hub.reporting.submit(body.agreement_id, parse_period(body.period), subject))

    @router.get("/outbox")
    def sent(subject: Subject = Depends(subject_of)) -> list[dict[str, Any]]:
        """Reports that this node made, with their delivery."""
        require_role(subject, CONTRACTORS | REPORTERS, what="see reports")
        return [_sent(report) for report in hub.reporting.reports()]

    @router.get("/outbox/{report_id}")
    def opened(report_id: int, subject: Subject = Depends(subject_of)) -> list[dict[str, Any]]:
        """Each figure of a report, opened to formula, dataset, query and audit record."""
        require_role(subject, REPORTERS, what="open a report")
        return [_opened(value) for value in hub.reporting.opened(report_id)]


def _add_province_routes(router: APIRouter, hub: HubService, subject_of: Callable[..., Subject]) -> None:
    @router.post("/invitations")
    def invite(body: InvitationBody, subject: Subject = Depends(subject_of)) -> dict[str, Any]:
        """Make a one-time invitation; its text is shown once."""
        invitation = hub.memberships.invite(
            subject,
            indicators=body.indicators,
            purpose=body.purpose,
            basis=body.basis,
            valid_until=body.valid_until,
        )
        terms = invitation.terms.document()
        return {"invitation": invitation.text, "expires_at": invitation.expires_at.isoformat(), "terms": terms}

    @router.delete("/agreements/{agreement_id}")
    def end(agreement_id: str, subject: Subject = Depends(subject_of)) -> dict[str, Any]:
        """End an agreement now."""
        return _agreement(hub.memberships.end(agreement_id, subject))

    @router.get("/periods/{period}/members")
    def standing(period: str, subject: Subject = Depends(subject_of)) -> list[dict[str, Any]]:
        """Who reported, who is late; never a value."""
        return [asdict(row) for row in hub.province.standing(parse_period(period), subject)]

    @router.post("/periods/{period}/publications")
    def release(period: str, subject: Subject = Depends(subject_of)) -> dict[str, Any]:
        """Publish a month's totals."""
        return publication_document(hub.province.release(parse_period(period), subject))

    @router.get("/periods/{period}/totals")
    def totals(period: str, subject: Subject = Depends(subject_of)) -> dict[str, Any]:
        """The newest publication of a month."""
        return publication_document(hub.province.publication(parse_period(period), subject))


def publication_document(publication: Publication) -> dict[str, Any]:
    """Return a publication for programs: figures are text, a withheld one is null."""
    cells = [asdict(c) | {"value": None if c.value is None else format(c.value, "f")} for c in publication.cells]
    return {
        "period": str(publication.period),
        "number": publication.number,
        "released_at": publication.released_at.isoformat(),
        "pack": publication.pack,
        "least_contributors": publication.least_contributors,
        "held_back": publication.held_back,
        "cells": cells,
    }


async def _read(request: Request, model: type[Message], what: str) -> Message:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MESSAGE_BYTES_MAX:
            raise ReportTooLarge(size_bytes_max=MESSAGE_BYTES_MAX)
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as cause:
        seen = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in cause.errors()[:5])
        raise DocumentMalformed(what=what, reason=seen) from cause


def _agreement(agreement: Agreement) -> dict[str, Any]:
    return {
        "terms": agreement.terms.document(),
        "as_province": agreement.as_province,
        "member_title": agreement.member_title,
        "province_title": agreement.province_title,
        "signed_at": agreement.signed_at.isoformat(),
        "ended_at": _text(agreement.ended_at),
    }


def _sent(report: SentReport) -> dict[str, Any]:
    return asdict(report) | {
        "period": str(report.period),
        "made_at": report.made_at.isoformat(),
        "next_attempt_at": _text(report.next_attempt_at),
    }


def _opened(opened: OpenedValue) -> dict[str, Any]:
    return {
        **opened.value.document(),
        "dataset_id": opened.dataset_id,
        "sql": opened.sql,
        "audit_index": opened.audit_index,
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

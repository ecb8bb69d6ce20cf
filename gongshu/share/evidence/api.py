"""HTTP routes of evidence: for this node's own people under /api/v1/share, for partners' nodes under /share."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from gongshu.model.access import Subject
from gongshu.share.dsp.api import read_proven
from gongshu.share.dsp.states import Side
from gongshu.share.evidence.exchange import PATH
from gongshu.share.evidence.exporting import Exporter
from gongshu.share.evidence.ledger import SovereigntyLedger
from gongshu.share.evidence.service import EvidenceService
from gongshu.share.evidence.views import entry_view, holding_view, metered_view
from gongshu.share.keeping.chain import canonical
from gongshu.share.service import ShareService

View = dict[str, Any]


class SettleBody(BaseModel):
    """Whose figures of a disputed delivery count, for this side."""

    model_config = ConfigDict(extra="forbid")

    agreement_id: str = Field(max_length=400)
    delivery: str = Field(max_length=200)
    figures: Side = Field(description="provider or consumer")
    reason: str = Field(min_length=1, max_length=2000)


def create_evidence_router(
    evidence: EvidenceService, exporter: Exporter, ledger: SovereigntyLedger, subject_of: Callable[..., Any]
) -> APIRouter:
    """Return the routes by which people and programs of this node see, settle and export."""
    router = APIRouter(prefix="/api/v1/share", tags=["share"])

    @router.get("/metered")
    def metered(
        subject: Annotated[Subject, Depends(subject_of)],
        agreement_id: str = "",
        disputed: bool = False,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> list[View]:
        """Deliveries as both sides count them; `disputed`: those that freeze a contract."""
        found = evidence.metered(subject, agreement_id=agreement_id, disputed=disputed, limit=limit, offset=offset)
        return [metered_view(each) for each in found]

    @router.get("/entries")
    def entries(
        agreement_id: str,
        subject: Annotated[Subject, Depends(subject_of)],
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> list[View]:
        """Both chains of signed entries of a contract, newest first."""
        return [entry_view(each) for each in evidence.entries(agreement_id, subject, limit=limit, offset=offset)]

    @router.post("/metered/settle")
    def settle(body: SettleBody, subject: Annotated[Subject, Depends(subject_of)]) -> View:
        """Say, signed, whose figures of a disputed delivery count."""
        done = evidence.settle(body.agreement_id, body.delivery, body.figures, subject, reason=body.reason)
        return metered_view(done)

    @router.get("/evidence")
    def bundle(agreement_id: str, subject: Annotated[Subject, Depends(subject_of)]) -> FileResponse:
        """The evidence of one contract, as a file for a third person."""
        with tempfile.NamedTemporaryFile(suffix=".jsonl", delete=False) as made:
            path = Path(made.name)
        try:
            exporter.export(agreement_id, path, subject)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        gone = BackgroundTask(path.unlink, missing_ok=True)
        return FileResponse(path, media_type="application/jsonl", filename="evidence.jsonl", background=gone)

    @router.get("/ledger")
    def holdings(subject: Annotated[Subject, Depends(subject_of)]) -> list[View]:
        """Whose data are here and on what terms, whose of ours are elsewhere, and what revoking did."""
        return [holding_view(each) for each in ledger.holdings(subject)]

    return router


def create_entries_router(share: ShareService, evidence: EvidenceService) -> APIRouter:
    """Return the route by which partners' nodes send their entries; proved as the protocol's messages are."""
    router = APIRouter(tags=["data space"])

    @router.post(PATH)
    async def entries(request: Request) -> Response:
        """Signed entries about contracts with the party that asks, a batch at a time."""
        party, body = await read_proven(request, share)
        answer = await run_in_threadpool(evidence.take, party, body)
        return Response(canonical(answer), media_type="application/json")

    return router

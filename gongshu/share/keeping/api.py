"""HTTP routes of kept data: for this node's own people under /api/v1/share, for partners' nodes under /share."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.share.dsp.api import read_proven
from gongshu.share.keeping.chain import canonical
from gongshu.share.keeping.ending import PATH as DELETIONS_PATH
from gongshu.share.keeping.receipts import PATH as USAGE_PATH
from gongshu.share.keeping.service import Keeping
from gongshu.share.keeping.views import deletion_view, fault_view, kept_view, receipt_view
from gongshu.share.rights import LOOKERS, require_right
from gongshu.share.service import ShareService

View = dict[str, Any]


def create_keeping_router(keeping: Keeping, subject_of: Callable[..., Any]) -> APIRouter:
    """Return the routes by which people and programs of this node see what is kept and told."""
    router = APIRouter(prefix="/api/v1/share", tags=["share"])

    @router.get("/kept")
    def kept(subject: Annotated[Subject, Depends(subject_of)]) -> list[View]:
        """What this node holds that was received, under which contracts, until when."""
        require_right(subject, LOOKERS, "see the data space")
        return [kept_view(each) for each in keeping.kept()]

    @router.get("/receipts/{agreement_id:path}")
    def receipts(
        agreement_id: str,
        subject: Annotated[Subject, Depends(subject_of)],
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> View:
        """The usage receipts of a contract, newest first, and what is wrong with them."""
        require_right(subject, LOOKERS, "see the data space")
        found = keeping.receipts(agreement_id, limit=limit, offset=offset)
        return {
            "receipts": [receipt_view(each) for each in found],
            "faults": [fault_view(each) for each in keeping.faults(agreement_id)],
        }

    @router.get("/deletions")
    def deletions(subject: Annotated[Subject, Depends(subject_of)]) -> list[View]:
        """What had to be deleted here, and what partners proved or owe."""
        require_right(subject, LOOKERS, "see the data space")
        return [deletion_view(each) for each in keeping.deletions()]

    return router


def create_told_router(share: ShareService, keeping: Keeping) -> APIRouter:
    """Return the routes by which partners' nodes tell what they did; proved as the protocol's messages are."""
    router = APIRouter(tags=["data space"])

    @router.post(USAGE_PATH)
    async def usage(request: Request) -> Response:
        """Usage receipts of the party that asks, a batch at a time."""
        return await _told(request, share, keeping.watch.take_receipts)

    @router.post(DELETIONS_PATH)
    async def deletions(request: Request) -> Response:
        """A deletion proof of the party that asks."""
        return await _told(request, share, keeping.watch.take_proof)

    return router


async def _told(request: Request, share: ShareService, take: Callable[[PartyId, bytes], View]) -> Response:
    party, body = await read_proven(request, share)
    answer = await run_in_threadpool(take, party, body)
    return Response(canonical(answer), media_type="application/json")

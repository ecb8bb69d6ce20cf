"""HTTP routes of clearances, under /api/v1/share/clearances."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gongshu.model.access import Subject
from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.clearances.model import Clearance, Kind
from gongshu.share.clearances.views import clearance_view
from gongshu.share.service import ShareService

View = dict[str, Any]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClearanceBody(_Body):
    """A request that one dataset may go to one party."""

    kind: Kind
    dataset_id: str = Field(max_length=200, examples=["recipes"])
    party: str = Field(max_length=200, examples=["urn:gongshu:party:partner"])
    reason: str = Field(max_length=4000)
    valid_until: AwareDatetime = Field(examples=["2027-12-31T00:00:00Z"])
    record: dict[str, Any]


class EndBody(_Body):
    """Why a clearance ends."""

    reason: str = Field(max_length=4000)


def create_clearances_router(share: ShareService, subject_of: Callable[..., Any]) -> APIRouter:
    """Return the routes by which people of this node see to clearances."""
    router = APIRouter(prefix="/api/v1/share/clearances", tags=["share"])
    book = share.clearances

    def shown(clearance: Clearance) -> View:
        return clearance_view(clearance, book.state(clearance))

    @router.get("")
    def all(
        dataset_id: str = "",
        party: str = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
        subject: Subject = Depends(subject_of),
    ) -> list[View]:
        """Clearances and where they stand, newest first."""
        found = book.all(subject, dataset_id=dataset_id, party=party, limit=limit, offset=offset)
        return [clearance_view(*each) for each in found]

    @router.post("", status_code=201)
    def request(body: ClearanceBody, subject: Subject = Depends(subject_of)) -> View:
        """Request a clearance; it opens nothing before a steward and a security administrator approved it."""
        until: datetime = body.valid_until
        ids = (DatasetId(body.dataset_id), PartyId(body.party))
        return shown(book.request(body.kind, *ids, body.record, subject, reason=body.reason, valid_until=until))

    @router.get("/forms/{kind}")
    def form(kind: Kind, subject: Subject = Depends(subject_of)) -> View:
        """The empty form of a record, with what is asked."""
        del subject
        return book.form(kind)

    @router.get("/{clearance_id}")
    def one(clearance_id: str, subject: Subject = Depends(subject_of)) -> View:
        """One clearance with its record and approvals."""
        return clearance_view(*book.get(clearance_id, subject))

    @router.post("/{clearance_id}/approve")
    def approve(clearance_id: str, subject: Subject = Depends(subject_of)) -> View:
        """Approve it in one's own name."""
        return shown(book.approve(clearance_id, subject))

    @router.post("/{clearance_id}/refuse")
    def refuse(clearance_id: str, body: EndBody, subject: Subject = Depends(subject_of)) -> View:
        """Refuse it for good."""
        return shown(book.refuse(clearance_id, subject, body.reason))

    @router.post("/{clearance_id}/revoke")
    def revoke(clearance_id: str, body: EndBody, subject: Subject = Depends(subject_of)) -> View:
        """End it for good; what flows by it ends within seconds."""
        return shown(book.revoke(clearance_id, subject, body.reason))

    return router

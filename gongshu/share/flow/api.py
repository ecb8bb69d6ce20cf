"""HTTP routes, for this node's own people and programs, of rows that come by themselves and the way they take."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.share.service import ShareService
from gongshu.share.views import record_view

View = dict[str, Any]


class FollowBody(BaseModel):
    """What the rows of a stream are kept as, and from when on."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(examples=["partner_readings"])
    purpose: str = ""
    title: str = ""
    since: AwareDatetime | None = Field(default=None, description="Leave out what arrived before")


class DataAddressBody(BaseModel):
    """An address for a party's data."""

    model_config = ConfigDict(extra="forbid")

    party: str
    address: str = Field(max_length=800, examples=["https://data.partner.example:8185"])


def create_flow_router(share: ShareService, subject_of: Callable[..., Any]) -> APIRouter:
    """Return the routes, to be included under `/api/v1/share`."""
    router = APIRouter()

    @router.post("/transfers/{process_id}/follow")
    def follow(process_id: str, body: FollowBody, subject: Subject = Depends(subject_of)) -> View:
        """Keep the rows of a started stream as they come, until it ends."""
        share.flows.followers.follow(
            process_id, body.name, subject, purpose=body.purpose, title=body.title, since=body.since
        )
        return record_view(share.process(process_id))

    @router.get("/data-addresses")
    def data_addresses(party: str, subject: Subject = Depends(subject_of)) -> list[str]:
        """Where the data of a party may travel, beside its own address."""
        share.require_onlooker(subject)
        return share.flows.addresses.of(PartyId(party))

    @router.post("/data-addresses", status_code=201)
    def add_data_address(body: DataAddressBody, subject: Subject = Depends(subject_of)) -> list[str]:
        """Let the data of a party travel over another address."""
        share.flows.addresses.add(PartyId(body.party), body.address, subject)
        return share.flows.addresses.of(PartyId(body.party))

    return router

"""HTTP routes of contracts: for this node's own people under /api/v1/share, for partners' nodes under /share."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.share.contract_words import Language
from gongshu.share.contracts.service import ATTACHMENTS_PATH
from gongshu.share.contracts.views import Form, contract_view, group_view, notice_view, place_view
from gongshu.share.dsp.api import read_proven
from gongshu.share.notices import PATH as NOTICES_PATH
from gongshu.share.service import ShareService
from gongshu.share.views import agreement_view

View = dict[str, Any]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GroupBody(_Body):
    """Parties to put into a group."""

    members: list[str] = Field(max_length=1000, examples=[["urn:gongshu:party:partner"]])
    title: str = Field(default="", max_length=200)


class PlaceBody(_Body):
    """Where a party is, and what that is known from."""

    party: str
    place: str = Field(max_length=80, examples=["CN-33"])
    basis: str = Field(max_length=2000)


class PaymentBody(_Body):
    """The reference under which a payment arrived."""

    reference: str = Field(max_length=200)


def create_contracts_router(share: ShareService, subject_of: Callable[..., Any]) -> APIRouter:
    """Return the routes by which people and programs of this node see to contracts."""
    router = APIRouter(prefix="/api/v1/share", tags=["share"])
    _add_facts(router, share, subject_of)

    @router.get("/contracts/{agreement_id:path}")
    def contract(
        agreement_id: str,
        form: Form = "document",
        language: Language = "en",
        subject: Subject = Depends(subject_of),
    ) -> View:
        """The contract document of an agreement with its signatures, or one of its other forms."""
        signed = share.desk.contract(agreement_id, subject)
        return contract_view(signed, share.agreement(agreement_id), form, language)

    @router.get("/contract-chains/{agreement_id:path}")
    def chain(agreement_id: str, subject: Subject = Depends(subject_of)) -> View:
        """A contract with all versions before it, the oldest first, and what is wrong with their chain."""
        versions, problems = share.desk.chain(agreement_id, subject)
        shown = [
            contract_view(signed, share.agreement(signed.contract.agreement_id), "document", "en")
            for signed in versions
        ]
        return {"versions": shown, "problems": problems}

    @router.post("/payments/{agreement_id:path}")
    def pay(agreement_id: str, body: PaymentBody, subject: Subject = Depends(subject_of)) -> View:
        """Confirm that an agreement was paid; transfers that waited for it start."""
        return agreement_view(share.desk.confirm_payment(agreement_id, body.reference, subject), share.clock())

    @router.post("/attachments/{offer_id:path}", status_code=201)
    def attach(offer_id: str, file: UploadFile, subject: Subject = Depends(subject_of)) -> View:
        """Attach a file to an offer; contracts made from now on hold its hash."""
        kind = file.content_type or "application/octet-stream"
        digest = share.desk.attach(offer_id, file.filename or "", kind, file.file.read(), subject)
        return {"sha256": digest}

    @router.get("/attachments/{agreement_id:path}")
    def attachment(agreement_id: str, name: str, subject: Subject = Depends(subject_of)) -> Response:
        """The bytes of an attachment of a contract."""
        content = share.desk.attachment(agreement_id, name, subject)
        return Response(content, media_type="application/octet-stream", headers={"X-Content-Type-Options": "nosniff"})

    return router


def _add_facts(router: APIRouter, share: ShareService, subject_of: Callable[..., Any]) -> None:
    @router.get("/groups")
    def groups(subject: Subject = Depends(subject_of)) -> list[View]:
        """Groups of parties that terms can name."""
        return [group_view(group) for group in share.desk.groups(subject)]

    @router.post("/groups/{group_id}/members", status_code=201)
    def join(group_id: str, body: GroupBody, subject: Subject = Depends(subject_of)) -> View:
        """Put parties into a group, which is made if there is none."""
        members = [PartyId(party) for party in body.members]
        return group_view(share.desk.add_to_group(group_id, members, subject, title=body.title))

    @router.delete("/groups/{group_id}/members/{party:path}")
    def leave(group_id: str, party: str, subject: Subject = Depends(subject_of)) -> View:
        """Take a party out of a group; it binds at its next request."""
        return group_view(share.desk.remove_from_group(group_id, PartyId(party), subject))

    @router.get("/places")
    def places(subject: Subject = Depends(subject_of)) -> list[View]:
        """Where parties are, and who vouches for it."""
        return [place_view(entry) for entry in share.desk.places(subject)]

    @router.post("/places", status_code=201)
    def place(body: PlaceBody, subject: Subject = Depends(subject_of)) -> View:
        """Write down where a party is."""
        return place_view(share.desk.register_place(PartyId(body.party), body.place, body.basis, subject))

    @router.get("/notices")
    def notices(
        received: bool = True, limit: Limit = 100, offset: Offset = 0, subject: Subject = Depends(subject_of)
    ) -> list[View]:
        """Notices of use: those of others to us, or ours with what became of them."""
        found = share.desk.notices(subject, received=received, limit=limit, offset=offset)
        return [notice_view(notice) for notice in found]


def create_partner_contracts_router(share: ShareService) -> APIRouter:
    """Return the routes that partners' nodes use; proved as the protocol's messages are."""
    router = APIRouter(tags=["data space"])

    @router.post(NOTICES_PATH, status_code=202)
    async def notice(request: Request) -> Response:
        """A signed notice of use of the party that asks."""
        party, body = await read_proven(request, share)
        await run_in_threadpool(share.desk.take_notice, party, body)
        return Response(status_code=202)

    @router.post(ATTACHMENTS_PATH)
    async def attachment(request: Request) -> Response:
        """An attachment of a contract, for its consumer."""
        party, body = await read_proven(request, share)
        content = await run_in_threadpool(share.desk.give_attachment, party, body)
        return Response(content, media_type="application/octet-stream")

    return router

"""HTTP routes of the data space for this node's own people and programs; partners use those of `dsp.api`."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from gongshu.model.access import Subject
from gongshu.model.ids import DatasetId, PartyId
from gongshu.secure.parties import Party
from gongshu.share.automation import ASK_FIRST
from gongshu.share.dsp.messages import FORMAT_PULL
from gongshu.share.dsp.states import Kind
from gongshu.share.encoding import Encoding
from gongshu.share.errors import ProcessUnknown
from gongshu.share.flow.api import create_flow_router
from gongshu.share.introductions import Introductions
from gongshu.share.model import Record
from gongshu.share.obtaining import obtain
from gongshu.share.receiving import Opening
from gongshu.share.remote import shown_offer
from gongshu.share.service import ShareService
from gongshu.share.terms_body import TermsBody
from gongshu.share.trusting import Trusting
from gongshu.share.views import agreement_view, catalogue_view, delivery_view, offer_view, record_view

View = dict[str, Any]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OfferBody(_Body):
    """A dataset and the terms it is offered under."""

    dataset_id: str
    terms: TermsBody
    ask_first: bool = Field(default=False, description="A person approves each contract")
    published_as: str = Field(default="", max_length=400, description="The dataset's id for partners; empty: its own")


class PreviewBody(_Body):
    """Whose eyes to look through."""

    dataset_id: str
    terms: TermsBody
    party: str
    rows_max: int = Field(default=20, ge=1, le=1000)


class NegotiateBody(_Body):
    """Whose dataset is asked for, and with which terms if not those offered."""

    party: str
    dataset_id: str
    offer_id: str = ""
    policy: View | None = Field(
        default=None, description="The offer's policy as the catalogue showed it: this is asked for, not read anew"
    )
    terms: TermsBody | None = None
    replaces: str = Field(default="", description="An agreement over the same dataset that ends with the new one")


class TransferBody(_Body):
    """The agreement that data are requested under."""

    agreement_id: str
    format: str = FORMAT_PULL
    name: str = Field(default="", max_length=60, description="What the rows of a push are kept as")
    title: str = Field(default="", max_length=200)
    purpose: str = Field(default="", max_length=200)
    columns: list[str] = Field(default=[], max_length=1000, description="Empty: all that the contract allows")
    encoding: Encoding = Encoding.ARROW

    def opening(self) -> Opening | None:
        """Return what the delivery of a push is kept as; None if nothing is said about one."""
        return Opening(self.name, self.title, self.purpose, tuple(self.columns), self.encoding) if self.name else None


class PullBody(_Body):
    """What the data are for, and the name they are kept under."""

    name: str = Field(examples=["partner_orders"])
    purpose: str = ""
    columns: list[str] = Field(default=[], max_length=1000, description="Columns, or figures as sum(load)")
    title: str = ""


class ObtainBody(_Body):
    """Whose dataset is wanted, and what for."""

    party: str
    dataset_id: str
    purpose: str = ""
    name: str = Field(default="", max_length=60, description="What it is kept as; empty: from party and dataset")


class ReasonBody(_Body):
    """Why."""

    reason: str = Field(default="", max_length=2000)


def create_router(share: ShareService, subject_of: Callable[..., Any]) -> APIRouter:
    """Return the routes under `/api/v1/share`."""
    router = APIRouter(prefix="/api/v1/share", tags=["share"])
    _add_offers(router, share, subject_of)
    _add_processes(router, share, subject_of)
    _add_steps(router, share, subject_of)
    _add_agreements(router, share, subject_of)
    router.include_router(create_flow_router(share, subject_of))
    return router


def _add_offers(router: APIRouter, share: ShareService, subject_of: Callable[..., Any]) -> None:
    @router.get("/offers")
    def offers(
        withdrawn: bool = False,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
        subject: Subject = Depends(subject_of),
    ) -> list[View]:
        """Our offers, newest first."""
        share.require_onlooker(subject)
        return [offer_view(offer) for offer in share.offers(withdrawn=withdrawn, limit=limit, offset=offset)]

    @router.post("/offers", status_code=201)
    def offer(body: OfferBody, subject: Subject = Depends(subject_of)) -> View:
        """Publish a dataset under terms."""
        rules = ASK_FIRST if body.ask_first else None
        terms, name = body.terms.terms(), body.published_as
        return offer_view(share.offer(DatasetId(body.dataset_id), terms, subject, rules=rules, published_as=name))

    @router.delete("/offers/{offer_id}")
    def withdraw(offer_id: str, subject: Subject = Depends(subject_of)) -> View:
        """Take an offer out of the catalogue."""
        return offer_view(share.withdraw(offer_id, subject))

    @router.post("/preview")
    def preview(body: PreviewBody, subject: Subject = Depends(subject_of)) -> View:
        """Rows exactly as a partner would receive them."""
        terms, party = body.terms.terms(), PartyId(body.party)
        table = share.preview(DatasetId(body.dataset_id), terms, party, subject, rows_max=body.rows_max)
        return {"columns": table.column_names, "rows": table.to_pylist()}

    @router.get("/catalogue")
    def catalogue(
        party: str, search: str = "", dataset_id: str = "", page: str = "", subject: Subject = Depends(subject_of)
    ) -> View:
        """What another party offers us, a page at a time."""
        found = share.catalogue_of(PartyId(party), subject, search=search, dataset_id=dataset_id, page=page)
        return catalogue_view(found)


def _add_processes(router: APIRouter, share: ShareService, subject_of: Callable[..., Any]) -> None:
    @router.get("/negotiations")
    def negotiations(
        waiting: bool = False,
        party: str = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
        subject: Subject = Depends(subject_of),
    ) -> list[View]:
        """Negotiations of both sides, newest first."""
        share.require_onlooker(subject)
        whose = PartyId(party) if party else None
        return [record_view(r) for r in share.negotiations(waiting=waiting, party=whose, limit=limit, offset=offset)]

    @router.post("/negotiations", status_code=201)
    def negotiate(body: NegotiateBody, subject: Subject = Depends(subject_of)) -> View:
        """Ask for a contract."""
        terms = body.terms.terms() if body.terms is not None else None
        party, offer = PartyId(body.party), shown_offer(body.policy, body.offer_id)
        asked = share.negotiate(
            party, body.dataset_id, subject, offer_id=body.offer_id, offer=offer, terms=terms, replaces=body.replaces
        )
        return record_view(asked)

    @router.get("/transfers")
    def transfers(
        waiting: bool = False,
        party: str = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
        subject: Subject = Depends(subject_of),
    ) -> list[View]:
        """Transfers of both sides, newest first."""
        share.require_onlooker(subject)
        whose = PartyId(party) if party else None
        return [record_view(r) for r in share.transfers(waiting=waiting, party=whose, limit=limit, offset=offset)]

    @router.post("/transfers", status_code=201)
    def transfer(body: TransferBody, subject: Subject = Depends(subject_of)) -> View:
        """Request data under an agreement."""
        opening = body.opening()
        return record_view(share.transfer(body.agreement_id, subject, format=body.format, opening=opening))

    @router.post("/obtain")
    def obtained(body: ObtainBody, subject: Subject = Depends(subject_of)) -> View:
        """A partner's dataset in one step: contract, transfer and pull, each only if it is due."""
        party = PartyId(body.party)
        return asdict(obtain(share, party, body.dataset_id, subject, purpose=body.purpose, name=body.name))

    @router.post("/transfers/{process_id}/pull")
    def pull(process_id: str, body: PullBody, subject: Subject = Depends(subject_of)) -> View:
        """Fetch the data of a started transfer and keep them as a dataset."""
        kept = share.pull_into(
            process_id, body.name, subject, purpose=body.purpose, title=body.title, columns=body.columns
        )
        return {"dataset_id": kept}


def _add_steps(router: APIRouter, share: ShareService, subject_of: Callable[..., Any]) -> None:
    def of_kind(name: str, process_id: str) -> Record:
        record = share.process(process_id)
        if record.kind is not {"negotiations": Kind.NEGOTIATION, "transfers": Kind.TRANSFER}[name]:
            raise ProcessUnknown(process_id=process_id[:200])
        return record

    def add(name: str, step: str, carry_out: Callable[[str, Subject, str], Record], text: str) -> None:
        def run(process_id: str, body: ReasonBody | None = None, subject: Subject = Depends(subject_of)) -> View:
            of_kind(name, process_id)
            return record_view(carry_out(process_id, subject, body.reason if body else ""))

        run.__name__, run.__doc__ = f"{step}_{name}", text
        router.add_api_route(f"/{name}/{{process_id}}/{step}", run, methods=["POST"])

    for name in ("negotiations", "transfers"):
        add(name, "approve", lambda pid, who, _: share.approve(pid, who), "Say yes to what waits for a person.")
        add(name, "decline", share.decline, "Say no to what waits for a person.")
        add(name, "terminate", share.terminate, "End it.")
    add("transfers", "suspend", share.suspend, "Stop it for now.")
    add("transfers", "resume", lambda pid, who, _: share.resume(pid, who), "Let it go on.")
    add("transfers", "complete", lambda pid, who, _: share.complete(pid, who), "Say that it is done.")

    @router.post("/negotiations/{process_id}/counter")
    def counter(process_id: str, body: TermsBody, subject: Subject = Depends(subject_of)) -> View:
        """Answer with other terms."""
        of_kind("negotiations", process_id)
        return record_view(share.counter(process_id, body.terms(), subject))

    @router.get("/{name}/{process_id}/state")
    def state(
        name: Literal["negotiations", "transfers"], process_id: str, subject: Subject = Depends(subject_of)
    ) -> View:
        """How far a negotiation or transfer has come, and what came of it; for programs that ask often."""
        share.require_onlooker(subject)
        record = of_kind(name, process_id)
        shown = {"state": record.state.value, "agreement_id": record.agreement_id}
        return shown | {"waiting": record.waiting, "reason": record.reason}

    @router.get("/{name}/{process_id}")
    def process(name: str, process_id: str, subject: Subject = Depends(subject_of)) -> View:
        """One negotiation or transfer with its messages."""
        share.require_onlooker(subject)
        if name not in ("negotiations", "transfers"):
            raise ProcessUnknown(process_id=process_id[:200])
        record = of_kind(name, process_id)
        messages = [
            {key: message[key] for key in ("direction", "message_id", "message_type", "body_hash", "at")}
            for message in share.messages(process_id)
        ]
        return record_view(record) | {"messages": messages}


def _add_agreements(router: APIRouter, share: ShareService, subject_of: Callable[..., Any]) -> None:
    @router.get("/agreements")
    def agreements(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
        subject: Subject = Depends(subject_of),
    ) -> list[View]:
        """Agreements of both sides, with what is left of each."""
        share.require_onlooker(subject)
        now = share.clock()
        return [agreement_view(agreement, now) for agreement in share.agreements(limit=limit, offset=offset)]

    @router.post("/agreements/{agreement_id}/retire")
    def retire(agreement_id: str, body: ReasonBody, subject: Subject = Depends(subject_of)) -> View:
        """End an agreement for good."""
        return agreement_view(share.retire(agreement_id, subject, body.reason), share.clock())

    @router.get("/deliveries")
    def deliveries(
        agreement_id: str = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
        subject: Subject = Depends(subject_of),
    ) -> list[View]:
        """The meter: what was served and pulled."""
        share.require_onlooker(subject)
        lines = share.deliveries(agreement_id=agreement_id, limit=limit, offset=offset)
        return [delivery_view(line) for line in lines]


class InvitationBody(_Body):
    """Another party's line, and the fingerprint its people read out."""

    line: str = Field(max_length=12_000)
    fingerprint: str = Field(max_length=200, examples=["sha256:3f9a…"])
    replace: bool = Field(default=False, description="Put it in the place of a known party whose key has changed")
    identity: str = Field(default="gongshu", max_length=60, description="The scheme that both sides agreed on")
    certificate: str = Field(default="", max_length=8000, description="Its TLS certificate, if not in the line")


class PartyBody(_Body):
    """A party that proves itself by something else than a key of ours."""

    party_id: str = Field(max_length=200, examples=["did:web:mill.example"])
    title: str = Field(default="", max_length=200)
    address: str = Field(default="", max_length=400)
    identity: str = Field(default="dcp", max_length=60, description="The scheme that both sides agreed on")
    roles: list[Literal["partner", "issuer"]] = Field(default=["partner"], max_length=2)
    certificate: str = Field(default="", max_length=8000, description="Its TLS certificate, PEM or fingerprint")
    replace: bool = Field(default=False, description="Put it in the place of a known party")


class TrustBody(_Body):
    """A space's trust list, and the fingerprint its operator's people read out."""

    source: str = Field(max_length=800, pattern="^https?://", examples=["https://operator.example/trust.txt"])
    fingerprint: str = Field(max_length=200, examples=["sha256:3f9a…"])


def create_parties_router(introductions: Introductions, trust: Trusting, subject_of: Callable[..., Any]) -> APIRouter:
    """Return the routes by which parties come to know each other, under `/api/v1/share`."""
    router = APIRouter(prefix="/api/v1/share", tags=["share"])

    @router.get("/invitation")
    def own(subject: Subject = Depends(subject_of)) -> View:
        """Our own line for another party, and the fingerprint to read out."""
        line, fingerprint = introductions.own(subject)
        return {"line": line, "fingerprint": fingerprint}

    @router.get("/parties")
    def parties(subject: Subject = Depends(subject_of)) -> list[View]:
        """The parties we know."""
        return [_party(party) for party in introductions.parties(subject)]

    @router.post("/parties", status_code=201)
    def accept(body: InvitationBody, subject: Subject = Depends(subject_of)) -> View:
        """Get to know another party."""
        more = {"identity": body.identity, "certificate": body.certificate}
        return _party(introductions.accept(body.line, body.fingerprint, subject, replace=body.replace, **more))

    @router.get("/trust")
    def lists(subject: Subject = Depends(subject_of)) -> list[View]:
        """The trust lists of other spaces that are believed here."""
        return [asdict(believed) for believed in trust.all(subject)]

    @router.post("/trust", status_code=201)
    def believe(body: TrustBody, subject: Subject = Depends(subject_of)) -> View:
        """Believe a space's trust list; its members are known at once."""
        return asdict(trust.add(body.source, body.fingerprint, subject))

    @router.delete("/trust/{space_id:path}", status_code=204)
    def disbelieve(space_id: str, subject: Subject = Depends(subject_of)) -> None:
        """Believe a space's list no more; what flows to its members ends."""
        trust.remove(space_id, subject)

    @router.post("/parties/registered", status_code=201)
    def register(body: PartyBody, subject: Subject = Depends(subject_of)) -> View:
        """Register a party by its DID or certificate."""
        party = Party(
            PartyId(body.party_id),
            body.title or body.party_id,
            "",
            body.address,
            tuple(body.roles),
            body.identity,
            body.certificate,
        )
        return _party(introductions.register(party, subject, replace=body.replace))

    @router.delete("/parties/{party_id:path}", status_code=204)
    def forget(party_id: str, subject: Subject = Depends(subject_of)) -> None:
        """Forget a party; what flows to it ends."""
        introductions.forget(PartyId(party_id), subject)

    return router


def _party(party: Party) -> View:
    return {
        "party_id": party.party_id,
        "title": party.title,
        "address": party.address,
        "fingerprint": party.fingerprint,
        "roles": list(party.roles),
        "identity": party.identity,
        "certificate": party.certificate_pin,
        "space": party.space,
    }

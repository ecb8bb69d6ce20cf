"""HTTP routes of the spaces: for this node's own people, and under /share/spaces for other parties' nodes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gongshu.errors import GongshuError, NotAuthenticated
from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.secure.peer_identity import PeerIdentities
from gongshu.share.dsp.reader import read_plain
from gongshu.share.errors import MessageTooLarge, MessageTooSlow
from gongshu.share.spaces.errors import SpaceUnknown
from gongshu.share.spaces.notices import NOTICE_PATH
from gongshu.share.spaces.service import SpaceService
from gongshu.share.spaces.states import Standing, Step

Json = dict[str, Any]

BODY_BYTES_MAX, BODY_TIMEOUT_S = 256 * 1024, 10.0
_MEMBER_STEPS = {"refuse": Step.REFUSE, "suspend": Step.SUSPEND, "resume": Step.RESUME, "expel": Step.EXPEL}
_ENTRY_STEPS = {"refuse": Step.REFUSE, "withdraw": Step.WITHDRAW}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SpaceBody(_Body):
    """A space to be made."""

    title: str = Field(max_length=400)
    rules: str = Field(max_length=20_000)


class ReasonBody(_Body):
    """Why; for an admission, how the identity was checked."""

    reason: str = Field(default="", max_length=2000)


class OperatorBody(_Body):
    """A space elsewhere."""

    operator: str
    space_id: str = ""
    entry_id: str = ""
    agreement_id: str = ""
    reason: str = Field(default="", max_length=2000)


class ApplyBody(_Body):
    """An application: the rules as they were read are what is signed."""

    operator: str
    space_id: str
    roles: list[str]
    area: str = Field(examples=["310100"])
    organisation: str
    rules: str


class EntryBody(_Body):
    """An entry for a space elsewhere."""

    operator: str
    space_id: str
    entry: dict[str, Any]


class LookBody(_Body):
    """What to see of a space elsewhere."""

    operator: str
    space_id: str
    what: str
    words: str = ""


def create_spaces_router(spaces: SpaceService, subject_of: Callable[..., Any]) -> APIRouter:
    """Return the routes under `/api/v1/spaces`, of the operator's people, and `/api/v1/memberships`, of members'."""
    router = APIRouter(prefix="/api/v1", tags=["spaces"])
    _add_spaces(router, spaces, subject_of)
    _add_decisions(router, spaces, subject_of)
    _add_memberships(router, spaces, subject_of)
    return router


def _add_spaces(router: APIRouter, spaces: SpaceService, subject_of: Callable[..., Any]) -> None:
    host = spaces.host

    @router.get("/spaces")
    def all_spaces(subject: Subject = Depends(subject_of)) -> list[Json]:
        """The spaces that this node operates."""
        return host.spaces(subject)

    @router.post("/spaces", status_code=201)
    def request(body: SpaceBody, subject: Subject = Depends(subject_of)) -> Json:
        """Ask for a space of our own."""
        return host.request(body.title, body.rules, subject)

    @router.get("/spaces/{space_id}")
    def one(space_id: str, subject: Subject = Depends(subject_of)) -> Json:
        """One space."""
        return host.space(space_id, subject)

    @router.get("/spaces/{space_id}/members")
    def members(space_id: str, subject: Subject = Depends(subject_of)) -> list[Json]:
        """Who applied or belongs."""
        return host.members(space_id, subject)

    @router.get("/spaces/{space_id}/entries")
    def entries(space_id: str, state: Standing | None = None, subject: Subject = Depends(subject_of)) -> list[Json]:
        """Entries in every state, or in one."""
        return host.entries(space_id, subject, state=state)

    @router.get("/spaces/{space_id}/catalogue")
    def catalogue(
        space_id: str, words: Annotated[str, Query(max_length=400)] = "", subject: Subject = Depends(subject_of)
    ) -> list[Json]:
        """What members find, the best for the words first."""
        return host.catalogue(space_id, words, subject)

    @router.get("/spaces/{space_id}/contracts")
    def contracts(space_id: str, subject: Subject = Depends(subject_of)) -> list[Json]:
        """The facts that members reported."""
        return host.contracts(space_id, subject)

    @router.get("/spaces/{space_id}/history")
    def history(space_id: str, subject: Subject = Depends(subject_of)) -> list[Json]:
        """Who decided what."""
        return host.history(space_id, subject)


def _add_decisions(router: APIRouter, spaces: SpaceService, subject_of: Callable[..., Any]) -> None:
    host = spaces.host

    @router.post("/spaces/{space_id}/{step}")
    def decide(space_id: str, step: str, body: ReasonBody, subject: Subject = Depends(subject_of)) -> Json:
        """Approve, refuse or dissolve a space."""
        acts = {"approve": host.approve, "refuse": host.refuse, "dissolve": host.dissolve}
        decided: Json = _known(acts, step)(space_id, subject, body.reason)
        return decided

    @router.post("/spaces/{space_id}/members/{party}/{step}")
    def decide_member(
        space_id: str, party: str, step: str, body: ReasonBody, subject: Subject = Depends(subject_of)
    ) -> Json:
        """Admit (the reason says how the identity was checked), refuse, suspend, resume or expel a member."""
        if step == "admit":
            return host.admit(space_id, PartyId(party), subject, identity_check=body.reason)
        return host.decide_member(space_id, PartyId(party), _known(_MEMBER_STEPS, step), subject, body.reason)

    @router.post("/spaces/{space_id}/entries/{entry_id}/{step}")
    def decide_entry(
        space_id: str, entry_id: str, step: str, body: ReasonBody, subject: Subject = Depends(subject_of)
    ) -> Json:
        """Audit, register, refuse or withdraw an entry."""
        if step == "audit":
            return host.audit(space_id, entry_id, subject, body.reason)
        if step == "register":
            return host.register(space_id, entry_id, subject)
        return host.decide_entry(space_id, entry_id, _known(_ENTRY_STEPS, step), subject, body.reason)


def _add_memberships(router: APIRouter, spaces: SpaceService, subject_of: Callable[..., Any]) -> None:
    member = spaces.membership

    @router.get("/memberships")
    def standings(subject: Subject = Depends(subject_of)) -> list[Json]:
        """Where this node stands in the spaces of others."""
        return member.standings(subject)

    @router.post("/memberships/request")
    def request(body: SpaceBody, operator: str, subject: Subject = Depends(subject_of)) -> Json:
        """Ask an operator for a logical space."""
        return member.request_space(PartyId(operator), body.title, body.rules, subject)

    @router.post("/memberships/apply")
    def apply(body: ApplyBody, subject: Subject = Depends(subject_of)) -> Json:
        """Sign a space's rules and apply for admission."""
        more = {"area": body.area, "organisation": body.organisation, "rules": body.rules}
        return member.apply(PartyId(body.operator), body.space_id, body.roles, subject, **more)

    @router.post("/memberships/entry")
    def entry(body: EntryBody, subject: Subject = Depends(subject_of)) -> Json:
        """Send a resource or product to a space for audit."""
        return member.submit(PartyId(body.operator), body.space_id, body.entry, subject)

    @router.post("/memberships/look")
    def look(body: LookBody, subject: Subject = Depends(subject_of)) -> Json:
        """See a space's catalogue, members, contracts or history, as far as our role goes."""
        return member.look(PartyId(body.operator), body.space_id, body.what, subject, words=body.words)

    @router.post("/memberships/{act}")
    def act_on(act: str, body: OperatorBody, subject: Subject = Depends(subject_of)) -> Json:
        """Read the rules, publish or withdraw an entry, report a contract, leave."""
        operator, space_id = PartyId(body.operator), body.space_id
        acts: dict[str, Callable[[], Json]] = {
            "rules": lambda: member.rules(operator, space_id, subject),
            "publish": lambda: member.publish(operator, space_id, body.entry_id, subject),
            "withdraw": lambda: member.withdraw(operator, space_id, body.entry_id, subject, body.reason),
            "report": lambda: member.report(operator, space_id, body.agreement_id, subject),
            "leave": lambda: member.leave(operator, space_id, subject, body.reason),
        }
        answer: Json = _known(acts, act)()
        return answer


def create_spaces_peer_router(spaces: SpaceService, identities: PeerIdentities) -> APIRouter:
    """Return the routes under `/share/spaces` that other parties' nodes use; each message proves its sender."""
    router = APIRouter(tags=["data space"])

    @router.post("/share/spaces/requests")
    async def request_space(request: Request) -> Response:
        """A party asks for a logical space."""
        return await _answer(identities, request, spaces.desk.request)

    @router.post(NOTICE_PATH)
    async def notice(request: Request) -> Response:
        """An operator brings news."""

        def take(party: PartyId, document: Json) -> Json:
            spaces.membership.receive(party, document)
            return {"received": True}

        return await _answer(identities, request, take)

    @router.post("/share/spaces/{space_id}/{message}")
    async def answer(request: Request, space_id: str, message: str) -> Response:
        """A party asks something of a space that this node operates."""

        def work(party: PartyId, document: Json) -> Json:
            if message not in spaces.desk.messages:
                raise SpaceUnknown(space_id=space_id[:200])
            return spaces.desk.answer(party, space_id, message, document)

        return await _answer(identities, request, work)

    return router


async def _answer(identities: PeerIdentities, request: Request, work: Callable[[PartyId, Json], Json]) -> Response:
    """Authenticate, work off the event loop, answer; who proves nothing gets the one 404 of decision 0044."""
    try:
        body = await _read_body(request)

        def whole() -> Json:
            party = identities.party_of(identities.proof_of(request.scope, body))
            return work(party, read_plain(body))

        return JSONResponse(await run_in_threadpool(whole))
    except NotAuthenticated:
        return JSONResponse({"code": "share.not_authorised"}, 404)
    except GongshuError as error:
        return JSONResponse({"code": error.code, "detail": str(error)}, error.status)


async def _read_body(request: Request) -> bytes:
    with suppress(ValueError):
        if int(request.headers.get("content-length", "0")) > BODY_BYTES_MAX:
            raise MessageTooLarge(limit_bytes=BODY_BYTES_MAX)
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES_MAX:
                    raise MessageTooLarge(limit_bytes=BODY_BYTES_MAX)
                parts.append(part)
    except TimeoutError as cause:
        raise MessageTooSlow(timeout_s=BODY_TIMEOUT_S) from cause
    return b"".join(parts)


def _known(acts: dict[str, Any], name: str) -> Any:
    if name not in acts:
        raise SpaceUnknown(space_id=f"(no step {name[:40]!r}; there are {', '.join(acts)})")
    return acts[name]

"""HTTP routes of the index: for this node's own people and programs, and the stamp that other parties ask for."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from gongshu.errors import NotAuthenticated
from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.secure.peer_identity import PeerIdentities
from gongshu.share.crawl.passes import INTERVAL_LEAST_S, INTERVAL_MOST_S
from gongshu.share.crawl.service import INTERVAL_USUAL_S, LIMIT_MAX, CrawlService
from gongshu.share.crawl.sources import STAMP_PATH
from gongshu.share.crawl.views import crawl_view, found_view, outcome_view

View = dict[str, Any]


class FollowBody(BaseModel):
    """Whose catalogue to follow, and how often to read it."""

    model_config = ConfigDict(extra="forbid")

    party: str
    interval_s: int = Field(default=INTERVAL_USUAL_S, ge=INTERVAL_LEAST_S, le=INTERVAL_MOST_S)


def create_index_router(crawl: CrawlService, subject_of: Callable[..., Any]) -> APIRouter:
    """Return the routes under `/api/v1/index`."""
    router = APIRouter(prefix="/api/v1/index", tags=["share"])

    @router.get("/parties")
    def followed(subject: Subject = Depends(subject_of)) -> list[View]:
        """The parties whose catalogues are followed."""
        return [crawl_view(each) for each in crawl.followed(subject)]

    @router.post("/parties", status_code=201)
    def follow(body: FollowBody, subject: Subject = Depends(subject_of)) -> View:
        """Follow a party's catalogue, or change how often it is read."""
        return crawl_view(crawl.follow(PartyId(body.party), subject, interval_s=body.interval_s))

    @router.delete("/parties/{party}", status_code=204)
    def unfollow(party: str, subject: Subject = Depends(subject_of)) -> None:
        """Stop following a party and forget its entries."""
        crawl.unfollow(PartyId(party), subject)

    @router.post("/parties/{party}/crawl")
    def crawl_now(party: str, subject: Subject = Depends(subject_of)) -> View:
        """Read a followed party's catalogue now."""
        return outcome_view(crawl.crawl(PartyId(party), subject))

    @router.get("/search")
    def search(
        words: Annotated[str, Query(min_length=1, max_length=400)],
        party: Annotated[list[str] | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 20,
        subject: Subject = Depends(subject_of),
    ) -> list[View]:
        """What fits the words best; Chinese finds English and the other way round."""
        parties = [PartyId(each) for each in party or ()]
        return [found_view(each) for each in crawl.search(words, subject, parties=parties, limit=limit)]

    @router.get("/entry")
    def entry(
        party: Annotated[str, Query(max_length=200)],
        dataset_id: Annotated[str, Query(max_length=400)],
        subject: Subject = Depends(subject_of),
    ) -> View:
        """One entry of the index, with its offers as they were last read."""
        return crawl.entry(PartyId(party), dataset_id, subject)

    return router


def create_stamp_router(crawl: CrawlService, identities: PeerIdentities) -> APIRouter:
    """Return the route by which other parties ask whether our catalogue has changed for them."""
    router = APIRouter(tags=["data space"])

    @router.get(STAMP_PATH)
    def stamp(request: Request) -> Response:
        """What changes whenever our catalogue does, for the party that asks."""
        try:
            party = identities.party_of(identities.proof_of(request.scope, None))
        except NotAuthenticated:
            return JSONResponse({"code": "share.not_authorised"}, 404)
        return JSONResponse({"stamp": crawl.stamps.of(party)})

    return router

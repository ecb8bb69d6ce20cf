"""HTTP routes of key changes, under /api/v1/share/key-changes."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.share.service import ShareService

View = dict[str, Any]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class KeyChangeBody(_Body):
    """That what was agreed with a party is to go on under the key it has now."""

    party: str = Field(max_length=200, examples=["urn:gongshu:party:partner"])
    reason: str = Field(min_length=1, max_length=2000)
    former: str = Field(default="", max_length=400, description="Which former key, where there are several")


class ConfirmBody(_Body):
    """The fingerprint that the party's people read out over another channel."""

    fingerprint: str = Field(max_length=400)


def create_key_changes_router(share: ShareService, subject_of: Callable[..., Any]) -> APIRouter:
    """Return the routes by which people of this node see to parties whose key changed."""
    router = APIRouter(prefix="/api/v1/share/key-changes", tags=["share"])
    changes = share.key_changes

    @router.get("")
    def all(subject: Subject = Depends(subject_of)) -> View:
        """What is bound to keys that their parties do not have now, and every request, newest first."""
        return {
            "stranded": [asdict(each) for each in changes.stranded(subject)],
            "requests": [asdict(each) for each in changes.all(subject)],
        }

    @router.post("", status_code=201)
    def request(body: KeyChangeBody, subject: Subject = Depends(subject_of)) -> View:
        """Ask for a change; another person confirms it."""
        return asdict(changes.request(PartyId(body.party), subject, reason=body.reason, former=body.former))

    @router.post("/{change_id}/confirm")
    def confirm(change_id: str, body: ConfirmBody, subject: Subject = Depends(subject_of)) -> View:
        """Let contracts, groups and places go on under the new key."""
        return asdict(changes.confirm(change_id, body.fingerprint, subject))

    @router.post("/{change_id}/refuse")
    def refuse(change_id: str, subject: Subject = Depends(subject_of)) -> View:
        """Turn a request down."""
        return asdict(changes.refuse(change_id, subject))

    return router

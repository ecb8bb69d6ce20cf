"""What an operator answers to a member's questions, checked in form before a page or a program reads it.

The operator is another party: its answer is shown, never believed to hold what ours would. Words that we do not know,
as a new state, pass; what is missing or of another type does not.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gongshu.share.spaces.states import Life

ROWS_MAX = 10_000


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Entry(_Answer):
    entry_id: str
    title: str
    kind: str
    state: str
    identifier: str | None = None
    reason: str = ""
    party: str = ""
    description: str = ""
    dataset_id: str = ""


class _Member(_Answer):
    party: str
    roles: list[str]
    area: str
    organisation: str
    state: str


class _Contract(_Answer):
    provider: str
    consumer: str
    status: str
    policy_hash: str
    reporter: str
    agreed_at: str | None
    reported_at: str | None


class _Decision(_Answer):
    life: Annotated[Life, Field(strict=False)]
    name: str
    state: str
    actor: str
    reason: str
    at: str | None


class _Standing(_Answer):
    state: str
    space_id: str = ""
    title: str = ""
    roles: list[str] = []
    identity_check: str = ""
    applied_at: str | None = None
    decided_at: str | None = None
    entries: Annotated[list[_Entry], Field(max_length=ROWS_MAX)] = []


class _Catalogue(_Answer):
    entries: Annotated[list[_Entry], Field(max_length=ROWS_MAX)]


class _Members(_Answer):
    members: Annotated[list[_Member], Field(max_length=ROWS_MAX)]


class _Contracts(_Answer):
    contracts: Annotated[list[_Contract], Field(max_length=ROWS_MAX)]


class _History(_Answer):
    history: Annotated[list[_Decision], Field(max_length=ROWS_MAX)]


_KINDS: Mapping[str, type[_Answer]] = {
    "standing": _Standing,
    "catalogue": _Catalogue,
    "members": _Members,
    "contracts": _Contracts,
    "history": _History,
}


def find_fault(what: str, answer: Mapping[str, Any]) -> str:
    """Return where an answer to this question does not have its form, without any of its content; empty if it has.

    >>> find_fault("members", {"members": [{"party": 7}]}), find_fault("members", {"members": []})
    ('members.0.party: Input should be a valid string', '')
    """
    kind = _KINDS.get(what)
    if kind is None:
        return ""
    try:
        kind.model_validate(answer)
    except ValidationError as cause:
        fault = cause.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(str(part) for part in fault['loc'])[:200]}: {fault['msg']}"
    return ""

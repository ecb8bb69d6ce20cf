"""HTTP: signing in, asking through the gate, the audit log, the policies, the accounts."""

import base64
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import pyarrow as pa
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from gongshu.model import access
from gongshu.model.access import Role, Subject
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.secure.audit import AuditEntry, AuditLog
from gongshu.secure.errors import NotAllowed, TokenRejected
from gongshu.secure.gate import Gate, GateResult, SqlQuery, python_rows
from gongshu.secure.identity import Account, IdentityService
from gongshu.secure.policy import PolicyService

ARROW_STREAM = "application/vnd.apache.arrow.stream"
JSON_ROWS_MAX = 10_000
"""A JSON answer is for looking at; more rows come as an Arrow stream."""

_bearer = HTTPBearer(auto_error=False, description="A token from /api/v1/login or `gongshu account token`")


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Login(_Body):
    """Name and password."""

    name: str = Field(max_length=64, examples=["li"])
    password: str = Field(max_length=256)


class FirstAccount(_Body):
    """The one-time code that `gongshu init` printed, and the account to be made."""

    code: str = Field(max_length=100)
    name: str = Field(max_length=64, examples=["root"])
    password: str = Field(max_length=256)
    title: str = Field(default="", max_length=200)


class NewAccount(_Body):
    """An account to be made."""

    name: str = Field(max_length=64, examples=["li"])
    password: str = Field(max_length=256)
    roles: list[Role] = Field(examples=[["engineer"]])
    title: str = Field(default="", max_length=200)


class Sql(_Body):
    """One SELECT over dataset names and `readings`."""

    sql: str = Field(max_length=100_000, examples=["SELECT series, avg(value) FROM readings GROUP BY ALL"])
    purpose: str = Field(max_length=200, examples=["analysis"])
    rows_max: int | None = Field(default=None, ge=1)


class PolicyText(_Body):
    """A whole set of policies in Cedar."""

    text: str = Field(max_length=1_000_000)


class Explain(_Body):
    """A question to the policies that nobody asks in earnest."""

    subject_id: str = Field(max_length=200, examples=["user:li"])
    party_id: str = Field(default="", max_length=200, description="Empty means this node's own")
    roles: list[Role]
    attributes: dict[str, str] = {}
    action: str = Field(default="read", max_length=40)
    purpose: str = Field(default="analysis", max_length=200)
    dataset_id: str = Field(max_length=63)


def subject_dependency(identity: IdentityService) -> Callable[..., Subject]:
    """Return the FastAPI dependency that gives who asks, by the bearer token.

    Raises: TokenRejected when there is none, or it is not valid.
    """

    def subject_of(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)] = None) -> Subject:
        if credentials is None:
            raise TokenRejected
        return identity.subject_of(credentials.credentials)

    return subject_of


def create_router(
    identity: IdentityService,
    gate: Gate,
    policies: PolicyService,
    audit: AuditLog,
    subject_of: Callable[..., Subject],
) -> APIRouter:
    """Return the routes of this room."""
    router = APIRouter(prefix="/api/v1", tags=["secure"])
    _add_sign_in(router, identity, subject_of)
    _add_accounts(router, identity, subject_of)
    _add_sql(router, gate, subject_of)
    _add_audit(router, audit, subject_of)
    _add_policies(router, policies, gate, subject_of)
    return router


def require_role(subject: Subject, role: Role, act: str) -> None:
    """Refuse unless the subject has the role.

    Raises: NotAllowed.
    """
    if role not in subject.roles:
        raise NotAllowed(actor=subject.subject_id, act=act, role=role)


def _add_sign_in(router: APIRouter, identity: IdentityService, subject_of: Callable[..., Subject]) -> None:
    @router.post("/login")
    def login(body: Login, request: Request) -> dict[str, str]:
        """Sign in; the token is valid for twelve hours."""
        address = request.client.host if request.client else ""
        return {"token": identity.login(body.name, body.password, address=address)}

    @router.post("/first-account", status_code=201)
    def first_account(body: FirstAccount) -> dict[str, Any]:
        """Spend a one-time code and make the first administrator."""
        return _account(identity.redeem(body.code, body.name, body.password, title=body.title))

    @router.post("/logout", status_code=204)
    def logout(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)] = None) -> None:
        """End the token that this request carries."""
        if credentials is not None:
            identity.revoke(credentials.credentials)

    @router.get("/me")
    def me(subject: Annotated[Subject, Depends(subject_of)]) -> dict[str, Any]:
        """Who you are to this node."""
        return {
            "subject_id": subject.subject_id,
            "party_id": subject.party_id,
            "roles": sorted(role.value for role in subject.roles),
            "attributes": dict(subject.attributes),
        }


def _add_accounts(router: APIRouter, identity: IdentityService, subject_of: Callable[..., Subject]) -> None:
    @router.get("/accounts")
    def accounts(subject: Annotated[Subject, Depends(subject_of)]) -> list[dict[str, Any]]:
        """All accounts, for administrators of the system and of security."""
        if Role.SECURITY_ADMIN not in subject.roles:
            require_role(subject, Role.SYSTEM_ADMIN, "list accounts")
        return [_account(account) for account in identity.accounts()]

    @router.post("/accounts", status_code=201)
    def create_account(body: NewAccount, subject: Annotated[Subject, Depends(subject_of)]) -> dict[str, Any]:
        """Make an account; which roles you may give depends on your own."""
        account = identity.create_account(
            body.name, body.password, body.roles, actor=subject.subject_id, title=body.title
        )
        return _account(account)


def _add_sql(router: APIRouter, gate: Gate, subject_of: Callable[..., Subject]) -> None:
    @router.post("/sql", response_class=Response)
    def sql(body: Sql, request: Request, subject: Annotated[Subject, Depends(subject_of)]) -> Response:
        """Ask through the gate. `Accept: application/vnd.apache.arrow.stream` gives all rows as an Arrow stream."""
        if ARROW_STREAM in request.headers.get("accept", ""):
            result = gate.read(subject, SqlQuery(body.sql, body.rows_max), purpose=body.purpose)
            headers = {"X-Gongshu-Audit-Index": str(result.audit_index)}
            return StreamingResponse(_arrow_stream(result), media_type=ARROW_STREAM, headers=headers)
        rows_max = min(body.rows_max or JSON_ROWS_MAX, JSON_ROWS_MAX)
        with gate.read(subject, SqlQuery(body.sql, rows_max), purpose=body.purpose) as result:
            rows = python_rows(result.read_all())
            answer = {
                "columns": [{"name": field.name, "type": str(field.type)} for field in result.schema],
                "rows": rows,
                "truncated": result.truncated,
                "audit_index": result.audit_index,
            }
        return Response(orjson.dumps(answer, default=_plain), media_type="application/json")


def _add_audit(router: APIRouter, audit: AuditLog, subject_of: Callable[..., Subject]) -> None:
    @router.get("/audit")
    def entries(
        subject: Annotated[Subject, Depends(subject_of)],
        object: str | None = None,
        action: str | None = None,
        actor: str | None = None,
        before: int | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        """Records, newest first. `action=read.*` gives the gate's decisions and what left."""
        require_role(subject, Role.AUDIT_ADMIN, "read the audit log")
        found = audit.entries(object=object, action=action, actor=actor, limit=limit, before=before)
        return [_entry(entry) for entry in found]

    @router.get("/audit/checkpoint")
    def checkpoint(subject: Annotated[Subject, Depends(subject_of)]) -> dict[str, str]:
        """A checkpoint over the log as it stands; keep it elsewhere, it proves a later cut."""
        require_role(subject, Role.AUDIT_ADMIN, "sign a checkpoint")
        return {"note": audit.checkpoint()}

    @router.get("/audit/export", response_class=FileResponse)
    def export(subject: Annotated[Subject, Depends(subject_of)]) -> FileResponse:
        """The whole log as one file for `gongshu audit verify`."""
        require_role(subject, Role.AUDIT_ADMIN, "export the audit log")
        folder = tempfile.TemporaryDirectory(prefix="gongshu-audit-")
        path = Path(folder.name) / "audit.jsonl"
        audit.export(path)
        cleanup = BackgroundTask(folder.cleanup)
        return FileResponse(path, filename="audit.jsonl", media_type="application/jsonl", background=cleanup)


def _add_policies(router: APIRouter, policies: PolicyService, gate: Gate, subject_of: Callable[..., Subject]) -> None:
    @router.get("/policies")
    def active(subject: Annotated[Subject, Depends(subject_of)]) -> dict[str, Any]:
        """The policies in force and the versions before; for administrators of security and of audit."""
        if Role.AUDIT_ADMIN not in subject.roles:
            require_role(subject, Role.SECURITY_ADMIN, "read the policies")
        versions = [
            {"version": v.version, "sha256": v.text_hash, "author": v.author, "deployed_at": v.deployed_at}
            for v in policies.versions()
        ]
        return {"text": policies.active(), "versions": versions}

    @router.post("/policies/check")
    def check(body: PolicyText, subject: Annotated[Subject, Depends(subject_of)]) -> list[dict[str, Any]]:
        """What is wrong with a text, by line; an empty list means that it can be deployed."""
        require_role(subject, Role.SECURITY_ADMIN, "check policies")
        return [{"line": f.line, "policy": f.policy, "message": f.message} for f in policies.check(body.text)]

    @router.post("/policies", status_code=201)
    def deploy(body: PolicyText, subject: Annotated[Subject, Depends(subject_of)]) -> dict[str, Any]:
        """Put a text in force."""
        require_role(subject, Role.SECURITY_ADMIN, "deploy policies")
        version = policies.deploy(body.text, subject.subject_id)
        return {"version": version.version, "sha256": version.text_hash}

    @router.post("/policies/explain")
    def explain(body: Explain, subject: Annotated[Subject, Depends(subject_of)]) -> dict[str, Any]:
        """What the policies would say to somebody, and why."""
        require_role(subject, Role.SECURITY_ADMIN, "explain policies")
        asker = Subject(
            SubjectId(body.subject_id),
            PartyId(body.party_id) if body.party_id else subject.party_id,
            frozenset(body.roles),
            body.attributes,
        )
        request = access.Request(asker, body.action, body.purpose, DatasetId(body.dataset_id))
        verdict = gate.explain(request, actor=subject.subject_id)
        return {
            "permitted": verdict.permitted,
            "because": list(verdict.because),
            "ask": verdict.ask,
            "masks": [f"{mask.column}:{mask.rule}" for mask in verdict.obligations.masks],
            "row_filters": list(verdict.obligations.row_filters),
            "rows_max": verdict.obligations.rows_max,
        }


def _arrow_stream(result: GateResult) -> Iterator[bytes]:
    """Yield an Arrow IPC stream; the result is closed also when the receiver goes away."""
    with result:
        sink = _Chunks()
        with pa.ipc.new_stream(sink, result.schema) as writer:
            for batch in result.batches():
                writer.write_batch(batch)
                yield sink.take()
        yield sink.take()


class _Chunks:
    """A writable that hands over what was written since the last time."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is held open."""

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _account(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "title": account.title,
        "roles": sorted(role.value for role in account.roles),
        "created_at": account.created_at,
        "created_by": account.created_by,
        "disabled_at": account.disabled_at,
    }


def _entry(entry: AuditEntry) -> dict[str, Any]:
    return {
        "index": entry.index,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "object": entry.object,
        "outcome": entry.outcome,
        "details": dict(entry.details),
    }


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)

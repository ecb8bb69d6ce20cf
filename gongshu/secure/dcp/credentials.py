"""Verifiable credentials and presentations as JWT: what they say, and whether they hold now. Pure.

Two forms are read: data model 1.1 with the claim `vc` (vc11-sl2021/jwt), and 2.0 where the claims are the credential
(vc20-bssl/jwt, RFC-style times or `validFrom`, `validUntil`). Source: DCP 1.0.1 §5.4.3 and its profiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gongshu.secure.dcp.jose import Jwt
from gongshu.secure.errors import PeerTokenRejected

LEEWAY = timedelta(seconds=60)
STATUSES_MAX = 10


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """Where a credential's issuer says whether it still holds."""

    address: str
    index: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Credential:
    """What a credential says; `token` is what its issuer signed."""

    credential_id: str
    issuer: str
    subject: str
    types: tuple[str, ...]
    begins: datetime
    ends: datetime
    statuses: tuple[StatusEntry, ...]
    schema: str
    """Address of the JSON Schema it has to obey, empty if it names none."""
    document: Mapping[str, Any]
    form: str
    """`vc11` or `vc20`, the data model."""

    def require_current(self, now: datetime) -> None:
        """Check that it holds at this time. Raises: PeerTokenRejected."""
        if now + LEEWAY < self.begins:
            raise PeerTokenRejected(reason="its credential is not valid yet")
        if now >= self.ends:
            raise PeerTokenRejected(reason="its credential has expired")


def read_credential(token: Jwt) -> Credential:
    """Return what an unverified credential says; every time that it names counts, the narrowest wins.

    Raises: PeerTokenRejected if it is none, or contradicts itself.
    """
    claims = token.claims
    document = claims.get("vc", claims)
    if not isinstance(document, dict):
        raise _refused("it is no credential")
    subject = document.get("credentialSubject")
    if isinstance(subject, list) and len(subject) == 1:
        subject = subject[0]
    if not isinstance(subject, dict) or not isinstance(subject.get("id"), str):
        raise _refused("it names no subject")
    issuer = document.get("issuer", claims.get("iss"))
    issuer = issuer.get("id") if isinstance(issuer, dict) else issuer
    if not isinstance(issuer, str) or claims.get("iss", issuer) != issuer:
        raise _refused("it names two issuers, or none")
    # Some issuers put the credential's own id there; whom it is about is said, and signed, in credentialSubject.
    if claims.get("sub", subject["id"]) not in (subject["id"], document.get("id")):
        raise _refused("it names two subjects")
    begins = [_moment(claims.get(name)) for name in ("nbf", "iat") if name in claims]
    begins += [_moment(document[name]) for name in ("issuanceDate", "validFrom") if document.get(name) is not None]
    ends = [_moment(claims["exp"])] if "exp" in claims else []
    ends += [_moment(document[name]) for name in ("expirationDate", "validUntil") if document.get(name) is not None]
    if not begins:
        raise _refused("it does not say from when it is valid")
    last = datetime.max.replace(tzinfo=UTC)
    schema = document.get("credentialSchema")
    return Credential(
        str(document.get("id") or claims.get("jti") or "")[:200],
        issuer,
        subject["id"],
        _texts(document.get("type")),
        max(begins),
        min(ends, default=last),
        tuple(_status(entry) for entry in _list(document.get("credentialStatus"))),
        _schema(schema),
        document,
        "vc11" if "vc" in claims else "vc20",
    )


def read_presented(token: Jwt) -> list[Any]:
    """Return the credentials of an unverified presentation, as they stand in it.

    Raises: PeerTokenRejected if there are none.
    """
    claim = token.claims.get("vp", token.claims)
    presentations = claim if isinstance(claim, list) else [claim]
    found: list[Any] = []
    for presentation in presentations:
        listed = presentation.get("verifiableCredential") if isinstance(presentation, dict) else None
        for entry in _list(listed):
            found.append(_unwrapped(entry))
    if not found or len(found) > 50:
        raise _refused("there is no credential in it, or too many")
    return found


def _unwrapped(entry: Any) -> Any:
    """Return the token of an EnvelopedVerifiableCredential (data model 2.0 §4.13), else the entry."""
    if isinstance(entry, dict) and isinstance(entry.get("id"), str):
        kind, _, token = entry["id"].partition(",")
        if kind == "data:application/vc+jwt":
            return token
    return entry


def _schema(value: object) -> str:
    entries = _list(value)
    if not entries:
        return ""
    if len(entries) != 1 or not isinstance(entries[0], dict) or not isinstance(entries[0].get("id"), str):
        raise _refused("the schema it names cannot be read")
    return str(entries[0]["id"])


def _status(entry: object) -> StatusEntry:
    if not isinstance(entry, dict) or entry.get("type") not in ("BitstringStatusListEntry", "StatusList2021Entry"):
        raise _refused("its status is of a kind that cannot be checked")
    index, address = str(entry.get("statusListIndex")), entry.get("statusListCredential")
    if not index.isascii() or not index.isdecimal() or len(index) > 10 or not isinstance(address, str):
        raise _refused("its status cannot be read")
    return StatusEntry(address, int(index), str(entry.get("statusPurpose", "revocation")))


def _moment(value: object) -> datetime:
    try:
        if type(value) in (int, float):
            return datetime.fromtimestamp(value, tz=UTC)  # type: ignore[arg-type]
        moment = datetime.fromisoformat(str(value))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError) as cause:
        raise _refused("a time in it cannot be read") from cause


def _texts(value: object) -> tuple[str, ...]:
    return tuple(entry for entry in _list(value) if isinstance(entry, str))


def _list(value: object) -> list[Any]:
    found = [] if value is None else value if isinstance(value, list) else [value]
    if len(found) > 50:
        raise _refused("a list in it is too long")
    return found


def _refused(reason: str) -> PeerTokenRejected:
    return PeerTokenRejected(reason=f"its credential cannot be used: {reason}")

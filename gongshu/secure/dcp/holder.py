"""Our own credentials: taken from their issuers, shown to whom our access token names. Source: DCP 1.0.1 §5, §6.5."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.dcp.credentials import Credential
from gongshu.secure.dcp.scopes import AccessTokens, Scope, read_scope
from gongshu.secure.dcp.selfissued import VALID_S, SelfIssued
from gongshu.secure.dcp.verifier import Verifier
from gongshu.secure.errors import ClaimsMessageInvalid, ClaimsUnsupported, PeerTokenRejected
from gongshu.secure.tables import dcp_credentials

CONTEXT = "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"
V1, V2 = "https://www.w3.org/2018/credentials/v1", "https://www.w3.org/ns/credentials/v2"
CREDENTIALS_MAX = 20
"""In one message, and in one answer. Chosen by us."""
_FAR = datetime(9999, 12, 31, tzinfo=UTC)


class Holder:
    """The credential service of this node."""

    def __init__(
        self,
        own_party_id: PartyId,
        tokens: SelfIssued,
        access: AccessTokens,
        verifier: Verifier,
        database: Database,
        audit: AuditSink,
        clock: Callable[[], datetime],
    ) -> None:
        self._own = own_party_id
        self._tokens = tokens
        self._access = access
        self._verifier = verifier
        self._database = database
        self._audit = audit
        self._clock = clock

    def take(self, authorization: str, message: Mapping[str, Any]) -> None:
        """Keep the credentials that a registered issuer sends about us.

        Raises: PeerTokenRejected, ClaimsMessageInvalid. Nothing is kept if one of them cannot be used.
        """
        sender = self._issuer(authorization)
        _require_message(message, "CredentialMessage", ("issuerPid", "holderPid"))
        status = message.get("status")
        if status not in ("ISSUED", "REJECTED"):
            raise ClaimsMessageInvalid(what="CredentialMessage", reason="its status is neither ISSUED nor REJECTED")
        listed = message.get("credentials", [])
        if not isinstance(listed, list) or len(listed) > CREDENTIALS_MAX or (status == "ISSUED" and not listed):
            raise ClaimsMessageInvalid(what="CredentialMessage", reason="its credentials are missing or too many")
        taken = [self._read(entry) for entry in listed] if status == "ISSUED" else []
        for credential, _ in taken:
            if credential.issuer != sender or credential.subject != self._own:
                raise ClaimsMessageInvalid(what="CredentialMessage", reason="a credential is not its sender's about us")
        with self._database.begin() as connection:
            for credential, token in taken:
                _keep(connection, credential, token, self._clock())
            details: dict[str, Any] = {"status": status, "types": sorted({t for c, _ in taken for t in c.types})}
            action = "credentials.received"
            self._audit.write(AuditEvent(self._clock(), f"partner:{sender}", action, self._own, "ok", details))

    def note_offer(self, authorization: str, message: Mapping[str, Any]) -> None:
        """Put on record that a registered issuer offers us credentials; people decide, and ask the issuer.

        Raises: PeerTokenRejected, ClaimsMessageInvalid.
        """
        sender, what = self._issuer(authorization), "CredentialOfferMessage"
        _require_message(message, what, ("issuer",))
        listed = message.get("credentials")
        if message["issuer"] != sender or not isinstance(listed, list) or not 0 < len(listed) <= CREDENTIALS_MAX:
            raise ClaimsMessageInvalid(what=what, reason="its credentials are missing, too many, or another issuer's")
        if not all(isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in listed):
            raise ClaimsMessageInvalid(what=what, reason="an offered credential has no id")
        names = sorted({str(entry.get("credentialType") or entry["id"])[:200] for entry in listed})
        event = AuditEvent(self._clock(), f"partner:{sender}", "credentials.offered", self._own, "ok", {"types": names})
        self._audit.write(event)

    def present(self, authorization: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a question for our credentials, for the party and the scopes of the access token alone.

        Raises: PeerTokenRejected, ClaimsMessageInvalid; ClaimsUnsupported for a presentation definition.
        """
        proved = self._tokens.check(authorization)
        granted = self._access.read(proved.access, proved.party.party_id, self._clock())
        wanted = self._wanted(message)
        if not wanted <= granted:
            raise PeerTokenRejected(reason="it asks for more than its access token opens")
        tokens = self._find(wanted)
        old = [token for token, is_new in tokens if not is_new]
        new = [token for token, is_new in tokens if is_new]
        shown = [self._presentation_1(old, proved.party.party_id)] if old or not new else []
        shown += [self._presentation_2(new, proved.party.party_id)] if new else []
        return {"@context": [CONTEXT], "type": "PresentationResponseMessage", "presentation": shown}

    def credentials(self) -> list[tuple[str, str, tuple[str, ...], datetime]]:
        """Return id, issuer, types and last moment of what is kept, soonest to expire first."""
        columns = (dcp_credentials.c.credential_id, dcp_credentials.c.issuer, dcp_credentials.c.types)
        wanted = sa.select(*columns, dcp_credentials.c.expires_at).order_by(dcp_credentials.c.expires_at)
        with self._database.connect() as connection:
            return [(row[0], row[1], tuple(row[2].split(" ")), row[3]) for row in connection.execute(wanted)]

    def _issuer(self, authorization: str) -> PartyId:
        sender = self._tokens.check(authorization).party
        if "issuer" not in sender.roles:
            raise PeerTokenRejected(reason="its sender is not registered as an issuer")
        return sender.party_id

    def _wanted(self, message: Mapping[str, Any]) -> frozenset[Scope]:
        what = "PresentationQueryMessage"
        _require_message(message, what, ())
        if "presentationDefinition" in message:
            if "scope" in message or not message["presentationDefinition"]:
                raise ClaimsMessageInvalid(what=what, reason="a definition and scopes together, or an empty definition")
            raise ClaimsUnsupported(what="a presentation definition")
        listed = message.get("scope")
        if not isinstance(listed, list) or not 0 < len(listed) <= CREDENTIALS_MAX:
            raise ClaimsMessageInvalid(what=what, reason="its scope is missing, empty or too long")
        scopes = [read_scope(text) for text in listed]
        found = frozenset(scope for scope in scopes if scope is not None)
        if None in scopes:
            raise ClaimsMessageInvalid(what=what, reason="a scope is not of a form that is known here")
        return found

    def _find(self, wanted: frozenset[Scope]) -> list[tuple[str, bool]]:
        """Return the newest credentials that a scope asks for and that have not expired, and which are of model 2.0."""
        query = sa.select(dcp_credentials).where(dcp_credentials.c.expires_at > self._clock())
        found = []
        with self._database.connect() as connection:
            for row in connection.execute(query.order_by(dcp_credentials.c.received_at.desc())):
                names = {Scope("id", row.credential_id)} | {Scope("type", name) for name in row.types.split(" ")}
                if names & wanted:
                    found.append((row.token, row.form == "vc20"))
        return [(token, is_new) for token, is_new in found[:CREDENTIALS_MAX]]

    def _read(self, entry: object) -> tuple[Credential, str]:
        if not isinstance(entry, dict) or not isinstance(entry.get("payload"), str):
            raise ClaimsMessageInvalid(what="CredentialMessage", reason="a credential is not a token")
        return self._verifier.read(entry["payload"]), entry["payload"]

    def _presentation_1(self, tokens: Sequence[str], audience: PartyId) -> str:
        claims = {"@context": [V1], "type": ["VerifiablePresentation"], "verifiableCredential": list(tokens)}
        return self._signed({"vp": {**claims, "holder": self._own}}, audience)

    def _presentation_2(self, tokens: Sequence[str], audience: PartyId) -> str:
        kind = "EnvelopedVerifiableCredential"
        entries = [{"@context": V2, "id": f"data:application/vc+jwt,{token}", "type": kind} for token in tokens]
        claims = {"@context": [V2], "type": ["VerifiablePresentation"], "verifiableCredential": entries}
        return self._signed({**claims, "holder": self._own}, audience)

    def _signed(self, claims: Mapping[str, Any], audience: PartyId) -> str:
        now = int(self._clock().timestamp())
        own = {"iss": self._own, "sub": self._own, "aud": audience, "jti": secrets.token_urlsafe(16)}
        return self._tokens.sign({**claims, **own, "iat": now, "nbf": now, "exp": now + VALID_S})


def _keep(connection: sa.Connection, credential: Credential, token: str, now: datetime) -> None:
    """Store a credential in the place of the same issuer's former one of this id; what has expired goes."""
    name = credential.credential_id or f"urn:uuid:{secrets.token_hex(16)}"
    columns = dcp_credentials.c
    is_former = sa.and_(columns.credential_id == name, columns.issuer == credential.issuer)
    connection.execute(sa.delete(dcp_credentials).where(is_former | (columns.expires_at < now)))
    connection.execute(
        sa.insert(dcp_credentials).values(
            credential_id=name,
            issuer=credential.issuer,
            form=credential.form,
            types=" ".join(credential.types),
            token=token,
            expires_at=min(credential.ends, _FAR),
            received_at=now,
        )
    )


def _require_message(message: Mapping[str, Any], kind: str, texts: Sequence[str]) -> None:
    if message.get("type") != kind or "@context" not in message:
        raise ClaimsMessageInvalid(what=kind, reason="its type or context is another")
    for name in texts:
        if not isinstance(message.get(name), str) or not 0 < len(message[name]) <= 400:
            raise ClaimsMessageInvalid(what=kind, reason=f"{name} is missing")

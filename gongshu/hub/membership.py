"""How a plant becomes a member: an invitation, terms that both sign, and two entries in two party registries.

The province's operator hands the invitation over by another channel. It carries the fingerprint of the province's key,
so the plant knows whom it signs with; the plant proves its own key by signing.
"""

import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.hub import tables
from gongshu.hub.canonical import Document, digest_of, encode_canonical
from gongshu.hub.client import HubClient, require_safe
from gongshu.hub.errors import AgreementUnknown, InvitationRefused, KeyUnexpected, TermsInvalid
from gongshu.hub.indicators import read_rules
from gongshu.hub.model import Agreement, Signed, Terms
from gongshu.hub.roles import CONTRACTORS, require_role
from gongshu.hub.signing import fingerprint_of_pem, require_signature, sign_document
from gongshu.hub.wire import CountersignedMessage, JoinMessage, OfferedTerms, TermsDocument
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.packs.model import Packs
from gongshu.secure.errors import PartyUnknown
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry

INVITATION_PATH = "/api/v1/hub/invitation"
MEMBERS_PATH = "/api/v1/hub/members"


@dataclass(frozen=True, slots=True)
class Own:
    """This node as others see it."""

    party_id: PartyId
    title: str
    division: str
    address: Callable[[], str]
    """Where this node answers; asked late, because a free port is known only once the server listens."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the province's operator hands to a plant."""

    text: str
    """One-time code and fingerprint of the province's key: `CODE@sha256:…`. Shown once, kept only as a digest."""
    expires_at: datetime
    terms: Terms


class Memberships:
    """Invitations and agreements of one node, on either side."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        parties: PartyRegistry,
        packs: Packs,
        audit: AuditSink,
        clock: Callable[[], datetime],
        own: Own,
        client: HubClient,
    ) -> None:
        self._database, self._keys, self._parties, self._packs = database, keys, parties, packs
        self._audit, self._clock, self._own, self._client = audit, clock, own, client

    def invite(
        self,
        actor: Subject,
        *,
        indicators: Sequence[str] = (),
        purpose: str = "statistics",
        basis: str = "voluntary",
        valid_until: datetime | None = None,
        open_s: int = 7 * 86_400,
    ) -> Invitation:
        """Return a one-time invitation to report the named indicators (all of the pack when none is named).

        Raises: RoleMissing, IndicatorUnknown, TermsInvalid.
        """
        require_role(actor, CONTRACTORS, what="invite a member")
        now, rules = self._clock(), read_rules(self._packs)
        chosen = rules.require(tuple(dict.fromkeys(indicators)) or tuple(i.code for i in rules.indicators))
        for indicator in chosen:
            if indicator.weight and indicator.weight not in {i.code for i in chosen}:
                raise TermsInvalid(reason=f"{indicator.code} is weighed by {indicator.weight}, which is not asked for")
        terms = Terms(
            agreement_id=f"urn:uuid:{uuid.uuid4()}",
            province=self._own.party_id,
            member=PartyId(""),
            division="",
            indicators=tuple(i.code for i in chosen),
            purpose=purpose,
            basis=basis,
            utc_offset_minutes=rules.utc_offset_minutes,
            due_days=rules.due_days,
            valid_from=now.replace(microsecond=0),
            valid_until=(valid_until or now + timedelta(days=366)).replace(microsecond=0),
        )
        if terms.valid_until <= terms.valid_from:
            raise TermsInvalid(reason="they end before they begin")
        code, expires_at = secrets.token_hex(16), now + timedelta(seconds=open_s)
        with self._database.begin() as connection:
            connection.execute(
                sa.insert(tables.invitations).values(
                    code_sha256=_digest(code),
                    terms=encode_canonical(terms.document()).decode(),
                    created_at=now,
                    created_by=actor.subject_id,
                    expires_at=expires_at,
                )
            )
            details = {"until": terms.valid_until.isoformat()}
            self._write(actor.subject_id, "invitation.made", terms.agreement_id, details)
        return Invitation(f"{code}@{self._keys.fingerprint()}", expires_at, terms)

    def offer(self, code: str) -> OfferedTerms:
        """Return this province's identity and the terms that an open invitation carries.

        Raises: InvitationRefused.
        """
        with self._database.connect() as connection:
            row = connection.execute(_invitation_of(code)).one_or_none()
        if row is None or row.expires_at <= self._clock():
            raise InvitationRefused
        return OfferedTerms(
            party_id=self._own.party_id,
            title=self._own.title,
            public_key_pem=self._keys.public_key_pem(),
            terms=json.loads(row.terms),
        )

    def accept(self, message: JoinMessage) -> CountersignedMessage:
        """Register the member and countersign; the same acceptance again gets the same answer.

        Raises: InvitationRefused, TermsInvalid, SignatureInvalid, KeyUnexpected.
        """
        signed = message.agreement.value()
        terms = TermsDocument.read(signed.document, what="agreement").value()
        with self._database.connect() as connection:
            row = connection.execute(_invitation_of(message.code)).one_or_none()
        digest = digest_of(signed.document)
        if row is None or row.expires_at <= self._clock():
            raise InvitationRefused
        if row.used_by is not None:
            if not hmac.compare_digest(row.agreement_sha256, digest):
                raise InvitationRefused
            return CountersignedMessage(signature=self._signature_of(terms.agreement_id))
        self._require_invited(terms, TermsDocument.read(json.loads(row.terms), what="invitation").value())
        require_signature(signed, message.public_key_pem, what="agreement", party=terms.member)
        self._register("member", terms.member, message.title, message.public_key_pem, require_safe(message.address))
        countersigned = sign_document(signed.document, self._keys)
        with self._database.begin() as connection:
            taken = connection.execute(
                sa.update(tables.invitations)
                .where(tables.invitations.c.code_sha256 == row.code_sha256, tables.invitations.c.used_by.is_(None))
                .values(used_by=terms.member, agreement_sha256=digest)
            )
            if taken.rowcount != 1:
                raise InvitationRefused
            self._supersede(connection, terms)
            self._store(connection, terms, signed.signature, countersigned.signature, True, message.title)
            details = {"division": terms.division}
            self._write(f"partner:{terms.member}", "agreement.signed", terms.agreement_id, details)
        return CountersignedMessage(signature=countersigned.signature)

    def look(self, address: str, invitation: str) -> tuple[OfferedTerms, Terms]:
        """Return who invites and the terms as this node would sign them; nothing is signed or stored.

        Raises: InvitationRefused, KeyUnexpected, FarSideSilent, FarSideRefused, AddressUnsafe.
        """
        code, _, expected = invitation.strip().partition("@")
        if not expected:
            raise InvitationRefused
        answer = self._client.post(address, INVITATION_PATH, {"code": code}, what="read the invitation")
        offered = OfferedTerms.read(answer, what="invitation")
        seen = fingerprint_of_pem(offered.public_key_pem)
        if seen != expected:
            raise KeyUnexpected(address=address, seen=seen or "no key", expected=expected)
        terms = TermsDocument.read(offered.terms, what="agreement").value()
        if terms.province != offered.party_id or terms.member or self._own.party_id == offered.party_id:
            raise TermsInvalid(reason="they name other parties than the two that sign")
        read_rules(self._packs).require(terms.indicators)
        return offered, replace(terms, member=self._own.party_id, division=self._own.division)

    def join(self, address: str, invitation: str, actor: Subject) -> Agreement:
        """Sign the invited terms with the province at this address, and return the agreement.

        Raises: RoleMissing, and what `look` raises; SignatureInvalid when the province's countersignature is wrong.
        Cost: two network calls; safe to repeat when an answer was lost.
        """
        require_role(actor, CONTRACTORS, what="join a province")
        offered, terms = self.look(address, invitation)
        signed = sign_document(terms.document(), self._keys)
        message = {
            "code": invitation.strip().partition("@")[0],
            "title": self._own.title,
            "public_key_pem": self._keys.public_key_pem(),
            "address": self._own.address(),
            "agreement": {"document": signed.document, "signature": signed.signature},
        }
        answer = self._client.post(address, MEMBERS_PATH, message, what="join")
        countersigned = CountersignedMessage.read(answer, what="countersignature").signature
        require_signature(
            Signed(signed.document, countersigned), offered.public_key_pem, what="agreement", party=offered.party_id
        )
        self._register(
            "province", PartyId(offered.party_id), offered.title, offered.public_key_pem, require_safe(address)
        )
        with self._database.begin() as connection:
            known = sa.select(tables.agreements.c.agreement_id).filter_by(agreement_id=terms.agreement_id)
            if connection.execute(known).one_or_none() is None:
                self._supersede(connection, terms)
                self._store(connection, terms, signed.signature, countersigned, False, offered.title)
            self._write(actor.subject_id, "agreement.signed", terms.agreement_id, {"province": terms.province})
        return self.agreement(terms.agreement_id)

    def agreements(self) -> list[Agreement]:
        """Return all agreements of this node, newest first."""
        with self._database.connect() as connection:
            rows = connection.execute(sa.select(tables.agreements).order_by(tables.agreements.c.signed_at.desc()))
            return [_agreement_of(row) for row in rows]

    def agreement(self, agreement_id: str) -> Agreement:
        """Return one agreement.

        Raises: AgreementUnknown.
        """
        with self._database.connect() as connection:
            row = connection.execute(sa.select(tables.agreements).filter_by(agreement_id=agreement_id)).one_or_none()
        if row is None:
            raise AgreementUnknown(agreement_id=agreement_id[:100], party=self._own.party_id)
        return _agreement_of(row)

    def end(self, agreement_id: str, actor: Subject) -> Agreement:
        """End an agreement now, on this side; reports under it are refused from here on, those received stay.

        Raises: RoleMissing, AgreementUnknown.
        """
        require_role(actor, CONTRACTORS, what="end an agreement")
        self.agreement(agreement_id)
        with self._database.begin() as connection:
            connection.execute(
                sa.update(tables.agreements)
                .where(tables.agreements.c.agreement_id == agreement_id, tables.agreements.c.ended_at.is_(None))
                .values(ended_at=self._clock())
            )
            self._write(actor.subject_id, "agreement.ended", agreement_id, {})
        return self.agreement(agreement_id)

    def _require_invited(self, terms: Terms, invited: Terms) -> None:
        if replace(terms, member=PartyId(""), division="") != invited:
            raise TermsInvalid(reason="they differ from those of the invitation")
        if not terms.member or terms.member == self._own.party_id:
            raise TermsInvalid(reason="the member is not named")
        divisions = {item.key.removeprefix("division.") for item in self._packs.get("gbt-4754").under("division")}
        if terms.division not in divisions:
            raise TermsInvalid(reason=f"{terms.division or 'an empty text'} is no division of GB/T 4754")

    def _register(self, role: str, party_id: PartyId, title: str, public_key_pem: str, address: str) -> None:
        """Add the party, or its new role and address; a key that differs from the known one is refused."""
        known = Party(party_id, title, public_key_pem)
        with suppress(PartyUnknown):
            known = self._parties.get(party_id)
            seen, expected = fingerprint_of_pem(public_key_pem), known.fingerprint
            if seen != expected:
                raise KeyUnexpected(address=address, seen=seen or "no key", expected=expected)
        party = replace(known, title=title, address=address, roles=tuple(sorted({*known.roles, role})))
        self._parties.add(party, actor="system:hub")

    def _supersede(self, connection: sa.Connection, terms: Terms) -> None:
        connection.execute(
            sa.update(tables.agreements)
            .where(
                tables.agreements.c.province == terms.province,
                tables.agreements.c.member == terms.member,
                tables.agreements.c.ended_at.is_(None),
            )
            .values(ended_at=self._clock())
        )

    def _store(
        self, connection: sa.Connection, terms: Terms, member: str, province: str, as_province: bool, far_title: str
    ) -> None:
        connection.execute(
            sa.insert(tables.agreements).values(
                agreement_id=terms.agreement_id,
                as_province=as_province,
                province=terms.province,
                province_title=self._own.title if as_province else far_title,
                member=terms.member,
                member_title=far_title if as_province else self._own.title,
                terms=encode_canonical(terms.document()).decode(),
                member_signature=member,
                province_signature=province,
                signed_at=self._clock(),
            )
        )

    def _signature_of(self, agreement_id: str) -> str:
        with self._database.connect() as connection:
            select = sa.select(tables.agreements.c.province_signature).filter_by(agreement_id=agreement_id)
            return str(connection.execute(select).scalar_one())

    def _write(self, actor: str, action: str, object_: str, details: Document) -> None:
        self._audit.write(AuditEvent(self._clock(), actor, action, object_, "ok", details))


def _agreement_of(row: sa.Row[tuple[object, ...]]) -> Agreement:
    return Agreement(
        terms=TermsDocument.read(json.loads(row.terms), what="stored agreement").value(),
        as_province=row.as_province,
        member_title=row.member_title,
        province_title=row.province_title,
        signed_at=row.signed_at,
        ended_at=row.ended_at,
    )


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _invitation_of(code: str) -> sa.Select[tuple[object, ...]]:
    return sa.select(tables.invitations).where(tables.invitations.c.code_sha256 == _digest(code))

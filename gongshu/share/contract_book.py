"""Contract documents and their signatures in the database, and their way through a negotiation.

The provider drafts and signs with the agreement; the document travels as an extra property of the protocol's message to
a partner whose node says that it signs; the partner's signature comes back with its verification. Nothing is final
before both hold. With another connector the contract is one-sided and shown as such. See decision 0069.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.dataset import Dataset
from gongshu.model.ids import PartyId
from gongshu.prepared import Prepared
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.share.agreements import find_agreement
from gongshu.share.contract import (
    Attachment,
    Contract,
    ContractParty,
    Json,
    Replaced,
    canonical_bytes,
    columns_hash,
    contract_document,
    document_hash,
    read_contract,
)
from gongshu.share.contract_check import check_chain, check_contract
from gongshu.share.contract_signing import sign_contract
from gongshu.share.contract_tables import share_contract_signatures, share_contracts
from gongshu.share.contracts.attaching import attachments_of
from gongshu.share.errors import AgreementUnknown, ContractInvalid
from gongshu.share.model import Agreement, AgreementStatus, Record
from gongshu.share.odrl import canonical_text, text_hash
from gongshu.share.partners import ABILITIES, KEEPS_TERMS, SIGNS_CONTRACTS, declared_abilities
from gongshu.share.ports import Clock
from gongshu.share.tables import share_messages
from gongshu.share.terms import Terms

CONTRACT = "urn:gongshu:contract"
"""The property of a ContractAgreementMessage with the document and the provider's signature; others ignore it."""
SIGNATURE = "urn:gongshu:contract-signature"
"""The property of a ContractAgreementVerificationMessage with the consumer's signature."""
REPLACES = "urn:gongshu:replaces"
"""The property of a ContractRequestMessage with the agreement that is to be replaced."""

CHAIN_MAX = 1000
_C = share_contracts.c
_M, _S = share_messages.c, share_contract_signatures.c
_FIND = Prepared(sa.select(share_contracts).where(_C.agreement_id == sa.bindparam("asked_id")))
_FIND_DOCUMENT = Prepared(sa.select(_C.document).where(_C.agreement_id == sa.bindparam("asked_id")))
_INSERT = Prepared(sa.insert(share_contracts))
_FIND_SIGNATURE = Prepared(
    sa.select(_S.statement).where(
        _S.agreement_id == sa.bindparam("asked_id"), _S.party_id == sa.bindparam("asked_party")
    )
)
_INSERT_SIGNATURE = Prepared(sa.insert(share_contract_signatures))
_BODIES = (
    sa.select(_M.body)
    .where(
        _M.process_id == sa.bindparam("asked_id"),
        _M.direction == sa.bindparam("way"),
        _M.message_type == sa.bindparam("type"),
    )
    .limit(1)
)
_FIRST_BODY = Prepared(_BODIES.order_by(_M.sequence))
_NEWEST_BODY = Prepared(_BODIES.order_by(_M.sequence.desc()))


@dataclass(frozen=True, slots=True)
class Signed:
    """What is kept of a contract in the transaction that queues our message about it."""

    agreement_id: str
    statements: tuple[Mapping[str, str], ...]
    contract: Contract | None = None
    """None where it is kept already, and these are further signatures."""
    document: Json = field(default_factory=dict)
    needs_both: bool = True
    """The partner's node signs too: without its signature nothing becomes final."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a contract, or what is still missing of it, comes to before our next message."""

    fault: str = ""
    """Why there is no such message, but an end."""
    waiting: str = ""
    """Why a person has to look before we sign."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """What is added to the message."""
    signed: Signed | None = None


@dataclass(frozen=True, slots=True)
class SignedContract:
    """A contract as it is kept."""

    contract: Contract
    document: Json
    document_hash: str
    signatures: tuple[dict[str, str], ...]
    problems: tuple[str, ...]
    """What the verifier finds wrong with it; one-sided contracts are judged by the one signature."""

    @property
    def signed_by(self) -> tuple[str, ...]:
        """The parties whose signatures are there."""
        return tuple(sorted(statement["party"] for statement in self.signatures))

    @property
    def is_two_sided(self) -> bool:
        """True if both parties signed and both signatures hold."""
        return len(self.signatures) == 2 and not self.problems


class ContractBook:
    """Drafts, checks, keeps and shows contracts for one node."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        parties: PartyRegistry,
        clock: Clock,
        own_party_id: PartyId,
        abilities: Sequence[str],
    ) -> None:
        self.declaration: Json = {ABILITIES: list(abilities)}
        """What our contract requests say about this node."""
        self._database = database
        self._keys = keys
        self._parties = parties
        self._clock = clock
        self._own = own_party_id

    # ---- provider ---------------------------------------------------------------------------------------------------

    def draft(self, record: Record, policy: Mapping[str, Any], terms: Terms, dataset: Dataset) -> Judged:
        """Return our signed contract for an agreement that is about to be sent.

        Raises: ContractInvalid if the request names an agreement to replace that cannot be.
        """
        agreement_id = str(policy["@id"])
        with self._database.connect() as connection:
            abilities = declared_abilities(connection, record.counterparty)
            replaced = _named_in_request(connection, record, "in")
            version, before = self._replaced(connection, agreement_id, record, replaced)
            attachments = attachments_of(connection, record.offer_id)
        contract = Contract(
            agreement_id=agreement_id,
            version=version,
            replaces=before,
            provider=ContractParty(self._own, self._keys.fingerprint()),
            consumer=ContractParty(record.counterparty, self._known_key(record.counterparty)),
            dataset=str(policy["target"]),
            columns_hash=columns_hash(dataset.columns, terms),
            terms=terms,
            agreement_hash=text_hash(canonical_text(policy)),
            agreed_at=datetime.fromisoformat(str(policy["timestamp"])),
            environment="both_nodes" if KEEPS_TERMS in abilities else "provider_only",
            evidence=("audit_log", "meter", "signed_messages", *(("notices",) if terms.notify else ())),
            attachments=attachments,
        )
        document = contract_document(contract)
        statement = sign_contract(document, self._keys, self._own, self._clock())
        needs_both = SIGNS_CONTRACTS in abilities
        content = {CONTRACT: {"document": document, "signatures": [statement]}} if needs_both else {}
        return Judged(content=content, signed=Signed(agreement_id, (statement,), contract, document, needs_both))

    def keep(self, connection: sa.Connection, signed: Signed) -> None:
        """Keep a contract and its signatures; what is kept already stays as it is. Raises: ContractInvalid."""
        if signed.contract is not None:
            _insert(connection, signed.document, signed.contract, needs_both=signed.needs_both)
        for statement in signed.statements:
            _keep(connection, signed.agreement_id, statement, self._clock())

    def countersigned(self, record: Record) -> Judged:
        """Return the signature with which the provider may finalise, or why it must not finalise yet."""
        with self._database.connect() as connection:
            row = _FIND.first(connection, {"asked_id": record.agreement_id})
            if row is None or not row.needs_both:
                return Judged()
            body = _newest_body(connection, record.process_id, "in", "ContractAgreementVerificationMessage")
        statement = orjson.loads(body).get(SIGNATURE) if body else None
        if not isinstance(statement, dict):
            return Judged("the partner's node signs contracts, and has not signed this one")
        document = orjson.loads(row.document)
        known = {str(record.counterparty): self._known_key(record.counterparty)}
        problems = check_contract(document, [statement], known_keys=known, both=False)
        if problems or statement.get("party") != record.counterparty:
            return Judged(f"the partner's signature is not accepted: {'; '.join(problems) or 'it is another party'}")
        return Judged(signed=Signed(record.agreement_id, (statement,)))

    # ---- consumer ---------------------------------------------------------------------------------------------------

    def receive(self, record: Record, agreement: Agreement, *, may_sign: bool) -> Judged:
        """Judge the contract that came with an agreement, and sign it.

        A contract with attachments is signed only once a person said so (`may_sign`). Without a contract there is
        nothing to sign: the provider's node is of another kind.
        """
        with self._database.connect() as connection:
            body = _newest_body(connection, record.process_id, "in", "ContractAgreementMessage")
            replaced = _named_in_request(connection, record, "out")
            try:
                version, before = self._replaced(connection, agreement.agreement_id, record, replaced)
            except ContractInvalid as invalid:
                return Judged(fault=str(invalid))
            earlier = _signature_of(connection, agreement.agreement_id, self._own)
        sent = orjson.loads(body).get(CONTRACT) if body else None
        if sent is None:
            return Judged()
        try:
            document, (statement,) = sent["document"], sent["signatures"]
            contract = read_contract(document)
        except (KeyError, TypeError, ValueError):
            return Judged(fault="the contract document cannot be read")
        known = {str(record.counterparty): self._known_key(record.counterparty)}
        problems = check_contract(document, [statement], known_keys=known, both=False)
        expected = replace(
            contract,
            agreement_id=agreement.agreement_id,
            version=version,
            replaces=before,
            provider=ContractParty(record.counterparty, known[str(record.counterparty)]),
            consumer=ContractParty(self._own, self._keys.fingerprint()),
            dataset=str(agreement.policy["target"]),
            terms=agreement.terms,
            agreement_hash=agreement.policy_hash,
        )
        differing = [
            name for name in Contract.__slots__ if not _is_same(getattr(contract, name), getattr(expected, name))
        ]
        if problems or differing:
            what = "; ".join(problems) or f"it says something else about {', '.join(differing)}"
            return Judged(fault=f"the contract document is not accepted: {what}")
        if contract.attachments and not may_sign:
            return Judged(waiting="the contract has attachments; read them, then approve")
        # One signed earlier, and kept then, is the one that counts.
        own = earlier or sign_contract(document, self._keys, self._own, self._clock())
        signed = Signed(contract.agreement_id, (statement, own), contract, document)
        return Judged(content={SIGNATURE: own}, signed=signed)

    # ---- looking ----------------------------------------------------------------------------------------------------

    def awaiting(self, process_id: str) -> tuple[Attachment, ...]:
        """Return the files of the contract that came last in a negotiation, as its unsigned document lists them."""
        with self._database.connect() as connection:
            body = _newest_body(connection, process_id, "in", "ContractAgreementMessage")
        try:
            return read_contract(orjson.loads(body)[CONTRACT]["document"]).attachments if body else ()
        except (KeyError, TypeError, ValueError):
            return ()  # it came without a contract of this kind: nothing is signed then

    def find(self, agreement_id: str) -> SignedContract:
        """Return the contract of an agreement with what the verifier says of it. Raises: AgreementUnknown."""
        with self._database.connect() as connection:
            return self._find(connection, agreement_id)

    def chain(self, agreement_id: str) -> tuple[list[SignedContract], list[str]]:
        """Return a contract with all it replaced, the oldest first, and what is wrong with the chain."""
        found: list[SignedContract] = []
        with self._database.connect() as connection:
            wanted: str | None = agreement_id
            while wanted is not None and len(found) < CHAIN_MAX:
                signed = self._find(connection, wanted)
                found.insert(0, signed)
                wanted = signed.contract.replaces.agreement_id if signed.contract.replaces else None
        return found, check_chain([signed.document for signed in found])

    def _find(self, connection: sa.Connection, agreement_id: str) -> SignedContract:
        row = connection.execute(sa.select(share_contracts).where(_C.agreement_id == agreement_id)).first()
        if row is None:
            raise AgreementUnknown(agreement_id=f"{agreement_id[:200]} with a contract document")
        query = sa.select(share_contract_signatures.c.statement).where(
            share_contract_signatures.c.agreement_id == agreement_id
        )
        order = query.order_by(share_contract_signatures.c.party_id)
        signatures = tuple(orjson.loads(text) for text in connection.execute(order).scalars())
        document = orjson.loads(row.document)
        problems = check_contract(document, signatures, both=bool(row.needs_both))
        if document_hash(document) != row.document_hash:
            problems.append("the stored document is not the one that was kept")
        try:
            contract = read_contract(document)
        except ValueError as fault:
            raise ContractInvalid(agreement_id=agreement_id[:200], reason=str(fault)) from fault
        return SignedContract(contract, document, row.document_hash, signatures, tuple(problems))

    def _replaced(
        self, connection: sa.Connection, agreement_id: str, record: Record, replaced: str
    ) -> tuple[int, Replaced | None]:
        if not replaced:
            return 1, None
        try:
            old = find_agreement(connection, replaced)
            row = connection.execute(sa.select(share_contracts).where(_C.agreement_id == replaced)).first()
        except GongshuError as fault:
            raise ContractInvalid(agreement_id=agreement_id, reason=f"it replaces {replaced[:200]}: {fault}") from fault
        same = (old.counterparty, old.side, old.dataset_id) == (record.counterparty, record.side, record.dataset_id)
        if row is None or not same or old.status is not AgreementStatus.ACTIVE or old.why_unbound:
            raise ContractInvalid(
                agreement_id=agreement_id,
                reason=f"{replaced[:200]} is no contract in force between these parties over this dataset",
            )
        return row.version + 1, Replaced(replaced, row.document_hash)

    def _known_key(self, party: PartyId) -> str:
        try:
            return self._parties.get(party).fingerprint
        except GongshuError:  # a party of another scheme has no key of this kind
            return ""


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Terms) and isinstance(other, Terms):
        return one.bounds == other.bounds
    return bool(one == other)


def _named_in_request(connection: sa.Connection, record: Record, direction: str) -> str:
    body = _newest_body(connection, record.process_id, direction, "ContractRequestMessage", first=True)
    named = orjson.loads(body).get(REPLACES) if body else None
    return named if isinstance(named, str) else ""


def _newest_body(
    connection: sa.Connection, process_id: str, direction: str, message_type: str, *, first: bool = False
) -> str | None:
    asked = {"asked_id": process_id, "way": direction, "type": message_type}
    body: str | None = (_FIRST_BODY if first else _NEWEST_BODY).scalar(connection, asked)
    return body


def _insert(connection: sa.Connection, document: Json, contract: Contract, *, needs_both: bool) -> None:
    raw = canonical_bytes(document)
    text = raw.decode()
    known = _FIND_DOCUMENT.scalar(connection, {"asked_id": contract.agreement_id})
    if known is not None:
        if known != text:
            raise ContractInvalid(agreement_id=contract.agreement_id[:200], reason="there is another one for it")
        return
    values = {
        "agreement_id": contract.agreement_id,
        "document": text,
        "document_hash": hashlib.sha256(raw).hexdigest(),
        "version": contract.version,
        "replaces": contract.replaces.agreement_id if contract.replaces else "",
        "needs_both": needs_both,
    }
    _INSERT.run(connection, values)


def _signature_of(connection: sa.Connection, agreement_id: str, party: str) -> Mapping[str, str] | None:
    known = _FIND_SIGNATURE.scalar(connection, {"asked_id": agreement_id, "asked_party": party})
    return orjson.loads(known) if known else None


def _keep(connection: sa.Connection, agreement_id: str, statement: Mapping[str, str], at: datetime) -> None:
    """Keep a party's signature: the first one, so that a repetition changes nothing."""
    if _signature_of(connection, agreement_id, statement["party"]) is None:
        values = {
            "agreement_id": agreement_id,
            "party_id": statement["party"],
            "statement": canonical_bytes(dict(statement)).decode(),
            "kept_at": at.astimezone(UTC),
        }
        _INSERT_SIGNATURE.run(connection, values)

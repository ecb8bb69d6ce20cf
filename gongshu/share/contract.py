"""A contract as one value: parties, object, terms, times, environment, evidence, attachments, version. Pure.

It is written as one JSON document whose canonical bytes are what both parties sign. `contract_forms` shows it as ODRL,
as 数字合约 and as text; `contract_check` verifies it and shares no code with this module.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Any

from gongshu.model.dataset import Column
from gongshu.model.ids import PartyId
from gongshu.share.enforcement import enforcement_of
from gongshu.share.terms import Comparison, Operation, Payment, RowCondition, Terms

Json = dict[str, Any]

FORMAT = "gongshu-contract-1"
_WORDS = {None: "null", True: "true", False: "false"}
INTEGER_MAX = 2**53 - 1
"""Whole numbers beyond are not the same in every JSON reader. Source: RFC 8785, appendix D."""


@dataclass(frozen=True, slots=True)
class ContractParty:
    """One side, with the key it signs with."""

    party_id: PartyId
    key: str
    """`sha256:<hex>` of the public key; empty where the party has none that is known."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that belongs to the contract; its bytes are kept beside."""

    name: str
    media_type: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """The version that a contract takes the place of."""

    agreement_id: str
    document_hash: str


@dataclass(frozen=True, slots=True)
class Contract:
    """What two parties agreed on."""

    agreement_id: str
    version: int
    replaces: Replaced | None
    provider: ContractParty
    consumer: ContractParty
    dataset: str
    """Its id in the eyes of the consumer."""
    columns_hash: str
    """SHA-256 over names and types of the columns that the terms leave: the version of the object."""
    terms: Terms
    agreement_hash: str
    """SHA-256 of the agreement as the protocol carried it."""
    agreed_at: datetime
    environment: str
    """`both_nodes` where the consumer's node declared that it keeps the terms, else `provider_only`."""
    evidence: tuple[str, ...]
    """What each side keeps: `audit_log`, `meter`, `signed_messages`, and `notices` where the terms name parties."""
    attachments: tuple[Attachment, ...] = ()


def columns_hash(columns: Sequence[Column], terms: Terms) -> str:
    """Return the hash of the columns that the terms leave; withheld ones leave no trace in it."""
    left = [[c.name, c.type] for c in columns if not terms.columns or c.name in terms.columns]
    return hashlib.sha256(canonical_bytes(left)).hexdigest()


def contract_document(contract: Contract) -> Json:
    """Return the contract as JSON; every field stands in it, also an empty one."""
    replaced = contract.replaces
    return {
        "format": FORMAT,
        "id": contract.agreement_id,
        "version": contract.version,
        "replaces": None if replaced is None else {"id": replaced.agreement_id, "hash": replaced.document_hash},
        "parties": {
            "provider": {"id": contract.provider.party_id, "key": contract.provider.key},
            "consumer": {"id": contract.consumer.party_id, "key": contract.consumer.key},
        },
        "object": {"dataset": contract.dataset, "columns_hash": contract.columns_hash},
        "terms": terms_document(contract.terms),
        "enforcement": {clause.term: clause.enforcement.value for clause in enforcement_of(contract.terms)},
        "agreement_hash": contract.agreement_hash,
        "agreed_at": _instant(contract.agreed_at),
        "environment": contract.environment,
        "evidence": list(contract.evidence),
        "attachments": [
            {"name": a.name, "media_type": a.media_type, "sha256": a.sha256, "size_bytes": a.size_bytes}
            for a in contract.attachments
        ],
    }


def read_contract(document: Any) -> Contract:
    """Return the contract of a document.

    Raises: ValueError if it is not exactly what `contract_document` writes.
    """
    try:
        replaced = document["replaces"]
        provider, consumer = document["parties"]["provider"], document["parties"]["consumer"]
        contract = Contract(
            agreement_id=document["id"],
            version=document["version"],
            replaces=None if replaced is None else Replaced(replaced["id"], replaced["hash"]),
            provider=ContractParty(PartyId(provider["id"]), provider["key"]),
            consumer=ContractParty(PartyId(consumer["id"]), consumer["key"]),
            dataset=document["object"]["dataset"],
            columns_hash=document["object"]["columns_hash"],
            terms=terms_of_document(document["terms"]),
            agreement_hash=document["agreement_hash"],
            agreed_at=datetime.fromisoformat(document["agreed_at"]),
            environment=document["environment"],
            evidence=tuple(document["evidence"]),
            attachments=tuple(
                Attachment(a["name"], a["media_type"], a["sha256"], a["size_bytes"]) for a in document["attachments"]
            ),
        )
        is_whole = type(contract.version) is int and contract.version >= 1
        if is_whole and canonical_bytes(contract_document(contract)) == canonical_bytes(document):
            return contract
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as cause:
        raise ValueError("it is no contract document of this form") from cause
    raise ValueError("it holds more, or something else, than a contract document of this form")


def document_hash(document: Any) -> str:
    """Return the SHA-256 of the canonical bytes, as hex digits."""
    return hashlib.sha256(canonical_bytes(document)).hexdigest()


def canonical_bytes(value: Any) -> bytes:
    """Return the one byte form of a JSON value of objects, lists, texts, whole numbers, booleans and null.

    Raises: ValueError on anything else; fractions are not written, so that no two readers differ.
    Source: RFC 8785 (JSON Canonicalization Scheme).

    >>> canonical_bytes({"b": [1, None], "a": "工"}).decode()
    '{"a":"工","b":[1,null]}'
    """
    return _canonical(value).encode("utf-8")


def _canonical(value: Any) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, dict):
        try:
            # RFC 8785 sorts by UTF-16 code units; beyond ASCII that is not the order of Python's strings.
            keys = sorted(value) if "".join(value).isascii() else sorted(value, key=_code_units)
        except TypeError as cause:
            raise ValueError("a name that is no text has no canonical form") from cause
        return "{" + ",".join([f"{encode_basestring(key)}:{_canonical(value[key])}" for key in keys]) + "}"
    if isinstance(value, list | tuple):
        return f"[{','.join([_canonical(item) for item in value])}]"
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, int) and abs(value) <= INTEGER_MAX:
        return str(value)
    raise ValueError(f"{type(value).__name__} has no canonical form")


def _code_units(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def terms_document(terms: Terms) -> Json:
    """Return terms as JSON: every field, sorted where order has no meaning, null where nothing is restricted."""
    found: Json = {}
    for name in (part.name for part in fields(Terms)):
        value = getattr(terms, name)
        if name == "rows_where":
            conditions = sorted(value, key=lambda c: (c.column, c.comparison, sorted(c.values)))
            found[name] = [
                {"column": c.column, "comparison": c.comparison.value, "values": sorted(c.values)} for c in conditions
            ]
        elif isinstance(value, frozenset):
            found[name] = sorted(str(item) for item in value)
        elif isinstance(value, datetime):
            found[name] = _instant(value)
        elif isinstance(value, Payment):
            found[name] = {"amount": value.amount, "currency": value.currency}
        else:
            found[name] = value
    return found


def terms_of_document(document: Mapping[str, Any]) -> Terms:
    """Return the terms of `terms_document`.

    Raises: KeyError, TypeError, ValueError on anything else.
    """
    made: Json = dict(document)
    for name in ("parties", "purposes", "columns", "groups", "places", "connectors", "notify", "legal_only"):
        made[name] = frozenset(document[name])
    made["operations"] = frozenset(Operation(word) for word in document["operations"])
    made["rows_where"] = frozenset(
        RowCondition(row["column"], Comparison(row["comparison"]), frozenset(row["values"]))
        for row in document["rows_where"]
    )
    for name in ("until", "not_before"):
        made[name] = None if document[name] is None else datetime.fromisoformat(document[name])
    payment = document["payment"]
    made["payment"] = None if payment is None else Payment(payment["amount"], payment["currency"])
    return Terms(**made)


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"

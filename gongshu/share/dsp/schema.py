"""The official schemas, loaded once from the package and registered under their own ids; nothing is fetched."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs

BASE = "https://w3id.org/dspace/2025/1/"

_MASK = "the value"
"""Stands for what was sent: a message may hold tokens, and error texts are logged."""

PARTS_MAX = 3000
"""Values in a document of which it is said where its fault is. The validator gathers every fault below an alternative:
300 KB of empty constraints took it 21 s. Ours; a message has some dozens."""

_FOLDERS = ("catalog", "common", "negotiation", "transfer")

FILE_OF_TYPE = {
    "CatalogRequestMessage": "catalog/catalog-request-message",
    "Catalog": "catalog/catalog",
    "Dataset": "catalog/dataset",
    "CatalogError": "catalog/catalog-error",
    "DatasetRequestMessage": "catalog/dataset-request-message",
    "ContractRequestMessage": "negotiation/contract-request-message",
    "ContractOfferMessage": "negotiation/contract-offer-message",
    "ContractAgreementMessage": "negotiation/contract-agreement-message",
    "ContractAgreementVerificationMessage": "negotiation/contract-agreement-verification-message",
    "ContractNegotiationEventMessage": "negotiation/contract-negotiation-event-message",
    "ContractNegotiationTerminationMessage": "negotiation/contract-negotiation-termination-message",
    "ContractNegotiation": "negotiation/contract-negotiation",
    "ContractNegotiationError": "negotiation/contract-negotiation-error",
    "TransferRequestMessage": "transfer/transfer-request-message",
    "TransferStartMessage": "transfer/transfer-start-message",
    "TransferSuspensionMessage": "transfer/transfer-suspension-message",
    "TransferCompletionMessage": "transfer/transfer-completion-message",
    "TransferTerminationMessage": "transfer/transfer-termination-message",
    "TransferProcess": "transfer/transfer-process",
    "TransferError": "transfer/transfer-error",
    "VersionResponse": "common/protocol-version",
}
"""The schema of each `@type` (the version document has none and stands under its definition's name)."""


def find_fault(document: object, message_type: str) -> str | None:
    """Return what breaks the schema of that type, in one line with its place; None if nothing does.

    >>> find_fault({"@type": "CatalogError", "@context": []}, "CatalogError").split(":")[0]
    'at @context'
    """
    validator = _validators()[message_type]
    if validator.is_valid(document):
        return None
    if _is_long(document):
        return f"it does not hold to the schema of {message_type}, and has too many parts to say where"
    try:
        validator.validate(document)
    except jsonschema_rs.ValidationError as error:
        place = "/".join(str(part) for part in error.instance_path)
        return f"at {place or 'the top'}: {error.message[:300]}"
    return None


def _is_long(document: object) -> bool:
    waiting, seen = [document], 0
    while waiting and seen + len(waiting) <= PARTS_MAX:
        part = waiting.pop()
        seen += 1
        waiting.extend(part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
    return bool(waiting)


@cache
def _validators() -> dict[str, Any]:
    schemas = dict(_load())
    registry = jsonschema_rs.Registry(list(schemas.items()))
    return {
        name: jsonschema_rs.Draft201909Validator(
            schemas[f"{BASE}{file}-schema.json"], registry=registry, offline=True, mask=_MASK
        )
        for name, file in FILE_OF_TYPE.items()
    }


def _load() -> list[tuple[str, Any]]:
    root = files("gongshu.share.dsp") / "schemas"
    found = []
    for folder in _FOLDERS:
        for file in (root / folder).iterdir():
            if file.name.endswith("-schema.json"):
                text = file.read_text(encoding="utf-8").replace("schema.json#definitions/", "schema.json#/definitions/")
                found.append((f"{BASE}{folder}/{file.name}", json.loads(text)))
    return found

"""The values of kept data, as the parts of this folder and its readers see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.model import Agreement


class KeyState(StrEnum):
    """Where a key stands; it only goes forward."""

    HELD = "held"
    ENDING = "ending"
    SHREDDED = "shredded"
    PROVED = "proved"
    TOLD = "told"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a contract, without the key."""

    key_id: int
    agreement_id: str
    counterparty: PartyId
    fingerprint: str
    state: KeyState
    reason: str
    made_at: datetime
    shredded_at: datetime | None
    proof: str
    signature: str
    told_at: datetime | None
    attempts: int
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class File:
    """One encrypted file."""

    name: str
    version_id: int
    is_whole: bool
    rows: int
    size_bytes: int
    sha256: str
    made_at: datetime
    replaced_at: datetime | None
    """Since when its rows lie in a larger file."""
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Version:
    """One delivery of a dataset, or one state of what was derived."""

    version_id: int
    dataset_id: DatasetId
    number: int
    kind: str
    transfer_id: str
    columns: bytes
    """An Arrow schema."""
    is_current: bool
    reads: int
    made_at: datetime
    keys: tuple[Key, ...]
    """In the order of their ids."""
    files: tuple[File, ...]
    """Whole ones that are neither deleted nor replaced, in the order they came."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One line of what we hold."""

    version: Version
    agreements: tuple[Agreement, ...]
    ends_at: datetime | None
    """When the first of its contracts ends, or the data are to be deleted; None without an end."""
    obstacle: str
    """Why it cannot be read now; empty where only the reader's own request decides."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One link of a contract's chain of usage receipts."""

    agreement_id: str
    sequence: int
    counterparty: PartyId
    body: Mapping[str, Any]
    body_hash: str
    at: datetime
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a partner's receipts."""

    agreement_id: str
    kind: str
    sequence: int
    seen: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Deletion:
    """How the deletion under one contract stands: ours to prove (`out`), or a partner's to prove to us (`in`)."""

    direction: str
    agreement_id: str
    counterparty: PartyId
    state: str
    """Ours: as `KeyState`. A partner's: due, overdue, proved."""
    since: datetime
    """Ours: when the key was made. A partner's: when the contract ended."""
    proved_at: datetime | None
    fingerprint: str
    files: int
    reason: str

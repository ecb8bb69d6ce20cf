"""The terms of a contract, as values. What is judged of them stands in `judging`, how they are written in `odrl`.

An empty field does not restrict. Every field but the two declarations (`unrestricted`, `legal_only`) takes something
away, so that one more restriction never opens. This module must not know ODRL, messages or tables.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum

from gongshu.model.ids import PartyId

NAME_MAX = 200
"""Longest purpose, column or party id in terms; chosen by us."""
LIST_MAX = 1000
GROUP_ROWS_MIN = 2
"""A group of one row is the row. How many more are needed is the provider's judgement."""


class Operation(StrEnum):
    """What may be done with the data; the first two at the provider, the last two with what was received."""

    READ = "read"
    """Receive rows as they are."""
    AGGREGATE = "aggregate"
    """Receive figures over groups of rows."""
    DERIVE = "derive"
    """Make other datasets from what was received."""
    EXPORT = "export"
    """Take what was received out of the node, as a file."""


class Comparison(StrEnum):
    """How a row is compared; the words are ODRL's operators."""

    EQUAL = "eq"
    UNEQUAL = "neq"
    BELOW = "lt"
    AT_MOST = "lteq"
    ABOVE = "gt"
    AT_LEAST = "gteq"
    AMONG = "isAnyOf"


@dataclass(frozen=True, slots=True)
class RowCondition:
    """One comparison of a column with values, never SQL; a row whose column is empty does not meet it."""

    column: str
    comparison: Comparison
    values: frozenset[str]
    """Written as text; the column's type says how to read them. One, except for `AMONG`."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What is paid before the first transfer."""

    amount: str
    """A decimal number above 0 with a point, as `1200.00`; money is never a float."""
    currency: str
    """Three letters of ISO 4217, as `CNY`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a contract allows; an empty field does not restrict."""

    parties: frozenset[PartyId] = frozenset()
    """Only these may see, agree and use."""
    until: datetime | None = None
    """The last moment of use, aware UTC."""
    uses_max: int | None = None
    """How many data requests may be served under one agreement."""
    purposes: frozenset[str] = frozenset()
    """Every data request states one of these."""
    columns: frozenset[str] = frozenset()
    """Only these columns exist for the partner."""
    rows_max: int | None = None
    """At most so many rows a data request."""
    unrestricted: bool = field(default=False, kw_only=True)
    """The explicit declaration 'no restriction' (数字合约: 未声明限制); without it, empty terms are refused."""
    groups: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Only members of one of these groups of the provider, as they stand at the moment of use."""
    not_before: datetime | None = field(default=None, kw_only=True)
    """The first moment of use, aware UTC."""
    duration_s: int | None = field(default=None, kw_only=True)
    """Use ends so long after the agreement was made."""
    places: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Only in these places: `CN`, or a part as `CN-33`, which `CN` contains (ISO 3166)."""
    connectors: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Only through connectors with these keys: `sha256:<hex>` fingerprints."""
    rows_where: frozenset[RowCondition] = field(default=frozenset(), kw_only=True)
    """Only rows that meet all of these exist for the partner."""
    operations: frozenset[Operation] = field(default=frozenset(), kw_only=True)
    """Only these operations."""
    aggregate_min: int | None = field(default=None, kw_only=True)
    """Only aggregates leave, and only of groups with at least so many rows."""
    delete_after_s: int | None = field(default=None, kw_only=True)
    """What was received is deleted so long after its delivery."""
    notify: frozenset[PartyId] = field(default=frozenset(), kw_only=True)
    """These get a signed notice of each use before rows leave."""
    no_onward: bool = field(default=False, kw_only=True)
    """What was received is not handed on (禁止再分发)."""
    payment: Payment | None = field(default=None, kw_only=True)
    """No transfer starts before this was confirmed as paid."""
    legal_only: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Fields of `LEGAL_ONLY_ALLOWED` that the provider accepts as a mere promise of a partner."""

    @property
    def is_empty(self) -> bool:
        """True if nothing is restricted."""
        return self.bounds == Terms().bounds

    @property
    def bounds(self) -> tuple[object, ...]:
        """What counts when two sets of terms are compared; the declaration adds nothing to empty terms."""
        return tuple(getattr(self, part.name) for part in fields(self) if part.name != "unrestricted")

    @property
    def begins_anew(self) -> bool:
        """True if a further contract gives once more what one bounds, its uses or its time, and costs nothing."""
        return (self.uses_max is not None or self.duration_s is not None) and self.payment is None

    @property
    def is_aggregate_only(self) -> bool:
        """True if rows never leave as they are."""
        without_read = bool(self.operations) and Operation.READ not in self.operations
        return self.aggregate_min is not None or without_read

    @property
    def group_min(self) -> int | None:
        """The smallest group of which a figure leaves; None where rows may leave as they are."""
        return max(self.aggregate_min or 0, GROUP_ROWS_MIN) if self.is_aggregate_only else None


LEGAL_ONLY_ALLOWED = frozenset({"delete_after_s", "no_onward"})
"""What only the partner's node can keep."""


class Phase(StrEnum):
    """When terms are judged."""

    CATALOGUE = "catalogue"
    NEGOTIATION = "negotiation"
    TRANSFER = "transfer"
    ACCESS = "access"
    KEEP = "keep"
    """Reading a received copy, at the consumer."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is the case at the moment of a judgement; a default says 'not known', which meets no term."""

    now: datetime
    party: PartyId
    phase: Phase
    uses: int = 0
    """Data requests already served under the agreement; in `Phase.KEEP`, readings of this copy."""
    purpose: str = ""
    columns: frozenset[str] = frozenset()
    """The columns asked for by name; empty means all that the terms allow."""
    agreed_at: datetime | None = field(default=None, kw_only=True)
    """When the agreement was made."""
    received_at: datetime | None = field(default=None, kw_only=True)
    """When the copy was received; for `Phase.KEEP`."""
    groups: frozenset[str] = field(default=frozenset(), kw_only=True)
    """The provider's groups that the party is in now."""
    place: str = field(default="", kw_only=True)
    """Where the party is, as registered or attested."""
    connector: str = field(default="", kw_only=True)
    """Fingerprint of the key of the connector that asks, or that keeps."""
    operation: Operation = field(default=Operation.READ, kw_only=True)
    is_onward: bool = field(default=False, kw_only=True)
    """True where rows would be handed to another party; for `Phase.KEEP`."""
    keeps_terms: bool = field(default=False, kw_only=True)
    """True if the partner's node declares that it enforces terms on what it received."""
    is_paid: bool = field(default=False, kw_only=True)
    """True if the payment was confirmed."""

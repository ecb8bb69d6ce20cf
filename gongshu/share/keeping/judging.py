"""Do the contracts permit this reading of what was received? Pure.

The terms are judged by the same function as at the provider. What is decided here is how a reading looks to it, and
what a contract's own standing, a clock that was set back, and a delivery of rows under an aggregate contract mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gongshu.model.ids import DatasetId, PartyId
from gongshu.secure.gate.copies import CopyRead
from gongshu.share.judging import Forbidden, end_of, find_forbidden
from gongshu.share.model import Agreement, AgreementStatus
from gongshu.share.terms import Circumstances, Operation, Phase, Terms

CLOCK_SLACK = timedelta(seconds=120)
"""A clock that is corrected by so little is not one that was set back. Chosen by us: above what NTP steps by."""
BINDING = frozenset({AgreementStatus.ACTIVE, AgreementStatus.DISPUTED})
"""A dispute about what was counted stops deliveries; it is no end, so nothing is deleted for it."""
FIGURES = "figures"
"""The kind of a version that the provider delivered as figures over groups."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and as whom this node keeps."""

    party: PartyId
    place: str = ""
    """`CN` or `CN-33`, as this node's configuration says; empty means not known, which meets no term."""
    connector: str = ""
    """Fingerprint of the node's key."""


def judge_reading(
    agreements: Sequence[Agreement],
    read: CopyRead,
    place: Place,
    *,
    copy: DatasetId,
    now: datetime,
    highest: datetime,
    received_at: datetime | None,
    reads: int,
    kind: str,
) -> Forbidden | None:
    """Return what forbids a reading, and why; None if all contracts allow it. The strictest one decides.

    `copy` is what was received; what is read may have been made from it.
    """
    if not agreements:
        return Forbidden("", "no contract is known for it")
    if now < highest - CLOCK_SLACK:
        return Forbidden(
            "",
            f"the clock stands at {now:%Y-%m-%dT%H:%M:%SZ}, before a time already seen: it was set back. "
            "Once it is right, say so: gongshu share time --reset",
        )
    for agreement in agreements:
        case = Circumstances(
            now=now,
            party=place.party,
            phase=Phase.KEEP,
            uses=reads,
            purpose=read.purpose,
            agreed_at=agreement.agreed_at,
            received_at=received_at,
            place=place.place,
            connector=place.connector,
            operation=operation_of(read),
            is_onward=read.is_onward,
        )
        ended = why_ended(agreement, now)
        found = Forbidden("until", ended) if ended else find_forbidden(agreement.terms, case)
        if found is None and agreement.terms.is_aggregate_only and kind != FIGURES and not read.is_aggregate:
            found = Forbidden("operations", "only figures over groups of rows are covered, no rows as they are")
        if found is not None:
            return found._replace(whose=f"{agreement.agreement_id}, on the copy {copy}")
    return None


def why_ended(agreement: Agreement, now: datetime) -> str | None:
    """Return why a contract covers nothing any more, None while it does."""
    if agreement.status not in BINDING:
        return f"the agreement is {agreement.status}"
    end = end_of(agreement.terms, agreement.agreed_at)
    return f"it ended at {end:%Y-%m-%dT%H:%M:%SZ}" if end is not None and now > end else None


def operation_of(read: CopyRead) -> Operation:
    """Return what a reading is in the words of contracts."""
    if read.action == "export":
        return Operation.EXPORT
    return Operation.AGGREGATE if read.is_aggregate else Operation.READ


def delete_at(terms: Terms, received_at: datetime) -> datetime | None:
    """Return when what came at that moment has to be gone; None if the terms do not say.

    >>> from datetime import UTC
    >>> delete_at(Terms(delete_after_s=60), datetime(2026, 1, 2, tzinfo=UTC)).minute
    1
    """
    return None if terms.delete_after_s is None else received_at + timedelta(seconds=terms.delete_after_s)


def group_min_of(agreements: Sequence[Agreement]) -> int | None:
    """Return the greatest smallest group that any of the contracts demands."""
    return max((a.terms.group_min for a in agreements if a.terms.group_min is not None), default=None)

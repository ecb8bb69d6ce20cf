"""The values of sharing as services, pages and commands see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.dsp.states import Kind, Move, Process, Side, State
from gongshu.share.judging import end_of
from gongshu.share.terms import Terms


@dataclass(frozen=True, slots=True)
class Offer:
    """One of our datasets under terms."""

    offer_id: str
    dataset_id: DatasetId
    published_as: str
    """The dataset's id in catalogue and contract; `dataset_id` is this node's own affair."""
    title: str
    terms: Terms
    policy: Mapping[str, Any]
    policy_hash: str
    rules: Mapping[str, Any] | None
    created_at: datetime
    created_by: str
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class RemoteOffer:
    """An offer read from another party's catalogue."""

    offer_id: str
    policy: Mapping[str, Any]
    terms: Terms | None
    """None where the policy holds something that this node cannot enforce."""
    obstacle: str
    """What it holds then; such an offer cannot be agreed to from here."""


@dataclass(frozen=True, slots=True)
class RemoteDataset:
    """A dataset read from another party's catalogue."""

    dataset_id: str
    title: str
    description: str
    formats: tuple[str, ...]
    offers: tuple[RemoteOffer, ...]
    participant: str = ""
    """Who offers it, where the catalogue passes on somebody else's; empty for the party's own."""


@dataclass(frozen=True, slots=True)
class CatalogueElsewhere:
    """A nested catalogue that is named and has to be asked for at its own address."""

    participant: str
    """Whose it is; empty for one of the party's own."""
    address: str


@dataclass(frozen=True, slots=True)
class RemoteCatalogue:
    """One page of another party's catalogue."""

    party: PartyId
    datasets: tuple[RemoteDataset, ...]
    next_page: str
    """Give it back to read on; empty on the last page."""
    previous_page: str = ""
    elsewhere: tuple[CatalogueElsewhere, ...] = ()
    """Nothing asks there by itself: only registered parties are asked."""


@dataclass(frozen=True, slots=True)
class Record:
    """A negotiation or transfer as it is stored."""

    process_id: str
    kind: Kind
    side: Side
    state: State
    pending: Move | None
    pending_message: str | None
    pending_sent: bool
    held: bool
    counterparty: PartyId
    peer_pid: str | None
    peer_address: str
    dataset_id: str
    offer_id: str
    policy: str
    own_policy: str
    agreement_id: str
    format: str
    data_address: str
    rules: Mapping[str, Any] | None
    waiting: str
    reason: str
    created_at: datetime
    created_by: str
    updated_at: datetime
    deadline_at: datetime | None
    ends_at: datetime | None
    bound_to: str = ""
    """By what the counterparty proved itself when it began; another key under its id has no part in it."""

    @property
    def process(self) -> Process:
        """The part that the decisions see."""
        return Process(self.kind, self.side, self.state, self.pending, self.pending_sent, self.held)

    @property
    def provider_pid(self) -> str | None:
        """The provider's id of it, None while not known."""
        return self.process_id if self.side is Side.PROVIDER else self.peer_pid

    @property
    def consumer_pid(self) -> str | None:
        """The consumer's id of it, None while not known."""
        return self.process_id if self.side is Side.CONSUMER else self.peer_pid

    @property
    def target(self) -> str:
        """The dataset's id between the two sides; as provider, `dataset_id` is the table it stands for."""
        policy = self.own_policy or self.policy
        return str(orjson.loads(policy).get("target", self.dataset_id)) if policy else self.dataset_id

    @property
    def next_state(self) -> str:
        """What it waits for, in a few words: a person, the other side, or nothing."""
        if self.waiting:
            return self.waiting
        if self.pending:
            return f"sending {self.pending}"
        return "the other side has to answer" if is_their_turn(self.kind, self.side, self.state) else ""


_THEIR_TURN = frozenset(
    {
        (Kind.NEGOTIATION, Side.CONSUMER, State.REQUESTED),
        (Kind.NEGOTIATION, Side.PROVIDER, State.OFFERED),
        (Kind.NEGOTIATION, Side.CONSUMER, State.ACCEPTED),
        (Kind.NEGOTIATION, Side.PROVIDER, State.AGREED),
        (Kind.NEGOTIATION, Side.CONSUMER, State.VERIFIED),
        (Kind.TRANSFER, Side.CONSUMER, State.REQUESTED),
    }
)


def is_their_turn(kind: Kind, side: Side, state: State) -> bool:
    """True where the other side has to move, or one of its people."""
    return (kind, side, state) in _THEIR_TURN


class AgreementStatus(StrEnum):
    """Where an agreement stands."""

    PENDING = "pending"
    """Written, not yet finalised."""
    ACTIVE = "active"
    DISPUTED = "disputed"
    """The two sides count a delivery differently; nothing is delivered until they settle it. See `evidence`."""
    RETIRED = "retired"
    """Ended by one side, or never finalised; nothing is delivered under it any more."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A contract, and what is left of it."""

    agreement_id: str
    side: Side
    counterparty: PartyId
    dataset_id: str
    negotiation_id: str
    terms: Terms
    policy: Mapping[str, Any]
    policy_hash: str
    status: AgreementStatus
    uses: int
    agreed_at: datetime
    transfer_rules: Mapping[str, Any] | None
    reason: str
    bound_to: str = ""
    """By what the counterparty proved itself when it was made, as `Party.proof` writes it."""
    proof_now: str = ""
    """By what whoever is registered under its id proves itself now; empty if nobody is."""

    @property
    def why_unbound(self) -> str | None:
        """Return why it is not with who is known by the counterparty's id now; None while it is. See decision 0090."""
        if self.bound_to == self.proof_now:
            return None
        now = f"by {self.proof_now}" if self.proof_now else "by nothing, for it is not registered"
        return f"it was made with who proves itself by {self.bound_to or 'nothing known'}, and now {now}"

    @property
    def uses_left(self) -> int | None:
        """Data requests left; None where the terms do not count them."""
        return None if self.terms.uses_max is None else max(0, self.terms.uses_max - self.uses)

    @property
    def end(self) -> datetime | None:
        """The last moment of use, by date or by duration; None where it has no end."""
        return end_of(self.terms, self.agreed_at)

    def days_left(self, now: datetime) -> float | None:
        """Days until its end, 0.0 after it; None where it has no end."""
        return None if self.end is None else max(0.0, (self.end - now).total_seconds() / 86_400)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One line of the meter."""

    delivery_id: int
    direction: str
    process_id: str
    agreement_id: str
    counterparty: PartyId
    dataset_id: str
    purpose: str
    encoding: str
    rows: int
    size_bytes: int
    outcome: str
    stored_as: str
    request_key: str
    sha256: str
    lined: str
    started_at: datetime
    finished_at: datetime | None

"""What people and programs see of the data space: processes, agreements, messages, the meter. It changes nothing."""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from gongshu.database import Database
from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.share import processes as store
from gongshu.share.agreements import find_agreement, list_agreements
from gongshu.share.deliveries import list_deliveries
from gongshu.share.dsp.states import FINAL, Kind, Side, State
from gongshu.share.engine import Engine
from gongshu.share.errors import PeopleAsked, WaitedTooLong
from gongshu.share.model import Agreement, Record, RemoteOffer
from gongshu.share.model import Delivery as DeliveryLine
from gongshu.share.odrl import canonical_text
from gongshu.share.ports import Clock
from gongshu.share.progress import Progress, find_progress
from gongshu.share.rights import LOOKERS, require_right
from gongshu.share.signals import Signals

ANSWER_S = 8.0
"""So long a provider's node may take to answer a request by itself; after that one of its people has to. Ours."""
WAIT_STEP_S = 0.2
"""How often a waiting caller looks at the database, for changes made by another process of the node."""


class Looking:
    """The reading half of `ShareService`."""

    def __init__(self, database: Database, engine: Engine, signals: Signals, clock: Clock) -> None:
        self._database = database
        self.engine = engine
        self._signals = signals
        self.clock = clock

    def negotiations(
        self, *, waiting: bool = False, party: PartyId | None = None, limit: int = 100, offset: int = 0
    ) -> list[Record]:
        """Return negotiations of both sides, newest first; with `waiting`, those that ask a person."""
        return self._list(Kind.NEGOTIATION, waiting, party, limit, offset)

    def transfers(
        self, *, waiting: bool = False, party: PartyId | None = None, limit: int = 100, offset: int = 0
    ) -> list[Record]:
        """Return transfers of both sides, newest first."""
        return self._list(Kind.TRANSFER, waiting, party, limit, offset)

    def request_for(self, party: PartyId, dataset_id: str, offer: RemoteOffer) -> Record | None:
        """Return our request for a contract over the offer as it is now, where one is still open."""
        policy = canonical_text({**offer.policy, "target": dataset_id})
        with self._database.connect() as connection:
            return store.find_request(connection, party, policy)

    def process(self, process_id: str) -> Record:
        """Return one negotiation or transfer. Raises: ProcessUnknown."""
        return self.engine.record(process_id)

    def queued(self, process_id: str) -> str:
        """Return what was decided for a process and is not carried out yet, as an `Action`; empty if nothing was."""
        return self.engine.queued(process_id)

    def messages(self, process_id: str) -> Sequence[Mapping[str, Any]]:
        """Return the messages of a process that both sides have, in order, with the hashes of their bytes."""
        with self._database.connect() as connection:
            return store.messages_of(connection, process_id)

    def agreements(self, *, limit: int = 100, offset: int = 0) -> list[Agreement]:
        """Return agreements of both sides, newest first, with what is left of each."""
        with self._database.connect() as connection:
            return list_agreements(connection, limit=limit, offset=offset)

    def agreement(self, agreement_id: str) -> Agreement:
        """Return one agreement. Raises: AgreementUnknown, EvidenceDamaged, TermsUnknown."""
        with self._database.connect() as connection:
            return find_agreement(connection, agreement_id)

    def deliveries(self, *, agreement_id: str = "", limit: int = 100, offset: int = 0) -> list[DeliveryLine]:
        """Return the meter, newest first: what was served and what was pulled."""
        with self._database.connect() as connection:
            return list_deliveries(connection, agreement_id=agreement_id, limit=limit, offset=offset)

    def progress(self, process_ids: Collection[str]) -> dict[str, Progress]:
        """Return how far transfers have come, by id."""
        with self._database.connect() as connection:
            return find_progress(connection, process_ids)

    def require_onlooker(self, actor: Subject) -> None:
        """Return if the actor may see what goes on in this node's data space. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see the data space")

    def wait_for(self, process_id: str, states: Collection[State], timeout_s: float = 30.0) -> Record:
        """Return the process as soon as it is in one of the states.

        Raises: WaitedTooLong, at once when it ended in another state; PeopleAsked as soon as it is seen that the
            provider's people answer, not its node; ProcessUnknown.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            seen = self._signals.count
            record = self.process(process_id)
            left_s = deadline - time.monotonic()
            if record.state in states:
                return record
            if self._is_with_their_people(record):
                raise PeopleAsked(party=record.counterparty, dataset_id=record.target, process_id=process_id)
            if record.state in FINAL or left_s <= 0:
                why = record.reason or record.next_state or "nothing is under way on this side"
                wanted = " or ".join(sorted(state.value for state in states))
                raise WaitedTooLong(
                    process_id=process_id, state=record.state, timeout_s=timeout_s, wanted=wanted, waiting=why
                )
            self._signals.wait(seen, min(WAIT_STEP_S, left_s))

    def _is_with_their_people(self, record: Record) -> bool:
        """True if the provider has had our request for some seconds, and neither side does anything."""
        is_asked = (record.kind, record.side, record.state) == (Kind.NEGOTIATION, Side.CONSUMER, State.REQUESTED)
        is_quiet = self.clock() - record.updated_at >= timedelta(seconds=ANSWER_S)
        is_idle = record.pending is None and not record.waiting
        return is_asked and is_quiet and is_idle and not self.queued(record.process_id)

    def _list(self, kind: Kind, waiting: bool, party: PartyId | None, limit: int, offset: int) -> list[Record]:
        with self._database.connect() as connection:
            return store.list_processes(
                connection, kind, limit=limit, offset=offset, waiting=waiting, counterparty=party
            )

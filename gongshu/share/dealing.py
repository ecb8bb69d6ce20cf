"""What people start and decide: asking for contracts and transfers, answering, stopping. The engine carries it on."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.access import Subject
from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.agreements import find_agreement, require_bound, require_undisputed
from gongshu.share.automation import Action, Rules
from gongshu.share.contract_book import REPLACES
from gongshu.share.dsp.messages import FORMAT_PULL, FORMAT_PUSH, FORMAT_STREAM
from gongshu.share.dsp.states import FINAL, Kind, Move, Side, State, can_send, termination_of
from gongshu.share.engine import Engine
from gongshu.share.errors import AgreementUnknown, MessageInvalid, MoveIllegal, NotWaiting, TermsForbid, TermsUnknown
from gongshu.share.model import AgreementStatus, Record, RemoteOffer
from gongshu.share.odrl import canonical_text, message_offer
from gongshu.share.offers import OfferBook
from gongshu.share.ports import Clock
from gongshu.share.receiving import Inboxes, Opening
from gongshu.share.short_ids import short_id
from gongshu.share.terms import Terms

FORMATS = (FORMAT_PULL, FORMAT_PUSH, FORMAT_STREAM)
_MOVES = {Action.SUSPEND: Move.SUSPEND, Action.START: Move.START, Action.COMPLETE: Move.COMPLETE}


class Dealing:
    """Requests and answers by people of this node."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        book: OfferBook,
        clock: Clock,
        inboxes: Inboxes,
        *,
        callback: Callable[[], str],
        declaration: Mapping[str, Any] | None = None,
    ) -> None:
        self._declaration = dict(declaration or {})
        self._database = database
        self._inboxes = inboxes
        self._engine = engine
        self._book = book
        self._clock = clock
        self._callback = callback

    def negotiate(
        self,
        party: PartyId,
        dataset_id: str,
        actor: Subject,
        *,
        remote: RemoteOffer,
        terms: Terms | None,
        rules: Rules | None,
        replaces: str = "",
    ) -> Record:
        """Begin a negotiation over an offer of the provider's catalogue, with other terms if given.

        `replaces` names an agreement that ends when the new one is final.
        """
        if remote.terms is None:
            raise TermsUnknown(what=remote.obstacle)
        asked = terms if terms is not None else remote.terms
        policy = message_offer(asked, offer_id=remote.offer_id, target=dataset_id)
        if terms is None:
            policy = {**remote.policy, "target": dataset_id}
        values = {
            "counterparty": party,
            "dataset_id": dataset_id,
            "offer_id": remote.offer_id,
            "policy": canonical_text(policy),
            "own_policy": canonical_text(policy),
            "rules": rules.as_json() if rules is not None else None,
        }
        content = {"offer": policy, "callbackAddress": self._callback(), **self._declaration}
        if replaces:
            content[REPLACES] = replaces
        return self._engine.open_process(Kind.NEGOTIATION, Move.REQUEST, content, values, actor=actor.subject_id)

    def transfer(
        self, agreement_id: str, actor: Subject, *, format: str, rules: Rules | None, opening: Opening | None = None
    ) -> Record:
        """Begin a transfer under an agreement in which we are the consumer; a push needs an `opening`."""
        if format not in FORMATS or (opening is not None) != (format == FORMAT_PUSH):
            reason = f"the formats are {', '.join(FORMATS)}, and {FORMAT_PUSH} says where the rows go"
            raise MessageInvalid(what="the transfer request", reason=reason)
        with self._database.connect() as connection:
            agreement = find_agreement(connection, agreement_id)
        if agreement.side is not Side.CONSUMER:
            raise AgreementUnknown(agreement_id=agreement_id[:200])
        require_undisputed(require_bound(agreement))
        ended = agreement.end is not None and agreement.end < self._clock()
        if agreement.status is not AgreementStatus.ACTIVE or ended:
            reason = "it has ended" if ended else f"the agreement is {agreement.status}"
            raise TermsForbid(agreement_id=agreement_id, reason=reason)
        values = {
            "counterparty": agreement.counterparty,
            "dataset_id": agreement.dataset_id,
            "agreement_id": agreement_id,
            "format": format,
            "rules": rules.as_json() if rules is not None else None,
        }
        content = {"agreementId": agreement_id, "format": format, "callbackAddress": self._callback()}

        def with_inbox(connection: sa.Connection, process_id: str) -> dict[str, str]:
            assert opening is not None, "only pushes have an inbox"
            return {"data_address": self._inboxes.open(connection, process_id, opening)}

        return self._engine.open_process(
            Kind.TRANSFER,
            Move.TRANSFER_REQUEST,
            content,
            values,
            actor=actor.subject_id,
            also=with_inbox if opening is not None else None,
        )

    def answer(self, process_id: str, actor: Subject, *, agrees: bool, reason: str = "") -> Record:
        """Carry a person's answer to what waits for one."""
        record = self._engine.record(process_id)
        if not record.waiting or record.state in FINAL:
            raise NotWaiting(process_id=short_id(process_id), state=record.state)
        if not agrees:
            return self.act(process_id, Action.TERMINATE, actor, reason or "declined by a person")
        if record.kind is Kind.TRANSFER:
            return self.act(process_id, Action.START, actor, "")
        action = Action.AGREE if record.side is Side.PROVIDER else Action.ACCEPT
        if record.state is State.AGREED:
            action = Action.VERIFY
        return self._queue(record, action, actor, "")

    def counter(self, process_id: str, terms: Terms, actor: Subject) -> Record:
        """Answer a request, as provider, or an offer, as consumer, with other terms."""
        record = self._engine.record(process_id)
        move, action = (Move.OFFER, Action.OFFER) if record.side is Side.PROVIDER else (Move.REQUEST, Action.COUNTER)
        self._require_possible(record, move)
        if record.side is Side.PROVIDER:
            self._book.require_shareable(DatasetId(record.dataset_id), terms, actor)
        policy = message_offer(terms, offer_id=record.offer_id, target=record.target)
        return self._queue(record, action, actor, "", own_policy=canonical_text(policy))

    def act(self, process_id: str, action: Action, actor: Subject, reason: str) -> Record:
        """Queue a stop, a start or an end; as provider, what stops data takes effect at once.

        Raises: MoveIllegal if the table does not allow it now.
        """
        record = self._engine.record(process_id)
        move = termination_of(record.kind) if action is Action.TERMINATE else _MOVES[action]
        if action is Action.TERMINATE and record.state not in FINAL and not can_send(record.process, move):
            self._engine.terminate(process_id, reason, actor=actor.subject_id)
            return self._engine.record(process_id)
        self._require_possible(record, move)
        return self._queue(record, action, actor, reason)

    def _queue(self, record: Record, action: Action, actor: Subject, reason: str, *, own_policy: str = "") -> Record:
        changes = {"own_policy": own_policy} if own_policy else {}
        self._engine.queue(record, action, actor=actor.subject_id, reason=reason, **changes)
        return self._engine.record(record.process_id)

    def _require_possible(self, record: Record, move: Move) -> None:
        if record.state in FINAL or not can_send(record.process, move):
            raise MoveIllegal(
                move=move,
                sender=record.side,
                process_id=short_id(record.process_id),
                state=record.state,
                reason=f"the state {record.state} does not allow it",
            )
        if move is Move.START and record.state is State.SUSPENDED and not record.held:
            raise MoveIllegal(
                move=move,
                sender=record.side,
                process_id=short_id(record.process_id),
                state=record.state,
                reason="the other side suspended it, and alone may resume it",
            )

"""What is said next: carries out the reactions that rules and people have queued, one message at a time.

A reaction is planned from what is stored and judged (offer, terms, grade), then its message is queued in the same
transaction that removes the reaction. If the process changed in between, it is planned again.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError, NotFound
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.prepared import Prepared
from gongshu.share import processes as store
from gongshu.share.agreements import find_agreement, has_had_contract, insert_agreement, lock_offer
from gongshu.share.automation import Action
from gongshu.share.contract_book import ContractBook, Judged, Signed
from gongshu.share.desk import REACTION_LEASE, Reaction
from gongshu.share.dsp.states import FINAL, Move, State, can_send, termination_of
from gongshu.share.engine import Engine
from gongshu.share.errors import ContractInvalid, TermsUnknown
from gongshu.share.metering import own_uses
from gongshu.share.model import Record
from gongshu.share.odrl import agreement_policy, read_terms
from gongshu.share.policy import SharePolicy
from gongshu.share.ports import Clock
from gongshu.share.signals import Signals, new_urn
from gongshu.share.tables import share_processes, share_reactions
from gongshu.share.terms import Phase

Json = dict[str, Any]

HAD_BEFORE = "the partner has had a contract under this offer, and each one brings its uses or its time anew"
AGREEMENT_AHEAD_MAX = timedelta(seconds=60)
"""How far an agreement's time may lie ahead of our clock, or before the negotiation; two clocks are never equal."""

_R = share_reactions.c
_IS_IDLE = ~(
    sa.select(share_processes.c.process_id)
    .where(share_processes.c.process_id == _R.process_id, share_processes.c.pending.is_not(None))
    .exists()
)
"""Nothing of the process is under way."""
_NEXT_DUE = Prepared(sa.select(sa.func.min(sa.func.coalesce(_R.lease_until, _R.due_at))).where(_IS_IDLE))
_DUE = (
    sa.select(share_reactions)
    .where(
        _R.due_at <= sa.bindparam("now"),
        sa.or_(_R.lease_until.is_(None), _R.lease_until < sa.bindparam("now")),
        _IS_IDLE,
    )
    .order_by(_R.due_at, _R.sequence)
    .limit(sa.bindparam("at_most"))
)
_IS_ANY_DUE = Prepared(_DUE.with_only_columns(_R.sequence))
_TAKE = _DUE.with_for_update(skip_locked=True)
_LEASE_THEM = (
    sa.update(share_reactions)
    .where(_R.sequence.in_(sa.bindparam("ids", expanding=True)))
    .values(lease_until=sa.bindparam("until"))
)
_DONE = Prepared(sa.delete(share_reactions).where(_R.sequence == sa.bindparam("mine")))
_FREE_AGAIN = Prepared(sa.update(share_reactions).where(_R.sequence == sa.bindparam("mine")).values(lease_until=None))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reaction comes to."""

    move: Move | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    agreement: Json | None = None
    signed: Signed | None = None
    """What is to be kept of its contract document."""
    waiting: str = ""
    """Set when a person is asked instead."""
    is_once: bool = False
    """A person is asked instead if this party has had such a contract: each one brings its uses or its time anew."""


class Reactor:
    """Plans and performs reactions for one node."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        policy: SharePolicy,
        audit: AuditSink,
        clock: Clock,
        own_party_id: PartyId,
        signals: Signals,
        contracts: ContractBook | None = None,
    ) -> None:
        self._database = database
        self._engine = engine
        self._policy = policy
        self._contracts = contracts
        self._audit = audit
        self._clock = clock
        self._own = own_party_id
        self._signals = signals

    def next_due(self, connection: sa.Connection) -> Any:
        """Return when the next reaction can be performed, None if there is none."""
        return _NEXT_DUE.scalar(connection)

    def perform_due(self, *, limit: int = 50) -> int:
        """Perform the reactions that are due; return how many were."""
        return self.perform(self.claim_due(limit=limit))

    def claim_due(self, *, limit: int) -> list[Reaction]:
        """Take reactions that are due, one of each process, for this performer alone."""
        now = self._clock()
        asked = {"now": now, "at_most": limit}
        with self._database.connect() as connection:
            if _IS_ANY_DUE.first(connection, asked) is None:
                return []
        with self._database.begin() as connection:
            rows = list(connection.execute(_TAKE, asked))
            first = {row.process_id: row for row in reversed(rows)}
            ids = [row.sequence for row in first.values()]
            connection.execute(_LEASE_THEM, {"ids": ids, "until": now + REACTION_LEASE})
        return [Reaction(row.sequence, row.process_id, row.action, row.actor, row.reason) for row in first.values()]

    def perform(self, reactions: Sequence[Reaction]) -> int:
        """Perform reactions that nobody else performs meanwhile, and return how many; one transaction for all.

        If that fails, each is performed alone, so that none keeps another from its way; the first failure is raised.
        """
        try:
            self._store(self._planned(reactions))
        except Exception:
            if len(reactions) < 2:
                raise
            failures = [fault for one in reactions if (fault := self._failure_of(one)) is not None]
            if failures:
                raise failures[0] from None
        return len(reactions)

    def _failure_of(self, reaction: Reaction) -> Exception | None:
        try:
            self._store(self._planned([reaction]))
        except Exception as fault:  # noqa: BLE001  # raised when the others have been performed
            return fault
        return None

    def _planned(self, reactions: Sequence[Reaction]) -> list[tuple[Reaction, Record, Plan | None]]:
        if not reactions:
            return []
        with self._database.one_look():
            with self._database.connect() as connection:
                records = store.find_processes(connection, [reaction.process_id for reaction in reactions])
            found = [(reaction, records[reaction.process_id]) for reaction in reactions]
            return [(reaction, record, self._plan_idle(record, reaction)) for reaction, record in found]

    def _plan_idle(self, record: Record, reaction: Reaction) -> Plan | None:
        """Return the plan; None while a message is under way, and for what has ended."""
        if record.pending is not None or record.state in FINAL:
            return None
        return self._plan(record, Action(reaction.action), reaction.reason)

    def _store(self, planned: Sequence[tuple[Reaction, Record, Plan | None]]) -> None:
        if not planned:
            return
        kinds = {record.kind for _, record, _ in planned}
        with self._engine.begin(kinds.pop() if len(kinds) == 1 else None) as connection:
            current: dict[str, Record | None] = {
                **store.lock_processes(connection, [record.process_id for _, record, _ in planned])
            }
            for offer_id in sorted(
                {record.offer_id for _, record, plan in planned if plan is not None and plan.is_once}
            ):
                lock_offer(connection, offer_id)
            for reaction, record, plan in planned:
                mine, now = {"mine": reaction.sequence}, current[record.process_id]
                if now is not None and now.state in FINAL:
                    _DONE.run(connection, mine)
                elif plan is not None and now == record:
                    if _DONE.run(connection, mine) == 1:
                        self._carry_out(connection, record, plan, reaction.actor)
                        current[record.process_id] = None
                else:  # it moved on while this was planned: plan again
                    _FREE_AGAIN.run(connection, mine)
                    self._signals.desk.leave()

    def _carry_out(self, connection: sa.Connection, record: Record, plan: Plan, actor: str) -> None:
        waiting = plan.waiting or (HAD_BEFORE if plan.is_once and has_had_contract(connection, record) else "")
        if waiting:
            store.update_process(connection, record.process_id, {"waiting": waiting})
            event = AuditEvent(
                self._clock(), actor, f"{record.kind}.waiting", record.process_id, "ok", {"why": waiting[:300]}
            )
            self._engine.note(event)
        elif plan.move is not None and can_send(record.process, plan.move):
            if plan.agreement is not None:
                insert_agreement(connection, record, plan.agreement, self._clock())
            if plan.signed is not None and self._contracts is not None:
                self._contracts.keep(connection, plan.signed)
            self._engine.send(connection, record, plan.move, plan.content, actor=actor, changes=plan.changes)

    # ---- planning ---------------------------------------------------------------------------------------------------

    def _plan(self, record: Record, action: Action, reason: str) -> Plan:
        try:
            return self._plan_known(record, action, reason)
        except (TermsUnknown, ContractInvalid) as fault:
            return _terminate(record, str(fault))

    def _plan_known(self, record: Record, action: Action, reason: str) -> Plan:
        if action is Action.ASK:
            return Plan(waiting=reason or "a person has to approve")
        if action is Action.TERMINATE:
            return _terminate(record, reason or "ended by a rule of this party")
        if action in (Action.DECIDE, Action.AGREE):
            return self._plan_agreement(record, must_be_same=action is Action.DECIDE)
        if action in (Action.ACCEPT, Action.ACCEPT_SAME):
            return _plan_acceptance(record, must_be_same=action is Action.ACCEPT_SAME)
        if action in (Action.CHECK, Action.VERIFY):
            return self._plan_verification(record, action)
        if action is Action.FINALIZE:
            judged = self._contracts.countersigned(record) if self._contracts is not None else Judged()
            return _terminate(record, judged.fault) if judged.fault else Plan(Move.FINALIZE, signed=judged.signed)
        if action is Action.START:
            return self._plan_start(record)
        if action is Action.START_ANEW:
            return self._plan_start_anew(record)
        if action in (Action.OFFER, Action.COUNTER):
            move = Move.OFFER if action is Action.OFFER else Move.REQUEST
            content = {"offer": orjson.loads(record.own_policy)}
            if action is Action.COUNTER and self._contracts is not None:
                content |= self._contracts.declaration
            return Plan(move, content, {"policy": record.own_policy})
        plain = {
            Action.SUSPEND: Move.SUSPEND,
            Action.COMPLETE: Move.COMPLETE,
        }
        content = {"reason": [reason]} if action is Action.SUSPEND and reason else {}
        return Plan(plain[action], content)

    def _plan_agreement(self, record: Record, *, must_be_same: bool) -> Plan:
        terms = read_terms(orjson.loads(record.policy))
        try:
            dataset = self._policy.dataset(record.dataset_id)
        except NotFound:
            return _terminate(record, "the dataset is gone")
        asked = (record.dataset_id, terms, record.counterparty, Phase.NEGOTIATION)
        why_not = self._policy.why_not_offer(*asked, dataset=dataset)
        if why_not:
            return _terminate(record, why_not)
        if must_be_same and terms.bounds != read_terms(orjson.loads(record.own_policy)).bounds:
            return Plan(waiting="the partner asks for other terms than offered")
        agreement_id = new_urn()
        agreement = agreement_policy(
            terms,
            agreement_id=agreement_id,
            target=record.target,
            assigner=self._own,
            assignee=record.counterparty,
            at=self._clock(),
        )
        draft = Judged()
        if self._contracts is not None:
            draft = self._contracts.draft(record, agreement, terms, dataset)
        content = {"agreement": agreement, **draft.content}
        is_once = must_be_same and terms.begins_anew
        return Plan(Move.AGREE, content, {"agreement_id": agreement_id}, agreement, draft.signed, is_once=is_once)

    def _plan_verification(self, record: Record, action: Action) -> Plan:
        """Verify an agreement: after checking it, or (`VERIFY`) because a person or a rule said so."""
        if action is Action.CHECK and (fault := self._agreement_fault(record)):
            return _terminate(record, fault)
        if self._contracts is None:
            return Plan(Move.VERIFY)
        with self._database.connect() as connection:
            agreement = find_agreement(connection, record.agreement_id)
        received = self._contracts.receive(record, agreement, may_sign=action is Action.VERIFY)
        if received.fault:
            return _terminate(record, received.fault)
        if received.waiting:
            return Plan(waiting=received.waiting)
        return Plan(Move.VERIFY, received.content, signed=received.signed)

    def _plan_start(self, record: Record) -> Plan:
        if record.state is State.SUSPENDED and not record.held:
            return Plan(waiting="the other side suspended it, and alone may resume it")
        if record.provider_pid != record.process_id:
            return Plan(Move.START)
        try:
            with self._database.connect() as connection:
                agreement = find_agreement(connection, record.agreement_id)
                paid = own_uses(connection, record.process_id)
            if self._policy.awaits_payment(agreement):
                return Plan(waiting="the payment is not confirmed")
            # A push or stream that is resumed has paid its use; it does not need another.
            going_on = replace(agreement, uses=max(0, agreement.uses - paid))
            why_not = self._policy.why_not_use(going_on, Phase.TRANSFER)
        except GongshuError as error:  # an agreement that cannot be read delivers nothing
            why_not = str(error)
        return _terminate(record, why_not) if why_not else Plan(Move.START)

    def _plan_start_anew(self, record: Record) -> Plan:
        with self._database.connect() as connection:
            is_due = store.is_resumed(connection, record)
        if record.state is not State.STARTED or record.held or not is_due:
            return Plan()
        plan = self._plan_start(record)
        return replace(plan, move=Move.START_ANEW) if plan.move is Move.START else plan

    def _agreement_fault(self, record: Record) -> str | None:
        with self._database.connect() as connection:
            agreement = find_agreement(connection, record.agreement_id)
        policy, offered = agreement.policy, read_terms(orjson.loads(record.policy))
        stamp = policy.get("timestamp")
        if agreement.negotiation_id != record.process_id:
            return "the agreement's id belongs to another negotiation"
        if policy.get("target") != record.dataset_id or agreement.terms.bounds != offered.bounds:
            return "the agreement does not say what was negotiated"
        if policy.get("assignee") != self._own or policy.get("assigner") != record.counterparty:
            return "the agreement names other parties"
        if stamp is not None and not self._is_plausible(str(stamp), record):
            return "the agreement's time is not plausible; compare the two clocks"
        return None

    def _is_plausible(self, stamp: str, record: Record) -> bool:
        at = read_stamp(stamp)
        earliest, latest = record.created_at - AGREEMENT_AHEAD_MAX, self._clock() + AGREEMENT_AHEAD_MAX
        return at is not None and earliest <= at <= latest


def read_stamp(text: str) -> datetime | None:
    """Return the moment of an xsd:dateTime, to the microsecond; None where it has no time zone or is none.

    >>> read_stamp("2026-01-02T03:04:05.123456789Z").microsecond
    123456
    """
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text[:64]))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _plan_acceptance(record: Record, *, must_be_same: bool) -> Plan:
    offered = read_terms(orjson.loads(record.policy))
    if must_be_same:
        if not record.own_policy:
            return Plan(waiting="the provider offers something that was not asked for")
        if offered.bounds != read_terms(orjson.loads(record.own_policy)).bounds:
            return Plan(waiting="the provider offers other terms than asked for")
    return Plan(Move.ACCEPT)


def _terminate(record: Record, reason: str) -> Plan:
    return Plan(termination_of(record.kind), {"reason": [reason]}, {"reason": reason})

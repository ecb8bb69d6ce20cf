"""The shell of the gate: gathers facts, asks the policies, writes the record, then lets the rows go.

Whatever goes wrong on the way raises, and nothing has left by then. See docs/decisions/0033-one-way-out.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import NoReturn

import cedarpy
import orjson

from gongshu.errors import GongshuError, NotFound, Refused
from gongshu.govern.catalogue import CatalogueService
from gongshu.lake import Lake
from gongshu.model.access import Decision, Obligations, Request, Role, Subject
from gongshu.model.audit import AuditEvent
from gongshu.model.dataset import Dataset
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.secure.audit import AuditLog
from gongshu.secure.errors import Denied, SqlInvalid, SqlRefused
from gongshu.secure.gate.clearing import Clearing, NoClearing
from gongshu.secure.gate.copies import ORIGIN, CopyLaw, CopyRead, CopyVerdict, NoCopies
from gongshu.secure.gate.entities import ACTIONS, authorization_request, dataset_entity, subject_entity
from gongshu.secure.gate.failure import translated
from gongshu.secure.gate.model import READINGS, DatasetQuery, Query
from gongshu.secure.gate.plan import Plan, Planner, statement_of
from gongshu.secure.gate.readable import SeriesIndex
from gongshu.secure.gate.relations import ObligationUnmet
from gongshu.secure.gate.result import GateResult
from gongshu.secure.guard import GuardRefused, StatementUnreadable, is_dataset_name
from gongshu.secure.keys import KeyStore
from gongshu.secure.policy import PolicyService, Verdict

NOT_THERE = "no-such-dataset"
HIDDEN = "not-permitted"
ONLY_IN_PART = "obligation: only a part of it may be seen"
ASK_PROVIDER = (
    "`gongshu share agreements` shows the terms and what is left of them; while uses are left `gongshu share get` "
    "fetches anew, and the provider can agree on other terms."
)
ASK_ADMINISTRATOR = "A security administrator can deploy a policy, or an administrator give you a role that may."


@dataclass(frozen=True, slots=True)
class _Judged:
    """The decision on one name of a query."""

    name: str
    dataset: Dataset | None
    verdict: Verdict
    readable: Mapping[DatasetId, Verdict] | None = None
    """For `readings`: the verdicts on the series datasets that are permitted."""
    copy: tuple[CopyRead, CopyVerdict] | None = None
    """For data received under a contract, or derived from such: what was asked about them, and the answer."""


class Gate:
    """The one way out of the lake. Threads may share it."""

    def __init__(
        self,
        catalogue: CatalogueService,
        lake: Lake,
        policies: PolicyService,
        audit: AuditLog,
        clock: Callable[[], datetime],
        *,
        keys: KeyStore,
        own_party_id: PartyId,
        copies: CopyLaw | None = None,
        clearing: Clearing | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._lake = lake
        self._policies = policies
        self._audit = audit
        self._clock = clock
        self._own_party_id = own_party_id
        self._copies = copies or NoCopies()
        self._clearing = clearing or NoClearing()
        self._index = SeriesIndex(catalogue, clock)
        self._planner = Planner(self._index, keys)

    def decide(self, request: Request) -> Decision:
        """Return the decision on one dataset; it is in the audit log when the call returns."""
        self._require_own_transaction()
        judged = self._judge(request.subject, request.action, request.purpose, request.dataset_id)
        decision = self._decision(judged.verdict)
        self._record(request.subject, request.action, request.purpose, [judged], permitted=decision.permitted)
        return decision

    def require_whole(
        self, subject: Subject, dataset_id: DatasetId, *, purpose: str, action: str = "aggregate"
    ) -> None:
        """Let the subject pass who may see a dataset whole: permitted, without masks, filters or bounds. Recorded.

        For what is computed on originals in somebody's name, as an app's figures or a judgement of quality.
        Raises: Denied.
        """
        self._require_own_transaction()
        judged = self._judge(subject, action, purpose, dataset_id)
        if judged.verdict.permitted and judged.verdict.obligations != Obligations():
            in_part = Verdict(permitted=False, because=(ONLY_IN_PART,), ask=ASK_ADMINISTRATOR)
            judged = replace(judged, verdict=in_part)
        if not judged.verdict.permitted:
            self._refuse(subject, action, purpose, [judged])
        self._record(subject, action, purpose, [judged], permitted=True)

    def explain(self, request: Request, *, actor: SubjectId | str) -> Verdict:
        """Return what the policies would say, without deciding; who asked for it is in the audit log."""
        judged = self._judge(request.subject, request.action, request.purpose, request.dataset_id)
        details: Mapping[str, str | bool | list[str]] = {
            "subject": request.subject.subject_id,
            "action": request.action,
            "permitted": judged.verdict.permitted,
            "because": list(judged.verdict.because),
        }
        self._audit.write(AuditEvent(self._clock(), str(actor), "policy.explained", request.dataset_id, "ok", details))
        return judged.verdict

    def read(
        self, subject: Subject, query: Query, *, purpose: str, action: str = "read", is_onward: bool = False
    ) -> GateResult:
        """Return the rows that the subject may have; the record of it is on disk before the first one leaves.

        Every dataset of the query is decided on, and one refusal refuses all. `is_onward` says that another party gets
        what is read, as with a report; a subject of another party implies it.
        Shape: a series dataset and `readings` have the columns `gongshu.model.dataset.SERIES_COLUMNS`.
        Raises: Denied, SqlRefused, SqlInvalid, QueryFailed, and the lake's QueryTimeout, QueryMemoryExceeded,
            QueryWorkerLost.
        """
        self._require_own_transaction()
        try:
            statement = statement_of(query)
        except (GuardRefused, StatementUnreadable) as cause:
            self._record_refusal(subject, purpose, query, str(cause))
            error = SqlRefused if isinstance(cause, GuardRefused) else SqlInvalid
            raise error(reason=str(cause)) from cause
        if not statement.datasets:
            self._record_refusal(subject, purpose, query, "no dataset")
            raise SqlInvalid(reason="it names no dataset")
        asked = CopyRead(
            DatasetId(""),
            subject,
            action,
            purpose,
            is_aggregate=statement.aggregate_fault is None,
            is_onward=is_onward or self._is_other_party(subject),
        )
        judged = [self._judge_name(subject, action, purpose, name, asked) for name in statement.datasets]
        if not all(item.verdict.permitted for item in judged):
            self._refuse(subject, action, purpose, judged)
        plan = self._plan(subject, action, purpose, query, judged)
        index = self._record(subject, action, purpose, judged, permitted=True, plan=plan)
        decisions = tuple(self._decision(item.verdict) for item in judged)
        tickets = self._copies.begin([item.copy[0] for item in judged if item.copy is not None])
        return self._run(plan, subject, decisions, index, tickets)

    def _run(
        self,
        plan: Plan,
        subject: Subject,
        decisions: tuple[Decision, ...],
        index: int,
        tickets: tuple[int, ...],
    ) -> GateResult:
        def finish(rows: int, size_bytes: int, outcome: str) -> None:
            self._copies.finish(tickets, rows, outcome)
            details = {"rows": rows, "bytes": size_bytes, "permitted_by_record": index}
            self._audit.write(
                AuditEvent(self._clock(), subject.subject_id, "read.finished", plan.object, outcome, details)
            )

        def translate(error: GongshuError) -> GongshuError:
            return translated(error, has_secret=plan.has_secret)

        try:
            rows = self._lake.query(plan.sql, plan.relations, rows_max=plan.rows_max, parameters=plan.parameters)
        except GongshuError as cause:
            failure = translate(cause)
        else:
            going_on = partial(self._require_going_on, subject, plan, tickets) if tickets else None
            return GateResult(rows, decisions, index, finish=finish, translate=translate, going_on=going_on)
        finish(0, 0, "failed")
        raise failure  # outside of the handler: the engine's own words do not travel along

    def _require_going_on(self, subject: Subject, plan: Plan, tickets: tuple[int, ...]) -> None:
        """Stop rows under way whose contract ended. Raises: Denied."""
        if why := self._copies.why_ended(tickets):
            raise Denied(
                subject=subject.subject_id,
                action="read",
                object=plan.object,
                purpose="the rest of the rows",
                reasons=f"contract: {why}",
                ask=ASK_PROVIDER,
            )

    def _plan(self, subject: Subject, action: str, purpose: str, query: Query, judged: Sequence[_Judged]) -> Plan:
        named = {item.name: (item.dataset, item.verdict.obligations) for item in judged}
        readable = next((item.readable for item in judged if item.readable is not None), None)
        try:
            copies = {
                item.name: item.copy[1].rows
                for item in judged
                if item.copy is not None and item.copy[1].rows is not None
            }
            group_min = max((item.copy[1].group_min or 0 for item in judged if item.copy is not None), default=0)
            return self._planner.plan(query, subject, named, readable, copies, group_min or None)
        except ObligationUnmet as cause:
            unmet = Verdict(permitted=False, because=(str(cause),), ask=ASK_ADMINISTRATOR)
            self._refuse(subject, action, purpose, [replace(item, verdict=unmet) for item in judged], cause=cause)
        except (GuardRefused, StatementUnreadable) as cause:
            self._record_refusal(subject, purpose, query, str(cause))
            raise SqlRefused(reason=str(cause)) from cause

    def _judge_name(self, subject: Subject, action: str, purpose: str, name: str, asked: CopyRead) -> _Judged:
        if name != READINGS:
            return self._judge(subject, action, purpose, DatasetId(name), asked)
        if fault := _request_fault(action, purpose):
            return _Judged(name, None, Verdict(permitted=False, because=(fault,)))
        readable = self._readable(subject, action, purpose)
        if not readable:
            verdict = Verdict(permitted=False, because=("no-readable-series",), ask=ASK_ADMINISTRATOR)
        else:
            because = tuple(sorted({name for verdict in readable.values() for name in verdict.because}))
            rows = [v.obligations.rows_max for v in readable.values() if v.obligations.rows_max is not None]
            verdict = Verdict(permitted=True, because=because)
            if rows:
                verdict = replace(verdict, obligations=replace(verdict.obligations, rows_max=min(rows)))
        return _Judged(name, None, verdict, readable)

    def _judge(
        self, subject: Subject, action: str, purpose: str, dataset_id: DatasetId, asked: CopyRead | None = None
    ) -> _Judged:
        if fault := _request_fault(action, purpose):
            return _Judged(dataset_id, None, Verdict(permitted=False, because=(fault,)))
        if not is_dataset_name(dataset_id):
            return _Judged(dataset_id, None, Verdict(permitted=False, because=(NOT_THERE,)))
        try:
            dataset = self._catalogue.dataset(dataset_id)
        except NotFound:
            return _Judged(dataset_id, None, Verdict(permitted=False, because=(NOT_THERE,)))
        except Refused as refused:
            return _Judged(dataset_id, None, Verdict(permitted=False, because=(refused.code,), ask=str(refused)))
        verdict = self._verdicts(subject, action, purpose, [dataset])[dataset_id]
        if not verdict.permitted:
            return _Judged(dataset_id, dataset, verdict)
        onward = action == "share" or self._is_other_party(subject)
        read = replace(
            asked or CopyRead(dataset_id, subject, action, purpose, action == "aggregate", onward),
            dataset_id=dataset_id,
        )
        return self._judge_copy(dataset, read, verdict)

    def _judge_copy(self, dataset: Dataset, read: CopyRead, verdict: Verdict) -> _Judged:
        """Ask the contracts too: what came from a partner is closed unless they say that it is open."""
        answer = self._copies.judge(read)
        if answer is None:
            if dataset.origin.startswith(ORIGIN):
                closed = Verdict(permitted=False, because=("contract: none is known for it",), ask=ASK_PROVIDER)
                return _Judged(dataset.dataset_id, dataset, closed)
            return _Judged(dataset.dataset_id, dataset, verdict)
        if not answer.permitted:
            because = tuple(f"contract: {reason}" for reason in answer.because)
            return _Judged(dataset.dataset_id, dataset, Verdict(permitted=False, because=because, ask=ASK_PROVIDER))
        return _Judged(dataset.dataset_id, dataset, verdict, copy=(read, answer))

    def _is_other_party(self, subject: Subject) -> bool:
        return subject.party_id != self._own_party_id or Role.PARTNER in subject.roles

    def _readable(self, subject: Subject, action: str, purpose: str) -> dict[DatasetId, Verdict]:
        datasets = self._index.read().datasets
        verdicts = self._verdicts(subject, action, purpose, datasets)
        return {dataset_id: verdict for dataset_id, verdict in verdicts.items() if verdict.permitted}

    def _verdicts(
        self, subject: Subject, action: str, purpose: str, datasets: Sequence[Dataset]
    ) -> dict[DatasetId, Verdict]:
        now = self._clock()
        facts = [
            subject_entity(subject, self._own_party_id),
            *(dataset_entity(d, now, cleared=self._is_cleared(subject, action, d)) for d in datasets),
        ]
        try:
            entities = cedarpy.Entities.from_json_str(orjson.dumps(facts).decode("utf-8"))
        except (ValueError, orjson.JSONEncodeError):
            return {d.dataset_id: Verdict(permitted=False, because=("policy-error: facts",)) for d in datasets}
        requests = [authorization_request(subject, action, purpose, d.dataset_id, now) for d in datasets]
        verdicts = self._policies.compiled().judge(requests, entities)
        return {dataset.dataset_id: verdict for dataset, verdict in zip(datasets, verdicts, strict=True)}

    def _is_cleared(self, subject: Subject, action: str, dataset: Dataset) -> bool:
        if self._is_other_party(subject):
            return self._clearing.is_cleared(dataset, subject.party_id)
        return action == "share" and self._clearing.is_cleared(dataset, None)

    def _refuse(
        self,
        subject: Subject,
        action: str,
        purpose: str,
        judged: Sequence[_Judged],
        *,
        cause: Exception | None = None,
    ) -> NoReturn:
        denied = [item for item in judged if not item.verdict.permitted]
        self._record(subject, action, purpose, denied, permitted=False)
        shown = _shown_to(subject, denied, own=subject.party_id == self._own_party_id)
        reasons = ", ".join(dict.fromkeys(reason for verdict in shown for reason in verdict.because))
        ask = next((verdict.ask for verdict in shown if verdict.ask), ASK_ADMINISTRATOR)
        raise Denied(
            subject=subject.subject_id,
            action=action,
            object=", ".join(item.name for item in denied),
            purpose=purpose,
            reasons=reasons,
            ask=ask,
        ) from cause

    def _decision(self, verdict: Verdict) -> Decision:
        return Decision(verdict.permitted, verdict.because, verdict.obligations, self._clock())

    def _record(
        self,
        subject: Subject,
        action: str,
        purpose: str,
        judged: Sequence[_Judged],
        *,
        permitted: bool,
        plan: Plan | None = None,
    ) -> int:
        """Write one record for each dataset, in one commit, and return the first one's index."""
        word, outcome = ("permitted", "ok") if permitted else ("denied", "denied")
        shared: Mapping[str, str | int | None] = {
            "purpose": purpose,
            "party": subject.party_id,
            "sql": plan.asked if plan else None,
            "rows_max": plan.rows_max if plan else None,
        }
        events = []
        for item in judged:
            demands = item.verdict.obligations
            details = {
                **shared,
                "because": list(item.verdict.because),
                "masks": [f"{mask.column}:{mask.rule}" for mask in demands.masks],
                "row_filters": list(demands.row_filters),
            }
            events.append(
                AuditEvent(self._clock(), subject.subject_id, f"{action[:40]}.{word}", item.name, outcome, details)
            )
        return self._audit.write_many(events)

    def _record_refusal(self, subject: Subject, purpose: str, query: Query, reason: str) -> None:
        because = [f"sql: {reason}"]
        details: Mapping[str, str | list[str]] = {
            "purpose": purpose,
            "party": subject.party_id,
            "sql": _asked(query),
            "because": because,
        }
        self._audit.write(AuditEvent(self._clock(), subject.subject_id, "read.denied", "query", "denied", details))

    def _require_own_transaction(self) -> None:
        if self._audit.in_transaction:
            raise RuntimeError("the gate's record must outlive a rollback: ask it outside of database.begin()")


def _request_fault(action: str, purpose: str) -> str | None:
    if action not in ACTIONS:
        return "unknown-action"
    return None if purpose.strip() else "no-purpose"


def _shown_to(subject: Subject, denied: Sequence[_Judged], *, own: bool) -> list[Verdict]:
    """What a refused subject is told: a stranger cannot tell a dataset that is hidden from one that is not there."""
    if own or (Role.PARTNER in subject.roles and subject.attributes.get("agreement")):
        return [item.verdict for item in denied]
    return [Verdict(permitted=False, because=(HIDDEN,), ask="Ask the provider, or conclude an agreement first.")]


def _asked(query: Query) -> str:
    if isinstance(query, DatasetQuery):
        return repr(query)
    return str(getattr(query, "sql", "ibis expression"))

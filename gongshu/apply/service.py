"""The shell of the apps: gathers facts through the gate, judges them once, runs, stores, remembers."""

import secrets
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gongshu.apply.bindings import suggest_bindings
from gongshu.apply.errors import (
    BindingInvalid,
    FigureUnknown,
    InputsNotMet,
    NotForOthers,
    ParameterInvalid,
    PeriodInvalid,
)
from gongshu.apply.judging import judge_bindings, judge_facts
from gongshu.apply.model import (
    AppCall,
    AppResult,
    AssetBinding,
    BoundInput,
    Explanation,
    Finding,
    Opened,
    RunReport,
    Term,
)
from gongshu.apply.registry import AppRegistry
from gongshu.apply.runs import RunBook
from gongshu.apply.source import GateSource, show_query
from gongshu.apply.spec import AppSpec, ParamSpec, ParamValue
from gongshu.apply.units import Units
from gongshu.database import Database
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.store import DatasetStore
from gongshu.model.access import Role, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import AssetId, DatasetId, PartyId, SeriesId
from gongshu.model.series import Series
from gongshu.packs import Pack, Packs
from gongshu.secure.errors import Denied
from gongshu.secure.gate import Gate

LOOK_BACK_S = 86_400.0
"""How far before a span a value that is told only when it changes may lie and still count as there: a day."""
FINDINGS_SHOWN_MAX = 6


@dataclass(frozen=True, slots=True)
class _Checked:
    findings: list[Finding]
    inputs: dict[AssetId, dict[str, BoundInput]]


class AppService:
    """Apps, checks, runs and opened figures."""

    def __init__(
        self,
        database: Database,
        gate: Gate,
        store: DatasetStore,
        catalogue: CatalogueService,
        audit: AuditSink,
        clock: Callable[[], datetime],
        own_party: PartyId,
        *,
        packs: Packs,
        registry: AppRegistry | None = None,
    ) -> None:
        self._gate = gate
        self._store = store
        self._catalogue = catalogue
        self._audit = audit
        self._clock = clock
        self._own_party = own_party
        self._packs = packs
        self._registry = registry or AppRegistry()
        self._runs = RunBook(database)

    def apps(self) -> list[AppSpec]:
        """Return the installed apps, in order of name.

        Raises: AppBroken.
        """
        return self._registry.specs()

    def app(self, name: str) -> AppSpec:
        """Return one app's declaration.

        Raises: AppUnknown, AppBroken.
        """
        return self._registry.spec(name)

    def suggest(self, app: str, *, below: str = "") -> list[AssetBinding]:
        """Return bindings that the catalogue's names and units propose, for assets at or below a place in the tree.

        Raises: AppUnknown, AppBroken.
        """
        series = [s for s in self._catalogue.series() if _is_below(s.sighting.asset, below)]
        return suggest_bindings(self.app(app), series, self._units())

    def check(
        self, app: str, bindings: Sequence[AssetBinding], start: datetime, end: datetime, *, actor: Subject
    ) -> list[Finding]:
        """Return what the app needs and whether the data hold it, one finding a need, in order of asset and role.

        Of series whose dataset the actor may not aggregate nothing is counted: they are not judged.

        Raises: AppUnknown, AppBroken, BindingInvalid, PeriodInvalid.
        """
        spec = self.app(app)
        bound = sorted({series_id for binding in bindings for series_id in binding.roles.values()})
        datasets = self._catalogue.dataset_ids_of(bound)
        open_to = {d for d in set(datasets.values()) if self._is_permitted(actor, "aggregate", app, [d])}
        countable = {series_id for series_id, dataset_id in datasets.items() if dataset_id in open_to}
        return self._check(spec, bindings, start, end, self._source(app), countable=countable).findings

    def run(
        self,
        app: str,
        bindings: Sequence[AssetBinding],
        start: datetime,
        end: datetime,
        *,
        actor: Subject,
        params: Mapping[str, ParamValue] | None = None,
    ) -> RunReport:
        """Run an app on data that hold what it needs, write its derived datasets, and keep the report.

        The app reads as itself, but whoever lets it run must be permitted to aggregate each dataset that feeds it:
        an app is no way around the gate.

        Raises: InputsNotMet with the findings in `fields["judged"]`, AppUnknown, AppBroken, BindingInvalid,
            ParameterInvalid, PeriodInvalid, Denied.
        """
        spec, started_at, source = self.app(app), self._clock(), self._source(app)
        chosen = checked_params(spec, params or {})
        _require_bindings(spec, bindings)
        bound = sorted({series_id for binding in bindings for series_id in binding.roles.values()})
        self._require_permitted(actor, "aggregate", app, self._catalogue.dataset_ids_of(bound).values())
        checked = self._check(spec, bindings, start, end, source)
        self._require_met(spec, checked.findings, start, end, actor)
        call = AppCall(
            run_id=f"{app}-{started_at:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
            spec=spec,
            inputs=checked.inputs,
            params=chosen,
            start=start,
            end=end,
            now=started_at,
            packs={name: self._packs.get(name) for name in spec.packs},
            source=source,
        )
        result = self._registry.program(spec)(call)
        parents = self._datasets(b for roles in checked.inputs.values() for b in roles.values())
        outputs = self._write_outputs(spec, result, parents)
        report = self._report(call, result, bindings, checked.findings, parents, outputs, actor, source)
        self._runs.write(report)
        self._record("app.run", actor, report.run_id, "ok", {"app": app, "outputs": list(outputs)})
        return report

    def runs(self, app: str | None = None, *, reader: Subject, limit: int = 20) -> list[RunReport]:
        """Return the reports of runs whose derived datasets the reader may read, the newest first."""
        reports = self._runs.latest(app, limit=limit)
        permitted = {
            (report.app, report.outputs): self._is_permitted(reader, "read", report.app, report.outputs)
            for report in reports
        }
        return [report for report in reports if permitted[report.app, report.outputs]]

    def run_report(self, run_id: str, *, reader: Subject) -> RunReport:
        """Return one run report.

        Raises: RunUnknown, Denied unless the reader may read the derived datasets.
        """
        report = self._runs.read(run_id)
        self._require_permitted(reader, "read", report.app, report.outputs)
        return report

    def explain(self, run_id: str, asset: AssetId, figure: str, *, reader: Subject) -> Explanation:
        """Return a figure opened to its formula, numbers, series, counts of readings, and queries that show them.

        Raises: RunUnknown, FigureUnknown, Denied unless the reader may read the derived datasets.
        """
        report = self.run_report(run_id, reader=reader)
        result = next((r for r in report.assets if r.asset == asset), None)
        if result is None or figure not in result.figures:
            known = ", ".join(result.figures) if result else ", ".join(r.asset for r in report.assets)
            raise FigureUnknown(run_id=run_id, figure=figure[:60], asset=asset[:200], known=known)
        lost = result.notes.get("not_judged_s")
        opened = result.figures[figure]
        return Explanation(
            run=report,
            asset=asset,
            figure=opened,
            terms=tuple(self._open(term, report) for term in opened.terms),
            not_judged_s=float(lost) if isinstance(lost, int | float) else None,
        )

    def require_member(self, subject: Subject) -> None:
        """Let people and services of this organisation pass: what exists here is not for others to see.

        Raises: NotForOthers.
        """
        if subject.party_id != self._own_party or Role.PARTNER in subject.roles:
            raise NotForOthers(subject=subject.subject_id)

    def _is_permitted(self, subject: Subject, action: str, app: str, datasets: Iterable[DatasetId]) -> bool:
        try:
            self._require_permitted(subject, action, app, datasets)
        except Denied:
            return False
        return True

    def _require_permitted(self, subject: Subject, action: str, app: str, datasets: Iterable[DatasetId]) -> None:
        for dataset_id in sorted(set(datasets)):
            self._gate.require_whole(subject, dataset_id, purpose=f"app:{app}", action=action)

    def _check(
        self,
        spec: AppSpec,
        bindings: Sequence[AssetBinding],
        start: datetime,
        end: datetime,
        source: GateSource,
        *,
        countable: Container[SeriesId] | None = None,
    ) -> _Checked:
        _require_period(spec, start, end)
        _require_bindings(spec, bindings)
        wanted = sorted({series_id for binding in bindings for series_id in binding.roles.values()})
        known: dict[SeriesId, Series] = {s.series_id: s for s in self._catalogue.series(wanted)}
        units, findings = self._units(), []
        inputs: dict[AssetId, dict[str, BoundInput]] = {}
        for binding in bindings:
            mine, usable = judge_bindings(spec, binding, known, units)
            findings += mine
            inputs[binding.asset] = usable
        now = self._clock()
        counted = sorted(known if countable is None else (one for one in known if one in countable))
        facts = source.facts(counted, start, end, look_back_s=LOOK_BACK_S, now=now)
        findings += judge_facts(inputs, facts, seen_until=min(end, now))
        order = {wanted.role: place for place, wanted in enumerate(spec.inputs)}
        return _Checked(sorted(findings, key=lambda f: (f.asset, order[f.role])), inputs)

    def _require_met(
        self, spec: AppSpec, findings: Sequence[Finding], start: datetime, end: datetime, actor: Subject
    ) -> None:
        stopping = [finding for finding in findings if finding.stops]
        if not stopping:
            return
        shown = "; ".join(map(str, stopping[:FINDINGS_SHOWN_MAX]))
        more = f"; and {len(stopping) - FINDINGS_SHOWN_MAX} more" if len(stopping) > FINDINGS_SHOWN_MAX else ""
        needs = [f"{f.asset}:{f.role}:{f.need}" for f in stopping]
        self._record("app.refused", actor, spec.name, "denied", {"app": spec.name, "needs": needs[:50]})
        raise InputsNotMet(
            app=spec.name,
            start=start.isoformat(),
            end=end.isoformat(),
            findings=f"{shown}{more}.",
            judged=tuple(findings),
        )

    def _write_outputs(self, spec: AppSpec, result: AppResult, parents: Sequence[DatasetId]) -> tuple[DatasetId, ...]:
        """Each derived dataset holds the newest run; what a run found stays in its report."""
        written = []
        for output in spec.outputs:
            table = result.outputs[output.name]
            if table.schema != output.schema:
                raise RuntimeError(f"{spec.name} gave {output.name} another schema than it declares")
            title = f"{output.title_zh} {output.title_en}"
            written.append(
                self._store.write(output.name, table, title=title, origin=f"app:{spec.name}", parents=parents)
            )
        return tuple(written)

    def _report(
        self,
        call: AppCall,
        result: AppResult,
        bindings: Sequence[AssetBinding],
        findings: Sequence[Finding],
        parents: Sequence[DatasetId],
        outputs: tuple[DatasetId, ...],
        actor: Subject,
        source: GateSource,
    ) -> RunReport:
        return RunReport(
            run_id=call.run_id,
            app=call.spec.name,
            app_version=call.spec.version,
            code_sha256=self._registry.code_sha256(call.spec),
            actor=actor.subject_id,
            started_at=call.now,
            finished_at=self._clock(),
            start=call.start,
            end=call.end,
            params=call.params,
            bindings=tuple(bindings),
            inputs=tuple(parents),
            input_readings=result.readings,
            input_sha256=result.digest,
            audit_indexes=tuple(source.audit_indexes),
            packs=tuple(pack.reference for pack in call.packs.values()),
            findings=tuple(findings),
            assets=result.assets,
            outputs=outputs,
        )

    def _open(self, term: Term, report: RunReport) -> Opened:
        series = self._catalogue.series(term.series)
        names = {s.series_id: f"{s.sighting.asset}/{s.sighting.name}" for s in series}
        datasets = self._catalogue.dataset_ids_of(term.series)
        return Opened(
            term=term,
            names=tuple(names.get(series_id, str(series_id)) for series_id in term.series),
            datasets=tuple(sorted(set(datasets.values()))),
            query=show_query(term.series, report.start, report.end) if term.series else "",
        )

    def _datasets(self, inputs: Iterable[BoundInput]) -> tuple[DatasetId, ...]:
        series = [bound.series.series_id for bound in inputs]
        return tuple(sorted(set(self._catalogue.dataset_ids_of(series).values())))

    def _source(self, app: str) -> GateSource:
        return GateSource(self._gate, self._catalogue, app, self._own_party)

    def _units(self) -> Units:
        ucum: Pack = self._packs.get("ucum")
        return Units(ucum, self._packs.get("ucum-conversion"))

    def _record(self, action: str, actor: Subject, on: str, outcome: str, details: dict[str, str | list[str]]) -> None:
        event = AuditEvent(self._clock(), actor.subject_id, action, on, outcome, dict(details))
        self._audit.write(event)


def figure_rows(report: RunReport) -> list[dict[str, object]]:
    """Return the figures of a run as plain rows, one an asset: for tables on pages and in the terminal."""
    return [{"asset": r.asset, **{name: f.value for name, f in r.figures.items()}, **r.notes} for r in report.assets]


def _is_below(asset: AssetId, place: str) -> bool:
    return not place or asset == place or asset.startswith(f"{place}/")


def _require_period(spec: AppSpec, start: datetime, end: datetime) -> None:
    reason = ""
    if start.tzinfo is None or end.tzinfo is None:
        reason = "a time has no zone"
    elif start >= end:
        reason = "the start is not before the end"
    if reason:
        raise PeriodInvalid(app=spec.name, start=start.isoformat(), end=end.isoformat(), reason=reason)


def _require_bindings(spec: AppSpec, bindings: Sequence[AssetBinding]) -> None:
    if not bindings:
        raise BindingInvalid(app=spec.name, asset="any asset", reason="there is none")
    seen: set[AssetId] = set()
    for binding in bindings:
        if binding.asset in seen:
            raise BindingInvalid(app=spec.name, asset=binding.asset, reason="the asset is bound twice")
        seen.add(binding.asset)
        for role in binding.roles:
            if spec.input(role) is None:
                known = ", ".join(wanted.role for wanted in spec.inputs)
                raise BindingInvalid(app=spec.name, asset=binding.asset, reason=f"no role {role!r}; it has {known}")


def checked_params(spec: AppSpec, given: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    """Return every parameter of a run: what was given, else the default.

    Raises: ParameterInvalid.
    """
    known = {param.name: param for param in spec.params}
    for name, value in given.items():
        if name not in known:
            expected = f"its parameters are {', '.join(known)}"
            raise ParameterInvalid(app=spec.name, parameter=name, seen=value, expected=expected)
    return {param.name: _param(spec, param, given.get(param.name, param.default)) for param in spec.params}


def _param(spec: AppSpec, param: ParamSpec, value: ParamValue) -> ParamValue:
    """Return a value as the parameter's type; a number may come as text from a command line."""
    if isinstance(param.default, str):
        return str(value)
    try:
        number = float(value)
    except ValueError as cause:
        raise ParameterInvalid(app=spec.name, parameter=param.name, seen=value, expected="a number") from cause
    low, high = param.least, param.most
    if number != number or (low is not None and number < low) or (high is not None and number > high):
        expected = f"between {low} and {high} {param.unit}"
        raise ParameterInvalid(app=spec.name, parameter=param.name, seen=value, expected=expected)
    return int(number) if isinstance(param.default, int) and number.is_integer() else number

"""Judges datasets and keeps every report; a new one never changes an old one."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.govern import tables as t
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.classify.propose import unit_items
from gongshu.govern.errors import QualityUnknown
from gongshu.govern.quality.expectations import Expectation, ExpectationKind, ExpectationService
from gongshu.govern.quality.lying import flowing, judge_shapes
from gongshu.govern.quality.model import Measure, QualityReport
from gongshu.govern.quality.scoring import build_report, decode_report, encode_report
from gongshu.govern.quality.series_facts import Bounds, Queryable, read_facts
from gongshu.govern.quality.series_rules import SeriesMatter, judge_series
from gongshu.govern.quality.table_rules import TableMatter, judge_table
from gongshu.lake import ReadingsRelation
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.dataset import Dataset, DatasetKind
from gongshu.model.ids import DatasetId, SubjectId
from gongshu.model.series import Series
from gongshu.packs import PackItem, Packs

HISTORY_MAX = 100


class QualityService:
    """Quality of datasets by GB/T 36344."""

    def __init__(
        self,
        database: Database,
        lake: Queryable,
        catalogue: CatalogueService,
        packs: Packs,
        audit: AuditSink,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._lake = lake
        self._catalogue = catalogue
        self._audit = audit
        self._clock = clock
        self._standard, self._limits = packs.get("gbt-36344"), packs.get("platform-quality")
        self._unit_pack = packs.get("ucum")
        self._units = unit_items(self._unit_pack)
        self._unit_bounds = {item.key.rpartition(".")[2]: item for item in self._unit_pack.under("bound")}
        self._expectations = ExpectationService(database, catalogue.ledger, clock)

    def run(
        self,
        dataset_id: DatasetId,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        actor: str = "system:quality",
    ) -> QualityReport:
        """Judge a dataset over [start, end), keep the report and return it; tables are judged as they are now.

        Without `start` the whole past counts; without `end`, until now.

        Raises: DatasetUnknown, StateSecretDeclared, and what the lake raises.
        Cost: some passes over the dataset in the query worker; for series also over the same series of up to eight
        other assets.
        """
        dataset = self._catalogue.dataset(dataset_id)
        now = self._clock()
        if dataset.kind is DatasetKind.SERIES:
            rows, measures = self._judge_series(dataset, start, min(end, now) if end else now)
        else:
            rows, measures = self._judge_table(dataset)
        report = build_report(
            dataset_id,
            measures,
            standard=self._standard,
            packs=(self._standard, self._limits, self._unit_pack),
            run_at=now,
            start=start,
            end=end,
            rows=rows,
        )
        with self._database.begin() as connection:
            connection.execute(
                t.quality_runs.insert().values(
                    dataset_id=dataset_id, run_at=now, start=start, end=end, report=encode_report(report)
                )
            )
        facts = {"score": report.score, "judged": report.judged, "findings": sum(1 for _ in report.findings())}
        self._audit.write(AuditEvent(now, actor, "quality.judged", dataset_id, "ok", facts))
        return report

    def latest(self, dataset_id: DatasetId) -> QualityReport:
        """Return the newest report.

        Raises: QualityUnknown if the dataset was never judged.
        """
        reports = self.history(dataset_id, limit=1)
        if not reports:
            raise QualityUnknown(dataset_id=dataset_id)
        return reports[0]

    def history(self, dataset_id: DatasetId, *, limit: int = HISTORY_MAX) -> list[QualityReport]:
        """Return a dataset's reports, the newest first."""
        query = sa.select(t.quality_runs.c.report).where(t.quality_runs.c.dataset_id == dataset_id)
        query = query.order_by(t.quality_runs.c.run_id.desc()).limit(limit)
        with self._database.connect() as connection:
            return [decode_report(raw) for raw in connection.execute(query).scalars()]

    def looked_at(self, dataset_id: DatasetId, further: Sequence[Expectation] = ()) -> tuple[DatasetId, ...]:
        """Return the datasets that a judgement counts in: itself, and those that declarations refer to.

        Whoever asks for one, or declares a rule, learns about values: the doors let only those do it who may see all
        of these whole.
        """
        declared = [*self._expectations.of(dataset_id), *further]
        others = [str(e.spec.get("dataset", "")) for e in declared if e.kind is ExpectationKind.REFERENCE]
        return tuple(dict.fromkeys([dataset_id, *(DatasetId(other) for other in others)]))

    def declare(self, dataset_id: DatasetId, expectation: Expectation, *, actor: SubjectId) -> None:
        """Declare what a series or column has to be, for the next run.

        Raises: DatasetUnknown, ExpectationInvalid.
        """
        self._expectations.declare(dataset_id, expectation, actor=actor)

    def expectations(self, dataset_id: DatasetId) -> list[Expectation]:
        """Return what was declared of a dataset."""
        return self._expectations.of(dataset_id)

    def _judge_series(self, dataset: Dataset, start: datetime | None, end: datetime) -> tuple[int, list[Measure]]:
        series = self._catalogue.series_of(dataset.dataset_id)
        declared = self._expectations.of(dataset.dataset_id)
        bounds = self._bounds(series, declared)
        relation = ReadingsRelation(tuple(s.series_id for s in series), start, end)
        facts = read_facts(self._lake, relation, bounds, self._limits)
        intervals = {
            s.series_id: float(e.spec["interval_s"])
            for e in declared
            for s in series
            if e.kind is ExpectationKind.INTERVAL and e.part == s.sighting.name
        }
        matter = SeriesMatter(
            series, facts, bounds, intervals, frozenset(self._units), end, self._limits, self._standard
        )
        measures = judge_series(matter)
        readings = {series_id: int(fact["n"]) for series_id, fact in facts.items()}
        if facts:
            begin = start or min(fact["first_time"] for fact in facts.values())
            own = flowing(series)
            measures += judge_shapes(
                self._lake,
                own,
                [flowing(others) for others in self._twins(dataset, series)],
                readings,
                start=begin,
                end=end,
                limits=self._limits,
            )
        return sum(readings.values()), measures

    def _twins(self, dataset: Dataset, series: Sequence[Series]) -> list[list[Series]]:
        """Return the series of other assets that share most names with this one, the most alike first."""
        names = {s.sighting.name for s in series}
        by_asset: dict[str, list[Series]] = {}
        for other in self._catalogue.series():
            if other.sighting.asset != dataset.asset:
                by_asset.setdefault(other.sighting.asset, []).append(other)
        alike = [(len(names & {s.sighting.name for s in others}), asset) for asset, others in by_asset.items()]
        return [by_asset[asset] for shared, asset in sorted(alike, reverse=True) if shared * 2 > len(names)]

    def _bounds(self, series: Sequence[Series], declared: Sequence[Expectation]) -> dict[int, Bounds]:
        """Return what a value may be: as declared, else as the unit's physics says."""
        given = {e.part: e.spec for e in declared if e.kind is ExpectationKind.BOUNDS}
        found: dict[int, Bounds] = {}
        for s in series:
            unit = self._units.get(s.sighting.unit)
            physical = self._unit_bounds.get(_bound_name(unit)) if unit else None
            if spec := given.get(s.sighting.name):
                found[s.series_id] = Bounds(spec.get("low"), spec.get("high"), "declared")
            elif physical:
                low, high = physical.value.get("low"), physical.value.get("high")
                found[s.series_id] = Bounds(low, high, physical.citation)
        return found

    def _judge_table(self, dataset: Dataset) -> tuple[int, list[Measure]]:
        assert dataset.table is not None
        declared = self._expectations.of(dataset.dataset_id)
        matter = TableMatter(
            dataset=dataset,
            expectations=declared,
            references=self._references(declared),
            lake_columns=frozenset(self._lake.table_schema(dataset.table).names),
            limits=self._limits,
            standard=self._standard,
        )
        return judge_table(self._lake, matter)

    def _references(self, declared: Sequence[Expectation]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for expectation in declared:
            if expectation.kind is ExpectationKind.REFERENCE:
                other = self._catalogue.dataset(DatasetId(expectation.spec["dataset"]))
                if other.table is not None:
                    found[other.dataset_id] = other.table
        return found


def _bound_name(unit: PackItem) -> str:
    code = str(unit.value["code"])
    return {"[pH]": "pH"}.get(code, code)

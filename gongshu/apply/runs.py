"""Keeps run reports and gives them back as they were."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from gongshu.apply.errors import RunUnknown
from gongshu.apply.model import AssetBinding, AssetResult, Figure, Finding, Outcome, RunReport, Term
from gongshu.apply.tables import runs
from gongshu.database import Database
from gongshu.model.ids import AssetId, DatasetId, SeriesId

FORMAT = 1
"""Of the JSON in `record`: a change of shape is a new number, and old ones stay readable."""


class RunBook:
    """The run reports of this node."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, report: RunReport) -> None:
        """Store a report; there is no way to change one."""
        with self._database.begin() as connection:
            connection.execute(sa.insert(runs).values(**_row(report)))

    def read(self, run_id: str) -> RunReport:
        """Return one report.

        Raises: RunUnknown.
        """
        with self._database.connect() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).one_or_none()
        if row is None:
            raise RunUnknown(run_id=run_id[:60])
        return _report(row)

    def latest(self, app: str | None = None, *, limit: int = 20) -> list[RunReport]:
        """Return reports, the newest first."""
        query = sa.select(runs).order_by(runs.c.finished_at.desc(), runs.c.run_id).limit(limit)
        if app is not None:
            query = query.where(runs.c.app == app)
        with self._database.connect() as connection:
            return [_report(row) for row in connection.execute(query)]


def _row(report: RunReport) -> dict[str, Any]:
    record = {
        "format": FORMAT,
        "params": dict(report.params),
        "bindings": [{"asset": b.asset, "roles": dict(b.roles)} for b in report.bindings],
        "inputs": list(report.inputs),
        "audit_indexes": list(report.audit_indexes),
        "packs": list(report.packs),
        "findings": [asdict(finding) for finding in report.findings],
        "assets": [
            {
                "asset": result.asset,
                "figures": {name: asdict(figure) for name, figure in result.figures.items()},
                "notes": dict(result.notes),
            }
            for result in report.assets
        ],
        "outputs": list(report.outputs),
    }
    return {
        "run_id": report.run_id,
        "app": report.app,
        "app_version": report.app_version,
        "code_sha256": report.code_sha256,
        "actor": report.actor,
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "span_start": report.start,
        "span_end": report.end,
        "input_readings": report.input_readings,
        "input_sha256": report.input_sha256,
        "record": json.dumps(record, ensure_ascii=False),
    }


def _report(row: Any) -> RunReport:
    record = json.loads(row.record)
    assert record["format"] == FORMAT, "an unknown format is a database from the future"
    return RunReport(
        run_id=row.run_id,
        app=row.app,
        app_version=row.app_version,
        code_sha256=row.code_sha256,
        actor=row.actor,
        started_at=row.started_at,
        finished_at=row.finished_at,
        start=row.span_start,
        end=row.span_end,
        params=record["params"],
        bindings=tuple(
            AssetBinding(AssetId(b["asset"]), {role: SeriesId(s) for role, s in b["roles"].items()})
            for b in record["bindings"]
        ),
        inputs=tuple(map(DatasetId, record["inputs"])),
        input_readings=row.input_readings,
        input_sha256=row.input_sha256,
        audit_indexes=tuple(record["audit_indexes"]),
        packs=tuple(record["packs"]),
        findings=tuple(Finding(**{**f, "outcome": Outcome(f["outcome"])}) for f in record["findings"]),
        assets=tuple(
            AssetResult(
                AssetId(a["asset"]), {name: _figure(figure) for name, figure in a["figures"].items()}, a["notes"]
            )
            for a in record["assets"]
        ),
        outputs=tuple(map(DatasetId, record["outputs"])),
    )


def _figure(raw: Mapping[str, Any]) -> Figure:
    terms = tuple(Term(**{**term, "series": tuple(map(SeriesId, term["series"]))}) for term in raw["terms"])
    return Figure(**{**raw, "terms": terms})

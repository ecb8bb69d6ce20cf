"""HTTP routes of the apps: what is installed, whether data meet it, runs, and figures opened to their sources."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gongshu.apply.model import AssetBinding, RunReport
from gongshu.apply.service import AppService
from gongshu.apply.spec import AppSpec, ParamValue
from gongshu.model.access import Subject
from gongshu.model.ids import AssetId, SeriesId


class BindingBody(BaseModel):
    """Which series play which roles for one asset."""

    model_config = ConfigDict(extra="forbid")

    asset: str = Field(examples=["plant-1/line-2/mill-03"])
    roles: dict[str, int] = Field(examples=[{"state": 12, "part_count": 15}])


class SpanBody(BaseModel):
    """Bindings and a half-open span [start, end); without bindings those that the names suggest are taken."""

    model_config = ConfigDict(extra="forbid")

    start: datetime
    end: datetime
    below: str = Field(default="", description="Only assets at or below this place", examples=["plant-1/line-2"])
    bindings: list[BindingBody] | None = None


class RunBody(SpanBody):
    """What to run on, and the settings that differ from the app's own."""

    params: dict[str, str | int | float | bool] = Field(default={}, examples=[{"bucket_s": 3600}])


def create_router(apps: AppService, subject_of: Callable[..., Subject]) -> APIRouter:
    """Return the routes under `/api/v1/apps`."""
    router = APIRouter(prefix="/api/v1/apps", tags=["apps"])

    def member(subject: Subject = Depends(subject_of)) -> Subject:
        apps.require_member(subject)
        return subject

    _add_reading_routes(router, apps, member)
    _add_running_routes(router, apps, member)
    return router


def _add_reading_routes(router: APIRouter, apps: AppService, member: Callable[..., Subject]) -> None:

    @router.get("")
    def list_apps(_: Subject = Depends(member)) -> list[dict[str, Any]]:
        """The installed apps with what they need and make."""
        return [describe_app(spec) for spec in apps.apps()]

    @router.get("/runs")
    def list_runs(app: str | None = None, limit: int = 20, who: Subject = Depends(member)) -> list[dict[str, Any]]:
        """Reports of the runs whose results you may read, the newest first."""
        return [describe_run(report) for report in apps.runs(app, reader=who, limit=max(1, min(limit, 200)))]

    @router.get("/runs/{run_id}")
    def read_run(run_id: str, who: Subject = Depends(member)) -> dict[str, Any]:
        """One run report with all its figures."""
        return describe_run(apps.run_report(run_id, reader=who))

    @router.get("/runs/{run_id}/figure")
    def open_figure(run_id: str, asset: str, figure: str, who: Subject = Depends(member)) -> dict[str, Any]:
        """One figure opened: formula, numbers, series, counts of readings, and the query that shows them."""
        opened = asdict(apps.explain(run_id, AssetId(asset), figure, reader=who))
        del opened["run"]
        return opened

    @router.get("/{app}")
    def read_app(app: str, _: Subject = Depends(member)) -> dict[str, Any]:
        """One app."""
        return describe_app(apps.app(app))

    @router.get("/{app}/bindings")
    def suggest(app: str, below: str = "", _: Subject = Depends(member)) -> list[dict[str, Any]]:
        """Bindings that names and units of the catalogue suggest."""
        return [asdict(binding) for binding in apps.suggest(app, below=below)]


def _add_running_routes(router: APIRouter, apps: AppService, member: Callable[..., Subject]) -> None:
    @router.post("/{app}/check")
    def check(app: str, body: SpanBody, subject: Subject = Depends(member)) -> list[dict[str, Any]]:
        """What the app needs, and whether the data hold it, as far as you may aggregate them."""
        findings = apps.check(app, _bindings(apps, app, body), body.start, body.end, actor=subject)
        return [{**asdict(finding), "stops": finding.stops} for finding in findings]

    @router.post("/{app}/runs", status_code=201)
    async def run(app: str, body: RunBody, subject: Subject = Depends(member)) -> dict[str, Any]:
        """Run the app; data that do not hold what it needs are refused with the findings."""

        def work() -> RunReport:
            params: Mapping[str, ParamValue] = body.params
            return apps.run(app, _bindings(apps, app, body), body.start, body.end, actor=subject, params=params)

        return describe_run(await run_in_threadpool(work))


def describe_app(spec: AppSpec) -> dict[str, Any]:
    """Return a declaration as JSON can hold it; a schema becomes names and types."""
    described = asdict(spec)
    for shown, output in zip(described["outputs"], spec.outputs, strict=True):
        shown["schema"] = {field.name: str(field.type) for field in output.schema}
    return described


def describe_run(report: RunReport) -> dict[str, Any]:
    """Return a report as JSON can hold it."""
    return asdict(report)


def _bindings(apps: AppService, app: str, body: SpanBody) -> list[AssetBinding]:
    if body.bindings is None:
        return apps.suggest(app, below=body.below)
    return [
        AssetBinding(AssetId(b.asset), {role: SeriesId(series_id) for role, series_id in b.roles.items()})
        for b in body.bindings
    ]

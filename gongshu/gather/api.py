"""The HTTP routes of sources: what the pages do, a program can do."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from gongshu.gather.connector import BrowseNode, ConnectorSpec, ProbeReport
from gongshu.gather.definitions import SourceForm
from gongshu.gather.model import LossRecord, Source, SourceStatus
from gongshu.gather.rights import MAY_CHANGE, MAY_SEE, require_role
from gongshu.gather.service import SourceService
from gongshu.model.access import Subject
from gongshu.model.ids import SourceId


class Browse(BaseModel):
    """What to browse: a source that is not registered yet, and where to begin."""

    source: SourceForm
    under: str = ""
    limit: int = 1_000


def create_router(sources: SourceService, subject_of: Callable[..., Subject]) -> APIRouter:
    """Return the routes under `/api/v1/sources` and `/api/v1/connectors`. Config answers never hold secrets."""
    router = APIRouter(prefix="/api/v1", tags=["gather"])

    def seeing(subject: Subject = Depends(subject_of)) -> Subject:
        return require_role(subject, MAY_SEE, "see sources")

    def changing(subject: Subject = Depends(subject_of)) -> Subject:
        return require_role(subject, MAY_CHANGE, "change sources")

    _add_reading(router, sources, seeing)
    _add_changing(router, sources, changing)
    _add_reaching(router, sources, changing)
    return router


def _add_reading(router: APIRouter, sources: SourceService, seeing: Callable[..., Subject]) -> None:
    @router.get("/connectors", dependencies=[Depends(seeing)])
    def list_connectors() -> list[dict[str, Any]]:
        return [_connector(spec) for spec in sources.connectors().values()]

    @router.get("/connectors/{name}/schema", dependencies=[Depends(seeing)])
    def show_schema(name: str) -> dict[str, Any]:
        return sources.config_schema(name)

    @router.get("/sources", dependencies=[Depends(seeing)])
    def list_sources() -> list[dict[str, Any]]:
        return [_status(status) for status in sources.statuses()]

    @router.get("/sources/losses", dependencies=[Depends(seeing)])
    def list_losses(limit: int = Query(100, ge=1, le=10_000)) -> list[LossRecord]:
        return sources.losses(limit=limit)

    @router.get("/sources/{source_id}", dependencies=[Depends(seeing)])
    def show_source(source_id: str) -> dict[str, Any]:
        return _status(sources.status(SourceId(source_id)))

    @router.get("/sources/{source_id}/losses", dependencies=[Depends(seeing)])
    def show_losses(source_id: str, limit: int = Query(100, ge=1, le=10_000)) -> list[LossRecord]:
        return sources.losses(sources.source(SourceId(source_id)).source_id, limit=limit)


def _add_changing(router: APIRouter, sources: SourceService, changing: Callable[..., Subject]) -> None:
    @router.post("/sources", status_code=201)
    def add_source(form: SourceForm, subject: Subject = Depends(changing)) -> dict[str, Any]:
        return _source(sources.add(form.definition(), actor=subject.subject_id))

    @router.put("/sources/{source_id}")
    def change_source(source_id: str, form: SourceForm, subject: Subject = Depends(changing)) -> dict[str, Any]:
        named = form.model_copy(update={"id": source_id})
        return _source(sources.change(named.definition(), actor=subject.subject_id))

    @router.delete("/sources/{source_id}", status_code=204)
    def remove_source(source_id: str, subject: Subject = Depends(changing)) -> None:
        sources.remove(SourceId(source_id), actor=subject.subject_id)

    @router.post("/sources/{source_id}/start", status_code=204)
    def start_source(source_id: str, subject: Subject = Depends(changing)) -> None:
        sources.start(SourceId(source_id), actor=subject.subject_id)

    @router.post("/sources/{source_id}/stop", status_code=204)
    def stop_source(source_id: str, subject: Subject = Depends(changing)) -> None:
        sources.stop(SourceId(source_id), actor=subject.subject_id)


def _add_reaching(router: APIRouter, sources: SourceService, changing: Callable[..., Subject]) -> None:
    """What opens a connection to a far end: it needs the right to change, for it shows what is in a network."""

    @router.post("/sources/probe", dependencies=[Depends(changing)])
    async def probe_new(form: SourceForm) -> dict[str, Any]:
        return _probe(await sources.probe(form.definition()))

    @router.post("/sources/browse", dependencies=[Depends(changing)])
    async def browse_new(wanted: Browse) -> list[dict[str, Any]]:
        found = await sources.browse(wanted.source.definition(), under=wanted.under, limit=wanted.limit)
        return [_node(node) for node in found]

    @router.post("/sources/{source_id}/probe", dependencies=[Depends(changing)])
    async def probe_source(source_id: str) -> dict[str, Any]:
        return _probe(await sources.probe(SourceId(source_id)))

    @router.get("/sources/{source_id}/browse", dependencies=[Depends(changing)])
    async def browse_source(
        source_id: str, under: str = "", limit: int = Query(1_000, ge=1, le=100_000)
    ) -> list[dict[str, Any]]:
        return [_node(node) for node in await sources.browse(SourceId(source_id), under=under, limit=limit)]


def _connector(spec: ConnectorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "title_zh": spec.title_zh,
        "title_en": spec.title_en,
        "can": sorted(spec.can),
        "sources": spec.sources,
        "source_time": spec.source_time,
    }


def _source(source: Source) -> dict[str, Any]:
    definition = source.definition
    return {
        "id": source.source_id,
        "connector": definition.connector,
        "title": definition.title,
        "asset": definition.asset,
        "assets": definition.assets,
        "config": definition.config,
        "desired": definition.desired,
        "revision": source.revision,
        "added_at": source.added_at,
        "added_by": source.added_by,
    }


def _status(status: SourceStatus) -> dict[str, Any]:
    return _source(status.source) | {
        "state": status.state,
        "value_age_s": status.value_age_s,
        "counters": asdict(status.counters) if status.counters else None,
    }


def _probe(report: ProbeReport) -> dict[str, Any]:
    return {"ok": report.ok, "findings": [asdict(finding) for finding in report.findings]}


def _node(node: BrowseNode) -> dict[str, Any]:
    return asdict(node)

"""The catalogue, its steward's acts, quality and packs over HTTP: `/api/v1/catalogue`, `/api/v1/packs`."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.export import encode_csv, encode_xlsx, read_classification_list
from gongshu.govern.quality.expectations import Expectation, ExpectationKind
from gongshu.govern.quality.scoring import encode_report
from gongshu.govern.quality.service import QualityService
from gongshu.govern.roles import CONFIRMERS, JUDGES, READERS, SECRET_DECLARERS, require_role
from gongshu.govern.views import (
    Row,
    change_row,
    column_row,
    dataset_row,
    item_row,
    pack_row,
    part_row,
    proposal_row,
    review_row,
)
from gongshu.model.access import Subject
from gongshu.model.grade import Grade, GradeStanding, Importance
from gongshu.model.ids import DatasetId, SubjectId
from gongshu.packs import Confidence, Packs

PAGE_MAX = 1_000
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Confirmation(_Body):
    """A steward's decision."""

    grade: Grade = Field(description="1, 2 or 3; 3 is the strictest", examples=[2])
    importance: Importance = Field(examples=["general"])
    category: str = Field(description="A category of the classification pack", examples=["production.control"])
    reason: str = Field(default="", description="Needed where the label is below the proposal or its sources")


class Confirmations(_Body):
    """Several datasets, confirmed as proposed."""

    dataset_ids: list[str] = Field(min_length=1, max_length=PAGE_MAX)
    reason: str = ""


class Owner(_Body):
    """Who answers for a dataset."""

    owner: str = Field(min_length=1, max_length=255)


class Declaration(_Body):
    """A declaration that something is a state secret."""

    reason: str = Field(min_length=1)


class Span(_Body):
    """A half-open span of time; an open side is left out."""

    start: AwareDatetime | None = None
    end: AwareDatetime | None = None


class Expected(_Body):
    """What a series or column has to be."""

    part: str = Field(min_length=1)
    kind: ExpectationKind
    spec: dict[str, Any] = Field(default_factory=dict, examples=[{"low": 0, "high": 120}])


def create_router(
    catalogue: CatalogueService,
    quality: QualityService,
    packs: Packs,
    subject_of: Callable[..., Subject],
    require_whole: Callable[[Subject, DatasetId], object],
    emptied: Callable[[], Collection[DatasetId]] = tuple,
) -> APIRouter:
    """Return the routes; every one asks who it is, changes ask for the role.

    `require_whole` refuses who may not see a dataset whole: a judgement of quality tells about its values. `emptied`
    are datasets whose data were deleted.
    """
    router = APIRouter(prefix="/api/v1", tags=["govern"])
    asking = Annotated[Subject, Depends(subject_of)]
    _add_reading(router, catalogue, asking)
    _add_lists(router, catalogue, asking, emptied)
    _add_stewardship(router, catalogue, asking)
    _add_quality(router, quality, asking, require_whole)
    _add_packs(router, packs, asking)
    return router


def _add_reading(router: APIRouter, catalogue: CatalogueService, asking: Any) -> None:
    @router.get("/catalogue/datasets")
    def datasets(
        subject: asking,
        search: str = "",
        standing: GradeStanding | None = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> list[Row]:
        """List datasets by title."""
        require_role(subject, READERS, "read")
        found = catalogue.datasets(search=search, standing=standing, limit=limit, offset=offset)
        return [dataset_row(dataset) for dataset in found]

    @router.get("/catalogue/datasets/{dataset_id}")
    def dataset(subject: asking, dataset_id: str) -> Row:
        """Show one dataset with its columns and lineage."""
        require_role(subject, READERS, "read", dataset_id)
        found = catalogue.dataset(DatasetId(dataset_id))
        lineage = catalogue.lineage(found.dataset_id)
        return dataset_row(found) | {
            "column_list": [column_row(column) for column in found.columns],
            "parents": list(lineage.parents),
            "children": list(lineage.children),
        }

    @router.get("/catalogue/datasets/{dataset_id}/proposal")
    def proposal(subject: asking, dataset_id: str) -> Row:
        """Show what the rules propose, and why."""
        require_role(subject, READERS, "read", dataset_id)
        return proposal_row(catalogue.proposal(DatasetId(dataset_id)))

    @router.get("/catalogue/datasets/{dataset_id}/parts")
    def parts(subject: asking, dataset_id: str) -> list[Row]:
        """Show each column or series with its own label and proposal."""
        require_role(subject, READERS, "read", dataset_id)
        return [part_row(part) for part in catalogue.parts(DatasetId(dataset_id))]

    @router.get("/catalogue/datasets/{dataset_id}/history")
    def history(subject: asking, dataset_id: str) -> list[Row]:
        """Show what changed, the newest first."""
        require_role(subject, READERS, "read", dataset_id)
        return [change_row(change) for change in catalogue.history(DatasetId(dataset_id))]


def _add_lists(
    router: APIRouter, catalogue: CatalogueService, asking: Any, emptied: Callable[[], Collection[DatasetId]]
) -> None:
    @router.get("/catalogue/assets")
    def assets(subject: asking) -> list[Row]:
        """Show the equipment tree."""
        require_role(subject, READERS, "read")
        return [{"asset": asset, "kind": kind} for asset, kind in catalogue.assets()]

    @router.get("/catalogue/reviews")
    def reviews(subject: asking, within_days: Annotated[int, Query(ge=0, le=366)] = 30) -> list[Row]:
        """List what waits for a steward."""
        require_role(subject, READERS, "read")
        due = catalogue.reviews_due(catalogue.clock(), timedelta(days=within_days), emptied=emptied())
        return [review_row(review) for review in due]

    @router.get("/catalogue/export")
    def export(subject: asking, format: str = Query("csv", pattern="^(csv|xlsx)$")) -> Response:
        """Download the enterprise's classification list."""
        require_role(subject, CONFIRMERS, "export")
        rows = read_classification_list(catalogue)
        content, kind = (encode_csv(rows), "text/csv; charset=utf-8") if format == "csv" else (encode_xlsx(rows), XLSX)
        headers = {"Content-Disposition": f'attachment; filename="classification-list.{format}"'}
        return Response(content, media_type=kind, headers=headers)


def _add_stewardship(router: APIRouter, catalogue: CatalogueService, asking: Any) -> None:
    @router.post("/catalogue/datasets/{dataset_id}/confirm")
    def confirm(subject: asking, dataset_id: str, body: Confirmation) -> Row:
        """Confirm category and grade until the yearly review."""
        require_role(subject, CONFIRMERS, "confirm", dataset_id)
        confirmed = catalogue.confirm(DatasetId(dataset_id), **_decided(body), actor=subject.subject_id)
        return dataset_row(confirmed)

    @router.post("/catalogue/datasets/{dataset_id}/parts/{part}/confirm")
    def confirm_part(subject: asking, dataset_id: str, part: str, body: Confirmation) -> Row:
        """Grade one column or series by itself."""
        require_role(subject, CONFIRMERS, "confirm", dataset_id)
        decided = _decided(body)
        return dataset_row(catalogue.confirm_part(DatasetId(dataset_id), part, **decided, actor=subject.subject_id))

    @router.post("/catalogue/confirmations")
    def confirm_many(subject: asking, body: Confirmations) -> list[Row]:
        """Confirm several datasets as proposed."""
        require_role(subject, CONFIRMERS, "confirm")
        ids = [DatasetId(dataset_id) for dataset_id in body.dataset_ids]
        confirmed = catalogue.confirm_proposals(ids, actor=subject.subject_id, reason=body.reason)
        return [dataset_row(dataset) for dataset in confirmed]

    @router.post("/catalogue/datasets/{dataset_id}/owner")
    def owner(subject: asking, dataset_id: str, body: Owner) -> Row:
        """Name who answers for a dataset."""
        require_role(subject, CONFIRMERS, "name the owner of", dataset_id)
        return dataset_row(catalogue.set_owner(DatasetId(dataset_id), body.owner, actor=subject.subject_id))

    @router.post("/catalogue/datasets/{dataset_id}/state-secret", status_code=204)
    def state_secret(subject: asking, dataset_id: str, body: Declaration) -> None:
        """Declare that a dataset holds a state secret: it is blocked for good."""
        require_role(subject, SECRET_DECLARERS, "block", dataset_id)
        catalogue.declare_state_secret(DatasetId(dataset_id), actor=subject.subject_id, reason=body.reason)


def _decided(body: Confirmation) -> dict[str, Any]:
    return {
        "grade": body.grade,
        "importance": body.importance,
        "category": body.category,
        "reason": body.reason,
    }


def _add_quality(
    router: APIRouter, quality: QualityService, asking: Any, require_whole: Callable[[Subject, DatasetId], object]
) -> None:
    @router.get("/catalogue/datasets/{dataset_id}/quality")
    def latest(subject: asking, dataset_id: str) -> Row:
        """Show the newest quality report."""
        require_role(subject, READERS, "read", dataset_id)
        return encode_report(quality.latest(DatasetId(dataset_id)))

    @router.post("/catalogue/datasets/{dataset_id}/quality")
    def run(subject: asking, dataset_id: str, body: Span) -> Row:
        """Judge a dataset now."""
        require_role(subject, JUDGES, "judge", dataset_id)
        for counted in quality.looked_at(DatasetId(dataset_id)):
            require_whole(subject, counted)
        start: datetime | None = body.start
        return encode_report(quality.run(DatasetId(dataset_id), start, body.end, actor=subject.subject_id))

    @router.get("/catalogue/datasets/{dataset_id}/expectations")
    def expectations(subject: asking, dataset_id: str) -> list[Row]:
        """List what was declared of a dataset."""
        require_role(subject, READERS, "read", dataset_id)
        declared = quality.expectations(DatasetId(dataset_id))
        return [{"part": e.part, "kind": e.kind.value, "spec": dict(e.spec)} for e in declared]

    @router.post("/catalogue/datasets/{dataset_id}/expectations", status_code=204)
    def declare(subject: asking, dataset_id: str, body: Expected) -> None:
        """Declare what a series or column has to be."""
        require_role(subject, JUDGES, "declare rules for", dataset_id)
        expectation = Expectation(body.part, body.kind, body.spec)
        for counted in quality.looked_at(DatasetId(dataset_id), [expectation]):
            require_whole(subject, counted)
        quality.declare(DatasetId(dataset_id), expectation, actor=SubjectId(subject.subject_id))


def _add_packs(router: APIRouter, packs: Packs, asking: Any) -> None:
    @router.get("/packs")
    def all_packs(subject: asking) -> list[Row]:
        """List the packs."""
        require_role(subject, READERS, "read")
        return [pack_row(pack) for pack in packs.packs]

    @router.get("/packs/items")
    def items(subject: asking, pack: str = "", confidence: Confidence | None = None) -> list[Row]:
        """List every number and code with source, clause and confidence."""
        require_role(subject, READERS, "read")
        return [
            item_row(item)
            for item in packs.items()
            if (not pack or item.pack == pack) and (confidence is None or item.confidence is confidence)
        ]

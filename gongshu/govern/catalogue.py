"""The catalogue: what exists, where it sits, what it is, how careful to be with it, where it comes from.

One instance serves a process; several processes may share one database. Registration is idempotent and safe among
them. A grade that nobody confirmed, or that is past its review, is never a ground for sharing.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.govern import tables as t
from gongshu.govern.classify.propose import Classifier
from gongshu.govern.errors import DatasetUnknown, StateSecretDeclared
from gongshu.govern.ledger import Ledger
from gongshu.govern.model import Change, Lineage, Part, Proposal, ReviewDue
from gongshu.govern.naming import search_terms
from gongshu.govern.registration import SeriesRegistrar
from gongshu.govern.relabel import parts_of
from gongshu.govern.rows import decode_dataset, decode_proposal, decode_series
from gongshu.govern.stewardship import SECRET_KEY, Stewardship, read_row
from gongshu.govern.table_registration import TableRegistrar
from gongshu.model.audit import AuditSink
from gongshu.model.dataset import Dataset
from gongshu.model.grade import Grade, GradeStanding, Importance
from gongshu.model.ids import AssetId, DatasetId, SeriesId, SourceId, SubjectId
from gongshu.model.series import Series, SeriesSighting
from gongshu.packs import Packs
from gongshu.prepared import Prepared

ALL = 1_000_000
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_ALL_SERIES = sa.select(t.series.c.dataset_id, t.series.c.series_id).order_by(t.series.c.series_id)
_COLUMNS = sa.select(t.columns).where(t.columns.c.dataset_id.in_(_IDS)).order_by(t.columns.c.position)
_SERIES = _ALL_SERIES.where(t.series.c.dataset_id.in_(_IDS))
_DATASET = Prepared(
    sa.select(*(column for column in t.datasets.c if column.name not in ("proposal", "search_text"))).where(
        t.datasets.c.dataset_id == sa.bindparam("asked_id")
    )
)
"""Without what the rules proposed, which is read at each judgement and looked at by none."""
_COLUMNS_OF = Prepared(
    sa.select(*(column for column in t.columns.c if column.name != "proposal"))
    .where(t.columns.c.dataset_id == sa.bindparam("asked_id"))
    .order_by(t.columns.c.position)
)
_SERIES_OF = Prepared(_ALL_SERIES.where(t.series.c.dataset_id == sa.bindparam("asked_id")))


class CatalogueService:
    """Reads and changes the catalogue."""

    def __init__(self, database: Database, packs: Packs, audit: AuditSink, clock: Callable[[], datetime]) -> None:
        self._database = database
        self.clock = clock
        self.packs = packs
        self.classifier = Classifier(packs)
        self.ledger = Ledger(database, audit, clock)
        self._series = SeriesRegistrar(database, self.classifier, self.ledger, clock)
        self._tables = TableRegistrar(database, self.classifier, self.ledger, clock)
        self._steward = Stewardship(database, self.classifier.guide, self.ledger, clock)

    # --- registering ---

    def register_series(self, sightings: Sequence[SeriesSighting]) -> dict[tuple[SourceId, str], SeriesId]:
        """Return each sighting's id; what is new is registered in the dataset of its asset, with proposals.

        A changed name, unit, type, access or place is recorded and puts the dataset back to PROPOSED.

        Cost: nothing is written when nothing is new; 10,000 new series take a few seconds.
        """
        return self._series.register(sightings)

    def register_table(
        self,
        *,
        table: str,
        title: str,
        schema: pa.Schema,
        sample: pa.Table | None,
        origin: str,
        asset: AssetId | None = None,
        parents: Sequence[DatasetId] = (),
    ) -> DatasetId:
        """Return the dataset of a lake table, registered or brought up to date; its id is made from the table's name.

        Field metadata `unit` and `title` are taken over. Columns that came, went, changed type or now look stricter
        put the dataset back to PROPOSED.

        Raises: DatasetUnknown for a parent that is not there, TableTaken, NameUnusable, SchemaUnusable.
        """
        return self._tables.register(
            table=table, title=title, schema=schema, sample=sample, origin=origin, asset=asset, parents=parents
        )

    # --- reading ---

    def datasets(
        self,
        *,
        search: str = "",
        standing: GradeStanding | None = None,
        limit: int = 100,
        offset: int = 0,
        blocked: bool = False,
    ) -> list[Dataset]:
        """Return entries by title; every word of `search` occurs in names, titles or pinyin.

        Shape: entries declared a state secret are left out, or with `blocked` are all there is.
        """
        query = sa.select(t.datasets).where(t.datasets.c.state_secret.is_(blocked))
        for term in search_terms(search):
            query = query.where(t.datasets.c.search_text.like(f"%{term}%", escape="\\"))
        query = _where_standing(query, standing, self.clock())
        query = query.order_by(t.datasets.c.title, t.datasets.c.dataset_id).limit(limit).offset(offset)
        with self._database.connect() as connection:
            return self._decode(connection, connection.execute(query).all())

    def dataset(self, dataset_id: DatasetId) -> Dataset:
        """Return one entry.

        Raises: DatasetUnknown; StateSecretDeclared for what this platform must not serve.
        """
        with self._database.connect() as connection:
            row = _DATASET.first(connection, {"asked_id": dataset_id})
            if row is None:
                raise DatasetUnknown(dataset_id=dataset_id)
            if row.state_secret:
                raise StateSecretDeclared(dataset_id=dataset_id, clause=self.classifier.guide.item(SECRET_KEY).citation)
            columns = _COLUMNS_OF.all(connection, {"asked_id": dataset_id})
            series = [SeriesId(found.series_id) for found in _SERIES_OF.all(connection, {"asked_id": dataset_id})]
        return decode_dataset(row, columns, series, self.clock())

    def series_of(self, dataset_id: DatasetId) -> list[Series]:
        """Return a dataset's series by id; none for a table.

        Raises: DatasetUnknown.
        """
        query = sa.select(t.series).where(t.series.c.dataset_id == dataset_id).order_by(t.series.c.series_id)
        with self._database.connect() as connection:
            read_row(connection, dataset_id)
            return [decode_series(row) for row in connection.execute(query)]

    def series(self, ids: Sequence[SeriesId] | None = None) -> list[Series]:
        """Return series by id: all, or those of the ids that exist."""
        query = sa.select(t.series).order_by(t.series.c.series_id)
        with self._database.connect() as connection:
            if ids is None:
                return [decode_series(row) for row in connection.execute(query)]
            found: list[Series] = []
            for start in range(0, len(ids), 500):
                chunk = query.where(t.series.c.series_id.in_(ids[start : start + 500]))
                found += [decode_series(row) for row in connection.execute(chunk)]
            return sorted(found, key=lambda series: series.series_id)

    def dataset_ids_of(self, ids: Sequence[SeriesId]) -> dict[SeriesId, DatasetId]:
        """Return the dataset of each series that exists."""
        found: dict[SeriesId, DatasetId] = {}
        with self._database.connect() as connection:
            for start in range(0, len(ids), 500):
                query = sa.select(t.series.c.series_id, t.series.c.dataset_id).where(
                    t.series.c.series_id.in_(ids[start : start + 500])
                )
                found |= {SeriesId(s): DatasetId(d) for s, d in connection.execute(query)}
        return found

    def assets(self) -> list[tuple[AssetId, str]]:
        """Return the equipment tree as paths with their kind, in order of path."""
        query = sa.select(t.assets.c.asset_id, t.assets.c.kind).order_by(t.assets.c.asset_id)
        with self._database.connect() as connection:
            return [(AssetId(asset), kind) for asset, kind in connection.execute(query)]

    def proposal(self, dataset_id: DatasetId) -> Proposal:
        """Return what the rules propose for a dataset now, and why.

        Raises: DatasetUnknown.
        """
        with self._database.connect() as connection:
            return decode_proposal(read_row(connection, dataset_id).proposal)

    def parts(self, dataset_id: DatasetId) -> list[Part]:
        """Return each column or series with its own label and proposal.

        Raises: DatasetUnknown.
        """
        with self._database.connect() as connection:
            return parts_of(connection, read_row(connection, dataset_id), self.clock())

    def history(self, dataset_id: DatasetId) -> list[Change]:
        """Return a dataset's changes, the newest first."""
        return self.ledger.history(dataset_id)

    def lineage(self, dataset_id: DatasetId) -> Lineage:
        """Return a dataset's parents and children.

        Raises: DatasetUnknown.
        """
        table = t.lineage
        with self._database.connect() as connection:
            read_row(connection, dataset_id)
            above = sa.select(table.c.parent).where(table.c.child == dataset_id).order_by(table.c.parent)
            below = sa.select(table.c.child).where(table.c.parent == dataset_id).order_by(table.c.child)
            parents = connection.execute(above).scalars().all()
            children = connection.execute(below).scalars().all()
        return Lineage(dataset_id, tuple(map(DatasetId, parents)), tuple(map(DatasetId, children)))

    def version(self) -> int:
        """Return a number that grows with every change of the catalogue, by whichever process."""
        query = sa.select(t.counters.c.value).where(t.counters.c.name == "version")
        with self._database.connect() as connection:
            return int(connection.execute(query).scalar() or 0)

    def reviews_due(
        self, now: datetime, within: timedelta = timedelta(0), *, emptied: Collection[DatasetId] = ()
    ) -> list[ReviewDue]:
        """Return what waits for a steward: never confirmed, expired, or due within the given time; oldest due first.

        The grade of `emptied` datasets, whose data were deleted, is of no use to anybody.
        """
        due = []
        for dataset in self.datasets(limit=ALL):
            label = dataset.label
            if dataset.dataset_id in emptied:
                continue
            if label.valid_until is None:
                due.append(ReviewDue(dataset.dataset_id, dataset.title, label, None, "proposed"))
            elif label.valid_until <= now + within:
                why = "expired" if label.valid_until <= now else "due_soon"
                due.append(ReviewDue(dataset.dataset_id, dataset.title, label, label.valid_until, why))
        return sorted(due, key=lambda review: (review.due_at is not None, review.due_at or now, review.dataset_id))

    # --- the steward's acts (the door checks the role) ---

    def confirm(
        self,
        dataset_id: DatasetId,
        *,
        grade: Grade,
        importance: Importance,
        category: str,
        actor: SubjectId,
        reason: str,
    ) -> Dataset:
        """Confirm category and grade until the yearly review, and return the entry.

        A label below the proposal, the earlier confirmation or a parent's needs a reason.

        Raises: DatasetUnknown, CategoryUnknown, ReasonMissing, GradeBelowParts, StateSecretDeclared.
        """
        self._steward.confirm(dataset_id, grade, importance, category, actor, reason)
        return self.dataset(dataset_id)

    def confirm_proposals(self, dataset_ids: Sequence[DatasetId], *, actor: SubjectId, reason: str) -> list[Dataset]:
        """Confirm several datasets as proposed; stops at the first that cannot be, with the earlier ones confirmed.

        Raises: as `confirm`.
        """
        confirmed = []
        for dataset_id in dataset_ids:
            label = self.dataset(dataset_id).label
            confirmed.append(
                self.confirm(
                    dataset_id,
                    grade=label.grade,
                    importance=label.importance,
                    category=label.category,
                    actor=actor,
                    reason=reason,
                )
            )
        return confirmed

    def confirm_part(
        self,
        dataset_id: DatasetId,
        part: str,
        *,
        grade: Grade,
        importance: Importance,
        category: str,
        actor: SubjectId,
        reason: str,
    ) -> Dataset:
        """Grade one column or series by itself; a dataset that is below it then goes back to PROPOSED.

        Raises: DatasetUnknown, PartUnknown, CategoryUnknown, ReasonMissing.
        """
        self._steward.confirm_part(dataset_id, part, grade, importance, category, actor, reason)
        return self.dataset(dataset_id)

    def set_owner(self, dataset_id: DatasetId, owner: str, *, actor: SubjectId) -> Dataset:
        """Name the account that answers for a dataset, and return the entry.

        Raises: DatasetUnknown.
        """
        self._steward.set_owner(dataset_id, owner, actor)
        return self.dataset(dataset_id)

    def declare_state_secret(self, dataset_id: DatasetId, *, actor: SubjectId, reason: str) -> None:
        """Block a dataset that holds a state secret: from now on it is neither listed nor served.

        Raises: DatasetUnknown.
        """
        self._steward.declare_state_secret(dataset_id, actor, reason)

    def _decode(self, connection: sa.Connection, rows: Sequence[Any]) -> list[Dataset]:
        ids = [row.dataset_id for row in rows]
        columns: dict[str, list[Any]] = defaultdict(list)
        series: dict[str, list[SeriesId]] = defaultdict(list)
        for start in range(0, len(ids), 500):
            chunk = ids[start : start + 500]
            for row in connection.execute(_COLUMNS, {"ids": chunk}):
                columns[row.dataset_id].append(row)
            for dataset_id, series_id in connection.execute(_SERIES, {"ids": chunk}):
                series[dataset_id].append(SeriesId(series_id))
        now = self.clock()
        return [decode_dataset(row, columns[row.dataset_id], series[row.dataset_id], now) for row in rows]


def _where_standing(query: "sa.Select[Any]", standing: GradeStanding | None, now: datetime) -> "sa.Select[Any]":
    if standing is None:
        return query
    if standing is GradeStanding.PROPOSED:
        return query.where(t.datasets.c.standing == GradeStanding.PROPOSED.value)
    query = query.where(t.datasets.c.standing == GradeStanding.CONFIRMED.value)
    if standing is GradeStanding.EXPIRED:
        return query.where(t.datasets.c.valid_until <= now)
    return query.where(t.datasets.c.valid_until > now)

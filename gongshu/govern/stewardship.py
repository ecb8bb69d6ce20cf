"""The steward's acts: confirm, grade a part, name an owner, declare a state secret. Each is a change on record.

Who may act is checked at the door; here the rules hold for everyone: a lower grade needs a reason, a whole is not
below its parts, and a confirmation ends after the pack's review period.
"""

import calendar
from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.govern import tables as t
from gongshu.govern.errors import (
    CategoryUnknown,
    DatasetUnknown,
    GradeBelowParts,
    PartUnknown,
    ReasonMissing,
    StateSecretDeclared,
)
from gongshu.govern.ledger import Ledger
from gongshu.govern.model import ChangeKind, Proposal, grade_text
from gongshu.govern.relabel import parents_of, parts_of, relabel, relabel_children
from gongshu.govern.rows import decode_label, decode_proposal, label_facts, lock_catalogue
from gongshu.govern.whole import is_below
from gongshu.model.dataset import DatasetKind
from gongshu.model.grade import Grade, GradeStanding, Importance
from gongshu.model.ids import DatasetId, SubjectId
from gongshu.packs import Pack
from gongshu.prepared import Prepared

REVIEW_KEY = "obligation.review_months"
SECRET_KEY = "scope.state_secret"  # noqa: S105  # a pack item's key
_READ_ROW = Prepared(sa.select(t.datasets).where(t.datasets.c.dataset_id == sa.bindparam("asked_id")))


class Stewardship:
    """Carries out what stewards decide."""

    def __init__(self, database: Database, guide: Pack, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._guide = guide
        self._ledger = ledger
        self._clock = clock

    def confirm(
        self, dataset_id: DatasetId, grade: Grade, importance: Importance, category: str, actor: SubjectId, reason: str
    ) -> None:
        """Confirm a dataset's category and grade, and those of its parts that nobody graded alone.

        Raises: DatasetUnknown, CategoryUnknown, ReasonMissing, GradeBelowParts, StateSecretDeclared.
        """
        now = self._clock()
        with self._database.begin() as connection:
            lock_catalogue(connection)
            row = read_row(connection, dataset_id)
            if row.state_secret:
                raise StateSecretDeclared(dataset_id=dataset_id, clause=self._guide.item(SECRET_KEY).citation)
            self._require_category(dataset_id, category)
            below = self._find_below(connection, row, grade, importance, now)
            if below and not reason.strip():
                raise ReasonMissing(dataset_id=dataset_id, asked=grade_text(grade, importance), below=below)
            before = decode_label(row, now)
            label = self._confirmed(grade, importance, category, now)
            connection.execute(t.datasets.update().where(t.datasets.c.dataset_id == dataset_id).values(**label))
            self._confirm_parts(connection, row, grade, importance, label)
            after = decode_label(read_row(connection, dataset_id), now)
            facts = label_facts(after) | ({"below": below} if below else {})
            changes = [
                self._ledger.record(
                    connection,
                    dataset_id,
                    ChangeKind.CONFIRMED,
                    actor,
                    reason=reason,
                    before=label_facts(before),
                    after=facts,
                )
            ]
            changes += relabel_children(connection, self._ledger, dataset_id, now=now)
        self._ledger.audit(changes)

    def confirm_part(
        self,
        dataset_id: DatasetId,
        part: str,
        grade: Grade,
        importance: Importance,
        category: str,
        actor: SubjectId,
        reason: str,
    ) -> None:
        """Grade one column or series by itself; a dataset that would be below it waits for the steward again.

        Raises: DatasetUnknown, PartUnknown, CategoryUnknown, ReasonMissing.
        """
        now = self._clock()
        with self._database.begin() as connection:
            lock_catalogue(connection)
            row = read_row(connection, dataset_id)
            self._require_category(dataset_id, category)
            table = _parts_table(row)
            where = (table.c.dataset_id == dataset_id, table.c.name == part)
            found = connection.execute(sa.select(table).where(*where)).first()
            if found is None:
                raise PartUnknown(dataset_id=dataset_id, part=part)
            proposal = decode_proposal(found.proposal)
            if is_below(grade, importance, proposal.grade, proposal.importance) and not reason.strip():
                raise ReasonMissing(
                    dataset_id=f"{dataset_id}.{part}", asked=grade_text(grade, importance), below=_proposed(proposal)
                )
            label = self._confirmed(grade, importance, category, now)
            connection.execute(table.update().where(*where).values(**label, graded_alone=True))
            whole = decode_label(row, now)
            reopens = is_below(whole.grade, whole.importance, grade, importance)
            changes = [
                self._ledger.record(
                    connection,
                    dataset_id,
                    ChangeKind.PART_CONFIRMED,
                    actor,
                    reason=reason,
                    before={"part": part} | label_facts(decode_label(found, now)),
                    after={"part": part, "grade": int(grade), "importance": importance.value, "category": category},
                )
            ]
            changes += relabel(connection, self._ledger, dataset_id, reopens=reopens, now=now)
        self._ledger.audit(changes)

    def set_owner(self, dataset_id: DatasetId, owner: str, actor: SubjectId) -> None:
        """Name the account that answers for a dataset.

        Raises: DatasetUnknown.
        """
        self._set(dataset_id, {"owner": owner}, ChangeKind.OWNER_CHANGED, actor, reason="")

    def declare_state_secret(self, dataset_id: DatasetId, actor: SubjectId, reason: str) -> None:
        """Declare that a dataset holds a state secret: it is blocked at once, for good, whatever its grade.

        Raises: DatasetUnknown.
        Source: 工信厅信发〔2020〕6号: the guide does not apply to state secrets.
        """
        self._set(dataset_id, {"state_secret": True}, ChangeKind.SECRET_DECLARED, actor, reason=reason)

    def _set(
        self, dataset_id: DatasetId, values: dict[str, Any], kind: ChangeKind, actor: SubjectId, *, reason: str
    ) -> None:
        with self._database.begin() as connection:
            lock_catalogue(connection)
            row = read_row(connection, dataset_id)
            connection.execute(t.datasets.update().where(t.datasets.c.dataset_id == dataset_id).values(**values))
            before = {name: getattr(row, name) for name in values}
            change = self._ledger.record(
                connection, dataset_id, kind, actor, reason=reason, before=before, after=values
            )
        self._ledger.audit([change])

    def _require_category(self, dataset_id: DatasetId, category: str) -> None:
        if f"category.{category}" not in self._guide.items:
            pack = f"{self._guide.name} {self._guide.version}"
            raise CategoryUnknown(dataset_id=dataset_id, category=category, pack=pack)

    def _find_below(
        self, connection: sa.Connection, row: Any, grade: Grade, importance: Importance, now: datetime
    ) -> str:
        """Return what the asked label is below and may be with a reason; empty if nothing.

        Raises: GradeBelowParts where no reason helps.
        """
        for part in parts_of(connection, row, now):
            if part.graded_alone and is_below(grade, importance, part.label.grade, part.label.importance):
                raise GradeBelowParts(
                    dataset_id=row.dataset_id,
                    asked=grade_text(grade, importance),
                    part=part.name,
                    part_grade=grade_text(part.label.grade, part.label.importance),
                )
        below = []
        proposal = decode_proposal(row.proposal)
        if is_below(grade, importance, proposal.grade, proposal.importance):
            below.append(_proposed(proposal))
        label = decode_label(row, now)
        if label.standing is not GradeStanding.PROPOSED and is_below(grade, importance, label.grade, label.importance):
            below.append(f"{grade_text(label.grade, label.importance)} was confirmed before")
        below += [
            f"its source {parent.dataset_id} is {grade_text(parent.label.grade, parent.label.importance)}"
            for parent in parents_of(connection, row.dataset_id, now)
            if is_below(grade, importance, parent.label.grade, parent.label.importance)
        ]
        return "; ".join(below)

    def _confirm_parts(
        self, connection: sa.Connection, row: Any, grade: Grade, importance: Importance, label: dict[str, Any]
    ) -> None:
        """Parts nobody graded alone are confirmed as proposed, but not above the whole that was just confirmed."""
        table = _parts_table(row)
        mine = (table.c.dataset_id == row.dataset_id, table.c.graded_alone.is_(False))
        standing = {"standing": label["standing"], "valid_until": label["valid_until"]}
        connection.execute(table.update().where(*mine).values(**standing))
        connection.execute(table.update().where(*mine, table.c.grade > int(grade)).values(grade=int(grade)))
        above = [level.value for level in Importance if level.rank > importance.rank]
        connection.execute(
            table.update().where(*mine, table.c.importance.in_(above)).values(importance=importance.value)
        )

    def _confirmed(self, grade: Grade, importance: Importance, category: str, now: datetime) -> dict[str, Any]:
        return {
            "grade": int(grade),
            "importance": importance.value,
            "category": category,
            "standing": GradeStanding.CONFIRMED.value,
            "valid_until": add_months(now, int(self._guide.value(REVIEW_KEY))),
        }


def add_months(moment: datetime, months: int) -> datetime:
    """Return the same day so many months on, or that month's last day.

    >>> add_months(datetime(2024, 2, 29), 12).isoformat()
    '2025-02-28T00:00:00'
    """
    year, month0 = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month0 + 1)[1])
    return moment.replace(year=year, month=month0 + 1, day=day)


def read_row(connection: sa.Connection, dataset_id: DatasetId) -> Any:
    """Return a dataset's row.

    Raises: DatasetUnknown.
    """
    row = _READ_ROW.first(connection, {"asked_id": dataset_id})
    if row is None:
        raise DatasetUnknown(dataset_id=dataset_id)
    return row


def _parts_table(row: Any) -> sa.Table:
    return t.series if row.kind == DatasetKind.SERIES.value else t.columns


def _proposed(proposal: Proposal) -> str:
    return f"the rules propose {grade_text(proposal.grade, proposal.importance)}"

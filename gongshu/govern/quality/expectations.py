"""What somebody declared that data have to be: ranges, intervals, code lists, keys, references."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.govern import tables as t
from gongshu.govern.errors import ExpectationInvalid
from gongshu.govern.ledger import Ledger
from gongshu.govern.model import ChangeKind
from gongshu.govern.rows import lock_catalogue
from gongshu.govern.stewardship import read_row
from gongshu.model.ids import DatasetId, SubjectId


class ExpectationKind(StrEnum):
    """What can be declared of a series or a column."""

    BOUNDS = "bounds"
    """`low` and `high`, either may be left out."""
    INTERVAL = "interval"
    """`interval_s`: a reading is due so often."""
    CODES = "codes"
    """`codes`: the only texts allowed."""
    UNIQUE = "unique"
    """No value stands twice."""
    REFERENCE = "reference"
    """`dataset` and `column`: every value stands there."""


_NEEDED: Mapping[ExpectationKind, tuple[str, ...]] = {
    ExpectationKind.BOUNDS: (),
    ExpectationKind.INTERVAL: ("interval_s",),
    ExpectationKind.CODES: ("codes",),
    ExpectationKind.UNIQUE: (),
    ExpectationKind.REFERENCE: ("dataset", "column"),
}
_ALLOWED = {kind: frozenset(names) for kind, names in _NEEDED.items()} | {
    ExpectationKind.BOUNDS: frozenset({"low", "high"})
}
_NUMBERS = frozenset({"low", "high", "interval_s"})


@dataclass(frozen=True, slots=True)
class Expectation:
    """One declaration."""

    part: str
    """A series' or column's name."""
    kind: ExpectationKind
    spec: Mapping[str, Any]


def require_valid(dataset_id: DatasetId, expectation: Expectation) -> None:
    """Check the declaration's fields.

    Raises: ExpectationInvalid.
    """
    spec, kind = expectation.spec, expectation.kind
    problems = [f"{name} is missing" for name in _NEEDED[kind] if name not in spec]
    problems += [f"{name} is not a field of it" for name in sorted(spec.keys() - _ALLOWED[kind])]
    problems += [
        f"{name} is not a number"
        for name in sorted(spec.keys() & _NUMBERS)
        if isinstance(spec[name], bool) or not isinstance(spec[name], int | float)
    ]
    codes = spec.get("codes", [])
    if not isinstance(codes, list | tuple) or not all(isinstance(code, str) for code in codes):
        problems.append("codes is not a list of texts")
    problems += [f"{name} is not a text" for name in ("dataset", "column") if not isinstance(spec.get(name, ""), str)]
    if kind is ExpectationKind.BOUNDS and not problems:
        low, high = spec.get("low"), spec.get("high")
        if low is None and high is None:
            problems.append("neither low nor high is given")
        elif low is not None and high is not None and low > high:
            problems.append("low is above high")
    if kind is ExpectationKind.INTERVAL and not problems and spec["interval_s"] <= 0:
        problems.append("interval_s is not above 0")
    if problems:
        raise ExpectationInvalid(dataset_id=dataset_id, part=expectation.part, kind=kind, reason="; ".join(problems))


class ExpectationService:
    """Keeps declarations; each is a change on record."""

    def __init__(self, database: Database, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    def declare(self, dataset_id: DatasetId, expectation: Expectation, *, actor: SubjectId) -> None:
        """Store a declaration; an earlier one of the same part and kind is replaced.

        Raises: DatasetUnknown, ExpectationInvalid.
        """
        require_valid(dataset_id, expectation)
        table = t.expectations
        same = (
            table.c.dataset_id == dataset_id,
            table.c.part == expectation.part,
            table.c.kind == expectation.kind.value,
        )
        with self._database.begin() as connection:
            lock_catalogue(connection)
            read_row(connection, dataset_id)
            before = connection.execute(sa.select(table.c.spec).where(*same)).scalar()
            connection.execute(table.delete().where(*same))
            connection.execute(
                table.insert().values(
                    dataset_id=dataset_id,
                    part=expectation.part,
                    kind=expectation.kind.value,
                    spec=dict(expectation.spec),
                )
            )
            name = {"part": expectation.part, "kind": expectation.kind.value}
            change = self._ledger.record(
                connection,
                dataset_id,
                ChangeKind.EXPECTATION_DECLARED,
                actor,
                before=name | dict(before or {}),
                after=name | dict(expectation.spec),
            )
        self._ledger.audit([change])

    def of(self, dataset_id: DatasetId) -> list[Expectation]:
        """Return a dataset's declarations by part and kind."""
        table = t.expectations
        query = sa.select(table).where(table.c.dataset_id == dataset_id).order_by(table.c.part, table.c.kind)
        with self._database.connect() as connection:
            return [Expectation(row.part, ExpectationKind(row.kind), row.spec) for row in connection.execute(query)]

"""The lake as rules of quality see it: copies too, where their contracts cover figures, each look with its receipt."""

from collections.abc import Mapping
from typing import Protocol

import pyarrow as pa

from gongshu.lake import QueryResult, Relation, TableRelation
from gongshu.model.access import Role, Subject
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.model.sealed import SealedRows
from gongshu.secure.errors import CopyNotExamined
from gongshu.secure.gate.copies import CopyLaw, CopyRead

PURPOSE = "data quality"
"""What a contract that names purposes has to name for rules to look at its data. Ours."""


ROWS_UNKNOWN = -1
"""What a receipt says of figures, whose rows nobody counts."""


class Queryable(Protocol):
    """What rules need of the lake."""

    def query(self, sql: str, relations: Mapping[str, Relation]) -> QueryResult:
        """Run one SELECT over the relations."""
        ...

    def table_schema(self, table: str) -> pa.Schema:
        """Return a table's columns."""
        ...


class ExaminedLake:
    """Answers rules from tables, and from copies through their contracts. Threads may share it."""

    def __init__(self, lake: Queryable, law: CopyLaw, party: PartyId) -> None:
        self._lake = lake
        self._law = law
        self._reader = Subject(SubjectId("system:quality"), party, frozenset({Role.STEWARD}))

    def query(self, sql: str, relations: Mapping[str, Relation]) -> QueryResult:
        """Run one SELECT that gives figures. Raises: CopyNotExamined; what the lake raises."""
        opened, reads = dict(relations), []
        for name, relation in relations.items():
            if isinstance(relation, TableRelation) and (rows := self._copy(relation.table)) is not None:
                opened[name] = rows
                reads.append(self._read(relation.table))
        if not reads:
            return self._lake.query(sql, relations)
        tickets, outcome = self._law.begin(reads), "failed"
        try:
            result = self._lake.query(sql, opened)
            outcome = "ok"
        finally:
            self._law.finish(tickets, ROWS_UNKNOWN, outcome)
        return result

    def table_schema(self, table: str) -> pa.Schema:
        """Return the columns of a table or copy. Raises: CopyNotExamined; what the lake raises."""
        copy = self._copy(table)
        return self._lake.table_schema(table) if copy is None else copy.schema

    def _copy(self, table: str) -> SealedRows | None:
        """Return the rows of a copy, None if the table is none.

        Raises: CopyNotExamined if a contract forbids it, bounds the size of groups, or counts readings.
        """
        verdict = self._law.judge(self._read(table))
        if verdict is None:
            return None
        why_not = "; ".join(verdict.because)
        if not why_not and verdict.group_min is not None:
            why_not = "only figures over groups of a smallest size are covered, and rules of quality count single rows"
        if not why_not and self._law.is_counted(DatasetId(table)):
            why_not = "its contract counts readings, and rules of quality would use them up"
        if why_not:
            raise CopyNotExamined(dataset=table, reason=why_not)
        return verdict.rows

    def _read(self, table: str) -> CopyRead:
        return CopyRead(DatasetId(table), self._reader, "aggregate", PURPOSE, is_aggregate=True)

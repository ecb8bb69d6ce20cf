"""Statements that are asked all the time: compiled once, then given to the database's driver as they are.

SQLAlchemy declares them, keeps connections and transactions; only its way from a statement to the driver is left out,
which takes several times as long as a small statement itself. This module must not know what any table means.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

Parameters = Mapping[str, Any]
_NONE: Parameters = {}


class Prepared:
    """One SELECT, INSERT, UPDATE or DELETE, whose values are bound by name.

    Times, JSON and truth values go in and come out as the columns' types say. An INSERT or UPDATE sets the columns that
    the parameters name, and those with a default. A list (`IN`) cannot be bound.

    Errors are SQLAlchemy's, as `Connection.execute` raises them.
    """

    def __init__(self, statement: "sa.Select[Any] | sa.UpdateBase") -> None:
        self._statement = statement
        self._is_change = isinstance(statement, sa.Insert | sa.Update)
        self._gives_rows = bool(statement.exported_columns)
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def run(self, connection: sa.Connection, parameters: Parameters = _NONE) -> int:
        """Carry it out and return how many rows were touched."""
        assert not self._gives_rows, "drivers do not agree on how many rows there are before they are read: read them"
        return int(self._execute(connection, parameters)[0].rowcount)

    def first(self, connection: sa.Connection, parameters: Parameters = _NONE) -> Any:
        """Return the first row, its columns by name; None if there is none."""
        cursor, plan = self._execute(connection, parameters)
        row = cursor.fetchone()
        cursor.close()
        return None if row is None else plan.row(row)

    def all(self, connection: sa.Connection, parameters: Parameters = _NONE) -> list[Any]:
        """Return the rows."""
        cursor, plan = self._execute(connection, parameters)
        return [plan.row(row) for row in cursor.fetchall()]

    def scalar(self, connection: sa.Connection, parameters: Parameters = _NONE) -> Any:
        """Return the first value of the first row, None if there is no row."""
        row = self.first(connection, parameters)
        return None if row is None else row[0]

    def _execute(self, connection: sa.Connection, parameters: Parameters) -> "tuple[Any, _Plan]":
        dialect = connection.dialect
        key = (dialect.name, *parameters) if self._is_change else (dialect.name,)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _Plan(self._statement, dialect, list(parameters) if self._is_change else None)
        if not connection.in_transaction():
            connection.begin()
        driver: Any = connection.connection.dbapi_connection
        try:
            return driver.execute(plan.text, plan.arrange(parameters)), plan
        except dialect.loaded_dbapi.Error as cause:
            error = sa.exc.DBAPIError.instance(
                plan.text, None, cause, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
            )
            raise error from cause


class _Plan:
    """A statement as one kind of driver takes it."""

    def __init__(
        self, statement: "sa.Select[Any] | sa.UpdateBase", dialect: sa.Dialect, columns: Sequence[str] | None
    ) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
        assert not compiled.post_compile_params, "a list cannot be bound: its text depends on its length"
        self.text: str = compiled.string
        bindings = [(name, parameter) for parameter, name in compiled.bind_names.items()]
        constants = {name: parameter.effective_value for name, parameter in bindings if not parameter.required}
        self._constants = {**constants, **_defaults(compiled)}
        kinds = {name: parameter.type for name, parameter in bindings}
        bound = compiled.positiontup if compiled.positional else list(kinds)
        self._fields = [(name, _writer(kinds[name], dialect)) for name in bound]
        self._is_positional = bool(compiled.positional)
        found = list(statement.exported_columns)
        names = [column.key or "_" for column in found]
        self._named: Callable[[Sequence[Any]], Any] = namedtuple("Row", names, rename=True)._make  # type: ignore[attr-defined]
        readers = [_reader(column.type, dialect) for column in found]
        self._readers = [(at, reader) for at, reader in enumerate(readers) if reader is not None]

    def arrange(self, parameters: Parameters) -> Any:
        """Return the values as the driver binds them."""
        known = {**self._constants, **parameters}
        if self._is_positional:
            return [known[name] if write is None else write(known[name]) for name, write in self._fields]
        return {name: known[name] if write is None else write(known[name]) for name, write in self._fields}

    def row(self, values: Sequence[Any]) -> Any:
        """Return a row as the driver gave it, with its values as the columns' types say."""
        if self._readers:
            changed = list(values)
            for at, read in self._readers:
                changed[at] = read(changed[at])
            values = changed
        return self._named(values)


def _defaults(compiled: Any) -> dict[str, Any]:
    """Return the values of columns that nobody named; only constants can be prepared."""
    filled = (*compiled.insert_prefetch, *compiled.update_prefetch)
    assert all(column.default.is_scalar for column in filled), "a default is computed"
    return {column.key: column.default.arg for column in filled}


def _writer(kind: Any, dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    found: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return found


def _reader(kind: Any, dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    found: Callable[[Any], Any] | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return found

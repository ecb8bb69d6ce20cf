"""A DuckDB for one query: only the files and tables of its relations, no way out, configuration locked.

Each query gets a database of its own (some milliseconds), so nothing that one query does can be seen by the next.
"""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from gongshu.errors import GongshuError
from gongshu.lake.errors import QueryForbidden, QueryInvalid, QueryMemoryExceeded
from gongshu.lake.query.guard import find_escape
from gongshu.lake.query.plan import IDS_INLINE_MAX, RelationPlan, literal, quoted, view_sql
from gongshu.lake.sealed import open_sealed
from gongshu.model.sealed import SealedFile, SealedRows

TAIL_NAME = "__tail"
_SHOWN = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.NotImplementedException)
"""Errors whose text speaks of the SQL alone. Others may quote a protected value, and are told by kind."""


@contextmanager
def locked_engine(
    connection: duckdb.DuckDBPyConnection, plans: Sequence[RelationPlan], tail: pa.Table
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give an empty database the relations, lock it, and yield it; it is closed afterwards."""
    try:
        paths = ", ".join(literal(path) for plan in plans for path in plan.files)
        connection.execute(f"SET allowed_paths = [{paths}]")
        connection.register(TAIL_NAME, tail)
        for position, plan in enumerate(plans):
            ids_name = f"__ids_{position}"
            if plan.series_ids is not None and len(plan.series_ids) > IDS_INLINE_MAX:
                connection.register(ids_name, pa.table({"series_id": pa.array(plan.series_ids, pa.int32())}))
            sealed_name = f"__sealed_{position}"
            if plan.sealed_schema:
                connection.register(sealed_name, open_sealed(_sealed_rows(plan)))
            select = view_sql(plan, tail_name=TAIL_NAME, ids_name=ids_name, sealed_name=sealed_name)
            connection.execute(f"CREATE VIEW {quoted(plan.name)} AS {select}")
        if any(plan.sealed_schema for plan in plans):
            # What is encrypted at rest must not be spilled in clear: such a query has its memory and nothing else.
            connection.execute("SET temp_directory = ''")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def open_engine(*, memory_mb: int, threads: int, temp: Path) -> duckdb.DuckDBPyConnection:
    """Return an empty database in memory, bounded, that loads nothing and looks into no Python variable."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{memory_mb}MB",
            "threads": threads,
            "temp_directory": str(temp),
            "max_temp_directory_size": f"{4 * memory_mb}MB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_persistent_secrets": False,
            "python_enable_replacements": False,
            "preserve_insertion_order": False,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def require_contained(
    connection: duckdb.DuckDBPyConnection, sql: str, *, names: Sequence[str], reserved: frozenset[str]
) -> None:
    """Raise QueryForbidden unless the SQL is one SELECT over `names`; QueryInvalid if it cannot be parsed."""
    serialize = "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true)"
    (row,) = connection.execute(serialize, [sql]).fetchall()
    parsed = json.loads(row[0])
    if parsed.get("error") and parsed.get("error_type") == "parser":
        raise QueryInvalid(reason=f"the SQL cannot be read: {parsed.get('error_message', '')}")
    if (reason := find_escape(parsed, names=names, reserved=reserved)) is not None:
        raise QueryForbidden(reason=reason)


def reserved_names(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Return the names that the engine itself gives a meaning, in lower case."""
    rows = connection.execute("SELECT view_name FROM duckdb_views() UNION SELECT table_name FROM duckdb_tables()")
    return frozenset(row[0].lower() for row in rows.fetchall())


def translated(cause: BaseException, *, memory_mb: int) -> GongshuError:
    """Return our error for one of the engine; its text never quotes a value of the data."""
    if isinstance(cause, duckdb.OutOfMemoryException | MemoryError | pa.ArrowMemoryError):
        return QueryMemoryExceeded(memory_mb=memory_mb)
    if isinstance(cause, duckdb.PermissionException):
        return QueryForbidden(reason="it reaches for a file, an extension or a setting")
    if isinstance(cause, _SHOWN):
        return QueryInvalid(reason=str(cause).strip())
    if isinstance(cause, duckdb.Error):
        return QueryInvalid(reason=f"{_kind(cause)} (the engine's text may hold data and is not shown)")
    raise cause


def columns_of(row: Mapping[str, Any]) -> tuple[tuple[int, str, str], ...]:
    """Return a plan's columns as they came through JSON."""
    return tuple((int(field_id), str(name), str(kind)) for field_id, name, kind in row["columns"])


def _sealed_rows(plan: RelationPlan) -> SealedRows:
    schema = pa.ipc.read_schema(pa.py_buffer(b64decode(plan.sealed_schema)))
    files = tuple(SealedFile(Path(path), b64decode(key), bound_to) for path, key, bound_to in plan.sealed)
    return SealedRows(schema, files)


def _kind(cause: duckdb.Error) -> str:
    return {
        "ConversionException": "a value cannot be converted to the type asked for",
        "OutOfRangeException": "a number is out of range",
        "InvalidInputException": "an argument is not valid",
        "InvalidTypeException": "a type does not fit",
        "DivideByZeroException": "a division by zero",
    }.get(type(cause).__name__, f"the engine failed with {type(cause).__name__}")

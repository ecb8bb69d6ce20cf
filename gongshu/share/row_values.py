"""Values of conditions on rows: from the text of a contract to the value that a column is compared with. Pure."""

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

RowValue = bool | int | float | Decimal | str | date | datetime

_WHOLE = {
    "TINYINT": (-(2**7), 2**7 - 1),
    "SMALLINT": (-(2**15), 2**15 - 1),
    "INTEGER": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
    "UTINYINT": (0, 2**8 - 1),
    "USMALLINT": (0, 2**16 - 1),
    "UINTEGER": (0, 2**32 - 1),
    "UBIGINT": (0, 2**64 - 1),
}
_INSTANTS = frozenset({"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"})
_LOCALS = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
_DECIMAL = re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,38})?", re.ASCII)


def read_row_value(text: str, column_type: str) -> RowValue:
    """Return the value that a text means for a column of a DuckDB type.

    Raises: ValueError if it means none, or if columns of this type are not compared.

    >>> read_row_value("12", "BIGINT"), read_row_value("true", "BOOLEAN")
    (12, True)
    """
    kind = column_type.upper()
    if kind.startswith("VARCHAR"):
        return text
    if kind == "BOOLEAN" and text in ("true", "false"):
        return text == "true"
    if kind in _WHOLE and re.fullmatch(r"-?[0-9]{1,20}", text, re.ASCII):
        low, high = _WHOLE[kind]
        if low <= int(text) <= high:
            return int(text)
    if kind in ("DOUBLE", "FLOAT", "REAL") and _is_float(text):
        return float(text)
    if kind.startswith("DECIMAL") and _DECIMAL.fullmatch(text):
        return _decimal(text)
    if kind == "DATE":
        return date.fromisoformat(text)
    if kind in _INSTANTS or kind in _LOCALS:
        return _moment(text, is_local=kind in _LOCALS)
    raise ValueError(f"{text[:40]!r} is no value of a column of type {column_type}")


def _is_float(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and text.isascii() and "_" not in text and text == text.strip()
    except ValueError:
        return False


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as cause:
        raise ValueError(str(cause)) from cause


def _moment(text: str, *, is_local: bool) -> datetime:
    moment = datetime.fromisoformat(text)
    if is_local == (moment.tzinfo is not None):
        raise ValueError("a time has a zone exactly where the column's times have one")
    return moment if is_local else moment.astimezone(UTC)

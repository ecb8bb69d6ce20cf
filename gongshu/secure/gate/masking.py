"""Writes the SQL in which a masked column exists for the subject. Pure.

A mask stands where the column enters the query, so no part of the query ever meets the original. A rule that does not
fit the column's type gives NULL: closed, not open.
"""

from collections.abc import Iterable, Mapping

from gongshu.model.access import Mask
from gongshu.model.dataset import Column, DatasetKind
from gongshu.secure.policy.obligations import is_mask_rule, strictest_rule

PSEUDONYM_LENGTH = 32
"""Hexadecimal digits kept of the 64: 128 bits."""

_NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT", "DECIMAL", "U")
_TWINS = (frozenset({"value", "value_int", "value_text"}), frozenset({"time", "arrival_time"}))
"""Columns of a series dataset that hold the same fact: masking one masks all."""
_NAMING = frozenset({"series", "series_id"})


def quoted(name: str) -> str:
    """Return an SQL identifier.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def plan_masks(masks: Iterable[Mask], columns: Iterable[Column], kind: DatasetKind) -> dict[str, str]:
    """Return the rule of each masked column (lower-cased name), twins included.

    Raises: ValueError on a rule that is not known.
    """
    names = {column.name.lower() for column in columns}
    rules: dict[str, str] = {}
    for mask in masks:
        if not is_mask_rule(mask.rule):
            raise ValueError(f"mask rule {mask.rule!r}")
        name = mask.column.lower()
        for twin in _twins(name) if kind is DatasetKind.SERIES else {name}:
            if twin in names:
                rules[twin] = strictest_rule(rules[twin], mask.rule) if twin in rules else mask.rule
    return rules


def masked_sql(source: str, type_: str, rule: str | None, key: bytes) -> str:
    """Return the SQL that stands for a column whose original is the SQL `source` of DuckDB type `type_`."""
    upper = type_.upper()
    if rule is None:
        return source
    if rule == "hash":
        return f"left({_hmac_sql(f'encode(CAST({source} AS VARCHAR))', key)}, {PSEUDONYM_LENGTH})"
    if rule == "partial" and upper.startswith("VARCHAR"):
        return f"CASE WHEN length({source}) > 1 THEN left({source}, 1) || '***' ELSE '***' || left({source}, 0) END"
    if rule == "hour" and upper.startswith("TIMESTAMP"):
        return f"date_trunc('hour', {source})"
    if rule.startswith("round:") and upper.startswith(_NUMBERS):
        return f"CAST(round({source}, {int(rule.removeprefix('round:'))}) AS {type_})"
    return f"CAST(NULL AS {type_})"


def masked_type(type_: str, rule: str | None) -> str:
    """Return the DuckDB type of the column as the subject sees it."""
    return "VARCHAR" if rule == "hash" else type_


def has_secret(rules: Mapping[str, str]) -> bool:
    """True if the SQL carries a key."""
    return "hash" in rules.values()


def _hmac_sql(message: str, key: bytes) -> str:
    """HMAC-SHA256 in the engine's own functions; `key` has at most 64 bytes. Source: RFC 2104."""
    assert len(key) <= 64
    padded = key.ljust(64, b"\0")
    inner, outer = (_blob(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))
    return f"sha256({outer} || unhex(sha256({inner} || {message})))"


def _blob(raw: bytes) -> str:
    return f"unhex('{raw.hex()}')"


def _twins(name: str) -> frozenset[str]:
    if name in _NAMING:
        return _NAMING
    return next((group for group in _TWINS if name in group), frozenset({name}))

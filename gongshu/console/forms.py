"""A connector's config as a form: pure, from its JSON schema to fields, and from what was typed to the config."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gongshu.errors import InvalidInput
from gongshu.gather.connector import ConnectorConfig


class FieldWrong(InvalidInput):
    """What was typed into a field is not what the field takes."""

    code = "console.field_wrong"
    template = "The field {field!r} takes {expected}. Correct it and try again."


class Kind(StrEnum):
    """How a field is shown."""

    TEXT = "text"
    SECRET = "secret"  # noqa: S105  a kind of field, not a secret
    NUMBER = "number"
    FLAG = "flag"
    CHOICE = "choice"
    JSON = "json"
    """A list or a mapping, typed as JSON."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One setting."""

    name: str
    kind: Kind
    title_zh: str
    title_en: str
    unit: str
    default: Any
    is_required: bool
    is_integer: bool
    choices: tuple[str, ...]
    example: str
    is_basic: bool
    """Shown at once; the others are folded away, for their defaults are good."""

    @property
    def default_text(self) -> str:
        """The default as a person would type it; empty where there is none."""
        return "" if self.default in (None, "", [], {}) else _text(self.default)


def read_fields(schema: Mapping[str, Any]) -> tuple[FormField, ...]:
    """Return the fields of a config's JSON schema in its order, those that every connector shares last."""
    required = set(schema.get("required", ()))
    shared = set(ConnectorConfig.model_fields)
    fields = [
        _field(name, prop, schema.get("$defs", {}), is_required=name in required, is_basic=name not in shared)
        for name, prop in schema.get("properties", {}).items()
    ]
    return tuple(sorted(fields, key=lambda field: (not field.is_required, not field.is_basic)))


def read_config(fields: Sequence[FormField], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that was typed: what equals the default or is empty is left out.

    Raises: FieldWrong, naming the field; a secret is never repeated.
    """
    config: dict[str, Any] = {}
    for field in fields:
        value = _value(field, typed.get(field.name))
        if value is not None and (field.is_required or value != field.default):
            config[field.name] = value
    return config


def _value(field: FormField, typed: Any) -> Any:
    if isinstance(typed, str):
        typed = typed.strip()
    if typed is None or typed == "":
        if field.is_required:
            raise FieldWrong(field=field.name, expected="a value")
        return None
    if field.kind is Kind.JSON:
        try:
            return json.loads(typed) if isinstance(typed, str) else typed
        except json.JSONDecodeError as cause:
            raise FieldWrong(field=field.name, expected=f"JSON (line {cause.lineno}: {cause.msg})") from None
    if field.kind is Kind.NUMBER:
        try:
            number = float(typed)
            return int(number) if field.is_integer and number.is_integer() else number
        except ValueError:
            raise FieldWrong(field=field.name, expected="a number") from None
    return typed


def _field(
    name: str, prop: Mapping[str, Any], definitions: Mapping[str, Any], *, is_required: bool, is_basic: bool
) -> FormField:
    resolved = _resolve(prop, definitions)
    choices = tuple(str(choice) for choice in resolved.get("enum", ()))
    kind = _kind(resolved, choices)
    default = prop.get("default")
    examples = prop.get("examples") or [None]
    return FormField(
        name=name,
        kind=kind,
        title_zh=str(prop.get("title_zh", "")) or name,
        title_en=str(prop.get("title_en", "")) or name,
        unit=str(prop.get("unit", "")),
        default=default,
        is_required=is_required,
        is_integer=resolved.get("type") == "integer",
        choices=choices,
        example=_text(examples[0]) if kind is not Kind.SECRET else "",
        is_basic=is_required or (is_basic and (kind not in {Kind.NUMBER, Kind.JSON} or not default)),
    )


def _resolve(prop: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema behind a reference; of alternatives, the first that is not null."""
    for group in ("anyOf", "allOf", "oneOf"):
        for part in prop.get(group, ()):
            if part.get("type") != "null":
                return _resolve(part, definitions)
    if "$ref" in prop:
        return _resolve(definitions[prop["$ref"].rsplit("/", 1)[1]], definitions)
    return prop


def _kind(resolved: Mapping[str, Any], choices: tuple[str, ...]) -> Kind:
    if choices:
        return Kind.CHOICE
    if resolved.get("writeOnly") or resolved.get("format") == "password":
        return Kind.SECRET
    return _KINDS.get(resolved.get("type", "string"), Kind.TEXT)


_KINDS = {
    "boolean": Kind.FLAG,
    "integer": Kind.NUMBER,
    "number": Kind.NUMBER,
    "array": Kind.JSON,
    "object": Kind.JSON,
}


def _text(example: Any) -> str:
    return "" if example is None else example if isinstance(example, str) else json.dumps(example, ensure_ascii=False)

"""The tolerant reader: bytes of a stranger become plain, compact, checked JSON, or an error.

Other connectors write the same message in several JSON-LD forms (a string, `{"@id"}`, `{"@value"}`, one object or an
array, compact names or absolute IRIs). This module brings them to the one compact form that the schemas describe. It
runs no JSON-LD processor and fetches no context; a key it does not know is kept as it is, and `odrl` refuses it where
it would change the meaning of a policy. See decision 0040.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from gongshu.share.dsp.messages import EDC_NAMESPACE
from gongshu.share.dsp.schema import find_fault
from gongshu.share.dsp.states import Kind, Move
from gongshu.share.errors import MessageInvalid

DEPTH_MAX = 32
"""Levels of nesting; the deepest message of the specification has 9. Chosen by us."""

NUMBER_MAX = 2**63 - 1
"""What a column of either database holds."""

Json = dict[str, Any]

_PREFIXES = (
    ("dspace", "https://w3id.org/dspace/2025/1/"),
    ("odrl", "http://www.w3.org/ns/odrl/2/"),
    ("dcat", "http://www.w3.org/ns/dcat#"),
    ("dct", "http://purl.org/dc/terms/"),
)

_ONE = frozenset(
    {
        "providerPid",
        "consumerPid",
        "callbackAddress",
        "eventType",
        "state",
        "agreementId",
        "format",
        "code",
        "target",
        "assigner",
        "assignee",
        "timestamp",
        "action",
        "leftOperand",
        "operator",
        "endpointType",
        "endpoint",
        "name",
        "value",
        "participantId",
        "profile",
        "endpointURL",
        "@id",
    }
)
_LIST = frozenset(
    {
        "reason",
        "permission",
        "prohibition",
        "obligation",
        "duty",
        "constraint",
        "and",
        "andSequence",
        "or",
        "xone",
        "endpointProperties",
        "dataset",
        "catalog",
        "service",
        "hasPolicy",
        "distribution",
        "filter",
    }
)
_OBJECT = frozenset({"offer", "agreement", "dataAddress"})
_COMPACTED_VALUES = frozenset({"eventType", "state", "operator", "@type"})
"""Terms whose value is itself a name of the vocabulary."""

_FULL = {"inForceDate": f"{EDC_NAMESPACE}inForceDate"}
"""Left operands that a context of another maker shortens, and no context of ours would lengthen again on their way
back. Source: EDC 0.14.1, context edc/dspace/v0.0.1."""

_KNOWN = _ONE | _LIST | _OBJECT | {"rightOperand", "@type", "@context"}


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message as it came, and as it is meant."""

    message_type: str
    message_id: str | None
    """Its `@id`; None where the sender gave none."""
    document: Json
    raw: bytes

    @property
    def move(self) -> Move | None:
        """The row of the table it asks for; None for a catalogue request and other messages without a process."""
        event = self.document.get("eventType")
        name = f"{self.message_type} {event}" if self.message_type == Move.ACCEPT.message_type else self.message_type
        return Move(name) if name in {move.value for move in Move} else None

    @property
    def kind(self) -> Kind:
        """The machine its type belongs to."""
        return Kind.TRANSFER if self.message_type.startswith("Transfer") else Kind.NEGOTIATION

    def text(self, name: str) -> str | None:
        """Return a field that is a string, None where it is missing."""
        value = self.document.get(name)
        return value if isinstance(value, str) else None


def read_message(raw: bytes, *allowed: str) -> Inbound:
    """Return the message if it is of one of the types and holds to the official schema.

    Raises: MessageInvalid, with the place of the fault and none of the content.
    """
    document = read_document(raw)
    message_type = document.get("@type")
    if message_type not in allowed:
        raise MessageInvalid(what=" or ".join(allowed), reason=f"its @type is {str(message_type)[:80]!r}")
    fault = find_fault(document, str(message_type))
    if fault:
        raise MessageInvalid(what=message_type, reason=fault)
    identity = document.get("@id")
    return Inbound(str(message_type), identity if isinstance(identity, str) and identity else None, document, raw)


def read_document(raw: bytes) -> Json:
    """Return any protocol document in the compact form, without checking it against a schema.

    Raises: as `read_plain`.
    """
    parsed = read_plain(raw)
    compact = _compact_object(parsed)
    context = parsed.get("@context")
    if isinstance(context, str):
        compact["@context"] = [context]
    return compact


def read_plain(raw: bytes, what: str = "body") -> Json:
    """Return a JSON object of another party as it is, without anything that a database of ours could not hold.

    Every body and answer of a partner passes here, so that no endpoint has to think of it.

    Raises: MessageInvalid if it is no JSON object, nests too deeply, holds a NUL character or a number over 64 bits.
    """
    try:
        parsed = orjson.loads(raw)  # refuses lone surrogates, NaN, and numbers beyond a double
    except orjson.JSONDecodeError as cause:
        raise MessageInvalid(what=what, reason=f"it is not JSON ({cause.msg}, at {cause.pos})") from cause
    if not isinstance(parsed, dict):
        raise MessageInvalid(what=what, reason="it is not a JSON object")
    _require_bounded(parsed, what)
    return parsed


def _require_bounded(document: Json, what: str) -> None:
    level: list[Any] = [document]
    for _ in range(DEPTH_MAX):
        below: list[Any] = []
        for value in level:
            children = [*value.keys(), *value.values()] if isinstance(value, dict) else value
            for child in children:
                if isinstance(child, dict | list):
                    below.append(child)
                elif isinstance(child, str) and "\0" in child:
                    raise MessageInvalid(what=what, reason="it holds a NUL character")
                elif isinstance(child, int) and not -NUMBER_MAX <= child <= NUMBER_MAX:
                    raise MessageInvalid(what=what, reason="it holds a number beyond 64 bits")
        if not below:
            return
        level = below
    raise MessageInvalid(what=what, reason=f"it nests deeper than {DEPTH_MAX} levels")


def compact_name(name: str) -> str:
    """Return a vocabulary name without its prefix or namespace where the compact form has the bare name.

    >>> compact_name("http://www.w3.org/ns/odrl/2/permission"), compact_name("odrl:use"), compact_name("@id")
    ('permission', 'use', '@id')
    """
    if ":" not in name:
        return name
    for prefix, namespace in _PREFIXES:
        if name.startswith(namespace):
            return name[len(namespace) :]
        if name.startswith(f"{prefix}:"):
            return name[len(prefix) + 1 :]
    return name


def _compact_object(source: Json) -> Json:
    result: Json = {}
    for key, value in source.items():
        bare = compact_name(key)
        name = bare if bare in _KNOWN else key
        if name in result:
            raise MessageInvalid(what="body", reason=f"it gives {name[:40]!r} twice, in two forms")
        result[name] = _compact_value(name, value)
    return result


def _compact_value(name: str, value: Any) -> Any:
    if name == "@context":
        return value
    if name in _ONE or name == "@type":
        single = _unwrap(value[0] if isinstance(value, list) and len(value) == 1 else value)
        if name == "action" and isinstance(single, str):
            return _settled_action(single)
        if name in _COMPACTED_VALUES and isinstance(single, str):
            return compact_name(single)
        return _FULL.get(single, single) if name == "leftOperand" and isinstance(single, str) else single
    if name in _LIST and not (name == "dataset" and isinstance(value, str)):
        items = value if isinstance(value, list) else [value]
        return [_compact_object(item) if isinstance(item, dict) and name != "filter" else item for item in items]
    if name in _OBJECT:
        single = value[0] if isinstance(value, list) and len(value) == 1 else value
        return _compact_object(single) if isinstance(single, dict) else single
    if name == "rightOperand":
        values = _list_in_text(value) if isinstance(value, str) else value
        return [_unwrap(item) for item in values] if isinstance(values, list) else _unwrap(values)
    if name == "accessService":
        return _compact_object(value) if isinstance(value, dict) and len(value) > 1 else _unwrap(value)
    return value


def _settled_action(name: str) -> str:
    """`use` stands bare in the official context; other actions of ODRL need their prefix to mean the same elsewhere."""
    bare = compact_name(name)
    return bare if bare in ("use", name) else f"odrl:{bare}"


def _list_in_text(text: str) -> Any:
    """Return the values where a text is a JSON list of wrapped ones, else the text.

    EDC keeps a right operand as one text, a list of several as its expanded JSON. Source: EDC 0.14.1, recorded.
    """
    if not text.startswith("[{"):
        return text
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return items if all(isinstance(item, dict) and _is_wrapped(item) for item in items) else text


def _is_wrapped(item: Json) -> bool:
    inner = item.get("@value", item.get("@id"))
    return isinstance(inner, str | int | float) and not isinstance(_unwrap(item), dict)


def _unwrap(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            return value["@id"]
        if "@value" in value and set(value) <= {"@value", "@type", "@language"}:
            inner = value["@value"]
            return str(inner).lower() if isinstance(inner, bool) else str(inner)
    return value

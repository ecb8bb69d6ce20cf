"""Node ids as text that stays true when a server renumbers its namespaces: `nsu=<uri>;s=Spindle.Load`, `i=2258`.

Source: OPC 10000-6 §5.1.12 (text form of NodeId and ExpandedNodeId). Pure.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gongshu.gather.errors import DecodeError

OPC_UA_URI = "http://opcfoundation.org/UA/"


class NamespaceUnknown(LookupError):
    """The server does not have that namespace (any more)."""


@dataclass(frozen=True, slots=True)
class Address:
    """A node id with the URI of its namespace; an empty URI is the namespace of OPC UA itself."""

    uri: str
    kind: str
    """`i` number, `s` text, `g` GUID, `b` bytes."""
    identifier: int | str | UUID | bytes


def parse_address(text: str) -> Address:
    """Return the node id that a text names.

    Raises: DecodeError; also for `ns=3;…`, whose number may mean another namespace tomorrow.

    >>> parse_address("nsu=urn:mill:3;s=Spindle;Load")
    Address(uri='urn:mill:3', kind='s', identifier='Spindle;Load')
    """
    uri, rest = "", text
    if text.startswith("ns="):
        raise _wrong(text, "the number of a namespace can change; write its URI: nsu=<uri>;s=…")
    if text.startswith("nsu="):
        uri, separator, rest = text[4:].partition(";")
        if not separator or not uri:
            raise _wrong(text, "after nsu= comes the URI, a semicolon, and the identifier")
        uri = uri.replace("%3B", ";").replace("%25", "%")
    kind, equals, value = rest[:1], rest[1:2], rest[2:]
    if equals != "=" or kind not in "isgb" or not value:
        raise _wrong(text, "an identifier is i=<number>, s=<text>, g=<guid> or b=<base64>")
    try:
        return Address("" if uri == OPC_UA_URI else uri, kind, _identifier(kind, value))
    except (ValueError, binascii.Error) as cause:
        raise _wrong(text, str(cause)) from cause


def format_address(address: Address) -> str:
    """Return the text of a node id; `parse_address` of it gives the same node id.

    >>> format_address(Address("urn:mill:3", "i", 7))
    'nsu=urn:mill:3;i=7'
    """
    value = address.identifier
    text = base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)
    if not address.uri or address.uri == OPC_UA_URI:
        return f"{address.kind}={text}"
    escaped = address.uri.replace("%", "%25").replace(";", "%3B")
    return f"nsu={escaped};{address.kind}={text}"


def namespace_index(address: Address, namespaces: Sequence[str]) -> int:
    """Return the index that the server gives the address's namespace in this session.

    Raises: NamespaceUnknown.
    """
    if not address.uri:
        return 0
    try:
        return namespaces.index(address.uri)
    except ValueError as cause:
        raise NamespaceUnknown(address.uri) from cause


def _identifier(kind: str, value: str) -> int | str | UUID | bytes:
    match kind:
        case "i":
            number = int(value)
            if not 0 <= number < 2**32:
                raise ValueError("a numeric identifier is 0 to 4294967295")
            return number
        case "g":
            return UUID(value)
        case "b":
            return base64.b64decode(value, validate=True)
    return value


def _wrong(text: str, reason: str) -> DecodeError:
    return DecodeError(what="an OPC UA node id", seen=repr(text[:200]), reason=reason)

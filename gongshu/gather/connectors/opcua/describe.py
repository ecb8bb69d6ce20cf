"""What a server says about its variables: type, unit, title, and whether a client may write them. Many in one request.

Source: OPC 10000-3 §5.6.2 (Variable), OPC 10000-8 §5.6.3 (EUInformation).
"""

from collections.abc import Sequence
from typing import Any

from gongshu.gather.connector import Tag
from gongshu.gather.connectors.opcua.link import Link
from gongshu.gather.connectors.opcua.sdk import NodeId, ua
from gongshu.gather.connectors.opcua.variant import VALUE_TYPE_OF
from gongshu.model.reading import ValueType

_ATTRIBUTES = (
    ua.AttributeIds.BrowseName,
    ua.AttributeIds.DisplayName,
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.UserAccessLevel,
)
_BUILTIN: dict[object, int | None] = {**{number: number for number in range(1, 26)}, 24: None, 29: 6}
"""Data types that end the way up: the built-in ones by number (24 may hold anything), 29 Enumeration is an Int32."""
_WRITE = 0b10
"""CurrentWrite of AccessLevelType. Source: OPC 10000-3 §8.57."""
_SCALAR_RANKS = (-1, -2, -3)
_SUPERTYPES_MAX = 16


class Describer:
    """Describes variables; remembers the server's own data types for as long as it lives."""

    def __init__(self, link: Link, items_per_call: int) -> None:
        self._link = link
        self._items_per_call = items_per_call
        self._builtin: dict[NodeId, int | None] = {}

    async def describe(
        self, nodes: Sequence[NodeId], addresses: Sequence[str], paths: Sequence[str], units: dict[NodeId, str]
    ) -> list[Tag]:
        """Return one tag for each variable, in order. One that cannot be described is a text series named after its id.

        Cost: one read of five attributes a variable, `items_per_call` in a request.
        """
        answers = await self._read([(node, attribute) for node in nodes for attribute in _ATTRIBUTES])
        width = len(_ATTRIBUTES)
        rows = [answers[i * width : (i + 1) * width] for i in range(len(nodes))]
        await self._learn_types({_value(row[2]) for row in rows if isinstance(_value(row[2]), NodeId)})
        samples = await self._sampled_types(
            [node for node, row in zip(nodes, rows, strict=True) if self._kind(row) is None]
        )
        return [
            self._tag(row, address, path, units.get(node, ""), samples.get(node))
            for node, row, address, path in zip(nodes, rows, addresses, paths, strict=True)
        ]

    async def units(self, properties: dict[NodeId, NodeId]) -> dict[NodeId, str]:
        """Return the unit of each variable whose property EngineeringUnits is known, as the server writes it."""
        found = {}
        answers = await self._read([(node, ua.AttributeIds.Value) for node in properties.values()])
        for variable, answer in zip(properties, answers, strict=True):
            unit = _value(answer)
            if isinstance(unit, ua.EUInformation) and unit.DisplayName is not None:
                found[variable] = unit.DisplayName.Text or ""
        return found

    def _tag(self, row: Sequence[Any], address: str, path: str, unit: str, sampled: int | None) -> Tag:
        name, title = _value(row[0]), _value(row[1])
        rank, access = _value(row[3]), _value(row[4])
        kind = self._kind(row)
        builtin = kind if kind is not None else sampled
        if isinstance(rank, int) and rank not in _SCALAR_RANKS:
            value_type = ValueType.ARRAY
        else:
            value_type = VALUE_TYPE_OF.get(builtin or 0, ValueType.TEXT)
        return Tag(
            address=address,
            name=(name.Name if isinstance(name, ua.QualifiedName) else "") or address.partition("=")[2],
            value_type=value_type,
            path=path,
            unit=unit,
            title=(title.Text if isinstance(title, ua.LocalizedText) else "") or "",
            writable=isinstance(access, int) and bool(access & _WRITE),
        )

    def _kind(self, row: Sequence[Any]) -> int | None:
        data_type = _value(row[2])
        return self._builtin.get(data_type) if isinstance(data_type, NodeId) else None

    async def _learn_types(self, types: set[NodeId]) -> None:
        """Follow the supertypes of each data type up to a built-in one."""
        waiting = {data_type: data_type for data_type in types if data_type not in self._builtin}
        for _ in range(_SUPERTYPES_MAX):
            for data_type, at in list(waiting.items()):
                if at.NamespaceIndex == 0 and at.Identifier in _BUILTIN:
                    self._builtin[data_type] = _BUILTIN[at.Identifier]
                    del waiting[data_type]
            if not waiting:
                return
            parents = await self._supertypes(list(waiting.values()))
            waiting = {t: parents[at] for t, at in waiting.items() if at in parents}
        self._builtin |= dict.fromkeys(waiting)

    async def _supertypes(self, types: Sequence[NodeId]) -> dict[NodeId, NodeId]:
        parameters = ua.BrowseParameters()
        parameters.RequestedMaxReferencesPerNode = 1
        for data_type in types:
            wanted = ua.BrowseDescription()
            wanted.NodeId = data_type
            wanted.BrowseDirection = ua.BrowseDirection.Inverse
            wanted.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HasSubtype)
            wanted.IncludeSubtypes = True
            wanted.ResultMask = 0
            parameters.NodesToBrowse.append(wanted)
        results = await self._link.session.browse(parameters)
        return {
            data_type: ua.NodeId(r.References[0].NodeId.Identifier, r.References[0].NodeId.NamespaceIndex)
            for data_type, r in zip(types, results, strict=True)
            if r.References
        }

    async def _sampled_types(self, nodes: Sequence[NodeId]) -> dict[NodeId, int]:
        """For variables that may hold anything: the type of what they hold now."""
        answers = await self._read([(node, ua.AttributeIds.Value) for node in nodes])
        return {
            node: int(answer.Value.VariantType.value)
            for node, answer in zip(nodes, answers, strict=True)
            if answer is not None and answer.Value is not None and answer.Value.Value is not None
        }

    async def _read(self, wanted: Sequence[tuple[NodeId, ua.AttributeIds]]) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(wanted), self._items_per_call):
            parameters = ua.ReadParameters()
            parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
            for node, attribute in wanted[start : start + self._items_per_call]:
                item = ua.ReadValueId()
                item.NodeId = node
                item.AttributeId = attribute
                parameters.NodesToRead.append(item)
            answers += await self._link.session.read(parameters)
        return answers


def _value(answer: Any) -> Any:
    return answer.Value.Value if answer is not None and answer.Value is not None else None

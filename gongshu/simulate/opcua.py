"""The plant's OPC UA server: machines as objects, their signals as variables, and a set of counters for load tests.

Objects/<plant>/<line>/<machine>/<variable>, in a namespace of the plant's own. Basic256Sha256 with sign and encrypt,
user name and password; an endpoint without security exists only if asked for. The one writable variable is a
set-point that changes nothing: collectors must leave it alone, and a test can see whether they did.
"""

import asyncio
import hmac
import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncua import ua as _ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server

from gongshu.simulate.clockwork import Change
from gongshu.simulate.credentials import APPLICATION_URI, Credentials
from gongshu.simulate.errors import PlantNotStarted
from gongshu.simulate.machines import LINES, MACHINES, PLANT, PLANT_TITLE, State
from gongshu.simulate.tags import ALL_TAGS, Tag, TagType, Unit

ua: Any = _ua  # its types export too little for a strict checker

NAMESPACE = "urn:gongshu:synthetic:plant-67"
UNECE_NAMESPACE = "http://www.opcfoundation.org/UA/units/un/cefact"
FEED_OVERRIDE_PERCENT = 100

_VARIANTS = {
    TagType.DOUBLE: ua.VariantType.Double,
    TagType.INT32: ua.VariantType.Int32,
    TagType.INT64: ua.VariantType.Int64,
    TagType.BOOLEAN: ua.VariantType.Boolean,
    TagType.STRING: ua.VariantType.String,
}
_FIRST: dict[TagType, float | int | bool | str] = {
    TagType.DOUBLE: 0.0,
    TagType.INT32: 0,
    TagType.INT64: 0,
    TagType.BOOLEAN: False,
    TagType.STRING: "",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets in the one user of the plant, and nobody anonymous unless the open endpoint was asked for."""

    user: str
    password: str
    anonymous: bool

    def get_user(
        self,
        iserver: Any,  # noqa: ARG002
        username: str | None = None,
        password: str | None = None,
        certificate: Any = None,  # noqa: ARG002
    ) -> User | None:
        """Return the user for a right login, None for a wrong one; asyncua's name for it."""
        if username is None:
            return User(role=UserRole.User, name="anonymous") if self.anonymous else None
        right = hmac.compare_digest(username, self.user) & hmac.compare_digest(password or "", self.password)
        return User(role=UserRole.User, name=username) if right else None


class PlantOpcUa:
    """The running server."""

    def __init__(self, credentials: Credentials, *, port: int, open_endpoint: bool, bulk_count: int = 0) -> None:
        self._credentials = credentials
        self._open = open_endpoint
        self._bulk_count = bulk_count
        self._port = port
        self._nodes: dict[tuple[int, str], tuple[Any, Any]] = {}
        self._bulk: list[Any] = []
        self._server: Server | None = None
        self.endpoint = ""

    async def start(self, first: Iterable[Change]) -> None:
        """Begin to listen, with `first` as the variables' values from the very first answer on.

        Raises: PlantNotStarted.
        """
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        user, password = self._credentials.login()
        server = Server(user_manager=Guard(user, password, anonymous=self._open))  # type: ignore[arg-type]
        server._application_uri = APPLICATION_URI
        server.name = f"Gongshu {PLANT_TITLE}"
        await server.init()
        port = self._port or _free_port()
        self.endpoint = f"opc.tcp://127.0.0.1:{port}/gongshu/synthetic"
        server.set_endpoint(self.endpoint)
        policies = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        tokens: list[type] = [ua.UserNameIdentityToken]
        if self._open:
            policies.append(ua.SecurityPolicyType.NoSecurity)
            tokens.append(ua.AnonymousIdentityToken)
        server.set_security_policy(policies)
        server.set_identity_tokens(tokens)
        await server.load_certificate(self._credentials.certificate)
        await server.load_private_key(self._credentials.private_key)
        await self._build(server)
        self._server = server
        await self.show(first)
        try:
            await server.start()
        except OSError as cause:
            raise PlantNotStarted(server="OPC UA", address=self.endpoint, reason=cause.strerror or cause) from cause

    async def show(self, changes: Iterable[Change]) -> None:
        """Give the variables their new values, each with the source time of its change."""
        assert self._server is not None, "start first"
        space = self._server.iserver.aspace
        for change in changes:
            node_id, variant = self._nodes[change.machine, change.tag]
            await space.write_attribute_value(
                node_id, ua.AttributeIds.Value, _data_value(change.value, variant, change.time, change.status)
            )

    async def count(self, rounds: int, time: datetime) -> None:
        """Set every load-test counter to `rounds`: a lost or repeated value is a gap or a repeat in the numbers."""
        assert self._server is not None, "start first"
        space = self._server.iserver.aspace
        value = _data_value(rounds, ua.VariantType.Int64, time, 0)
        for index, node_id in enumerate(self._bulk):
            await space.write_attribute_value(node_id, ua.AttributeIds.Value, value)
            if index % 500 == 499:
                await asyncio.sleep(0)

    async def stop(self) -> None:
        """Stop listening and end all sessions."""
        if self._server is not None:
            await self._server.stop()
            self._server = None

    async def _build(self, server: Server) -> None:
        index = await server.register_namespace(NAMESPACE)
        plant = await server.nodes.objects.add_object(ua.NodeId(PLANT, index), ua.QualifiedName(PLANT, index))
        await plant.write_attribute(ua.AttributeIds.DisplayName, _text(PLANT_TITLE))
        machines: dict[str, Any] = {}
        for line, title in LINES.items():
            node = await plant.add_object(ua.NodeId(line, index), ua.QualifiedName(line, index))
            await node.write_attribute(ua.AttributeIds.DisplayName, _text(title))
            for machine in (m for m in MACHINES if m.line == line):
                path = f"{line}/{machine.name}"
                made = await node.add_object(ua.NodeId(path, index), ua.QualifiedName(machine.name, index))
                await made.write_attribute(ua.AttributeIds.DisplayName, _text(machine.title))
                machines[machine.name] = made
        row = {machine.name: number for number, machine in enumerate(MACHINES)}
        for tag in ALL_TAGS:
            node_id = await _add_variable(machines[tag.machine.name], index, tag)
            self._nodes[row[tag.machine.name], tag.name] = node_id, _VARIANTS[tag.type]
        if self._bulk_count:
            self._bulk = await _add_counters(plant, index, self._bulk_count)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _data_value(value: float | int | bool | str, variant: Any, time: datetime, status: int) -> Any:
    return ua.DataValue(
        ua.Variant(value, variant), StatusCode=ua.StatusCode(status), SourceTimestamp=time, ServerTimestamp=time
    )


def _text(text: str) -> Any:
    return ua.DataValue(ua.Variant(ua.LocalizedText(text), ua.VariantType.LocalizedText))


async def _add_variable(parent: Any, index: int, tag: Tag) -> Any:
    """Add one variable as the standard's type for what it is, with unit, range and the texts of its codes."""
    node = await parent.add_variable(
        ua.NodeId(tag.path, index),
        ua.QualifiedName(tag.name, index),
        FEED_OVERRIDE_PERCENT if tag.writable else _FIRST[tag.type],
        _VARIANTS[tag.type],
    )
    await node.write_attribute(ua.AttributeIds.DisplayName, _text(tag.title))
    properties: list[tuple[str, object]] = []
    if tag.unit is not None:
        properties.append(("EngineeringUnits", _engineering_unit(tag.unit)))
    if tag.high > tag.low:
        properties.append(("EURange", ua.Range(tag.low, tag.high)))
    if tag.name == "state_code":
        codes = [ua.EnumValueType(s.value, ua.LocalizedText(s.title), ua.LocalizedText(s.name)) for s in State]
        properties.append(("EnumValues", codes))
    for name, value in properties:
        await node.add_property(ua.NodeId(f"{tag.path}/{name}", index), ua.QualifiedName(name, 0), value)
    if tag.writable:
        await node.set_writable()
    return node.nodeid


def _engineering_unit(unit: Unit) -> Any:
    return ua.EUInformation(
        UNECE_NAMESPACE, unit.unit_id, ua.LocalizedText(unit.display), ua.LocalizedText(unit.description)
    )


async def _add_counters(plant: Any, index: int, count: int) -> list[Any]:
    folder = await plant.add_folder(ua.NodeId("bulk", index), ua.QualifiedName("bulk", index))
    nodes = []
    for number in range(count):
        name = f"counter-{number:05d}"
        node = await folder.add_variable(
            ua.NodeId(f"bulk/{name}", index), ua.QualifiedName(name, index), 0, ua.VariantType.Int64
        )
        nodes.append(node.nodeid)
    return nodes

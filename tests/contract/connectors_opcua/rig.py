"""An asyncua server as the far end: Basic256Sha256, a user with a password, one variable of each type."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from asyncua.common.node import Node
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from cryptography.hazmat.primitives import serialization

from gongshu.gather.connector import ConnectorConfig
from gongshu.gather.connectors.opcua import SPEC
from gongshu.gather.connectors.opcua.config import OpcUaConfig
from gongshu.gather.connectors.opcua.sdk import ua
from gongshu.gather.connectors.opcua.trust import OwnCertificate, fingerprint, make_certificate
from gongshu.model.reading import Quality, ValueType
from gongshu.testing.rig import Native, TcpRig
from tests.contract.connectors_opcua.standard_space import lend_standard_nodes

URI = "urn:gongshu:test"
APPLICATION = "urn:gongshu:test:server"
PASSWORD = "s3cret-öpc"


@lru_cache
def server_identity(hosts: tuple[str, ...] = ("127.0.0.1",), application: str = APPLICATION) -> OwnCertificate:
    """A server certificate; made once, because keys take long to make."""
    return make_certificate(application, hosts=hosts, now=datetime.now(UTC), key_bits=2048)


@lru_cache
def _client_identity() -> tuple[str, OwnCertificate]:
    application = "urn:gongshu:test:client"
    return application, make_certificate(application, hosts=("localhost",), now=datetime.now(UTC), key_bits=2048)


def place_client_identity(folder: Path) -> str:
    """Put a ready-made client certificate into a source's folder; returns its application URI."""
    application, identity = _client_identity()
    (folder / "own").mkdir(parents=True, exist_ok=True)
    (folder / "own/certificate.der").write_bytes(der(identity))
    (folder / "own/key.pem").write_bytes(key_pem(identity))
    return application


def der(identity: OwnCertificate) -> bytes:
    return identity.certificate.public_bytes(serialization.Encoding.DER)


def key_pem(identity: OwnCertificate) -> bytes:
    return identity.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Users(UserManager):
    """One account; everything else is refused."""

    def __init__(self) -> None:
        self.password = PASSWORD

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        from asyncua.crypto.permission_rules import User, UserRole

        return User(role=UserRole.User) if (username, password) == ("collector", self.password) else None


async def start_server(
    users: Any = None, *, identity: OwnCertificate | None = None, policies: Sequence[Any] | None = None
) -> tuple[Server, int]:
    """Start a server on a free port of 127.0.0.1; returns it and the port."""
    server = Server(user_manager=users)
    lend_standard_nodes(server)
    await server.init()
    await server.set_application_uri(APPLICATION)
    server.set_endpoint("opc.tcp://127.0.0.1:0/test")
    identity = identity or server_identity()
    server.set_security_policy(list(policies or [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]))
    await server.load_certificate(der(identity))
    await server.load_private_key(key_pem(identity), format="pem")
    await server.register_namespace(URI)
    await server.start()
    listening: Any = server.bserver
    return server, listening._server.sockets[0].getsockname()[1]


VALUES: dict[str, tuple[Any, Any, Native]] = {}


def _hold(name: str, kind: str, value: object, value_type: ValueType, **column: Any) -> None:
    VALUES[name] = (kind, value, Native(f"nsu={URI};s={name}", value_type, **column))


_hold("bool", "Boolean", True, ValueType.BOOL, integer=1)
_hold("sbyte", "SByte", -128, ValueType.INT64, integer=-128)
_hold("byte", "Byte", 255, ValueType.INT64, integer=255)
_hold("int16", "Int16", -32768, ValueType.INT64, integer=-32768)
_hold("uint16", "UInt16", 65535, ValueType.INT64, integer=65535)
_hold("int32", "Int32", -(2**31), ValueType.INT64, integer=-(2**31))
_hold("uint32", "UInt32", 2**32 - 1, ValueType.INT64, integer=2**32 - 1)
_hold("int64", "Int64", -(2**63), ValueType.INT64, integer=-(2**63))
_hold("uint64", "UInt64", 2**64 - 1, ValueType.UINT64, text=str(2**64 - 1))
_hold("uint64-small", "UInt64", 7, ValueType.UINT64, integer=7)
_hold("float", "Float", 0.10000000149011612, ValueType.FLOAT32, double=0.10000000149011612)
_hold("double", "Double", 0.1, ValueType.FLOAT64, double=0.1)
_hold("nan", "Double", float("nan"), ValueType.FLOAT64, double=float("nan"))
_hold("infinity", "Double", float("-inf"), ValueType.FLOAT64, double=float("-inf"))
_hold("string", "String", "主轴 ü", ValueType.TEXT, text="主轴 ü")
_hold("bytes", "ByteString", b"\x00\xff", ValueType.BYTES, text="AP8=")
_hold(
    "time", "DateTime", datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), ValueType.TIME, text="2026-01-02T03:04:05.6789010Z"
)
_hold("guid", "Guid", None, ValueType.TEXT, text="12345678-1234-5678-1234-567812345678")
_hold("localized", "LocalizedText", "运行", ValueType.TEXT, text="运行")
_hold("array", "Int64", [1, -(2**63), 2**63 - 1], ValueType.ARRAY, text="[1,-9223372036854775808,9223372036854775807]")
_hold("texts", "String", ["a", "b"], ValueType.ARRAY, text='["a","b"]')


def _variant(kind: str, value: object) -> Any:
    if kind == "Guid":
        from uuid import UUID

        value = UUID("12345678-1234-5678-1234-567812345678")
    if kind == "LocalizedText":
        value = ua.LocalizedText(str(value))
    return ua.Variant(value, getattr(ua.VariantType, kind))


class OpcUaRig(TcpRig):
    """See `gongshu.testing.rig.Rig`."""

    spec = SPEC
    secrets = (PASSWORD, "wrong-password")
    known = Native(f"nsu={URI};s=known", ValueType.FLOAT64, double=0.5)
    missing = f"nsu={URI};s=no-such-variable"
    tree_size = 1300

    def __init__(self) -> None:
        super().__init__()
        self._nodes: dict[str, Node] = {}
        self._users = Users()
        self._application = place_client_identity(self.folder)
        self._password = PASSWORD
        self._extra: list[str] = []

    async def start(self) -> None:
        self._server, port = await start_server(self._users)
        self._index = await self._server.get_namespace_index(URI)
        await self._add("known", ua.Variant(0.5, ua.VariantType.Double))
        await self.lay_cable(port)

    async def stop(self) -> None:
        await self.cable.cut()
        await self._server.stop()

    def config_at(self, host: str, port: int, **overrides: object) -> ConnectorConfig:
        nodes = [{"address": f"nsu={URI};s={name}"} for name in (*self._nodes, *self._extra)]
        fields: dict[str, object] = {
            "url": f"opc.tcp://{host}:{port}/test", "username": "collector", "password": self._password,
            "trusted_sha256": (fingerprint(server_identity().certificate),), "timeout_s": self.timeout_s,
            "publishing_interval_ms": 50, "application_uri": self._application, "nodes": nodes,
        }  # fmt: skip
        return OpcUaConfig.model_validate(fields | overrides)

    async def change(self, step: int) -> Native:
        value = 1000.25 + step
        await self._write("known", ua.Variant(value, ua.VariantType.Double))
        return Native(self.known.address, ValueType.FLOAT64, double=value)

    async def natives(self) -> Sequence[Native]:
        for name, (kind, value, _) in VALUES.items():
            if name not in self._nodes:
                await self._add(name, _variant(kind, value))
        return [native for _, _, native in VALUES.values()]

    async def statuses(self) -> Sequence[tuple[str, Quality]]:
        found = []
        for name, code in (
            ("good", ua.StatusCodes.Good),
            ("clamped", ua.StatusCodes.GoodClamped),
            ("uncertain", ua.StatusCodes.UncertainLastUsableValue),
            ("bad", ua.StatusCodes.BadSensorFailure),
            ("reserved", 0xC0000000),
        ):
            await self._add(name, ua.Variant(1.0, ua.VariantType.Double))
            await self._write(name, ua.Variant(1.0, ua.VariantType.Double), code)
            quality = {0: Quality.GOOD, 1: Quality.UNCERTAIN}.get(int(code) >> 30, Quality.BAD)
            found.append((f"nsu={URI};s={name}", quality))
        return found

    async def spoil_one(self) -> str:
        self._extra.append("not-there")
        return f"nsu={URI};s=not-there"

    async def tree(self) -> frozenset[str]:
        folder = await self._server.nodes.objects.add_folder(ua.NodeId("many", self._index), "many")
        addresses = set()
        for i in range(self.tree_size):
            await folder.add_variable(ua.NodeId(f"many-{i}", self._index), f"v{i}", float(i))
            addresses.add(f"nsu={URI};s=many-{i}")
        return frozenset(addresses)

    async def overflow(self) -> None:
        await self._write("known", ua.Variant(77.0, ua.VariantType.Double), 0x480)

    async def fingerprint(self) -> object:
        return {name: await node.read_value() for name, node in self._nodes.items()}

    async def wrong_credentials(self) -> Sequence[ConnectorConfig]:
        return [
            self.config(password="wrong-password"),
            self.config(username="nobody"),
            self.config(trusted_sha256=("0" * 64,)),
            self.config(username="", password="", anonymous=True),
        ]

    async def rotate(self) -> ConnectorConfig:
        self._users.password = "rotated-s3cret"
        return self.config(password="rotated-s3cret")

    async def _add(self, name: str, variant: Any) -> None:
        node = await self._server.nodes.objects.add_variable(ua.NodeId(name, self._index), name, variant)
        self._nodes[name] = node
        await self._write(name, variant)

    async def _write(self, name: str, variant: Any, code: int = 0) -> None:
        value = ua.DataValue(variant, ua.StatusCode(code), SourceTimestamp=self._now())
        await self._server.write_attribute_value(self._nodes[name].nodeid, value)

    def _now(self) -> datetime:
        """Each write has a source time of its own, whatever the clock's steps."""
        now = datetime.now(UTC)
        last = getattr(self, "_last", now - timedelta(seconds=1))
        self._last = max(now, last + timedelta(microseconds=1))
        return self._last

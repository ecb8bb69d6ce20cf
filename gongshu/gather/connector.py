"""The door for connectors: what one declares, what it can do, and what it is given. It imports no SDK.

A connector is one folder: `SPEC` in its `__init__` (found by the entry point group `gongshu.connectors`), a config
class, a factory `open_<name>(config, context) -> Connector`, pure codecs, a `quality.toml`, a page in
`docs/connectors/`, and a test class made from `gongshu.testing.connector_contract`. There is no ability to write (I4).

The collector (`gongshu.gather.loop`) owns reconnecting, logging, counting, batching and storing. So a connector only:
opens and closes (again and again, the same object: what it remembers between, it may use to replay what was missed),
delivers into the `Feed` until it is cancelled, and raises one of our errors when the link is gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from gongshu.gather.errors import ConnectorUnknown
from gongshu.gather.ports import (
    PROTOCOL_OF,
    BrowseNode,
    Browses,
    Can,
    Connector,
    ConnectorBase,
    Context,
    DeliversTables,
    Feed,
    Finding,
    Loss,
    Polls,
    ProbeReport,
    Reads,
    Subscribes,
    TableSink,
    Tag,
)

__all__ = [
    "ENTRY_POINT_GROUP",
    "PROTOCOL_OF",
    "BrowseNode",
    "Browses",
    "Can",
    "Connector",
    "ConnectorBase",
    "ConnectorConfig",
    "ConnectorSpec",
    "Context",
    "DeliversTables",
    "Feed",
    "Finding",
    "Loss",
    "Polls",
    "ProbeReport",
    "QueueFull",
    "Reads",
    "Subscribes",
    "TableSink",
    "Tag",
    "connector_named",
    "installed_connectors",
    "setting",
]

ENTRY_POINT_GROUP = "gongshu.connectors"


class QueueFull(StrEnum):
    """What happens when values arrive faster than they can be stored."""

    BLOCK = "block"
    """The connector waits, and so does the far end; nothing is dropped here."""
    DROP_OLDEST = "drop_oldest"
    """The oldest waiting values are dropped, counted as lost, and shown."""


def setting(
    default: Any = ..., *, zh: str, en: str, example: object, unit: str = "", secret: bool = False, **bounds: Any
) -> Any:
    """Return a pydantic field of a connector's config with all that its form and doc page need (P4).

    `zh` and `en` say what the setting is; a `secret` one must be a `SecretStr`: it is stored in a file of its own,
    never in the database, and no message shows it. `bounds` go to pydantic (`gt`, `le`, `max_length`, …).
    """
    extra: dict[str, Any] = {"title_zh": zh, "title_en": en, "unit": unit, "secret": secret}
    return Field(default, description=en, examples=[example], json_schema_extra=extra, **bounds)


class ConnectorConfig(BaseModel):
    """What every connector's config has; a connector adds its own fields with `setting`. Strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_s: float = setting(
        5.0, zh="超时", en="Longest wait for any single answer", unit="s", example=5.0, gt=0, le=60
    )
    reconnect_min_s: float = setting(
        0.5, zh="重连最短间隔", en="First wait before connecting again", unit="s", example=0.5, gt=0, le=60
    )
    reconnect_max_s: float = setting(
        30.0, zh="重连最长间隔", en="Longest wait before connecting again", unit="s", example=30.0, gt=0, le=3600
    )
    silent_after_s: float = setting(
        60.0,
        zh="静默判定",
        en="Connected but without any value for so long means silent: reported, and connected anew; 0 never",
        unit="s",
        example=60.0,
        ge=0,
    )
    queue_rows_max: int = setting(
        200_000, zh="队列上限", en="Values that may wait to be stored", unit="rows", example=200_000, ge=1
    )
    queue_full: QueueFull = setting(
        QueueFull.BLOCK, zh="队列满时", en="What to do when the queue is full", example="block"
    )

    @property
    def endpoint(self) -> str:
        """What is talked to, as messages name it; without any secret. Each connector overrides it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """The one declaration of a connector; importing it imports no SDK."""

    name: str
    """Also the entry point's name and `SeriesSighting.protocol`."""
    title_zh: str
    title_en: str
    opens: str
    """`package.module:factory`; the factory takes (config, Context) and returns a connector that is not yet open."""
    config: str
    """`package.module:Class`, a ConnectorConfig."""
    can: frozenset[Can]
    sources: tuple[str, ...]
    """The standards and clauses it follows."""
    extra: str = ""
    """What `pip install gongshu[…]` needs; empty when it comes with the platform."""
    source_time: bool = True
    """False where the protocol carries no time of the device."""

    def config_type(self) -> type[ConnectorConfig]:
        """Return the config class; imports its module, which must not import the SDK."""
        return cast(type[ConnectorConfig], _load(self.config))

    def connector(self, config: ConnectorConfig, context: Context) -> Connector:
        """Return a connector, not yet open; here the SDK is imported."""
        return cast(Connector, _load(self.opens)(config, context))


def installed_connectors() -> dict[str, ConnectorSpec]:
    """Return every installed connector's declaration by name, in the order of the names."""
    return {spec.name: spec for spec in sorted(_specs(), key=lambda spec: spec.name)}


def connector_named(name: str) -> ConnectorSpec:
    """Return the declaration of one connector.

    Raises: ConnectorUnknown, naming those that are installed.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        return cast(ConnectorSpec, point.load())
    installed = ", ".join(sorted(point.name for point in entry_points(group=ENTRY_POINT_GROUP)))
    raise ConnectorUnknown(connector=name, installed=installed)


def _specs() -> Iterator[ConnectorSpec]:
    for point in entry_points(group=ENTRY_POINT_GROUP):
        yield cast(ConnectorSpec, point.load())


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)

"""The door for connectors: what one declares, what it can do, and what it is given. It imports no SDK.

A connector is one folder: `SPEC` in its `__init__` (found by the entry point group `gongshu.connectors`), a config
class, a factory `open_<name>(config, context) -> Connector`, pure codecs, a `quality.toml`, a page in
`docs/connectors/`, and a test class made from `gongshu.testing.connector_contract`. There is no ability to write (I4).

The collector (`gongshu.gather.loop`) owns reconnecting, logging, counting, batching and storing. So a connector only:
opens and closes (again and again, the same object: what it remembers between, it may use to replay what was missed),
delivers into the `Feed` until it is cancelled, and raises one of our errors when the link is gone.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, Self, cast, runtime_checkable

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from gongshu.gather.errors import ConnectorUnknown
from gongshu.model.ids import DatasetId, SourceId
from gongshu.model.reading import ValueType

ENTRY_POINT_GROUP = "gongshu.connectors"


class Can(StrEnum):
    """Everything a connector may declare. Each has one Protocol below; declaring is implementing (P3)."""

    BROWSE = "browse"
    """Lists what the far end has: `Browses`."""
    READ = "read"
    """Reads named addresses once: `Reads`."""
    SUBSCRIBE = "subscribe"
    """The far end pushes changes: `Subscribes`."""
    POLL = "poll"
    """The connector asks for its configured tags in a cycle: `Polls`."""
    TABLES = "tables"
    """Delivers whole tables, which become datasets: `DeliversTables`."""


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
class Tag:
    """One measured thing as the far end describes it; the source's asset mapping gives it its place in the tree."""

    address: str
    """The protocol's own address, stable over restarts: a node id with namespace URI, a topic, a register."""
    name: str
    """Short name: `spindle_load`."""
    value_type: ValueType
    path: str = ""
    """Place below the source's own asset, `/`-separated, as the far end names it; empty is that asset itself."""
    unit: str = ""
    title: str = ""
    writable: bool = False
    """The far end says that a client may write it. It is only noted: it weighs in grading."""


@dataclass(frozen=True, slots=True)
class BrowseNode:
    """One place in what the far end has: a folder, or a tag that can be collected."""

    address: str
    path: str
    """From the root of the browse, `/`-separated, ending in this node's name."""
    tag: Tag | None
    """None for a folder."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a probe looked at."""

    what: str
    """`reachable`, `protocol`, `login`, `least_privilege`, `tags`."""
    holds: bool | None
    """None: not judged, and `detail` says why."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a probe found, without having changed anything at the far end."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True if nothing that was judged is broken."""
        return all(finding.holds is not False for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Context:
    """What a connector gets from the node besides its config."""

    source_id: SourceId
    folder: Path
    """The source's own folder, mode 0700, kept over restarts: certificates, trust lists, what was already taken."""
    clock: Callable[[], datetime]
    """Aware UTC: the arrival time of values."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Values that will not come. Said, counted and kept, never passed over."""

    reason: str
    """`device overflow`, `sequence gap`, `outage`, `queue full`, `undecodable`."""
    readings: int | None = None
    """How many; None where the protocol cannot tell."""
    start: datetime | None = None
    end: datetime | None = None
    address: str = ""
    """The tag concerned; empty where it is the source as a whole."""


class Feed(Protocol):
    """Where a connector puts what it gets. All calls belong to the collector's event loop."""

    def tag(self, tag: Tag) -> int:
        """Return the tag's number: always the same for one address, small and without gaps.

        A tag that comes again with another unit, title or type is registered anew under the same number.
        """
        ...

    async def put(
        self,
        batch: pa.RecordBatch,
        *,
        acknowledge: Callable[[], None] | None = None,
        once: tuple[str, int] | None = None,
    ) -> None:
        """Queue a batch of NATIVE_SCHEMA; the intake joins small ones and stores them within a quarter of a second.

        `acknowledge` is called, on the event loop, after the batch is on disk: only then tell the far end that it may
        forget. It is never called if storing failed. Waits while the queue is full and the policy is `block`.
        `once` is (producer, sequence) where the far end can be read again from the start (a file): such a batch is
        stored alone, and only if this pair is not stored yet. Sequences of one producer grow.
        """
        ...

    def wrote_table(self, rows: int) -> None:
        """Count a table that was stored through the `TableSink`, and its rows."""
        ...

    def lose(self, loss: Loss) -> None:
        """Report that values are lost: shown, counted and kept with the source."""
        ...

    def bad_input(self, count: int = 1) -> None:
        """Count messages or frames that could not be decoded; the connection may go on."""
        ...

    def received(self, size_bytes: int) -> None:
        """Count bytes from the far end, as near to the wire as the SDK lets one."""
        ...

    def recovered(self) -> None:
        """Say that all that was missed while the link was last down has been replayed, so that no loss is noted."""
        ...

    def alive(self) -> None:
        """Say that the far end answers though no value changed (keep-alive): it is not silent."""
        ...


class TableSink(Protocol):
    """Where a connector puts whole tables: `gongshu.govern.store.DatasetStore`."""

    def write(
        self,
        name: str,
        data: pa.Table,
        *,
        title: str,
        origin: str,
        mode: str = "replace",
        parents: Sequence[DatasetId] = (),
        asset: Any = None,
    ) -> DatasetId:
        """Store the table as a dataset of the lake and return its id."""
        ...


class Connector(AbstractAsyncContextManager[Any], Protocol):
    """What every connector is. Opening twice or closing twice does no harm; after closing it can be opened again.

    Every call ends within the config's `timeout_s` a single answer, raises only GongshuError or CancelledError, and
    when cancelled leaves the connection closed.
    """

    async def open(self) -> None:
        """Connect and log in. Raises: EndpointUnreachable, EndpointSilent, LoginRefused, CertificateUntrusted."""
        ...

    async def close(self) -> None:
        """End the connection; no task, thread or socket is left. Never raises because the far end is gone."""
        ...

    async def probe(self) -> ProbeReport:
        """Return what can be reached with this config; opens and closes by itself, changes nothing at the far end.

        Raises: the errors of `open` when it cannot be reached at all.
        """
        ...


class ConnectorBase:
    """`async with connector:` for those who like to inherit it; the Protocol does not ask for it."""

    async def open(self) -> None:
        """See `Connector.open`."""
        raise NotImplementedError

    async def close(self) -> None:
        """See `Connector.close`."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@runtime_checkable
class Browses(Protocol):
    """`Can.BROWSE`."""

    def browse(self, under: str = "") -> AsyncIterator[BrowseNode]:
        """Yield every node below an address (the root if empty), parents first, each once, whatever the page size."""
        ...


@runtime_checkable
class Reads(Protocol):
    """`Can.READ`."""

    async def read(self, addresses: Sequence[str]) -> pa.RecordBatch:
        """Return one row of NATIVE_SCHEMA for each address, in that order; `tag` is the position in `addresses`.

        An address that does not exist or cannot be read is a row with a bad status, not an error.
        Raises: LinkLost or another of our errors when the far end as a whole does not answer.
        """
        ...


@runtime_checkable
class Subscribes(Protocol):
    """`Can.SUBSCRIBE`."""

    async def subscribe(self, feed: Feed) -> None:
        """Deliver changes until cancelled. Raises: LinkLost when the far end is gone; never returns by itself."""
        ...


@runtime_checkable
class Polls(Protocol):
    """`Can.POLL`."""

    async def poll(self, feed: Feed) -> None:
        """Deliver the configured tags, each group at its interval, until cancelled. Raises: LinkLost."""
        ...


@runtime_checkable
class DeliversTables(Protocol):
    """`Can.TABLES`."""

    async def deliver(self, feed: Feed, tables: TableSink) -> None:
        """Deliver what is there and what comes, as tables or readings, until cancelled."""
        ...


PROTOCOL_OF: dict[Can, type] = {
    Can.BROWSE: Browses,
    Can.READ: Reads,
    Can.SUBSCRIBE: Subscribes,
    Can.POLL: Polls,
    Can.TABLES: DeliversTables,
}


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

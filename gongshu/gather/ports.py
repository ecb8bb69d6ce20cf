"""What a connector is and what it is given: the protocols of the door. `gongshu.gather.connector` hands them all on."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import pyarrow as pa

from gongshu.gather.own_places import OwnPlaces
from gongshu.model.ids import DatasetId, SourceId
from gongshu.model.reading import ValueType


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
    own: OwnPlaces = field(default_factory=OwnPlaces)
    """What no connector may bring in: this node's own files."""


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

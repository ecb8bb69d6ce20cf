"""What sharing needs from outside, as small protocols: services of lower rooms, and the wire."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
from sqlalchemy import Connection

from gongshu.model.access import Decision, Request, Subject
from gongshu.model.dataset import Dataset
from gongshu.model.ids import AssetId, DatasetId, PartyId
from gongshu.share.model import Agreement, Record

Clock = Callable[[], datetime]


class CatalogueReader(Protocol):
    """The catalogue: what exists, and its grade."""

    def dataset(self, dataset_id: DatasetId) -> Dataset:
        """Return one dataset; raises a NotFound."""
        ...


class Rows(Protocol):
    """Rows on their way out of the gate."""

    @property
    def schema(self) -> pa.Schema:
        """Their columns."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield them; rows not yet read do not exist in memory."""
        ...

    def read_all(self) -> pa.Table:
        """Return all of them at once."""
        ...

    def close(self) -> None:
        """Let go of what is left."""
        ...


class GateDoor(Protocol):
    """The one way out of the lake."""

    def decide(self, request: Request) -> Decision:
        """Answer one question; the answer is in the audit log on return."""
        ...

    def read(self, subject: Subject, query: Any, *, purpose: str, action: str = "read") -> Rows:
        """Return rows that the subject may see; raises a Refused."""
        ...


class DatasetWriter(Protocol):
    """The one way to write a table dataset."""

    def write(
        self,
        name: str,
        data: pa.Table,
        *,
        title: str,
        origin: str,
        mode: str = "replace",
        parents: Sequence[DatasetId] = (),
        asset: AssetId | None = None,
    ) -> DatasetId:
        """Store and register; return the dataset's id."""
        ...


class Keeper(Protocol):
    """Who keeps what arrives under a contract: encrypted, readable only through the gate, under the terms."""

    def keep(
        self,
        record: Record,
        agreement: Agreement,
        name: str,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        *,
        title: str,
        actor: str,
        append: bool = False,
        also: Callable[[Connection, DatasetId], None] | None = None,
    ) -> DatasetId:
        """Keep the batches as the dataset of this name and return its id; they are seen when all of them are on disk.

        A delivery makes a new version; with `append` the rows join the version of the same transfer, as a stream does.
        What `also` writes is written in the same transaction as makes the rows seen: both or neither, if it raises.
        Raises: CopyForbidden if the contract has ended or the name is taken by other data; NameUnusable; what a table
            cannot hold; and whatever the batches raise. Nothing is kept then.
        Cost: about a million rows in memory, and nothing on disk in clear.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What the other side answered."""

    status_code: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""

    @property
    def is_ok(self) -> bool:
        """True for 200 to 299."""
        return 200 <= self.status_code < 300


class Wire(Protocol):
    """How requests reach another party's node."""

    def post(self, party: PartyId, base: str, path: str, body: bytes) -> Reply:
        """Send one message below the base address, empty for the party's registered one; raises PeerUnreachable."""
        ...

    def get(self, party: PartyId, base: str, path: str) -> Reply:
        """Ask for a document; raises PeerUnreachable."""
        ...

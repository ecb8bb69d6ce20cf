"""What keeping needs from outside: the wire to a provider, the catalogue of this node, the storage of sealed files."""

from collections.abc import Callable, Sequence
from typing import Protocol

import pyarrow as pa

from gongshu.model.ids import AssetId, DatasetId, PartyId
from gongshu.share.ports import CatalogueReader, Reply

Post = Callable[[PartyId, str, bytes], Reply]
"""Sends a body to a path of a party's node, proving who we are; raises PeerUnreachable and its neighbours."""


class Lineage(Protocol):
    """What a dataset was made from."""

    @property
    def parents(self) -> Sequence[DatasetId]:
        """Its direct sources."""
        ...

    @property
    def children(self) -> Sequence[DatasetId]:
        """What was made from it directly."""
        ...


class Catalogue(CatalogueReader, Protocol):
    """The catalogue, where copies are registered like any table."""

    def register_table(
        self,
        *,
        table: str,
        title: str,
        schema: pa.Schema,
        sample: pa.Table | None,
        origin: str,
        asset: AssetId | None = None,
        parents: Sequence[DatasetId] = (),
    ) -> DatasetId:
        """Register the table, or bring it up to date; return the dataset's id."""
        ...

    def lineage(self, dataset_id: DatasetId) -> Lineage:
        """Return parents and children; raises a NotFound."""
        ...

"""The one way to write a table dataset: into the lake, and at once into the catalogue, with where it came from."""

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.classify.profile import SAMPLE_ROWS_MAX
from gongshu.govern.errors import DatasetUnknown, TableTaken
from gongshu.govern.naming import decide_dataset_id
from gongshu.model.ids import AssetId, DatasetId

RECEIVED = "partner:"
"""How the origin of data begins that were received under a contract."""


class TableSink(Protocol):
    """What the store needs of the lake."""

    def write_table(self, table: str, data: pa.Table, *, mode: str = "append") -> int:
        """Store rows and return the snapshot's id."""
        ...


class CopyKeeper(Protocol):
    """Who keeps what was made from data received under a contract: not in a table that anybody could read."""

    def derive(
        self, table: DatasetId, data: pa.Table, *, title: str, origin: str, parents: Sequence[DatasetId], mode: str
    ) -> DatasetId | None:
        """Keep it and return its id; None if none of the parents comes from such data. Raises a Refused."""
        ...


class DatasetStore:
    """Writes table datasets."""

    def __init__(self, lake: TableSink, catalogue: CatalogueService, copies: CopyKeeper | None = None) -> None:
        self._lake = lake
        self._catalogue = catalogue
        self._copies = copies

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
        """Store rows as the dataset of this name and return its id; `mode` is `replace` or `append`.

        The table is registered, classified and graded before its rows are stored: there is no moment in which rows
        lie in a table that the catalogue does not know. With parents it is proposed not below any of them.

        What was made from data received under a contract is kept encrypted, under the same contract.

        Raises: NameUnusable, SchemaUnusable, TableTaken, DatasetUnknown for a parent, StateSecretDeclared; a Refused
            where a contract does not cover it.
        """
        table = decide_dataset_id(name)
        self._require_free(table)
        if self._copies is not None:
            kept = self._copies.derive(table, data, title=title, origin=origin, parents=parents, mode=mode)
            if kept is not None:
                return kept
        else:
            self._require_own(table, parents)
        sample = data.slice(0, SAMPLE_ROWS_MAX)
        dataset_id = self._catalogue.register_table(
            table=table, title=title, schema=data.schema, sample=sample, origin=origin, asset=asset, parents=parents
        )
        self._lake.write_table(table, data, mode=mode)
        return dataset_id

    def _require_own(self, table: DatasetId, parents: Sequence[DatasetId]) -> None:
        """A process that knows no contracts writes nothing that was received under one, or made from such."""
        level, seen = [table, *parents], set[DatasetId]()
        while level:
            for dataset_id in level:
                try:
                    origin = self._catalogue.dataset(dataset_id).origin
                except DatasetUnknown:
                    continue
                if origin.startswith(RECEIVED):
                    raise TableTaken(table=table, dataset_id=dataset_id)
            seen.update(level)
            level = [above for one in level for above in self._parents(one) if above not in seen]

    def _parents(self, dataset_id: DatasetId) -> Sequence[DatasetId]:
        try:
            return self._catalogue.lineage(dataset_id).parents
        except DatasetUnknown:
            return ()

    def _require_free(self, table: DatasetId) -> None:
        try:
            found = self._catalogue.dataset(table)
        except DatasetUnknown:
            return
        if found.table is None:
            raise TableTaken(table=table, dataset_id=found.dataset_id)

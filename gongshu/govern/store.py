"""The one way to write a table dataset: into the lake, and at once into the catalogue, with where it came from."""

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.classify.profile import SAMPLE_ROWS_MAX
from gongshu.govern.errors import DatasetUnknown, TableTaken
from gongshu.govern.naming import decide_dataset_id
from gongshu.model.ids import AssetId, DatasetId


class TableSink(Protocol):
    """What the store needs of the lake."""

    def write_table(self, table: str, data: pa.Table, *, mode: str = "append") -> int:
        """Store rows and return the snapshot's id."""
        ...


class DatasetStore:
    """Writes table datasets."""

    def __init__(self, lake: TableSink, catalogue: CatalogueService) -> None:
        self._lake = lake
        self._catalogue = catalogue

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

        Raises: NameUnusable, SchemaUnusable, TableTaken, DatasetUnknown for a parent, StateSecretDeclared.
        """
        table = decide_dataset_id(name)
        self._require_free(table)
        sample = data.slice(0, SAMPLE_ROWS_MAX)
        dataset_id = self._catalogue.register_table(
            table=table, title=title, schema=data.schema, sample=sample, origin=origin, asset=asset, parents=parents
        )
        self._lake.write_table(table, data, mode=mode)
        return dataset_id

    def _require_free(self, table: DatasetId) -> None:
        try:
            found = self._catalogue.dataset(table)
        except DatasetUnknown:
            return
        if found.table is None:
            raise TableTaken(table=table, dataset_id=found.dataset_id)

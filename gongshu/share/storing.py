"""Received rows become a dataset: the one place where this room hands them on.

`StoreKeeper` keeps them in the lake as they are. Whatever enforces the contract on what was received stands behind the
same port.
"""

from collections.abc import Iterable

import pyarrow as pa

from gongshu.model.ids import DatasetId
from gongshu.share.model import Agreement, Record
from gongshu.share.ports import DatasetWriter


class StoreKeeper:
    """Implements `ports.Keeper` with the store of datasets."""

    def __init__(self, writer: DatasetWriter) -> None:
        self._writer = writer

    def keep(
        self,
        record: Record,
        agreement: Agreement,  # noqa: ARG002
        name: str,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        *,
        title: str,
        actor: str,  # noqa: ARG002
        append: bool = False,
        part: str = "",  # noqa: ARG002
    ) -> DatasetId:
        """Store all rows, or none if `batches` raises, as a dataset of origin `partner:<party>`; return its id.

        Cost: the rows in memory.
        """
        table = pa.Table.from_batches(list(batches), schema=schema)
        return self._writer.write(
            name, table, title=title, origin=f"partner:{record.counterparty}", mode="append" if append else "replace"
        )

"""Encrypted tables: Parquet with modular encryption (AES-256-GCM), read by pyarrow and handed to the engine.

DuckDB does not verify the authenticated data that pyarrow writes, so it never sees file or key: the worker gives it a
pyarrow dataset, which decrypts while it is scanned. The key is in no SQL text. See docs/decisions/0073.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from gongshu.lake.errors import SealedUnreadable, TableSchemaMismatch
from gongshu.model.sealed import SealedFile, SealedReport, SealedRows

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

GROUP_ROWS = 1 << 20
"""Rows of a row group: the grain in which a scan skips by bounds. Ours."""
GROUP_BYTES = 256 * 1024 * 1024
"""What the writer holds in memory before it begins a new row group, however long or many the values of a row. Ours."""
_BATCH_BYTES, _BUFFER_BYTES = 2048, 256
"""What a batch and a buffer take in memory beside their values, measured: a million batches of one row are large."""
COMPRESSION_LEVEL = 1
"""Of Zstandard; measured as fast as none, at a tenth of the size for readings."""


def sealed_schema(name: str, schema: pa.Schema) -> pa.Schema:
    """Return the columns in the types in which every table of the lake keeps them, without metadata.

    Raises: ColumnTypeUnsupported.
    """
    from gongshu.lake.columns import stored_type  # the table format's library; the worker reads without it

    return pa.schema([pa.field(field.name, stored_type(name, field.name, field.type)[1]) for field in schema])


def write_sealed(file: SealedFile, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> SealedReport:
    """Write the batches encrypted, a row group at a time; the file has its name only when all of it is on disk.

    Until then it is locked (shared, `flock`), so that who sweeps can tell it from one whose process is gone.
    Raises: TableSchemaMismatch, OSError, and whatever the batches raise; nothing is left under the name then.
    Cost: one row group in memory; no byte of it reaches the disk in clear.
    """
    import pyarrow.parquet as pq  # its 16 MB only where something is written, not in every query worker
    from pyarrow.parquet.encryption import create_encryption_properties

    properties = create_encryption_properties(
        footer_key=file.key, aad_prefix=file.bound_to.encode(), store_aad_prefix=False
    )
    file.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = file.path.with_name(f".{file.path.name}.partial")
    rows = 0
    try:
        with _locked(partial):
            with pq.ParquetWriter(
                partial,
                schema,
                compression="zstd",
                compression_level=COMPRESSION_LEVEL,
                use_dictionary=_texts(schema),
                encryption_properties=properties,
            ) as writer:
                for group in _groups(schema, batches):
                    rows += group.num_rows
                    writer.write_table(group, row_group_size=GROUP_ROWS)
            report = SealedReport(rows, partial.stat().st_size, _settled(partial))
            partial.replace(file.path)
        _sync_folder(file.path.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return report


def open_sealed(rows: SealedRows) -> "Dataset":
    """Return a dataset that decrypts what is scanned of it; nothing is read yet.

    Raises: SealedUnreadable if a file is gone.
    """
    import pyarrow.dataset as ds
    from pyarrow.parquet.encryption import create_decryption_properties

    parts: list[ds.Dataset] = []
    for file in rows.files:
        if not file.path.is_file():
            raise SealedUnreadable(reason="a file of it is gone")
        properties = create_decryption_properties(footer_key=file.key, aad_prefix=file.bound_to.encode())
        options = ds.ParquetFragmentScanOptions(decryption_properties=properties)
        form = ds.ParquetFileFormat(default_fragment_scan_options=options)
        parts.append(ds.dataset(str(file.path), schema=rows.schema, format=form))
    if not parts:
        return ds.dataset(rows.schema.empty_table())
    return parts[0] if len(parts) == 1 else ds.dataset(parts)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _texts(schema: pa.Schema) -> list[str]:
    """Return the columns worth a dictionary; for numbers and times it doubles the cost of writing and saves nothing."""
    return [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]


def _groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    count = size_bytes = 0
    for batch in batches:
        while batch.num_rows:
            part, batch = batch.slice(0, GROUP_ROWS - count), batch.slice(GROUP_ROWS - count)
            waiting.append(_fitted(part, schema))
            count, size_bytes = count + part.num_rows, size_bytes + _held_bytes(waiting[-1])
            if count == GROUP_ROWS or size_bytes >= GROUP_BYTES:
                yield pa.Table.from_batches(waiting, schema)
                waiting, count, size_bytes = [], 0, 0
    if count:
        yield pa.Table.from_batches(waiting, schema)


def _held_bytes(batch: pa.RecordBatch) -> int:
    buffers = sum(len(column.buffers()) for column in batch.columns)
    return int(batch.nbytes) + _BATCH_BYTES + _BUFFER_BYTES * buffers


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema.equals(schema):
        return batch
    columns = []
    for field in schema:
        try:
            columns.append(batch.column(field.name).cast(field.type))
        except (pa.ArrowException, KeyError) as cause:
            # The reason may quote a value, so it is not passed on.
            seen = batch.schema.field(field.name).type if field.name in batch.schema.names else "nothing"
            raise TableSchemaMismatch(table="received", column=field.name, expected=field.type, seen=seen) from cause
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _settled(path: Path) -> str:
    """Bring the file to disk and return the hash of its bytes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    path.chmod(0o600)
    return digest


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

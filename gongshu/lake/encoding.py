"""Which Parquet encoding each column of a file gets: tried on a sample, because no fixed encoding wins. Pure.

Only encodings that every Iceberg reader knows are used, so a value reads back as the very same double everywhere.
Source: docs/decisions/0005-encodings-by-trial.md.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

DICTIONARY = "DICTIONARY"
_TIMES = ("DELTA_BINARY_PACKED", "PLAIN")
_NUMBERS = (DICTIONARY, "PLAIN", "BYTE_STREAM_SPLIT")
_INTEGERS = (DICTIONARY, "DELTA_BINARY_PACKED", "PLAIN")
SAMPLE_CHUNKS = 4
SAMPLE_CHUNK_ROWS = 8_192
DICTIONARY_BYTES = 4 << 20
"""A column chunk whose distinct values need more falls back to plain; the format's usual 1 MB is too small for the
steps of an analogue input over a day."""
DECIMALS = 4
"""Values with at most so many decimals count as stepped: analogue inputs, counters, states, rounded floats."""


def choose_encodings(table: pa.Table) -> dict[str, str]:
    """Return the encoding of each column that is not best left to a dictionary; the choice is tried on a sample.

    Cost: encodes up to 32,768 rows a few times over, some milliseconds.
    """
    sample = _sample(table)
    chosen = {}
    for field in table.schema:
        candidates = _candidates(field.type)
        if len(candidates) > 1 and sample.column(field.name).null_count < sample.num_rows:
            column = sample.select([field.name])
            chosen[field.name] = min(candidates, key=lambda encoding: _encoded_bytes(column, encoding))
    return chosen


def writer_options(table: pa.Table, encodings: Mapping[str, str]) -> dict[str, object]:
    """Return the keyword arguments of `pyarrow.parquet.ParquetWriter` for these choices."""
    plain = {name: encoding for name, encoding in encodings.items() if encoding != DICTIONARY}
    return {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": [name for name in table.column_names if name not in plain],
        "column_encoding": plain,
        "dictionary_pagesize_limit": DICTIONARY_BYTES,
        "data_page_size": 1 << 20,
        "write_page_index": True,
        "store_schema": False,
    }


def split_shapes(table: pa.Table) -> list[pa.Table]:
    """Return the readings in one or two parts: series with stepped values, and series with full-precision floats.

    Their best encodings differ by a factor of two and more, and a file has one encoding a column. A part that would
    hold under an eighth of the rows is not split off: a small file costs more than it saves.
    """
    values = table.column("value_double")
    if values.null_count == table.num_rows:
        return [table]
    scale = 10.0**DECIMALS
    stepped = pc.equal(pc.divide(pc.round(pc.multiply(values, scale)), scale), values)
    continuous = pc.unique(table.column("series_id").filter(pc.invert(stepped)))
    if not len(continuous):
        return [table]
    is_continuous = pc.is_in(table.column("series_id"), continuous)
    count = pc.sum(is_continuous).as_py()
    if min(count, table.num_rows - count) < table.num_rows / 8:
        return [table]
    return [table.filter(pc.invert(is_continuous)), table.filter(is_continuous)]


def _candidates(kind: pa.DataType) -> tuple[str, ...]:
    if pa.types.is_timestamp(kind):
        return _TIMES
    if pa.types.is_floating(kind):
        return _NUMBERS
    return _INTEGERS if kind in (pa.int32(), pa.int64()) else (DICTIONARY,)


def _sample(table: pa.Table) -> pa.Table:
    rows = table.num_rows
    if rows <= SAMPLE_CHUNKS * SAMPLE_CHUNK_ROWS:
        return table
    step = (rows - SAMPLE_CHUNK_ROWS) // (SAMPLE_CHUNKS - 1)
    return pa.concat_tables([table.slice(i * step, SAMPLE_CHUNK_ROWS) for i in range(SAMPLE_CHUNKS)]).combine_chunks()


def _encoded_bytes(column: pa.Table, encoding: str) -> int:
    sink = pa.BufferOutputStream()
    options = writer_options(column, {column.column_names[0]: encoding}) | {"write_page_index": False}
    with pq.ParquetWriter(sink, column.schema, write_statistics=False, **options) as writer:
        writer.write_table(column)
    return int(sink.tell())

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
SAMPLE_CHUNKS = 2
SAMPLE_CHUNK_ROWS = 8_192
DICTIONARY_BYTES = 4 << 20
"""A column chunk whose distinct values need more falls back to plain; the format's usual 1 MB is too small for the
steps of an analogue input over a day."""
PAGE_ROWS = 262_144
PAGE_BYTES = 4 << 20
"""Pages are compressed one by one. Arrival times repeat from series to series, as all series of a device arrive
together: pages that span many series halve those columns. The library's usual 20,000 rows span ten."""
LEVEL, LEVEL_OF_CONTENT = 3, 6
"""Of Zstandard. On times and floats 6 saves some per cent over 3; elsewhere it only takes longer."""
FEW_VALUES = 32
"""A series with at most so many different values in a batch: states, and inputs that rest within some steps."""
DECIMALS = 4
"""Values with at most so many decimals count as stepped: analogue inputs, counters, states, rounded floats."""


def choose_encodings(table: pa.Table) -> dict[str, str]:
    """Return the encoding of each column that is not best left to a dictionary; the choice is tried on a sample.

    Cost: encodes up to 16,384 rows a few times over, some milliseconds.
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
        "compression_level": {
            field.name: LEVEL_OF_CONTENT if _is_content(field.type) else LEVEL for field in table.schema
        },
        "use_dictionary": [name for name in table.column_names if name not in plain],
        "column_encoding": plain,
        "dictionary_pagesize_limit": DICTIONARY_BYTES,
        "data_page_size": PAGE_BYTES,
        "max_rows_per_page": PAGE_ROWS,
        "write_page_index": True,
        "store_schema": False,
    }


def split_shapes(series: pa.Array, values: pa.Array) -> list[pa.Array]:
    """Return up to three masks over the rows: series of stepped values, of few values, of full-precision floats.

    Their best encodings differ by a factor of two and more, a file has one encoding a column, and a dictionary that
    holds the values of all three is wide for each. A part that would hold under an eighth of the rows is not split
    off: a small file costs more than it saves.
    Shape: booleans; each row is true in exactly one mask, and all rows of a series in the same one.
    """
    everything = [pa.repeat(pa.scalar(True), len(series))]
    if values.null_count == len(values):
        return everything
    masks = _parted(everything, pc.is_in(series, _series_of_full_floats(series, values)))
    few = _series_of_few_values(series.filter(masks[0]), values.filter(masks[0]))
    return _parted(masks, pc.is_in(series, few))


def _series_of_full_floats(series: pa.Array, values: pa.Array) -> pa.Array:
    scale = 10.0**DECIMALS
    stepped = pc.equal(pc.divide(pc.round(pc.multiply(values, scale)), scale), values)
    return pc.unique(series.filter(pc.invert(stepped)))


def _series_of_few_values(series: pa.Array, values: pa.Array) -> pa.Array:
    codes = values.dictionary_encode().indices.cast(pa.int64()).fill_null(0)
    pairs = pc.add(pc.multiply(series.cast(pa.int64()), 1 << 32), codes)
    counts = pc.value_counts(pc.divide(pc.unique(pairs), 1 << 32))
    return counts.field("values").filter(pc.less_equal(counts.field("counts"), FEW_VALUES)).cast(pa.int32())


def _parted(masks: list[pa.Array], chosen: pa.Array) -> list[pa.Array]:
    """Split the first mask into its rows that are chosen and those that are not, unless either would be small."""
    inside, outside = pc.and_(masks[0], chosen), pc.and_not(masks[0], chosen)
    least = len(chosen) // 8
    if min(pc.sum(inside).as_py(), pc.sum(outside).as_py()) < max(least, 1):
        return masks
    return [outside, inside, *masks[1:]]


def _is_content(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_floating(kind))


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

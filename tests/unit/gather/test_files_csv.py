"""CSV files become tables: encodings, delimiters, quotes, cautious types, rows set aside with line and reason."""

import resource
import tracemalloc
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongshu.gather.connectors.files.config import CsvOptions
from gongshu.gather.connectors.files.csv_table import read_csv_file
from gongshu.gather.connectors.files.kinds import type_column
from gongshu.gather.connectors.files.scan import scan_text
from gongshu.gather.errors import FileUnreadable, LineTooLong

DEFAULT = CsvOptions()


def write(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def kinds(table: pa.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


def test_types_are_inferred_cautiously(tmp_path: Path) -> None:
    content = (
        "part,count,load,ok,day,at,zoned,mixed,big\n"
        "007,1,1.5,true,2026-01-02,2026-01-02 03:04:05.5,2026-01-02T03:04:05+08:00,1,12345678901234567890\n"
        "008,-2,2e3,FALSE,2026-01-03,2026-01-02T03:04,2026-01-02T03:04:05Z,x,1\n"
    )
    found = read_csv_file(write(tmp_path, content), DEFAULT)
    assert kinds(found.table) == {
        "part": "string",
        "count": "int64",
        "load": "double",
        "ok": "bool",
        "day": "date32[day]",
        "at": "timestamp[us]",
        "zoned": "timestamp[us, tz=UTC]",
        "mixed": "string",
        "big": "string",
    }
    row = found.table.to_pylist()[0]
    assert (row["count"], row["load"], row["ok"], row["day"]) == (1, 1.5, True, date(2026, 1, 2))
    assert row["at"] == datetime(2026, 1, 2, 3, 4, 5, 500_000)  # noqa: DTZ001 - the file names no zone
    assert row["zoned"] == datetime(2026, 1, 1, 19, 4, 5, tzinfo=UTC)
    assert found.bad_rows == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_encodings_are_found_out(tmp_path: Path, encoding: str) -> None:
    found = read_csv_file(write(tmp_path, "设备,负载\n铣床,12\n车床,13\n".encode(encoding)), DEFAULT)
    assert found.table.to_pydict() == {"设备": ["铣床", "车床"], "负载": [12, 13]}


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="zero bytes"):
        read_csv_file(write(tmp_path, b"a,b\n\0\0"), DEFAULT)
    with pytest.raises(FileUnreadable, match="not text in utf-8 or gb18030"):
        read_csv_file(write(tmp_path, b"a,b\n\xff\xff\xff,1\n"), DEFAULT)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found_out(tmp_path: Path, delimiter: str) -> None:
    lines = [delimiter.join(row) for row in (("a", "b", "c"), ("1", "2.5", "x"), ("2", "3.5", "y"))]
    found = read_csv_file(write(tmp_path, "\r\n".join(lines)), DEFAULT)
    assert found.table.to_pydict() == {"a": [1, 2], "b": [2.5, 3.5], "c": ["x", "y"]}


def test_quoted_newlines_stay_in_their_cell(tmp_path: Path) -> None:
    found = read_csv_file(write(tmp_path, 'a,b\n1,"two\nlines ""quoted"""\n2,x\n'), DEFAULT)
    assert found.table.to_pydict() == {"a": [1, 2], "b": ['two\nlines "quoted"', "x"]}


def test_inch_marks_are_no_quotes(tmp_path: Path) -> None:
    found = read_csv_file(write(tmp_path, 'a,b\n1,5" pipe\n2,x\n3,y\n'), DEFAULT)
    assert found.table.to_pydict() == {"a": [1, 2, 3], "b": ['5" pipe', "x", "y"]}


def test_rows_with_the_wrong_number_of_cells_are_set_aside_with_their_line(tmp_path: Path) -> None:
    content = 'a,b\n1,2\n\n3\n4,"x\ny"\n5,6,7\n8,9\n'
    found = read_csv_file(write(tmp_path, content), DEFAULT)
    assert [(bad.line, bad.reason, bad.text) for bad in found.bad_rows] == [
        (4, "1 cells where 2 are expected", "3"),
        (7, "3 cells where 2 are expected", "5,6,7"),
    ]
    assert found.table.column("a").to_pylist() == [1, 4, 8]


def test_the_few_cells_that_are_no_number_set_their_rows_aside(tmp_path: Path) -> None:
    rows = [f"{i},{i}.5" for i in range(100)]
    rows[10], rows[50], rows[70] = "10,n/a", "50", "x,70.5"
    found = read_csv_file(write(tmp_path, "id,load\n" + "\n".join(rows)), DEFAULT)
    assert kinds(found.table) == {"id": "int64", "load": "double"}
    assert [(bad.line, bad.reason) for bad in found.bad_rows] == [
        (12, "load: 'n/a' is no number"),
        (52, "1 cells where 2 are expected"),
        (72, "id: 'x' is no integer"),
    ]
    assert found.table.num_rows == 97


def test_lines_are_right_across_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gongshu.gather.connectors.files.scan.PIECE_BYTES", 7)
    content = 'a,b\n1,2\n\n3\n4,"x\ny"\n5,6,7\n8,9\n"u\nv",1,2'
    found = read_csv_file(write(tmp_path, content), DEFAULT)
    assert [bad.line for bad in found.bad_rows] == [4, 7, 9]


def test_names_are_made_usable(tmp_path: Path) -> None:
    options = CsvOptions(header=True, skip_rows=2)
    found = read_csv_file(write(tmp_path, "Report\n\nload,Load,\n1,2,3\n4\n"), options)
    assert found.table.column_names == ["load", "Load_2", "column_3"]
    assert [bad.line for bad in found.bad_rows] == [5]


def test_a_name_may_hold_a_newline(tmp_path: Path) -> None:
    found = read_csv_file(write(tmp_path, 'id,"load\n(kW)"\n1,2\n3\n'), DEFAULT)
    assert found.table.to_pydict() == {"id": [1], "load (kW)": [2]}
    assert [bad.line for bad in found.bad_rows] == [4]


def test_a_file_without_names_gets_some(tmp_path: Path) -> None:
    found = read_csv_file(write(tmp_path, "1,2\n3,4\n"), DEFAULT)
    assert found.table.to_pydict() == {"column_1": [1, 3], "column_2": [2, 4]}


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="no rows"):
        read_csv_file(write(tmp_path, ""), DEFAULT)


def test_a_wrong_delimiter_does_not_set_everything_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gongshu.gather.connectors.files.csv_table.BAD_ROWS_MAX", 50)
    content = "a,b\n" + "1;2;3\n" * 100
    with pytest.raises(FileUnreadable, match="more than 50 rows"):
        read_csv_file(write(tmp_path, content), CsvOptions(delimiter=",", header=True))


def test_a_line_of_two_gigabytes_is_refused_in_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "line.csv"
    with file.open("wb") as stream:
        stream.write(b"a,b\n1,2\n" + b"x" * (64 * 1024 * 1024))
        stream.truncate(2_000_000_000)  # the rest is a hole: zeros, which a text file cannot hold either
    tracemalloc.start()
    with pytest.raises(LineTooLong) as caught:
        read_csv_file(file, DEFAULT)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.fields["offset"] == 8
    assert peak_bytes < 100 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4_000_000


def test_an_endless_quoted_cell_is_read_as_lines(tmp_path: Path) -> None:
    content = 'a,b\n"1,2\n' + "3,4\n" * 2_000
    scan = scan_text(write(tmp_path, content), encoding="", line_size_max_bytes=1_000)
    assert not scan.quoted_newlines
    assert scan.record_max_bytes < 20


@given(st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=50))
def test_integers_keep_their_value(values: list[int]) -> None:
    cells = pa.chunked_array([[str(value) for value in values]], pa.string())
    typed, outliers, kind = type_column(cells, outlier_share_max=0.05)
    assert (typed.to_pylist(), len(outliers), kind) == (values, 0, "integer")


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=50))
def test_doubles_keep_their_value(values: list[float]) -> None:
    cells = pa.chunked_array([[repr(value) for value in values]], pa.string())
    typed, _, kind = type_column(cells, outlier_share_max=0.05)
    assert kind == "number"
    assert typed.to_pylist() == values


@pytest.mark.parametrize("cell", ["1e400", "0.123456789012345678", "12345678901234567890", "1,5", "0x10", "e5"])
def test_what_a_double_cannot_hold_stays_text(cell: str) -> None:
    assert type_column(pa.chunked_array([[cell]]), outlier_share_max=0.05)[2] == "text"


@pytest.mark.parametrize("cell", ["2026-02-30", "2026-01-01 24:00", "2026-01-01 10:61:00", "2026/13/01"])
def test_times_that_do_not_exist_stay_text(cell: str) -> None:
    assert type_column(pa.chunked_array([[cell]]), outlier_share_max=0.05)[2] == "text"


@settings(max_examples=200, deadline=None)
@given(cells=st.lists(st.text(alphabet="0123456789-+.eE:/ TZ日\tNaninf", max_size=24), min_size=1, max_size=30))
def test_any_text_has_some_type_and_nothing_is_lost(cells: list[str]) -> None:
    column = pa.chunked_array([cells], pa.string())
    typed, outliers, kind = type_column(column, outlier_share_max=0.05)
    assert len(typed) == len(cells)
    assert (kind != "text") or typed.to_pylist() == cells
    assert all(typed[row].as_py() is None for row in outliers.tolist())


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_a_table_or_our_error(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = write(tmp_path_factory.mktemp("any"), content)
    try:
        found = read_csv_file(file, DEFAULT)
    except (FileUnreadable, LineTooLong):
        return
    assert found.table.num_columns > 0

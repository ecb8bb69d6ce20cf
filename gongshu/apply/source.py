"""An app's one way to readings: the gate, as the app's own subject and for its own purpose."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from gongshu.apply.model import SeriesFacts
from gongshu.errors import Refused
from gongshu.govern.catalogue import CatalogueService
from gongshu.model.access import Decision, Role, Subject
from gongshu.model.ids import DatasetId, PartyId, SeriesId, SubjectId
from gongshu.model.reading import STATUS_UNCERTAIN
from gongshu.secure.gate import DatasetQuery, Gate, SqlQuery

COLUMNS = ("series_id", "time", "value", "value_text", "status")
READ_SCHEMA = pa.schema(
    [
        pa.field("series_id", pa.int32()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("value", pa.float64()),
        pa.field("value_text", pa.string()),
        pa.field("status", pa.uint32()),
    ]
)
GAP_SCHEMA = pa.schema(
    [
        pa.field("series_id", pa.int32()),
        pa.field("gap_start", pa.timestamp("us", tz="UTC")),
        pa.field("gap_end", pa.timestamp("us", tz="UTC")),
    ]
)


def app_subject(app: str, own_party: PartyId) -> Subject:
    """Return the subject as which an app reads."""
    return Subject(SubjectId(f"service:{app}"), own_party, frozenset({Role.APP}))


class GateSource:
    """Reads as one app. It counts what it read and remembers the audit records of it."""

    def __init__(self, gate: Gate, catalogue: CatalogueService, app: str, own_party: PartyId) -> None:
        self._gate = gate
        self._catalogue = catalogue
        self._subject = app_subject(app, own_party)
        self._purpose = f"app:{app}"
        self.audit_indexes: list[int] = []

    def read(self, series: Sequence[SeriesId], start: datetime, end: datetime) -> pa.Table:
        """Return the readings of some series in [start, end), in order of series and time.

        Shape: `READ_SCHEMA`.
        Raises: Denied.
        Cost: holds the readings in memory; meant for values that are told when they change.
        """
        parts = []
        for dataset_id, mine in self._by_dataset(series):
            query = DatasetQuery(dataset_id, COLUMNS, start, end, where=(f"series_id IN ({_ids(mine)})",))
            result = self._gate.read(self._subject, query, purpose=self._purpose)
            self.audit_indexes.append(result.audit_index)
            parts.append(result.read_all().select(COLUMNS).cast(READ_SCHEMA))
        table = pa.concat_tables(parts) if parts else READ_SCHEMA.empty_table()
        return table.sort_by([("series_id", "ascending"), ("time", "ascending")]).combine_chunks()

    def gaps(self, series: Sequence[SeriesId], start: datetime, end: datetime, *, gap_min_s: float) -> pa.Table:
        """Return the spans longer than `gap_min_s` in which a series has no good reading, the edges included.

        Shape: `GAP_SCHEMA`. A series without any good reading is one gap from start to end.
        Raises: Denied.
        """
        gap_us = round(gap_min_s * 1e6)
        found = [GAP_SCHEMA.empty_table()]
        silent = set(series)
        for dataset_id, mine in self._by_dataset(series):
            rows = self._ask(
                f"SELECT series_id, earlier, time, later FROM (SELECT series_id, time, "
                f"lag(time) OVER (PARTITION BY series_id ORDER BY time) AS earlier, "
                f"lead(time) OVER (PARTITION BY series_id ORDER BY time) AS later FROM {dataset_id} "
                f"WHERE series_id IN ({_ids(mine)}) AND {_within(start, end)} AND status < {STATUS_UNCERTAIN}) AS t "
                f"WHERE earlier IS NULL OR later IS NULL OR date_diff('microsecond', earlier, time) > {gap_us}"
            )
            silent -= set(rows["series_id"].to_pylist())
            first, last = pa.scalar(start, GAP_SCHEMA[1].type), pa.scalar(end, GAP_SCHEMA[2].type)
            opened = pc.fill_null(rows["earlier"].cast(GAP_SCHEMA[1].type), first)
            found.append(_gap_table(rows["series_id"], opened, rows["time"]))
            ends = rows.filter(pc.is_null(rows["later"]))
            found.append(_gap_table(ends["series_id"], ends["time"], pa.array([last.as_py()] * len(ends))))
        found.append(_gap_table(sorted(silent), [start] * len(silent), [end] * len(silent)))
        table = pa.concat_tables(found)
        length = pc.microseconds_between(table["gap_start"], table["gap_end"])
        return table.filter(pc.greater(length, gap_us))

    def facts(
        self, series: Sequence[SeriesId], start: datetime, end: datetime, *, look_back_s: float, now: datetime
    ) -> dict[SeriesId, SeriesFacts]:
        """Return what can be counted of each series; those that the gate refuses are missing."""
        facts: dict[SeriesId, SeriesFacts] = {}
        inside = f"time >= {_moment(start)}"
        until = max(min(end, now), start)
        for dataset_id, mine in self._by_dataset(series):
            facts |= {series_id: SeriesFacts() for series_id in mine}
            sql = (
                f"SELECT series_id, count(*) FILTER (WHERE {inside}) AS readings, "
                f"count(*) FILTER (WHERE {inside} AND status < {STATUS_UNCERTAIN}) AS good, "
                f"min(time) FILTER (WHERE {inside}) AS first_time, max(time) FILTER (WHERE {inside}) AS last_time, "
                f"max(time) FILTER (WHERE time < {_moment(start)}) AS before, "
                f"max(gap_us) FILTER (WHERE {inside}) AS gap_us "
                f"FROM (SELECT series_id, time, status, date_diff('microsecond', "
                f"greatest({_moment(start)}, lag(time) OVER (PARTITION BY series_id ORDER BY time)), time) AS gap_us "
                f"FROM {dataset_id} WHERE series_id IN ({_ids(mine)}) "
                f"AND {_within(start - timedelta(seconds=look_back_s), end)}) AS t GROUP BY series_id"
            )
            try:
                result = self._gate.read(self._subject, SqlQuery(sql), purpose=self._purpose)
            except Refused:
                facts = {series_id: known for series_id, known in facts.items() if series_id not in mine}
                continue
            self.audit_indexes.append(result.audit_index)
            withheld = _withheld(result.decisions)
            for row in result.read_all().to_pylist():
                facts[SeriesId(row["series_id"])] = _facts(row, start, until, withheld)
        return facts

    def _ask(self, sql: str) -> pa.Table:
        result = self._gate.read(self._subject, SqlQuery(sql), purpose=self._purpose)
        self.audit_indexes.append(result.audit_index)
        return result.read_all()

    def _by_dataset(self, series: Sequence[SeriesId]) -> Iterable[tuple[DatasetId, list[SeriesId]]]:
        grouped: dict[DatasetId, list[SeriesId]] = {}
        for series_id, dataset_id in self._catalogue.dataset_ids_of(series).items():
            grouped.setdefault(dataset_id, []).append(series_id)
        return sorted((dataset_id, sorted(mine)) for dataset_id, mine in grouped.items())


def show_query(series: Sequence[SeriesId], start: datetime, end: datetime) -> str:
    """Return the SQL that shows the readings of some series to whoever may read them."""
    return (
        "SELECT time, asset, series, value, value_text, unit, status FROM readings "
        f"WHERE series_id IN ({_ids(series)}) AND {_within(start, end)} ORDER BY asset, series, time"
    )


def _facts(row: dict[str, object], start: datetime, until: datetime, withheld: str) -> SeriesFacts:
    first, last, before = row["first_time"], row["last_time"], row["before"]
    assert isinstance(row["readings"], int)
    assert isinstance(row["good"], int)
    inner_us = row["gap_us"] if isinstance(row["gap_us"], int) else 0
    gap_s = inner_us / 1e6
    if isinstance(first, datetime) and isinstance(last, datetime):
        gap_s = max(gap_s, (first - start).total_seconds(), (until - last).total_seconds())
    return SeriesFacts(
        readings=row["readings"],
        good=row["good"],
        first=first if isinstance(first, datetime) else None,
        last=last if isinstance(last, datetime) else None,
        gap_s=gap_s,
        before=before if isinstance(before, datetime) else None,
        withheld=withheld,
    )


def _withheld(decisions: Sequence[Decision]) -> str:
    """What the obligations change: an app that computes on masked or filtered readings would give a wrong figure."""
    said: list[str] = []
    for decision in decisions:
        demands = decision.obligations
        said += [f"{mask.column} masked ({mask.rule})" for mask in demands.masks]
        said += [f"rows where {text}" for text in demands.row_filters]
        said += [f"at most {demands.rows_max} rows"] if demands.rows_max is not None else []
        if demands.columns is not None and not demands.columns >= set(COLUMNS):
            said.append("some columns are left out")
    return "; ".join(said)


def _gap_table(series: object, start: object, end: object) -> pa.Table:
    return pa.table({"series_id": series, "gap_start": start, "gap_end": end}).cast(GAP_SCHEMA)


def _ids(series: Sequence[SeriesId]) -> str:
    return ", ".join(str(int(series_id)) for series_id in series)


def _within(start: datetime, end: datetime) -> str:
    return f"time >= {_moment(start)} AND time < {_moment(end)}"


def _moment(at: datetime) -> str:
    assert at.tzinfo is not None, "times are aware UTC"
    return f"TIMESTAMPTZ '{at.astimezone(UTC).isoformat(sep=' ')}'"

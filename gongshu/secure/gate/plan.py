"""From a permitted query to the SQL and the relations that the lake is asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from gongshu.lake import ReadingsRelation, Relation, TableRelation
from gongshu.model.access import Obligations, Subject
from gongshu.model.dataset import SERIES_COLUMNS, Dataset, DatasetKind
from gongshu.model.ids import DatasetId, SeriesId
from gongshu.model.sealed import SealedRows
from gongshu.secure.gate.bounds import bounded_sql
from gongshu.secure.gate.masking import quoted
from gongshu.secure.gate.model import READINGS, DatasetQuery, IbisQuery, Query, SqlQuery
from gongshu.secure.gate.readable import SeriesIndex, Snapshot
from gongshu.secure.gate.relations import NAMED, needs_names, series_sql, table_sql
from gongshu.secure.guard import GuardRefused, PredicateInvalid, Statement, parse_predicate, parse_statement
from gongshu.secure.guard.write import write_sql
from gongshu.secure.keys import KeyStore
from gongshu.secure.policy import Verdict

EMPTY: Mapping[str, SealedRows] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Plan:
    """What the lake is asked for."""

    asked: str
    """The query as the guard wrote it, with the datasets' names; this is what the audit log keeps."""
    sql: str
    relations: Mapping[str, Relation]
    rows_max: int | None
    has_secret: bool
    """The SQL carries a mask's key: errors must not quote it."""
    object: str
    """The datasets' names, for the record of what left."""
    parameters: tuple[str, ...] = ()
    """Values of the bounds on rows, in the order of their numbers in the SQL."""


def statement_of(query: Query) -> Statement:
    """Return the query as a statement that passed the guard.

    Raises: GuardRefused, StatementUnreadable.
    """
    if isinstance(query, DatasetQuery):
        return parse_statement(_dataset_sql(query))
    if isinstance(query, IbisQuery):
        import ibis

        return parse_statement(str(ibis.to_sql(query.expr, dialect="duckdb")))
    return parse_statement(query.sql)


class Planner:
    """Writes plans. Needs the catalogue's names and the key of pseudonyms, nothing else."""

    def __init__(self, index: SeriesIndex, keys: KeyStore) -> None:
        self._index = index
        self._keys = keys

    def plan(
        self,
        query: Query,
        subject: Subject,
        named: Mapping[str, tuple[Dataset | None, Obligations]],
        readable: Mapping[DatasetId, Verdict] | None,
        copies: Mapping[str, SealedRows] = EMPTY,
        group_min: int | None = None,
    ) -> Plan:
        """Return the plan of a query whose datasets are all permitted; `copies` lie encrypted, outside the tables.

        Raises: ObligationUnmet, GuardRefused.
        """
        statement = statement_of(query)
        wanted_min = query.group_min if isinstance(query, SqlQuery) else None
        if wanted_min is not None and statement.aggregate_fault is not None:
            raise GuardRefused(f"{statement.aggregate_fault}, and figures over groups are asked for")
        if smallest := max(group_min or 0, wanted_min or 0):
            statement = statement.with_group_min(smallest)
        only = () if isinstance(query, IbisQuery) else query.only
        parameters: list[str] = []
        key = self._keys.derived_secret(f"mask:{subject.party_id}")
        span = (query.start, query.end) if isinstance(query, DatasetQuery) else (None, None)
        relations: dict[str, Relation] = {}
        sources: dict[str, str] = {}
        takes_names = statement.names_any(NAMED) or any(bound.column in NAMED for bound in only)
        for name, (dataset, demands) in named.items():
            if dataset is None:
                assert name == READINGS, "only readings are no dataset"
                assert readable is not None, "what is readable was decided before"
                sources[name] = self._readings(relations, readable, key, takes_names=takes_names)
            elif dataset.kind is DatasetKind.TABLE:
                relation = _added(relations, copies.get(name) or TableRelation(dataset.table or ""))
                sources[name] = table_sql(relation, dataset.columns, demands, key)
            else:
                relation = _added(relations, ReadingsRelation(tuple(dataset.series), *span))
                sources[name] = self._series(relation, dataset.series, demands, key, takes_names=takes_names)
            if only:
                columns = SERIES_COLUMNS if dataset is None else dataset.columns
                sources[name] = bounded_sql(sources[name], only, columns, parameters)
        everything = [demands for _, demands in named.values()]
        everything += [verdict.obligations for verdict in (readable or {}).values()]
        bounds = [query.rows_max, *(demands.rows_max for demands in everything)]
        return Plan(
            asked=statement.text + "".join(f" | only {b.column} {b.operator} {', '.join(b.values)}" for b in only),
            sql=statement.write(sources),
            relations=relations,
            rows_max=min((bound for bound in bounds if bound is not None), default=None),
            has_secret=any(mask.rule == "hash" for demands in everything for mask in demands.masks),
            object=",".join(named),
            parameters=tuple(parameters),
        )

    def _series(
        self, relation: str, series: Iterable[SeriesId], demands: Obligations, key: bytes, *, takes_names: bool
    ) -> str:
        names = None
        if takes_names or needs_names(demands):
            known = self._index.read().names
            names = [known[series_id] for series_id in series if series_id in known]
        return series_sql(relation, demands, key, names=names, only=series)

    def _readings(
        self, relations: dict[str, Relation], readable: Mapping[DatasetId, Verdict], key: bytes, *, takes_names: bool
    ) -> str:
        """All readable series: one relation for each group of equal obligations, put together."""
        snapshot = self._index.read()
        groups: dict[Obligations, list[Dataset]] = {}
        for dataset in snapshot.datasets:
            if (verdict := readable.get(dataset.dataset_id)) is not None:
                groups.setdefault(verdict.obligations, []).append(dataset)
        if len(groups) == 1 and _covers(snapshot, next(iter(groups.values()))):
            (demands,) = groups
            names = list(snapshot.names.values()) if takes_names or needs_names(demands) else None
            relation = _added(relations, ReadingsRelation(None))
            last = max(snapshot.names, default=SeriesId(0))
            return series_sql(relation, demands, key, names=names, up_to=last)
        parts = []
        for demands, datasets in groups.items():
            series = tuple(sorted(series_id for dataset in datasets for series_id in dataset.series))
            relation = _added(relations, ReadingsRelation(series))
            parts.append(self._series(relation, series, demands, key, takes_names=takes_names))
        return " UNION ALL BY NAME ".join(f"({part})" for part in parts)


def _covers(snapshot: Snapshot, datasets: Iterable[Dataset]) -> bool:
    """True if the datasets hold every registered series: then no choice of series is needed."""
    return snapshot.names.keys() == {series_id for dataset in datasets for series_id in dataset.series}


def _added(relations: dict[str, Relation], relation: Relation) -> str:
    name = f"_r{len(relations)}"
    relations[name] = relation
    return name


def _dataset_sql(query: DatasetQuery) -> str:
    if query.columns is not None and not query.columns:
        raise GuardRefused("a query asks for at least one column")
    columns = "*" if query.columns is None else ", ".join(quoted(column) for column in query.columns)
    conditions = [f'"time" >= {_moment(query.start)}'] if query.start is not None else []
    conditions += [f'"time" < {_moment(query.end)}'] if query.end is not None else []
    try:
        conditions += [f"({write_sql(parse_predicate(text))})" for text in query.where]
    except PredicateInvalid as cause:
        raise GuardRefused(str(cause)) from cause
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {columns} FROM {quoted(query.dataset_id)}{where}"


def _moment(at: datetime) -> str:
    assert at.tzinfo is not None, "times are aware UTC"
    return f"TIMESTAMPTZ '{at.astimezone(UTC).isoformat(sep=' ')}'"

"""First sight and every later sight: what a source shows becomes rows of the catalogue, with a proposed label.

One writer at a time (among all processes) registers; who sees nothing new writes nothing. A series that changed its
name, unit, type, access or place is a change on record, and its dataset waits for the steward again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.govern import tables as t
from gongshu.govern.classify.propose import Classifier
from gongshu.govern.ledger import Ledger
from gongshu.govern.model import ChangeKind, Proposal
from gongshu.govern.naming import asset_ancestors, decide_asset_dataset_id, decide_asset_kind
from gongshu.govern.relabel import relabel
from gongshu.govern.rows import decode_sighting, lock_catalogue, next_value, proposed_label
from gongshu.model.dataset import DatasetKind
from gongshu.model.ids import AssetId, DatasetId, SeriesId, SourceId
from gongshu.model.series import SeriesSighting

Key = tuple[SourceId, str]
REOPENING = ("name", "unit", "value_type", "writable", "asset")
"""Fields of a series whose change may change what it is; a new title or protocol is only recorded."""
CHUNK = 500


class SeriesRegistrar:
    """Registers series."""

    def __init__(
        self, database: Database, classifier: Classifier, ledger: Ledger, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._classifier = classifier
        self._ledger = ledger
        self._clock = clock

    def register(self, sightings: Sequence[SeriesSighting]) -> dict[Key, SeriesId]:
        """Return the id of every sighting, registering what is new and recording what changed."""
        wanted: dict[Key, SeriesSighting] = {(s.source_id, s.address): s for s in sightings}
        with self._database.connect() as connection:
            known = _known(connection, wanted)
        fresh = {key: s for key, s in wanted.items() if key not in known or _differences(known[key], s)}
        if fresh:
            proposals = {key: self._classifier.propose_series(s) for key, s in fresh.items()}
            with self._database.begin() as connection:
                lock_catalogue(connection)
                change_ids = self._write(connection, fresh, proposals)
                known = _known(connection, wanted)
            self._ledger.audit(change_ids)
        return {key: SeriesId(known[key].series_id) for key in wanted}

    def _write(
        self, connection: sa.Connection, fresh: dict[Key, SeriesSighting], proposals: dict[Key, Proposal]
    ) -> list[int]:
        known = _known(connection, fresh)
        new = {key: s for key, s in fresh.items() if key not in known}
        changed = {key: s for key, s in fresh.items() if key in known and _differences(known[key], s)}
        placed = self._place(connection, [*new.values(), *changed.values()])
        changes: list[int] = []
        touched: dict[DatasetId, bool] = {}
        for key, sighting in changed.items():
            target = placed[sighting.asset]
            changes.append(self._change(connection, known[key], sighting, proposals[key], target))
            reopens = any(name in REOPENING for name in _differences(known[key], sighting))
            for dataset_id in (DatasetId(known[key].dataset_id), target):
                touched[dataset_id] = touched.get(dataset_id, False) or reopens
        counts = self._insert(connection, new, proposals, placed)
        touched.update(dict.fromkeys(counts, True))
        for dataset_id, reopens in touched.items():
            if count := counts.get(dataset_id):
                changes.append(
                    self._ledger.record(
                        connection, dataset_id, ChangeKind.EXTENDED, "system:catalogue", after={"series_added": count}
                    )
                )
            changes += relabel(connection, self._ledger, dataset_id, reopens=reopens, now=self._clock())
        return changes

    def _insert(
        self,
        connection: sa.Connection,
        new: dict[Key, SeriesSighting],
        proposals: dict[Key, Proposal],
        placed: dict[AssetId, DatasetId],
    ) -> dict[DatasetId, int]:
        if not new:
            return {}
        last = next_value(connection, "series", len(new))
        now = self._clock()
        counts: dict[DatasetId, int] = defaultdict(int)
        rows = []
        for series_id, (key, s) in enumerate(new.items(), start=last - len(new) + 1):
            counts[placed[s.asset]] += 1
            rows.append(
                {"series_id": series_id, "dataset_id": placed[s.asset], "first_seen": now}
                | _sighting_values(s)
                | proposed_label(proposals[key])
            )
        connection.execute(t.series.insert(), rows)
        return counts

    def _change(
        self, connection: sa.Connection, row: Any, s: SeriesSighting, proposal: Proposal, target: DatasetId
    ) -> int:
        different = _differences(row, s)
        values = _sighting_values(s) | {"dataset_id": target}
        if any(name in REOPENING for name in different):
            values |= proposed_label(proposal)
        connection.execute(t.series.update().where(t.series.c.series_id == row.series_id).values(**values))
        before = {"series_id": row.series_id} | {name: _plain(getattr(row, name)) for name in different}
        after = {"series_id": row.series_id} | {name: _plain(getattr(s, name)) for name in different}
        return self._ledger.record(
            connection, target, ChangeKind.SERIES_CHANGED, f"source:{s.source_id}", before=before, after=after
        )

    def _place(self, connection: sa.Connection, sightings: Sequence[SeriesSighting]) -> dict[AssetId, DatasetId]:
        """Return the dataset of each asset, making assets and datasets that are not there yet."""
        wanted = {s.asset: s for s in sightings}
        write_assets(connection, wanted, self._clock())
        rows = connection.execute(
            sa.select(t.datasets.c.asset, t.datasets.c.dataset_id).where(t.datasets.c.kind == DatasetKind.SERIES.value)
        )
        placed = {AssetId(asset): DatasetId(dataset_id) for asset, dataset_id in rows}
        taken = set(connection.execute(sa.select(t.datasets.c.dataset_id)).scalars())
        for asset, sighting in wanted.items():
            if asset not in placed:
                placed[asset] = decide_asset_dataset_id(asset, taken=taken)
                taken.add(placed[asset])
                connection.execute(
                    t.datasets.insert().values(
                        dataset_id=placed[asset],
                        kind=DatasetKind.SERIES.value,
                        title=asset,
                        asset=asset,
                        lake_table=None,
                        origin=f"source:{sighting.source_id}",
                        owner="",
                        first_seen=self._clock(),
                        state_secret=False,
                        search_text="",
                        **proposed_label(self._classifier.propose_series(sighting)),
                    )
                )
        return placed


def write_assets(connection: sa.Connection, assets: Iterable[AssetId], now: datetime) -> None:
    """Add the assets and all above them to the tree, and refresh the kind of those that got children."""
    wanted = {ancestor for asset in assets for ancestor in asset_ancestors(asset)}
    known = {row.asset_id: row.kind for row in connection.execute(sa.select(t.assets.c.asset_id, t.assets.c.kind))}
    parents = {asset.rpartition("/")[0] for asset in (*known, *wanted)}
    for asset in sorted(wanted):
        kind = decide_asset_kind(asset, has_children=asset in parents).value
        if asset not in known:
            connection.execute(
                t.assets.insert().values(
                    asset_id=asset, parent=asset.rpartition("/")[0] or None, kind=kind, first_seen=now
                )
            )
        elif known[asset] != kind:
            connection.execute(t.assets.update().where(t.assets.c.asset_id == asset).values(kind=kind))


def _known(connection: sa.Connection, wanted: dict[Key, SeriesSighting]) -> dict[Key, Any]:
    """Return the rows of the wanted series; few are asked for by address, many by source."""
    found: dict[Key, Any] = {}
    by_source: dict[SourceId, list[str]] = defaultdict(list)
    for source_id, address in wanted:
        by_source[source_id].append(address)
    for source_id, addresses in by_source.items():
        query = sa.select(*_RECORD).where(t.series.c.source_id == source_id)
        if len(addresses) <= CHUNK:
            query = query.where(t.series.c.address.in_(addresses))
        found.update({(source_id, row.address): row for row in connection.execute(query)})
    return found


_RECORD = (
    t.series.c.series_id,
    t.series.c.source_id,
    t.series.c.address,
    t.series.c.dataset_id,
    t.series.c.asset,
    t.series.c.name,
    t.series.c.value_type,
    t.series.c.unit,
    t.series.c.title,
    t.series.c.writable,
    t.series.c.protocol,
)


def _differences(row: Any, sighting: SeriesSighting) -> list[str]:
    on_record = decode_sighting(row)
    names = (*REOPENING, "title", "protocol")
    return [name for name in names if getattr(on_record, name) != getattr(sighting, name)]


def _sighting_values(s: SeriesSighting) -> dict[str, Any]:
    return {
        "source_id": s.source_id,
        "address": s.address,
        "asset": s.asset,
        "name": s.name,
        "value_type": s.value_type.value,
        "unit": s.unit,
        "title": s.title,
        "writable": s.writable,
        "protocol": s.protocol,
    }


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)

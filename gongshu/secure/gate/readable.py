"""Which series a subject may read, fast: the catalogue is kept in memory until it changes or a grade runs out."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from gongshu.govern.catalogue import CatalogueService
from gongshu.model.dataset import Dataset, DatasetKind
from gongshu.model.grade import GradeStanding
from gongshu.model.ids import SeriesId
from gongshu.secure.gate.relations import SeriesName

PAGE = 1000
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All series datasets at one version of the catalogue."""

    version: int
    good_until: datetime
    """When the first confirmed grade among them expires."""
    datasets: tuple[Dataset, ...]
    names: dict[SeriesId, SeriesName]
    """Every registered series, also those of datasets that are not served."""


class SeriesIndex:
    """Keeps the newest snapshot; threads may share it."""

    def __init__(self, catalogue: CatalogueService, clock: Callable[[], datetime]) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None

    def read(self) -> Snapshot:
        """Return a snapshot that is right at this moment.

        Cost: one small query; after a change of the catalogue all datasets and series are read again.
        """
        version, now = self._catalogue.version(), self._clock()
        with self._lock:
            kept = self._snapshot
            if kept is None or kept.version != version or kept.good_until <= now:
                kept = self._snapshot = self._load(version, now)
            return kept

    def _load(self, version: int, now: datetime) -> Snapshot:
        datasets = tuple(dataset for dataset in self._pages() if dataset.kind is DatasetKind.SERIES)
        names = {
            series.series_id: SeriesName(
                series.series_id, series.sighting.asset, series.sighting.name, series.sighting.unit
            )
            for series in self._catalogue.series()
        }
        ends = [
            dataset.label.valid_until
            for dataset in datasets
            if dataset.label.standing is GradeStanding.CONFIRMED
            and dataset.label.valid_until is not None
            and dataset.label.valid_until > now
        ]
        return Snapshot(version, min(ends, default=NEVER), datasets, names)

    def _pages(self) -> Iterator[Dataset]:
        offset = 0
        while page := self._catalogue.datasets(limit=PAGE, offset=offset):
            yield from page
            offset += len(page)

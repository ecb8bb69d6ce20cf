"""What was lost, written down: one row for each reason and tag in a housekeeping round, however often it happened."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.gather.connector import Loss
from gongshu.gather.tables import source_losses
from gongshu.model.ids import SourceId

OUTAGE = "outage"
ROWS_MAX = 100
"""Most rows a round; what is beyond is added up in one, so that a storm of losses does not fill the database."""


@dataclass(frozen=True, slots=True)
class LossSum:
    """Losses of one kind, added up."""

    loss: Loss
    times: int


def add_up(losses: Iterable[Loss], *, rows_max: int = ROWS_MAX) -> list[LossSum]:
    """Return the losses added up by reason and tag; outages stay single, for each has its own start and end.

    Shape: at most `rows_max` rows and one more for each further reason, without a tag.

    >>> [(s.loss.readings, s.times) for s in add_up([Loss("queue full", 3), Loss("queue full", 4)])]
    [(7, 2)]
    """
    sums: dict[object, LossSum] = {}
    for number, loss in enumerate(losses):
        key: object = (loss.reason, loss.address) if loss.reason != OUTAGE else number
        if key not in sums and len(sums) >= rows_max:
            loss = Loss(loss.reason, loss.readings, loss.start, loss.end)
            key = (loss.reason, "")
        sums[key] = _joined(sums[key], loss) if key in sums else LossSum(loss, 1)
    return list(sums.values())


class LossBook:
    """Writes one source's losses."""

    def __init__(self, database: Database, source_id: SourceId, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._source_id = source_id
        self._clock = clock

    def write(self, losses: Sequence[Loss], *, recovered: bool = False) -> None:
        """Write the losses down; with `recovered`, the latest outage is marked as replayed."""
        now = self._clock()
        rows = [
            {
                "source_id": self._source_id,
                "reason": one.loss.reason,
                "address": one.loss.address,
                "readings": one.loss.readings,
                "times": one.times,
                "started_at": one.loss.start,
                "ended_at": one.loss.end,
                "recorded_at": now,
                "recovered": False,
            }
            for one in add_up(losses)
        ]
        table = source_losses
        with self._database.begin() as connection:
            if rows:
                connection.execute(sa.insert(table), rows)
            if recovered:
                mine = (table.c.source_id == self._source_id) & (table.c.reason == OUTAGE)
                latest = sa.select(sa.func.max(table.c.loss_id)).where(mine).scalar_subquery()
                connection.execute(sa.update(table).where(table.c.loss_id == latest).values(recovered=True))


def _joined(sum_: LossSum, loss: Loss) -> LossSum:
    known = None if sum_.loss.readings is None or loss.readings is None else sum_.loss.readings + loss.readings
    starts = [start for start in (sum_.loss.start, loss.start) if start is not None]
    ends = [end for end in (sum_.loss.end, loss.end) if end is not None]
    joined = Loss(sum_.loss.reason, known, min(starts, default=None), max(ends, default=None), sum_.loss.address)
    return LossSum(joined, sum_.times + 1)

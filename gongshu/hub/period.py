"""Reporting periods: calendar months in the zone that the agreement names."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from gongshu.hub.errors import PeriodMalformed

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One month."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    def next(self) -> "Period":
        """Return the month after this one."""
        return Period(self.year + self.month // 12, self.month % 12 + 1)

    def previous(self) -> "Period":
        """Return the month before this one."""
        return Period(self.year - (self.month == 1), (self.month - 2) % 12 + 1)


def parse_period(text: str) -> Period:
    """Return the month that the text names.

    >>> str(parse_period("2026-12").next())
    '2027-01'

    Raises: PeriodMalformed.
    """
    match = _MONTH.fullmatch(text)
    if match is None:
        raise PeriodMalformed(seen=text[:40])
    return Period(int(match[1]), int(match[2]))


def bounds_of(period: Period, *, utc_offset_minutes: int) -> tuple[datetime, datetime]:
    """Return the first moment of the month and the first after it, in UTC.

    >>> bounds_of(Period(2026, 10), utc_offset_minutes=480)[0].isoformat()
    '2026-09-30T16:00:00+00:00'
    """
    zone = timezone(timedelta(minutes=utc_offset_minutes))
    following = period.next()
    start = datetime(period.year, period.month, 1, tzinfo=zone)
    end = datetime(following.year, following.month, 1, tzinfo=zone)
    return start.astimezone(UTC), end.astimezone(UTC)


def period_at(moment: datetime, *, utc_offset_minutes: int) -> Period:
    """Return the month that a moment falls into.

    >>> str(period_at(datetime(2026, 9, 30, 17, tzinfo=UTC), utc_offset_minutes=480))
    '2026-10'
    """
    local = moment.astimezone(timezone(timedelta(minutes=utc_offset_minutes)))
    return Period(local.year, local.month)

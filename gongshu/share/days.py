"""First and last days that people name, as moments: days are those of the node's zone, moments are UTC. Pure."""

from datetime import UTC, date, datetime, time, tzinfo


def day_begin(day: date, zone: tzinfo) -> datetime:
    """Return the first moment of a day.

    >>> from datetime import timedelta, timezone
    >>> day_begin(date(2027, 1, 1), timezone(timedelta(hours=8))).isoformat()
    '2026-12-31T16:00:00+00:00'
    """
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def day_end(day: date, zone: tzinfo) -> datetime:
    """Return the last moment of a day.

    >>> from datetime import timedelta, timezone
    >>> day_end(date(2027, 12, 31), timezone(timedelta(hours=8))).isoformat()
    '2027-12-31T15:59:59.999999+00:00'
    """
    return datetime.combine(day, time.max, zone).astimezone(UTC)

"""Streams in stretches: the consumer draws the line, the provider answers with what it sent in the same stretch."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gongshu.share.evidence.marks import drop_marks, note_mark
from gongshu.share.evidence.tables import stream_marks
from gongshu.share.tables import share_deliveries, share_follows, share_streams
from tests.unit.share.evidence_world import CONTRACT, Office, Street


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    for office in (made.mill, made.shop):
        values: dict[str, object] = {"process_id": pid(office)}
        with office.database.begin() as connection:
            if office is made.mill:
                connection.execute(sa.insert(share_streams).values(**values, updated_at=made.clock()))
            else:
                more = {"name": "n", "title": "", "purpose": "", "next_at": made.clock(), "created_by": "user:li"}
                connection.execute(sa.insert(share_follows).values(**values, **more))
    yield made
    made.close()


def pid(office: Office) -> str:
    return f"transfer-{office.side}-{CONTRACT}"


def mark(office: Office, position: int, rows: int) -> None:
    with office.database.begin() as connection:
        note_mark(connection, pid(office), position, rows, office.clock())


def runs(office: Office) -> None:
    """Say that the stream flows now: without it, it is paused."""
    office.deliver("stream")
    with office.database.begin() as connection:
        connection.execute(sa.update(share_deliveries).values(outcome="open", lined=""))


def figures(office: Office) -> list[tuple[str, int, str]]:
    found = office.evidence.metered(office.li)
    return sorted((each.delivery.split(" ")[1], each.ours.rows if each.ours else -1, each.standing) for each in found)


def test_a_pause_draws_a_line_that_both_sign(street: Street) -> None:
    for position, rows in ((10, 4), (20, 6), (30, 5)):
        mark(street.mill, position, rows)
    mark(street.shop, 20, 10)
    street.meet()
    assert figures(street.mill) == figures(street.shop) == [("0-20", 10, "agreed")]
    mark(street.shop, 30, 5)
    street.meet()
    assert figures(street.shop) == [("0-20", 10, "agreed"), ("20-30", 5, "agreed")]


def test_a_running_stream_is_lined_each_minute_and_not_before(street: Street) -> None:
    runs(street.shop)
    mark(street.mill, 10, 4)
    mark(street.shop, 10, 4)
    street.meet()
    assert figures(street.shop) == []
    street.clock.forward(seconds=61)
    street.meet()
    assert figures(street.shop) == figures(street.mill) == [("0-10", 4, "agreed")]


def test_many_rows_draw_a_line_at_once(street: Street) -> None:
    runs(street.shop)
    mark(street.mill, 10, 1_000_000)
    mark(street.shop, 10, 1_000_000)
    street.meet()
    assert figures(street.shop) == [("0-10", 1_000_000, "agreed")]


def test_what_is_sent_again_counts_once(street: Street) -> None:
    mark(street.mill, 10, 4)
    mark(street.mill, 20, 6)
    with street.mill.database.begin() as connection:
        drop_marks(connection, pid(street.mill), 10)
    mark(street.mill, 25, 9)
    mark(street.mill, 25, 9)
    mark(street.shop, 25, 13)
    street.meet()
    assert figures(street.mill) == [("0-25", 13, "agreed")]


def test_rows_that_the_consumer_does_not_own_up_to_are_disputed(street: Street) -> None:
    mark(street.mill, 10, 4)
    mark(street.shop, 10, 3)
    street.meet()
    assert figures(street.mill) == [("0-10", 4, "disputed")]
    assert street.shop.status() == street.mill.status() == "disputed"


def test_a_consumer_that_draws_no_line_is_reminded_by_the_providers(street: Street) -> None:
    mark(street.mill, 10, 4)
    street.meet()
    assert figures(street.mill) == []
    street.clock.forward(hours=7)
    street.meet()
    assert figures(street.mill) == [("0-10", 4, "disputed")], "it kept nothing, and says so"
    assert street.shop.status() == "disputed"


def test_marks_are_forgotten_a_day_after_their_line(street: Street) -> None:
    mark(street.shop, 10, 4)
    street.meet()
    street.clock.forward(days=2)
    mark(street.shop, 20, 1)
    street.meet()
    with street.shop.database.connect() as connection:
        kept = connection.execute(sa.select(stream_marks.c.position).order_by(stream_marks.c.position)).scalars().all()
    assert kept == [-20, 20]


def counted(office: Office) -> int:
    """The rows of all lines that count."""
    found = office.evidence.metered(office.li)
    return sum(each.ours.rows for each in found if each.ours and each.standing == "agreed")


def cross(street: Street) -> None:
    """Let the consumer draw a line that does not arrive, and the provider one over more, six hours later."""
    mark(street.mill, 10, 4)
    mark(street.mill, 20, 6)
    mark(street.shop, 10, 4)
    street.is_cut = True
    street.meet()
    street.clock.forward(hours=7)
    street.mill.evidence.step()


def test_lines_that_cross_count_no_row_twice(street: Street) -> None:
    cross(street)
    mark(street.shop, 20, 6)
    street.clock.forward(hours=7)
    street.is_cut = False
    street.meet()
    expected = [("0-10", 4, "agreed"), ("0-20", 10, "covered"), ("10-20", 6, "agreed")]
    assert figures(street.mill) == expected
    assert figures(street.shop) == [(name, rows if name != "0-20" else -1, how) for name, rows, how in expected]
    assert counted(street.mill) == counted(street.shop) == 10
    assert street.mill.status() == street.shop.status() == "active"


def test_a_crossing_line_that_the_consumer_never_reaches_is_disputed_and_no_longer_once_it_does(
    street: Street,
) -> None:
    cross(street)
    street.clock.forward(hours=7)
    street.is_cut = False
    street.meet()
    street.clock.forward(hours=7)
    street.meet()
    assert ("0-20", 10, "disputed") in figures(street.mill)
    assert street.mill.status() == "disputed"
    mark(street.shop, 20, 6)
    street.meet()
    assert ("0-20", 10, "covered") in figures(street.mill)
    assert counted(street.mill) == counted(street.shop) == 10
    assert street.mill.status() == street.shop.status() == "active"

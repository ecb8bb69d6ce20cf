"""Negotiations that wait for a person cost nothing while they wait: no message, no statement, no longer search."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gongshu.share.automation import ASK_FIRST
from gongshu.share.dsp.states import Kind, State
from gongshu.share.processes import list_processes
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import MILL, ORDERS, SHOP, Site, World, subject

OPEN = 50


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, Clock())
    yield world
    world.close()


class Work:
    """What one look for work asked of the database."""

    def __init__(self) -> None:
        self.statements = 0
        self.steps = 0

    def count_statement(self, statement: str) -> None:
        self.statements += not statement.startswith("BEGIN")

    def count_step(self) -> int:
        self.steps += 1
        return 0  # go on


@contextmanager
def counted(site: Site) -> Iterator[Work]:
    """Count the statements of a site, and the instructions that SQLite carries out for them."""
    work = Work()

    def taken(driver: Any, *_: Any) -> None:
        driver.set_trace_callback(work.count_statement)
        driver.set_progress_handler(work.count_step, 1)

    def given_back(driver: Any, *_: Any) -> None:
        driver.set_trace_callback(None)
        driver.set_progress_handler(None, 1)

    engine = site.database.engine
    sa.event.listen(engine, "checkout", taken)
    sa.event.listen(engine, "checkin", given_back)
    try:
        yield work
    finally:
        sa.event.remove(engine, "checkout", taken)
        sa.event.remove(engine, "checkin", given_back)


def look(site: Site) -> Work:
    """Let a site look for work once, as it does each second, and ask when the next is due."""
    with counted(site) as work:
        site.runner.step()
        with site.database.connect() as connection:
            for part in (site.reactor, site.outbox, site.watchdog):
                part.next_due(connection)
    return work


def test_many_that_wait_for_a_person_cost_no_more_than_one(world: World) -> None:
    terms = Terms(parties=frozenset({SHOP}))
    offer = world.mill.book.offer(ORDERS, terms, subject(), rules=ASK_FIRST, known_parties=[SHOP])
    world.shop.ask_contract(MILL, offer.offer_id, terms)
    world.settle()
    one = [look(site) for site in (world.mill, world.shop)]
    for _ in range(OPEN - 1):
        world.shop.ask_contract(MILL, offer.offer_id, terms)
    world.settle()
    with world.mill.database.connect() as connection:
        waiting = list_processes(connection, Kind.NEGOTIATION, limit=99, offset=0, waiting=True, counterparty=None)
    assert [record.state for record in waiting] == [State.REQUESTED] * OPEN

    sent = len(world.net.sent)
    for site, before in zip((world.mill, world.shop), one, strict=True):
        now = look(site)
        assert now.statements == before.statements
        assert now.steps < before.steps + OPEN
    assert len(world.net.sent) == sent

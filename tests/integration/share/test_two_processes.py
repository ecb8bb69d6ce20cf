"""Two processes of one node share its work over one database; one of them is killed in the middle."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import attrgetter
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.share.agreements import list_agreements
from gongshu.share.dsp.states import Kind, State
from gongshu.share.model import AgreementStatus
from gongshu.share.ports import Reply
from gongshu.share.processes import list_processes
from gongshu.share.runner import SENDERS
from gongshu.share.tables import share_outbox, share_reactions
from gongshu.share.terms import Terms
from tests.integration.share.worker import FileClock
from tests.metadata import new_database
from tests.unit.share.world import MILL, ORDERS, SHOP, Site, World, subject

pytestmark = pytest.mark.disk

ROOT = Path(__file__).parents[3]
CONTRACTS = 50
LET_IN = CONTRACTS // 2
"""More than enough are left for the desks of both workers, as each contract takes two messages."""
LEASES_S = 61
"""Longer than the leases of outbox and reactions: what the dead process held is free then."""
WAIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One sending of a message, as it came to the shop; the clock of the moments is the same for all processes."""

    message: str
    worker: str
    began_s: float
    """When its sender took it in hand, before it looked at its lease."""
    was_late: bool
    """The lease had ended by then."""
    came_s: float


class Door:
    """Lets worker processes reach the shop over HTTP, and notes when which message came from whom.

    The first ones are let in at once; the others wait until the door opens, so that work lies at the workers' desks.
    """

    def __init__(self, shop: Site) -> None:
        self.arrivals: dict[str, list[Arrival]] = {}
        self.held: list[str] = []
        """From whom each message came that waits for the door to open."""
        self.opened = threading.Event()
        lock, arrivals, held, opened = threading.Lock(), self.arrivals, self.held, self.opened

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # its sender was killed while it sent
                document = orjson.loads(body)
                worker, began_s, was_late = self.headers["worker"], self.headers["began"], self.headers["late"]
                arrival = Arrival(document["@type"], worker, float(began_s), was_late == "True", time.monotonic())
                with lock:
                    arrivals.setdefault(document["@id"], []).append(arrival)
                    is_held = len(arrivals) > LET_IN
                    if is_held:
                        held.append(worker)
                if is_held:
                    opened.wait(WAIT_S)
                self._answer(shop.take(MILL, self.path, body))

            def do_GET(self) -> None:
                self._answer(shop.show(MILL, self.path))

            def _answer(self, reply: Reply) -> None:
                self.send_response(reply.status_code)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(10)


@contextmanager
def workers(url: str, folder: Path, clock: Path, port: int) -> Iterator[list["subprocess.Popen[str]"]]:
    """Yield two processes that work."""
    module = [sys.executable, "-m", "tests.integration.share.worker", url]
    started = []
    for number in (1, 2):
        command = [*module, str(folder / f"worker{number}"), str(clock), str(port)]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    try:
        for each in started:
            assert each.stdout is not None
            assert each.stdout.readline() == "works\n"
        yield started
    finally:
        for each in started:
            each.terminate()
            each.wait(30)
            if each.stdout is not None:
                each.stdout.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return new_database(tmp_path / "mill.db")
    found: Database = request.getfixturevalue("postgres")
    return found


def move(clock: Path, ahead_s: int) -> None:
    """Move the time of every process, in one step."""
    partial = clock.with_suffix(".partial")
    partial.write_text(str(ahead_s), encoding="utf-8")
    partial.replace(clock)


def finalized(site: Site) -> int:
    with site.database.connect() as connection:
        found = list_processes(
            connection, Kind.NEGOTIATION, limit=CONTRACTS, offset=0, waiting=False, counterparty=None
        )
    assert not [record for record in found if record.state is State.TERMINATED]
    return sum(record.state is State.FINALIZED for record in found)


def wait_for(site: Site, count: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while finalized(site) < count:
        assert time.monotonic() < deadline, f"{finalized(site)} of {count} contracts are final"
        time.sleep(0.05)


def wait_until_held(door: Door, count: int) -> None:
    """Return when all senders of both workers wait at the door, so that more lies behind them on their desks."""
    deadline = time.monotonic() + WAIT_S
    while sorted(Counter(door.held).values()) != [count, count]:
        if time.monotonic() > deadline:
            door.opened.set()
            pytest.fail(f"only these wait at the door: {Counter(door.held)}")
        time.sleep(0.05)


def test_two_processes_share_fifty_negotiations_and_one_is_killed(tmp_path: Path, database: Database) -> None:
    ahead = tmp_path / "ahead"
    move(ahead, 0)
    world = World(tmp_path, FileClock(ahead), mill_database=database)
    door = Door(world.shop)
    terms = Terms(parties=frozenset({SHOP}), rows_max=9)
    offer = world.mill.book.offer(ORDERS, terms, subject(), known_parties=[SHOP])
    try:
        with workers(database.url, tmp_path, ahead, door.port) as (one, _):
            for _ in range(CONTRACTS):
                world.shop.ask_contract(MILL, offer.offer_id, terms)
            world.shop.runner.start()
            wait_until_held(door, SENDERS)
            one.kill()
            one.wait(30)
            before = time.monotonic()
            move(ahead, LEASES_S)
            after = time.monotonic()
            door.opened.set()
            wait_for(world.shop, CONTRACTS)
            wait_for(world.mill, CONTRACTS)
    finally:
        world.shop.runner.stop()
        door.close()
    require_needed(door, before, after)
    require_all_done(world)
    world.close()


def require_needed(door: Door, before: float, after: float) -> None:
    """Twice may come only what was under way when time moved: begun before, and taken up again under a new lease."""
    late = [came for sendings in door.arrivals.values() for came in sendings if came.was_late]
    assert late == [], f"sent without a lease: {before=} {after=}"
    twice = [sorted(came, key=attrgetter("began_s")) for came in door.arrivals.values() if len(came) > 1]
    seen = "\n".join(f"{before=} {after=} {came}" for came in twice)
    for first, *others in twice:
        assert len(others) == 1, f"sent more than twice:\n{seen}"
        assert first.began_s < after, f"sent twice under new leases:\n{seen}"
        assert others[0].began_s > before, f"sent again under somebody's lease:\n{seen}"
    assert len(twice) <= 2 * SENDERS, f"more than can have been under way when time moved:\n{seen}"


def require_all_done(world: World) -> None:
    active = []
    for site in (world.mill, world.shop):
        with site.database.connect() as connection:
            for table in (share_outbox, share_reactions):
                assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0
            found = list_agreements(connection, limit=CONTRACTS + 1, offset=0)
        assert {agreement.status for agreement in found} == {AgreementStatus.ACTIVE}
        active.append({agreement.agreement_id: agreement.policy_hash for agreement in found})
    assert active[0] == active[1]
    assert len(active[0]) == CONTRACTS

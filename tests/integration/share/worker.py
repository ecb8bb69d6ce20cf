"""A process that does a node's share of sending and reacting, beside others over the same database, until it is ended.

Used by `test_two_processes`: `python -m tests.integration.share.worker URL FOLDER CLOCK PORT`.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from gongshu.database import Database
from gongshu.model.ids import PartyId
from gongshu.share.desk import Entry
from gongshu.share.errors import PeerUnreachable
from gongshu.share.model import Record
from gongshu.share.ports import Reply
from tests.conftest import Clock
from tests.unit.share.world import MILL, SHOP, Net, Site


class FileClock(Clock):
    """The real time, moved ahead by as many seconds as a file says, so that all processes of a test agree."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self._file.read_text(encoding="utf-8")))


class FarNet(Net):
    """A wire to the process of the test, which plays the other side."""

    def __init__(self, port: int) -> None:
        super().__init__(seed=0)
        self.port = port

    def carry(self, target: PartyId, deliver: Callable[[], Reply]) -> Reply:
        try:
            return deliver()
        except httpx.HTTPError as cause:
            raise PeerUnreachable(party=target, address="the test", reason=str(cause)) from cause


class Began(threading.local):
    """When this thread took the message in hand that it sends, and whether its lease had ended by then."""

    at_s = 0.0
    is_late = False


class FarShop:
    """The other side, as far as a wire needs it."""

    def __init__(self, port: int, began: "Began") -> None:
        self._began = began
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60.0)

    def take(self, sender: PartyId, path: str, body: bytes) -> Reply:
        headers = {
            "sender": sender,
            "worker": str(os.getpid()),
            "began": str(self._began.at_s),
            "late": str(self._began.is_late),
        }
        answer = self._client.post(path, content=body, headers=headers)
        return Reply(answer.status_code, answer.content)

    def show(self, sender: PartyId, path: str) -> Reply:
        answer = self._client.get(path, headers={"sender": sender})
        return Reply(answer.status_code, answer.content)


def main(url: str, folder: Path, clock: Path, port: int) -> None:
    """Work until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    net = FarNet(port)
    site = Site(folder, MILL, net, FileClock(clock), database=Database(url))
    began, deliver = Began(), site.outbox.deliver

    def noted(record: Record, entry: Entry) -> None:
        began.at_s, began.is_late = time.monotonic(), site.clock() >= entry.held_until
        deliver(record, entry)

    site.outbox.deliver = noted  # type: ignore[method-assign]  # to tell the test
    net.parties[SHOP] = FarShop(port, began)  # type: ignore[assignment]  # only its take and show are used
    site.runner.start()
    print("works", flush=True)  # noqa: T201  # the test waits for it
    ended.wait()
    site.runner.stop()
    site.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))

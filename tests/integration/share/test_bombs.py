"""Bodies that would inflate beyond memory or fill the disk, over a real wire: a clear error, and nothing is kept."""

import gzip
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import orjson
import psutil
import pytest

from gongshu.govern.errors import DatasetUnknown
from gongshu.model.ids import DatasetId
from gongshu.share import processes as store
from gongshu.share.dsp.messages import build_data_address
from gongshu.share.encoding import Encoding
from gongshu.share.errors import PeerAnswerInvalid, SpoolFull
from gongshu.share.keeping.room import FREE_BYTES_MIN, require_room, with_room
from gongshu.share.terms import Terms
from tests.integration.share.site import Site, two_sites
from tests.integration.share.test_end_to_end import started
from tests.integration.share.test_push import Sites, arrow, deliver, ready_inbox, until_free
from tests.unit.share.test_inflation import HUGE, inflated, parquet_bomb

GROWTH_MAX = 1536 * 1024**2
"""What the node may take while it refuses: far below what the bodies would unpack to."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with two_sites(tmp_path_factory.mktemp("bombs")) as sites:
        yield sites


class _Plane(BaseHTTPRequestHandler):
    """A hostile data plane: answers with the body, type and coding that the test chose."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        media_type, coding, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if coding:
            self.send_header("Content-Encoding", coding)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def plane() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Plane) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def transfer_id(pair: Sites, plane: ThreadingHTTPServer) -> str:
    """A started transfer whose data address leads to the hostile plane."""
    mill, shop = pair
    record = started(pair, Terms(uses_max=99), mill.publish("bombs"))
    endpoint = f"http://127.0.0.1:{plane.server_port}/data"
    shop.share.flows.addresses.add(mill.party, endpoint, shop.li)
    address = orjson.dumps(build_data_address(endpoint=endpoint, token="t", valid_s=300)).decode()
    with shop.database.begin() as connection:
        store.update_process(connection, record.process_id, {"data_address": address})
    return record.process_id


BOMBS: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "arrow lz4": (Encoding.ARROW.media_type, "", partial(inflated, "lz4", HUGE)),
    "arrow zstd": (Encoding.ARROW.media_type, "", partial(inflated, "zstd", HUGE)),
    "parquet that says nothing": ("application/octet-stream", "", parquet_bomb),
    "gzip": (Encoding.CSV.media_type, "gzip", lambda: gzip.compress(b"a\n" * 1_000_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_pulled_bomb_is_refused_in_bounded_memory(
    pair: Sites, plane: ThreadingHTTPServer, transfer_id: str, name: str
) -> None:
    shop = pair[1]
    kept = _sealed(shop)
    media_type, coding, make = BOMBS[name]
    plane.answer = (media_type, coding, make())  # type: ignore[attr-defined]
    before = psutil.Process().memory_info().rss
    with pytest.raises(PeerAnswerInvalid, match=r"memory|identity"):
        shop.share.pull_into(transfer_id, "bombed", shop.li)
    assert psutil.Process().memory_info().rss - before < GROWTH_MAX
    _require_nothing_kept(shop, "bombed", kept)


def test_a_pushed_bomb_is_refused_in_bounded_memory(pair: Sites) -> None:
    shop = pair[1]
    kept = _sealed(shop)
    _, address, headers = ready_inbox(pair, "pushed_bombs")
    before = psutil.Process().memory_info().rss
    for body in (inflated("lz4", HUGE), inflated("zstd", HUGE)):
        answer = until_free(partial(deliver, address, headers, body), 400)
        assert "bytes of memory" in answer.json()["detail"]
    assert psutil.Process().memory_info().rss - before < GROWTH_MAX
    _require_nothing_kept(shop, "got_pushed_bombs", kept)
    assert until_free(lambda: deliver(address, headers, arrow()), 200).json()["rows"] == 10


def test_a_full_disk_keeps_nothing_of_a_pull_and_puts_a_push_off(pair: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    mill, shop = pair
    record = started(pair, Terms(uses_max=9), mill.publish("full"))
    _, address, headers = ready_inbox(pair, "pushed_full")
    usage = shutil.disk_usage(shop.folder)
    with monkeypatch.context() as disk:
        disk.setattr(shutil, "disk_usage", lambda _: usage._replace(free=FREE_BYTES_MIN - 1))
        with pytest.raises(SpoolFull):
            shop.share.pull_into(record.process_id, "pulled_full", shop.li)
        refused = deliver(address, headers, arrow())
        assert (refused.status_code, refused.json()["code"]) == (503, "share.inbox_busy")
    with pytest.raises(DatasetUnknown):
        shop.catalogue.dataset(DatasetId("pulled_full"))
    assert shop.share.pull_into(record.process_id, "pulled_full", shop.li) == "pulled_full"


def test_room_is_asked_for_before_each_part(tmp_path: Path) -> None:
    require_room(tmp_path)
    assert list(with_room([1, 2], tmp_path)) == [1, 2]
    full = Path("/proc")  # a file system without any free bytes
    with pytest.raises(SpoolFull, match=str(FREE_BYTES_MIN)):
        require_room(full)
    with pytest.raises(SpoolFull):
        next(with_room([1, 2], full))


def _sealed(site: Site) -> set[Path]:
    return set(site.folder.rglob("*.sealed*"))


def _require_nothing_kept(site: Site, name: str, before: set[Path]) -> None:
    with pytest.raises(DatasetUnknown):
        site.catalogue.dataset(DatasetId(name))
    assert _sealed(site) <= before

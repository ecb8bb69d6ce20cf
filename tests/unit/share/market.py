"""Catalogues of simulated parties behind a wire that does everything wrong, seeded; no sockets and no sleeping.

Half of the parties are nodes like ours: a stamp, pages by key, and each answer says which page it is. The others page
by number and say nothing. Every fault is drawn from one seed and counted.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from urllib.parse import parse_qs, urlsplit

import orjson

from gongshu.model.ids import PartyId
from gongshu.share.crawl.sources import STAMP_PATH
from gongshu.share.dsp.messages import CONTEXT
from gongshu.share.errors import PeerUnreachable
from gongshu.share.ports import Reply
from tests.conftest import Clock

PAGE = 3
OFTEN = ("timeout", "cut", "garbage", "other document", "repeated", "ahead", "shuffled", "doubled", "changed")
"""What one run may meet many times."""
SELDOM = (
    "error",
    "busy",
    "loop",
    "elsewhere",
    "clock forward",
    "clock back",
    "killed before",
    "killed after",
    "overtaken",
)
"""What most often ends a run."""
FAULTS = (*(6 * OFTEN), *SELDOM)


class Killed(BaseException):
    """The process ends at this very step."""


class Shop:
    """One party's catalogue and everything it ever held."""

    def __init__(self, party: PartyId, random: Random, *, is_ours: bool) -> None:
        self.party, self.is_ours = party, is_ours
        self.random, self.made = random, 0
        self.entries: dict[str, str] = {}
        self.ever: set[tuple[str, str]] = set()
        self.removed: set[str] = set()
        self.version = 0
        for _ in range(random.randrange(4, 10)):
            self.add()

    def add(self) -> None:
        self.made += 1
        self.set(f"d{self.random.randrange(100):02}-{self.made}", "new")

    def set(self, key: str, title: str) -> None:
        self.entries[key] = title
        self.ever.add((key, title))
        self.version += 1

    def change(self) -> None:
        act = self.random.choice(["add", "remove", "rename"]) if self.entries else "add"
        if act == "add":
            self.add()
            return
        key = self.random.choice(sorted(self.entries))
        if act == "remove":
            del self.entries[key]
            self.removed.add(key)
            self.version += 1
        else:
            self.set(key, f"title {self.version}")

    def address(self, mark: str) -> str:
        name = "after" if self.is_ours else "page"
        return f"http://{self.party[-2:]}.example/dsp/catalog/request?{name}={mark}"

    def answer(self, address: str) -> tuple[list[str], str]:
        """Return the ids of a page and the address of the next."""
        mark = parse_qs(urlsplit(address).query).get("after" if self.is_ours else "page", [""])[0]
        keys = sorted(self.entries)
        if self.is_ours:
            left = [key for key in keys if key > mark]
            return left[:PAGE], self.address(left[PAGE - 1]) if len(left) > PAGE else ""
        start = int(mark or 0) * PAGE
        return keys[start : start + PAGE], self.address(str(int(mark or 0) + 1)) if len(keys) > start + PAGE else ""

    def pages(self) -> list[str]:
        found, address = [""], ""
        while address := self.answer(address)[1]:
            found.append(address)
        return found


class FaultyWire:
    """What the crawl needs of a wire, with a fault in a given share of the requests."""

    def __init__(self, shops: dict[PartyId, Shop], random: Random, clock: Clock) -> None:
        self.shops, self.random, self.clock = shops, random, clock
        self.fault_ratio = 0.0
        self.counts: Counter[str] = Counter()
        self.requests = 0
        self.overtake: Callable[[], None] = lambda: None

    def post(self, party: PartyId, base: str, path: str, body: bytes) -> Reply:
        return self._carry(party, "", lambda address: self._page(self.shops[party], address))

    def post_to(self, party: PartyId, address: str, body: bytes = b"") -> Reply:
        return self._carry(party, address, lambda asked: self._page(self.shops[party], asked))

    def get(self, party: PartyId, base: str, path: str) -> Reply:
        assert path == STAMP_PATH
        shop = self.shops[party]
        if not shop.is_ours:
            return Reply(404)
        return self._carry(party, None, lambda _: Reply(200, orjson.dumps({"stamp": f"v{shop.version}"})))

    def base_of(self, party: PartyId) -> str:
        return f"http://{party[-2:]}.example/dsp"

    def _page(self, shop: Shop, address: str, *, order: Callable[[list[str]], list[str]] = list) -> Reply:
        keys, following = shop.answer(address)
        datasets: list[dict[str, object]] = [
            {"@id": key, "@type": "Dataset", "dct:title": shop.entries[key], "hasPolicy": [_OFFER],
             "distribution": [_DISTRIBUTION]}
            for key in order(keys)
        ]  # fmt: skip
        document: dict[str, object] = {
            "@context": [CONTEXT],
            "@id": "c",
            "@type": "Catalog",
            "participantId": shop.party,
        }
        document |= {"dataset": datasets} if datasets else {}
        headers = {"link": f'<{following}>; rel="next"'} if following else {}
        if shop.is_ours:
            headers["content-location"] = f"request?{urlsplit(address).query}"
        return Reply(200, orjson.dumps(document), headers)

    def _carry(self, party: PartyId, address: str | None, answer: Callable[[str], Reply]) -> Reply:
        self.requests += 1
        if self.random.random() >= self.fault_ratio:
            return answer(address or "")
        shop, fault = self.shops[party], self.random.choice(FAULTS)
        if address is None and fault in ("repeated", "ahead", "loop", "elsewhere", "shuffled", "doubled"):
            fault = "error"
        if fault == "ahead" and not shop.is_ours:
            fault = "repeated"  # a silent source that leaves pages out cannot be told from one that has fewer
        self.counts[fault] += 1
        return self._suffer(fault, shop, address or "", answer)

    def _suffer(self, fault: str, shop: Shop, address: str, answer: Callable[[str], Reply]) -> Reply:
        before: dict[str, Callable[[], None]] = {"changed": shop.change, "overtaken": self._stand_still}
        before |= {
            "clock forward": lambda: self.clock.forward(hours=3),
            "clock back": lambda: self.clock.forward(hours=-3),
        }
        if fault in before:
            before[fault]()
            return answer(address)
        if fault == "killed before":
            raise Killed
        if fault == "timeout":
            raise PeerUnreachable(party=shop.party, address="wire", reason="timed out")
        plain = {
            "error": Reply(500, b"oops"), "busy": Reply(429, b"", {"retry-after": "30"}),
            "garbage": Reply(200, b'{"@type": \xff'), "other document": Reply(200, b'{"@type": "CatalogError"}'),
        }  # fmt: skip
        if fault in plain:
            return plain[fault]
        reply = answer(address)
        if fault == "killed after":
            raise Killed
        if fault == "cut":
            return Reply(200, reply.body[: self.random.randrange(len(reply.body))], reply.headers)
        pages = shop.pages()
        if fault in ("repeated", "ahead"):
            at = pages.index(address) if address in pages else 0
            return self._page(shop, self.random.choice(pages[: at + 1] if fault == "repeated" else pages[at:]))
        if fault in ("shuffled", "doubled"):
            twice = fault == "doubled"
            return self._page(
                shop, address, order=lambda keys: sorted(keys * (1 + twice), key=lambda _: self.random.random())
            )
        back = [page for page in pages if "" < page <= address] or [shop.address("")]
        target = self.random.choice(back) if fault == "loop" else "http://evil.example/dsp/next"
        return Reply(200, reply.body, {**reply.headers, "link": f'<{target}>; rel="next"'})

    def _stand_still(self) -> None:
        """This run hangs for so long that another one takes its party over, and then goes on."""
        self.clock.forward(minutes=5)
        self.overtake()


_OFFER = {
    "@id": "o", "@type": "Offer",
    "permission": [{"action": "use"}],
}  # fmt: skip
_SERVICE = {"@id": "s", "@type": "DataService", "endpointURL": "http://a.example/dsp"}
_DISTRIBUTION = {"@type": "Distribution", "format": "HttpData-PULL", "accessService": _SERVICE}

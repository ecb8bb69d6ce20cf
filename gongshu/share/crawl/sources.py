"""Reading one page of a catalogue: of another party over the wire, or of our own node. No state, no retries."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson

from gongshu.model.dataset import Dataset
from gongshu.model.ids import PartyId
from gongshu.share.addresses import is_under
from gongshu.share.catalog import next_link, read_catalog
from gongshu.share.crawl.errors import CatalogueBroken, PeerBusy
from gongshu.share.crawl.model import Entry, Page
from gongshu.share.dsp.messages import build_catalog_request, encode
from gongshu.share.dsp.reader import read_document
from gongshu.share.dsp.schema import find_fault
from gongshu.share.errors import MessageInvalid, PeerAnswerInvalid, PeerRefused
from gongshu.share.model import RemoteDataset
from gongshu.share.outbox import reply_reason
from gongshu.share.ports import Reply

STAMP_PATH = "/share/catalogue/stamp"
"""Beside the protocol's endpoints, below the registered address: one line that changes when the catalogue does."""
PAGE_HEADER = "content-location"
"""RFC 9110 §8.7. Our nodes say in it which page they answer; another one than asked for is asked for again."""

STAMP_LENGTH_MAX = 200
ENTRY_BYTES_MAX = 256 * 1024
"""A larger description of one dataset is left out of the index. Chosen by us."""
WAIT_MAX_S = 86_400
_NO_STAMP = frozenset({404, 405, 501})
_LATER = frozenset({408, 425, 429})
_OWN_PAGE = 500


class Source(Protocol):
    """A catalogue that can be read page by page."""

    def stamp(self, party: PartyId) -> str:
        """Return what changes whenever the catalogue does; empty where the source has no such thing."""
        ...

    def page(self, party: PartyId, address: str) -> Page:
        """Return one page; the empty address is the first."""
        ...


class CatalogueWire(Protocol):
    """As much of the wire as reading needs."""

    def post(self, party: PartyId, base: str, path: str, body: bytes) -> Reply:
        """Send one message below the party's base address."""
        ...

    def post_to(self, party: PartyId, address: str, body: bytes = b"") -> Reply:
        """Send a request to a full address of the party."""
        ...

    def get(self, party: PartyId, base: str, path: str) -> Reply:
        """Ask for a document."""
        ...

    def base_of(self, party: PartyId) -> str:
        """Return the address of the party's endpoints."""
        ...


class WireSource:
    """Another party's catalogue as the Dataspace Protocol gives it."""

    def __init__(self, wire: CatalogueWire, address_of: Callable[[PartyId], str]) -> None:
        self._wire = wire
        self._address_of = address_of

    def stamp(self, party: PartyId) -> str:
        """Return the stamp; empty for nodes of other makers, which have none. Raises: PeerBusy, PeerUnreachable."""
        reply = self._wire.get(party, self._address_of(party), STAMP_PATH)
        if reply.status_code in _NO_STAMP:
            return ""
        _require_ok(party, "the catalogue's stamp", reply)
        stamp = _read(party, "the catalogue's stamp", reply.body).get("stamp")
        if not isinstance(stamp, str) or not 0 < len(stamp) <= STAMP_LENGTH_MAX or not stamp.isprintable():
            raise PeerAnswerInvalid(party=party, what="the catalogue's stamp", reason="it holds no stamp")
        return stamp

    def page(self, party: PartyId, address: str) -> Page:
        """Return one page. Raises: PeerBusy, PeerRefused, PeerUnreachable, PeerAnswerInvalid, CatalogueBroken."""
        what = "the catalogue request"
        body = encode(build_catalog_request([]))
        reply = (
            self._wire.post_to(party, address, body)
            if address
            else self._wire.post(party, "", "/catalog/request", body)
        )
        _require_ok(party, what, reply)
        document = _read(party, what, reply.body)
        fault = find_fault(document, "Catalog")
        if fault:
            raise PeerAnswerInvalid(party=party, what=what, reason=fault)
        told = reply.headers.get(PAGE_HEADER)
        if told is not None and _query(told) != _query(address):
            raise PeerAnswerInvalid(party=party, what=what, reason="it is another page than the one asked for")
        following = next_link(reply.headers.get("link", ""))
        if following and not is_under(following, self._wire.base_of(party), query_allowed=True):
            raise CatalogueBroken(party=party, reason="its next page lies at an address that is not its own")
        entries = tuple(entry for dataset in read_catalog(document) if (entry := entry_of(dataset)) is not None)
        return Page(entries, following, len(reply.body), is_exact=told is not None)


class OwnCatalogue(Protocol):
    """This node's catalogue, as much as its index needs."""

    def version(self) -> int:
        """Return a number that grows with every change."""
        ...

    def datasets(self, *, limit: int, offset: int) -> Sequence[Dataset]:
        """Return entries by title."""
        ...


class OwnSource:
    """What stands in our own catalogue, offered or not; only this node's people search in it."""

    def __init__(self, catalogue: OwnCatalogue) -> None:
        self._catalogue = catalogue

    def stamp(self, party: PartyId) -> str:  # noqa: ARG002  # there is one own catalogue
        """Return the catalogue's version."""
        return str(self._catalogue.version())

    def page(self, party: PartyId, address: str) -> Page:  # noqa: ARG002
        """Return the entries from the offset that the address names; it is exact while the version is the same."""
        version, _, offset = address.partition(":")
        before = str(self._catalogue.version())
        found = self._catalogue.datasets(limit=_OWN_PAGE, offset=int(offset or 0))
        following = f"{version or before}:{int(offset or 0) + _OWN_PAGE}" if len(found) == _OWN_PAGE else ""
        entries = tuple(_own_entry(dataset) for dataset in found)
        is_exact = before == (version or before) == str(self._catalogue.version())
        return Page(entries, following, 0, is_exact=is_exact)


def entry_of(dataset: RemoteDataset) -> Entry | None:
    """Return a remote dataset as the index keeps it; None without an id, or where it is too large."""
    policies = [dict(offer.policy) for offer in dataset.offers]
    document = {"formats": list(dataset.formats), "offers": policies}
    return _entry(dataset.dataset_id, dataset.title, dataset.description, document)


def _own_entry(dataset: Dataset) -> Entry:
    said = (" ".join(filter(None, (column.title, column.name, column.unit))) for column in dataset.columns)
    words = [dataset.asset or "", *said]
    found = _entry(dataset.dataset_id, dataset.title, ", ".join(filter(None, words))[:4000], {"formats": []})
    assert found is not None, "our own entries have ids and bounded texts"
    return found


def _entry(dataset_id: str, title: str, description: str, document: Mapping[str, Any]) -> Entry | None:
    whole = orjson.dumps([dataset_id, title, description, document], option=orjson.OPT_SORT_KEYS)
    if not dataset_id or len(whole) > ENTRY_BYTES_MAX:
        return None
    return Entry(dataset_id, title, description, document, hashlib.sha256(whole).hexdigest())


def _require_ok(party: PartyId, what: str, reply: Reply) -> None:
    status = reply.status_code
    if status in _LATER or status >= 500:
        raise PeerBusy(party=party, status_code=status, wait_s=_wait_s(reply.headers.get("retry-after", "")))
    if not reply.is_ok:
        raise PeerRefused(party=party, what=what, status_code=status, reason=reply_reason(reply))


def _read(party: PartyId, what: str, body: bytes) -> Mapping[str, Any]:
    try:
        return read_document(body)
    except MessageInvalid as cause:
        raise PeerAnswerInvalid(party=party, what=what, reason=str(cause)) from cause


def _query(address: str) -> str:
    return address.partition("?")[2]


def _wait_s(header: str) -> int:
    """Return the seconds of a Retry-After header; its other form, a date, counts as none, for clocks may differ."""
    return min(int(header), WAIT_MAX_S) if header.isascii() and header.isdigit() and len(header) < 10 else 0

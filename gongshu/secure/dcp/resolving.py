"""From a DID to its document: only for parties that are registered, kept for less than a minute."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from gongshu.model.ids import PartyId
from gongshu.secure.dcp.did import DidDocument, DidInvalid, address_of, read_did_document
from gongshu.secure.dcp.fetching import Fetch
from gongshu.secure.errors import PartyUnknown, PeerTokenRejected
from gongshu.secure.jws import JwsInvalid, read_object
from gongshu.secure.parties import Party, PartyRegistry

KEPT = timedelta(seconds=45)
"""A key that its owner took out of the document counts for so long. Below a minute, as decision 0060 has it."""
KEPT_MAX = 1000


class Resolver:
    """Resolves registered DIDs."""

    def __init__(self, parties: PartyRegistry, fetch: Fetch, clock: Callable[[], datetime]) -> None:
        self._parties = parties
        self._fetch = fetch
        self._clock = clock
        self._kept: dict[str, tuple[DidDocument, datetime]] = {}
        self._lock = threading.Lock()

    def party(self, did: object) -> Party:
        """Return the registered party of a DID. Raises: PeerTokenRejected."""
        if not isinstance(did, str) or not did.startswith("did:"):
            raise PeerTokenRejected(reason="it names no DID")
        try:
            party = self._parties.get(PartyId(did))
        except PartyUnknown as cause:
            raise PeerTokenRejected(reason="its DID is not registered here") from cause
        if party.identity != "dcp":
            raise PeerTokenRejected(reason="its DID is registered with another scheme of identity")
        return party

    def document(self, party: Party) -> DidDocument:
        """Return the DID document of a registered party.

        Raises: PeerTokenRejected. Cost: one request when none is kept.
        """
        did, now = str(party.party_id), self._clock()
        with self._lock:
            kept = self._kept.get(did)
        if kept is not None and now < kept[1]:
            return kept[0]
        try:
            address = address_of(did, plain=party.address.startswith("http:"))
            document = read_did_document(self.fetched_object(party, address), did)
        except DidInvalid as cause:
            raise PeerTokenRejected(reason=f"the DID {did[:200]} cannot be used: {cause}") from cause
        with self._lock:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[did] = (document, now + KEPT)
        return document

    def fetched_object(self, party: Party, address: str, **more: Any) -> dict[str, Any]:
        """Return a JSON object from a party's host. Raises: PeerTokenRejected."""
        answer = self._fetch(party, address, **more)
        try:
            return read_object(answer)
        except JwsInvalid as cause:
            raise PeerTokenRejected(reason=f"{address[:200]} does not answer with a JSON object") from cause

    def fetched(self, party: Party, address: str) -> bytes:
        """Return what a party's host answers. Raises: PeerTokenRejected."""
        return self._fetch(party, address)

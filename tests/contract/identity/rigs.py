"""A judging node and its partner, as far as identity goes; the schemes' rigs build on it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from gongshu.model.audit import AuditEvent
from gongshu.model.ids import PartyId
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_identity import PeerIdentities, PeerIdentity, Proof
from gongshu.secure.peer_tokens import PeerTokens
from gongshu.testing.identity_contract import REQUEST
from tests.conftest import Clock
from tests.metadata import new_database

MILL = PartyId("urn:gongshu:party:mill")
SHOP = PartyId("urn:gongshu:party:shop")
OTHER = PartyId("urn:gongshu:party:other")


class NoAudit:
    """Takes what is written; who reads the log is tested elsewhere."""

    def write(self, event: AuditEvent) -> int:
        return 0


class End:
    """One party's keys, register and tokens."""

    def __init__(self, folder: Path, party: PartyId, clock: Callable[[], datetime]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.party = party
        self.keys = KeyStore(folder / "keys")
        self.database = new_database(folder / "metadata.db")
        self.parties = PartyRegistry(self.database, NoAudit(), clock)
        self.tokens = PeerTokens(self.keys, self.parties, party, clock, database=self.database)

    def record(self, identity: str = "gongshu", certificate: str = "") -> Party:
        """How others register this party."""
        pem, at = self.keys.public_key_pem(), "https://far.example"
        return Party(self.party, self.party, pem, at, ("partner",), identity, certificate)

    def door(self, schemes: Sequence[PeerIdentity]) -> PeerIdentities:
        return PeerIdentities(self.parties, schemes, own_party_id=self.party)


class TokenRig:
    """Signed tokens: the scheme `gongshu`."""

    def __init__(self, folder: Path) -> None:
        self._clock, self._far_clock = Clock(), Clock()
        self._node = End(folder / "mill", MILL, self._clock)
        self._far = End(folder / "shop", SHOP, self._far_clock)
        self._thief = End(folder / "thief", SHOP, self._far_clock)
        self.partner = self._far.record()
        self.parties = self._node.parties
        self.parties.add(self.partner)
        self.door = self._node.door([self._node.tokens])

    def prove(self, body: bytes | None) -> Proof:
        return self._made(self._far, MILL, body)

    def prove_elsewhere(self, body: bytes | None) -> Proof:
        return self._made(self._far, OTHER, body)

    def forge(self, body: bytes | None) -> Proof:
        return self._made(self._thief, MILL, body)

    def forward(self, seconds: float) -> None:
        self._clock.forward(seconds=seconds)

    def close(self) -> None:
        for end in (self._node, self._far, self._thief):
            end.database.close()

    def _made(self, by: End, audience: PartyId, body: bytes | None) -> Proof:
        target = replace(self._node.record(), party_id=audience)
        return Proof(by.tokens.headers_for(target, body, REQUEST)["Authorization"], body, request=REQUEST)

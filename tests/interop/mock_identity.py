"""The identity that EDC's `iam-mock` speaks: whoever writes a name into the header is that party.

It proves nothing, so it lives here and not in the product; it comes in through the same door as any other scheme.
"""

import json
from collections.abc import Mapping

from gongshu.model.ids import PartyId
from gongshu.secure.parties import Party
from gongshu.secure.peer_identity import Proof


class MockIdentity:
    """Raw JSON in the Authorization header, as EDC 0.14.1 writes and reads it."""

    name = "edc-mock"

    def __init__(self, own_party_id: str) -> None:
        self._own = own_party_id

    def headers_for(self, party: Party, body: bytes | None, request: str) -> Mapping[str, str]:
        claims = {"region": "eu", "audience": party.party_id, "clientId": self._own}
        return {"Authorization": json.dumps(claims)}

    def party_of(self, proof: Proof) -> PartyId | None:
        if not proof.authorization.startswith("{"):
            return None
        return PartyId(str(json.loads(proof.authorization)["clientId"]))

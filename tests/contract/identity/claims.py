"""A space of the Decentralized Claims Protocol in memory: an issuer with its status list, and who may ask whom."""

import base64
import gzip
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from gongshu.model.ids import PartyId
from gongshu.secure.dcp.did import address_of
from gongshu.secure.dcp.jose import sign_jwt, write_jwk
from gongshu.secure.dcp.scheme import DcpIdentity
from gongshu.secure.errors import PeerTokenRejected
from gongshu.secure.parties import Party
from gongshu.secure.peer_identity import Proof, SchemeParts
from gongshu.secure.peer_tls import TlsSettings
from gongshu.testing.identity_contract import REQUEST
from tests.conftest import Clock
from tests.contract.identity.rigs import End, NoAudit

MILL, SHOP = PartyId("did:web:mill.example"), PartyId("did:web:shop.example%3A8443")
OTHER, ISSUER = PartyId("did:web:other.example"), PartyId("did:web:issuer.example")


class Issuer:
    """Vouches for members, and takes it back."""

    def __init__(self, clock: Callable[[], datetime], did: PartyId = ISSUER) -> None:
        self.did, self.clock = did, clock
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.bits = bytearray(2048)
        self.purpose = "revocation"
        self.host = address_of(str(did)).removesuffix("/.well-known/did.json")
        self.list_address = f"{self.host}/status/1"

    def document(self) -> dict[str, Any]:
        kid = f"{self.did}#1"
        method = {"id": kid, "type": "JsonWebKey2020", "controller": self.did}
        return {
            "id": self.did,
            "verificationMethod": [{**method, "publicKeyJwk": write_jwk(self.key.public_key())}],
            "assertionMethod": [kid],
            "capabilityInvocation": [kid],
        }

    def revoke(self, index: int) -> None:
        self.bits[index // 8] |= 0x80 >> index % 8

    def status_list(self) -> dict[str, Any]:
        encoded = base64.urlsafe_b64encode(gzip.compress(bytes(self.bits))).decode().rstrip("=")
        subject = {"type": "BitstringStatusList", "statusPurpose": self.purpose, "encodedList": f"u{encoded}"}
        return {"type": ["BitstringStatusListCredential"], "issuer": self.did, "credentialSubject": subject}

    def credential(self, subject: PartyId, **changes: Any) -> str:
        """A membership credential of data model 1.1."""
        now = self.clock()
        document = {
            "@context": ["https://www.w3.org/2018/credentials/v1"],
            "id": f"urn:uuid:{subject}",
            "type": ["VerifiableCredential", "MembershipCredential"],
            "issuer": self.did,
            "issuanceDate": (now - timedelta(minutes=5)).isoformat(),
            "expirationDate": (now + timedelta(days=30)).isoformat(),
            "credentialSubject": {"id": subject},
            "credentialStatus": self.status(7),
            **changes,
        }
        return self.signed({"iss": self.did, "sub": document["credentialSubject"]["id"], "vc": document})

    def credential_2(self, subject: PartyId) -> str:
        """A membership credential of data model 2.0."""
        now = self.clock()
        return self.signed(
            {
                "@context": ["https://www.w3.org/ns/credentials/v2"],
                "id": f"urn:uuid:2:{subject}",
                "type": ["VerifiableCredential", "MembershipCredential"],
                "issuer": {"id": self.did},
                "validFrom": (now - timedelta(minutes=5)).isoformat(),
                "validUntil": (now + timedelta(days=30)).isoformat(),
                "credentialSubject": {"id": subject},
                "credentialStatus": [self.status(8)],
            }
        )

    def status(self, index: int) -> dict[str, Any]:
        return {
            "type": "BitstringStatusListEntry",
            "statusPurpose": "revocation",
            "statusListIndex": str(index),
            "statusListCredential": self.list_address,
        }

    def signed(self, claims: dict[str, Any]) -> str:
        return sign_jwt(claims, kid=f"{self.did}#1", key=self.key)

    def message(self, *tokens: str) -> dict[str, Any]:
        entries = [{"credentialType": "MembershipCredential", "format": "VC1_0_JWT", "payload": t} for t in tokens]
        base = {"@context": ["https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"], "type": "CredentialMessage"}
        return {**base, "issuerPid": "issuer-1", "holderPid": "holder-1", "status": "ISSUED", "credentials": entries}

    def token(self, audience: PartyId, jti: str = "") -> str:
        now = int(self.clock().timestamp())
        claims = {"iss": self.did, "sub": self.did, "aud": audience, "iat": now, "exp": now + 300}
        return "Bearer " + self.signed({**claims, "jti": jti or f"{now}-{id(object())}-{audience}"})


class Net:
    """What every party fetches from; a test puts other answers in their place."""

    def __init__(self) -> None:
        self.schemes: dict[str, DcpIdentity] = {}
        self.answers: dict[str, Callable[[], bytes]] = {}
        self.asked: list[str] = []

    def __call__(self, party: Party, address: str, *, body: bytes | None = None, authorization: str = "") -> bytes:
        self.asked.append(address)
        if address in self.answers:
            return self.answers[address]()
        for scheme in self.schemes.values():
            if address == address_of(str(scheme.document()["id"])):
                return json.dumps(scheme.document()).encode()
            if address == scheme.document()["service"][0]["serviceEndpoint"] + "/presentations/query":
                return json.dumps(scheme.holder.present(authorization, json.loads(body or b"{}"))).encode()
        raise PeerTokenRejected(reason=f"{address} does not answer")

    def publish(self, issuer: Issuer) -> None:
        self.answers[address_of(str(issuer.did))] = lambda: json.dumps(issuer.document()).encode()
        self.answers[issuer.list_address] = lambda: json.dumps(issuer.status_list()).encode()


class Member(End):
    """A party with a DID, its scheme, and what it knows of the others."""

    def __init__(self, folder: Path, did: PartyId, clock: Callable[[], datetime], net: Net) -> None:
        super().__init__(folder, did, clock)
        host = address_of(str(did)).removesuffix("/.well-known/did.json")
        parts = SchemeParts(
            did, self.keys, self.parties, self.tokens, self.database, NoAudit(), clock, lambda: host, TlsSettings()
        )
        self.scheme = DcpIdentity(parts, net)

    def knows(self, did: PartyId, *roles: str) -> Party:
        host = address_of(str(did)).removesuffix("/.well-known/did.json")
        return self.parties.add(Party(did, str(did), "", host, roles or ("partner",), "dcp"))


class ClaimsRig:
    """The mill judges; the shop is a member by a credential of an issuer that both know."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.far_clock, self.net = Clock(), Clock(), Net()
        self.node = Member(folder / "mill", MILL, self.clock, self.net)
        self.far = Member(folder / "shop", SHOP, self.far_clock, self.net)
        self.thief = Member(folder / "thief", SHOP, self.far_clock, Net())
        self.issuer = Issuer(self.far_clock)
        self.net.schemes = {str(MILL): self.node.scheme, str(SHOP): self.far.scheme}
        self.net.publish(self.issuer)
        self.partner = self.node.knows(SHOP)
        self.node.knows(ISSUER, "issuer")
        for did, roles in ((MILL, ()), (OTHER, ()), (ISSUER, ("issuer",))):
            self.far.knows(did, *roles)
        self.give(self.issuer.credential(SHOP))
        self.parties = self.node.parties
        self.door = self.node.door([self.node.scheme, self.node.tokens])

    def give(self, *tokens: str) -> None:
        """Let the issuer send credentials to the shop."""
        self.far.scheme.holder.take(self.issuer.token(SHOP), self.issuer.message(*tokens))

    def prove(self, body: bytes | None) -> Proof:
        return self._made(self.far, MILL, body)

    def prove_elsewhere(self, body: bytes | None) -> Proof:
        return self._made(self.far, OTHER, body)

    def forge(self, body: bytes | None) -> Proof:
        return self._made(self.thief, MILL, body)

    def forward(self, seconds: float) -> None:
        self.clock.forward(seconds=seconds)

    def close(self) -> None:
        for end in (self.node, self.far, self.thief):
            end.database.close()

    def _made(self, by: Member, audience: PartyId, body: bytes | None) -> Proof:
        target = Party(audience, "", "", "", (), "dcp")
        return Proof(by.scheme.headers_for(target, body, REQUEST)["Authorization"], body, request=REQUEST)

"""Two parties that meter one contract: real services and databases, an in-memory wire that the test may cut or bend."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.secure.audit import AuditLog
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.share.bindings import proof_of
from gongshu.share.dsp.states import Side
from gongshu.share.errors import PeerUnreachable
from gongshu.share.evidence.model import EvidenceSettings, Metered
from gongshu.share.evidence.service import EvidenceService
from gongshu.share.model import AgreementStatus
from gongshu.share.odrl import canonical_text, message_offer, text_hash
from gongshu.share.ports import Reply
from gongshu.share.tables import share_agreements, share_deliveries, share_processes
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.metadata import new_database

MILL, SHOP = PartyId("urn:gongshu:party:mill"), PartyId("urn:gongshu:party:shop")
CONTRACT = "urn:uuid:contract-1"


class Office:
    """One party's end."""

    def __init__(
        self,
        folder: Path,
        party: PartyId,
        side: Side,
        clock: Clock,
        settings: EvidenceSettings,
        database: Database | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.party, self.side, self.clock = party, side, clock
        self.database = database or new_database(folder / "metadata.db")
        self.keys = KeyStore(folder / "keys")
        self.audit = AuditLog(self.database, self.keys, clock)
        self.parties = PartyRegistry(self.database, self.audit, clock)
        self.ended: list[tuple[str, str]] = []
        self.counted: datetime | None = None
        self.post: Callable[[PartyId, str, bytes], Reply] = lambda party, path, body: Reply(503)
        self.evidence = EvidenceService(
            database=self.database,
            keys=self.keys,
            parties=self.parties,
            audit=self.audit,
            clock=clock,
            own_party_id=party,
            end_transfers=lambda agreement, reason: self.ended.append((agreement, reason)),
            post=lambda party, path, body: self.post(party, path, body),
            settings=settings,
            counted=lambda: self.counted,
        )
        self.li = Subject(SubjectId("user:li"), party, frozenset({Role.PRODUCT_OWNER}))

    def knows(self, other: "Office") -> None:
        self.parties.add(Party(other.party, other.party, other.keys.public_key_pem(), "http://other.example"))

    def sign(self, other: PartyId, contract: str) -> None:
        policy = message_offer(Terms(uses_max=9), offer_id="offer-1", target="orders")
        text = canonical_text({**policy, "@id": contract, "@type": "Agreement"})
        process: dict[str, Any] = {"created_at": self.clock(), "created_by": "user:li", "updated_at": self.clock()}
        common = {"side": self.side, "counterparty": other, "agreement_id": contract, **process}
        with self.database.begin() as connection:
            for kind, state in (("negotiation", "FINALIZED"), ("transfer", "STARTED")):
                pid, peer = f"{kind}-{self.side}-{contract}", f"{kind}-{self.side.other}-{contract}"
                row = {"process_id": pid, "peer_pid": peer, "kind": kind, "state": state, **common}
                connection.execute(sa.insert(share_processes).values(**row))
            connection.execute(
                sa.insert(share_agreements).values(
                    agreement_id=contract,
                    side=self.side,
                    counterparty=other,
                    dataset_id="orders",
                    negotiation_id=f"negotiation-{self.side}-{contract}",
                    policy=text,
                    policy_hash=text_hash(text),
                    status=AgreementStatus.ACTIVE,
                    agreed_at=self.clock(),
                    bound_to=proof_of(other),
                )
            )

    def deliver(self, key: str, rows: int = 10, content: bytes = b"rows", contract: str = CONTRACT) -> None:
        """Write the meter's row of a delivery, as the data planes do."""
        with self.database.begin() as connection:
            connection.execute(
                sa.insert(share_deliveries).values(
                    direction="out" if self.side is Side.PROVIDER else "in",
                    process_id=f"transfer-{self.side}-{contract}",
                    agreement_id=contract,
                    counterparty=MILL if self.party == SHOP else SHOP,
                    dataset_id="orders",
                    purpose="",
                    encoding="arrow",
                    rows=rows,
                    size_bytes=len(content),
                    outcome="complete",
                    request_key=key,
                    sha256=hashlib.sha256(content).hexdigest(),
                    lined="due",
                    started_at=self.clock(),
                    finished_at=self.clock(),
                )
            )

    def status(self, contract: str = CONTRACT) -> str:
        query = sa.select(share_agreements.c.status).where(share_agreements.c.agreement_id == contract)
        with self.database.connect() as connection:
            return str(connection.execute(query).scalar())

    def retire(self, reason: str, contract: str = CONTRACT) -> None:
        change = sa.update(share_agreements).where(share_agreements.c.agreement_id == contract)
        with self.database.begin() as connection:
            connection.execute(change.values(status=AgreementStatus.RETIRED, reason=reason))

    def stands(self, contract: str = CONTRACT) -> dict[str, str]:
        found = self.evidence.metered(self.li, agreement_id=contract)
        return {each.delivery: each.standing.value for each in found}

    def one(self, delivery: str) -> Metered:
        return next(each for each in self.evidence.metered(self.li) if each.delivery == delivery)


class Street:
    """Both offices and the wire between them."""

    def __init__(
        self, folder: Path, settings: EvidenceSettings | None = None, database: Database | None = None
    ) -> None:
        """`database` is the mill's, where it is not to be a new one."""
        self.clock = Clock()
        bounds = settings or EvidenceSettings()
        self.mill = Office(folder / "mill", MILL, Side.PROVIDER, self.clock, bounds, database)
        self.shop = Office(folder / "shop", SHOP, Side.CONSUMER, self.clock, bounds)
        self.mill.knows(self.shop)
        self.shop.knows(self.mill)
        self.sign(CONTRACT)
        self.mill.post, self.shop.post = self.post_of(self.mill), self.post_of(self.shop)
        self.is_cut = False
        self.is_foreign = False
        self.bend: Callable[[bytes], bytes] = lambda body: body

    def sign(self, contract: str) -> None:
        self.mill.sign(SHOP, contract)
        self.shop.sign(MILL, contract)

    def post_of(self, sender: Office) -> Callable[[PartyId, str, bytes], Reply]:
        target = self.shop if sender is self.mill else self.mill

        def post(party: PartyId, path: str, body: bytes) -> Reply:
            assert (party, path) == (target.party, "/share/evidence")
            if self.is_cut:
                raise PeerUnreachable(party=party, address="wire", reason="cut")
            if self.is_foreign:
                return Reply(404)
            try:
                return Reply(200, orjson.dumps(target.evidence.take(sender.party, self.bend(body))))
            except GongshuError as fault:
                return Reply(fault.status)

        return post

    def meet(self, times: int = 3) -> None:
        """Let both do what is due and talk, until both are quiet."""
        for _ in range(times):
            self.mill.evidence.step()
            self.shop.evidence.step()

    def close(self) -> None:
        self.mill.database.close()
        self.shop.database.close()

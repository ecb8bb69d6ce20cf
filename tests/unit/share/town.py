"""An operator and members in one process: real databases, keys, signatures, registers; only the network is a call."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.packs import load_packs
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.share.agreements import find_agreement, retire_agreement
from gongshu.share.bindings import proof_of
from gongshu.share.errors import PeerUnreachable
from gongshu.share.model import Agreement
from gongshu.share.odrl import canonical_text, message_offer, text_hash
from gongshu.share.ports import Reply
from gongshu.share.spaces.service import SpaceService
from gongshu.share.tables import share_agreements, share_processes
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.metadata import new_database
from tests.unit.share.world import Memory

RULES = "1. Data stay with their owners.\n2. 数据不得再分发。\n"
AREA, ORGANISATION = "310100", "91310000MA1K000000"
Json = dict[str, Any]


class House:
    """One party."""

    def __init__(
        self, folder: Path, name: str, town: "Town", clock: Clock, *, database: Database | None = None
    ) -> None:
        self.party = PartyId(f"urn:gongshu:party:{name}")
        self.town, self.clock, self.audit = town, clock, Memory()
        folder.mkdir()
        self.database = database or new_database(folder / "metadata.db")
        self.keys = KeyStore(folder / "keys")
        self.parties = PartyRegistry(self.database, self.audit, clock)
        self.li = Subject(SubjectId("user:li"), self.party, frozenset({Role.PRODUCT_OWNER, Role.STEWARD}))
        self.spaces = SpaceService(
            database=self.database,
            wire=self,
            parties=self.parties,
            contracts=self,
            keys=self.keys,
            packs=load_packs(),
            audit=self.audit,
            clock=clock,
            own_party_id=self.party,
        )

    # ---- the wire: what the HTTP endpoints do, without HTTP

    def post(self, party: PartyId, base: str, path: str, body: bytes) -> Reply:
        self.town.sent.append((self.party, party, path))
        other = self.town.houses[party]
        if party in self.town.silent:
            raise PeerUnreachable(party=party, address=base, reason="silent")
        if self.party in self.town.strangers:
            return Reply(404, orjson.dumps({"code": "share.not_authorised"}))
        try:
            answer = other.take(self.party, path, orjson.loads(body))
        except GongshuError as error:
            return Reply(error.status, orjson.dumps({"code": error.code, "detail": str(error)}))
        if path.rsplit("/", 1)[-1] in self.town.mute:
            raise PeerUnreachable(party=party, address=base, reason="its answer was lost")
        return Reply(200, orjson.dumps(answer))

    def take(self, sender: PartyId, path: str, document: Json) -> Json:
        *_, space_id, message = path.split("/")
        if path == "/share/spaces/notices":
            self.spaces.membership.receive(sender, document)
            return {}
        if path == "/share/spaces/requests":
            return self.spaces.desk.request(sender, document)
        return self.spaces.desk.answer(sender, space_id, message, document)

    # ---- our agreements

    def agreement(self, agreement_id: str) -> Agreement:
        with self.database.connect() as connection:
            return find_agreement(connection, agreement_id)

    def retire(self, agreement_id: str, actor: Subject, reason: str) -> Agreement:
        with self.database.begin() as connection:
            retire_agreement(connection, agreement_id, reason)
        return self.agreement(agreement_id)

    def agree(self, other: "House", number: str, *, offer_id: str = "") -> str:
        """Write a contract in which this house provides, as a negotiation would have."""
        agreement_id, now = f"urn:a:{number}", self.clock()
        policy = canonical_text({**message_offer(Terms(uses_max=1), offer_id=agreement_id, target="orders")})
        with self.database.begin() as connection:
            process = {"kind": "negotiation", "side": "provider", "state": "FINALIZED", "counterparty": other.party}
            process |= {"offer_id": offer_id, "created_by": "li"}
            connection.execute(
                sa.insert(share_processes).values(process_id=f"n{number}", created_at=now, updated_at=now, **process)
            )
            row = {"side": "provider", "counterparty": other.party, "dataset_id": "orders", "status": "active"}
            row |= {"policy": policy, "policy_hash": text_hash(policy), "negotiation_id": f"n{number}"}
            connection.execute(
                sa.insert(share_agreements).values(
                    agreement_id=agreement_id, agreed_at=now, bound_to=proof_of(other.party), **row
                )
            )
        return agreement_id

    def status(self, agreement_id: str) -> str:
        return self.agreement(agreement_id).status.value


class Town:
    """Everybody knows everybody."""

    def __init__(self, folder: Path, clock: Clock, names: tuple[str, ...], operator: Database | None) -> None:
        self.sent: list[tuple[PartyId, PartyId, str]] = []
        self.silent: set[PartyId] = set()
        self.strangers: set[PartyId] = set()
        """Whom nobody has registered: their messages get the one 404."""
        self.mute: set[str] = set()
        """Messages that arrive and whose answers are lost."""
        given = {"operator": operator}
        made = {name: House(folder / name, name, self, clock, database=given.get(name)) for name in names}
        self.houses = {house.party: house for house in made.values()}
        for house in self.houses.values():
            for other in self.houses.values():
                if other is not house:
                    key = other.keys.public_key_pem()
                    house.parties.add(Party(other.party, "", key, f"http://{other.party[-4:]}.example"))

    def house(self, name: str) -> House:
        return self.houses[PartyId(f"urn:gongshu:party:{name}")]

    def open_space(self, title: str = "Bearings") -> str:
        """Return the id of an active space of the operator."""
        host, li = self.house("operator").spaces.host, self.house("operator").li
        return str(host.approve(host.request(title, RULES, li)["space_id"], li)["space_id"])

    def join(self, space_id: str, name: str, *roles: str) -> House:
        """Return a house that applied and was admitted."""
        house, operator = self.house(name), self.house("operator")
        self.apply(space_id, house, *roles)
        operator.spaces.host.admit(space_id, house.party, operator.li, identity_check="licence seen (synthetic)")
        return house

    def apply(self, space_id: str, house: House, *roles: str) -> Json:
        more = {"area": AREA, "organisation": ORGANISATION, "rules": RULES}
        operator = self.house("operator").party
        return house.spaces.membership.apply(operator, space_id, list(roles), house.li, **more)

    def tell(self) -> int:
        """Carry the operator's news."""
        return self.house("operator").spaces.step()

    def close(self) -> None:
        for house in self.houses.values():
            house.database.close()


@contextmanager
def town(folder: Path, clock: Clock, *names: str, operator_database: Database | None = None) -> Iterator[Town]:
    made = Town(folder, clock, ("operator", *names), operator_database)
    try:
        yield made
    finally:
        made.close()

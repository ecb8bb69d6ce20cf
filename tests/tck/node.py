"""The node that the kit examines: the product's own application in a process of its own, filled with the fixtures.

Beside it, on a port of its own, the two routes by which the kit asks a connector to begin something; they are no part
of the product. The kit proves itself with a fixed header; its party is registered with a scheme that checks just that.
"""

import argparse
import contextlib
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI

from gongshu.config import Home, NodeConfig, write_config
from gongshu.main import create_app
from gongshu.model.access import Role, Subject
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.node import Node, open_node
from gongshu.secure.parties import Party
from gongshu.secure.peer_identity import Proof
from gongshu.share.bindings import proof_of
from gongshu.share.dsp.states import Side
from gongshu.share.model import AgreementStatus, RemoteOffer
from gongshu.share.odrl import canonical_text, text_hash
from gongshu.share.tables import share_agreements
from gongshu.share.terms import Terms
from tests.tck.fixtures import ASKED, CATALOGUE, DATASET, FETCHED, KIT, PARTY, PROVIDED, SENT, Case

USE = {"permission": [{"action": "use"}]}
LI = Subject(SubjectId("user:li"), PartyId(PARTY), frozenset({Role.PRODUCT_OWNER, Role.STEWARD}))


class FixedHeader:
    """The kit's scheme: one header, the same for every message."""

    name = "fixed-header"

    def __init__(self, header: str) -> None:
        self._header = header

    def headers_for(self, party: Party, body: bytes | None, request: str) -> Mapping[str, str]:
        return {"Authorization": self._header}

    def party_of(self, proof: Proof) -> PartyId | None:
        is_it = secrets.compare_digest(proof.authorization.encode(), self._header.encode())
        return PartyId(KIT) if is_it else None


def fill(node: Node, kit_address: str) -> None:
    """Publish the kit's catalogue and store the agreements that its transfers begin with."""
    node.parties.add(Party(PartyId(KIT), "the kit", node.keys.public_key_pem(), kit_address, identity=FixedHeader.name))
    dataset_id = node.store.write(DATASET, pa.table({"row": [1, 2, 3]}), title="Rows (synthetic)", origin="import:kit")
    category = node.catalogue.dataset(dataset_id).label.category
    node.catalogue.confirm(
        dataset_id,
        grade=Grade.ONE,
        importance=Importance.GENERAL,
        category=category,
        actor=SubjectId("user:steward"),
        reason="made for the kit",
    )
    free = Terms(unrestricted=True)
    for name in CATALOGUE:
        node.share.offer(dataset_id, free, LI, published_as=name)
    for case in PROVIDED:
        node.share.offer(dataset_id, free, LI, rules=case.rules, offer_id=case.offer_id, published_as=case.item)
    for case in SENT:
        _agree(node, dataset_id, case, Side.PROVIDER)
    for case in FETCHED:
        _agree(node, dataset_id, case, Side.CONSUMER)


def _agree(node: Node, dataset_id: DatasetId, case: Case, side: Side) -> None:
    parties = (PARTY, KIT) if side is Side.PROVIDER else (KIT, PARTY)
    policy = {"@id": case.item, "@type": "Agreement", "target": dataset_id, **USE}
    text = canonical_text({**policy, "assigner": parties[0], "assignee": parties[1]})
    with node.database.begin() as connection:
        connection.execute(
            sa.insert(share_agreements).values(
                agreement_id=case.item,
                side=side,
                counterparty=KIT,
                dataset_id=dataset_id,
                negotiation_id=f"kit:{case.item}",
                policy=text,
                policy_hash=text_hash(text),
                status=AgreementStatus.ACTIVE,
                agreed_at=node.clock(),
                bound_to=proof_of(PartyId(KIT)),
                transfer_rules=case.rules.as_json() if side is Side.PROVIDER else None,
            )
        )


def triggers(node: Node) -> FastAPI:
    """Return the two routes by which the kit asks us to begin."""
    app = FastAPI()
    asked, fetched = {case.item: case for case in ASKED}, {case.item: case for case in FETCHED}

    @app.post("/negotiations")
    def negotiate(body: dict[str, Any]) -> dict[str, str]:
        offer_id, dataset = str(body["offerId"]), str(body["datasetId"])
        remote = RemoteOffer(offer_id, {"@id": offer_id, "@type": "Offer", **USE}, Terms(unrestricted=True), "")
        record = node.share.negotiate(PartyId(KIT), dataset, LI, offer=remote, rules=asked[dataset].rules)
        return {"process": record.process_id}

    @app.post("/transfers")
    def transfer(body: dict[str, Any]) -> dict[str, str]:
        agreement_id = str(body["agreementId"])
        record = node.share.transfer(agreement_id, LI, rules=fetched[agreement_id].rules)
        return {"process": record.process_id}

    return app


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    for name in ("--port", "--trigger-port", "--kit-port"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--authorization", required=True)
    given = parser.parse_args()
    home = Home(given.home)
    write_config(home, NodeConfig(party_id=PARTY, title="Examined node (synthetic)", port=given.port))
    node = open_node(home, identities=[FixedHeader(given.authorization)])
    with contextlib.closing(node):
        fill(node, f"http://127.0.0.1:{given.kit_port}")
        beside = uvicorn.Server(_config(triggers(node), given.trigger_port))
        threading.Thread(target=beside.run, daemon=True).start()
        uvicorn.Server(_config(create_app(node), given.port)).run()


def _config(app: FastAPI, port: int) -> uvicorn.Config:
    return uvicorn.Config(app, port=port, log_level="warning", access_log=False, ws="websockets-sansio")


if __name__ == "__main__":
    main()

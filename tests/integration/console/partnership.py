"""A partner node, served for a moment, so that the node of the tests has contracts, copies, a dispute and a space."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gongshu.config import NodeConfig
from gongshu.model.access import Role, Subject
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.node import Node, open_node
from gongshu.secure.gate import SqlQuery
from gongshu.secure.keys import fingerprint_of
from gongshu.secure.parties import Party
from gongshu.share.automation import ASK_FIRST
from gongshu.share.clearances.model import Kind
from gongshu.share.contracts.api import create_partner_contracts_router
from gongshu.share.crawl.api import create_stamp_router
from gongshu.share.dsp.api import mount_dsp
from gongshu.share.dsp.messages import FORMAT_STREAM
from gongshu.share.dsp.states import State
from gongshu.share.evidence.api import create_entries_router
from gongshu.share.evidence.service import post_with
from gongshu.share.keeping.api import create_told_router
from gongshu.share.obtaining import obtain
from gongshu.share.spaces.api import create_spaces_peer_router
from gongshu.share.tables import share_agreements, share_deliveries
from gongshu.share.terms import Operation, Terms
from tests.integration.share.site import new_app
from tests.metadata import new_home

MILL_DATA = DatasetId("plant_1_line_1_mill_01")
SHOP = PartyId("urn:gongshu:party:shop")
CHANGED = {"forge": "锻造厂 (synthetic)", "foundry": "铸造厂 (synthetic)"}
"""Parties whose key changed; the forge's nobody confirms."""
CHANGED_KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key() for number in (1, 2)]
KEY_FORMER, KEY_CURRENT = map(fingerprint_of, CHANGED_KEYS)
EMPTIED = "coolant_of_the_shop"
"""A copy that was deleted."""
FIGURED = "furnace"
"""A copy of which only figures may be seen, once, for one of two purposes."""
DECLINED = "urn:uuid:declined"
"""An offer whose request waits for a person until a test declines it; another one goes on waiting."""
RULES = "1. 只登记自己的资源与产品。\n2. 数据不经过空间。"


def live(mill: Node, folder: Path) -> None:
    """Let the node and a partner live through offers, contracts, deliveries and spaces; the partner then goes away."""
    shop = open_node(new_home(folder, NodeConfig(party_id=SHOP, title="测试合作方 (synthetic)", port=0)))
    try:
        with ExitStack() as served:
            served.enter_context(_served(mill))
            served.enter_context(_served(shop))
            _meet(mill, shop)
            _deal(mill, shop)
            _gather(mill, shop)
        _guard(mill)
        for name, title in CHANGED.items():
            _change_key(mill, name, title)
    finally:
        shop.close()


def person(node: Node) -> Subject:
    """Somebody of the node who may do what dealing needs."""
    return Subject(SubjectId("user:li"), node.party_id, frozenset({Role.PRODUCT_OWNER, Role.STEWARD}))


@contextmanager
def _served(node: Node) -> Iterator[None]:
    app = new_app()
    mount_dsp(app, node.share)
    app.include_router(create_told_router(node.share, node.keeping))
    app.include_router(create_partner_contracts_router(node.share))
    app.include_router(create_entries_router(node.share, node.evidence))
    app.include_router(create_stamp_router(node.crawl, node.identities))
    app.include_router(create_spaces_peer_router(node.spaces, node.identities))
    listener = socket.create_server(("127.0.0.1", 0))
    node.home.run.mkdir(exist_ok=True)
    address = node.home.run / "address"
    address.write_text(f"http://127.0.0.1:{listener.getsockname()[1]}", encoding="utf-8")
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    node.share.start()
    try:
        yield
    finally:
        node.share.stop()
        server.should_exit = True
        thread.join(10)
        listener.close()
        address.unlink()


def _meet(mill: Node, shop: Node) -> None:
    for one, other in ((mill, shop), (shop, mill)):
        line, fingerprint = other.introductions.own(person(other))
        one.introductions.accept(line, fingerprint, person(one))
    mill.share.partners.add_to_group("suppliers", [SHOP], person(mill), title="供应商")
    mill.share.partners.register_place(SHOP, "CN-33", "test", person(mill))
    week_s = int(timedelta(days=7).total_seconds())
    terms = Terms(uses_max=20, no_onward=True, delete_after_s=week_s, parties=frozenset({mill.party_id}))
    temperatures = {"part_number": ["P-1", "P-2", "P-3"], "spindle_temperature": [41.5, 39.0, 44.2]}
    shop.share.offer(_table(shop, "spindle", "Spindle temperature", temperatures), terms, person(shop))


def _table(
    node: Node,
    name: str,
    title: str,
    columns: Mapping[str, object],
    grade: Grade = Grade.ONE,
    importance: Importance = Importance.GENERAL,
) -> DatasetId:
    dataset = node.store.write(name, pa.table(dict(columns)), title=title, origin=f"import:{name}.csv")
    node.catalogue.confirm(
        dataset,
        grade=grade,
        importance=importance,
        category=node.catalogue.dataset(dataset).label.category,
        actor=SubjectId("user:li"),
        reason="test",
    )
    return dataset


def _deal(mill: Node, shop: Node) -> None:
    until = datetime.now(UTC) + timedelta(days=90)
    terms = Terms(parties=frozenset({SHOP}), until=until, uses_max=5, purposes=frozenset({"quality"}), no_onward=True)
    parts = {"part_number": ["P-1", "P-2", "P-3"], "hardness_hrc": [61.5, 60.0, 62.2]}
    mill.share.offer(_table(mill, "parts", "零件硬度", parts), terms, person(mill))
    obtain(shop.share, mill.party_id, "parts", person(shop), purpose="quality", name="parts")
    shop.gate.read(person(shop), SqlQuery("SELECT count(*) AS n FROM parts"), purpose="quality").read_all()
    mill.share.offer(MILL_DATA, terms, person(mill))
    agreed = shop.share.negotiate(mill.party_id, MILL_DATA, person(shop))
    agreement = shop.share.wait_for(agreed.process_id, {State.FINALIZED}, 30).agreement_id
    asked = shop.share.transfer(agreement, person(shop), format=FORMAT_STREAM)
    shop.share.wait_for(asked.process_id, {State.STARTED}, 30)
    stream = next(record for record in mill.share.transfers() if record.format == FORMAT_STREAM)
    mill.share.suspend(stream.process_id, person(mill), "stock-taking")
    obtain(mill.share, SHOP, "spindle", person(mill), name="spindle")
    with mill.database.begin() as connection:  # the two sides count one delivery differently
        change = sa.update(share_deliveries).where(share_deliveries.c.direction == "in")
        connection.execute(change.values(rows=share_deliveries.c.rows + 1))
    for _ in range(3):
        for node in (mill, shop):
            node.evidence.step()
    shop.keeping.step(post_with(shop.share._wire, shop.parties))
    mill.share.offer(DatasetId("parts"), terms, person(mill), rules=ASK_FIRST, offer_id="urn:uuid:asks")
    _delete_copy(mill, shop)
    _keep_rows(mill, shop)
    mill.share.offer(MILL_DATA, terms, person(mill), rules=ASK_FIRST, offer_id=DECLINED)
    for dataset, offer_id in ((MILL_DATA, DECLINED), ("parts", "urn:uuid:asks")):
        waits = shop.share.negotiate(mill.party_id, dataset, person(shop), offer_id=offer_id)
        shop.share.wait_for(waits.process_id, {State.REQUESTED}, 30)


def _keep_rows(mill: Node, shop: Node) -> None:
    """A copy of which only figures may be seen, once."""
    rows = pa.table({"batch": ["B-1", "B-1", "B-2"], "furnace_temperature": [850.5, 851.5, 849.0]})
    purposes = frozenset({"quality", "maintenance"})
    figures = Terms(operations=frozenset({Operation.AGGREGATE}), aggregate_min=2)
    terms = replace(figures, uses_max=1, purposes=purposes, parties=frozenset({mill.party_id}))
    shop.share.offer(_table(shop, FIGURED, "Furnace", {"batch": ["B-1"]}), terms, person(shop))
    agreed = mill.share.negotiate(SHOP, FIGURED, person(mill))
    agreement = mill.share.wait_for(agreed.process_id, {State.FINALIZED}, 30).agreement_id
    asked = mill.share.transfer(agreement, person(mill))
    record = mill.share.wait_for(asked.process_id, {State.STARTED}, 30)
    mill.keeping.keeper.keep(
        record,
        mill.share.agreement(agreement),
        FIGURED,
        rows.to_batches(),
        rows.schema,
        title="Furnace",
        actor="user:li",
    )


def _delete_copy(mill: Node, shop: Node) -> None:
    """A copy, graded, whose contract has ended."""
    coolant = _table(shop, "coolant", "Coolant", {"ph": [9.1]})
    for _ in range(2):  # two that say the same
        shop.share.offer(coolant, Terms(unrestricted=True), person(shop))
    got = obtain(mill.share, SHOP, "coolant", person(mill), name=EMPTIED)
    mill.share.retire(got.agreement_id, person(mill), "no longer needed")
    mill.keeping.step()


def _gather(mill: Node, shop: Node) -> None:
    mill.crawl.follow(SHOP, person(mill))
    mill.crawl.crawl(SHOP, person(mill))
    for operator, member, title in ((mill, shop, "轴承产业链"), (shop, mill, "Bearing chain")):
        asked = operator.spaces.host.request(title, RULES, person(operator))
        space = str(operator.spaces.host.approve(asked["space_id"], person(operator))["space_id"])
        member.spaces.membership.apply(
            operator.party_id,
            space,
            ["provider"],
            person(member),
            area="310100",
            organisation="000000000",
            rules=RULES,
        )
    space = str(mill.spaces.host.spaces(person(mill))[0]["space_id"])
    mill.spaces.host.admit(space, SHOP, person(mill), identity_check="licence seen (synthetic)")
    entry = {"kind": "resource", "title": "主轴温度 (synthetic)", "description": ""}
    shop.spaces.membership.submit(mill.party_id, space, entry, person(shop))
    mill.spaces.host.request("第二个空间 (synthetic)", RULES, person(mill))


def _guard(mill: Node) -> None:
    """Data that need a clearance: one asked for by a second product owner, one for nobody yet."""
    recipe = {"part_number": ["P-1", "P-2"], "temperature": [851.237, 849.114]}
    recipes = _table(mill, "recipes", "淬火配方 (synthetic)", recipe, Grade.THREE)
    load = {"hour": [1, 2], "load_mw": [12.5, 13.25]}
    _table(mill, "grid_load", "用电负荷 (synthetic)", load, Grade.TWO, Importance.IMPORTANT)
    bo = Subject(SubjectId("user:bo"), mill.party_id, frozenset({Role.PRODUCT_OWNER}))
    knowers = [{"name": "甲 (synthetic)", "post": "热处理"}]
    mill.share.clearances.request(
        Kind.STRICT,
        recipes,
        SHOP,
        {"knowers": knowers, "mark": {"temperature": 3}},
        bo,
        reason="joint fault analysis",
        valid_until=mill.clock() + timedelta(days=30),
    )


def contract_of(name: str) -> str:
    """The id of the contract with a party whose key changed."""
    return f"urn:uuid:with-the-{name}"


def _change_key(mill: Node, name: str, title: str) -> None:
    """A party with a contract, in a group and at a place, that has another key since."""
    former, current = (key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in CHANGED_KEYS)
    party = Party(PartyId(f"urn:gongshu:party:{name}"), title, former.decode(), "http://127.0.0.1:1", ("partner",))
    mill.parties.add(party)
    mill.share.partners.add_to_group("suppliers", [party.party_id], person(mill))
    mill.share.partners.register_place(party.party_id, "CN-31", "test", person(mill))
    with mill.database.begin() as connection:
        mine = sa.select(share_agreements).where(share_agreements.c.dataset_id == "parts")
        like = dict(connection.execute(mine).first()._mapping)  # type: ignore[union-attr]  # the shop's, made above
        new = dict.fromkeys(("agreement_id", "negotiation_id"), contract_of(name)) | {"counterparty": party.party_id}
        bound = {"bound_to": party.proof, "uses": 0, "agreed_at": like["agreed_at"] - timedelta(days=1)}
        connection.execute(sa.insert(share_agreements).values(**like | new | bound))
    mill.parties.replace(replace(party, public_key_pem=current.decode()))

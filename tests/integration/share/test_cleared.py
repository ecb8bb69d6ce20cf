"""三级 data between two real nodes: cleared for one party, marked on their way, stopped when the clearance ends."""

from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import httpx
import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from gongshu.model.access import Request, Role, Subject
from gongshu.model.grade import Grade
from gongshu.model.ids import DatasetId, SubjectId
from gongshu.secure.errors import Denied
from gongshu.secure.gate import DatasetQuery
from gongshu.share.arriving import read_data_address
from gongshu.share.clearances.model import Clearance, Kind, State
from gongshu.share.delivery import partner_subject
from gongshu.share.errors import GradeForbids, PeerRefused
from gongshu.share.model import Record
from gongshu.share.terms import Terms
from tests.integration.share.site import Site, two_sites
from tests.integration.share.test_end_to_end import started

Sites = tuple[Site, Site]
ROWS = 1_500_000


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with two_sites(tmp_path_factory.mktemp("cleared")) as pair:
        mill, shop = pair
        mill.share.desk.register_place(shop.party, "CN-33", "test", mill.li)
        yield pair


def recipes(sites: Sites, name: str, rows: int = 3000) -> DatasetId:
    mill, source = sites[0], Random(3)
    few = [round(source.gauss(70, 9), 4) for _ in range(3000)]
    table = pa.table({"batch": pa.array(range(rows), pa.int64()), "load": (few * (rows // 3000 + 1))[:rows]})
    dataset = mill.store.write(name, table, title=name, origin="import:test.csv")
    mill.confirm(dataset, Grade.THREE)
    return dataset


def clear(sites: Sites, dataset: DatasetId) -> Clearance:
    mill, shop = sites
    record = {"knowers": [{"name": "tester (synthetic)", "post": "process"}], "mark": {"load": 3}}
    until = mill.clock() + timedelta(days=30)
    book = mill.share.clearances
    asked = book.request(Kind.STRICT, dataset, shop.party, record, mill.li, reason="fault", valid_until=until)
    for name, role in (("user:steward", Role.STEWARD), ("user:guard", Role.SECURITY_ADMIN)):
        asked = book.approve(asked.clearance_id, Subject(SubjectId(name), mill.party, frozenset({role})))
    return asked


def terms_for(sites: Sites) -> Terms:
    return Terms(parties=frozenset({sites[1].party}), uses_max=9)


def offered(sites: Sites, dataset: DatasetId) -> Record:
    return started(sites, terms_for(sites), dataset)


def test_cleared_rows_arrive_marked_and_a_copy_names_who_had_it(sites: Sites, tmp_path: Path) -> None:
    mill, shop = sites
    dataset = recipes(sites, "recipes")
    with pytest.raises(GradeForbids, match="strict procedure"):
        mill.share.offer(dataset, terms_for(sites), mill.li)
    clear(sites, dataset)
    with pytest.raises(GradeForbids, match="not in a preview"):
        mill.share.preview(dataset, terms_for(sites), shop.party, mill.li)
    transfer = offered(sites, dataset)
    with pytest.raises(PeerRefused, match="watermark"):
        shop.share.pull(transfer.process_id, shop.li, columns=["batch"])
    with pytest.raises(PeerRefused, match="watermark"):
        shop.share.pull(transfer.process_id, shop.li, columns=["avg(load)"])
    kept = shop.share.pull(transfer.process_id, shop.li)
    original = mill.gate.read(mill.li, DatasetQuery(dataset), purpose="compare").read_all()
    assert kept.num_rows == original.num_rows == 3000
    differences = [
        abs(a - b)
        for a, b in zip(
            kept.sort_by("batch")["load"].to_pylist(), original.sort_by("batch")["load"].to_pylist(), strict=True
        )
    ]
    assert 0 < max(differences) < 0.00101
    leaked = tmp_path / "leaked.csv"
    pa_csv.write_csv(kept.sort_by("load").slice(500, 2000).select(["load"]), leaked)
    found = mill.share.marker.trace(leaked, mill.li)
    served = mill.share.deliveries()[0]
    assert [(trace.party, trace.is_named) for trace in found[:2]] == [(shop.party, True)] * 2
    assert {trace.delivery_id for trace in found if trace.is_named} == {None, served.delivery_id}
    assert mill.audit.entries(action="watermark.traced")[0].object == "leaked.csv"


def test_the_gate_itself_opens_to_the_cleared_party_alone(sites: Sites) -> None:
    mill, shop = sites
    dataset = recipes(sites, "gated")
    query = DatasetQuery(dataset)
    subjects = [partner_subject(party, "urn:uuid:1") for party in (shop.party, "urn:gongshu:party:spy")]  # type: ignore[arg-type]
    for subject in subjects:
        with pytest.raises(Denied, match="partner-needs-clearance"):
            mill.gate.read(subject, query, purpose="contract")
    assert not mill.gate.decide(Request(mill.li, "share", "share", dataset)).permitted
    made = clear(sites, dataset)
    assert mill.gate.decide(Request(mill.li, "share", "share", dataset)).permitted
    mill.gate.read(subjects[0], query, purpose="contract").close()
    with pytest.raises(Denied, match="partner-needs-clearance"):
        mill.gate.read(subjects[1], query, purpose="contract")
    mill.share.clearances.revoke(made.clearance_id, mill.li, "over")
    with pytest.raises(Denied, match="partner-needs-clearance"):
        mill.gate.read(subjects[0], query, purpose="contract")


def test_a_revocation_cuts_the_rows_that_flow(sites: Sites) -> None:
    mill, shop = sites
    dataset = recipes(sites, "flowing", ROWS)
    made = clear(sites, dataset)
    transfer = offered(sites, dataset)
    address = read_data_address(orjson.loads(shop.share.process(transfer.process_id).data_address or ""))
    headers = {"Authorization": address.authorization, "Accept": "text/csv"}
    with httpx.stream("GET", address.endpoint, headers=headers, timeout=30) as response:
        parts = response.iter_bytes(65536)
        next(parts)
        mill.share.clearances.revoke(made.clearance_id, mill.li, "the circle was wider than named")
        with pytest.raises(httpx.HTTPError):
            deque(parts)
    assert mill.share.deliveries()[0].outcome == "stopped"
    assert mill.share.clearances.get(made.clearance_id, mill.li)[1] is State.REVOKED
    with pytest.raises(PeerRefused, match="strict procedure"):
        shop.share.pull(transfer.process_id, shop.li)


def test_raised_grades_stop_and_columns_that_change_close(sites: Sites) -> None:
    mill, shop = sites
    dataset = recipes(sites, "changing")
    clear(sites, dataset)
    transfer = offered(sites, dataset)
    assert shop.share.pull(transfer.process_id, shop.li).num_rows == 3000
    mill.confirm(dataset, Grade.THREE)  # a new review: what was approved before it counts no more
    with pytest.raises(PeerRefused, match="outdated"):
        shop.share.pull(transfer.process_id, shop.li)


def test_the_wire_of_clearances(sites: Sites) -> None:
    mill, shop = sites
    dataset = recipes(sites, "by_wire")
    base = f"{mill.address}/api/v1/share/clearances"
    form = httpx.get(f"{base}/forms/important").json()
    assert len(form["assessment"]["aspects"]) == 6
    record = {"knowers": [{"name": "tester (synthetic)", "post": "process"}], "mark": {"load": 3}}
    until = (mill.clock() + timedelta(days=3)).isoformat()
    body = {"kind": "strict", "dataset_id": dataset, "party": shop.party, "reason": "fault", "valid_until": until}
    made = httpx.post(base, json=body | {"record": record})
    assert (made.status_code, made.json()["state"]) == (201, "requested")
    assert httpx.post(base, json=body | {"record": {}}).json()["code"] == "share.clearance_invalid"
    one = f"{base}/{made.json()['clearance_id']}"
    assert httpx.post(f"{one}/approve").json()["code"] == "share.approval_refused"
    assert httpx.post(f"{one}/refuse", json={"reason": "no"}).json()["state_zh"] == "已拒绝"
    assert httpx.post(f"{one}/revoke", json={"reason": "no"}).json()["code"] == "share.clearance_closed"
    assert [each["state"] for each in httpx.get(base, params={"dataset_id": dataset}).json()] == ["refused"]
    assert httpx.get(f"{base}/urn:uuid:nothing").json()["code"] == "share.clearance_unknown"

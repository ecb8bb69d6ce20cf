"""What was received is encrypted, opens only through the gate, under its contract, and tells of each reading."""

import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from gongshu.console.copy_looks import ROWS_MAX, figures_query, remedy_of, rows_query
from gongshu.govern.quality.service import QualityService
from gongshu.lake import TableRelation
from gongshu.lake.errors import QueryMemoryExceeded, TableUnknown
from gongshu.model.access import Request, Role, Subject
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.packs import load_packs
from gongshu.secure.errors import CopyNotExamined, Denied, QueryFailed
from gongshu.secure.gate import CopyRead, DatasetQuery, SqlQuery
from gongshu.secure.gate.examining import ExaminedLake
from gongshu.share.errors import CopyForbidden
from gongshu.share.keeping.tables import kept_files
from gongshu.share.keeping.vault import KeyVault, file_key
from gongshu.share.tables import share_agreements
from gongshu.share.terms import Operation, Terms
from tests.integration.share.pantry import MILL, SECRET, Pantry, rows

FREE = Terms(unrestricted=True)


@pytest.fixture(scope="module")
def pantry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pantry]:
    pantry = Pantry(tmp_path_factory.mktemp("pantry"))
    yield pantry
    pantry.close()


@pytest.fixture
def name(pantry: Pantry) -> str:
    """A name that no other test of the node uses."""
    pantry.made += 1
    return f"kept_{pantry.made}"


def test_received_rows_are_read_through_the_gate_and_lie_nowhere_in_clear(pantry: Pantry, name: str) -> None:
    agreement = pantry.agree(FREE)
    pantry.keep(agreement, name)
    assert pantry.ask(f"SELECT * FROM {name}").equals(rows())
    assert pantry.ask(f"SELECT sum(weight) AS s FROM {name} WHERE part = 'P-1'")["s"].to_pylist() == [1225.0]
    assert pantry.found_on_disk(f"{SECRET}-7".encode()) == []
    key = next((pantry.folder / "vault").glob("*.key"))
    assert key.stat().st_mode & 0o077 == 0


def test_no_key_stands_anywhere_but_wrapped_in_the_vault(pantry: Pantry, name: str) -> None:
    pantry.keep(pantry.agree(FREE), name)
    pantry.ask(f"SELECT * FROM {name}")
    (kept,) = [k for k in pantry.keeping.kept() if k.version.dataset_id == name]
    key = KeyVault(pantry.folder / "vault", pantry.keys).open(kept.version.keys[0].fingerprint)
    own = file_key([key], kept.version.files[0].name)
    places = [Path(f"/proc/{pid}/{part}") for pid in pantry.lake.worker_pids() for part in ("cmdline", "environ")]
    assert places
    for secret in (key, own):
        for form in (secret, secret.hex().encode(), b64encode(secret)):
            assert pantry.found_on_disk(form) == []
            assert not any(form in place.read_bytes() for place in places)
    assert own.hex() not in repr(pantry.keeping.law.judge(CopyRead(DatasetId(name), pantry.li, "read", "quality")))


def test_no_other_way_leads_to_the_rows(pantry: Pantry, name: str) -> None:
    pantry.keep(pantry.agree(FREE), name)
    with pytest.raises(TableUnknown):
        pantry.lake.query("SELECT * FROM t", {"t": TableRelation(name)})
    with pytest.raises(TableUnknown):
        pantry.lake.table_schema(name)
    with pytest.raises(CopyForbidden, match="other data cannot take its name"):
        pantry.store.write(name, rows(), title="t", origin="import:x")
    with pytest.raises(CopyForbidden, match="another origin"):
        pantry.keep(pantry.agree(FREE, other=PartyId("urn:gongshu:party:other")), name)


def test_a_large_sort_fails_rather_than_spill_in_clear(pantry: Pantry, name: str) -> None:
    count = 3_000_000
    wide = pa.table({"a": pa.array(range(count)), "note": pa.array([f"{SECRET}-{i}" for i in range(count)])})
    plain = pantry.found_on_disk(SECRET.encode())  # what other tests stored in clear
    pantry.keep(pantry.agree(FREE), name, wide)
    with pytest.raises(QueryMemoryExceeded):
        pantry.ask(f"SELECT * FROM {name} ORDER BY note DESC, a")
    assert pantry.found_on_disk(SECRET.encode()) == plain


def test_a_file_that_was_altered_or_exchanged_does_not_open(pantry: Pantry, name: str) -> None:
    pantry.keep(pantry.agree(FREE), name)
    pantry.keep(pantry.agree(FREE), f"{name}_b")
    with pantry.database.connect() as connection:
        newest = sa.select(kept_files.c.name).order_by(kept_files.c.version_id.desc()).limit(2)
        second, first = connection.execute(newest).scalars().all()
    folder = pantry.folder / "lake" / "sealed"
    whole = (folder / first).read_bytes()
    (folder / first).write_bytes((folder / second).read_bytes())
    with pytest.raises(QueryFailed):
        pantry.ask(f"SELECT * FROM {name}")
    (folder / first).write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    with pytest.raises(QueryFailed) as caught:
        pantry.ask(f"SELECT * FROM {name}")
    assert SECRET not in str(caught.value)
    (folder / first).unlink()
    with pytest.raises(QueryFailed):
        pantry.ask(f"SELECT * FROM {name}")


def test_a_delivery_is_a_version_and_a_stream_appends(pantry: Pantry, name: str) -> None:
    agreement = pantry.agree(FREE)
    pantry.keep(agreement, name, rows(10))
    pantry.keep(agreement, name, rows(20), transfer="t2", append=True)
    pantry.keep(agreement, name, rows(5), transfer="t2", append=True)
    assert pantry.ask(f"SELECT count(*) AS n FROM {name}")["n"].to_pylist() == [25]
    (kept,) = [k for k in pantry.keeping.kept() if k.version.dataset_id == name]
    assert (kept.version.number, len(kept.version.files), kept.obstacle) == (2, 2, "")


def test_a_delivery_that_breaks_off_leaves_the_version_before(pantry: Pantry, name: str) -> None:
    agreement = pantry.agree(FREE)
    pantry.keep(agreement, name, rows(10))

    def cut() -> Iterator[pa.RecordBatch]:
        yield rows(30).to_batches()[0]
        raise ConnectionResetError

    before = set((pantry.folder / "lake" / "sealed").iterdir())
    with pytest.raises(ConnectionResetError):
        pantry.keep_batches(agreement, name, cut(), rows(1).schema)
    assert pantry.ask(f"SELECT count(*) AS n FROM {name}")["n"].to_pylist() == [10]
    assert set((pantry.folder / "lake" / "sealed").iterdir()) == before


@pytest.mark.parametrize(
    ("terms", "asked", "reason"),
    [
        (Terms(purposes=frozenset({"energy"})), {}, "does not cover the purpose '[a-z]+', only: energy"),
        (Terms(places=frozenset({"DE"})), {}, "does not cover the place"),
        (Terms(connectors=frozenset({"sha256:" + "0" * 64})), {}, "another connector"),
        (Terms(parties=frozenset({PartyId("urn:gongshu:party:x")})), {}, "not made for this party"),
        (Terms(operations=frozenset({Operation.READ})), {"action": "export"}, "does not cover the operation export"),
        (Terms(no_onward=True), {"is_onward": True}, "forbids to hand data on"),
        (Terms(no_onward=True), {"action": "export"}, "a file cannot be followed"),
        (Terms(delete_after_s=3600), {"action": "export"}, "demands deletion, and a file cannot be followed"),
        (Terms(aggregate_min=5), {}, "only figures"),
        (Terms(operations=frozenset({Operation.AGGREGATE})), {}, "only figures"),
    ],
    ids=["purpose", "place", "connector", "party", "export", "report", "file", "deletion", "small_groups", "figures"],
)
def test_a_term_that_does_not_cover_a_reading_denies_it(
    pantry: Pantry, name: str, terms: Terms, asked: dict[str, object], reason: str
) -> None:
    pantry.keep(pantry.agree(terms), name)
    with pytest.raises(Denied, match=reason):
        pantry.ask(f"SELECT * FROM {name}", **asked)  # type: ignore[arg-type]


def test_terms_that_are_met_let_it_pass(pantry: Pantry, name: str) -> None:
    terms = Terms(
        purposes=frozenset({"quality"}),
        places=frozenset({"CN"}),
        connectors=frozenset({pantry.keys.fingerprint()}),
        parties=frozenset({pantry.party}),
        until=pantry.clock() + timedelta(days=30),
    )
    pantry.keep(pantry.agree(terms), name)
    assert pantry.ask(f"SELECT * FROM {name}").num_rows == 100


def test_an_aggregate_contract_gives_figures_over_large_groups_alone(pantry: Pantry, name: str) -> None:
    uneven = pa.table({"part": ["a"] * 9 + ["b"] * 3, "weight": pa.array([1.0] * 12)})
    pantry.keep(pantry.agree(Terms(aggregate_min=5)), name, uneven)
    found = pantry.ask(f"SELECT part, avg(weight) AS w FROM {name} GROUP BY part")
    assert found.to_pylist() == [{"part": "a", "w": 1.0}]
    for sly in (
        f"SELECT max(weight) FROM {name}",
        f"SELECT part, any_value(weight) FROM {name} GROUP BY part",
        f"SELECT avg(weight) FROM (SELECT weight FROM {name} LIMIT 1)",
        f"SELECT sum(CASE WHEN part = 'b' THEN weight END) FROM {name}",
        f"WITH w AS (SELECT * FROM {name}) SELECT avg(weight) FROM w",
        f"SELECT avg(a.weight) FROM {name} a, {name} b",
    ):
        with pytest.raises(Denied, match="only figures"):
            pantry.ask(sly)


def test_an_error_of_the_engine_quotes_no_row_of_which_figures_alone_leave(pantry: Pantry, name: str) -> None:
    pantry.keep(pantry.agree(Terms(aggregate_min=5)), name)
    with pytest.raises(QueryFailed) as caught:
        pantry.ask(f"SELECT count(*) FROM {name} WHERE CAST(note AS INTEGER) > 0")
    assert SECRET not in str(caught.value)


def test_figures_of_a_group_of_one_row_never_leave_though_no_smallest_group_is_named(pantry: Pantry, name: str) -> None:
    pantry.keep(pantry.agree(Terms(operations=frozenset({Operation.AGGREGATE}))), name)
    assert pantry.ask(f"SELECT note, sum(weight) FROM {name} GROUP BY note").num_rows == 0
    assert pantry.ask(f"SELECT part, sum(weight) FROM {name} GROUP BY part").num_rows == 4


def test_figures_that_were_delivered_as_such_are_read_as_they_are(pantry: Pantry, name: str) -> None:
    figures = pa.table({"part": ["a", "b"], "avg(weight)": [1.0, 2.0]})
    pantry.keep(pantry.agree(Terms(aggregate_min=5)), name, figures)
    assert pantry.ask(f"SELECT * FROM {name}").equals(figures)


@pytest.mark.parametrize(
    ("terms", "purpose", "remedy"),
    [
        (Terms(purposes=frozenset({"energy"})), "quality", "purpose"),
        (Terms(places=frozenset({"DE"})), "quality", "place"),
        (Terms(connectors=frozenset({"sha256:" + "0" * 64})), "quality", "connector"),
        (Terms(uses_max=1), "quality", "uses"),
        (Terms(parties=frozenset({PartyId("urn:gongshu:party:x")})), "quality", "other"),
        (FREE, "quality", ""),
    ],
    ids=["purpose", "place", "connector", "uses", "party", "free"],
)
def test_what_stands_against_a_look_is_known_before_it_costs_anything(
    pantry: Pantry, name: str, terms: Terms, purpose: str, remedy: str
) -> None:
    agreement = pantry.agree(terms)
    copy = pantry.keep(agreement, name)
    if remedy == "uses":
        pantry.ask(f"SELECT count(*) FROM {name}")
    told = len(pantry.keeping.receipts(agreement.agreement_id))
    found = pantry.keeping.verdict(CopyRead(copy, pantry.li, "read", purpose))
    assert ("" if found.permitted else remedy_of(found.term)) == remedy
    assert found.permitted or found.because == (f"{agreement.agreement_id}, on the copy {copy}: {found.why}",)
    assert len(pantry.keeping.receipts(agreement.agreement_id)) == told
    (kept,) = [each for each in pantry.keeping.kept() if each.version.dataset_id == copy]
    assert kept.version.reads == told


def test_the_questions_of_a_page_are_bounded_and_pass_the_gate(pantry: Pantry, name: str) -> None:
    def ask(query: DatasetQuery | SqlQuery) -> pa.Table:
        return pantry.gate.read(pantry.li, query, purpose="quality").read_all()

    open_, closed = pantry.keep(pantry.agree(FREE), name), pantry.keep(pantry.agree(Terms(aggregate_min=5)), f"{name}f")
    first = ask(rows_query(open_, ()))
    assert (first.num_rows, first.column_names) == (ROWS_MAX, ["part", "weight", "note"])
    assert ask(rows_query(open_, ("weight",))).column_names == ["weight"]
    with pytest.raises(Denied, match="only figures"):
        ask(rows_query(closed, ()))
    dataset = pantry.catalogue.dataset(closed)
    found = ask(figures_query(dataset, (), ("avg",), ("part",)))
    assert found.column_names == ["part", "count(*)", "avg(weight)"]
    assert sorted(found["count(*)"].to_pylist()) == [25] * 4
    assert ask(figures_query(dataset, (), ("avg",), ("note",))).num_rows == 0


def test_the_uses_of_a_copy_are_counted_and_end(pantry: Pantry, name: str) -> None:
    pantry.keep(pantry.agree(Terms(uses_max=2)), name)
    for _ in range(2):
        pantry.ask(f"SELECT count(*) FROM {name}")
    with pytest.raises(Denied, match="2 uses are used up"):
        pantry.ask(f"SELECT count(*) FROM {name}")


def test_the_end_and_deletion_stop_reading_before_any_job_runs(pantry: Pantry, name: str) -> None:
    ends = {
        "until": Terms(until=pantry.clock() + timedelta(hours=1)),
        "duration": Terms(duration_s=3600),
        "delete": Terms(delete_after_s=3600),
    }
    for kind, terms in ends.items():
        pantry.keep(pantry.agree(terms), f"{name}_{kind}")
    pantry.clock.forward(hours=1, seconds=1)
    for kind, reason in (("until", "it ended"), ("duration", "it ended"), ("delete", "was to be deleted")):
        with pytest.raises(Denied, match=reason):
            pantry.ask(f"SELECT * FROM {name}_{kind}")


def test_a_clock_that_is_set_back_opens_nothing(pantry: Pantry, name: str) -> None:
    pantry.keep(pantry.agree(Terms(until=pantry.clock() + timedelta(hours=1))), name)
    pantry.ask(f"SELECT * FROM {name}")
    now = pantry.clock.now
    try:
        pantry.clock.now = now - timedelta(days=2)
        with pytest.raises(Denied, match="it was set back"):
            pantry.ask(f"SELECT * FROM {name}")
    finally:
        pantry.clock.now = now


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "retired"}, "the agreement is retired"),
        ({"policy": "{}"}, "cannot be judged"),
        ({"agreement_id": "urn:elsewhere"}, "cannot be judged"),
    ],
    ids=["retired", "altered", "unknown"],
)
def test_a_contract_that_cannot_be_relied_on_denies(
    pantry: Pantry, name: str, change: dict[str, str], reason: str
) -> None:
    agreement = pantry.agree(FREE)
    pantry.keep(agreement, name)
    with pantry.database.begin() as connection:
        mine = share_agreements.c.agreement_id == agreement.agreement_id
        connection.execute(sa.update(share_agreements).where(mine).values(**change))
    with pytest.raises(Denied, match=reason):
        pantry.ask(f"SELECT * FROM {name}")


def test_a_lost_key_denies(pantry: Pantry, name: str) -> None:
    pantry.keep(pantry.agree(FREE), name)
    (kept,) = [k for k in pantry.keeping.kept() if k.version.dataset_id == name]
    (pantry.folder / "vault" / f"{kept.version.keys[0].fingerprint}.key").unlink()
    with pytest.raises(Denied, match="not in the vault"):
        pantry.ask(f"SELECT * FROM {name}")


def test_what_is_derived_inherits_the_strictest_terms_and_is_encrypted(pantry: Pantry, name: str) -> None:
    first = pantry.keep(pantry.agree(Terms(purposes=frozenset({"quality"}))), f"{name}_a")
    second = pantry.keep(pantry.agree(Terms(no_onward=True)), f"{name}_b")
    pantry.store.write(f"{name}_c", rows(), title="both", origin="app:join", parents=[first, second])
    pantry.store.write(f"{name}_d", rows(), title="far", origin="app:more", parents=[DatasetId(f"{name}_c")])
    assert pantry.ask(f"SELECT * FROM {name}_d").num_rows == 100
    for refused in ({"purpose": "energy"}, {"is_onward": True}):
        with pytest.raises(Denied):
            pantry.ask(f"SELECT * FROM {name}_d", **refused)
    assert pantry.found_on_disk(f"{SECRET}-7".encode()) == []


def test_a_contract_without_derivation_lets_nothing_be_made_of_it(pantry: Pantry, name: str) -> None:
    kept = pantry.keep(pantry.agree(Terms(operations=frozenset({Operation.READ}))), name)
    with pytest.raises(CopyForbidden, match="does not cover making other data"):
        pantry.store.write(f"{name}_b", rows(), title="b", origin="app:x", parents=[kept])


def test_received_data_are_offered_on_only_under_terms_as_strict(pantry: Pantry, name: str) -> None:
    kept = pantry.keep(pantry.agree(Terms(purposes=frozenset({"quality"}), columns=frozenset({"part"}))), name)
    as_strict = Terms(purposes=frozenset({"quality"}), columns=frozenset({"part"}), uses_max=1)
    pantry.keeping.require_onward(kept, as_strict)
    for looser in (Terms(purposes=frozenset({"quality"})), Terms(purposes=frozenset({"quality", "sale"}))):
        with pytest.raises(CopyForbidden, match="go beyond"):
            pantry.keeping.require_onward(kept, looser)
    tied = pantry.keep(pantry.agree(Terms(no_onward=True)), f"{name}_tied")
    made = pantry.store.write(f"{name}_made", rows(), title="m", origin="app:x", parents=[tied])
    for dataset_id in (tied, made):
        with pytest.raises(CopyForbidden, match="forbids to hand them on"):
            pantry.keeping.require_onward(dataset_id, Terms(no_onward=True))
        assert not pantry.gate.decide(Request(pantry.li, "share", "share", dataset_id)).permitted
    own = pantry.store.write(f"{name}_own", pa.table({"x": [1]}), title="own", origin="import:x")
    pantry.keeping.require_onward(own, FREE)


def test_a_partner_never_reads_what_may_not_go_on(pantry: Pantry, name: str) -> None:
    kept = pantry.keep(pantry.agree(Terms(no_onward=True)), name)
    partner = Subject(SubjectId("partner:x"), MILL, frozenset({Role.PARTNER}), {"agreement": "a"})
    with pytest.raises(Denied):
        pantry.gate.read(partner, DatasetQuery(kept), purpose="quality")


def test_rows_under_way_stop_when_the_contract_ends(pantry: Pantry, name: str) -> None:
    agreement = pantry.agree(FREE)
    pantry.keep(agreement, name, rows(300_000))
    result = pantry.gate.read(pantry.li, DatasetQuery(DatasetId(name)), purpose="quality")
    batches = result.batches()
    next(batches)
    pantry.retire(agreement)
    with pytest.raises(Denied, match="the agreement is retired"):
        list(batches)
    (receipt,) = pantry.keeping.receipts(agreement.agreement_id)
    assert 0 < receipt.body["rows"] < 300_000
    assert receipt.body["outcome"] == "stopped"


def test_each_reading_makes_a_receipt_with_the_role_and_not_the_name(pantry: Pantry, name: str) -> None:
    agreement = pantry.agree(FREE)
    pantry.keep(agreement, name)
    pantry.ask(f"SELECT * FROM {name}")
    pantry.ask(f"SELECT count(*) FROM {name}", purpose="energy")
    second, first = pantry.keeping.receipts(agreement.agreement_id)
    assert (first.body["operation"], first.body["rows"], first.body["role"]) == ("read", 100, "product_owner+steward")
    assert (second.body["operation"], second.body["purpose"], second.body["rows"]) == ("aggregate", "energy", 1)
    assert (first.body["previous"], second.body["previous"]) == (agreement.policy_hash, first.body_hash)
    assert "li" not in {first.body["role"], second.body["role"]}


_KILLED = """
import sys
from pathlib import Path
import pyarrow as pa
from tests.integration.share.pantry import Pantry, rows
pantry = Pantry(Path(sys.argv[1]))
def endless():
    for _ in range(100_000):
        yield rows(20_000).to_batches()[0]
        print("batch", flush=True)
pantry.keep_batches(pantry.agree(__import__("gongshu.share.terms", fromlist=["Terms"]).Terms(unrestricted=True)),
                    "killed", endless(), rows(1).schema)
"""


def test_a_kill_in_the_middle_leaves_no_row_in_clear_and_nothing_to_see(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path / "home")], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert child.stdout is not None
    sealed = tmp_path / "home" / "lake" / "sealed"
    deadline = time.monotonic() + 60
    while not (sealed.is_dir() and any(p.stat().st_size > 0 for p in sealed.iterdir())):
        assert child.stdout.readline(), "the writer ended by itself"
        assert time.monotonic() < deadline
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    pantry = Pantry(tmp_path / "home")
    try:
        assert pantry.found_on_disk(SECRET.encode()) == []
        assert pantry.keeping.kept() == []
        pantry.clock.forward(hours=7)
        pantry.keeping.step()
        assert list(sealed.iterdir()) == []
    finally:
        pantry.close()


def test_no_file_is_removed_while_it_is_written_whatever_the_clock_shows(pantry: Pantry, name: str) -> None:
    def arriving() -> Iterator[pa.RecordBatch]:
        yield from rows(10).to_batches()
        pantry.clock.forward(hours=7)
        pantry.keeping.step()
        yield from rows(10).to_batches()

    pantry.keep_batches(pantry.agree(FREE), name, arriving(), rows(1).schema)
    assert pantry.ask(f"SELECT * FROM {name}").num_rows == 20


def test_rules_of_quality_look_at_a_copy_where_its_contract_covers_figures(pantry: Pantry, name: str) -> None:
    lake = ExaminedLake(pantry.lake, pantry.keeping.law, pantry.party)
    quality = QualityService(pantry.database, lake, pantry.catalogue, load_packs(), pantry.audit, pantry.clock)
    free = pantry.agree(Terms(operations=frozenset({Operation.READ, Operation.AGGREGATE})))
    kept = pantry.keep(free, name)
    report = quality.run(kept)
    assert report.rows == 100
    assert report.judged > 0
    told = pantry.keeping.receipts(free.agreement_id)
    assert {(r.body["operation"], r.body["purpose"]) for r in told} == {("aggregate", "data quality")}
    refused = {
        "export": (Terms(operations=frozenset({Operation.EXPORT})), ""),
        "uses": (Terms(uses_max=9), "use them up"),
        "groups": (Terms(aggregate_min=5), "smallest size"),
        "purpose": (Terms(purposes=frozenset({"audits"})), "purpose"),
    }
    for kind, (terms, word) in refused.items():
        other = pantry.keep(pantry.agree(terms), f"{name}_{kind}")
        with pytest.raises(CopyNotExamined, match=f"rules of quality do not run on it.*{word}"):
            quality.run(other)
    plain = pantry.store.write(f"{name}_plain", rows(10), title="plain", origin="import:x")
    assert quality.run(plain).rows == 10

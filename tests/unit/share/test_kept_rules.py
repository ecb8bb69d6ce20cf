"""The pure parts of keeping: terms compared, the vault and the spool on a disk, queries that give figures alone."""

import io
import secrets
import stat
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import parse_one

from gongshu.console.reasons import in_chinese
from gongshu.model.access import Role, Subject
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.secure.gate.copies import CopyRead
from gongshu.secure.guard.aggregate import aggregate_fault, with_group_min
from gongshu.secure.keys import KeyStore
from gongshu.share.dsp.states import Side
from gongshu.share.errors import CopyKeyGone, VaultUnsafe
from gongshu.share.keeping.judging import Place, judge_reading
from gongshu.share.keeping.onward import IGNORED, why_looser
from gongshu.share.keeping.spool import SealedSpool, open_spool
from gongshu.share.keeping.vault import KeyVault, file_key
from gongshu.share.model import Agreement, AgreementStatus
from gongshu.share.terms import Comparison, Operation, RowCondition, Terms

DAY = datetime(2027, 1, 1, tzinfo=UTC)
STRICT: dict[str, tuple[Any, Any]] = {
    "until": (DAY, DAY.replace(year=2028)),
    "not_before": (DAY.replace(year=2028), DAY),
    "duration_s": (10, 20),
    "uses_max": (1, 2),
    "purposes": (frozenset({"a"}), frozenset({"a", "b"})),
    "columns": (frozenset({"a"}), frozenset({"a", "b"})),
    "rows_max": (1, 2),
    "rows_where": (
        frozenset({RowCondition("a", Comparison.EQUAL, frozenset({"1"}))}),
        frozenset[RowCondition](),
    ),
    "places": (frozenset({"CN-33"}), frozenset({"CN"})),
    "operations": (frozenset({Operation.READ}), frozenset({Operation.READ, Operation.EXPORT})),
    "aggregate_min": (9, 5),
    "delete_after_s": (10, 20),
}
"""For each term a strict and a looser value."""


@pytest.mark.parametrize("name", STRICT)
def test_an_offer_may_be_stricter_than_the_contract_and_never_looser(name: str) -> None:
    strict, loose = STRICT[name]
    narrow, wide, free = Terms(**{name: strict}), Terms(**{name: loose}), Terms()
    assert why_looser(narrow, wide) is None
    assert why_looser(narrow, narrow) is None
    assert why_looser(narrow, free) is None
    assert name in str(why_looser(wide, narrow))
    assert name in str(why_looser(free, narrow))


def test_every_term_is_compared_or_named_as_one_that_binds_its_two_sides_alone() -> None:
    assert {part.name for part in fields(Terms)} == set(STRICT) | IGNORED | {"no_onward"}


@given(st.sets(st.sampled_from(sorted(STRICT))), st.sets(st.sampled_from(sorted(STRICT))))
def test_one_restriction_more_never_makes_an_offer_looser(held: set[str], offered: set[str]) -> None:
    received = Terms(**{name: STRICT[name][0] for name in held})
    offer = Terms(**{name: STRICT[name][0] for name in offered})
    stricter = replace(offer, **{name: STRICT[name][0] for name in held})
    assert why_looser(stricter, received) is None
    assert (why_looser(offer, received) is None) == (held <= offered)


def test_a_contract_that_forbids_it_is_never_handed_on() -> None:
    assert why_looser(Terms(no_onward=True), Terms(no_onward=True)) is not None
    assert why_looser(Terms(parties=frozenset({PartyId("p")})), Terms(parties=frozenset({PartyId("q")}))) is None


def test_a_key_is_kept_wrapped_opened_by_its_node_alone_and_shredded_for_good(tmp_path: Path) -> None:
    vault = KeyVault(tmp_path / "vault", KeyStore(tmp_path / "keys"))
    fingerprint = vault.make()
    key = vault.open(fingerprint)
    (file,) = (tmp_path / "vault").iterdir()
    assert key not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(CopyKeyGone, match="does not open with this node's key"):
        KeyVault(tmp_path / "vault", KeyStore(tmp_path / "others")).open(fingerprint)
    file.rename(tmp_path / "vault" / f"{'0' * 64}.key")
    with pytest.raises(CopyKeyGone):
        vault.open("0" * 64)
    (tmp_path / "vault" / f"{'0' * 64}.key").rename(file)
    with file.open("rb") as still_open:
        vault.shred(fingerprint)
        assert still_open.read() != b""
        still_open.seek(0)
        assert key not in still_open.read()
    vault.shred(fingerprint)
    with pytest.raises(CopyKeyGone, match="not in the vault"):
        vault.open(fingerprint)


def test_a_vault_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "keys")
    vault = KeyVault(tmp_path / "vault", keys)
    fingerprint = vault.make()
    (tmp_path / "vault" / f"{fingerprint}.key").chmod(0o640)
    with pytest.raises(VaultUnsafe):
        vault.open(fingerprint)
    (tmp_path / "vault").chmod(0o755)
    with pytest.raises(VaultUnsafe):
        KeyVault(tmp_path / "vault", keys)


def test_each_file_has_a_key_of_its_own_that_needs_all_the_contracts() -> None:
    first, second = secrets.token_bytes(32), secrets.token_bytes(32)
    assert file_key([first], "a") != file_key([first], "b")
    assert file_key([first], "a") != first
    assert len({file_key(keys, "a") for keys in ([first], [second], [first, second])}) == 3


def test_a_spool_gives_back_what_went_in_and_shows_nothing_on_the_disk(tmp_path: Path) -> None:
    data = b"PLANTED" * 300_000
    with open_spool(tmp_path) as spool:
        spool.write(data[:1000])
        spool.write(data[1000:])
        spool.flush()
        on_disk = Path(f"/proc/self/fd/{spool.raw._file.fileno()}").read_bytes()  # type: ignore[attr-defined]
        assert b"PLANTED" not in on_disk
        assert len(on_disk) == len(data)
        spool.seek(0)
        assert spool.read() == data
        spool.seek(777_777)
        assert spool.read(100) == data[777_777:777_877]
        spool.seek(-9, io.SEEK_END)
        assert spool.read() == data[-9:]


def test_a_spool_is_never_written_twice_at_one_place(tmp_path: Path) -> None:
    with SealedSpool(tmp_path) as spool:
        spool.write(b"once")
        spool.seek(1)
        with pytest.raises(io.UnsupportedOperation):
            spool.write(b"again")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM d",
        "SELECT part, avg(x) AS a FROM d WHERE y > 3 GROUP BY part HAVING sum(x) > 1 ORDER BY a LIMIT 3",
        "SELECT date_trunc('hour', t) AS h, round(avg(x), 2) FROM d GROUP BY date_trunc('hour', t)",
        "SELECT count(DISTINCT x) FROM d",
        "SELECT part, count(*) AS n FROM d GROUP BY part HAVING n > 2 AND avg(x) BETWEEN 1 AND 9 ORDER BY part, n DESC",
    ],
)
def test_figures_over_groups_pass_with_small_groups_left_out(sql: str) -> None:
    tree = parse_one(sql, dialect="duckdb")
    assert aggregate_fault(tree) is None
    assert "COUNT(*) >= 5" in with_group_min(tree, 5).sql("duckdb")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM d",
        "SELECT x FROM d",
        "SELECT max(x) FROM d",
        "SELECT any_value(x), count(*) FROM d",
        "SELECT x, count(*) FROM d GROUP BY ALL",
        "SELECT avg(x) FROM (SELECT x FROM d LIMIT 1)",
        "SELECT avg(x) FROM d UNION ALL SELECT x FROM d",
        "SELECT (SELECT avg(x) FROM d)",
        "SELECT avg(d.x) FROM d, e",
        "SELECT sum(CASE WHEN id = 5 THEN x END) FROM d",
        "SELECT sum(x) FILTER (WHERE y = 1) FROM d",
        "SELECT count(x) OVER () FROM d",
        "SELECT avg(x) FROM d ORDER BY max(x)",
        "SELECT avg(x) FROM d HAVING max(x) > 3",
        "SELECT DISTINCT x, avg(y) FROM d GROUP BY x",
        "SELECT avg(x) FROM d GROUP BY GROUPING SETS ((a), (b))",
        "SELECT count(*) FROM d GROUP BY id = 5",
        "SELECT count(*) AS id FROM d HAVING sum(x) FILTER (WHERE id = 5) > 100",
        "SELECT count(*) AS id FROM d ORDER BY sum(x) FILTER (WHERE id = 5)",
        "SELECT count(*) AS x FROM d HAVING mad(x) > 1",
        "SELECT part, count(*) FROM d GROUP BY part ORDER BY any_value(COLUMNS('x'))",
        "SELECT count(*) AS d FROM d HAVING histogram(d) IS NULL",
        "SELECT part, count(*) AS x FROM d GROUP BY part ORDER BY sum(count(*)) OVER (PARTITION BY x)",
    ],
)
def test_whatever_could_give_a_single_row_is_no_figure(sql: str) -> None:
    assert aggregate_fault(parse_one(sql, dialect="duckdb")) is not None


@pytest.mark.parametrize("asked", ["", "marketing", "Quality", "quality ", "quality\0"])
def test_a_copy_is_read_for_the_purposes_of_every_one_of_its_contracts_alone(asked: str) -> None:
    both = [_contract("a", Terms(purposes=frozenset({"quality"}))), _contract("b", Terms(unrestricted=True))]
    assert _judged(both, "quality") is None
    for contracts in (both, both[::-1]):
        assert "a, on the copy received: " in str(_judged(contracts, asked))
    assert _judged(both[1:], asked) is None


def test_what_is_read_counts_as_what_it_is_for_the_contract() -> None:
    held = [_contract("a", Terms(operations=frozenset({Operation.AGGREGATE})))]
    assert _judged(held, "quality", is_aggregate=True) is None
    for other in ({}, {"action": "export"}, {"action": "export", "is_aggregate": True}):
        assert _judged(held, "quality", **other) is not None
    assert "no contract" in str(_judged([], "quality"))


def test_uses_that_are_up_are_said_of_the_copy_that_was_read_so_often() -> None:
    held = [_contract("a", Terms(uses_max=2))]
    assert _judged(held, "quality", reads=1) is None
    assert _judged(held, "quality", reads=2) == "a, on the copy received: its 2 uses are used up"
    assert in_chinese("a, on the copy received: its 2 uses are used up") == "a，副本 received：2 次已用完"


def _contract(name: str, terms: Terms) -> Agreement:
    given: dict[str, Any] = dict.fromkeys((part.name for part in fields(Agreement)), "")
    given |= {"agreement_id": name, "terms": terms, "agreed_at": DAY, "side": Side.CONSUMER, "uses": 0}
    return Agreement(**given | {"status": AgreementStatus.ACTIVE, "policy": {}})


def _judged(contracts: list[Agreement], purpose: str, **more: Any) -> str | None:
    reader = Subject(SubjectId("user:li"), PartyId("shop"), frozenset({Role.ANALYST}))
    reads = more.pop("reads", 0)
    read = CopyRead(DatasetId("copy"), reader, more.pop("action", "read"), purpose, **more)
    place, kind = Place(PartyId("shop")), "delivery"
    times = {"now": DAY, "highest": DAY, "received_at": DAY}
    found = judge_reading(contracts, read, place, copy=DatasetId("received"), reads=reads, kind=kind, **times)
    return None if found is None else found.said

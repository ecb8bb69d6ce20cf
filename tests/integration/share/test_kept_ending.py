"""Receipts reach the provider as a chain; contracts end in shredded keys and a proof, whatever is killed on the way."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from gongshu.secure.gate.copies import CopyRead
from gongshu.share.agreements import find_agreement
from gongshu.share.dsp.states import Side
from gongshu.share.errors import AgreementUnknown, ClockBehind, MessageInvalid, ReceiptInvalid
from gongshu.share.keeping.chain import PROOF_DOMAIN, RECEIPT_DOMAIN, canonical, sign
from gongshu.share.keeping.ending import MARK
from gongshu.share.keeping.service import KeepingSettings
from gongshu.share.model import Agreement
from gongshu.share.policy import SharePolicy
from gongshu.share.terms import Terms
from tests.integration.share.pantry import MILL, SHOP, Pantry, Post, rows, tell_end

FREE = Terms(unrestricted=True)
SETTINGS = KeepingSettings(silence_max=timedelta(days=3), deletion_grace=timedelta(days=1))


class Pair:
    """Shop and mill, who made a contract."""

    def __init__(self, folder: Path) -> None:
        self.shop = Pantry(folder / "shop")
        self.mill = Pantry(folder / "mill", clock=self.shop.clock, party=MILL, settings=SETTINGS)
        self.clock = self.shop.clock
        self.mill.knows(self.shop)
        self.shop.knows(self.mill)
        self.post = Post(self.shop, self.mill)

    def agree(self, terms: Terms = FREE) -> tuple[Agreement, Agreement]:
        ours = self.shop.agree(terms)
        theirs = self.mill.agree(terms, agreement_id=ours.agreement_id, side=Side.PROVIDER, other=SHOP)
        # Both sides hold the same text.
        assert replace(theirs, side=ours.side).policy_hash == ours.policy_hash
        return ours, theirs

    def read(self, name: str, rows_read: int = 7) -> None:
        """Read a copy as the gate does, without the engine."""
        read = CopyRead(name, self.shop.li, "read", "quality")  # type: ignore[arg-type]
        verdict = self.shop.keeping.law.judge(read)
        assert verdict is not None
        assert verdict.permitted
        self.shop.keeping.law.finish(self.shop.keeping.law.begin([read]), rows_read, "ok")

    def close(self) -> None:
        self.shop.close()
        self.mill.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()


def test_receipts_wait_for_the_provider_and_arrive_once_in_order(pair: Pair) -> None:
    ours, _ = pair.agree()
    pair.shop.keep(ours, "copy")
    pair.post.is_cut = True
    for _ in range(3):
        pair.read("copy")
    pair.shop.keeping.step(pair.post)
    assert pair.mill.keeping.receipts(ours.agreement_id) == []
    pair.post.is_cut = False
    pair.shop.keeping.step(pair.post)
    pair.shop.keeping.step(pair.post)
    told = pair.mill.keeping.receipts(ours.agreement_id)
    assert [r.sequence for r in told] == [3, 2, 1]
    assert [r.body["rows"] for r in told] == [7, 7, 7]
    assert [r.body_hash for r in told] == [r.body_hash for r in pair.shop.keeping.receipts(ours.agreement_id)]
    assert all(r.acknowledged_at for r in pair.shop.keeping.receipts(ours.agreement_id))
    assert pair.mill.keeping.faults() == []


def _receipts(pair: Pair, agreement: Agreement) -> list[dict[str, Any]]:
    pair.shop.keep(agreement, "copy")
    for _ in range(3):
        pair.read("copy")
    found = pair.shop.keeping.receipts(agreement.agreement_id)[::-1]
    return [{"body": dict(r.body), "signature": _signed(pair, dict(r.body))} for r in found]


def _signed(pair: Pair, body: dict[str, Any]) -> str:
    return sign(RECEIPT_DOMAIN, canonical(body), pair.shop.keys.sign)


def _take(pair: Pair, *receipts: dict[str, Any]) -> dict[str, Any]:
    return pair.mill.keeping.watch.take_receipts(SHOP, orjson.dumps({"receipts": list(receipts)}))


def test_a_missing_receipt_is_noticed_and_a_late_one_fills_the_gap(pair: Pair) -> None:
    ours, _ = pair.agree()
    first, second, third = _receipts(pair, ours)
    _take(pair, first, third)
    assert [(f.kind, f.sequence) for f in pair.mill.keeping.faults()] == [("gap", 3)]
    _take(pair, second)
    _take(pair, first, second, third)
    assert pair.mill.keeping.faults() == []
    assert len(pair.mill.keeping.receipts(ours.agreement_id)) == 3


def test_forks_are_noticed_and_refused(pair: Pair) -> None:
    ours, _ = pair.agree()
    first, second, third = _receipts(pair, ours)
    _take(pair, first)
    other = {**first["body"], "rows": 1}
    with pytest.raises(ReceiptInvalid, match="two receipts 1 that differ"):
        _take(pair, {"body": other, "signature": _signed(pair, other)})
    astray = {**second["body"], "previous": "0" * 64}
    with pytest.raises(ReceiptInvalid, match="does not follow"):
        _take(pair, {"body": astray, "signature": _signed(pair, astray)})
    late = {**second["body"], "rows": 99}
    _take(pair, third)
    with pytest.raises(ReceiptInvalid, match="does not follow on this"):
        _take(pair, {"body": late, "signature": _signed(pair, late)})
    assert {f.kind for f in pair.mill.keeping.faults()} == {"fork", "gap"}


def test_what_is_not_signed_by_the_partner_is_refused(pair: Pair) -> None:
    ours, _ = pair.agree()
    first, second, _ = _receipts(pair, ours)
    with pytest.raises(ReceiptInvalid, match="not signed"):
        _take(pair, {"body": first["body"], "signature": second["signature"]})
    with pytest.raises(ReceiptInvalid, match="not signed"):
        _take(pair, {"body": first["body"], "signature": "no hexadecimal"})
    proof = sign(PROOF_DOMAIN, canonical(first["body"]), pair.shop.keys.sign)
    with pytest.raises(ReceiptInvalid, match="not signed"):
        _take(pair, {"body": first["body"], "signature": proof})
    with pytest.raises(ReceiptInvalid, match="no contract with this party"):
        pair.mill.keeping.watch.take_receipts(MILL, orjson.dumps({"receipts": [first]}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"receipts": 1}',
        b'{"receipts": [1]}',
        b'{"receipts": [{"body": {}, "signature": ""}]}',
        b'{"receipts": [{"body": {"contract": "x"}, "signature": ""}]}',
        b'{"receipts": [' + b"[" * 4000 + b"]" * 4000 + b"]}",
        orjson.dumps({"receipts": [{}] * 1001}),
    ],
)
def test_hostile_receipts_get_one_clear_error(pair: Pair, body: bytes) -> None:
    with pytest.raises(MessageInvalid):
        pair.mill.keeping.watch.take_receipts(SHOP, body)


def test_receipts_with_impossible_numbers_or_contracts_are_refused(pair: Pair) -> None:
    ours, _ = pair.agree()
    first, _, _ = _receipts(pair, ours)
    for change in ({"sequence": 0}, {"sequence": 2**60}, {"sequence": True}, {"rows": "1"}, {"more": 1}):
        with pytest.raises(MessageInvalid):
            _take(pair, {"body": {**first["body"], **change}, "signature": ""})
    with pytest.raises(AgreementUnknown):
        _take(pair, {"body": {**first["body"], "contract": "urn:none"}, "signature": ""})


def test_a_reading_whose_process_died_is_told_of_and_rest_is_told_from_silence(pair: Pair) -> None:
    ours, _ = pair.agree()
    pair.shop.keep(ours, "copy")
    pair.shop.keeping.law.begin([CopyRead("copy", pair.shop.li, "read", "quality")])  # type: ignore[arg-type]
    pair.clock.forward(hours=2)
    pair.shop.keeping.step(pair.post)
    pair.clock.forward(days=2)
    pair.shop.keeping.step(pair.post)
    rest, lost = pair.mill.keeping.receipts(ours.agreement_id)
    assert (lost.body["outcome"], lost.body["rows"]) == ("unknown", -1)
    assert (rest.body["operation"], rest.body["rows"]) == ("none", 0)


def test_silence_of_a_partner_that_owes_receipts_stops_delivery_until_they_come(pair: Pair) -> None:
    ours, theirs = pair.agree(Terms(no_onward=True))
    _, careless = pair.agree(FREE)
    watch = pair.mill.keeping.watch
    for agreement in (theirs, careless):
        pair.mill.deliver(agreement)
    pair.shop.keep(ours, "copy")
    assert watch.why_silent(theirs) is None
    pair.clock.forward(days=4)
    reason = watch.why_silent(theirs)
    assert reason is not None
    assert "receipts of use are missing" in reason
    assert watch.why_silent(careless) is None
    pair.mill.keeping.step()
    pair.mill.keeping.step()
    assert [f.kind for f in pair.mill.keeping.faults()] == ["silence"]
    pair.shop.keeping.step(pair.post)
    assert watch.why_silent(theirs) is None


def test_an_ended_contract_shreds_deletes_and_proves(pair: Pair) -> None:
    ours, theirs = pair.agree(Terms(until=pair.clock() + timedelta(days=1)))
    kept = pair.shop.keep(ours, "copy")
    made = pair.shop.store.write("made", rows(), title="made", origin="app:x", parents=[kept])
    other = pair.shop.keep(pair.shop.agree(FREE), "other")
    pair.mill.deliver(theirs)
    pair.read("copy")
    pair.shop.keeping.step(pair.post)
    pair.clock.forward(days=1, minutes=1)
    pair.mill.keeping.step()
    assert [line.state for line in pair.mill.keeping.deletions()] == ["due"]
    pair.shop.keeping.step(pair.post)
    (told,) = pair.shop.keeping.deletions()
    assert (told.state, told.files) == ("told", 2)
    (proved,) = pair.mill.keeping.deletions()
    assert (proved.state, proved.fingerprint, proved.files) == ("proved", told.fingerprint, 2)
    assert not (pair.shop.folder / "vault" / f"{told.fingerprint}.key").exists()
    assert len(list((pair.shop.folder / "lake" / "sealed").iterdir())) == 1
    for gone in (kept, made):
        assert pair.shop.catalogue.dataset(gone).title.startswith(MARK)
        verdict = pair.shop.keeping.law.judge(CopyRead(gone, pair.shop.li, "read", "quality"))
        assert verdict is not None
        assert "deleted" in verdict.because[0]
    assert [k.version.dataset_id for k in pair.shop.keeping.kept()] == [other]
    emptied = pair.shop.keeping.emptied()
    assert emptied == {kept, made}
    assert [r.dataset_id for r in pair.shop.catalogue.reviews_due(pair.clock(), emptied=emptied)] == [other]


def test_a_contract_ended_by_one_side_is_deleted_too(pair: Pair) -> None:
    ours, theirs = pair.agree()
    pair.shop.keep(ours, "copy")
    pair.mill.deliver(theirs)
    pair.read("copy")
    pair.shop.keeping.step(pair.post)
    pair.mill.retire(theirs)
    pair.mill.keeping.step()
    tell_end(pair.mill, pair.shop)
    pair.clock.forward(minutes=1)
    pair.shop.keeping.step(pair.post)
    assert [line.state for line in pair.mill.keeping.deletions()] == ["proved"]


def test_deletion_after_delivery_ends_data_one_by_one_under_a_contract_that_goes_on(pair: Pair) -> None:
    ours, _ = pair.agree(Terms(delete_after_s=3600))
    pair.shop.keep(ours, "first")
    pair.clock.forward(minutes=40)
    pair.shop.keep(ours, "second", transfer="t2")
    pair.clock.forward(minutes=30)
    pair.shop.keeping.step(pair.post)
    assert pair.shop.keeping.deletions() == []
    assert len(list((pair.shop.folder / "lake" / "sealed").iterdir())) == 1
    pair.read("second")
    pair.clock.forward(minutes=31)
    pair.shop.keeping.step(pair.post)
    (gone,) = pair.shop.keeping.deletions()
    assert "to be deleted 3600 s after" in gone.reason
    pair.shop.keep(ours, "second", transfer="t3")
    pair.read("second")
    assert len(list((pair.shop.folder / "vault").glob("*.key"))) == 1


def test_what_was_derived_is_deleted_with_the_oldest_of_its_sources(pair: Pair) -> None:
    shop = pair.shop
    short, long = shop.agree(Terms(delete_after_s=3600)), shop.agree(FREE)
    sources = [shop.keep(short, "old"), shop.keep(long, "other")]
    pair.clock.forward(minutes=50)
    shop.keep(short, "new", transfer="t2")
    made = shop.store.write("made", rows(), title="made", origin="app:x", parents=sources)
    shop.keeping.step(pair.post)
    assert "made" in {each.version.dataset_id for each in shop.keeping.kept()}
    pair.clock.forward(minutes=11)
    shop.keeping.step(pair.post)
    assert len(list((shop.folder / "lake" / "sealed").iterdir())) == 2, "what came later, and what may stay"
    verdict = shop.keeping.law.judge(CopyRead(made, shop.li, "read", "quality"))
    assert verdict is not None
    assert verdict.rows is None or verdict.rows.files == ()
    pair.read("new")
    pair.read("other")


def test_an_overdue_proof_raises_one_alarm_and_a_false_one_is_refused(pair: Pair) -> None:
    _, theirs = pair.agree(Terms(no_onward=True, until=pair.clock() + timedelta(days=1)))
    pair.mill.deliver(theirs)
    pair.clock.forward(days=3)
    pair.mill.keeping.step()
    pair.mill.keeping.step()
    assert [line.state for line in pair.mill.keeping.deletions()] == ["overdue"]
    assert [f.kind for f in pair.mill.keeping.faults()] == ["overdue"]
    proof = {"contract": theirs.agreement_id, "key": "0" * 64, "reason": "", "method": "", "files": []}
    proof |= {"shredded_at": "", "written_at": ""}
    forged = sign(PROOF_DOMAIN, canonical(proof), pair.mill.keys.sign)
    with pytest.raises(ReceiptInvalid, match="not signed"):
        pair.mill.keeping.watch.take_proof(SHOP, orjson.dumps({"body": proof, "signature": forged}))
    with pytest.raises(MessageInvalid):
        pair.mill.keeping.watch.take_proof(SHOP, orjson.dumps({"body": proof | {"files": [1]}, "signature": forged}))


def test_a_downtime_is_made_up_for_and_a_clock_set_back_delays_nothing(pair: Pair) -> None:
    ours, _ = pair.agree(Terms(until=pair.clock() + timedelta(days=1)))
    pair.shop.keep(ours, "copy")
    pair.clock.forward(days=400)
    pair.shop.keeping.step()
    now = pair.clock()
    pair.post.time = lambda: now
    pair.clock.now -= timedelta(days=500)
    pair.shop.keeping.step(pair.post)
    assert [line.state for line in pair.shop.keeping.deletions()] in (["told"], ["proved"])


def test_a_clock_set_forward_closes_at_once_and_destroys_nothing(pair: Pair) -> None:
    shop, right = pair.shop, pair.clock()
    ours, theirs = pair.agree(Terms(until=right + timedelta(days=1), no_onward=True))
    shop.keep(ours, "copy")
    pair.mill.deliver(theirs)
    shop.keeping.step(pair.post)
    read = CopyRead("copy", shop.li, "read", "quality")  # type: ignore[arg-type]
    pair.post.time = lambda: right
    pair.clock.now += timedelta(days=400)
    for _ in range(3):
        shop.keeping.step(pair.post)
    verdict = shop.keeping.law.judge(read)
    assert verdict is not None
    assert "it ended" in verdict.because[0]
    assert shop.keeping.deletions() == []
    assert len(list((shop.folder / "lake" / "sealed").iterdir())) == 1
    assert shop.keeping.counted_instead() == right
    assert [e.action for e in shop.audit.entries(action="share.time_*")] == ["share.time_held"]
    shop.close()
    shop.open()
    shop.keeping.step(pair.post)
    assert shop.keeping.deletions() == [], "a restart forgets nothing"
    pair.clock.now = right
    verdict = shop.keeping.law.judge(read)
    assert verdict is not None
    assert "share time --reset" in verdict.because[0]
    shop.keeping.confirm_time(shop.li)
    pair.read("copy")


def test_who_holds_the_clock_keeps_no_data_beyond_the_contract_and_the_provider_hears_that_the_proof_is_missing(
    pair: Pair,
) -> None:
    ours, theirs = pair.agree(Terms(until=pair.clock() + timedelta(days=3), no_onward=True))
    pair.shop.keep(ours, "copy")
    pair.mill.deliver(theirs)
    mill = pair.mill.clock = type(pair.clock)()
    pair.mill.open()
    pair.shop.keeping.step(pair.post)
    pair.clock.now += timedelta(days=900)
    pair.post.time = lambda: mill() + timedelta(days=1)  # a partner that always contradicts
    pair.shop.keeping.step(pair.post)
    pair.post.is_cut = True
    mill.forward(days=5)
    pair.mill.keeping.step()
    assert "overdue" in [f.kind for f in pair.mill.keeping.faults()]
    pair.clock.forward(days=3, minutes=1)
    pair.shop.keeping.step()
    (line,) = pair.shop.keeping.deletions()
    assert line.state == "proved"
    assert line.reason.endswith("the time of this: the clock went on with the machine")


def test_a_clock_that_stands_before_the_count_is_not_taken_as_right(pair: Pair) -> None:
    ours, _ = pair.agree(Terms(until=pair.clock() + timedelta(days=9)))
    pair.shop.keep(ours, "copy")
    pair.shop.keeping.step()
    pair.clock.now -= timedelta(days=30)
    with pytest.raises(ClockBehind):
        pair.shop.keeping.confirm_time(pair.shop.li)
    pair.clock.now += timedelta(days=60)
    pair.shop.keeping.step()
    assert pair.shop.keeping.deletions() == []
    pair.shop.keeping.confirm_time(pair.shop.li)
    pair.shop.keeping.step()
    (line,) = pair.shop.keeping.deletions()
    assert line.reason.endswith("a person confirmed the clock")


def test_a_replaced_version_and_a_key_without_a_row_are_swept(pair: Pair) -> None:
    ours, _ = pair.agree()
    pair.shop.keep(ours, "copy")
    pair.shop.keep(ours, "copy", transfer="t2")
    sealed, vault = pair.shop.folder / "lake" / "sealed", pair.shop.folder / "vault"
    lost = vault / f"{'a' * 64}.key"
    lost.write_bytes(b"x" * 60)
    os.utime(lost, (0, 0))
    pair.shop.keeping.step()
    assert (len(list(sealed.iterdir())), lost.exists()) == (2, False)
    pair.clock.forward(hours=2)
    pair.shop.keeping.step()
    assert len(list(sealed.iterdir())) == 1
    pair.read("copy")


class _Killed(BaseException):
    """The process is gone."""


@contextmanager
def killed_at(number: int, database: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let the process die before the durable operation of this number: a sync, an unlink, or a commit."""
    done: list[str] = []

    def before(what: str) -> None:
        if len(done) == number:
            raise _Killed(what)
        done.append(what)

    def dying(name: str, real: Callable[..., None]) -> Callable[..., None]:
        def act(*given: Any, **named: Any) -> None:
            before(name)
            real(*given, **named)

        return act

    with monkeypatch.context() as patched:
        for name in ("fsync", "unlink"):
            patched.setattr(os, name, dying(name, getattr(os, name)))

        def commit(_: object) -> None:
            before("commit")

        sa.event.listen(database, "commit", commit)
        try:
            yield done
        finally:
            sa.event.remove(database, "commit", commit)


def test_a_kill_before_any_durable_step_of_the_ending_changes_nothing_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, ended = 0, False
    while not ended:
        pair = Pair(tmp_path / str(number))
        ours, theirs = pair.agree(Terms(until=pair.clock() + timedelta(days=1)))
        kept = pair.shop.keep(ours, "copy")
        pair.shop.store.write("made", rows(), title="made", origin="app:x", parents=[kept])
        pair.mill.deliver(theirs)
        pair.clock.forward(days=2)
        with killed_at(number, pair.shop.database.engine, monkeypatch) as done:
            try:
                pair.shop.keeping.step(pair.post, slow=False)
                ended = True
            except _Killed:
                pair.shop.close()
                pair.shop.open()
        pair.shop.keeping.step(pair.post, slow=False)
        (line,) = pair.shop.keeping.deletions()
        assert (line.state, line.files) == ("told", 2), (number, done)
        assert list((pair.shop.folder / "lake" / "sealed").iterdir()) == []
        assert list((pair.shop.folder / "vault").iterdir()) == []
        (proved,) = pair.mill.keeping.deletions()
        assert (proved.state, proved.fingerprint) == ("proved", line.fingerprint)
        with pair.mill.database.connect() as connection:
            assert find_agreement(connection, ours.agreement_id).policy_hash == ours.policy_hash
        pair.close()
        number += 1
    assert number > 8


def test_policy_asks_whether_the_partner_is_silent(pair: Pair) -> None:
    from gongshu.share.keeping.watching import WatchedPolicy
    from gongshu.share.terms import Phase

    dataset = pair.mill.store.write("orders", rows(), title="orders", origin="import:x")
    _, theirs = pair.agree(Terms(no_onward=True, parties=frozenset({SHOP})))
    assert dataset == theirs.dataset_id
    pair.mill.deliver(theirs)
    pair.clock.forward(days=9)
    plain = SharePolicy(pair.mill.catalogue, pair.clock)
    watched = WatchedPolicy(pair.mill.keeping.watch, pair.mill.catalogue, pair.clock)
    assert watched.why_not_use(theirs, Phase.TRANSFER) is not None
    assert "receipts" not in str(plain.why_not_use(theirs, Phase.TRANSFER))

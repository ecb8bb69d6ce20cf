"""The suite itself: a sound connector passes all of it, and each planted fault is caught by the clause meant for it."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from gongshu.gather.batch import BatchBuilder, micros
from gongshu.gather.connector import BrowseNode, Can, Feed
from gongshu.testing.connector_contract import ConnectorContract, Gap, Rig
from tests.contract.gather.toy import SPEC
from tests.contract.gather.toy.client import ToyConnector
from tests.contract.gather.toy.server import ToyRig


class TestToy(ConnectorContract):
    spec = SPEC
    pages: ClassVar[Path] = Path(__file__).parent / "toy"

    def make_rig(self) -> Rig:
        return ToyRig()


class WrongValue(ToyConnector):
    def _add(self, builder: BatchBuilder, number: int, one: dict[str, Any]) -> None:
        value = one["value"]
        super()._add(builder, number, one | {"value": round(value)} if value in (1.25, 5e-324) else one)


class ArrivalTimeInDisguise(ToyConnector):
    def _add(self, builder: BatchBuilder, number: int, one: dict[str, Any]) -> None:
        builder.add(number, one["value"], arrival_us=micros(self._clock()))


class UnknownIsGood(ToyConnector):
    def _add(self, builder: BatchBuilder, number: int, one: dict[str, Any]) -> None:
        super()._add(builder, number, one | {"quality": "ok"})


class RaisesOnABadTag(ToyConnector):
    async def read(self, addresses: Sequence[str]) -> pa.RecordBatch:
        found = await super().read(addresses)
        if "no-such-tag" in addresses:
            raise KeyError("no-such-tag")
        return found


class ChangedOrder(ToyConnector):
    async def read(self, addresses: Sequence[str]) -> pa.RecordBatch:
        return await super().read(sorted(addresses))


class FirstPageOnly(ToyConnector):
    async def browse(self, under: str = "") -> AsyncIterator[BrowseNode]:
        answer = await self._ask({"op": "browse", "start": 0, "count": 100})
        for one in answer["tags"]:
            yield BrowseNode(one["address"], one["address"], self._tag(one))


class CrashesOnSecondClose(ToyConnector):
    async def close(self) -> None:
        if self._streams is None:
            raise AttributeError("writer")
        await super().close()


class LeavesATask(ToyConnector):
    async def open(self) -> None:
        await super().open()
        self.left = [*getattr(self, "left", []), asyncio.create_task(asyncio.sleep(20))]


class HangsOnSilence(ToyConnector):
    async def _receive(self, timeout_s: float | None) -> tuple[dict[str, Any], int]:
        return await super()._receive(None)


class TellsTheSecret(ToyConnector):
    async def open(self) -> None:
        try:
            await super().open()
        except Exception as error:
            error.args = (f"{error} with {self._config.token.get_secret_value()}",)
            raise


class ForeignException(ToyConnector):
    async def open(self) -> None:
        try:
            await super().open()
        except Exception as error:
            raise OSError("foreign") from error


class SaysNothingOfDrops(ToyConnector):
    async def _receive(self, timeout_s: float | None) -> tuple[dict[str, Any], int]:
        message, size_bytes = await super()._receive(timeout_s)
        return {key: one for key, one in message.items() if key != "dropped"}, size_bytes


class DeliversTwice(ToyConnector):
    async def subscribe(self, feed: Feed) -> None:
        put = feed.put

        async def twice(batch: pa.RecordBatch, **about: Any) -> None:
            await put(batch, **about)
            await put(batch)

        feed.put = twice  # type: ignore[method-assign]
        await super().subscribe(feed)


class CountsNoBytes(ToyConnector):
    async def _receive(self, timeout_s: float | None) -> tuple[dict[str, Any], int]:
        message, _ = await super()._receive(timeout_s)
        return message, 0


class DiesOnGarbage(ToyConnector):
    async def _receive(self, timeout_s: float | None) -> tuple[dict[str, Any], int]:
        try:
            return await super()._receive(timeout_s)
        except Exception as error:
            raise UnicodeError("foreign") from error


class LeavesOpenWhenCancelled(ToyConnector):
    left: ClassVar[list[asyncio.StreamWriter]] = []

    async def close(self) -> None:
        if asyncio.current_task().cancelling() and self._streams is not None:  # type: ignore[union-attr]
            self.left.append(self._streams[1])
        else:
            await super().close()


class CanWrite(ToyConnector):
    async def write(self, address: str, value: object) -> None:
        """There must be no such thing."""


FAULTS = [
    (WrongValue, "test_c04_reads_the_value_that_the_device_holds"),
    (ArrivalTimeInDisguise, "test_c04_a_source_time_is_declared_or_absent"),
    (UnknownIsGood, "test_c07_maps_every_quality_and_unknown_is_never_good"),
    (RaisesOnABadTag, "test_c05_answers_in_the_order_asked_with_one_bad_tag_among_them"),
    (ChangedOrder, "test_c05_answers_in_the_order_asked_with_one_bad_tag_among_them"),
    (WrongValue, "test_c06_keeps_every_native_type_unrounded"),
    (FirstPageOnly, "test_c08_lists_a_large_tree_completely_and_without_repeats"),
    (CrashesOnSecondClose, "test_c01_closing_before_opening_does_no_harm"),
    (LeavesATask, "test_c01_opens_closes_twice_and_reopens_without_leftovers"),
    (HangsOnSilence, "test_c02_refuses_a_wrong_endpoint_in_time_with_our_error"),
    (TellsTheSecret, "test_c02_refuses_a_wrong_credential_in_time_with_our_error"),
    (ForeignException, "test_c02_refuses_a_wrong_endpoint_in_time_with_our_error"),
    (SaysNothingOfDrops, "test_c09_says_so_when_the_device_dropped_some"),
    (DeliversTwice, "test_c09_delivers_changes_once_for_each_source_time"),
    (CanWrite, "test_c12_cannot_write"),
    (DiesOnGarbage, "test_c13_survives_arbitrary_bytes"),
    (LeavesOpenWhenCancelled, "test_c14_can_be_cancelled_at_any_await"),
    (CountsNoBytes, "test_c16_logs_nothing_in_normal_work_and_counts"),
]


@pytest.mark.parametrize(("fault", "clause"), FAULTS, ids=lambda one: getattr(one, "__name__", one))
async def test_a_planted_fault_is_caught(
    fault: type[ToyConnector], clause: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gongshu.testing.clauses_link.PATIENCE_S", 1.0)
    monkeypatch.setattr("gongshu.testing.contract_base.PATIENCE_S", 1.0)
    suite = TestToy()
    rig = ToyRig()
    rig.spec = replace(SPEC, opens=f"{__name__}:{fault.__name__}")  # type: ignore[misc]
    given = {"caplog": caplog, "seed": 1, "after_s": 0.05, "rig": rig}
    test = getattr(suite, clause)
    arguments = {name: given[name] for name in inspect.signature(test).parameters}
    before = asyncio.all_tasks()
    async with rig:
        with pytest.raises((AssertionError, TimeoutError, AttributeError, KeyError, OSError)):
            await test(**arguments)
        left = asyncio.all_tasks() - before
        for task in left:
            task.cancel()
        for writer in LeavesOpenWhenCancelled.left:
            writer.transport.abort()
        await asyncio.gather(*left, return_exceptions=True)


def test_a_connector_that_declares_too_much_is_caught() -> None:
    spec = replace(SPEC, can=SPEC.can | {Can.POLL})
    rig = ToyRig()

    class Suite(ConnectorContract):
        def make_rig(self) -> Rig:
            return rig

    Suite.spec = spec

    async def judge() -> None:
        async with rig:
            with pytest.raises(AssertionError):
                await Suite().test_c17_declares_what_it_implements_and_no_more(rig)

    asyncio.run(judge())


def test_a_gap_for_a_clause_that_does_not_apply_is_refused() -> None:
    with pytest.raises(TypeError, match="do not apply"):

        class Stale(ConnectorContract):
            spec = replace(SPEC, can=frozenset({Can.READ}))
            gaps: ClassVar[dict[str, Gap]] = {"test_c10_comes_back_after_cable_loss": Gap("ours", "x")}


def test_a_misspelt_gap_is_refused() -> None:
    with pytest.raises(TypeError, match="test_c99"):

        class Misspelt(ConnectorContract):
            spec = SPEC
            gaps: ClassVar[dict[str, Gap]] = {"test_c99": Gap("ours", "x")}


def test_a_gap_that_has_closed_fails(tmp_path: Path) -> None:
    file = tmp_path / "test_closed.py"
    file.write_text(
        "from tests.contract.gather.test_toy import ConnectorContract, Gap, SPEC, ToyRig\n"
        "class TestClosed(ConnectorContract):\n"
        "    spec = SPEC\n"
        "    gaps = {'test_c12_cannot_write': Gap('ours', 'not yet')}\n"
        "    def make_rig(self):\n"
        "        return ToyRig()\n"
    )
    root = Path(__file__).parents[3]
    argv = [sys.executable, "-m", "pytest", "-q", "-k", "c12", "-p", "no:cacheprovider", "-c", "pyproject.toml"]
    ran = subprocess.run([*argv, str(file)], capture_output=True, text=True, check=False, cwd=root)
    assert "XPASS(strict)" in ran.stdout, ran.stdout
    assert ran.returncode == 1

"""The loop around a connector: growing delays, one line when lost and one when back, storing before acknowledging."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from gongshu.gather.batch import native_batch
from gongshu.gather.connector import Can, ConnectorBase, ConnectorConfig, ConnectorSpec, Feed, ProbeReport, Tag
from gongshu.gather.counters import State
from gongshu.gather.errors import LinkLost, LoginRefused
from gongshu.gather.loop import Collection
from gongshu.model.reading import ValueType

SPEC = ConnectorSpec("scripted", "脚本", "Scripted", "x:y", "x:z", frozenset({Can.POLL}), ())


class Config(ConnectorConfig):
    @property
    def endpoint(self) -> str:
        return "scripted:"


class Scripted(ConnectorBase):
    """Does what the test says, once for each time it is opened."""

    def __init__(self, *acts: Callable[[Feed], object]) -> None:
        self.acts = list(acts)
        self.opened_at: list[float] = []
        self.acknowledged = 0
        self.is_open = False

    async def open(self) -> None:
        self.opened_at.append(asyncio.get_running_loop().time())
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def probe(self) -> ProbeReport:
        return ProbeReport(())

    async def poll(self, feed: Feed) -> None:
        act = self.acts.pop(0) if self.acts else None
        if act is None:
            await asyncio.Event().wait()
        else:
            result = act(feed)
            if asyncio.iscoroutine(result):
                await result

    def deliver(self, value: int) -> Callable[[Feed], object]:
        async def act(feed: Feed) -> None:
            number = feed.tag(Tag("a", "load", ValueType.INT64))
            await feed.put(native_batch([number], arrival_us=1, value_int=[value]), acknowledge=self._count)
            await asyncio.Event().wait()

        return act

    def _count(self) -> None:
        self.acknowledged += 1


def fail(feed: Feed) -> None:
    raise LinkLost(endpoint="scripted:", reason="the test says so")


def collection(connector: Scripted, stored: list[int], fails: list[Exception], **config: object) -> Collection:
    def store(fresh: dict[int, Tag], batch: pa.RecordBatch, once: tuple[str, int] | None) -> None:
        if fails:
            raise fails.pop(0)
        stored.extend(batch.column("value_int").to_pylist())

    async def here(work: Callable[[], None]) -> None:
        work()

    fields = {"reconnect_min_s": 0.01, "reconnect_max_s": 0.08, "timeout_s": 1.0} | config
    return Collection(
        name="s",
        spec=SPEC,
        config=Config.model_validate(fields),
        connector=connector,
        store=store,
        clock=lambda: datetime.now(UTC),
        in_thread=here,
    )


async def run_until(running: Collection, holds: Callable[[], object]) -> None:
    task = asyncio.create_task(running.run())
    try:
        async with asyncio.timeout(5):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_delays_grow_and_each_loss_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gongshu")
    connector = Scripted(fail, fail, fail, fail, fail)
    connector.acts.append(connector.deliver(7))
    stored: list[int] = []
    running = collection(connector, stored, [])
    await run_until(running, lambda: stored)
    gaps = [b - a for a, b in zip(connector.opened_at, connector.opened_at[1:], strict=False)]
    assert gaps[0] < 0.04
    assert gaps[4] > gaps[0]
    assert gaps[4] >= 0.04
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split()[1] for line in lines] == ["lost", "back"]
    (outage,) = running.feed.losses
    assert outage.reason == "outage"
    assert running.counters.last_error == ""


async def test_a_batch_is_acknowledged_only_after_it_is_stored() -> None:
    connector = Scripted()
    connector.acts.append(connector.deliver(7))
    stored: list[int] = []
    fails: list[Exception] = [OSError("disk full"), OSError("disk full")]
    running = collection(connector, stored, fails)
    seen: list[int] = []

    def holds() -> bool:
        if not stored:
            seen.append(connector.acknowledged)
        return bool(stored) and connector.acknowledged == 1

    await run_until(running, holds)
    assert set(seen) == {0}
    assert stored == [7]
    assert running.counters.read == 1


async def test_what_was_put_is_stored_before_the_end() -> None:
    connector = Scripted()
    connector.acts.append(connector.deliver(7))
    stored: list[int] = []
    running = collection(connector, stored, [])
    await run_until(running, lambda: running.counters.queued)
    assert stored == [7]
    assert connector.acknowledged == 1
    assert not connector.is_open
    assert running.counters.state is State.STOPPED


async def test_an_error_that_needs_a_person_is_tried_at_the_longest_delay() -> None:
    def refused(feed: Feed) -> None:
        raise LoginRefused(endpoint="scripted:", user="u", reason="no")

    connector = Scripted(refused, refused)
    running = collection(connector, [], [])
    await run_until(running, lambda: len(connector.opened_at) == 2)
    assert connector.opened_at[1] - connector.opened_at[0] >= 0.04
    assert running.counters.last_error_code == "gather.login_refused"


async def test_a_foreign_exception_does_not_end_the_collecting(caplog: pytest.LogCaptureFixture) -> None:
    def broken(feed: Feed) -> None:
        raise ZeroDivisionError("planted")

    connector = Scripted(broken)
    connector.acts.append(connector.deliver(1))
    stored: list[int] = []
    running = collection(connector, stored, [])
    await run_until(running, lambda: stored)
    assert "gather.connector_broken" in caplog.text


async def test_a_connector_that_returns_is_started_again() -> None:
    connector = Scripted(lambda feed: None)
    connector.acts.append(connector.deliver(1))
    stored: list[int] = []
    await run_until(collection(connector, stored, []), lambda: stored)


async def test_silence_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    connector = Scripted()
    connector.acts.append(connector.deliver(1))
    running = collection(connector, [], [], silent_after_s=0.1)
    await run_until(running, lambda: running.counters.last_error_code == "gather.silent")
    assert "with any value" in caplog.text


async def test_replayed_outages_are_said_to_be_recovered() -> None:
    def recovering(feed: Feed) -> None:
        feed.alive()
        feed.recovered()
        raise LinkLost(endpoint="scripted:", reason="done")

    running = collection(Scripted(fail, recovering), [], [])
    await run_until(running, lambda: running.feed.outage_recovered)
    assert running.feed.losses

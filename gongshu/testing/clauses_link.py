"""Clauses C09–C11, C13, C16: what a connector does while it delivers, and when the link is in trouble."""

import asyncio
import logging
from random import Random

import pytest

from gongshu.gather.connector import Can, QueueFull
from gongshu.gather.counters import State
from gongshu.model.reading import Quality, quality_of
from gongshu.testing.contract_base import (
    PATIENCE_S,
    STREAMS,
    ConnectorContractBase,
    bound_of,
    log_lines,
    needs,
)
from gongshu.testing.rig import Rig
from gongshu.testing.run import Run, arrived, arrived_last, heard


class LinkClauses(ConnectorContractBase):
    """Subscriptions, lost links, bounds, hostile bytes, counters."""

    @needs(*STREAMS)
    async def test_c09_delivers_changes_once_for_each_source_time(self, rig: Rig) -> None:
        """C09: every change comes, and no source time twice."""
        async with self.running(rig) as run:
            await run.until(heard(rig.known.address), PATIENCE_S)
            for step in range(1, 9):
                expected = await rig.change(step)
                await run.until(arrived_last(expected), PATIENCE_S)
        times = [one.source_time for one in run.of(rig.known.address) if one.source_time is not None]
        assert len(times) == len(set(times))
        assert run.counters.lost == 0

    @needs(Can.SUBSCRIBE)
    async def test_c09_says_so_when_the_device_dropped_some(self, rig: Rig) -> None:
        """C09: what the device itself dropped is a loss that is counted."""
        async with self.running(rig) as run:
            await run.until(heard(rig.known.address), PATIENCE_S)
            await rig.overflow()
            await run.until(lambda r: r.counters.losses, PATIENCE_S)

    @needs(*STREAMS)
    async def test_c10_comes_back_after_cable_loss(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        """C10: one line when lost, growing delays, one line when back, and the outage is noted."""
        caplog.set_level(logging.INFO, logger="gongshu")
        async with self.running(rig, reconnect_min_s=0.05, reconnect_max_s=0.4) as run:
            await run.until(heard(rig.known.address), PATIENCE_S)
            attempts = run.counters.attempts
            await rig.cut()
            await run.until(lambda r: r.counters.state is State.LOST, PATIENCE_S + rig.timeout_s)
            await asyncio.sleep(2.0)
            assert 1 <= run.counters.attempts - attempts <= 20, "delays must grow"
            await rig.restore()
            expected = await rig.change(5)
            await run.until(arrived(expected), PATIENCE_S)
            await run.until(lambda r: r.counters.state is State.RUNNING, PATIENCE_S)
            lines = [record.getMessage() for record in caplog.records if record.name == "gongshu.gather"]
            assert sum(": lost [" in line for line in lines) == 1, lines
            assert sum(": back after" in line for line in lines) == 1, lines
            assert run.counters.losses >= 1, "the outage is a loss until it is replayed"

    @needs(*STREAMS)
    async def test_c10_a_far_end_that_falls_silent_is_noticed(self, rig: Rig) -> None:
        """C10: connected without any sign of life counts as lost."""
        async with self.running(rig, silent_after_s=1.0, reconnect_min_s=0.05, reconnect_max_s=0.2) as run:
            await run.until(heard(rig.known.address), PATIENCE_S)
            if not hasattr(rig, "cable"):
                raise NotImplementedError
            rig.cable.silence()
            await run.until(lambda r: r.counters.state is State.LOST, PATIENCE_S + rig.timeout_s)
            await rig.restore()
            await run.until(lambda r: r.counters.state is State.RUNNING, PATIENCE_S + rig.timeout_s)

    @needs(*STREAMS)
    async def test_c11_a_full_queue_drops_the_oldest_and_counts_them(self, rig: Rig) -> None:
        """C11: with `drop_oldest` the bound holds and what is dropped is counted."""
        rows_max = await bound_of(rig)
        async with self.running(rig, queue_rows_max=rows_max, queue_full=QueueFull.DROP_OLDEST) as run:
            await run.until(heard(rig.known.address), PATIENCE_S)
            run.held.clear()
            lost_before, step = run.counters.lost, 0
            while not step or run.counters.lost == lost_before:
                step += 1
                assert step < 400, "the queue never filled"
                last = await rig.change(step)
                await asyncio.sleep(0.02)
                assert run.counters.queued <= rows_max
            run.held.set()
            await run.until(arrived_last(last), PATIENCE_S)

    @needs(*STREAMS)
    async def test_c11_a_full_queue_blocks_and_drops_nothing_here(self, rig: Rig) -> None:
        """C11: with `block` the bound holds and nothing is dropped."""
        rows_max = await bound_of(rig)
        async with self.running(rig, queue_rows_max=rows_max, silent_after_s=0.0) as run:
            await run.until(heard(rig.known.address), PATIENCE_S)
            run.held.clear()
            for step in range(1, 40):
                last = await rig.change(step)
                await asyncio.sleep(0.02)
                assert run.counters.queued <= rows_max
            run.held.set()
            await run.until(arrived_last(last), PATIENCE_S + rig.timeout_s)
            assert not [loss for loss in run.collection.feed.losses if loss.reason == "queue full"]

    @needs(*STREAMS)
    @pytest.mark.parametrize("seed", range(4))
    async def test_c13_survives_arbitrary_bytes(self, rig: Rig, seed: int, caplog: pytest.LogCaptureFixture) -> None:
        """C13: bytes that are not the protocol end in a decode error or a new connection."""
        random = Random(seed)
        async with self.running(rig, reconnect_min_s=0.05, reconnect_max_s=0.2) as run:
            await run.until(heard(rig.known.address), PATIENCE_S)
            for size_bytes in (1, 7, 64, 2000):
                await rig.spoil(random.randbytes(size_bytes))
                await asyncio.sleep(0.05)
            await self._recovers(rig, run, caplog)

    @needs(*STREAMS)
    @pytest.mark.parametrize("size_bytes", [0, 1, 5, 9, 30])
    async def test_c13_survives_frames_that_break_off(
        self, rig: Rig, size_bytes: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """C13: so does a frame that ends in the middle."""
        async with self.running(rig, reconnect_min_s=0.05, reconnect_max_s=0.2) as run:
            await run.until(heard(rig.known.address), PATIENCE_S)
            await rig.truncate(size_bytes)
            await rig.change(2)
            await asyncio.sleep(0.3)
            await self._recovers(rig, run, caplog)

    async def _recovers(self, rig: Rig, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        expected = await rig.change(7)
        await run.until(
            arrived(expected),
            2 * (PATIENCE_S + rig.timeout_s),
        )
        foreign = [line for line in log_lines(caplog) if "connector_broken" in line]
        assert not foreign, foreign

    @needs(*STREAMS)
    async def test_c16_logs_nothing_in_normal_work_and_counts(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        """C16: no log line; readings, bytes and batches are counted."""
        caplog.set_level(logging.INFO)
        async with self.running(rig) as run:
            await run.until(heard(rig.known.address), PATIENCE_S)
            for step in range(1, 4):
                expected = await rig.change(step)
                await run.until(arrived_last(expected), PATIENCE_S)
            counters = run.counters
            assert (counters.read, counters.state) == (len(run.seen), State.RUNNING)
            assert counters.bytes > 0
            assert counters.batches > 0
            assert counters.bad == sum(quality_of(one.status) is Quality.BAD for one in run.seen)
        assert not log_lines(caplog)

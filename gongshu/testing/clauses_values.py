"""Clauses C04–C08: what a connector reads is what the device holds."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from gongshu.gather.connector import Browses, Can
from gongshu.model.reading import Quality, quality_of
from gongshu.testing.contract_base import PATIENCE_S, STREAMS, ConnectorContractBase, needs, read_all
from gongshu.testing.rig import Rig
from gongshu.testing.run import arrived, heard


class ValueClauses(ConnectorContractBase):
    """Values, types, qualities, the tree."""

    async def test_c04_reads_the_value_that_the_device_holds(self, rig: Rig) -> None:
        """C04: value, type, quality and arrival time are right."""
        expected = await rig.change(1)
        before = datetime.now(UTC)
        seen = await self.observed(rig, expected.address, expected)
        assert seen.columns == expected.columns
        assert quality_of(seen.status) is Quality.GOOD
        assert before - timedelta(seconds=1) <= seen.arrival_time <= datetime.now(UTC)

    async def test_c04_source_time_is_utc(self, rig: Rig) -> None:
        """C04: the device's own time comes with the value; a protocol without one declares this gap."""
        expected = await rig.change(1)
        seen = await self.observed(rig, expected.address, expected)
        assert seen.source_time is not None, "no source time"
        assert seen.source_time.utcoffset() == timedelta(0)
        assert abs(seen.source_time - seen.arrival_time) < timedelta(seconds=30)

    async def test_c04_a_source_time_is_declared_or_absent(self, rig: Rig) -> None:
        """C04: what `SPEC.source_time` says is so; the arrival time never stands in for it."""
        expected = await rig.change(1)
        seen = await self.observed(rig, expected.address, expected)
        assert (seen.source_time is not None) is self.spec.source_time

    @needs(Can.READ)
    async def test_c05_answers_in_the_order_asked_with_one_bad_tag_among_them(self, rig: Rig) -> None:
        """C05: one bad tag is one bad reading, in its place."""
        known = await rig.change(1)
        others = [native.address for native in await rig.natives()]
        asked = [*others, rig.missing, known.address, *reversed(others), known.address]
        async with rig.connector() as connector:
            seen = await read_all(connector, asked)
        assert [one.address for one in seen] == asked
        bad = [quality_of(one.status) is Quality.BAD for one in seen]
        assert bad == [address == rig.missing for address in asked]
        assert seen[len(others)].columns == (None, None, None)
        assert seen[-1].columns == seen[len(others) + 1].columns == known.columns

    @needs(*STREAMS)
    async def test_c05_one_spoilt_tag_does_not_lose_the_others(self, rig: Rig) -> None:
        """C05: while collecting, too, a bad tag takes no other with it."""
        spoilt = await rig.spoil_one()
        async with self.running(rig) as run:
            expected = await rig.change(3)
            await run.until(arrived(expected), PATIENCE_S)
            await run.until(lambda r: any(quality_of(one.status) is Quality.BAD for one in r.of(spoilt)), PATIENCE_S)

    async def test_c06_keeps_every_native_type_unrounded(self, rig: Rig) -> None:
        """C06: every native type arrives with its value, extremes included, read or collected."""
        natives = await rig.natives()
        assert natives
        if Can.READ in self.spec.can:
            async with rig.connector() as connector:
                seen = await read_all(connector, [native.address for native in natives])
            for native, one in zip(natives, seen, strict=True):
                assert _same(one.columns, native.columns), native
        if not self.spec.can & STREAMS:
            return
        async with self.running(rig) as run:
            for native in natives:
                await run.until(heard(native.address), PATIENCE_S)
                assert any(_same(one.columns, native.columns) for one in run.of(native.address)), native
                assert run.tags[native.address].value_type is native.value_type, native

    async def test_c07_maps_every_quality_and_unknown_is_never_good(self, rig: Rig) -> None:
        """C07: each native quality becomes ours, and at least one of them is not good."""
        statuses = await rig.statuses()
        assert any(quality is not Quality.GOOD for _, quality in statuses)
        seen = await self.observed_all(rig, [address for address, _ in statuses])
        for (address, quality), one in zip(statuses, seen, strict=True):
            assert quality_of(one.status) is quality, address

    @needs(Can.BROWSE)
    async def test_c08_lists_a_large_tree_completely_and_without_repeats(self, rig: Rig) -> None:
        """C08: more than a page, complete, each once."""
        expected = await rig.tree()
        async with rig.connector() as connector:
            assert isinstance(connector, Browses)
            found = [node async for node in connector.browse()]
        tags = [node.address for node in found if node.tag is not None]
        assert len(tags) == len(set(tags))
        assert expected <= set(tags)


def _same(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    return all(a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))
               for a, b in zip(ours, theirs, strict=True))  # fmt: skip

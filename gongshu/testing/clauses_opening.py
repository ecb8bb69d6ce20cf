"""Clauses C01–C03, C12, C14, C15, C17: how a connector opens, closes, refuses, and what it says of itself."""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from gongshu.errors import GongshuError, Retry
from gongshu.gather.connector import PROTOCOL_OF, Connector, Reads
from gongshu.testing.contract_base import (
    PATIENCE_S,
    SLACK_S,
    STREAMS,
    ConnectorContractBase,
    needs,
    settled,
    until_settled,
)
from gongshu.testing.quality import quality_findings
from gongshu.testing.rig import Rig
from gongshu.testing.run import collecting, heard


class OpeningClauses(ConnectorContractBase):
    """Opening, refusing, cancelling, declaring."""

    async def test_c01_opens_closes_twice_and_reopens_without_leftovers(self, rig: Rig) -> None:
        """C01: it opens, closes, closes again and reopens; no task, thread or socket is left."""
        connector = rig.connector()
        await connector.open()  # the first time may import and warm up
        await connector.close()
        before = await settled()
        for _ in range(3):
            await connector.open()
            await connector.close()
            await connector.close()
        await until_settled(before)

    async def test_c01_closing_before_opening_does_no_harm(self, rig: Rig) -> None:
        """C01: closing what never was open raises nothing."""
        await rig.connector().close()

    async def test_c02_refuses_a_wrong_endpoint_in_time_with_our_error(self, rig: Rig) -> None:
        """C02: nothing there, silence, nonsense, hanging up: our error within the timeout."""
        async with rig.wrong_endpoints() as configs:
            for config in configs:
                await self._refuses(rig, rig.connector(config))

    async def test_c02_refuses_a_wrong_credential_in_time_with_our_error(self, rig: Rig) -> None:
        """C02: a refused credential is to be corrected, not tried again; no secret is shown."""
        for config in await rig.wrong_credentials():
            error = await self._refuses(rig, rig.connector(config))
            assert error.retry is Retry.AFTER_FIX

    async def _refuses(self, rig: Rig, connector: Connector) -> GongshuError:
        before = await settled()
        with pytest.raises(GongshuError) as caught:
            async with asyncio.timeout(rig.timeout_s + SLACK_S):
                await connector.open()
        await connector.close()
        assert caught.value.code
        for secret in rig.secrets:
            assert secret not in f"{caught.value} {caught.value.fields}"
        await until_settled(before)
        return caught.value

    async def test_c03_probe_reports_and_changes_nothing(self, rig: Rig) -> None:
        """C03: reachability, login and least privilege are looked at, nothing is changed."""
        before = await rig.fingerprint()
        report = await rig.connector().probe()
        assert report.ok, report
        judged = {finding.what for finding in report.findings if finding.holds is not None}
        assert "reachable" in judged
        assert {"login", "least_privilege"} <= {finding.what for finding in report.findings}
        assert await rig.fingerprint() == before

    async def test_c12_cannot_write(self, rig: Rig) -> None:
        """C12, and I4: there is nothing to call that could write to the device."""
        connector = rig.connector()
        public = [name for name in dir(connector) if not name.startswith("_")]
        assert not [name for name in public if "write" in name.lower() or name.lower().startswith("set_")]

    @pytest.mark.parametrize("after_s", [0.0, 0.001, 0.01, 0.05, 0.3])
    async def test_c14_can_be_cancelled_at_any_await(self, rig: Rig, after_s: float) -> None:
        """C14: cancelled while opening or reading, it leaves a closed connection."""
        before = await settled()
        connector = rig.connector()

        async def use() -> None:
            async with connector:
                while True:
                    if isinstance(connector, Reads):
                        await connector.read([rig.known.address])
                    else:
                        await asyncio.sleep(0)

        task = asyncio.create_task(use())
        await asyncio.sleep(after_s)
        task.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(rig.timeout_s + SLACK_S):
                await task
        await until_settled(before)
        assert rig.links() == 0

    @needs(*STREAMS)
    async def test_c14_a_stream_can_be_cancelled(self, rig: Rig) -> None:
        """C14: cancelled while delivering, it leaves a closed connection."""
        before = await settled()
        for after_s in (0.0, 0.05, 0.5):
            async with self.running(rig):
                await asyncio.sleep(after_s)
        await until_settled(before)
        assert rig.links() == 0

    async def test_c15_takes_a_rotated_credential(self, rig: Rig) -> None:
        """C15: the old credential is refused, the new one works."""
        connector = rig.connector()
        await connector.open()
        await connector.close()
        config = await rig.rotate()
        await self._refuses(rig, rig.connector())
        async with rig.connector(config):
            pass
        if self.spec.can & STREAMS:
            async with collecting(self.spec, config, rig.connector(config)) as run:
                await run.until(heard(rig.known.address), PATIENCE_S)

    async def test_c17_declares_what_it_implements_and_no_more(self, rig: Rig) -> None:
        """C17: the declared abilities are those whose Protocol it implements."""
        connector = rig.connector()
        implements = {can for can, protocol in PROTOCOL_OF.items() if isinstance(connector, protocol)}
        assert implements == self.spec.can

    def test_c17_every_setting_says_what_it_is(self) -> None:
        """C17: each setting has its texts, an example, and is secret exactly if it is stored as one."""
        config = self.spec.config_type()
        assert config.model_config.get("frozen")
        assert config.model_config.get("extra") == "forbid"
        for name, field in config.model_fields.items():
            extra = field.json_schema_extra
            assert isinstance(extra, dict), name
            assert extra.get("title_zh"), f"{name} has no Chinese title"
            assert field.description, f"{name} has no description"
            assert field.examples, f"{name} has no example"
            assert bool(extra.get("secret")) == (SecretStr in _types(field.annotation)), name
        assert config.model_json_schema()["properties"].keys() == config.model_fields.keys()

    def test_c17_has_a_page_with_every_setting_and_ability(self) -> None:
        """C17: the doc page names every setting and every ability."""
        page = (self.pages / f"{self.spec.name}.md").read_text(encoding="utf-8")
        for name in (*self.spec.config_type().model_fields, *self.spec.can):
            assert f"`{name}`" in page, f"the page does not speak of {name}"

    def test_c17_answers_the_quality_rules(self) -> None:
        """C17: `quality.toml` answers every rule and claims no tier beyond its answers."""
        folder = Path(inspect.getfile(self.spec.config_type())).parent
        gaps = {name: gap.whose for name, gap in self.gaps.items()}
        assert quality_findings(folder / "quality.toml", self.spec, gaps) == []


def _types(annotation: object) -> Iterator[object]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types(inner)

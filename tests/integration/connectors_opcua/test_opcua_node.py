"""Against node-opcua, another maker's server: sign and encrypt, pages of a tree, and every value accounted for."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gongshu.gather.connector import Context
from gongshu.gather.connectors.opcua import SPEC
from gongshu.gather.connectors.opcua.config import OpcUaConfig
from gongshu.gather.connectors.opcua.connector import OpcUaConnector
from gongshu.gather.connectors.opcua.trust import fingerprint
from gongshu.gather.errors import LoginRefused
from gongshu.model.ids import SourceId
from gongshu.testing.run import Run, collecting
from tests.contract.connectors_opcua.rig import place_client_identity, server_identity
from tests.integration.connectors_opcua.node import APPLICATION, PASSWORD, URI, node_server

pytestmark = pytest.mark.node


def config_for(folder: Path, port: int, **overrides: object) -> OpcUaConfig:
    fields: dict[str, object] = {
        "url": f"opc.tcp://127.0.0.1:{port}/node", "username": "collector", "password": PASSWORD, "timeout_s": 20,
        "trusted_sha256": (fingerprint(server_identity(("127.0.0.1",), APPLICATION).certificate),),
        "application_uri": place_client_identity(folder), "publishing_interval_ms": 100, "sampling_interval_ms": 0,
        "silent_after_s": 0,
    }  # fmt: skip
    return OpcUaConfig.model_validate(fields | overrides)


def connector_for(folder: Path, config: OpcUaConfig) -> OpcUaConnector:
    connector = SPEC.connector(config, Context(SourceId("node"), folder, lambda: datetime.now(UTC)))
    assert isinstance(connector, OpcUaConnector)
    return connector


@pytest.fixture(scope="module")
def fast_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with three hundred counters that change twenty times a second."""
    with node_server(tmp_path_factory.mktemp("fast"), counters=300, every_ms=50) as port:
        yield port


async def test_signs_encrypts_and_lists_a_tree_of_several_pages(tmp_path: Path) -> None:
    with node_server(tmp_path, counters=2300, every_ms=1000) as port:
        config = config_for(tmp_path, port)
        async with connector_for(tmp_path, config) as connector:
            addresses = [node.address async for node in connector.browse() if node.tag is not None]
        report = await connector_for(tmp_path, config).probe()
        with pytest.raises(LoginRefused):
            await connector_for(tmp_path, config_for(tmp_path, port, password="wrong")).open()
    assert {f"nsu={URI};s=c{i}" for i in range(2300)} <= set(addresses)
    assert len(addresses) == len(set(addresses))
    assert "sign_and_encrypt" in report.findings[1].detail


def missing_and_repeated(run: Run) -> tuple[int, int]:
    """Each variable counts up by one: what is not there was lost, what does not rise came twice."""
    counted: dict[str, list[int]] = {}
    for seen in run.seen:
        if isinstance(seen.columns[1], int):
            counted.setdefault(seen.address, []).append(seen.columns[1])
    steps = [np.diff(values) for values in counted.values()]
    return sum(int((step - 1)[step > 1].sum()) for step in steps), sum(int((step <= 0).sum()) for step in steps)


async def test_at_a_high_rate_every_value_is_delivered(fast_port: int, tmp_path: Path) -> None:
    config = config_for(tmp_path, fast_port, queue_size=100)
    async with collecting(SPEC, config, connector_for(tmp_path, config)) as run:
        await run.until(lambda r: r.counters.read > 15_000, 60)
        assert missing_and_repeated(run) == (0, 0)
        assert run.counters.losses == 0


async def test_what_the_servers_queues_drop_is_said(fast_port: int, tmp_path: Path) -> None:
    config = config_for(tmp_path, fast_port, queue_size=2, publishing_interval_ms=500)
    async with collecting(SPEC, config, connector_for(tmp_path, config)) as run:
        await run.until(lambda r: r.counters.read > 3000, 60)
        missing, repeated = missing_and_repeated(run)
        assert missing > 0
        assert repeated == 0
        assert {loss.reason for loss in run.collection.feed.losses} == {"device overflow"}


async def test_an_outage_shorter_than_the_session_loses_and_repeats_nothing(fast_port: int, tmp_path: Path) -> None:
    from gongshu.testing.cable import Cable

    async with Cable("127.0.0.1", fast_port) as cable:
        config = config_for(tmp_path, cable.port, queue_size=1000, reconnect_min_s=0.1, reconnect_max_s=0.3)
        async with collecting(SPEC, config, connector_for(tmp_path, config)) as run:
            await run.until(lambda r: r.counters.read > 3000, 60)
            await cable.cut()
            await asyncio.sleep(2.0)
            await cable.restore()
            read = run.counters.read
            await run.until(lambda r: r.counters.read > read + 12_000, 60)
            assert missing_and_repeated(run) == (0, 0)
            assert run.collection.feed.outage_recovered

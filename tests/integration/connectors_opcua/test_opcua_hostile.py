"""Servers that are not what they say, and servers that stop: refused or noticed, with what to do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gongshu.errors import Retry
from gongshu.gather.connector import Context
from gongshu.gather.connectors.opcua import SPEC
from gongshu.gather.connectors.opcua.config import OpcUaConfig
from gongshu.gather.connectors.opcua.connector import OpcUaConnector
from gongshu.gather.connectors.opcua.sdk import ua
from gongshu.gather.connectors.opcua.trust import OwnCertificate, fingerprint, make_certificate
from gongshu.gather.errors import CertificateUntrusted, ConfigWrong
from gongshu.model.ids import SourceId
from tests.contract.connectors_opcua.rig import (
    APPLICATION,
    PASSWORD,
    Users,
    place_client_identity,
    server_identity,
    start_server,
)


def connector(folder: Path, port: int, **overrides: object) -> OpcUaConnector:
    fields: dict[str, object] = {
        "url": f"opc.tcp://127.0.0.1:{port}/test", "username": "collector", "password": PASSWORD, "timeout_s": 10,
        "application_uri": place_client_identity(folder),
    }  # fmt: skip
    config = OpcUaConfig.model_validate(fields | overrides)
    found = SPEC.connector(config, Context(SourceId("hostile"), folder, lambda: datetime.now(UTC)))
    assert isinstance(found, OpcUaConnector)
    return found


def expired() -> OwnCertificate:
    return make_certificate(
        APPLICATION, hosts=("127.0.0.1",), now=datetime.now(UTC) - timedelta(days=400), valid=timedelta(days=365),
        key_bits=2048,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("identity", "word"),
    [
        (expired, "expired"),
        (lambda: server_identity(("10.9.8.7",)), "not for 127.0.0.1"),
        (lambda: server_identity(("127.0.0.1",), "urn:somebody:else"), "application"),
    ],
    ids=["expired", "other host", "other application"],
)
async def test_a_known_certificate_that_is_wrong_is_refused(
    tmp_path: Path, identity: Callable[[], OwnCertificate], word: str
) -> None:
    shown = identity()
    server, port = await start_server(Users(), identity=shown)
    try:
        with pytest.raises(CertificateUntrusted, match=word) as caught:
            await connector(tmp_path, port, trusted_sha256=(fingerprint(shown.certificate),)).open()
        assert caught.value.retry is Retry.AFTER_FIX
    finally:
        await server.stop()


async def test_an_unknown_certificate_is_refused_kept_and_can_be_trusted(tmp_path: Path) -> None:
    server, port = await start_server(Users())
    try:
        print_ = fingerprint(server_identity().certificate)
        with pytest.raises(CertificateUntrusted, match=print_):
            await connector(tmp_path, port).open()
        (tmp_path / "trusted").mkdir()
        (tmp_path / f"rejected/{print_}.der").rename(tmp_path / f"trusted/{print_}.der")
        async with connector(tmp_path, port):
            pass
    finally:
        await server.stop()


async def test_a_server_without_the_protection_asked_for_is_refused_not_used_without(tmp_path: Path) -> None:
    server, port = await start_server(Users(), policies=[ua.SecurityPolicyType.NoSecurity])
    try:
        with pytest.raises(ConfigWrong, match="it offers"):
            await connector(tmp_path, port).open()
    finally:
        await server.stop()


async def test_unprotected_and_anonymous_works_where_it_is_asked_for_by_name(tmp_path: Path) -> None:
    server, port = await start_server(policies=[ua.SecurityPolicyType.NoSecurity])
    try:
        async with connector(tmp_path, port, security="none", anonymous=True, username="", password="") as open_:
            batch = await open_.read(["i=2258"])
        assert batch.column("status").to_pylist() == [0]
    finally:
        await server.stop()


async def test_a_server_that_forgot_our_session_gets_a_new_one(tmp_path: Path) -> None:
    from gongshu.testing.cable import Cable
    from gongshu.testing.run import collecting

    server, port = await start_server(Users())
    async with Cable("127.0.0.1", port) as cable:
        found = connector(
            tmp_path, cable.port, trusted_sha256=(fingerprint(server_identity().certificate),),
            nodes=[{"address": "i=2258"}], reconnect_min_s=0.05, reconnect_max_s=0.2, publishing_interval_ms=100,
        )  # fmt: skip
        async with collecting(SPEC, found._config, found) as run:
            await run.until(lambda r: r.counters.read > 2, 20)
            await cable.cut()
            for session in list(server.iserver.subscription_service.subscriptions):
                await server.iserver.subscription_service.delete_subscriptions([session])
            await cable.restore()
            read = run.counters.read
            await run.until(lambda r: r.counters.read > read + 2, 20)
            assert not run.collection.feed.outage_recovered
    await server.stop()

"""One connection to a broker: reached, verified, logged in; messages are acknowledged by hand.

aiomqtt brings paho into the event loop. paho can withhold acknowledgements and aiomqtt does not pass that on, so this
module, and only it, reaches for the paho client inside.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from gongshu.errors import GongshuError
from gongshu.gather.connectors.mqtt.config import MqttConfig, MqttVersion
from gongshu.gather.errors import (
    CertificateUntrusted,
    ConfigWrong,
    EndpointSilent,
    EndpointUnreachable,
    LinkLost,
    LoginRefused,
)

_LOGIN_CODES = {4, 5, 134, 135, 138, 140}
"""Bad user name or password, not authorized (MQTT 3.1.1 §3.2.2.3); the same, banned, bad authentication method (MQTT
5.0 §3.2.2.2)."""
_TOPIC_MAX_BYTES = 65_536
_REFUSED_FROM = 0x80
_NEW_ONLY = 1
"""Retained messages only for a new subscription. Source: MQTT 5.0 §3.8.3.1, Retain Handling."""


@dataclass(frozen=True, slots=True)
class Session:
    """How to be known to the broker."""

    client_id: str
    keep_s: int
    """0: a clean session."""
    will: tuple[str, bytes] | None = None
    """Topic and payload that the broker publishes, retained, when we vanish."""


class _Arrivals(asyncio.Queue[aiomqtt.Message]):
    """Messages that wait. What comes over the bound is not kept: counted, not logged."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self.dropped = 0
        self.received_bytes = 0

    def put_nowait(self, item: aiomqtt.Message) -> None:
        self.received_bytes += len(body_of(item))
        if self.full():
            self.dropped += 1
            return
        super().put_nowait(item)


class BrokerLink:
    """An open connection."""

    def __init__(self, config: MqttConfig, client: aiomqtt.Client, arrivals: _Arrivals) -> None:
        self._config = config
        self._client = client
        self._arrivals = arrivals
        self._is_open = True

    @property
    def last_heard_s(self) -> float | None:
        """When anything last came from the broker, pings included; None while it owes us the answer to one."""
        paho = self._paho
        return None if paho._ping_t else float(paho._last_bytes_received)

    def require_sound(self) -> None:
        """Notice what paho does not: a ping without an answer though bytes flow, and a frame larger than the bound.

        Raises: LinkLost; for either the reader has lost its place in the stream, and only a new connection helps.
        """
        paho = self._paho
        if paho._ping_t and time.monotonic() - paho._ping_t > self._config.timeout_s:
            raise LinkLost(endpoint=self._config.endpoint, reason="no answer to a ping")
        size_bytes = paho._in_packet["remaining_length"]
        if size_bytes > self._config.payload_max_bytes + _TOPIC_MAX_BYTES:
            raise LinkLost(endpoint=self._config.endpoint, reason=f"a frame of {size_bytes} bytes is over the bound")

    @property
    def _paho(self) -> Any:
        return self._client._client

    async def messages(self, at_most: int) -> list[aiomqtt.Message]:
        """Return what waits, at least one message. Raises: LinkLost."""
        with translated(self._config):
            found = [await anext(self._client.messages)]
        while len(found) < at_most and not self._arrivals.empty():
            found.append(self._arrivals.get_nowait())
        return found

    def take_counts(self) -> tuple[int, int]:
        """Return (bytes received, messages dropped) since the last call."""
        counts = self._arrivals.received_bytes, self._arrivals.dropped
        self._arrivals.received_bytes = self._arrivals.dropped = 0
        return counts

    def acknowledge(self, messages: list[tuple[int, int]]) -> None:
        """Tell the broker that these (id, qos) are on disk. Ids of a connection that is gone mean nothing any more."""
        for message_id, qos in messages if self._is_open else ():
            if qos:
                self._paho.ack(message_id, qos)

    async def subscribe(self, filters: list[str]) -> list[str]:
        """Subscribe, and return the filters that the broker refuses. Raises: LinkLost."""
        topics: Any = [(name, self._config.qos) for name in filters]
        if self._config.version is MqttVersion.V5:
            options = SubscribeOptions(qos=self._config.qos, retainHandling=_NEW_ONLY)
            topics = [(name, options) for name in filters]
        with translated(self._config):
            codes = await self._client.subscribe(topics, timeout=self._config.timeout_s)
        _require_going_on()
        return [name for name, code in zip(filters, codes, strict=False) if _code(code) >= _REFUSED_FROM]

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Send one message of the protocol's own talk. Raises: LinkLost."""
        with translated(self._config):
            await self._client.publish(topic, payload, qos=qos, retain=retain, timeout=self._config.timeout_s)
        _require_going_on()

    async def close(self) -> None:
        """Say goodbye if the broker still listens, and drop the connection."""
        self._is_open = False
        with suppress(aiomqtt.MqttError, OSError):
            await self._client.__aexit__(None, None, None)
        await _drop(self._client)


def _require_going_on() -> None:
    """Raise the cancellation that aiomqtt may have lost: before Python 3.12 its `asyncio.wait_for` forgets one that
    comes in the moment of the broker's answer, and a collector that was asked to stop went on for ever."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def connect(config: MqttConfig, session: Session) -> BrokerLink:
    """Return an open connection.

    Raises: EndpointUnreachable, EndpointSilent, LoginRefused, CertificateUntrusted, ConfigWrong.
    """
    with translated(config, opening=True):
        async with asyncio.timeout(config.timeout_s):
            tls = await asyncio.to_thread(_tls, config)
            await _reach(config, tls)
            arrivals = _Arrivals(config.messages_max)
            client = _client(config, session, tls, arrivals)
            # paho connects in a thread that cannot be cancelled: what it opens is closed when it is done.
            entering = asyncio.create_task(client.__aenter__())
            try:
                await asyncio.shield(entering)
            except BaseException:
                await asyncio.gather(entering, return_exceptions=True)
                await _drop(client)
                raise
    return BrokerLink(config, client, arrivals)


@contextmanager
def translated(config: MqttConfig, *, opening: bool = False) -> Iterator[None]:
    """Turn what aiomqtt, TLS and the system raise into our errors, by type and number (E3)."""
    try:
        yield
    except GongshuError:
        raise
    except MqttConnectError as cause:
        code = _code(cause.rc)
        if code in _LOGIN_CODES:
            raise LoginRefused(endpoint=config.endpoint, user=config.login, reason=f"code {code}") from cause
        raise EndpointUnreachable(endpoint=config.endpoint, reason=f"the broker answers with code {code}") from cause
    except ssl.SSLCertVerificationError as cause:
        raise CertificateUntrusted(
            endpoint=config.endpoint,
            reason=cause.verify_message or "it cannot be verified",
            remedy="Set `ca_file` to the authority that signed it, and use the host name it was made for.",
        ) from cause
    except ssl.SSLError as cause:
        # A broker that refuses our certificate, or wants one, ends the handshake with an alert.
        raise CertificateUntrusted(
            endpoint=config.endpoint,
            reason=f"TLS failed ({cause.reason or 'no reason given'})",
            remedy="Check that the port speaks TLS and that the broker knows our `client_certificate`.",
        ) from cause
    except TimeoutError as cause:
        raise _silent(config) from cause
    except aiomqtt.MqttError as cause:
        if isinstance(cause.__context__, TimeoutError):
            raise _silent(config) from cause
        kind = EndpointUnreachable if opening else LinkLost
        raise kind(endpoint=config.endpoint, reason=str(cause)[:200] or "no reason given") from cause
    except OSError as cause:
        kind = EndpointUnreachable if opening else LinkLost
        raise kind(endpoint=config.endpoint, reason=cause.strerror or type(cause).__name__) from cause


def body_of(message: aiomqtt.Message) -> bytes:
    """Return the payload; paho always hands over bytes, its type says that it might be something else."""
    payload: object = message.payload
    return payload if isinstance(payload, bytes) else b""


def _silent(config: MqttConfig) -> EndpointSilent:
    return EndpointSilent(endpoint=config.endpoint, what="in time", timeout_s=config.timeout_s, protocol="MQTT")


def _tls(config: MqttConfig) -> ssl.SSLContext | None:
    try:
        return config.tls_context()
    except (OSError, ssl.SSLError) as cause:
        raise ConfigWrong(what=config.endpoint, field="ca_file", reason="a certificate file cannot be read") from cause


async def _reach(config: MqttConfig, tls: ssl.SSLContext | None) -> None:
    """Connect once without a word: paho connects in a thread, where a failure has no type and cannot be cancelled."""
    server_name = config.host if tls is not None else None
    _, writer = await asyncio.open_connection(config.host, config.port, ssl=tls, server_hostname=server_name)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _client(config: MqttConfig, session: Session, tls: ssl.SSLContext | None, arrivals: _Arrivals) -> aiomqtt.Client:
    keep_alive_s = max(1, min(config.keep_alive_s, int(config.silent_after_s / 3) or config.keep_alive_s))
    fields: dict[str, Any] = {"protocol": aiomqtt.ProtocolVersion.V311, "clean_session": session.keep_s == 0}
    if config.version is MqttVersion.V5:
        properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = session.keep_s
        properties.ReceiveMaximum = config.messages_max
        properties.MaximumPacketSize = config.payload_max_bytes + _TOPIC_MAX_BYTES
        fields = {
            "protocol": aiomqtt.ProtocolVersion.V5,
            "clean_start": session.keep_s == 0,
            "properties": properties,
        }
    client = aiomqtt.Client(
        config.host,
        config.port,
        username=config.username or None,
        password=config.password.get_secret_value() or None,
        identifier=session.client_id,
        keepalive=keep_alive_s,
        timeout=config.timeout_s,
        tls_context=tls,
        will=aiomqtt.Will(*session.will, qos=1, retain=True) if session.will else None,
        queue_type=lambda **_: arrivals,  # type: ignore[arg-type]
        max_queued_incoming_messages=config.messages_max,
        **fields,
    )
    client._client.manual_ack_set(True)
    client._client.connect_timeout = config.timeout_s
    return client


async def _drop(client: aiomqtt.Client) -> None:
    """Close paho's socket whatever state it is in; aiomqtt leaves it open when connecting fails."""
    paho: Any = client._client
    misc = client._misc_task
    paho._sock_close()
    if misc is not None:
        misc.cancel()
        await asyncio.gather(misc, return_exceptions=True)
    for ended in (client._connected, client._disconnected):
        # Nobody else may ask how it ended, and asyncio logs an error that nobody asked for, at some later moment.
        if ended.done() and not ended.cancelled():
            ended.exception()


def _code(code: Any) -> int:
    return int(getattr(code, "value", code))

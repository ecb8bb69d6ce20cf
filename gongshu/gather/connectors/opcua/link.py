"""One connection to a server: discovery, judgement of its certificate, secure channel, session; and back to a session.

asyncua carries the bytes; its own publish loop, reconnecting and health checks are not used, because they lose values
under load (docs/decisions/0015-own-publish-loop.md). Each connection has a new client object.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.crypto import security_policies

from gongshu.errors import GongshuError
from gongshu.gather.connectors.opcua.config import OpcUaConfig, Security
from gongshu.gather.connectors.opcua.endpoints import POLICY_PREFIX, Offer, choose_offer, describe_offers
from gongshu.gather.connectors.opcua.sdk import Client, NodeId, ua
from gongshu.gather.connectors.opcua.trust import (
    OwnCertificate,
    judge_certificate,
    keep_rejected,
    load_certificate,
    read_trusted,
    split_chain,
)
from gongshu.gather.connectors.opcua.variant import SDK_FAULTS
from gongshu.gather.errors import (
    CertificateUntrusted,
    ConfigWrong,
    EndpointSilent,
    EndpointUnreachable,
    LinkLost,
    LoginRefused,
)

_MODES = {
    ua.MessageSecurityMode.SignAndEncrypt: Security.SIGN_AND_ENCRYPT,
    ua.MessageSecurityMode.Sign: Security.SIGN,
    ua.MessageSecurityMode.None_: Security.NONE,
}
_POLICY_CLASSES: dict[str, Any] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_TOKENS = {
    ua.UserTokenType.Anonymous: "anonymous",
    ua.UserTokenType.UserName: "username",
    ua.UserTokenType.Certificate: "certificate",
}
_LOGIN_CODES = {
    ua.StatusCodes.BadUserAccessDenied,
    ua.StatusCodes.BadIdentityTokenRejected,
    ua.StatusCodes.BadIdentityTokenInvalid,
    ua.StatusCodes.BadUserSignatureInvalid,
}
_CERTIFICATE_CODES = {
    ua.StatusCodes.BadSecurityChecksFailed,
    ua.StatusCodes.BadCertificateUntrusted,
    ua.StatusCodes.BadCertificateInvalid,
    ua.StatusCodes.BadCertificateTimeInvalid,
    ua.StatusCodes.BadCertificateUseNotAllowed,
    ua.StatusCodes.BadCertificateUriInvalid,
    ua.StatusCodes.BadCertificateHostNameInvalid,
    ua.StatusCodes.BadCertificateRevoked,
    ua.StatusCodes.BadCertificateChainIncomplete,
}


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What it takes to come back to a session that the server still holds. Source: OPC 10000-4 §5.6.3."""

    token: NodeId
    nonce: bytes | None
    policies: tuple[Any, ...]
    offer: Offer


class _Protocol(UASocketProtocol):
    """asyncua's, with a bound on what one answer may hold, and a count of the bytes."""

    def __init__(self, *args: Any, message_max_bytes: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._message_max_bytes = message_max_bytes
        self.received_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        waiting = len(self.receive_buffer or b"") + self._connection._incoming_size
        if waiting + len(data) > self._message_max_bytes and self.transport is not None:
            self.transport.abort()
            return
        super().data_received(data)


class _Transport(UaClient):
    def __init__(self, timeout_s: float, message_max_bytes: int) -> None:
        super().__init__(timeout_s)
        self._message_max_bytes = message_max_bytes

    def _make_protocol(self) -> UASocketProtocol:
        self.protocol = _Protocol(
            self._timeout, security_policy=self.security_policy, message_max_bytes=self._message_max_bytes
        )
        self.protocol.on_connection_lost = self._on_transport_lost
        self.protocol.is_session_closing = self._is_session_closing
        return self.protocol


class Link:
    """An open session. `send` is for what asyncua should not decode; `session` for all else."""

    def __init__(self, config: OpcUaConfig, client: Any, offer: Offer, *, resumed: bool) -> None:
        self._config = config
        self._client = client
        self.offer = offer
        self.resumed = resumed
        """True if the server still had our session, and with it subscriptions and queues."""

    @property
    def session(self) -> Any:
        """asyncua's session: browse, read, create items."""
        return self._client.uaclient.session

    @property
    def received_bytes(self) -> int:
        """Bytes that came over this connection so far."""
        protocol = self._client.uaclient.protocol
        return protocol.received_bytes if protocol is not None else 0

    @property
    def key(self) -> SessionKey:
        """What to keep for coming back."""
        client = self._client
        return SessionKey(
            self.session.authentication_token, client._server_nonce, tuple(client._policy_ids), self.offer
        )

    async def send(self, request: Any, *, timeout_s: float | None = None) -> bytes:
        """Send a request and return the undecoded answer, which is no service fault; `timeout_s` 0 waits for ever.

        Raises: asyncua's errors and OSError: call within `translated`.
        """
        protocol = self._client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("not connected")
        return bytes(await protocol.send_request(request, timeout=timeout_s))

    async def keep_renewed(self) -> None:
        """Renew the channel's keys at three quarters of their life, until cancelled. Source: OPC 10000-4 §5.5.2."""
        while True:
            await asyncio.sleep(self._client.secure_channel_timeout * 0.75 / 1000)
            await self._client.open_secure_channel(renew=True)
            self._client.uaclient.revolve_security_token()

    async def namespaces(self) -> list[str]:
        """Return the server's namespace table, by index."""
        (value,) = await self.session.read_attributes([ua.NodeId(2255)], ua.AttributeIds.Value)
        return [str(uri) for uri in value.Value.Value or []]

    async def close(self, *, keep_session: bool) -> None:
        """End the connection. With `keep_session` the server holds session and queues until they time out."""
        uaclient = self._client.uaclient
        if not keep_session and uaclient.protocol is not None and not uaclient.protocol.is_closed:
            with suppress(*SDK_FAULTS, OSError, TimeoutError):
                await uaclient.close_session(True)
            with suppress(*SDK_FAULTS, OSError, TimeoutError):
                await uaclient.close_secure_channel()
        _abort(self._client)


async def connect(
    config: OpcUaConfig, own: OwnCertificate | None, folder: Path, now: datetime, kept: SessionKey | None
) -> Link:
    """Return an open session, the old one if the server still has it.

    Raises: EndpointUnreachable, EndpointSilent, LoginRefused, CertificateUntrusted, ConfigWrong.
    """
    # asyncua logs each fault that it also raises; what is worth a line, the collector says once.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    with translated(config, opening=True):
        async with asyncio.timeout(config.timeout_s):
            if kept is not None and (resumed := await _resumed(config, own, kept)) is not None:
                return resumed
            offer = await _judged_offer(config, folder, now)
            client = _client(config, own, offer)
            try:
                await _channel(client)
                await client.create_session()
                client._policy_ids = [policy for policy in client._policy_ids if _protected(policy, offer)]
                await _activate(client, config)
            except BaseException:
                _abort(client)
                raise
            return Link(config, client, offer, resumed=False)


async def _resumed(config: OpcUaConfig, own: OwnCertificate | None, kept: SessionKey) -> Link | None:
    """Return the session of before on a new channel, or None if the server will not have it, however it says so.

    Raises: OSError if nothing answers: the session may still be there later.
    """
    client = _client(config, own, kept.offer)
    try:
        try:
            await _channel(client)
        except ua.UaError:  # its certificate may be another one now
            _abort(client)
            return None
        client.uaclient.session.restore_authentication_token(kept.token)
        client._server_nonce, client._policy_ids = kept.nonce, list(kept.policies)
        try:
            await _activate(client, config)
        except (*SDK_FAULTS, OSError):
            _abort(client)
            return None
    except BaseException:
        _abort(client)
        raise
    return Link(config, client, kept.offer, resumed=True)


@contextmanager
def translated(config: OpcUaConfig, *, opening: bool = False) -> Iterator[None]:
    """Turn what asyncua and the system raise into our errors, by number and type (E3)."""
    try:
        yield
    except GongshuError:
        raise
    except TimeoutError as cause:
        raise EndpointSilent(
            endpoint=config.endpoint, what="in time", timeout_s=config.timeout_s, protocol="OPC UA"
        ) from cause
    except ua.UaStatusCodeError as cause:
        raise _of_status(config, cause.code, opening=opening) from cause
    except OSError as cause:
        raise _gone(config, cause.strerror or str(cause) or type(cause).__name__, opening=opening) from cause
    except SDK_FAULTS as cause:
        raise _gone(config, f"{type(cause).__name__}: {cause}"[:300], opening=opening) from cause


def _of_status(config: OpcUaConfig, code: int, *, opening: bool) -> GongshuError:
    name = ua.status_codes.get_name_and_doc(code)[0]
    if code in _LOGIN_CODES:
        return LoginRefused(endpoint=config.endpoint, user=config.login, reason=name)
    if code in _CERTIFICATE_CODES:
        return CertificateUntrusted(
            endpoint=config.endpoint,
            reason=f"the server refuses ours ({name})",
            remedy="Have the server trust own/certificate.der in the source's folder.",
        )
    return _gone(config, name, opening=opening)


def _gone(config: OpcUaConfig, reason: str, *, opening: bool) -> GongshuError:
    return (EndpointUnreachable if opening else LinkLost)(endpoint=config.endpoint, reason=reason)


async def _judged_offer(config: OpcUaConfig, folder: Path, now: datetime) -> Offer:
    """Ask for the endpoints, choose, and judge the certificate, before anything of ours is sent."""
    finder = _bare_client(config)
    try:
        await _channel(finder)
        offers = [_offer(endpoint) for endpoint in await finder.get_endpoints()]
    finally:
        _abort(finder)
    login = "anonymous" if config.anonymous else "username" if config.username else "certificate"
    offer = choose_offer(offers, config.security, login)
    if offer is None:
        raise ConfigWrong(
            what=config.endpoint,
            field="security",
            reason=f"the server has no endpoint with {config.security.value} and login by {login}; it offers: "
            f"{describe_offers(offers)}",
        )
    if offer.mode is not Security.NONE:
        judgement = judge_certificate(
            offer.certificate,
            host=urlsplit(config.url).hostname or "",
            application_uri=offer.application_uri,
            now=now,
            pinned=config.trusted_sha256,
            trusted=read_trusted(folder),
            check_host=config.check_host,
        )
        if not judgement.accepted:
            keep_rejected(folder, offer.certificate)
            raise CertificateUntrusted(endpoint=config.endpoint, reason=judgement.reason, remedy=judgement.remedy)
    return offer


def _offer(endpoint: Any) -> Offer:
    offer = Offer(
        _MODES.get(endpoint.SecurityMode, Security.NONE),
        str(endpoint.SecurityPolicyUri or "").removeprefix(POLICY_PREFIX),
        frozenset(),
        endpoint.ServerCertificate or b"",
        str(endpoint.Server.ApplicationUri or ""),
    )
    logins = {
        _TOKENS[p.TokenType]
        for p in endpoint.UserIdentityTokens or ()
        if p.TokenType in _TOKENS and _protected(p, offer)
    }
    return Offer(offer.mode, offer.policy, frozenset(logins), offer.certificate, offer.application_uri)


def _protected(policy: Any, offer: Offer) -> bool:
    """False for a password that would go over the wire readable."""
    if policy.TokenType != ua.UserTokenType.UserName or offer.mode is Security.SIGN_AND_ENCRYPT:
        return True
    token_policy = str(policy.SecurityPolicyUri or "").removeprefix(POLICY_PREFIX) or offer.policy
    return token_policy in _POLICY_CLASSES


def _bare_client(config: OpcUaConfig) -> Any:
    client = Client(config.url, timeout=config.timeout_s)
    client.uaclient = _Transport(config.timeout_s, config.message_max_bytes)
    client.session_timeout = int(config.session_keep_s * 1000)
    client.name = client.description = "Gongshu"
    return client


def _client(config: OpcUaConfig, own: OwnCertificate | None, offer: Offer) -> Any:
    client = _bare_client(config)
    if own is not None and offer.mode is not Security.NONE:
        client.application_uri = own.application_uri
        mode = {value: key for key, value in _MODES.items()}[offer.mode]
        server = split_chain(offer.certificate)[0]
        policy = _POLICY_CLASSES[offer.policy](server, own.certificate, own.key, mode)
        client.security_policy = policy
        client.uaclient.set_security(policy)
    return client


async def _channel(client: Any) -> None:
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()


async def _activate(client: Any, config: OpcUaConfig) -> None:
    certificate = None
    if config.user_certificate:
        certificate, client.user_private_key = await asyncio.to_thread(_user_identity, config)
    await client.activate_session(
        username=config.username or None,
        password=config.password.get_secret_value() or None,
        certificate=certificate,
    )


def _user_identity(config: OpcUaConfig) -> tuple[Any, Any]:
    from cryptography.hazmat.primitives import serialization

    try:
        certificate = load_certificate(Path(config.user_certificate).read_bytes())
        content = Path(config.user_key).read_bytes()
        load = (
            serialization.load_pem_private_key
            if content.lstrip().startswith(b"-----")
            else serialization.load_der_private_key
        )
        return certificate, load(content, None)
    except (OSError, ValueError, TypeError) as cause:
        raise ConfigWrong(
            what=config.endpoint, field="user_certificate", reason="certificate or key cannot be read"
        ) from cause


def _abort(client: Any) -> None:
    """Drop the socket now; nothing is waited for."""
    protocol = client.uaclient.protocol
    if protocol is not None:
        transport = protocol.transport
        protocol._fail_all_pending(ConnectionError("closed"))
        if transport is not None:
            transport.abort()
    client.uaclient.disconnect_socket()

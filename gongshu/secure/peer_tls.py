"""TLS between nodes: what we show, whom we believe. There is no way to switch verification off.

A partner's certificate is believed because it is registered (pinned), or because an authority named in the
configuration vouches for it. Which party a certificate stands for is decided elsewhere (`peer_mtls`).

Source: decision 0059.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gongshu.secure.errors import CertificateUnusable
from gongshu.secure.reach import Network


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The files of TLS; none means that this node serves plain HTTP behind a proxy, and shows no certificate."""

    certificate: Path | None = None
    """Our certificate with its intermediates, PEM."""
    key: Path | None = None
    partner_ca: Path | None = None
    """Certificates of the authorities whose partner certificates we take, PEM; none: only pinned certificates."""
    inside: tuple[Network, ...] = ()
    """Networks of our own in which parties that came by trust lists may lie."""

    def own_certificate(self) -> str:
        """Return our own certificate in PEM, without its intermediates; empty without TLS.

        Raises: CertificateUnusable.
        """
        if self.certificate is None:
            return ""
        return ssl.DER_cert_to_PEM_cert(_read_der(self.certificate)[0])

    def authorities(self) -> list[x509.Certificate]:
        """Return the certificates of the authorities we take.

        Raises: CertificateUnusable.
        """
        return [] if self.partner_ca is None else _read_certificates(self.partner_ca)


class _PinnedSocket(ssl.SSLSocket):
    """A connection that ends in the handshake unless the far side shows the one certificate of its context."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        assert isinstance(self.context, _PinnedContext)
        shown = self.getpeercert(binary_form=True) or b""
        if f"sha256:{sha256(shown).hexdigest()}" != self.context.pin:
            raise ssl.SSLCertVerificationError("the certificate is not the registered one")


class _PinnedContext(ssl.SSLContext):
    sslsocket_class = _PinnedSocket
    pin = ""


def client_context(tls: TlsSettings, *, certificate: str = "", pin: str = "") -> ssl.SSLContext:
    """Return how we call another node: our certificate is shown if we have one, theirs is always verified.

    `certificate` is what is registered for it (PEM or fingerprint), `pin` its fingerprint; both empty: an authority of
    the configuration, else one of the machine's, has to vouch for the host name.

    Raises: CertificateUnusable.
    """
    context = _PinnedContext(ssl.PROTOCOL_TLS_CLIENT) if pin else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    is_whole = pin != "" and certificate != pin
    if is_whole:
        # The certificate itself is the root; its names do not matter, because it is the only one that passes.
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=certificate)
    elif tls.partner_ca is not None:
        _load_authorities(context, tls.partner_ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if isinstance(context, _PinnedContext):
        context.pin = pin
    _show_own(context, tls)
    return context


def server_context(tls: TlsSettings, pinned: Callable[[], Iterable[str]]) -> ssl.SSLContext:
    """Return how other nodes and browsers reach us; a certificate of theirs is asked for, and verified if shown.

    `pinned` gives the registered certificates in PEM; it is asked at each handshake, so that a party registered while
    the node runs can come at once. Raises: CertificateUnusable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _show_own(context, tls)
    if tls.partner_ca is not None:
        _load_authorities(context, tls.partner_ca)
    loaded: set[str] = set()

    def refresh(_socket: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Take in what was registered since; what was removed is refused later, by the party that it no longer is."""
        for certificate in set(pinned()) - loaded:
            loaded.add(certificate)
            # One party's odd certificate must not keep all others out; that party's own handshake fails.
            with suppress(ssl.SSLError):
                context.load_verify_locations(cadata=certificate)

    context.sni_callback = refresh
    return context


def pin_of(certificate: str) -> str:
    """Return `sha256:<hex>` of a certificate in PEM; empty for none."""
    return f"sha256:{sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()}" if certificate else ""


def is_self_signed(certificate: str) -> bool:
    """True if a certificate (PEM) names itself as its issuer, so that only who registers it can take it."""
    if not certificate:
        return False
    read = x509.load_pem_x509_certificate(certificate.encode())
    return read.issuer == read.subject


def peer_certificate(scope: Mapping[str, Any]) -> bytes | None:
    """Return the certificate (DER) that the other side showed in TLS; None if it showed none or TLS ends elsewhere.

    Source: ASGI TLS extension 0.2, `client_cert_chain`.
    """
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain") or ()
    return ssl.PEM_cert_to_DER_cert(chain[0]) if chain else None


def _show_own(context: ssl.SSLContext, tls: TlsSettings) -> None:
    if tls.certificate is None:
        return
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ValueError) as cause:
        raise CertificateUnusable(path=tls.certificate, reason=f"with the key {tls.key}: {_said(cause)}") from cause


def _load_authorities(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except OSError as cause:
        raise CertificateUnusable(path=file, reason=_said(cause)) from cause


def _read_certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as cause:
        raise CertificateUnusable(path=file, reason=_said(cause)) from cause


def _read_der(file: Path) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in _read_certificates(file)]


def _said(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or str(cause)[:200] or type(cause).__name__

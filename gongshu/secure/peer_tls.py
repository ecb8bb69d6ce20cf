"""Where this node's own certificate lies and whose certificates it takes, as the configuration has it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The files of TLS; none means that this node serves plain HTTP behind a proxy, and shows no certificate."""

    certificate: Path | None = None
    """Our certificate with its intermediates, PEM."""
    key: Path | None = None
    partner_ca: Path | None = None
    """Certificates of the authorities whose partner certificates we take, PEM; none: only pinned certificates."""


def peer_certificate(scope: Mapping[str, Any]) -> bytes | None:
    """Return the certificate (DER) that the other side showed in TLS; None if it showed none or TLS ends elsewhere.

    Source: ASGI TLS extension 0.2, `client_cert_chain`.
    """
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain") or ()
    return ssl.PEM_cert_to_DER_cert(chain[0]) if chain else None

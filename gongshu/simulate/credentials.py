"""Keys, certificate and login of the plant's OPC UA server, made once in its folder and kept."""

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

APPLICATION_URI = "urn:gongshu:synthetic:plant-67:opcua"
USER_NAME = "collector"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Paths of what a client needs to be let in."""

    certificate: Path
    """DER."""
    private_key: Path
    """PEM, readable by its owner alone."""
    user_file: Path
    """JSON with `user` and `password`, readable by its owner alone."""

    def login(self) -> tuple[str, str]:
        """Return user and password."""
        content = json.loads(self.user_file.read_text(encoding="utf-8"))
        return content["user"], content["password"]


def ensure_credentials(folder: Path, *, now: datetime | None = None) -> Credentials:
    """Return the folder's credentials, making those that are missing.

    Cost: an RSA key of 2048 bits takes some tenths of a second, once.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Credentials(folder / "server-cert.der", folder / "server-key.pem", folder / "user.json")
    if not (made.certificate.is_file() and made.private_key.is_file()):
        _write_certificate(made, now or datetime.now(UTC))
    if not made.user_file.is_file():
        login = {"user": USER_NAME, "password": secrets.token_urlsafe(18)}
        _write_private(made.user_file, json.dumps(login).encode())
    return made


def _write_certificate(made: Credentials, now: datetime) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Gongshu synthetic plant OPC UA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Gongshu synthetic"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    names = [
        x509.UniformResourceIdentifier(APPLICATION_URI),
        x509.DNSName("localhost"),
        x509.IPAddress(IPv4Address("127.0.0.1")),
    ]
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write_private(made.private_key, pem)
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.DER))


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)

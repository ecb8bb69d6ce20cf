"""Certificates for tests, made on the spot: self-signed ones, and those of an authority."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gongshu.secure.peer_tls import TlsSettings

DAY = timedelta(days=1)


class Issued:
    """A certificate and its key."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate, self.key = certificate, key

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pin(self) -> str:
        return "sha256:" + self.certificate.fingerprint(hashes.SHA256()).hex()

    def settings(self, folder: Path, *, partner_ca: "Issued | None" = None) -> TlsSettings:
        """Write the files that a node is configured with."""
        folder.mkdir(exist_ok=True)
        certificate, key, authority = folder / "tls.pem", folder / "tls.key", folder / "ca.pem"
        certificate.write_text(self.pem)
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key.chmod(0o600)
        if partner_ca is not None:
            authority.write_text(partner_ca.pem)
        return TlsSettings(certificate, key, authority if partner_ca else None)


def issue(
    name: str,
    *,
    by: Issued | None = None,
    party: str = "",
    authority: bool = False,
    host: str = "127.0.0.1",
    begins: timedelta = -DAY,
    ends: timedelta = DAY,
    now: datetime | None = None,
) -> Issued:
    """Return a new certificate, self-signed unless an authority signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.IPAddress(ip_address(host))]
    if party:
        names.append(x509.UniformResourceIdentifier(party))
    at = now or datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at + begins)
        .not_valid_after(at + ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((by.key if by else key).public_key()), critical=False
        )
    )
    return Issued(built.sign(by.key if by else key, hashes.SHA256()), key)

"""Certificates: ours, made once for each source; and the server's, judged before anything secret is sent.

Source: OPC 10000-4 §6.1.3 (determining if a certificate is trusted), Table 100; OPC 10000-6 §6.2.2 (content).
"""

import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY_BITS = 3072
KEY_BITS_MIN = 2048
"""Basic256Sha256 asks for 2048 to 4096 bits. Source: OPC 10000-7, SecurityPolicy Basic256Sha256."""
VALID = timedelta(days=5 * 365)
OWN, TRUSTED, REJECTED = "own", "trusted", "rejected"


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """Who we are to a server."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def application_uri(self) -> str:
        """The URI that the certificate was made for; a server refuses a session that names another."""
        return _alternative_names(self.certificate)[1][0]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a server's certificate is accepted, and if not, why and what to do."""

    reason: str = ""
    remedy: str = ""

    @property
    def accepted(self) -> bool:
        """True if nothing speaks against it."""
        return not self.reason


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate as 64 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def judge_certificate(
    der: bytes, *, host: str, application_uri: str, now: datetime, pinned: Sequence[str],
    trusted: Sequence[x509.Certificate], check_host: bool,
) -> Judgement:  # fmt: skip
    """Judge the certificate that a server shows, chain included; pure.

    Known means: its fingerprint is pinned, or it or its issuer is among the trusted ones. Known is not enough: it must
    be in its time, long enough, and made for this host and this application.
    """
    try:
        chain = split_chain(der)
        certificate = chain[0]
        key = certificate.public_key()
    except (ValueError, IndexError, TypeError):
        return Judgement("it cannot be read", "Have the server show a valid certificate.")
    print_ = fingerprint(certificate)
    if not _is_known(certificate, chain[1:], print_, pinned, trusted, now):
        return Judgement(
            f"it is unknown (SHA-256 {print_})",
            "Compare this fingerprint with the one the device shows. If they agree, add it to `trusted_sha256`, or "
            f"move {REJECTED}/{print_}.der to {TRUSTED}/ in the source's folder.",
        )
    if now > certificate.not_valid_after_utc:
        return Judgement(f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d}", "Renew it on the server.")
    if now < certificate.not_valid_before_utc:
        return Judgement(
            f"it is valid only from {certificate.not_valid_before_utc:%Y-%m-%d}", "Check the clocks of both sides."
        )
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        return Judgement(f"its key is not RSA of {KEY_BITS_MIN} bits or more", "Renew it on the server.")
    names, uris = _alternative_names(certificate)
    if application_uri not in uris:
        return Judgement(
            f"it is made for the application {', '.join(uris) or 'nobody'}, but the server calls itself "
            f"{application_uri}",
            "Have the server make a certificate for its own application URI.",
        )
    if check_host and not _names_host(names, host):
        return Judgement(
            f"it is made for {', '.join(names) or 'no host'}, not for {host}",
            "Use the address it was made for, or set `check_host = false` if you have made sure of the device.",
        )
    return Judgement()


def split_chain(der: bytes) -> list[x509.Certificate]:
    """Return the certificates of a chain, the server's own first. Raises: ValueError."""
    chain, at = [], 0
    while at < len(der):
        if der[at] != 0x30 or at + 4 > len(der):
            raise ValueError("not a DER certificate")
        first = der[at + 1]
        width = first & 0x7F if first >= 0x80 else 0
        length = int.from_bytes(der[at + 2 : at + 2 + width], "big") if width else first
        behind = at + 2 + width + length
        chain.append(x509.load_der_x509_certificate(der[at:behind]))
        at = behind
    return chain


def read_trusted(folder: Path) -> list[x509.Certificate]:
    """Return the certificates in `trusted/`, PEM or DER; a file that is neither is passed over."""
    found = []
    for file in sorted((folder / TRUSTED).glob("*")):
        try:
            found.append(load_certificate(file.read_bytes()))
        except (ValueError, OSError):
            continue
    return found


def load_certificate(content: bytes) -> x509.Certificate:
    """Return a certificate from PEM or DER. Raises: ValueError."""
    if content.lstrip().startswith(b"-----"):
        return x509.load_pem_x509_certificate(content)
    return x509.load_der_x509_certificate(content)


def keep_rejected(folder: Path, der: bytes) -> None:
    """Write a refused certificate to `rejected/`, named by its fingerprint, so that a person can look at it."""
    try:
        certificate = split_chain(der)[0]
    except (ValueError, IndexError):
        return
    place = folder / REJECTED
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{fingerprint(certificate)}.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))


def own_certificate(folder: Path, application_uri: str, now: datetime) -> OwnCertificate:
    """Return our certificate and key from `own/`; made anew if missing, expired, or for another application URI."""
    place = folder / OWN
    key_file, certificate_file = place / "key.pem", place / "certificate.der"
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        certificate = x509.load_der_x509_certificate(certificate_file.read_bytes())
        _, uris = _alternative_names(certificate)
        if isinstance(key, rsa.RSAPrivateKey) and application_uri in uris and now < certificate.not_valid_after_utc:
            return OwnCertificate(certificate, key)
    except (FileNotFoundError, ValueError):
        pass
    made = make_certificate(application_uri, hosts=(socket.gethostname(),), now=now)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    certificate_file.write_bytes(made.certificate.public_bytes(serialization.Encoding.DER))
    return made


def make_certificate(
    application_uri: str, *, hosts: Sequence[str], now: datetime, valid: timedelta = VALID, key_bits: int = KEY_BITS
) -> OwnCertificate:
    """Return a new self-signed application instance certificate. Source: OPC 10000-6 §6.2.2, Table 43."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=key_bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gongshu OPC UA client")])
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(application_uri)]
    names += [_general_name(host) for host in hosts]
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return OwnCertificate(builder.sign(key, hashes.SHA256()), key)


def _is_known(
    certificate: x509.Certificate, chain: Sequence[x509.Certificate], print_: str, pinned: Sequence[str],
    trusted: Sequence[x509.Certificate], now: datetime,
) -> bool:  # fmt: skip
    if print_ in pinned or any(print_ == fingerprint(known) for known in trusted):
        return True
    current, waiting = certificate, list(chain)
    for _ in range(len(waiting) + 1):
        if any(_issued(current, authority, now) for authority in trusted):
            return True
        step = next((link for link in waiting if _issued(current, link, now)), None)
        if step is None:
            return False
        waiting.remove(step)
        current = step
    return False


def _issued(certificate: x509.Certificate, authority: x509.Certificate, now: datetime) -> bool:
    """True if the authority, itself in its time and allowed to, signed the certificate."""
    try:
        may_sign = authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        certificate.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return may_sign and authority.not_valid_before_utc <= now <= authority.not_valid_after_utc


def _alternative_names(certificate: x509.Certificate) -> tuple[list[str], list[str]]:
    """Return (hosts, application URIs) that the certificate names."""
    try:
        value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return [], []
    hosts = [name.lower() for name in value.get_values_for_type(x509.DNSName)]
    hosts += [str(address) for address in value.get_values_for_type(x509.IPAddress)]
    return hosts, value.get_values_for_type(x509.UniformResourceIdentifier)


def _names_host(names: Sequence[str], host: str) -> bool:
    return host.lower() in names


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

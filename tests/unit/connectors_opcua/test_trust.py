"""Which server certificates are accepted."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from gongshu.gather.connectors.opcua.trust import (
    OwnCertificate,
    fingerprint,
    judge_certificate,
    keep_rejected,
    make_certificate,
    own_certificate,
    read_trusted,
)

NOW = datetime(2026, 11, 2, tzinfo=UTC)
APPLICATION = "urn:server"


@lru_cache
def server() -> OwnCertificate:
    return make_certificate(APPLICATION, hosts=("10.0.0.1", "plc-1"), now=NOW, key_bits=2048)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def judge(certificate: bytes, **changes: Any) -> str:
    fields: dict[str, Any] = {
        "host": "10.0.0.1", "application_uri": APPLICATION, "now": NOW, "trusted": (), "check_host": True,
        "pinned": (fingerprint(server().certificate),),
    }  # fmt: skip
    return judge_certificate(certificate, **(fields | changes)).reason


def test_a_pinned_certificate_in_its_time_for_its_host_is_accepted() -> None:
    assert judge(der(server().certificate)) == ""
    assert judge(der(server().certificate), host="PLC-1") == ""


def test_an_unknown_one_is_refused_with_its_fingerprint_and_what_to_do() -> None:
    judgement = judge_certificate(
        der(server().certificate), host="10.0.0.1", application_uri=APPLICATION, now=NOW, pinned=(), trusted=(),
        check_host=True,
    )  # fmt: skip
    assert fingerprint(server().certificate) in judgement.reason
    assert "trusted_sha256" in judgement.remedy


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"now": NOW + timedelta(days=6 * 365)}, "expired"),
        ({"now": NOW - timedelta(days=1)}, "valid only from"),
        ({"host": "10.0.0.2"}, "made for"),
        ({"application_uri": "urn:other"}, "application"),
        ({"pinned": ("0" * 64,)}, "unknown"),
    ],
)
def test_known_is_not_enough(changes: dict[str, Any], word: str) -> None:
    assert word in judge(der(server().certificate), **changes)


def test_a_host_that_is_not_checked_may_differ() -> None:
    assert judge(der(server().certificate), host="other", check_host=False) == ""


@pytest.mark.parametrize("garbage", [b"", b"\x30", b"\x30\x82\xff\xff", b"nonsense" * 20])
def test_what_is_no_certificate_is_refused(garbage: bytes) -> None:
    assert judge(garbage) == "it cannot be read"


@lru_cache
def authority() -> OwnCertificate:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plant CA")])
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=100))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return OwnCertificate(built, key)


def issued() -> x509.Certificate:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(APPLICATION), x509.DNSName("10.0.0.1")]
    return (
        x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plc")]))
        .issuer_name(authority().certificate.subject).public_key(key.public_key()).serial_number(2)
        .not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=50))
        .add_extension(x509.SubjectAlternativeName(names), critical=False).sign(authority().key, hashes.SHA256())
    )  # fmt: skip


def test_one_that_a_trusted_authority_issued_is_accepted_and_an_impostors_is_not() -> None:
    chain = der(issued()) + der(authority().certificate)
    assert judge(chain, pinned=(), trusted=(authority().certificate,)) == ""
    assert judge(der(issued()), pinned=(), trusted=(authority().certificate,)) == ""
    assert "unknown" in judge(chain, pinned=(), trusted=(server().certificate,))
    assert "unknown" in judge(chain, pinned=())


def test_an_expired_authority_vouches_for_nobody() -> None:
    later = NOW + timedelta(days=101)
    assert "unknown" in judge(der(issued()), pinned=(), trusted=(authority().certificate,), now=later)


def test_a_rejected_one_can_be_trusted_by_moving_its_file(tmp_path: Path) -> None:
    keep_rejected(tmp_path, der(server().certificate))
    (file,) = (tmp_path / "rejected").iterdir()
    (tmp_path / "trusted").mkdir()
    file.rename(tmp_path / "trusted" / file.name)
    (tmp_path / "trusted" / "notes.txt").write_text("no certificate")
    assert judge(der(server().certificate), pinned=(), trusted=read_trusted(tmp_path)) == ""


def test_our_own_is_kept_private_and_made_anew_only_when_it_must(tmp_path: Path) -> None:
    first = own_certificate(tmp_path, "urn:us", NOW)
    assert (tmp_path / "own/key.pem").stat().st_mode & 0o777 == 0o600
    assert first.application_uri == "urn:us"
    assert own_certificate(tmp_path, "urn:us", NOW).certificate == first.certificate
    renewed = own_certificate(tmp_path, "urn:us", NOW + timedelta(days=6 * 365)).certificate
    assert renewed != first.certificate
    assert own_certificate(tmp_path, "urn:moved", NOW + timedelta(days=6 * 365)).application_uri == "urn:moved"

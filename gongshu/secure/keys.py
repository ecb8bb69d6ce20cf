"""The node's own keys: one Ed25519 pair that signs, one secret from which further secrets are derived; and a P-256 pair
for tokens of the Decentralized Claims Protocol, made when that is first used.

Files lie in a folder of mode 0700 with mode 0600; wider modes are refused, because whoever reads the key can speak for
the organisation. Rotation is not offered yet: a new folder is a new identity, which every partner has to register.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gongshu.secure.errors import KeysDamaged, KeysUnsafe

SIGNING_FILE = "node.pem"
SECRET_FILE = "secret.bin"  # noqa: S105  a file's name
WEB_FILE = "web.pem"
SECRET_SIZE_BYTES = 32


class KeyStore:
    """The keys in one folder; missing ones are made, by one process only when several open it at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_mode(folder, 0o700)
        self._folder = folder
        pem = _read_or_make(folder / SIGNING_FILE, _new_signing_key)
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except ValueError as cause:
            raise KeysDamaged(path=folder / SIGNING_FILE) from cause
        if not isinstance(key, Ed25519PrivateKey):
            raise KeysDamaged(path=folder / SIGNING_FILE)
        self._key = key
        self._fingerprint = fingerprint_of(key.public_key())
        self._secret = _read_or_make(folder / SECRET_FILE, lambda: secrets.token_bytes(SECRET_SIZE_BYTES))
        if len(self._secret) != SECRET_SIZE_BYTES:
            raise KeysDamaged(path=folder / SECRET_FILE)

    @property
    def folder(self) -> Path:
        """Where the keys lie."""
        return self._folder

    def public_key(self) -> Ed25519PublicKey:
        """Return the public half of the node key."""
        return self._key.public_key()

    def public_key_raw(self) -> bytes:
        """Return the public key's 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def public_key_pem(self) -> str:
        """Return the public key as partners register it (PEM, SubjectPublicKeyInfo)."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(encoding, form).decode("ascii")

    def fingerprint(self) -> str:
        """Return `sha256:<hex>` of the public key; people compare it over another channel."""
        return self._fingerprint

    def sign(self, payload: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over the payload. Callers put a domain name in front of it."""
        return self._key.sign(payload)

    def web_key(self) -> EllipticCurvePrivateKey:
        """Return the P-256 key for tokens that other makers' software has to verify; it is made at first use.

        Raises: KeysDamaged, KeysUnsafe.
        """
        path = self._folder / WEB_FILE
        try:
            key = serialization.load_pem_private_key(_read_or_make(path, _new_web_key), password=None)
        except ValueError as cause:
            raise KeysDamaged(path=path) from cause
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise KeysDamaged(path=path)
        return key

    def derived_secret(self, purpose: str) -> bytes:
        """Return 32 secret bytes that belong to this node and purpose; the same purpose gives the same bytes.

        Source: RFC 5869 (HKDF-SHA256).
        """
        return HKDF(hashes.SHA256(), length=32, salt=None, info=purpose.encode()).derive(self._secret)


def fingerprint_of(key: Ed25519PublicKey) -> str:
    """Return `sha256:<hex>` over the key's DER form, as `openssl pkey -pubin -outform DER | sha256sum` prints it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return "sha256:" + hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _new_web_key() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    if not path.exists():
        partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(partial, path)
        partial.unlink()
    _require_mode(path, 0o600)
    return path.read_bytes()


def require_private(path: Path) -> None:
    """Raise KeysUnsafe if others on this machine can read the file of a private key."""
    _require_mode(path, 0o600)


def _require_mode(path: Path, expected: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~expected:
        raise KeysUnsafe(path=path, mode=f"{mode:04o}", expected=f"{expected:04o}")

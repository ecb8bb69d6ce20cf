"""Signed checkpoints in the text form of transparency logs, readable by their tools.

Source: C2SP tlog-checkpoint and signed-note (2024): origin, size, base64 root, extension lines, a blank line, then
`— <name> <base64(4-byte key id ‖ Ed25519 signature)>`. Our extension lines are the checkpoint's number and its time.
"""

import base64
import hashlib
from datetime import datetime

from gongshu.secure.audit.leaf import encode_time
from gongshu.secure.keys import KeyStore

RECORD_DOMAIN = b"gongshu-audit-record-v1\n"
ALGORITHM_ED25519 = b"\x01"


def encode_checkpoint(origin: str, size: int, root: bytes, number: int, at: datetime) -> str:
    """Return the text that is signed; it ends with a line feed."""
    head = f"{origin}\n{size}\n{base64.b64encode(root).decode('ascii')}\n"
    return f"{head}number {number}\ntime {encode_time(at)}\n"


def sign_checkpoint(text: str, origin: str, keys: KeyStore) -> str:
    """Return the whole note: the text, a blank line, the signature line."""
    signed = key_id(origin, keys.public_key_raw()) + keys.sign(text.encode("utf-8"))
    return f"{text}\n— {origin} {base64.b64encode(signed).decode('ascii')}\n"


def key_id(name: str, public_key: bytes) -> bytes:
    """Return the four bytes that name a key in a signed note."""
    return hashlib.sha256(name.encode("utf-8") + b"\n" + ALGORITHM_ED25519 + public_key).digest()[:4]


def record_message(origin: str, index: int, leaf_hash: bytes) -> bytes:
    """Return what is signed for one record: it binds the record to its log and its place."""
    return RECORD_DOMAIN + origin.encode("utf-8") + b"\n" + str(index).encode("ascii") + b"\n" + leaf_hash

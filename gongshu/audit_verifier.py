"""Verifies an exported audit log. A program of its own: standard library and `cryptography`, nothing of this package.

    python -m gongshu.audit_verifier FILE [--fingerprint sha256:…] [--known-checkpoint FILE] [--json]
    python audit_verifier.py FILE …        the same, from a copy of this one file

Every record's bytes are hashed again, every signature checked, every root that a checkpoint names computed again. The
first thing that is wrong is named. Exit status: 0 verified, 1 not what was written, 2 cannot be read as an export.

What it cannot tell: whether something happened that was never recorded; and, without `--known-checkpoint`, whether
this is an older export than the newest, or, without `--fingerprint`, whether the whole file is of another's making.

Sources: RFC 6962 §2.1 (hashes and tree), C2SP signed-note and tlog-checkpoint (checkpoints).
"""

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FORMAT = "gongshu-audit-export-1"
SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")
"""The fixed head of an Ed25519 public key in DER. Source: RFC 8410 §4."""
RECORD_FIELDS = {"hash", "index", "leaf", "signature"}
CHECKPOINT_TEXT = re.compile(
    r"([^\n]+)\n(0|[1-9]\d*)\n([A-Za-z0-9+/]{43}=)\nnumber (0|[1-9]\d*)\ntime ([0-9T:.Z-]{27})"
)
"""Origin, size, root, number, time."""
LEAF_FIELDS = {"action", "actor", "at", "details", "index", "object", "outcome", "v"}


class Wrong(Exception):
    """The file is not what was written."""

    def __init__(self, reason: str, *, record: int | None = None, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.record, self.line = reason, record, line


class Unreadable(Exception):
    """The file cannot be read as an export at all."""


@dataclass
class Tree:
    """A Merkle tree as the roots of its perfect subtrees, largest first."""

    size: int = 0
    roots: list[bytes] = field(default_factory=list)

    def add(self, leaf_hash: bytes) -> None:
        """Append one leaf by its hash."""
        self.roots.append(leaf_hash)
        merges = self.size
        while merges & 1:
            right, left = self.roots.pop(), self.roots.pop()
            self.roots.append(hashlib.sha256(b"\x01" + left + right).digest())
            merges >>= 1
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the tree so far."""
        if not self.roots:
            return hashlib.sha256(b"").digest()
        total = self.roots[-1]
        for left in self.roots[-2::-1]:
            total = hashlib.sha256(b"\x01" + left + total).digest()
        return total


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose signature was verified."""

    origin: str
    size: int
    root: bytes
    number: int
    time: str


@dataclass(frozen=True)
class Report:
    """What was verified."""

    records: int
    checkpoints: int
    origin: str
    fingerprint: str
    key_compared: bool
    last_checkpoint_at: str

    def __str__(self) -> str:
        key = "the key is the expected one" if self.key_compared else f"key {self.fingerprint}, NOT compared"
        return (
            f"verified: {self.records} records and {self.checkpoints} checkpoints of {self.origin}, "
            f"up to {self.last_checkpoint_at}; {key}"
        )


def verify(file: BinaryIO, *, fingerprint: str = "", known_note: str = "") -> Report:
    """Return what was verified.

    Raises: Wrong, naming the first thing that is wrong; Unreadable.
    """
    lines = _numbered(file)
    key, final, final_note = _read_header(lines)
    own = "sha256:" + hashlib.sha256(SPKI_ED25519 + key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()
    if fingerprint and fingerprint.strip().lower() != own:
        raise Wrong(f"the key was replaced: the file is signed by {own}, expected was {fingerprint}")
    known = _read_checkpoint(known_note, key, final.origin, where="the known checkpoint") if known_note else None
    tree, checkpoints, last_note = Tree(), 0, ""
    _compare_known(tree, known)
    for number, content in _placed(lines, tree):
        if set(content) == {"checkpoint"}:
            last_note = content["checkpoint"]
            checkpoint = _read_checkpoint(last_note, key, final.origin, where="a checkpoint", line=number)
            _compare(tree, checkpoint, number)
            if checkpoint.number != checkpoints:
                raise Wrong(f"checkpoint {checkpoints} was removed, repeated or reordered", line=number)
            checkpoints += 1
        elif set(content) == RECORD_FIELDS:
            try:
                tree.add(_read_record(content, tree.size, key, final.origin))
            except Wrong as wrong:
                raise _located(wrong, content, tree.size, number, file, key, final.origin) from wrong
            _compare_known(tree, known)
            last_note = ""
        else:
            raise Wrong("the line is neither a record nor a checkpoint", record=tree.size, line=number)
    if tree.size < final.size:
        raise Wrong(f"the file was cut: records {tree.size} to {final.size - 1} were removed", record=tree.size)
    if tree.size > final.size:
        raise Wrong("records stand behind the last checkpoint, which covers fewer", record=final.size)
    if last_note != final_note:
        raise Wrong("the file was cut: its last checkpoint was removed or altered", record=tree.size)
    if known is not None and known.size > tree.size:
        raise Wrong(
            f"the log was cut: a known checkpoint covers {known.size} records, here are {tree.size}", record=tree.size
        )
    return Report(tree.size, checkpoints, final.origin, own, bool(fingerprint), final.time)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    parser = argparse.ArgumentParser(prog="audit_verifier", description="Verify an exported audit log.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--fingerprint", default="", help="sha256:<hex> of the key that must have signed")
    parser.add_argument("--known-checkpoint", type=Path, help="a checkpoint kept elsewhere; the log must continue it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        known = options.known_checkpoint.read_text(encoding="utf-8") if options.known_checkpoint else ""
        with options.file.open("rb") as file:
            report = verify(file, fingerprint=options.fingerprint, known_note=known)
    except Wrong as wrong:
        record = "" if wrong.record is None else f" record {wrong.record}"
        line = "" if wrong.line is None else f" (line {wrong.line})"
        found = {"verified": False, "record": wrong.record, "line": wrong.line, "reason": wrong.reason}
        _print(found if options.json else f"FAILED{record}{line}: {wrong.reason}", failed=True)
        return 1
    except (Unreadable, OSError, UnicodeDecodeError) as cause:
        reason = f"{options.file} cannot be read as an audit export: {cause}"
        _print({"verified": None, "reason": reason} if options.json else reason, failed=True)
        return 2
    values = {name: getattr(report, name) for name in Report.__dataclass_fields__}
    _print({"verified": True, **values} if options.json else str(report), failed=False)
    return 0


def _print(answer: object, *, failed: bool) -> None:
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    stream = sys.stderr if failed and isinstance(answer, str) else sys.stdout
    stream.write(text + "\n")


def _numbered(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, content); a line that is not in the one form in which it was written is wrong."""
    number = 0
    for number, raw in enumerate(file, start=1):
        yield number, _parse_line(raw, number)
    if number == 0:
        raise Unreadable("it is empty")


def _parse_line(raw: bytes, number: int) -> dict[str, Any]:
    try:
        content = _parse_object(raw.decode("ascii"))
    except ValueError as cause:
        if number == 1:
            raise Unreadable("its first line is not a header") from cause
        raise Wrong(f"the line is damaged or was altered: {cause}", line=number) from cause
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n"
    if written.encode("ascii") != raw:
        raise Wrong("the line is not in the form in which it was written", line=number)
    return content


def _parse_object(text: str) -> dict[str, Any]:
    """Return a JSON object without repeated names. Raises ValueError for anything else."""
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as cause:
        raise ValueError("nested too deeply") from cause
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _placed(lines: Iterator[tuple[int, dict[str, Any]]], tree: Tree) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines; a damaged one is said to stand where the next record is expected."""
    while True:
        try:
            yield next(lines)
        except StopIteration:
            return
        except Wrong as wrong:
            raise Wrong(wrong.reason, record=tree.size, line=wrong.line) from wrong


def _read_header(lines: Iterator[tuple[int, dict[str, Any]]]) -> tuple[Ed25519PublicKey, Checkpoint, str]:
    _, header = next(lines)
    if header.get("format") != FORMAT:
        raise Unreadable(f"its first line does not name the format {FORMAT}")
    if set(header) != {"checkpoint", "format", "public_key"}:
        raise Wrong("the header was altered", line=1)
    raw = _from_hex(header["public_key"], 32)
    note = header["checkpoint"]
    if raw is None or not isinstance(note, str):
        raise Wrong("the header was altered", line=1)
    key = Ed25519PublicKey.from_public_bytes(raw)
    origin = note.split("\n", 1)[0]
    return key, _read_checkpoint(note, key, origin, where="the header's checkpoint", line=1), note


def _read_record(content: dict[str, Any], expected: int, key: Ed25519PublicKey, origin: str) -> bytes:
    """Return the record's leaf hash if the record is what was written at this index."""
    index, leaf = content["index"], content["leaf"]
    claimed, signature = _from_hex(content["hash"], 32), _from_hex(content["signature"], 64)
    if type(index) is not int or not isinstance(leaf, str) or claimed is None or signature is None:
        raise Wrong("the record was altered: a field is not of its form")
    try:
        leaf_hash = hashlib.sha256(b"\x00" + leaf.encode("utf-8")).digest()
        body = _parse_object(leaf)
    except ValueError as cause:
        raise Wrong(f"the record was altered: its content is damaged ({type(cause).__name__})") from cause
    if leaf_hash != claimed:
        raise Wrong("the record was altered: its content does not belong to its hash")
    if set(body) != LEAF_FIELDS or type(body["index"]) is not int or body["index"] != index:
        raise Wrong("the record was altered: its content names another place")
    message = b"gongshu-audit-record-v1\n" + origin.encode("utf-8") + b"\n" + str(index).encode("ascii") + b"\n"
    if not _is_signed(key, signature, message + leaf_hash):
        raise Wrong("the record was altered: it is not signed by the log's key")
    if index != expected:
        raise Wrong("another record stands in its place")
    return leaf_hash


def _located(
    wrong: Wrong,
    content: dict[str, Any],
    expected: int,
    line: int,
    file: BinaryIO,
    key: Ed25519PublicKey,
    origin: str,
) -> Wrong:
    """Say what happened at the first wrong record, by looking whether the one expected here stands further on."""
    follows = _stands_further_on(file, expected, key, origin)
    index = content["index"]
    genuine = wrong.reason == "another record stands in its place"
    if genuine and index < expected:
        return Wrong(f"record {index} was inserted a second time here", record=expected, line=line)
    if genuine and follows:
        return Wrong(f"the records were reordered: {index} stands before {expected}", record=expected, line=line)
    if genuine:
        removed = f"record {expected} was" if index == expected + 1 else f"records {expected} to {index - 1} were"
        return Wrong(f"{removed} removed", record=expected, line=line)
    if follows:
        return Wrong(f"a record was inserted before record {expected} ({wrong.reason})", record=expected, line=line)
    return Wrong(wrong.reason, record=expected, line=line)


def _stands_further_on(file: BinaryIO, expected: int, key: Ed25519PublicKey, origin: str) -> bool:
    for raw in file:
        try:
            content = _parse_line(raw, 2)
            if set(content) == RECORD_FIELDS and content["index"] == expected:
                _read_record(content, expected, key, origin)
                return True
        except Wrong:
            continue
    return False


def _compare(tree: Tree, checkpoint: Checkpoint, line: int) -> None:
    if checkpoint.size > tree.size:
        missing = f"records {tree.size} to {checkpoint.size - 1} were removed"
        raise Wrong(f"{missing} before the checkpoint that covers them", record=tree.size, line=line)
    if checkpoint.size < tree.size:
        raise Wrong(f"the checkpoint over {checkpoint.size} records stands in another place", record=None, line=line)
    if checkpoint.root != tree.root():
        raise Wrong(f"the first {tree.size} records do not have the root of their checkpoint", line=line)


def _compare_known(tree: Tree, known: Checkpoint | None) -> None:
    if known is not None and known.size == tree.size and known.root != tree.root():
        raise Wrong(f"the first {known.size} records are not those of the known checkpoint: the log was rewritten")


def _read_checkpoint(
    note: object, key: Ed25519PublicKey, origin: str, *, where: str, line: int | None = None
) -> Checkpoint:
    """Return a checkpoint whose form and signature are right."""
    altered = Wrong(f"{where} was altered or is not signed by the log's key", line=line)
    if not isinstance(note, str):
        raise altered
    text, separator, rest = note.partition("\n\n")
    signed = re.fullmatch(r"— (\S+) ([A-Za-z0-9+/]+={0,2})\n", rest)
    body = re.fullmatch(
        r"([^\n]+)\n(0|[1-9]\d*)\n([A-Za-z0-9+/]{43}=)\nnumber (0|[1-9]\d*)\ntime ([0-9T:.Z-]{27})", text
    )
    if not separator or signed is None or body is None or body[1] != origin or signed[1] != origin:
        raise altered
    signature, root = _from_base64(signed[2], 68), _from_base64(body[3], 32)
    if signature is None or root is None:
        raise altered
    key_id = hashlib.sha256(
        origin.encode("utf-8") + b"\n\x01" + key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    ).digest()[:4]
    if signature[:4] != key_id or not _is_signed(key, signature[4:], (text + "\n").encode("utf-8")):
        raise altered
    return Checkpoint(body[1], int(body[2]), root, int(body[4]), body[5])


def _is_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _from_hex(text: object, length: int) -> bytes | None:
    if not isinstance(text, str) or not re.fullmatch(rf"[0-9a-f]{{{2 * length}}}", text):
        return None
    return bytes.fromhex(text)


def _from_base64(text: str, length: int) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == length and base64.b64encode(raw).decode("ascii") == text else None


if __name__ == "__main__":
    sys.exit(main())

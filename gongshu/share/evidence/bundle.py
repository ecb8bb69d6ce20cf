"""The file that carries the evidence of one contract to a third person.

JSON Lines, each line the shortest form of its object with sorted keys and ASCII only. First a header, then numbered
records, last a line that says how many there were. The header is signed, and every record with its number and the
header's hash, so that none can be altered, left out, moved, added, or taken over from another file.
Format 1; a change raises the number. Whoever reads it shares no code with this module: `gongshu.evidence_verifier`.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

FORMAT = "gongshu-evidence-1"
HEADER_DOMAIN = b"gongshu evidence header 1\n"
RECORD_DOMAIN = b"gongshu evidence record 1\n"
Record = tuple[str, Mapping[str, Any]]


def write_bundle(
    path: Path, header: Mapping[str, Any], records: Iterable[Record], sign: Callable[[bytes], bytes]
) -> int:
    """Write the file and return the number of records; it appears whole or not at all.

    Raises: OSError.
    """
    head = _text({**header, "format": FORMAT})
    bundle_id = hashlib.sha256(head).digest()
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            signature = sign(HEADER_DOMAIN + head).hex()
            file.write(_text({"header": {**header, "format": FORMAT}, "signature": signature}) + b"\n")
            number = 0
            for kind, record in records:
                file.write(_line(bundle_id, number, kind, record, sign))
                number += 1
            file.write(_line(bundle_id, number, "end", {"records": number}, sign))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return number


def _line(bundle_id: bytes, number: int, kind: str, record: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> bytes:
    content = _text({"kind": kind, "record": record})
    message = RECORD_DOMAIN + bundle_id + b"\n%d\n" % number + hashlib.sha256(content).digest()
    return _text({"kind": kind, "n": number, "record": record, "signature": sign(message).hex()}) + b"\n"


def _text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")

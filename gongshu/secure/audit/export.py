"""The file that carries an audit log to somebody who does not trust this node.

JSON Lines, each line the shortest form of its object with sorted keys and ASCII only. First a header (format, public
key, the checkpoint over the whole file), then the records in order, each followed by the checkpoints made at its size.
Nothing stands in the file that a hash or a signature does not cover. Format 1; a change raises the number.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

FORMAT = "gongshu-audit-export-1"


def write_export(
    path: Path,
    public_key: bytes,
    final: str,
    checkpoints: Mapping[int, str],
    records: Iterable[tuple[int, bytes, bytes, bytes]],
) -> None:
    """Write the file; `records` are (index, leaf, leaf hash, signature) in order, `checkpoints` by log size."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="ascii", newline="\n") as file:
        file.write(_line({"checkpoint": final, "format": FORMAT, "public_key": public_key.hex()}))
        if 0 in checkpoints:
            file.write(_line({"checkpoint": checkpoints[0]}))
        for index, leaf, leaf_hash, signature in records:
            record = {
                "hash": leaf_hash.hex(),
                "index": index,
                "leaf": leaf.decode("utf-8"),
                "signature": signature.hex(),
            }
            file.write(_line(record))
            if index + 1 in checkpoints:
                file.write(_line({"checkpoint": checkpoints[index + 1]}))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n"

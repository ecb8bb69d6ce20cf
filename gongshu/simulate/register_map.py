"""Publishes the register maps as a file, as a maker's manual would; a Modbus source can be configured with it as is."""

import json
from pathlib import Path

from gongshu.simulate.machines import PLANT, UTILITIES
from gongshu.simulate.registers import COMPRESSOR_UNIT, REGISTERS, Register

ASSET = f"{PLANT}/{UTILITIES}"
"""Where the two devices stand; the map's own `asset` is the place below it."""


def write_register_map(path: Path, *, port: int) -> None:
    """Write the map of both units: host, port and one entry a value."""
    content = {
        "host": "127.0.0.1",
        "port": port,
        "unit_id": COMPRESSOR_UNIT,
        "interval_s": 0.5,
        "tags": [_entry(register) for register in REGISTERS],
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def _entry(register: Register) -> dict[str, object]:
    return {
        "name": register.name,
        "asset": register.device,
        "unit_id": register.unit_id,
        "space": str(register.area),
        "address": register.address,
        "type": str(register.kind),
        "word_order": "low_first" if register.low_word_first else "high_first",
        "scale": register.scale,
        "unit": register.unit,
        "title": register.title,
    }

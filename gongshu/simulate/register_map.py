"""Publishes the register maps as a file, as a maker's manual would."""

import json
from pathlib import Path

from gongshu.simulate.registers import REGISTERS


def write_register_map(path: Path, *, port: int) -> None:
    """Write the map of both units."""
    content = {
        "host": "127.0.0.1",
        "port": port,
        "registers": [
            {
                "name": register.name,
                "asset": register.asset,
                "unit_id": register.unit_id,
                "area": str(register.area),
                "address": register.address,
                "type": str(register.kind),
                "word_order": "low_first" if register.low_word_first else "high_first",
                "scale": register.scale,
                "unit": register.unit,
                "title": register.title,
            }
            for register in REGISTERS
        ],
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

"""What a run consists of: one EDC, one node of ours, the systems behind the EDC, and what was seen."""

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.interop.edc import Edc, Json, Stores, fetch
from tests.interop.far_ends import FarEnds
from tests.interop.ours import Ours
from tests.interop.served import orders

EDC_PARTY = "edc-mill"
SOURCE = "/orders.csv"
ROWS = 1000
USE: Json = {"permission": [{"action": "use"}]}
IN_FORCE = "https://w3id.org/edc/v0.0.1/ns/inForceDate"
"""The one left operand that EDC 0.14.1 itself evaluates."""
STRANGE = "https://w3id.org/catenax/2025/9/policy/ContractReference"


def source_rows(count: int = ROWS) -> list[list[Any]]:
    """Return what the system behind the EDC holds; synthetic."""
    return [[number, f"M-{number % 11}", number * 3 % 101] for number in range(count)]


def source_text() -> bytes:
    """Return the same as CSV."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["reading", "machine", "value"])
    writer.writerows(source_rows())
    return out.getvalue().encode()


def offered_rows() -> list[list[Any]]:
    """Return the rows of our table in the columns that our offer names."""
    return sorted([row["part_number"], row["quantity"]] for row in orders().to_pylist())


def csv_rows(content: bytes) -> list[list[Any]]:
    """Return rows that came to an EDC user as CSV: a text and a number."""
    found = list(csv.DictReader(io.StringIO(content.decode())))
    return sorted([row["part_number"], int(row["quantity"])] for row in found)


def constrained(left: str, operator: str, right: str) -> Json:
    """Return a policy with one constraint, as an EDC user writes it."""
    constraint = {"leftOperand": left, "operator": operator, "rightOperand": right}
    return {"permission": [{"action": "use", "constraint": [constraint]}]}


@dataclass
class World:
    """The parties of one run."""

    edc: Edc
    ours: Ours
    ends: FarEnds
    seen: list[str] = field(default_factory=list)
    """What was exchanged from EDC to us, in words."""
    shown: list[str] = field(default_factory=list)
    """What was exchanged from us to EDC, in words."""

    def say(self, text: str) -> None:
        """Print one thing that held."""
        print(f"  ok  {text}", flush=True)


def only(items: Any) -> Json:
    """Return the one item, which JSON-LD writes with or without a list around it."""
    listed = items if isinstance(items, list) else [items]
    assert len(listed) == 1, f"{len(listed)} items instead of one"
    return dict(listed[0])


@contextmanager
def opened(folder: Path, stores: Stores | None = None) -> Iterator[World]:
    """Yield both connectors, running; whatever happens, nothing of them runs afterwards."""
    library = fetch()
    with ExitStack() as ending:
        ends = FarEnds()
        ending.callback(ends.close)
        ends.documents[SOURCE] = ("text/csv", source_text())
        edc = Edc(library, folder, EDC_PARTY, stores=stores)
        ending.callback(edc.close)
        ours = Ours(folder)
        ending.callback(ours.close)
        edc.start()
        data = [edc.public, ends.address]
        ours.make([{"party_id": EDC_PARTY, "address": edc.root, "data_addresses": data}])
        ours.start()
        publish(edc, ends)
        yield World(edc, ours, ends)


def publish(edc: Edc, ends: FarEnds) -> None:
    """Offer the source three times at the EDC: free, in force for a time, and under a term that we cannot know."""
    source = ends.address + SOURCE
    edc.publish("readings", "Readings of a mill", source, ("use", USE))
    edc.publish(
        "dated", "Readings for a time", source, ("dated", constrained(IN_FORCE, "lteq", "2099-01-01T00:00:00Z"))
    )
    edc.publish("strange", "Readings on strange terms", source, ("strange", constrained(STRANGE, "eq", "x-1")))

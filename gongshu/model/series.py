"""What is measured: the asset tree and its series."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gongshu.model.ids import AssetId, SeriesId, SourceId
from gongshu.model.reading import ValueType


class AssetKind(StrEnum):
    """Levels of the equipment tree. Source: IEC 62264-1 §5.3 (site, area, line, cell), extended below the cell."""

    SITE = "site"
    AREA = "area"
    LINE = "line"
    CELL = "cell"
    MACHINE = "machine"
    PART = "part"


@dataclass(frozen=True, slots=True)
class SeriesSighting:
    """What a connector knows about a series when it meets it; (source_id, address) is its identity."""

    source_id: SourceId
    address: str
    """The protocol's own address, stable over restarts: a node id with namespace URI, a topic, a register."""
    asset: AssetId
    name: str
    """Short name within the asset: `spindle_load`."""
    value_type: ValueType
    unit: str = ""
    """UCUM code where known, else as the device says; empty when unknown."""
    title: str = ""
    """As the device shows it to people, in its own language."""
    writable: bool = False
    """The device says that a client may write it: a control variable, which weighs in grading."""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A registered series."""

    series_id: SeriesId
    sighting: SeriesSighting
    first_seen: datetime

"""Which units turn into which, by the packs; what they do not know is refused, never guessed. Pure."""

from dataclasses import dataclass

from gongshu.packs import Pack


@dataclass(frozen=True, slots=True)
class Conversion:
    """value in the wanted unit = value × factor + offset."""

    factor: float
    offset: float

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return (self.factor, self.offset) == (1.0, 0.0)


class Units:
    """The conversions of the packs `ucum` (spellings) and `ucum-conversion` (factors)."""

    def __init__(self, ucum: Pack, conversions: Pack) -> None:
        self._codes: dict[str, str] = {}
        for item in ucum.under("unit"):
            for spelling in (item.value["code"], *item.value["aliases"]):
                self._codes.setdefault(spelling, item.value["code"])
        self._to_base: dict[str, tuple[str, float, float]] = {
            item.value["code"]: (item.value["base"], float(item.value["factor"]), float(item.value["offset"]))
            for item in conversions.under("to_base")
        }

    def code(self, spelling: str) -> str:
        """Return the UCUM code of a unit as a device spells it; unknown spellings come back as they are."""
        return self._codes.get(spelling.strip(), spelling.strip())

    def convert(self, seen: str, wanted: str) -> Conversion | None:
        """Return how values in one unit become values in another, or None if that is not known to be possible."""
        one, other = self.code(seen), self.code(wanted)
        if one == other:
            return Conversion(1.0, 0.0)
        if one not in self._to_base or other not in self._to_base:
            return None
        base, factor, offset = self._to_base[one]
        other_base, other_factor, other_offset = self._to_base[other]
        if base != other_base:
            return None
        return Conversion(factor / other_factor, (offset - other_offset) / other_factor)

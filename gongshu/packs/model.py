"""What a pack is: numbers and codes with source, clause, confidence and dates."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from gongshu.packs.errors import PackItemUnknown, PackUnknown


class Confidence(StrEnum):
    """How well a number or code is known to stand in its source."""

    CONFIRMED = "confirmed"
    """Found in a public text of the source itself."""
    SECOND_HAND = "second_hand"
    """Found in an implementer's or commentator's reading of the source."""
    TO_BE_CONFIRMED = "to_be_confirmed"
    """Believed, not yet seen in a text: check before relying on it."""
    PLATFORM = "platform"
    """This project's own choice; no law or standard says it."""

    @property
    def term(self) -> str:
        """The Chinese term."""
        return {"confirmed": "已确认", "second_hand": "转引", "to_be_confirmed": "待确认", "platform": "平台自定"}[
            self.value
        ]


@dataclass(frozen=True, slots=True)
class PackItem:
    """One number, code or rule."""

    pack: str
    version: str
    key: str
    value: Any
    """A number, text, list or mapping, as the pack's file gives it."""
    title_zh: str
    title_en: str
    source: str
    clause: str
    confidence: Confidence
    effective_from: date | None
    effective_to: date | None

    @property
    def citation(self) -> str:
        """Where it stands, for people: source and clause, and how sure that is unless it is confirmed."""
        place = f"{self.source} {self.clause}".strip()
        return place if self.confidence is Confidence.CONFIRMED else f"{place} [{self.confidence.term}]"


@dataclass(frozen=True, slots=True)
class Pack:
    """One version of one pack."""

    name: str
    version: str
    title_zh: str
    title_en: str
    source: str
    effective_from: date | None
    effective_to: date | None
    """The last day on which it is in force; None while nothing replaces it."""
    items: Mapping[str, PackItem]
    digest: str
    """SHA-256 of the content, in hex: layout and comments of the file do not change it."""

    @property
    def reference(self) -> str:
        """Name, version and content, to be stored with every result: `gbt-36344 2018 #1a2b3c4d5e6f`."""
        return f"{self.name} {self.version} #{self.digest[:12]}"

    def item(self, key: str) -> PackItem:
        """Return one item.

        Raises: PackItemUnknown.
        """
        try:
            return self.items[key]
        except KeyError as cause:
            raise PackItemUnknown(pack=f"{self.name} {self.version}", name=self.name, key=key) from cause

    def value(self, key: str) -> Any:
        """Return one item's value.

        Raises: PackItemUnknown.
        """
        return self.item(key).value

    def under(self, prefix: str) -> tuple[PackItem, ...]:
        """Return the items whose key is `prefix.…`, in the order of the file."""
        return tuple(item for key, item in self.items.items() if key.startswith(f"{prefix}."))

    def is_in_force(self, on: date) -> bool:
        """Return whether this version counts on that day."""
        begun = self.effective_from is None or self.effective_from <= on
        return begun and (self.effective_to is None or on <= self.effective_to)


@dataclass(frozen=True)
class Packs:
    """All versions of all packs."""

    packs: tuple[Pack, ...]
    today: Callable[[], date]

    def get(self, name: str, *, on: date | None = None, version: str | None = None) -> Pack:
        """Return a named version, or else the newest that is in force on a day (today when not said).

        Raises: PackUnknown.
        """
        same = [pack for pack in self.packs if pack.name == name]
        day = on or self.today()
        fits = [pack for pack in same if (pack.version == version if version else pack.is_in_force(day))]
        if not fits:
            wanted = f"version {version}" if version else f"in force on {day.isoformat()}"
            raise PackUnknown(
                name=name, wanted=wanted, installed=", ".join(f"{p.name} {p.version}" for p in self.packs)
            )
        return max(fits, key=lambda pack: (pack.effective_from or date.min, pack.version))

    def names(self) -> list[str]:
        """Return each pack's name once, in alphabetical order."""
        return sorted({pack.name for pack in self.packs})

    def items(self) -> Iterator[PackItem]:
        """Yield every number and code of every version of every pack, in the order of the files."""
        for pack in self.packs:
            yield from pack.items.values()

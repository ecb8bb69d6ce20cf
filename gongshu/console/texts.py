"""Every word of the console in Chinese and English, from the one file `texts.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml

FILE = Path(__file__).parent / "texts.yaml"


class Language(StrEnum):
    """The languages of the console; Chinese is written first."""

    ZH = "zh"
    EN = "en"

    @property
    def tag(self) -> str:
        """The tag for `<html lang>` (BCP 47)."""
        return {"zh": "zh-CN", "en": "en-US"}[self.value]

    @property
    def other(self) -> "Language":
        """The language that the switch leads to."""
        return Language.EN if self is Language.ZH else Language.ZH


@dataclass(frozen=True, slots=True)
class Texts:
    """The catalogue of texts."""

    entries: Mapping[str, Mapping[str, str]]

    def get(self, key: str, language: Language, **fields: object) -> str:
        """Return the text with its fields filled in; a key that is not there is our mistake and raises KeyError."""
        return self.entries[key][language.value].format(**fields)


@cache
def read_texts() -> Texts:
    """Return the texts of the package."""
    entries = yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.CBaseLoader)  # noqa: S506  text and nothing else
    return Texts(entries)

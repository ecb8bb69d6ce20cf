"""What services say, in the reader's language: errors by their code, stored reasons by their form.

Services speak English, on the wire and in the log. Here each sentence that a page can show is found again by its form
and said in Chinese; what is not known stays as it is, never less.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from string import Formatter

import yaml

from gongshu.errors import GongshuError

FILE = Path(__file__).parent / "reasons.yaml"
LENGTH_MAX = 4_000
"""Longer texts are shown as they are: partners write some of them."""
TEXTS_KEPT = 2_000
"""A new text costs 0.1 to 0.4 ms, and a page that stays open says hundreds of the same ones every two seconds. Ours."""
DEPTH_MAX = 4
"""A reason inside of a reason inside of an error; deeper ones stay English."""
LIST_MAX = 12
"""Words between commas that are looked up one by one, as the steps that are possible now."""
OWN_WORDS = {"role": "roles", "act": "acts"}
"""Fields of errors whose words stand in a section of their own."""
LITERAL_MIN = 4
"""Letters that a form with variable parts has to hold beside them, so that it does not fit everything."""
TWO_STOPS = re.compile(r"(。|(?<!\.)\.(?!\.))(\s*。|\.)")
"""A sentence inside of a sentence: both bring their full stop."""


@dataclass(frozen=True, slots=True)
class Form:
    """One sentence with its variable parts."""

    pattern: re.Pattern[str]
    longest: str
    """Its longest fixed part: a text without it cannot fit."""
    fields: tuple[str, ...]
    chinese: str

    def say(self, text: str, depth: int) -> str | None:
        """Return the text in Chinese if it has this form."""
        found = self.pattern.fullmatch(text) if self.longest in text else None
        if found is None:
            return None
        pairs = list(zip(self.fields, (part or "" for part in found.groups()), strict=True))
        parts = [_own_words(name, part) or _translated(part, depth + 1) for name, part in pairs]
        named = {name: said for (name, _), said in zip(pairs, parts, strict=True) if name}
        return self.chinese.format(*parts, **named)


def in_chinese(text: str) -> str:
    """Return what a service said in Chinese, as far as it is known; else the text itself.

    >>> in_chinese("its 5 uses are used up; the payment is not confirmed"), in_chinese("a partner's own words")
    ('5 次已用完；付款尚未确认', "a partner's own words")
    """
    return _whole(text) if len(text) <= LENGTH_MAX else text


def error_in_chinese(error: GongshuError) -> str:
    """Return an error's message in Chinese; one without a Chinese sentence as it is."""
    chinese = read_sentences()["errors"].get(error.code)
    if chinese is None:
        return in_chinese(str(error))
    fields = {name: str(value) for name, value in error.fields.items()}
    said = chinese.format(**{name: _own_words(name, text) or in_chinese(text) for name, text in fields.items()})
    return TWO_STOPS.sub("。", said)


@cache
def read_sentences() -> Mapping[str, Mapping[str, str]]:
    """Return the Chinese sentences: of errors by code, of phrases by their English form."""
    written = FILE.read_text(encoding="utf-8")
    sentences: Mapping[str, Mapping[str, str]] = yaml.load(written, Loader=yaml.CBaseLoader)  # noqa: S506  text alone
    return sentences


def error_classes(root: type[GongshuError] = GongshuError) -> list[type[GongshuError]]:
    """Return all error classes that are loaded, each after those it comes from."""
    return [each for kind in root.__subclasses__() for each in (kind, *error_classes(kind))]


@lru_cache(maxsize=TEXTS_KEPT)
def _whole(text: str) -> str:
    return TWO_STOPS.sub("。", _translated(text, 0))


def _own_words(field: str, text: str) -> str:
    """Return roles and acts in Chinese, by words of their own, for data may be named like a role; else nothing."""
    words = read_sentences()[OWN_WORDS[field]] if field in OWN_WORDS else {}
    parts = re.split(" or |, ", text)
    return "或".join(words[part] for part in parts) if all(part in words for part in parts) else ""


def _translated(text: str, depth: int) -> str:
    if depth > DEPTH_MAX or not text.strip() or not re.search(r"[A-Za-z]{3}", text):
        return text
    for form in _forms():
        said = form.say(text, depth)
        if said is not None:
            return said
    if "; " in text:
        return "；".join(_translated(part, depth + 1) for part in text.split("; "))
    listed = text.split(", ")
    said_each = [_translated(part, depth + 1) for part in listed] if 1 < len(listed) <= LIST_MAX else listed
    return text if any(map(str.__eq__, listed, said_each)) else "、".join(said_each)


@cache
def _forms() -> tuple[Form, ...]:
    """Return all forms, those with most fixed letters first: they fit least by chance."""
    sentences = read_sentences()
    templates = {kind.template: sentences["errors"].get(kind.code, "") for kind in error_classes() if kind.code}
    both = [*((english, chinese) for english, chinese in templates.items() if chinese), *sentences["phrases"].items()]
    made = [(_fixed(english), _form(english, chinese)) for english, chinese in both]
    ordered = sorted(made, key=lambda each: -each[0])
    return tuple(form for letters, form in ordered if letters >= LITERAL_MIN or not form.fields)


def _fixed(english: str) -> int:
    return sum(len(literal) for literal, _, _, _ in Formatter().parse(english))


def _form(english: str, chinese: str) -> Form:
    pattern, fields, literals = "", [], [""]
    for literal, name, _, conversion in Formatter().parse(english):
        pattern += re.escape(literal)
        literals.append(literal)
        if name is not None:
            pattern += "['\"]?(.*?)['\"]?" if conversion == "r" else "(.*?)"
            fields.append(name)
    if pattern.endswith(r"\."):  # one that is quoted may have left its stop to the sentence around it
        pattern += "?"
    return Form(re.compile(pattern, re.DOTALL), max(literals, key=len).removesuffix("."), tuple(fields), chinese)

"""Cuts names into words and finds the dictionary's terms in them: Chinese, English and pinyin; whole words only."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from gongshu.govern.pinyin import spell
from gongshu.packs import Pack

_RUNS = re.compile(r"[\u3400-\u9fff]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_HAN = re.compile(r"[\u3400-\u9fff]")
PINYIN_LENGTH_MIN = 4
"""Shorter spellings collide with English words and abbreviations; our choice."""
PIECE_LENGTH_MIN = 3
PIECES_MAX = 4
SPAN_MAX = 6


@dataclass(frozen=True, slots=True)
class Term:
    """One dictionary entry."""

    key: str
    category: str | None
    weight: float
    marker: str | None


@dataclass(frozen=True, slots=True)
class Match:
    """A term found in a name."""

    term: Term
    surface: str
    is_head: bool
    """It ends the name."""
    about: bool
    """The name speaks about the term, and may not hold it: `email_verified`, `是否有电话`, `telephone_line_voltage`."""


@dataclass(frozen=True, slots=True)
class _Span:
    first: int
    end: int
    term: Term
    surface: str
    closes: bool
    """It reaches the end of its last word; of several Chinese terms in one run, only the last does."""


class Dictionary:
    """The terms of the pack `industrial-terms`, ready to be looked up."""

    def __init__(self, pack: Pack) -> None:
        self._english: dict[str, Term] = {}
        self._han: dict[str, Term] = {}
        self._about = _entries(pack, "term.about")
        self._tail = _entries(pack, "term.tail")
        for item in pack.under("term"):
            value = item.value
            if item.key in ("term.about", "term.tail"):
                continue
            term = Term(item.key, value.get("category"), float(value["weight"]), value.get("marker"))
            for entry in value["en"]:
                self._english.setdefault("".join(_fold(word) for word in entry.split()), term)
            for entry in value["zh"]:
                self._han.setdefault(entry, term)
        self._han_length_max = max(map(len, self._han), default=1)
        self.find = lru_cache(maxsize=20_000)(self._find)

    @cached_property
    def _latin(self) -> dict[str, Term]:
        """English entries, then the Chinese ones as pinyin; made with the first name that is looked up."""
        spelled: dict[str, Term] = {}
        for entry, term in self._han.items():
            pinyin = "".join(spell(entry))
            if len(entry) > 1 and len(pinyin) >= PINYIN_LENGTH_MIN:
                spelled.setdefault(pinyin, term)
        return {**spelled, **self._english}

    def _find(self, name: str) -> tuple[Match, ...]:
        words = split_words(name)
        spans = self._choose([*self._latin_spans(words), *self._han_spans(words)])
        last = max((span.end for span in spans), default=0)
        matches = []
        for span in spans:
            others = {word for i, word in enumerate(words) if not span.first <= i < span.end}
            others |= {s.surface for s in spans if s is not span}
            about = bool(self._about & others) or not set(words[span.end :]) <= self._tail
            is_head = span.closes and span.end == last == len(words)
            matches.append(Match(span.term, span.surface, is_head, about))
        return tuple(matches)

    def _latin_spans(self, words: list[str]) -> Iterable[_Span]:
        for first in range(len(words)):
            joined = ""
            for end in range(first + 1, min(first + SPAN_MAX, len(words)) + 1):
                word = words[end - 1]
                if _HAN.match(word):
                    break
                joined += _fold(word)
                if term := self._latin.get(joined):
                    yield _Span(first, end, term, " ".join(words[first:end]), closes=True)
            if words[first] not in self._latin:
                pieces = self._pieces(words[first])
                for number, piece in enumerate(pieces, start=1):
                    yield _Span(first, first + 1, self._latin[piece], piece, closes=number == len(pieces))

    def _pieces(self, word: str) -> list[str]:
        """Cut a run-together word (`spindlespeed`, `zhuzhouwendu`) if entries cover it to the last letter."""
        if len(word) < 2 * PIECE_LENGTH_MIN or _HAN.match(word):
            return []
        best: dict[int, list[str]] = {0: []}
        for end in range(PIECE_LENGTH_MIN, len(word) + 1):
            for start in range(max(0, end - 24), end - PIECE_LENGTH_MIN + 1):
                if start in best and word[start:end] in self._latin and len(best[start]) < PIECES_MAX:
                    cut = [*best[start], word[start:end]]
                    if end not in best or len(cut) < len(best[end]):
                        best[end] = cut
        return best.get(len(word), [])

    def _han_spans(self, words: list[str]) -> Iterable[_Span]:
        for index, word in enumerate(words):
            if _HAN.match(word):
                for cut in self._cut_han(word):
                    yield _Span(index, index + 1, self._han[cut], cut, closes=word.endswith(cut))

    def _cut_han(self, word: str) -> list[str]:
        """Cut Chinese text by the longest entry first, from the left: 综合同步 holds 综合 and 同步, not 合同."""
        found, at = [], 0
        while at < len(word):
            for length in range(min(self._han_length_max, len(word) - at), 0, -1):
                if word[at : at + length] in self._han:
                    found.append(word[at : at + length])
                    at += length
                    break
            else:
                at += 1
        return found

    @staticmethod
    def _choose(spans: list[_Span]) -> list[_Span]:
        """Keep the widest spans that do not overlap; pieces of one word stand together."""
        chosen: list[_Span] = []
        taken: set[int] = set()
        for span in sorted(spans, key=lambda s: (s.first - s.end, s.first)):
            places = set(range(span.first, span.end))
            single = span.end - span.first == 1
            if not places & taken or (single and any((s.first, s.end) == (span.first, span.end) for s in chosen)):
                chosen.append(span)
                taken |= places
        return sorted(chosen, key=lambda s: s.first)


_MADE: dict[str, Dictionary] = {}


def dictionary_of(pack: Pack) -> Dictionary:
    """Return the one of this process: it never changes, and its pinyin takes long to spell."""
    if pack.digest not in _MADE:
        _MADE[pack.digest] = Dictionary(pack)
    return _MADE[pack.digest]


def _entries(pack: Pack, key: str) -> frozenset[str]:
    value = pack.value(key)
    return frozenset([*value["en"], *value["zh"]])


def split_words(name: str) -> list[str]:
    """Return a name's words in lower case: at separators, digits, camel case and changes of script.

    >>> split_words("SpindleLoad_2主轴OEEValue")
    ['spindle', 'load', '主轴', 'oee', 'value']
    """
    return [run.lower() for run in _RUNS.findall(name)]


def _fold(word: str) -> str:
    """Return an English word without its plural ending, so that `orders` finds `order`."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word

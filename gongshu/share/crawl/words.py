"""What a text is about: words, pairs of Chinese signs, concepts of a bilingual thesaurus. Pure, no network, no model.

An entry is indexed by terms of four kinds: `w:` words, `g:` pairs of signs, `c:` concepts, `u:` what a concept falls
under. A question is taken apart the same way, so that 主轴温度 and `spindle temperature` meet in two concepts.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from gongshu.packs import Pack, Packs

_RUN = re.compile(r"[\u3400-\u9fff]+|[a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")
_ENDINGS = (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("xes", "x"))
_SMALL = "a an and at by for from in is of on or the to with"
_TYPES = "bigint boolean double integer timestamp uinteger varchar zone"
_SILENT = frozenset(f"{_SMALL} {_TYPES}".split())
"""Words that say nothing: the smallest of English, and the types that stand beside the columns of every description."""
_PHRASE_MAX, _SIGNS_MAX = 5, 10
TERM_LENGTH_MAX = 60
TERMS_MAX = 120
"""Distinct terms kept of one entry, the weightiest first."""
TEXT_MAX = 8000

TITLE_WEIGHT = 3.0
"""A word in the title counts as three in the description."""
_CONCEPT, _UNDER, _WORD, _PAIR, _SPELLED = 3.0, 1.2, 1.0, 0.5, 1.5
"""What the kinds of terms weigh in a question. Chosen by us with the labelled set of the tests."""
_SATURATION, _LENGTH_SHARE, _LENGTH_USUAL = 1.2, 0.5, 24.0
"""k1 and b of BM25, and a length for all time: an average that moved would change every stored figure."""


class Thesaurus:
    """Concepts with their names in Chinese, English, pinyin and short form, and what they fall under."""

    def __init__(self, pack: Pack) -> None:
        self._signs: dict[str, str] = {}
        self._phrases: dict[tuple[str, ...], str] = {}
        self._spelled: dict[str, list[str]] = defaultdict(list)
        self._above: dict[str, tuple[str, ...]] = {}
        for item in pack.under("concept"):
            concept = item.key.removeprefix("concept.")
            self._above[concept] = tuple(item.value.get("broader", ()))
            for name in item.value["zh"]:
                self._signs.setdefault(name, concept)
            for name in (*item.value["en"], *item.value.get("abbr", ())):
                self._phrases.setdefault(tuple(_words(name)), concept)
            for spelled in item.value.get("pinyin", ()):
                self._spelled[spelled.replace(" ", "")].append(concept)
                self._spelled["".join(syllable[0] for syllable in spelled.split())].append(concept)

    def impacts(self, title: str, description: str) -> dict[str, float]:
        """Return the terms of an entry with what each says about it, between 0 and 2.2.

        Source: Okapi BM25 without the rarity of the term, which is known only when somebody asks.
        """
        counts: dict[str, float] = defaultdict(float)
        for text, weight in ((title, TITLE_WEIGHT), (description[:TEXT_MAX], 1.0)):
            for term in self._terms(text):
                counts[term] += weight
        length = sum(count for term, count in counts.items() if term[0] in "wg")
        norm = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * length / _LENGTH_USUAL)
        kept = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:TERMS_MAX]
        return {term: count * (_SATURATION + 1) / (count + norm) for term, count in kept}

    def question(self, words: str) -> dict[str, float]:
        """Return the terms that a question looks for, with their weights; empty if it holds no word.

        Pinyin, whole or by first letters, stands for the concepts it spells where it is no known English word.
        """
        wanted: dict[str, float] = {}
        for term in self._terms(words[:TEXT_MAX]):
            weight = {"c": _CONCEPT, "u": _UNDER, "w": _WORD, "g": _PAIR}[term[0]]
            if term[0] != "u":
                wanted[term] = max(weight, wanted.get(term, 0.0))
            if term[0] == "c":
                wanted.setdefault(f"u:{term[2:]}", _UNDER)
        if not any(term[0] == "c" for term in wanted):
            for concept, weight in self._spelled_concepts(words):
                wanted[f"c:{concept}"] = weight
                wanted.setdefault(f"u:{concept}", weight * _UNDER / _CONCEPT)
        return wanted

    def _terms(self, text: str) -> Iterator[str]:
        for run in _runs(text):
            if isinstance(run, str):
                yield from (f"g:{run[i : i + 2]}" for i in range(max(1, len(run) - 1)))
                concepts = list(self._in_signs(run))
            else:
                yield from (f"w:{word[:TERM_LENGTH_MAX]}" for word in run if word not in _SILENT)
                concepts = list(self._in_phrase(run))
            for concept in concepts:
                yield from (f"c:{part}" for part in self._parts(concept))
                yield from (f"u:{above}" for above in self._all_above(concept))

    def _parts(self, concept: str) -> tuple[str, ...]:
        """Return the concept, and where it falls under two at once, such as a spindle's temperature, those as well."""
        above = self._above.get(concept, ())
        return (concept, *above) if len(above) > 1 else (concept,)

    def _in_signs(self, run: str) -> Iterator[str]:
        start = 0
        while start < len(run):
            for end in range(min(len(run), start + _SIGNS_MAX), start, -1):
                if (concept := self._signs.get(run[start:end])) is not None:
                    yield concept
                    start = end
                    break
            else:
                start += 1

    def _in_phrase(self, words: Sequence[str]) -> Iterator[str]:
        start = 0
        while start < len(words):
            for end in range(min(len(words), start + _PHRASE_MAX), start, -1):
                if (concept := self._phrases.get(tuple(words[start:end]))) is not None:
                    yield concept
                    start = end
                    break
            else:
                start += 1

    def _all_above(self, concept: str) -> Iterator[str]:
        known, waiting = {concept}, [*self._above.get(concept, ())]
        while waiting:
            above = waiting.pop()
            if above not in known:
                known.add(above)
                yield above
                waiting += self._above.get(above, ())

    def _spelled_concepts(self, words: str) -> Iterator[tuple[str, float]]:
        """Yield the concepts of the fewest spelled names that the letters fall apart into, if they do without rest."""
        letters = "".join(re.findall(r"[a-z]+", words.lower()))[:40]
        best: list[list[str] | None] = [[]] + [None] * len(letters)
        for end in range(1, len(letters) + 1):
            for start in range(max(0, end - 24), end - 1):
                head, piece = best[start], letters[start:end]
                if head is not None and piece in self._spelled:
                    before = best[end]
                    if before is None or len(head) + 1 < len(before):
                        best[end] = [*head, piece]
        for piece in (best[-1] or []) if letters else []:
            for concept in dict.fromkeys(self._spelled[piece]):
                yield concept, _SPELLED if len(piece) > 4 else _SPELLED / 2


_MADE: dict[str, Thesaurus] = {}


def thesaurus_of(packs: Packs) -> Thesaurus:
    """Return the thesaurus in force: one for the whole process, since it never changes and is slow to make."""
    pack = packs.get("industrial-thesaurus")
    if pack.digest not in _MADE:
        _MADE[pack.digest] = Thesaurus(pack)
    return _MADE[pack.digest]


def plain(text: str) -> str:
    """Return the text in one form: compatible signs made alike, no control characters, nothing outside Unicode."""
    folded = unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode("utf-8"))
    return "".join(sign if sign.isprintable() else " " for sign in folded)


def _runs(text: str) -> Iterator[str | list[str]]:
    """Yield runs of Chinese signs as texts, and runs of Latin words between them as lists."""
    words: list[str] = []
    for run in _RUN.findall(_CAMEL.sub(" ", plain(text)).lower()):
        if "\u3400" <= run[0] <= "\u9fff":
            if words:
                yield words
                words = []
            yield run
        else:
            words.append(_stem(run))
    if words:
        yield words


def _words(name: str) -> list[str]:
    return [_stem(word) for word in re.findall(r"[a-z0-9]+", _CAMEL.sub(" ", name).lower())]


def _stem(word: str) -> str:
    """Return the word without the ending of the plural.

    >>> _stem("batteries"), _stem("pumps"), _stem("gas"), _stem("press")
    ('battery', 'pump', 'gas', 'press')
    """
    for ending, instead in _ENDINGS:
        if len(word) > len(ending) + 1 and word.endswith(ending):
            return word[: -len(ending)] + instead
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word

"""How good the classifier is, measured on a labelled set that ships with the package.

The set (`evaluation.csv`) is synthetic and was labelled by this project, so its figures say how the rules do on names
like these, traps included, and not how they do in any plant. Values are made from a seed; no real person's are used.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gongshu.govern.classify.profile import CheckRules, Profile, profile_column
from gongshu.govern.classify.propose import Classifier, SubjectMatter
from gongshu.govern.model import Proposal

FILE = Path(__file__).with_name("evaluation.csv")
SEED = 67
ROWS = 40


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled name; an empty category is not scored (the name says nothing by itself)."""

    matter: SubjectMatter
    category: str
    markers: frozenset[str]
    held_out: bool
    """Written after the dictionary was, and never used to change it."""


@dataclass(frozen=True, slots=True)
class Score:
    """Counts for one label."""

    label: str
    right: int
    wrong: int
    """Proposed, but it is something else."""
    missed: int

    @property
    def precision_ratio(self) -> float | None:
        """Right among those proposed; None if it was never proposed."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def recall_ratio(self) -> float | None:
        """Right among those that are; None if there are none."""
        return self.right / (self.right + self.missed) if self.right + self.missed else None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result on the whole set."""

    examples: int
    categories: tuple[Score, ...]
    markers: tuple[Score, ...]
    mistakes: tuple[tuple[str, str, str], ...]
    """Name, what was expected, what was proposed."""

    @property
    def category_total(self) -> Score:
        """All categories together; a proposal below the confidence the pack demands counts as missed, not as wrong."""
        return _sum("all categories", self.categories)

    @property
    def marker_total(self) -> Score:
        """All sensitive kinds together."""
        return _sum("all sensitive kinds", self.markers)


def read_examples(rules: CheckRules) -> list[Example]:
    """Return the labelled set, with values made for the columns that name a kind of values."""
    with FILE.open(encoding="utf-8", newline="") as stream:
        return [
            Example(
                SubjectMatter(
                    name=row["name"],
                    title="",
                    unit=row["unit"],
                    protocol="opcua" if row["series"] else "",
                    writable=bool(row["writable"]),
                    is_series=bool(row["series"]),
                    context=row["context"],
                    profile=_profile(row["values"], rules),
                ),
                row["category"],
                frozenset(filter(None, row["markers"].split(" "))),
                held_out=row["set"] == "held_out",
            )
            for row in csv.DictReader(stream)
        ]


def evaluate(classifier: Classifier, examples: Sequence[Example]) -> Evaluation:
    """Return precision and recall of categories and sensitive kinds, and every mistake."""
    categories: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    markers: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    mistakes = []
    for example in examples:
        proposal = classifier.propose(example.matter)
        believed = classifier.is_believed(proposal)
        if example.category:
            _count(categories, {example.category}, {proposal.category} if believed else set())
        _count(markers, example.markers, proposal.markers)
        wrong_category = example.category and (not believed or proposal.category != example.category)
        if wrong_category or set(proposal.markers) != example.markers:
            mistakes.append(
                (example.matter.name, _told(example.category, example.markers), _proposed(proposal, believed))
            )
    return Evaluation(len(examples), _scores(categories), _scores(markers), tuple(mistakes))


def _count(counts: dict[str, list[int]], expected: Iterable[str], proposed: Iterable[str]) -> None:
    expected, proposed = set(expected), set(proposed)
    for label in expected & proposed:
        counts[label][0] += 1
    for label in proposed - expected:
        counts[label][1] += 1
    for label in expected - proposed:
        counts[label][2] += 1


def _scores(counts: dict[str, list[int]]) -> tuple[Score, ...]:
    return tuple(Score(label, *counts[label]) for label in sorted(counts))


def _sum(label: str, scores: Sequence[Score]) -> Score:
    return Score(label, sum(s.right for s in scores), sum(s.wrong for s in scores), sum(s.missed for s in scores))


def _told(category: str, markers: Iterable[str]) -> str:
    return " ".join([category or "-", *sorted(markers)])


def _proposed(proposal: Proposal, believed: bool) -> str:
    return _told(proposal.category if believed else f"({proposal.category})", proposal.markers)


def _profile(kind: str, rules: CheckRules) -> Profile | None:
    if not kind:
        return None
    random = np.random.default_rng(SEED)
    numbers = [int(n) for n in random.integers(0, 10**9, ROWS)]
    return profile_column(pa.array(_MAKERS[kind](numbers, rules)), rules)


def make_id_card(number: int, rules: CheckRules) -> str:
    """Return an identity number of a region that does not exist (999999), with a right check character."""
    body = f"99999919{70 + number % 30:02d}{1 + number % 12:02d}{1 + number % 28:02d}{number % 1000:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(body, rules.id_weights, strict=True))
    return body + rules.id_checks[total % len(rules.id_checks)]


def make_uscc(number: int, rules: CheckRules) -> str:
    """Return a credit code of a region that does not exist (999999), with a right check character."""
    body = f"91999999{number % 10**9:09d}"
    total = sum(rules.uscc_alphabet.index(c) * w for c, w in zip(body, rules.uscc_weights, strict=True))
    return body + rules.uscc_alphabet[(rules.uscc_modulus - total % rules.uscc_modulus) % rules.uscc_modulus]


_MAKERS: dict[str, Callable[[list[int], CheckRules], list[str] | list[int]]] = {
    "flag01": lambda numbers, _: [n % 2 for n in numbers],
    "phones": lambda numbers, _: [f"199{n % 10**8:08d}" for n in numbers],
    "phones_int": lambda numbers, _: [19_900_000_000 + n % 10**8 for n in numbers],
    "idcards": lambda numbers, rules: [make_id_card(n, rules) for n in numbers],
    "usccs": lambda numbers, rules: [make_uscc(n, rules) for n in numbers],
    "names": lambda numbers, _: [f"合成人{n % 97:02d}" for n in numbers],
    "emails": lambda numbers, _: [f"person{n}@example.invalid" for n in numbers],
    "dates": lambda numbers, _: [f"19{70 + n % 30}-0{1 + n % 9}-1{n % 9}" for n in numbers],
    "digits16": lambda numbers, _: [f"0000{n:012d}" for n in numbers],
    "serials10": lambda numbers, _: [f"{1_000_000_000 + n}" for n in numbers],
    "ssnlike": lambda numbers, _: [f"{n % 900:03d}-{n % 89:02d}-{n % 8999:04d}" for n in numbers],
    "ips": lambda numbers, _: [f"10.0.{n % 250}.{n % 199}" for n in numbers],
    "macs": lambda numbers, _: [f"00:1B:44:{n % 90 + 10}:{n % 80 + 10}:{n % 70 + 10}" for n in numbers],
    "timestamps": lambda numbers, _: [f"2026-0{1 + n % 9}-1{n % 9}T0{n % 9}:00:00Z" for n in numbers],
    "years": lambda numbers, _: [str(2000 + n % 27) for n in numbers],
    "scn": lambda numbers, _: [f"SCN-{n % 900 + 100}" for n in numbers],
    "texts": lambda numbers, _: [f"text {n}" for n in numbers],
}

"""The grade by consequence: nine conditions of the guide of 2020 on a sheet of facts, and the levels of 2022.

Pure. The conditions, their facts and the crosswalk are data of packs; one condition is enough, the highest counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gongshu.govern.errors import FactUnknown
from gongshu.model.grade import Grade, Importance
from gongshu.packs import Pack, PackItem

FACTS: Mapping[str, tuple[str, ...]] = {
    "accident": ("none", "general", "larger", "major", "especially_serious"),
    "environment": ("none", "general", "larger", "major", "especially_serious"),
    "loss": ("small", "larger", "especially_huge"),
    "national_impact": ("none", "serious"),
    "enterprise_impact": ("small", "large"),
    "control_impact": ("small", "large"),
    "cascade": ("single", "several_enterprises", "several_regions", "several_industries"),
    "lasts_long": ("no", "yes"),
    "partners_leak": ("few", "many"),
    "personal_leak": ("few", "many"),
    "recovery": ("cheap", "costly"),
}
"""The facts that the conditions ask for, each with its values from mildest to worst."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What would follow if the data were tampered with, destroyed, leaked or misused; a fact not named is unknown."""

    values: Mapping[str, str]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Facts":
        """Return the facts.

        Raises: FactUnknown for a fact or value that the conditions do not know.
        """
        for fact, value in values.items():
            if value not in FACTS.get(fact, ()):
                known = "; ".join(f"{name}={'|'.join(choices)}" for name, choices in FACTS.items())
                raise FactUnknown(fact=fact, value=value, known=known)
        return cls({fact: str(value) for fact, value in values.items()})

    @classmethod
    def worst_of(cls, sheets: Sequence["Facts"]) -> "Facts":
        """Return one sheet that has each fact at the worst value of any.

        >>> Facts.worst_of([Facts.of({"recovery": "cheap"}), Facts.of({"recovery": "costly"})]).values
        {'recovery': 'costly'}
        """
        worst: dict[str, str] = {}
        for sheet in sheets:
            for fact, value in sheet.values.items():
                worst[fact] = max(worst.get(fact, value), value, key=FACTS[fact].index)
        return cls(worst)


@dataclass(frozen=True, slots=True)
class Fired:
    """A condition that holds, and the facts that make it hold."""

    item: PackItem
    grade: Grade
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GradeResult:
    """The grade with its reasons."""

    grade: Grade
    fired: tuple[Fired, ...]
    open: tuple[Fired, ...]
    """Conditions above the grade that facts not yet known could still fire; `facts` names those facts."""


def grade_facts(facts: Facts, guide: Pack) -> GradeResult:
    """Return the highest grade of the conditions that hold.

    Where nothing holds, the strictest grade that unknown facts leave possible counts, so silence never lowers a grade.

    Source: 工信厅信发〔2020〕6号 第三章, as items `condition.*` of the pack.
    """
    fired, still_open = [], []
    for item in guide.under("condition"):
        grade = Grade(item.value["grade"])
        alternatives = item.value["any"]
        held = [
            f"{a['fact']}={facts.values[a['fact']]}" for a in alternatives if facts.values.get(a["fact"]) in a["in"]
        ]
        unknown = [a["fact"] for a in alternatives if a["fact"] not in facts.values]
        if held:
            fired.append(Fired(item, grade, tuple(held)))
        elif unknown:
            still_open.append(Fired(item, grade, tuple(unknown)))
    if fired:
        grade = max(condition.grade for condition in fired)
    else:
        grade = max((condition.grade for condition in still_open), default=Grade.ONE)
    return GradeResult(grade, tuple(fired), tuple(c for c in still_open if c.grade > grade))


def importance_of(result: GradeResult, facts: Facts, measures: Pack) -> tuple[Importance, PackItem]:
    """Return the level of 2022 that the platform's crosswalk proposes, and the crosswalk's item.

    Only the ministry's catalogue makes data important or core; this is a screening, labelled `platform`.
    """
    item = measures.item(f"crosswalk.grade.{int(result.grade)}")
    reasons = {condition.item.key for condition in result.fired}
    if facts.values.get("cascade", "single") != "single":
        reasons.add("cascade")
    found = [Importance(level) for reason, level in item.value["when"].items() if reason in reasons]
    return max([Importance(item.value["importance"]), *found], key=lambda level: level.rank), item


def accident_class(accidents: Pack, *, deaths: int = 0, injuries: int = 0, loss_cny: float = 0) -> str:
    """Return the class of an accident by its consequences, worst first, for the fact `accident`.

    Source: 国务院令第493号 第三条, as items `class.*` of the pack.
    """
    seen = {"deaths": deaths, "injuries": injuries, "loss_cny": loss_cny}
    for item in accidents.under("class"):
        if any(seen[what] >= bound for what, bound in item.value.items()):
            return item.key.removeprefix("class.")
    return "none"


def loss_class(accidents: Pack, loss_cny: float) -> str:
    """Return the fact `loss` for a direct loss in CNY, by the platform's own bounds."""
    for name in ("especially_huge", "larger"):
        if loss_cny >= accidents.value(f"loss.{name}"):
            return name
    return "small"

"""The three factors and the index, by the formulas of the pack `iso-22400-2`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gongshu.apply.model import Figure, Term
from gongshu.packs import Pack

FACTORS = ("availability", "effectiveness", "quality_ratio")
INDEX = "oee_index"


@dataclass(frozen=True, slots=True)
class Amounts:
    """The elements of one machine and one span that the formulas take."""

    pbt_s: float
    apt_s: float
    pri_pq_s: float | None
    """None where the planned run time of some part is not known."""
    parts: int
    rejects: int

    def elements(self) -> dict[str, float | None]:
        """Return them under their keys in the pack."""
        return {
            "PBT": self.pbt_s,
            "APT": self.apt_s,
            "PRI_PQ": self.pri_pq_s,
            "PQ": float(self.parts),
            "GQ": float(self.parts - self.rejects),
        }


def evaluate(name: str, elements: Mapping[str, float | None], pack: Pack) -> float | None:
    """Return a factor's value: the product of what is over the line divided by the product of what is under it.

    None where an element is not known or there is nothing to divide by.
    """
    formula = pack.value(f"kpi.{name}")
    over, under = 1.0, 1.0
    for key in formula["over"]:
        if (value := elements[key]) is None:
            return None
        over *= value
    for key in formula["under"]:
        if (value := elements[key]) is None:
            return None
        under *= value
    return over / under if under else None


def evaluate_all(amounts: Amounts, pack: Pack) -> dict[str, float | None]:
    """Return the three factors and the index.

    Shape: keyed by `FACTORS` and `INDEX`.
    """
    elements = amounts.elements()
    values = {name: evaluate(name, elements, pack) for name in FACTORS}
    return values | {INDEX: evaluate(INDEX, values, pack)}


def open_figures(amounts: Amounts, terms: Mapping[str, Term], pack: Pack) -> dict[str, Figure]:
    """Return the factors and the index as figures with their formula and terms; `terms` come keyed as in the pack."""
    values = evaluate_all(amounts, pack)
    figures = {name: _figure(name, values[name], terms, pack) for name in FACTORS}
    as_terms = {name: _as_term(figures[name]) for name in FACTORS}
    return figures | {INDEX: _figure(INDEX, values[INDEX], as_terms, pack)}


def make_term(key: str, value: float | None, pack: Pack) -> Term:
    """Return an element of the pack as a term without sources."""
    item = pack.item(f"element.{key}")
    return Term(
        symbol=item.value["symbol"],
        title_zh=item.title_zh,
        title_en=item.title_en,
        value=value,
        unit=item.value["unit"],
        series=(),
        readings=0,
        excluded=0,
        source=item.citation,
    )


def _figure(name: str, value: float | None, terms: Mapping[str, Term], pack: Pack) -> Figure:
    item = pack.item(f"kpi.{name}")
    keys = (*item.value["over"], *item.value["under"])
    return Figure(
        name=name,
        value=value,
        title_zh=item.title_zh,
        title_en=item.title_en,
        formula=f"{item.value['symbol']} = {item.value['text']}",
        source=item.citation,
        terms=tuple(terms[key] for key in keys),
        remark=_remark(name, value, keys, terms, pack),
    )


def _remark(name: str, value: float | None, keys: tuple[str, ...], terms: Mapping[str, Term], pack: Pack) -> str:
    if value is None:
        missing = [terms[key].symbol for key in keys if terms[key].value is None]
        if missing:
            return f"not judged: {', '.join(missing)} is not known"
        return f"not judged: {terms[keys[-1]].symbol} is 0, there is nothing to divide by"
    limit = pack.value("limit.factor")
    if value > limit["most"]:
        return {
            "effectiveness": "above 1: parts came faster than planned; check the planned run time per item",
            "quality_ratio": "above 1: the count of rejected parts fell",
        }.get(name, "above 1: a factor is")
    if value < limit["least"]:
        return "below 0: more parts were rejected than counted as made; check the two counters"
    return ""


def _as_term(figure: Figure) -> Term:
    """A factor as a term of the index; its own terms are one step further down."""
    series = tuple(sorted({series_id for term in figure.terms for series_id in term.series}))
    blank = Term("", figure.title_zh, figure.title_en, figure.value, "1", series, 0, 0, figure.source)
    return replace(
        blank,
        symbol=figure.name,
        readings=sum(term.readings for term in figure.terms),
        excluded=sum(term.excluded for term in figure.terms),
    )

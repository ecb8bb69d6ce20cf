"""The indicators and numbers of the pack `reporting`, as values."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from gongshu.hub.errors import IndicatorUnknown
from gongshu.hub.model import Aggregate, Indicator
from gongshu.packs.model import Pack, Packs

PACK = "reporting"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the pack in force says about reporting and publication."""

    pack: str
    least_contributors: int
    due_days: int
    utc_offset_minutes: int
    indicators: tuple[Indicator, ...]

    def require(self, codes: Iterable[str]) -> tuple[Indicator, ...]:
        """Return the named indicators, in the order asked.

        Raises: IndicatorUnknown.
        """
        known = {indicator.code: indicator for indicator in self.indicators}
        for code in codes:
            if code not in known:
                raise IndicatorUnknown(indicator=code[:60], pack=self.pack, known=", ".join(known))
        return tuple(known[code] for code in codes)


def read_rules(packs: Packs) -> Rules:
    """Return the rules of the newest pack in force."""
    pack = packs.get(PACK)
    return Rules(
        pack=pack.reference,
        least_contributors=int(pack.value("least_contributors")),
        due_days=int(pack.value("due_days")),
        utc_offset_minutes=int(pack.value("utc_offset_minutes")),
        indicators=_indicators(pack),
    )


def round_to(value: Decimal, indicator: Indicator) -> Decimal:
    """Return the value with the indicator's number of decimals, half to even."""
    return value.quantize(Decimal(1).scaleb(-indicator.decimals), rounding=ROUND_HALF_EVEN)


def judge_value(value: Decimal | None, indicator: Indicator) -> str:
    """Return what is wrong with a value of an indicator; empty means it holds."""
    if value is None:
        return ""
    if not value.is_finite():
        return f"{indicator.code} is not a finite number"
    if not indicator.minimum <= value <= indicator.maximum:
        return f"{indicator.code} is outside {indicator.minimum} to {indicator.maximum} {indicator.unit}"
    if round_to(value, indicator) != value:
        return f"{indicator.code} has more than {indicator.decimals} decimals"
    return ""


def decimal_of(value: object) -> Decimal | None:
    """Return a query's result as a decimal; None where it is no finite number."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _indicators(pack: Pack) -> tuple[Indicator, ...]:
    return tuple(
        Indicator(
            code=item.key.removeprefix("indicator."),
            title_zh=item.title_zh,
            title_en=item.title_en,
            unit=item.value["unit"],
            decimals=int(item.value["decimals"]),
            minimum=Decimal(item.value["minimum"]),
            maximum=Decimal(item.value["maximum"]),
            aggregate=Aggregate(item.value["aggregate"]),
            weight=item.value.get("weight", ""),
            formula=item.value["formula"],
            pack=pack.reference,
        )
        for item in pack.under("indicator")
    )

"""Monthly figures of other enterprises in a synthetic province: pure data, no network, no signature.

The hub's tests and the demo sign and send them as members would. Divisions follow GB/T 4754-2017 and are chosen so that
one of them has enough contributors to be shown and others have too few.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

ENTERPRISES_MIN, ENTERPRISES_MAX = 3, 6


@dataclass(frozen=True, slots=True)
class Enterprise:
    """A fictitious member of the province."""

    party_id: str
    title: str
    division: str
    """GB/T 4754-2017, section letter and division: `C34`."""
    machines: int
    oee_mean: float


ENTERPRISES = (
    Enterprise("urn:gongshu:party:synthetic-pump", "（合成）青梧泵业 synthetic pump works", "C34", 22, 0.61),
    Enterprise("urn:gongshu:party:synthetic-valve", "（合成）白鹭阀门 synthetic valve works", "C34", 35, 0.57),
    Enterprise("urn:gongshu:party:synthetic-bearing", "（合成）长汀轴承 synthetic bearing works", "C34", 58, 0.68),
    Enterprise("urn:gongshu:party:synthetic-parts", "（合成）海岱汽配 synthetic car parts", "C36", 41, 0.64),
    Enterprise("urn:gongshu:party:synthetic-press", "（合成）石桥压机 synthetic press works", "C35", 17, 0.52),
    Enterprise("urn:gongshu:party:synthetic-forge", "（合成）北固锻造 synthetic forge", "C33", 26, 0.49),
)


@dataclass(frozen=True, slots=True)
class MonthlyFigures:
    """One enterprise's figures of one month."""

    enterprise: Enterprise
    period: str
    """`2026-10`."""
    values: Mapping[str, Decimal]
    """By indicator of the pack `reporting`: parts_produced, running_time (h), energy (kW.h), oee (0..1)."""


def make_months(*, seed: int, periods: tuple[str, ...], count: int = 5) -> list[MonthlyFigures]:
    """Return figures for each of the first `count` enterprises and each period.

    Shape: enterprise by enterprise, periods in the order given; the same seed gives the same figures.
    Raises: ValueError unless `count` is 3 to 6.
    """
    if not ENTERPRISES_MIN <= count <= ENTERPRISES_MAX:
        raise ValueError(f"count is {count}, it must be {ENTERPRISES_MIN} to {ENTERPRISES_MAX}")
    return [
        _month(enterprise, period, np.random.default_rng((seed, number, month)))
        for number, enterprise in enumerate(ENTERPRISES[:count])
        for month, period in enumerate(periods)
    ]


def _month(enterprise: Enterprise, period: str, random: np.random.Generator) -> MonthlyFigures:
    hours = enterprise.machines * 352.0 * (0.55 + 0.2 * random.random())
    oee = min(max(enterprise.oee_mean + 0.05 * random.standard_normal(), 0.05), 0.95)
    parts = hours * (32.0 + 12.0 * random.random())
    energy = hours * (5.5 + 2.0 * random.random())
    return MonthlyFigures(
        enterprise,
        period,
        {
            "parts_produced": Decimal(round(parts)),
            "running_time": Decimal(f"{hours:.2f}"),
            "energy": Decimal(f"{energy:.1f}"),
            "oee": Decimal(f"{oee:.4f}"),
        },
    )

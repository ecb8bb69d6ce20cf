"""What is left of a contract, in words."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gongshu.console.pages.agreements import left_text


@pytest.mark.parametrize(
    ("days", "said"), [(30.4, "days=30"), (1.0, "days=1"), (0.3, "days=0.3"), (0.04, "days=0.04"), (0.0, "over")]
)
def test_a_contract_in_its_last_day_is_not_said_to_have_none_left(days: float, said: str) -> None:
    def t(key: str, **values: object) -> str:
        return " ".join([key.rsplit(".", 1)[1], *(f"{name}={value}" for name, value in values.items())])

    view = SimpleNamespace(t=t, join=", ".join, node=SimpleNamespace(clock=lambda: None))
    terms = SimpleNamespace(uses_max=2)
    agreement = SimpleNamespace(status="active", uses=0, uses_left=2, terms=terms, days_left=lambda _: days)
    assert left_text(cast(Any, view), cast(Any, agreement)).endswith(said)

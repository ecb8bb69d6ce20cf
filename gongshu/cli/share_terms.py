"""The options by which `gongshu share` takes the terms of a contract, and the terms that they make."""

import re
from collections.abc import Callable
from datetime import date, datetime, tzinfo
from typing import Annotated

import typer

from gongshu.cli.session import home_folder
from gongshu.config import read_config
from gongshu.model.ids import PartyId
from gongshu.share.days import day_begin, day_end
from gongshu.share.terms import Comparison, Operation, Payment, RowCondition, Terms

To = Annotated[list[str] | None, typer.Option("--to", help="Only this party may use it; repeat it")]
Until = Annotated[str, typer.Option(help="Last day of use, as 2027-12-31, in Beijing time (utc_offset_minutes)")]
Uses = Annotated[
    int | None, typer.Option(min=1, help="How many times data may be fetched; another contract begins anew")
]
Purpose = Annotated[list[str] | None, typer.Option(help="Only for this purpose; repeat it")]
Column = Annotated[list[str] | None, typer.Option(help="Only this column; repeat it")]
Rows = Annotated[int | None, typer.Option(min=1, help="At most so many rows each time")]
Free = Annotated[bool, typer.Option("--unrestricted", help="Declare that nothing is restricted")]
Group = Annotated[list[str] | None, typer.Option("--group", help="Only members of this group; repeat it")]
Since = Annotated[str, typer.Option("--from", help="First day of use, as 2027-01-01, in Beijing time")]
Lasting = Annotated[str, typer.Option("--for", help="Use ends so long after the agreement: 30d, 12h, 90m")]
Place = Annotated[list[str] | None, typer.Option("--place", help="Only in this place, as CN or CN-33; repeat it")]
Connector = Annotated[list[str] | None, typer.Option("--connector", help="Only through the key sha256:…; repeat it")]
Where = Annotated[list[str] | None, typer.Option("--where", help='Only rows where, as "quantity >= 5"; repeat it')]
Do = Annotated[list[Operation] | None, typer.Option("--operation", help="Only to do this; repeat it")]
Smallest = Annotated[
    int | None, typer.Option("--smallest-group", min=2, help="Only aggregates leave, of groups with so many rows")
]
Delete = Annotated[str, typer.Option("--delete-after", help="Copies are deleted so long after delivery: 30d")]
Notify = Annotated[list[str] | None, typer.Option("--notify", help="This party gets a notice of each use; repeat it")]
NoOnward = Annotated[bool, typer.Option("--no-onward", help="What was received is not handed on")]
Price = Annotated[str, typer.Option("--payment", help='Paid before the first transfer, as "1200.00 CNY"')]
LegalOnly = Annotated[
    list[str] | None, typer.Option("--legal-only", help="A partner's node need not be able to keep this term")
]

_SIGNS = {
    ">=": Comparison.AT_LEAST,
    "<=": Comparison.AT_MOST,
    "!=": Comparison.UNEQUAL,
    ">": Comparison.ABOVE,
    "<": Comparison.BELOW,
    "=": Comparison.EQUAL,
    "in": Comparison.AMONG,
}
_WHERE = re.compile(r"(.+?)\s+(>=|<=|!=|>|<|=|in)\s+(.+)", re.DOTALL)
_SPAN = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LEGAL = {"delete-after": "delete_after_s", "no-onward": "no_onward"}


def last_moment(text: str, option: str) -> datetime | None:
    """Return the end of a day of this node's zone, None for no text. Raises: typer.BadParameter, ConfigMissing."""
    return _moment(day_end, text, option)


def first_moment(text: str, option: str) -> datetime | None:
    """Return the begin of a day of this node's zone, None for no text. Raises: typer.BadParameter, ConfigMissing."""
    return _moment(day_begin, text, option)


def _moment(of_day: Callable[[date, tzinfo], datetime], text: str, option: str) -> datetime | None:
    try:
        return of_day(date.fromisoformat(text), read_config(home_folder()).zone) if text else None
    except (ValueError, OverflowError) as cause:
        raise typer.BadParameter(f"{text!r} is no day; write it as 2027-12-31", param_hint=option) from cause


def span_seconds(text: str, option: str) -> int | None:
    """Return a length of time in seconds. Raises: typer.BadParameter.

    >>> span_seconds("2d", "--for")
    172800
    """
    match = _SPAN.fullmatch(text) if text else None
    if text and match is None:
        raise typer.BadParameter(f"{text!r} is no length of time; write it as 30d, 12h or 90m", param_hint=option)
    return int(match[1]) * _SECONDS[match[2]] if match else None


def row_condition(text: str) -> RowCondition:
    """Return a condition on rows. Raises: typer.BadParameter.

    >>> sorted(row_condition("part in P-1, P-2").values)
    ['P-1', 'P-2']
    """
    match = _WHERE.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f'{text!r} is no condition; write it as "quantity >= 5"', param_hint="--where")
    column, sign, value = match.groups()
    values = [part.strip() for part in value.split(",")] if sign == "in" else [value.strip()]
    return RowCondition(column.strip(), _SIGNS[sign], frozenset(values))


def payment_of(text: str) -> Payment | None:
    """Return what is to be paid. Raises: typer.BadParameter."""
    amount, space, currency = text.strip().partition(" ")
    if text and not space:
        raise typer.BadParameter(f'{text!r} is no payment; write it as "1200.00 CNY"', param_hint="--payment")
    return Payment(amount, currency.strip()) if text else None


def legal_only(names: list[str] | None) -> frozenset[str]:
    """Return the terms left to law. Raises: typer.BadParameter."""
    unknown = sorted(set(names or ()) - set(_LEGAL))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of {', '.join(_LEGAL)}", param_hint="--legal-only")
    return frozenset(_LEGAL[name] for name in names or ())


def parties_of(names: list[str] | None) -> frozenset[PartyId]:
    """Return party ids."""
    return frozenset(PartyId(name) for name in names or ())


def describe(terms: Terms | None, obstacle: str = "") -> str:
    """Return terms on one line, each with the class by which it comes true."""
    from gongshu.share.contract_words import describe_class, describe_term
    from gongshu.share.enforcement import enforcement_of

    if terms is None:
        return obstacle
    said = [f"{describe_term(terms, c.term, 'en')} ({describe_class(c, 'en')})" for c in enforcement_of(terms)]
    return " ".join(said) or "Nothing is restricted."

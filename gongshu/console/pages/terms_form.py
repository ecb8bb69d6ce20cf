"""Terms of a contract as a form: eight groups that a product owner thinks in, and what was typed as terms."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import View
from gongshu.console.widgets import text
from gongshu.model.ids import PartyId
from gongshu.share.days import day_begin, day_end
from gongshu.share.terms import Comparison, Operation, Payment, RowCondition, Terms

USUAL_DAYS = 90
"""Proposed length of an offer. Ours."""
_SPAN = re.compile(r"([1-9][0-9]{0,8}) ?([smhd]?)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "": 86_400}
_COMMAS = re.compile(r"[,，、]")
BEGIN, END = time.min, time.max
"""Of a day of the node's zone: where terms that name a day begin and end."""


class TermsForm:
    """Every term that this platform keeps; what is left empty does not restrict."""

    def __init__(
        self,
        view: View,
        columns: Sequence[str],
        parties: Mapping[str, str],
        *,
        groups: Mapping[str, str] | None = None,
        keys: Mapping[str, str] | None = None,
        begin: Terms | None = None,
        chosen: Collection[PartyId] = (),
        changed: Callable[[], object] = lambda: None,
    ) -> None:
        """Build the fields, filled from the terms `begin`; without any, for the parties `chosen` and the usual time."""
        first, self._zone = begin or Terms(until=_usual_end(view), parties=frozenset(chosen)), view.node.config.zone
        self._view, self._changed = view, changed
        self._columns = list(dict.fromkeys([*columns, *sorted(first.columns | {c.column for c in first.rows_where})]))
        self._conditions: list[tuple[ui.select, ui.select, ui.input]] = []
        people = {str(party): str(party) for party in first.parties | first.notify} | dict(parties)
        with self._group("who"):
            self._parties = self._choice("parties", people, first.parties)
            self._groups = self._choice("groups", dict.fromkeys(first.groups) | dict(groups or {}), first.groups)
            self._places = self._line("places", "CN-33, CN-31", _joined(first.places))
            named = {key: f"{key[:15]}…" for key in first.connectors} | dict(keys or {})
            self._keys = self._choice("connectors", named, first.connectors)
        with self._group("how_long"):
            self._from = self._hinted("from", "2027-01-31", day_text(first.not_before, BEGIN, self._zone))
            self._until = self._hinted("until", "2027-12-31", day_text(first.until, END, self._zone))
            self._lasting = self._line("lasting", "30d", span_text(first.duration_s))
        with self._group("how_often"):
            self._uses = self._hinted("uses", "5", str(first.uses_max or ""))
        with self._group("what_for"):
            self._purposes = self._line("purposes", "quality, maintenance", _joined(first.purposes))
        with self._group("which_part"):
            self._only = self._choice("columns", {name: name for name in self._columns}, first.columns)
            self._rows = self._line("rows", "1000", str(first.rows_max or ""))
            self._where = ui.element("div").classes("gs-stack wide")
            self._add = ui.button(view.t("terms.add_condition"), on_click=lambda: self._add_condition())
            self._add.props("flat dense color=primary icon=add").classes("gs-start")
            for condition in sorted(first.rows_where, key=lambda each: (each.column, each.comparison)):
                self._add_condition(condition)
        with self._group("what_done"):
            allowed = first.operations or frozenset(Operation)
            figures = {False: view.t("terms.as_rows"), True: view.t("terms.as_figures")}
            self._figures = ui.select(
                figures, label=view.t("terms.shape_label"), value=Operation.READ not in allowed, on_change=self._change
            )
            self._figures.props("outlined dense options-dense data-test=shape")
            self._smallest = self._line("smallest", "10", str(first.aggregate_min or 10))
            self._smallest.bind_visibility_from(self._figures, "value")
            self._derive = self._flag("derive", value=Operation.DERIVE in allowed)
            self._export = self._flag("export", value=Operation.EXPORT in allowed)
        with self._group("afterwards"):
            self._delete = self._line("delete", "30d", span_text(first.delete_after_s))
            self._notify = self._choice("notify", people, first.notify)
            self._no_onward = self._flag("no_onward", value=first.no_onward)
            self._promise = self._flag("promise", value=bool(first.legal_only))
        with self._group("money"):
            self._amount = self._line("amount", "1200.00", first.payment.amount if first.payment else "")
            self._currency = self._line("currency", "CNY", first.payment.currency if first.payment else "CNY")
        self._free = self._flag("unrestricted", value=first.unrestricted)

    def read(self) -> Terms:
        """Return the terms that were typed.

        Raises: FieldWrong.
        """
        no_onward, delete_after = bool(self._no_onward.value), self._span("delete", self._delete)
        left = {"no_onward": no_onward, "delete_after_s": delete_after is not None}
        figures = bool(self._figures.value)
        return Terms(
            parties=_parties(self._parties.value),
            until=self._moment("until", self._until, END),
            uses_max=self._count("uses", self._uses),
            purposes=self._several("purposes", self._purposes),
            columns=frozenset(self._only.value or ()),
            rows_max=self._count("rows", self._rows),
            unrestricted=bool(self._free.value),
            groups=frozenset(self._groups.value or ()),
            not_before=self._moment("from", self._from, BEGIN),
            duration_s=self._span("lasting", self._lasting),
            places=self._several("places", self._places),
            connectors=frozenset(self._keys.value or ()),
            rows_where=frozenset(self._read_conditions()),
            operations=operations_of(figures=figures, derive=bool(self._derive.value), export=bool(self._export.value)),
            aggregate_min=self._count("smallest", self._smallest) if figures else None,
            delete_after_s=delete_after,
            notify=_parties(self._notify.value),
            no_onward=no_onward,
            payment=self._payment(),
            legal_only=frozenset(name for name, is_there in left.items() if is_there and self._promise.value),
        )

    # ---- fields -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _group(self, name: str) -> Iterator[None]:
        with ui.element("fieldset").classes("gs-terms"):
            text(self._view.t(f"terms_group.{name}"), "legend")
            with ui.element("div").classes("gs-form"):
                yield

    def _change(self) -> None:
        self._changed()

    def _line(self, name: str, example: str, value: str = "") -> ui.input:
        field = ui.input(self._view.t(f"terms.{name}_label"), value=value, placeholder=example)
        return field.props(f"outlined dense data-test={name}").on("change", self._change)

    def _hinted(self, name: str, example: str, value: str) -> ui.input:
        hint = self._view.t(f"terms.{name}_hint", zone=self._view.zone)
        return self._line(name, example, value).props(f'hint="{hint}"')

    def _choice(self, name: str, choices: Mapping[str, str | None], chosen: Collection[str] = ()) -> ui.select:
        label, said = self._view.t(f"terms.{name}_label"), {key: title or key for key, title in choices.items()}
        field = ui.select(said, label=label, multiple=True, value=sorted(chosen), on_change=self._change)
        field.props(f"outlined dense use-chips clearable options-dense data-test={name}")
        if not choices:
            field.disable()
        return field

    def _flag(self, name: str, *, value: bool = False) -> ui.checkbox:
        field = ui.checkbox(self._view.t(f"terms.{name}_label"), value=value, on_change=self._change)
        return field.props(f"dense data-test={name}")

    def _add_condition(self, begin: RowCondition | None = None) -> None:
        comparisons = {each.value: self._view.t(f"comparison.{each.value}") for each in Comparison}
        with self._where, ui.element("div").classes("gs-row") as row:
            label, first = self._view.t("terms.condition_column"), begin.column if begin else None
            column = ui.select(self._columns, label=label, value=first, on_change=self._change)
            first_how = begin.comparison if begin else Comparison.EQUAL
            how = ui.select(comparisons, value=first_how.value, on_change=self._change)
            value = ui.input(self._view.t("terms.condition_value"), value=_joined(begin.values) if begin else "")
            value.on("change", self._change)
            for field in (column, how, value):
                field.props("outlined dense options-dense").style("min-width: 120px; flex: 1")
            condition = (column, how, value)
            self._conditions.append(condition)

            def remove() -> None:
                self._conditions.remove(condition)
                row.delete()
                self._change()

            button = ui.button(icon="close", on_click=remove).props("flat dense round color=primary")
            button.props(f'aria-label="{self._view.t("terms.remove_condition")}"')

    # ---- reading ----------------------------------------------------------------------------------------------------

    def _wrong(self, name: str, expected: str) -> FieldWrong:
        return FieldWrong(field=self._view.t(f"terms.{name}_label"), expected=expected)

    def _moment(self, name: str, field: ui.input, of_day: time) -> datetime | None:
        typed = (field.value or "").strip()
        try:
            if "T" in typed:
                moment = datetime.fromisoformat(typed)
                return (moment if moment.tzinfo else moment.replace(tzinfo=self._zone)).astimezone(UTC)
            if not typed:
                return None
            return (day_begin if of_day == BEGIN else day_end)(date.fromisoformat(typed), self._zone)
        except (ValueError, OverflowError):
            raise self._wrong(name, "a day as 2027-12-31") from None

    def _several(self, name: str, field: ui.input) -> frozenset[str]:
        """Return the words between the commas; commas alone would drop the term that somebody began to type."""
        words = _words(field.value)
        if not words and (field.value or "").strip():
            raise self._wrong(name, "words between the commas")
        return words

    def _count(self, name: str, field: ui.input) -> int | None:
        typed = (field.value or "").strip()
        if not typed:
            return None
        if not (typed.isascii() and typed.isdecimal() and 0 < int(typed[:12]) < 10**9):
            raise self._wrong(name, "a whole number above 0")
        return int(typed)

    def _span(self, name: str, field: ui.input) -> int | None:
        typed = (field.value or "").strip()
        match = _SPAN.fullmatch(typed)
        if typed and match is None:
            raise self._wrong(name, "a length of time as 30d, 12h or 90m")
        return int(match[1]) * _SECONDS[match[2]] if match else None

    def _read_conditions(self) -> Iterator[RowCondition]:
        for column, how, value in self._conditions:
            if not column.value or not (value.value or "").strip():
                raise FieldWrong(field=self._view.t("terms.condition_column"), expected="a column and a value")
            comparison = Comparison(how.value)
            values = _words(value.value) if comparison is Comparison.AMONG else frozenset({value.value.strip()})
            yield RowCondition(column.value, comparison, values)

    def _payment(self) -> Payment | None:
        amount = (self._amount.value or "").strip()
        return Payment(amount, (self._currency.value or "").strip().upper()) if amount else None


def operations_of(*, figures: bool, derive: bool, export: bool) -> frozenset[Operation]:
    """Return the operations that are left; none named where all are allowed.

    >>> sorted(each.value for each in operations_of(figures=False, derive=True, export=False))
    ['aggregate', 'derive', 'read']
    """
    if not figures and derive and export:
        return frozenset()
    left = {Operation.AGGREGATE} if figures else {Operation.READ, Operation.AGGREGATE}
    return frozenset(left | ({Operation.DERIVE} if derive else set()) | ({Operation.EXPORT} if export else set()))


def _words(typed: Any) -> frozenset[str]:
    return frozenset(word.strip() for word in _COMMAS.split(typed or "") if word.strip())


def _parties(chosen: Any) -> frozenset[PartyId]:
    return frozenset(PartyId(party) for party in chosen or ())


def _joined(words: Collection[str]) -> str:
    return ", ".join(sorted(words))


def _usual_end(view: View) -> datetime:
    zone = view.node.config.zone
    return day_end((view.node.clock() + timedelta(days=USUAL_DAYS)).astimezone(zone).date(), zone)


def day_text(moment: datetime | None, of_day: time, zone: tzinfo) -> str:
    """Return a moment as a person types it: the day alone, where it is the day's begin or end that is meant.

    >>> day_text(datetime(2027, 1, 2, tzinfo=UTC), BEGIN, UTC)
    '2027-01-02'
    >>> day_text(datetime(2027, 1, 2, tzinfo=UTC), END, UTC)
    '2027-01-02T00:00:00+00:00'
    """
    if moment is None:
        return ""
    local = moment.astimezone(zone)
    return local.date().isoformat() if local.time() == of_day else local.isoformat()


def span_text(seconds: int | None) -> str:
    """Return a length of time as a person types it, in the largest unit that fits.

    >>> span_text(2_592_000), span_text(5400), span_text(61), span_text(None)
    ('30d', '90m', '61s', '')
    """
    if seconds is None:
        return ""
    unit, length = next((u, n) for u, n in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)) if seconds % n == 0)
    return f"{seconds // length}{unit}"

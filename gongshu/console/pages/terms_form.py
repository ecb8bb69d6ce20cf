"""Terms of a contract as a form, and as words."""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import View
from gongshu.console.texts import Language
from gongshu.console.widgets import time_html
from gongshu.model.ids import PartyId
from gongshu.share.contract_words import Language as Words
from gongshu.share.contract_words import describe_term
from gongshu.share.enforcement import enforcement_of
from gongshu.share.terms import Terms

_SHOWN_ABOVE = frozenset({"parties", "until", "uses_max", "purposes", "columns", "rows_max"})


def terms_html(view: View, terms: Terms | None, names: Mapping[str, str] | None = None) -> str:
    """Return terms in words, one a line; nothing that restricts is left out."""
    if terms is None:
        return ""
    lines = []
    if terms.parties:
        who = [(names or {}).get(party, party) for party in sorted(terms.parties)]
        lines.append(f"{view.t('terms.parties')} {html.escape(view.join(who))}")
    if terms.until:
        lines.append(f"{view.t('terms.until')} {time_html(terms.until)}")
    if terms.uses_max is not None:
        lines.append(view.t("terms.uses", count=terms.uses_max))
    if terms.purposes:
        lines.append(f"{view.t('terms.purposes')} {html.escape(view.join(sorted(terms.purposes)))}")
    if terms.columns:
        lines.append(f"{view.t('terms.columns')} {html.escape(view.join(sorted(terms.columns)))}")
    if terms.rows_max is not None:
        lines.append(view.t("terms.rows", count=terms.rows_max))
    language: Words = "zh" if view.taste.language is Language.ZH else "en"
    others = [clause.term for clause in enforcement_of(terms) if clause.term not in _SHOWN_ABOVE]
    lines += [html.escape(describe_term(terms, name, language)) for name in others]
    return "<br>".join(lines) or view.t("terms.none")


class TermsForm:
    """The five terms that bind at the provider, and a bound on rows."""

    def __init__(self, view: View, columns: Sequence[str], parties: Mapping[str, str]) -> None:
        with ui.element("div").classes("gs-form"):
            self._parties = ui.select(dict(parties), label=view.t("terms.parties_label"), multiple=True)
            self._parties.props("outlined dense use-chips clearable data-test=parties")
            until = (view.node.clock() + timedelta(days=90)).date().isoformat()
            self._until = ui.input(view.t("terms.until_label"), value=until).props("outlined dense data-test=until")
            self._uses = ui.input(view.t("terms.uses_label")).props("outlined dense data-test=uses")
            self._purposes = ui.input(view.t("terms.purposes_label")).props("outlined dense data-test=purposes")
            self._columns = ui.select(list(columns), label=view.t("terms.columns_label"), multiple=True)
            self._columns.props("outlined dense use-chips clearable")
            self._rows = ui.input(view.t("terms.rows_label")).props("outlined dense")

    def read(self) -> Terms:
        """Return the terms that were typed.

        Raises: FieldWrong.
        """
        purposes = (self._purposes.value or "").replace("，", ",").split(",")
        return Terms(
            parties=frozenset(PartyId(party) for party in self._parties.value or ()),
            until=_end_of_day(self._until.value or ""),
            uses_max=_count(self._uses.value or "", "uses"),
            purposes=frozenset(p.strip() for p in purposes if p.strip()),
            columns=frozenset(self._columns.value or ()),
            rows_max=_count(self._rows.value or "", "rows"),
        )


def _end_of_day(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.combine(date.fromisoformat(text.strip()), time(23, 59, 59), UTC)
    except ValueError:
        raise FieldWrong(field="until", expected="a day as 2027-12-31") from None


def _count(text: str, field: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal() or not 0 < int(text) < 10**9:
        raise FieldWrong(field=field, expected="a whole number above 0")
    return int(text)

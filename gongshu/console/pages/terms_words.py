"""Terms of a contract in the reader's language, each with who makes it come true."""

import html
from collections.abc import Mapping

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.texts import Language
from gongshu.console.widgets import chip_html, time_html
from gongshu.share.contract_words import Language as Words
from gongshu.share.contract_words import describe_term
from gongshu.share.enforcement import Enforcement, enforcement_of
from gongshu.share.terms import Terms

CLASS_KIND = {
    Enforcement.HARD: "good",
    Enforcement.HARD_BOTH: "accent",
    Enforcement.ATTESTED: "warn",
    Enforcement.LEGAL: "plain",
}
_BY_PARTY = frozenset({"parties", "notify"})
_BY_TIME = frozenset({"until", "not_before"})


def words_of(view: View) -> Words:
    """Return the reader's language as the words of contracts name it."""
    return "zh" if view.taste.language is Language.ZH else "en"


def class_html(view: View, enforcement: Enforcement) -> str:
    """Return the markup of an enforcement class."""
    return chip_html(view.t(f"enforcement.{enforcement.value}"), CLASS_KIND[enforcement])


def sentences(view: View, terms: Terms, names: Mapping[str, str]) -> dict[str, str]:
    """Return the markup of one sentence for each term that restricts, with parties by name and times in their zone."""
    found = {}
    for name in (clause.term for clause in enforcement_of(terms)):
        said, value = html.escape(describe_term(terms, name, words_of(view))), getattr(terms, name)
        if name in _BY_PARTY:
            for party in sorted(value, key=len, reverse=True):
                said = said.replace(html.escape(party), html.escape(names.get(party, party)))
        elif name in _BY_TIME:
            said = said.replace(
                f"{value:%Y-%m-%d %H:%M:%S} UTC", time_html(value).replace("<time ", '<time class="short" ')
            )
        elif name == "connectors":
            for key in value:
                said = said.replace(key, f"<code>{key[:15]}…</code>")
        found[name] = said
    return found


def terms_html(view: View, terms: Terms | None, names: Mapping[str, str] | None = None) -> str:
    """Return terms in words, one a line; nothing that restricts is left out."""
    if terms is None:
        return ""
    return "<br>".join(sentences(view, terms, names or {}).values()) or view.t("terms.none")


def clauses_html(view: View, terms: Terms, names: Mapping[str, str], *, copies: bool = False) -> str:
    """Return terms in words, each with its class for access and, if asked for, for what was received."""
    said = sentences(view, terms, names)
    if not said:
        return f"<p>{html.escape(view.t('terms.none'))}</p>"
    rows = []
    for clause in enforcement_of(terms):
        received = class_html(view, clause.copies) if clause.copies else "–"
        last = f"<td>{received}</td>" if copies else ""
        rows.append(f"<tr><td>{said[clause.term]}</td><td>{class_html(view, clause.enforcement)}</td>{last}</tr>")
    names_of = ("term", "at_access", "at_copies") if copies else ()
    heads = "".join(f"<th>{html.escape(view.t(f'terms.{name}'))}</th>" for name in names_of)
    head = f"<thead><tr>{heads}</tr></thead>" if heads else ""
    return f'<table class="gs-clauses">{head}<tbody>{"".join(rows)}</tbody></table>'


def show_clauses(view: View, terms: Terms, names: Mapping[str, str], *, copies: bool = False) -> None:
    """Show terms in words with their classes."""
    ui.html(clauses_html(view, terms, names, copies=copies), sanitize=False).classes("gs-full")

"""What pages are made of: panels, figures, chips, times, tables, notices and empty states, each the same everywhere."""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nicegui import ui

from gongshu.errors import Conflict, GongshuError, InvalidInput, NotAuthenticated, NotFound, Refused
from gongshu.model.grade import GradeLabel, GradeStanding

if TYPE_CHECKING:
    from gongshu.console.frame import View

Row = Mapping[str, Any]


def title(view: "View", key: str, question: str = "") -> None:
    """Show the page's name and the one question that it answers."""
    with ui.element("div").classes("gs-title"):
        text(view.t(key), "h1")
        if question:
            text(view.t(question), "p")


def text(words: str, tag: str = "div") -> ui.html:
    """Show plain words as an element of this tag."""
    return ui.html(html.escape(words), sanitize=False, tag=tag)


@contextmanager
def panel(heading: str, hint: str = "", *, span: str = "") -> Iterator[ui.element]:
    """Open a panel with its heading; `span` is a class of the twelve-column grid."""
    with ui.element("section").classes(f"gs-panel {span}") as section:
        if heading:
            with ui.element("header"):
                text(heading, "h2")
                if hint:
                    text(hint, "p")
        yield section


def grid(*, even: bool = False) -> ui.element:
    """Return the twelve-column grid; `even` gives panels of a row the same height."""
    return ui.element("div").classes("gs-grid even" if even else "gs-grid")


def figure(label: str, value: str, unit: str = "", hint: str = "") -> ui.html:
    """Show one number with its unit and what stands behind it; returns the element, so that it can be renewed."""
    return ui.html(figure_html(label, value, unit, hint), sanitize=False)


def figure_html(label: str, value: str, unit: str = "", hint: str = "") -> str:
    """Return the markup of a figure."""
    small = f'<span class="hint">{html.escape(hint)}</span>' if hint else ""
    tail = f'<span class="unit">{html.escape(unit)}</span>' if unit else ""
    return (
        f'<div class="gs-figure"><span class="label">{html.escape(label)}</span>'
        f'<span class="value">{html.escape(value)}{tail}</span>{small}</div>'
    )


def chip_html(text: str, kind: str) -> str:
    """Return the markup of a word with a colour; the colour never stands alone."""
    return f'<span class="gs-chip {kind}">{html.escape(text)}</span>'


def chip(text: str, kind: str = "plain") -> None:
    """Show a word with a colour."""
    ui.html(chip_html(text, kind), sanitize=False)


def grade_html(view: "View", label: GradeLabel) -> str:
    """Return the markup of a grade by both schemes, and whether a person stands behind it."""
    words = f"{view.t(f'grade.{int(label.grade)}')} · {view.t(f'importance.{label.importance.value}')}"
    standing = chip_html(view.t(f"standing.{label.standing.value}"), _STANDING[label.standing])
    return f"{chip_html(words, f'grade-{int(label.grade)} solid')} {standing}"


_STANDING = {GradeStanding.PROPOSED: "plain", GradeStanding.CONFIRMED: "good", GradeStanding.EXPIRED: "warn"}


def time_html(moment: datetime | None) -> str:
    """Return the markup of a time: the reader's zone, with UTC on hover; nothing for None."""
    if moment is None:
        return ""
    iso = moment.isoformat(timespec="seconds")
    return f'<time datetime="{iso}">{iso}</time>'


def choice(options: Mapping[str, str], label: str, value: str) -> ui.select:
    """Show a choice of one value; its words are markup, so that times can be in them: escape what is not ours."""
    chosen = ui.select(dict(options), label=label, value=value)
    return chosen.props("outlined dense options-dense options-html display-value-html")


def facts(rows: Sequence[tuple[str, str]]) -> None:
    """Show pairs of name and value; values are markup, escape what is not ours."""
    pairs = "".join(f"<dt>{html.escape(name)}</dt><dd>{value}</dd>" for name, value in rows)
    ui.html(f'<dl class="gs-facts">{pairs}</dl>', sanitize=False)


def table(
    view: "View",
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Row],
    *,
    key: str,
    markup: Sequence[str] = (),
    numbers: Sequence[str] = (),
    wrap: Sequence[str] = (),
    wide_only: Sequence[str] = (),
    open_at: Callable[[Row], str] | None = None,
    page_size: int = 20,
    selection: bool = False,
) -> ui.table:
    """Show rows: `markup` columns hold our own HTML, `numbers` stand right, `open_at` links the first column.

    `wrap` columns break their lines; `wide_only` ones are left out on narrow screens, their page's detail has them.
    """
    definitions = [
        {
            "name": name,
            "label": label,
            "field": name,
            "align": "right" if name in numbers else "left",
            "sortable": bool(label) and name not in markup,
            "classes": _classes(name, wrap, wide_only),
            "headerClasses": _classes(name, (), wide_only),
        }
        for name, label in columns
    ]
    shown = ui.table(
        columns=definitions, rows=[], row_key=key, pagination=page_size, selection="multiple" if selection else None
    ).props("flat dense")
    shown.props(""":pagination-label="(first, last, all) => first + '–' + last + ' / ' + all" """)
    shown.props(f'no-data-label="{view.t("table.empty")}" rows-per-page-label="{view.t("table.rows")}"')
    for name in markup:
        shown.add_slot(f"body-cell-{name}", '<q-td :props="props"><span v-html="props.value"></span></q-td>')
    if open_at is not None:
        link = '<q-td :props="props"><a :href="props.row._to">{{ props.value }}</a></q-td>'
        shown.add_slot(f"body-cell-{columns[0][0]}", link)
    fill(shown, rows, open_at=open_at)
    return shown


def fill(shown: ui.table, rows: Sequence[Row], *, open_at: Callable[[Row], str] | None = None) -> None:
    """Replace a table's rows; its foot is there while there is something to turn, or nothing at all.

    Cost: nothing is sent to the browser while the rows stay the same.
    """
    new = [{**row, "_to": open_at(row)} if open_at is not None else dict(row) for row in rows]
    if new == shown.rows:
        return
    page_size = int(shown.pagination["rowsPerPage"])
    shown.rows = new
    shown.props.set_bool("hide-bottom", 0 < len(rows) <= page_size)
    shown.update()


def _classes(name: str, wrap: Sequence[str], wide_only: Sequence[str]) -> str:
    return " ".join(word for word, names in (("wrap", wrap), ("gs-wide-only", wide_only)) if name in names)


def error_notice(view: "View", error: GongshuError) -> None:
    """Show an error: what kind it is, and what was said, which ends with what helps."""
    kind = next((name for branch, name in _BRANCHES if isinstance(error, branch)), "failed")
    notice(view.t(f"error.{kind}"), view.said(error), error.code)


_BRANCHES = (
    (InvalidInput, "input"),
    (NotAuthenticated, "signed_out"),
    (Refused, "refused"),
    (NotFound, "missing"),
    (Conflict, "conflict"),
)


def notice(heading: str, text: str = "", code: str = "", *, kind: str = "bad") -> None:
    """Show a message that stays on the page."""
    tail = f' <code class="gs-muted">{html.escape(code)}</code>' if code else ""
    body = f"<p>{html.escape(text)}{tail}</p>" if text else ""
    ui.html(
        f'<div class="gs-notice {kind}" role="alert"><strong>{html.escape(heading)}</strong>{body}</div>',
        sanitize=False,
    )


def empty(view: "View", key: str, *, command: str = "", to: Mapping[str, str] | None = None) -> None:
    """Show what to do first where there is nothing yet: texts `<key>.title` and `<key>.step`.

    `to` are the pages where it is done: their addresses, and the names of their titles' texts.
    """
    with ui.element("div").classes("gs-empty"):
        ui.html(f"<strong>{html.escape(view.t(f'{key}.title'))}</strong>", sanitize=False)
        ui.label(view.t(f"{key}.step"))
        if command:
            ui.html(f"<code>{html.escape(command)}</code>", sanitize=False)
        with ui.element("div").classes("gs-row"):
            for path, name in (to or {}).items():
                ui.link(view.t(name), path)


def number_text(value: float | int | None, digits: int = 0) -> str:
    """Return a number as people read it; a dash where there is none.

    >>> number_text(1234567)
    '1,234,567'
    """
    return "–" if value is None else f"{value:,.{digits}f}"


def size_words(size_bytes: int) -> str:
    """Return a size in one word, which no line breaks."""
    return "\u00a0".join(size_text(size_bytes))


def size_text(size_bytes: int) -> tuple[str, str]:
    """Return a size as number and unit.

    >>> size_text(3_200_000)
    ('3.2', 'MB')
    """
    size, unit = float(size_bytes), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return (f"{size:,.0f}" if unit == "B" else f"{size:,.1f}"), unit

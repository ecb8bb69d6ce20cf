"""One figure of a run, opened: formula, numbers, series, how many readings, and the query that shows them (I7)."""

import html

from nicegui import ui

from gongshu.apply.model import Opened, RunReport
from gongshu.console.frame import View
from gongshu.console.widgets import facts, number_text, table, text
from gongshu.model.ids import AssetId


async def open_figure(view: View, report: RunReport, asset: str, name: str) -> None:
    """Show a figure of a run down to its readings, in a dialog."""
    explain = view.node.apps.explain
    opened = await view.ask(explain, report.run_id, AssetId(asset), name, reader=view.subject)
    figure = opened.figure
    value = "–" if figure.value is None else f"{figure.value:.4f}"
    with ui.dialog(value=True).props("full-width") as dialog, ui.card():
        text(f"{view.pick(figure.title_zh, figure.title_en)} · {asset}", "h2")
        rows = [
            (view.t("opened.value"), f"<strong>{value}</strong> {html.escape(figure.remark)}"),
            (view.t("opened.formula"), f"<code>{html.escape(figure.formula)}</code>"),
            (view.t("opened.source"), html.escape(figure.source)),
            (view.t("opened.run"), html.escape(f"{report.run_id} · {report.app} {report.app_version}")),
            (view.t("opened.audit"), html.escape(", ".join(f"#{i}" for i in report.audit_indexes[:12]))),
        ]
        if opened.not_judged_s:
            rows.append((view.t("oee.not_judged"), f"{opened.not_judged_s:,.0f} s"))
        facts(rows)
        terms = [_term(view, term, f"{asset}/") for term in opened.terms]
        names = ("symbol", "title", "value", "series", "readings", "excluded", "source", "query")
        columns = [(column, view.t(f"term.{column}")) for column in names]
        numbers = ("value", "readings", "excluded")
        table(view, columns, terms, key="symbol", markup=("series", "query"), numbers=numbers).props("wrap-cells")
        with ui.element("div").classes("gs-row end"):
            ui.button(view.t("act.close"), on_click=dialog.close).props("flat color=primary")


def _term(view: View, opened: Opened, prefix: str) -> dict[str, str]:
    term = opened.term
    value = "–" if term.value is None else f"{term.value:,.6g} {view.unit(term.unit)}".strip()
    query = f'<details><summary>SQL</summary><pre class="gs-sql">{html.escape(opened.query)}</pre></details>'
    return {
        "symbol": term.symbol,
        "title": view.pick(term.title_zh, term.title_en),
        "value": value,
        "series": "<br>".join(html.escape(name.removeprefix(prefix)) for name in opened.names),
        "readings": number_text(term.readings),
        "excluded": number_text(term.excluded),
        "source": term.source,
        "query": query if opened.query else "",
    }

"""The member's side of the hub: join, name the figures, see what would be sent, send it, open what was sent."""

import html
from typing import Any

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.widgets import chip_html, empty, facts, notice, table, text, time_html
from gongshu.hub.model import Agreement, DeliveryState, OpenedValue, SentReport, Terms
from gongshu.hub.period import parse_period, period_at
from gongshu.hub.roles import CONTRACTORS, REPORTERS
from gongshu.model.ids import DatasetId

STATE_KIND = {DeliveryState.QUEUED: "warn", DeliveryState.ACCEPTED: "good", DeliveryState.REFUSED: "bad"}


async def show_member(view: View) -> None:
    """Show agreements in which this node reports, its figures and its reports."""
    agreements = [a for a in await view.ask(view.node.hub.memberships.agreements) if not a.as_province]
    open_ones = [a for a in agreements if a.ended_at is None]
    if not agreements:
        empty(view, "hub.no_agreement", command="gongshu hub join https://province.example CODE@sha256:…")
    else:
        text(view.t("hub.agreements"), "h2")
        _show_agreements(view, agreements)
    if view.has_role(*CONTRACTORS):
        _show_join(view)
    if open_ones:
        text(view.t("hub.figures"), "h2")
        await _show_figures(view, open_ones[0])
        if view.has_role(*REPORTERS):
            text(view.t("hub.report"), "h2")
            _show_report_form(view, open_ones[0])
    reports = await view.ask(view.node.hub.reporting.reports)
    if reports:
        text(view.t("hub.reports"), "h2")
        _show_reports(view, reports)


def _show_agreements(view: View, agreements: list[Agreement]) -> None:
    rows = [
        {
            "key": a.terms.agreement_id,
            "with": a.province_title,
            "indicators": view.join(indicator_title(view, code) for code in a.terms.indicators),
            "basis": f"{a.terms.purpose} · {a.terms.basis}",
            "until": time_html(a.ended_at or a.terms.valid_until),
            "state": chip_html(view.t("hub.ended"), "plain")
            if a.ended_at
            else chip_html(view.t("hub.in_force"), "good"),
        }
        for a in agreements
    ]
    columns = [(n, view.t(f"hub.column.{n}")) for n in ("with", "indicators", "basis", "until", "state")]
    table(view, columns, rows, key="key", markup=("until", "state")).props("wrap-cells")


def indicator_title(view: View, code: str) -> str:
    """Return an indicator's name in the reader's language."""
    found = next((i for i in view.node.hub.rules().indicators if i.code == code), None)
    return view.pick(found.title_zh, found.title_en) if found else code


def _show_join(view: View) -> None:
    with ui.expansion(view.t("hub.join")).classes("gs-full"):
        with ui.element("div").classes("gs-form"):
            address = ui.input(view.t("hub.address")).props("outlined dense data-test=address")
            address.props["hint"] = view.t("source_add.example", value="https://province.example")
            invitation = ui.input(view.t("hub.invitation")).props("outlined dense data-test=invitation").classes("wide")
        place = ui.element("div").classes("gs-stack")

        async def look() -> None:
            with view.trying(place):
                view.require_role(*CONTRACTORS, what="join a province")
                act = view.node.hub.memberships.look
                offered, terms = await view.ask(act, address.value or "", invitation.value or "")
                with place:
                    _show_terms(view, offered.title, terms)
                    ui.button(view.t("hub.sign"), on_click=sign).props("unelevated color=primary").style(
                        "align-self: flex-start"
                    )

        async def sign() -> None:
            with view.trying(place):
                await view.ask(view.node.hub.join, address.value or "", invitation.value or "", view.subject)
                ui.navigate.reload()

        ui.button(view.t("hub.look"), on_click=look).props("outline color=primary").style("margin-top: 10px")


def _show_terms(view: View, province: str, terms: Terms) -> None:
    indicators = view.join(indicator_title(view, code) for code in terms.indicators)
    facts(
        [
            (view.t("hub.column.with"), html.escape(f"{province} ({terms.province})")),
            (view.t("hub.column.indicators"), html.escape(indicators)),
            (view.t("hub.column.basis"), html.escape(f"{terms.purpose} · {terms.basis}")),
            (view.t("hub.due_rule"), view.t("hub.due_days", days=terms.due_days)),
            (view.t("hub.column.until"), time_html(terms.valid_until)),
        ]
    )


async def _show_figures(view: View, agreement: Agreement) -> None:
    sources = await view.ask(view.node.hub.reporting.sources)
    rows = []
    for code in agreement.terms.indicators:
        source = sources.get(code)
        rows.append(
            {
                "code": code,
                "title": indicator_title(view, code),
                "dataset": source.dataset_id if source else "",
                "sql": f"<code>{html.escape(source.sql)}</code>"
                if source
                else chip_html(view.t("hub.unbound"), "warn"),
            }
        )
    columns = [(n, view.t(f"hub.figure.{n}")) for n in ("title", "code", "dataset", "sql")]
    table(view, columns, rows, key="code", markup=("sql",)).props("wrap-cells")
    if not view.has_role(*REPORTERS):
        return
    with ui.expansion(view.t("hub.bind")).classes("gs-full"):
        with ui.element("div").classes("gs-form"):
            names = {code: indicator_title(view, code) for code in agreement.terms.indicators}
            chosen = ui.select(names, label=view.t("hub.figure.title"), value=agreement.terms.indicators[0])
            chosen.props("outlined dense")
            dataset = ui.input(view.t("hub.figure.dataset")).props("outlined dense data-test=dataset")
            sql = (
                ui.textarea(view.t("hub.figure.sql"))
                .props("outlined dense autogrow data-test=sql")
                .classes("wide gs-mono")
            )
            sql.props["hint"] = view.t("hub.sql_hint")
        problem = ui.element("div")

        async def bind() -> None:
            with view.trying(problem):
                act = view.node.hub.reporting.bind
                await view.ask(
                    act, chosen.value, DatasetId((dataset.value or "").strip()), sql.value or "", view.subject
                )
                ui.navigate.reload()

        ui.button(view.t("hub.bind_go"), on_click=bind).props("outline color=primary").style("margin-top: 14px")


def _show_report_form(view: View, agreement: Agreement) -> None:
    terms = agreement.terms
    now = period_at(view.node.clock(), utc_offset_minutes=terms.utc_offset_minutes)
    with ui.element("div").classes("gs-row"):
        period = ui.input(view.t("hub.period"), value=str(now.previous())).props("outlined dense data-test=period")
        period.style("width: 150px")
        ui.button(view.t("hub.preview"), on_click=lambda: preview()).props("outline color=primary")
    place = ui.element("div").classes("gs-stack")

    async def preview() -> None:
        with view.trying(place):
            month = parse_period((period.value or "").strip())
            report, opened = await view.ask(view.node.hub.reporting.draft, terms.agreement_id, month, view.subject)
            with place:
                key = "hub.preview_preliminary" if report.preliminary else "hub.preview_final"
                text(view.t(key, period=str(month), revision=report.revision)).classes("gs-muted")
                _show_opened(view, opened)
                ui.button(view.t("hub.send"), on_click=lambda: send(str(month))).props(
                    "unelevated color=primary data-test=send"
                ).style("align-self: flex-start")

    async def send(month: str) -> None:
        with view.trying(place):
            submit = view.node.hub.reporting.submit
            sent = await view.ask(submit, terms.agreement_id, parse_period(month), view.subject)
            await view.ask(view.node.hub.reporting.deliver_due)
            with place:
                notice(view.t("hub.sent", period=month, revision=sent.revision), kind="good")
            ui.timer(1.5, ui.navigate.reload, once=True)


def _show_opened(view: View, opened: tuple[OpenedValue, ...]) -> None:
    rows = [
        {
            "key": o.value.indicator,
            "title": indicator_title(view, o.value.indicator),
            "value": view.t("hub.no_figure") if o.value.value is None else f"{o.value.value:,f}",
            "unit": view.unit(o.value.unit),
            "formula": o.value.formula,
            "source": f'<a href="/catalogue/{html.escape(o.dataset_id)}">{html.escape(o.dataset_id)}</a>',
            "sql": f'<details><summary>SQL</summary><pre class="gs-sql">{html.escape(o.sql)}</pre></details>',
            "audit": f"#{o.audit_index}",
        }
        for o in opened
    ]
    columns = [(n, view.t(f"hub.opened.{n}")) for n in ("title", "value", "unit", "formula", "source", "sql", "audit")]
    table(view, columns, rows, key="key", markup=("source", "sql"), numbers=("value",)).props("wrap-cells")


def _show_reports(view: View, reports: list[SentReport]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": r.report_id,
            "period": str(r.period),
            "revision": r.revision,
            "kind": view.t("hub.preliminary" if r.preliminary else "hub.final"),
            "made": time_html(r.made_at),
            "state": chip_html(view.t(f"delivery.{r.state.value}"), STATE_KIND[r.state]),
            "answer": r.answer,
        }
        for r in reversed(reports)
    ]
    columns = [(n, view.t(f"hub.sent.{n}")) for n in ("period", "revision", "kind", "made", "state", "answer")]
    shown = table(view, columns, rows, key="id", markup=("made", "state"), numbers=("revision",)).props("wrap-cells")

    async def open_report(event: Any) -> None:
        opened = await view.ask(view.node.hub.reporting.opened, event.args[1]["id"])
        with ui.dialog(value=True).props("full-width") as dialog, ui.card():
            text(view.t("hub.opened_title", period=event.args[1]["period"]), "h2")
            _show_opened(view, opened)
            with ui.element("div").classes("gs-row end"):
                ui.button(view.t("act.close"), on_click=dialog.close).props("flat color=primary")

    shown.on("rowClick", open_report)

"""The province's side of the hub: invite members, see who reported, publish totals that betray nobody."""

import html
from decimal import Decimal
from typing import Any

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.pages.hub_member import indicator_title
from gongshu.console.widgets import chip_html, empty, notice, table, text, time_html
from gongshu.hub.disclosure import ROOT, Shown
from gongshu.hub.errors import TotalsUnknown
from gongshu.hub.model import MemberStanding, Publication, Standing, TotalCell
from gongshu.hub.period import Period, parse_period, period_at
from gongshu.hub.roles import CONTRACTORS, OVERSEERS, PUBLISHERS
from gongshu.packs.errors import PackItemUnknown

STANDING_KIND = {
    Standing.REPORTED: "good",
    Standing.PRELIMINARY: "accent",
    Standing.MISSING: "plain",
    Standing.LATE: "bad",
}


async def show_province(view: View) -> None:
    """Show the totals and reporters of one month, and the members."""
    rules = view.node.hub.rules()
    now = period_at(view.node.clock(), utc_offset_minutes=rules.utc_offset_minutes)
    received = await view.ask(view.node.hub.province.periods)
    months = sorted({*received, now, now.previous()}, reverse=True)
    asked = view.request.query_params.get("period", "")
    month = parse_period(asked) if asked else (received[0] if received else now.previous())
    with ui.element("div").classes("gs-row"):
        ui.select(
            [str(m) for m in sorted({*months, month}, reverse=True)],
            label=view.t("hub.period"),
            value=str(month),
            on_change=lambda event: ui.navigate.to(f"/hub?period={event.value}"),
        ).props("outlined dense data-test=period").style("width: 150px")
        problem = ui.element("div")
        if view.has_role(*PUBLISHERS):
            ui.button(view.t("hub.release"), on_click=lambda: release()).props("unelevated color=primary")

    async def release() -> None:
        with view.trying(problem):
            await view.ask(view.node.hub.province.release, month, view.subject)
            ui.navigate.to(f"/hub?period={month}")

    text(view.t("hub.totals", period=str(month)), "h2")
    await _show_totals(view, month)
    if view.has_role(*OVERSEERS):
        text(view.t("hub.reporters", period=str(month)), "h2")
        await _show_standing(view, month)
    if view.has_role(*CONTRACTORS):
        _show_invite(view)


async def _show_totals(view: View, month: Period) -> None:
    try:
        publication = await view.ask(view.node.hub.province.publication, month, view.subject)
    except TotalsUnknown:
        empty(view, "hub.no_totals")
        return
    ui.html(
        f'<span class="gs-muted">{html.escape(_about(view, publication))} {time_html(publication.released_at)}</span>',
        sanitize=False,
    )
    by_place = {(cell.key, cell.indicator): cell for cell in publication.cells}
    codes = list(dict.fromkeys(cell.indicator for cell in publication.cells))
    keys = sorted({cell.key for cell in publication.cells})
    rows: list[dict[str, Any]] = []
    for key in keys:
        cells = {code: by_place.get((key, code)) for code in codes}
        most = max((cell.contributors for cell in cells.values() if cell), default=0)
        row: dict[str, Any] = {"key": key or "all", "place": _place(view, key), "contributors": most}
        rows.append(row | {code: _cell_html(view, cell) for code, cell in cells.items()})
    columns = [("place", view.t("hub.place")), ("contributors", view.t("hub.contributors"))]
    columns += [(code, indicator_title(view, code)) for code in codes]
    table(view, columns, rows, key="key", markup=codes, numbers=["contributors", *codes], page_size=60)
    if any(cell.shown != Shown.SHOWN for cell in publication.cells):
        text(view.t("hub.withheld_text", least=publication.least_contributors)).classes("gs-muted gs-small")
    if any(cell.preliminary for cell in publication.cells):
        text(view.t("hub.preliminary_mark")).classes("gs-muted gs-small")
    if publication.held_back:
        text(view.t("hub.held_back", count=publication.held_back)).classes("gs-muted gs-small")


def _about(view: View, publication: Publication) -> str:
    return view.t("hub.publication", number=publication.number, pack=publication.pack)


def _cell_html(view: View, cell: TotalCell | None) -> str:
    if cell is None:
        return ""
    if cell.shown != Shown.SHOWN:
        return chip_html(view.t(f"withheld.{cell.shown}"), "warn" if cell.shown == Shown.TOO_FEW else "plain")
    value = "–" if cell.value is None else _figure(cell.value)
    mark = f" <sup title='{html.escape(view.t('hub.with_preliminary', count=cell.preliminary))}'>p</sup>"
    return f"{value}{mark if cell.preliminary else ''}"


def _figure(value: Decimal) -> str:
    return f"{value:,f}"


def _place(view: View, key: str) -> str:
    if key == ROOT:
        return view.t("hub.all")
    pack = view.node.packs.get("gbt-4754")
    try:
        item = pack.item(f"section.{key}" if len(key) == 1 else f"division.{key}")
    except PackItemUnknown:
        return key
    indent = "" if len(key) == 1 else "　"
    return f"{indent}{key} {view.pick(item.title_zh, item.title_en)}"


async def _show_standing(view: View, month: Period) -> None:
    rows = await view.ask(view.node.hub.province.standing, month, view.subject)
    if not rows:
        empty(view, "hub.no_members", command="gongshu hub invite --until 2027-12-31")
        return
    counts = {s: sum(row.standing is s for row in rows) for s in Standing}
    with ui.element("div").classes("gs-row"):
        for standing, count in counts.items():
            ui.html(
                chip_html(f"{view.t(f'reporter.{standing.value}')} {count}", STANDING_KIND[standing]), sanitize=False
            )
    columns = [(n, view.t(f"reporter.{n}")) for n in ("title", "division", "standing", "due", "received", "revision")]
    shown = [_reporter(view, row) for row in rows]
    table(view, columns, shown, key="key", markup=("standing", "due", "received"), numbers=("revision",), page_size=15)
    text(view.t("hub.no_values")).classes("gs-muted gs-small")


def _reporter(view: View, row: MemberStanding) -> dict[str, Any]:
    late = " " + chip_html(view.t("reporter.was_late"), "warn") if row.was_late else ""
    return {
        "key": row.agreement_id,
        "title": row.title,
        "division": row.division,
        "standing": chip_html(view.t(f"reporter.{row.standing.value}"), STANDING_KIND[row.standing]) + late,
        "due": time_html(row.due_at),
        "received": time_html(row.received_at),
        "revision": row.revision or "",
    }


def _show_invite(view: View) -> None:
    with ui.expansion(view.t("hub.invite")).classes("gs-full"):
        names = {i.code: view.pick(i.title_zh, i.title_en) for i in view.node.hub.rules().indicators}
        with ui.element("div").classes("gs-form"):
            chosen = ui.select(names, label=view.t("hub.column.indicators"), multiple=True, value=list(names))
            chosen.props("outlined dense use-chips").classes("wide")
            basis = ui.input(view.t("hub.basis"), value="voluntary").props("outlined dense data-test=basis")
        place = ui.element("div").classes("gs-stack")

        async def invite() -> None:
            with view.trying(place):
                made = await view.ask(
                    view.node.hub.memberships.invite,
                    view.subject,
                    indicators=tuple(chosen.value or ()),
                    basis=(basis.value or "").strip() or "voluntary",
                )
                with place:
                    notice(view.t("hub.invited"), view.t("hub.invited_text"), kind="good")
                    ui.html(f'<pre class="gs-sql">{html.escape(made.text)}</pre>', sanitize=False)

        ui.button(view.t("hub.invite_go"), on_click=invite).props("outline color=primary").style("margin-top: 10px")

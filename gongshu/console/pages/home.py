"""Home: what is due or wrong today, and what is flowing."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from nicegui import ui

from gongshu.console.charts import time_lines
from gongshu.console.due import Due, Facts, Weight, list_due
from gongshu.console.frame import Console, View
from gongshu.console.widgets import (
    Row,
    chip_html,
    empty,
    figure_html,
    fill,
    grid,
    number_text,
    panel,
    size_text,
    table,
    text,
    time_html,
    title,
)
from gongshu.gather.counters import State
from gongshu.gather.model import SourceStatus
from gongshu.hub.model import DeliveryState, Standing
from gongshu.hub.period import period_at
from gongshu.model.access import Role

LOOK_EVERY_S = 2.0
LOOK_AT_ALL_EVERY_S = 30.0
"""Reviews that are due are looked for in all datasets, which costs more than what others bring about. Ours."""
POINTS_MAX = 150
STATE_KIND = {
    State.RUNNING: "good",
    State.LOST: "bad",
    State.FAILED: "bad",
    State.CONNECTING: "warn",
    State.STARTING: "warn",
    State.STOPPED: "plain",
}


def create_pages(console: Console) -> None:
    """Register the home page."""

    @console.page("/", "home")
    async def home(view: View) -> None:
        title(view, "nav.home", "home.question")
        with grid(even=True):
            with panel(view.t("home.due"), span="span-7 narrow-12"):
                await _show_due(view)
            with panel(view.t("home.flow"), view.t("home.flow_hint"), span="span-5 narrow-12"):
                await _show_flow(view)
            with panel(view.t("nav.sources"), span="span-12"):
                await _show_sources(view)


def gather_facts(view: View) -> Facts:
    """Return today's facts from the node's services."""
    node, now = view.node, view.node.clock()
    statuses = node.sources.statuses()
    reviews = node.catalogue.reviews_due(now, emptied=node.keeping.emptied())
    reports = node.hub.reporting.reports()
    denied = [e for e in node.audit.entries(action="read.denied", limit=200) if e.at > now - timedelta(days=1)]
    losses = [loss for loss in node.sources.losses(limit=200) if loss.recorded_at > now - timedelta(days=1)]
    late = 0
    if Role.STEWARD in view.subject.roles:
        month = period_at(now, utc_offset_minutes=node.hub.rules().utc_offset_minutes).previous()
        late = sum(row.standing is Standing.LATE for row in node.hub.province.standing(month, view.subject))
    return Facts(
        sources=len(statuses),
        sources_failing=_failing(statuses),
        losses=sum(not loss.recovered for loss in losses),
        unconfirmed=sum(review.why == "proposed" for review in reviews),
        expired=sum(review.why == "expired" for review in reviews),
        reports_refused=sum(r.state is DeliveryState.REFUSED for r in reports),
        reports_waiting=sum(r.state is DeliveryState.QUEUED for r in reports),
        members_late=late,
        denied=len(denied),
        negotiations=len(node.share.negotiations(waiting=True)),
        accounts=len(node.identity.accounts()),
    )


def _failing(statuses: list[SourceStatus]) -> tuple[str, ...]:
    return tuple(_name(s) for s in statuses if s.state in {State.LOST, State.FAILED})


async def _show_due(view: View) -> None:
    place = ui.element("div").classes("gs-stack gs-full")
    facts, shown = Facts(), None

    def show(found: Facts) -> None:
        nonlocal facts, shown
        facts, due = found, list_due(found, view.subject.roles)
        if due != shown:  # the links stay, and with them the one that a keyboard stands on, while nothing changes
            shown = due
            place.clear()
            with place:
                _list_due(view, due)

    async def look_at_all() -> None:
        show(await view.ask(gather_facts, view))

    async def look() -> None:
        node = view.node
        waiting, statuses = await view.ask(lambda: (node.share.negotiations(waiting=True), node.sources.statuses()))
        show(replace(facts, negotiations=len(waiting), sources_failing=_failing(statuses)))

    await look_at_all()
    view.every(LOOK_EVERY_S, look)
    view.every(LOOK_AT_ALL_EVERY_S, look_at_all)


def _list_due(view: View, due: list[Due]) -> None:
    if not due:
        empty(view, "home.nothing_due")
        return
    words = {Weight.WRONG: "due.wrong", Weight.DUE: "due.due", Weight.OPEN: "due.open"}
    with ui.element("div").classes("gs-due"):
        for matter in due:
            with ui.link(target=matter.path):
                ui.html(chip_html(view.t(words[matter.weight]), matter.weight.value), sanitize=False)
                text(view.t(matter.text, **_words(view, matter.fields)), "span")
                text(view.t("due.go"), "span").classes("go")


def _words(view: View, fields: Mapping[str, object]) -> dict[str, object]:
    return {name: view.join(value) if isinstance(value, tuple) else value for name, value in fields.items()}


async def _show_flow(view: View) -> None:
    rates: deque[tuple[int, float | None]] = deque(maxlen=POINTS_MAX)
    with ui.element("div").classes("gs-row top").style("gap: 36px"):
        rate, stored, size = (ui.html("", sanitize=False) for _ in range(3))
    chart = ui.echart(time_lines(view.palette, {"": []}, is_area=True)).style("height: 130px; width: 100%")
    before: tuple[float, int] | None = None

    async def refresh() -> None:
        nonlocal before
        status, now = await view.ask(view.node.lake.status), view.node.clock().timestamp()
        speed = None
        if before is not None and now > before[0]:
            speed = max(0.0, (status.rows_total - before[1]) / (now - before[0]))
            rates.append((int(now * 1000), round(speed, 1)))
        before = (now, status.rows_total)
        rate.content = figure_html(view.t("home.rate"), number_text(speed), view.t("unit.per_second"))
        stored.content = figure_html(view.t("home.stored"), number_text(status.rows_total), view.t("unit.readings"))
        waiting = view.t("home.waiting", count=number_text(status.pending_rows))
        size.content = figure_html(view.t("home.size"), *size_text(status.size_bytes), waiting)
        chart.options["series"][0]["data"] = [list(point) for point in rates]
        chart.update()

    await refresh()
    view.every(LOOK_EVERY_S, refresh)


async def _show_sources(view: View) -> None:
    statuses = await view.ask(view.node.sources.statuses)
    if not statuses:
        empty(view, "sources.none", command="gongshu source add --help")
        ui.button(view.t("sources.add"), on_click=lambda: ui.navigate.to("/sources/add")).props(
            "unelevated color=primary"
        ).style("align-self: flex-start")
        return
    columns = [(n, view.t(f"sources.column.{n}")) for n in ("source", "title", "state", "read", "last", "error")]
    shown = table(
        view,
        columns,
        source_rows(view, statuses),
        key="source",
        markup=("state", "last"),
        numbers=("read",),
        wrap=("error",),
        open_at=source_path,
        page_size=12,
    )

    async def refresh() -> None:
        renew(shown, source_rows(view, await view.ask(view.node.sources.statuses)))

    view.every(LOOK_EVERY_S, refresh)


def source_path(row: Row) -> str:
    """Return the address of the source of a row."""
    return f"/sources/{row['source']}"


def renew(shown: ui.table, rows: list[dict[str, str]]) -> None:
    """Replace a table's rows, keeping their links."""
    fill(shown, rows, open_at=source_path)


def source_rows(view: View, statuses: list[SourceStatus]) -> list[dict[str, str]]:
    """Return one row a source, as the home page and the list of sources show it."""
    rows = []
    for status in statuses:
        counters = status.counters
        rows.append(
            {
                "source": status.source.source_id,
                "title": status.source.definition.title,
                "connector": status.source.definition.connector,
                "asset": status.source.definition.asset,
                "state": chip_html(view.t(f"state.{status.state.value}"), STATE_KIND[status.state]),
                "read": number_text(counters.read) if counters else "–",
                "bad": number_text(counters.bad) if counters else "–",
                "lost": number_text(counters.lost) if counters else "–",
                "last": time_html(counters.last_value_at) if counters else "",
                "error": counters.last_error if counters and status.state is not State.RUNNING else "",
            }
        )
    return rows


def _name(status: SourceStatus) -> str:
    return status.source.definition.title or status.source.source_id

"""Sources: the list, and one source with what its collector says, its series and what was lost."""

import html
from dataclasses import asdict

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.home import LOOK_EVERY_S, STATE_KIND, renew, source_rows
from gongshu.console.widgets import (
    chip_html,
    empty,
    facts,
    grid,
    notice,
    number_text,
    panel,
    size_text,
    table,
    text,
    time_html,
    title,
)
from gongshu.gather.connector import Can, ProbeReport
from gongshu.gather.model import Desired, SourceStatus
from gongshu.model.access import Role
from gongshu.model.ids import SourceId

KEEPERS = (Role.ENGINEER, Role.SYSTEM_ADMIN)
SERIES_MAX = 2_000


def create_pages(console: Console) -> None:
    """Register the list and the detail of sources."""

    @console.page("/sources", "sources")
    async def sources(view: View) -> None:
        title(view, "nav.sources", "sources.question")
        statuses = await view.ask(view.node.sources.statuses)
        if view.has_role(*KEEPERS):
            ui.button(view.t("sources.add"), on_click=lambda: ui.navigate.to("/sources/add")).props(
                "unelevated color=primary"
            ).style("align-self: flex-start")
        if not statuses:
            empty(view, "sources.none", command="gongshu source add --help")
            return
        names = ("source", "title", "connector", "asset", "state", "read", "bad", "lost", "last", "error")
        columns = [(name, view.t(f"sources.column.{name}")) for name in names]
        with panel(""):
            shown = table(
                view,
                columns,
                source_rows(view, statuses),
                key="source",
                markup=("state", "last"),
                numbers=("read", "bad", "lost"),
                wrap=("error",),
                wide_only=("title", "connector", "bad"),
                open_at=lambda row: f"/sources/{row['source']}",
            )

        async def refresh() -> None:
            renew(shown, source_rows(view, await view.ask(view.node.sources.statuses)))

        view.every(LOOK_EVERY_S, refresh)

    @console.page("/sources/{source_id}", "sources")
    async def source(view: View) -> None:
        source_id = SourceId(view.request.path_params["source_id"])
        status = await view.ask(view.node.sources.status, source_id)
        definition = status.source.definition
        with ui.element("div").classes("gs-title"):
            text(definition.title or source_id, "h1")
            text(f"{source_id} · {definition.connector}", "p")
        with grid():
            with panel(view.t("sources.state"), span="span-5 narrow-12"):
                await _show_state(view, source_id)
            with panel(view.t("sources.probe_title"), view.t("sources.probe_hint"), span="span-7 narrow-12"):
                _show_probe(view, source_id)
            with panel(view.t("sources.series"), span="span-12"):
                await _show_series(view, source_id)
            with panel(view.t("sources.losses"), view.t("sources.losses_hint"), span="span-12"):
                await _show_losses(view, source_id)


async def _show_state(view: View, source_id: SourceId) -> None:
    shown, buttons, problem = ui.element("div"), ui.element("div").classes("gs-row"), ui.element("div")

    async def refresh() -> None:
        status = await view.ask(view.node.sources.status, source_id)
        shown.clear()
        with shown:
            _facts_of(view, status)
        buttons.clear()
        if view.has_role(*KEEPERS):
            with buttons:
                is_wanted = status.source.definition.desired is Desired.RUNNING
                ui.button(
                    view.t("sources.stop" if is_wanted else "sources.start"), on_click=lambda: turn(is_wanted)
                ).props("outline color=primary" if is_wanted else "unelevated color=primary")
                ui.button(view.t("sources.remove"), on_click=lambda: _remove(view, source_id)).props(
                    "flat color=primary"
                )

    async def turn(is_wanted: bool) -> None:
        with view.trying(problem):
            view.require_role(*KEEPERS, what="start or stop sources")
            service = view.node.sources.stop if is_wanted else view.node.sources.start
            await view.ask(service, source_id, actor=view.subject.subject_id)
            await refresh()

    await refresh()
    view.every(LOOK_EVERY_S, refresh)


def _facts_of(view: View, status: SourceStatus) -> None:
    counters = status.counters
    rows = [
        (view.t("sources.state"), chip_html(view.t(f"state.{status.state.value}"), STATE_KIND[status.state])),
        (view.t("sources.column.asset"), html.escape(status.source.definition.asset)),
    ]
    if counters is not None:
        size, unit = size_text(counters.bytes)
        rows += [
            (view.t("sources.column.last"), time_html(counters.last_value_at)),
            (view.t("sources.column.read"), number_text(counters.read)),
            (view.t("sources.column.bad"), number_text(counters.bad)),
            (view.t("sources.column.lost"), number_text(counters.lost)),
            (view.t("sources.undecodable"), number_text(counters.undecodable)),
            (view.t("sources.received"), f"{size} {unit}"),
            (view.t("sources.connects"), f"{counters.connects} / {counters.attempts}"),
        ]
        if counters.last_error:
            rows.append((view.t("sources.error"), html.escape(counters.last_error)))
    facts(rows)


def _show_probe(view: View, source_id: SourceId) -> None:
    shown = ui.element("div").classes("gs-stack")

    async def probe() -> None:
        button.disable()
        with view.trying(shown):
            report = await view.node.sources.probe(source_id)
            with shown:
                show_probe_report(view, report)
        button.enable()

    async def browse() -> None:
        button.disable()
        with view.trying(shown):
            nodes = await view.node.sources.browse(source_id, limit=SERIES_MAX)
            rows = [asdict(node) | {"unit": view.unit(node.tag.unit) if node.tag else ""} for node in nodes]
            with shown:
                columns = [(name, view.t(f"sources.browse.{name}")) for name in ("path", "address", "unit")]
                table(view, columns, rows, key="address", page_size=12)
        button.enable()

    spec = view.node.sources.connectors()[view.node.sources.source(source_id).definition.connector]
    with ui.element("div").classes("gs-row"):
        button = ui.button(view.t("sources.probe"), on_click=probe).props("outline color=primary")
        if Can.BROWSE in spec.can:
            ui.button(view.t("sources.browse_go"), on_click=browse).props("flat color=primary")


def show_probe_report(view: View, report: ProbeReport) -> None:
    """Show what a probe found, one line a finding: holds, broken or not judged."""
    words = {True: ("probe.holds", "good"), False: ("probe.broken", "bad"), None: ("probe.not_judged", "plain")}
    broken = {finding.what for finding in report.findings if finding.holds is False}
    if broken == {"least_privilege"}:
        notice(view.t("probe.too_mighty"), kind="warn")
    else:
        notice(view.t("probe.ok" if report.ok else "probe.not_ok"), kind="good" if report.ok else "bad")
    for finding in report.findings:
        key, kind = words[finding.holds]
        with ui.element("div").classes("gs-row"):
            ui.html(chip_html(view.t(key), kind), sanitize=False)
            text(finding.what, "span")
            text(finding.detail, "span").classes("gs-muted")


async def _show_series(view: View, source_id: SourceId) -> None:
    found = await view.ask(view.node.sources.series_of, source_id)
    if not found:
        empty(view, "sources.no_series")
        return
    rows = [
        {
            "id": series.series_id,
            "name": series.sighting.name,
            "title": series.sighting.title,
            "asset": series.sighting.asset,
            "unit": view.unit(series.sighting.unit),
            "type": series.sighting.value_type.value,
            "address": series.sighting.address,
        }
        for series in found[:SERIES_MAX]
    ]
    columns = [(name, view.t(f"series.{name}")) for name in ("name", "title", "asset", "unit", "type", "address")]
    table(view, columns, rows, key="id", wrap=("address",), page_size=10)


async def _show_losses(view: View, source_id: SourceId) -> None:
    losses = await view.ask(view.node.sources.losses, source_id, limit=200)
    if not losses:
        text(view.t("sources.no_losses")).classes("gs-muted")
        return
    rows = [
        {
            "key": number,
            "at": time_html(loss.recorded_at),
            "reason": loss.reason,
            "readings": view.t("sources.unknown_count") if loss.readings is None else number_text(loss.readings),
            "span": f"{time_html(loss.start)} – {time_html(loss.end)}" if loss.start else "",
            "recovered": chip_html(view.t("sources.recovered"), "good")
            if loss.recovered
            else chip_html(view.t("sources.not_recovered"), "bad"),
        }
        for number, loss in enumerate(losses)
    ]
    columns = [(name, view.t(f"loss.{name}")) for name in ("at", "reason", "readings", "span", "recovered")]
    table(view, columns, rows, key="key", markup=("at", "span", "recovered"), numbers=("readings",), page_size=10)


def _remove(view: View, source_id: SourceId) -> None:
    with ui.dialog(value=True) as dialog, ui.card():
        text(view.t("sources.remove_title", source=source_id), "h2")
        text(view.t("sources.remove_text"))
        problem = ui.element("div")

        async def remove() -> None:
            with view.trying(problem):
                view.require_role(*KEEPERS, what="remove sources")
                await view.ask(view.node.sources.remove, source_id, actor=view.subject.subject_id)
                ui.navigate.to("/sources")

        with ui.element("div").classes("gs-row end"):
            ui.button(view.t("act.cancel"), on_click=dialog.close).props("flat color=primary")
            ui.button(view.t("sources.remove"), on_click=remove).props("unelevated color=primary")

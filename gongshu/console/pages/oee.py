"""OEE: run it over a span, see its three factors machine by machine, open each figure down to its readings."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from nicegui import ui

from gongshu.apply.errors import InputsNotMet
from gongshu.apply.model import Finding, Outcome, RunReport
from gongshu.console.charts import grouped_bars
from gongshu.console.frame import Console, View
from gongshu.console.pages.oee_figure import open_figure
from gongshu.console.pages.oee_stops import show_stops
from gongshu.console.widgets import (
    chip_html,
    empty,
    error_notice,
    figure_html,
    grid,
    number_text,
    panel,
    table,
    text,
    time_html,
    title,
)
from gongshu.errors import GongshuError

APP = "oee"
FIGURES = ("availability", "effectiveness", "quality_ratio", "oee_index")
SPANS = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "8h": timedelta(hours=8), "24h": timedelta(hours=24)}
OUTCOME_KIND = {Outcome.HOLDS: "good", Outcome.BROKEN: "bad", Outcome.NOT_JUDGED: "plain"}


def create_pages(console: Console) -> None:
    """Register the page of the OEE app."""

    @console.page("/apps/oee", "oee")
    async def oee(view: View) -> None:
        title(view, "nav.oee", "oee.question")
        with panel(view.t("oee.run"), view.t("oee.run_hint")):
            await _show_form(view)
        runs = await view.ask(view.node.apps.runs, APP, reader=view.subject)
        if not runs:
            empty(view, "oee.none", command="gongshu app run oee --help")
            return
        asked = view.request.query_params.get("run", "")
        report = next((run for run in runs if run.run_id == asked), runs[0])
        await _show_report(view, report, runs)


async def _show_form(view: View) -> None:
    suggested = await view.ask(view.node.apps.suggest, APP)
    if not suggested:
        text(view.t("oee.no_machine")).classes("gs-muted")
        return
    with ui.element("div").classes("gs-row"):
        span = ui.select({key: view.t(f"span.{key}") for key in SPANS}, label=view.t("oee.span"), value="15m")
        span.props("outlined dense").style("min-width: 160px")
        assets = ui.select(
            {str(b.asset): _place(b.asset) for b in suggested}, label=view.t("oee.machines"), multiple=True
        )
        assets.value = [str(b.asset) for b in suggested]
        assets.props("outlined dense use-chips data-test=machines").style("flex: 1; min-width: 280px")
        button = ui.button(view.t("oee.go"), on_click=lambda: run()).props("unelevated color=primary data-test=run")
    result = ui.element("div").classes("gs-stack")

    async def run() -> None:
        button.disable()
        result.clear()
        chosen = [b for b in suggested if b.asset in set(assets.value or ())]
        end = view.node.clock().replace(microsecond=0)
        try:
            report = await view.ask(
                view.node.apps.run,
                APP,
                chosen,
                end - SPANS[span.value],
                end,
                actor=view.subject,
                params={"bucket_s": 0},
            )
            ui.navigate.to(f"/apps/oee?run={report.run_id}")
        except InputsNotMet as refused:
            with result:
                error_notice(view, refused)
                _show_findings(view, refused.fields["judged"])
        except GongshuError as error:
            with result:
                error_notice(view, error)
        button.enable()


def _show_findings(view: View, findings: Any) -> None:
    rows = [
        {
            "key": number,
            "asset": f.asset,
            "role": f.role,
            "need": f.need,
            "outcome": chip_html(view.t(f"judged.{f.outcome.value}"), OUTCOME_KIND[f.outcome]),
            "seen": f.seen,
            "expected": f.expected,
            "remedy": f.remedy,
        }
        for number, f in enumerate(_stopping(findings))
    ]
    columns = [(n, view.t(f"need.{n}")) for n in ("asset", "role", "need", "outcome", "seen", "expected", "remedy")]
    table(view, columns, rows, key="key", markup=("outcome",), page_size=10).props("wrap-cells")


def _stopping(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.stops]


async def _show_report(view: View, report: RunReport, runs: list[RunReport]) -> None:
    names = {r.run_id: _run_name(r) for r in runs}
    ui.select(
        names,
        label=view.t("oee.runs"),
        value=report.run_id,
        on_change=lambda event: ui.navigate.to(f"/apps/oee?run={event.value}"),
    ).props("outlined dense options-dense").style("max-width: 520px")
    with ui.element("div").classes("gs-row").style("gap: 8px"):
        span = f"{time_html(report.start)} – {time_html(report.end)}"
        used = view.t("oee.readings", count=number_text(report.input_readings))
        ui.html(f'<span class="gs-muted">{span} · {used} · {", ".join(report.packs)}</span>', sanitize=False)
    with grid(even=True):
        with panel(view.t("oee.factors"), view.t("oee.factors_hint"), span="span-7 narrow-12"):
            _show_factors(view, report)
        with panel(view.t("oee.stops"), view.t("oee.stops_hint"), span="span-5 narrow-12"):
            await show_stops(view, report)
    with panel(view.t("oee.machines"), view.t("oee.open_hint")):
        _show_machines(view, report)


def _run_name(report: RunReport) -> str:
    span = f"{report.start:%Y-%m-%d %H:%M} – {report.end:%H:%M} UTC"
    return f"{span} · {report.actor.removeprefix('user:')}"


def _show_factors(view: View, report: RunReport) -> None:
    if len(report.assets) == 1:
        figures = report.assets[0].figures
        with ui.element("div").classes("gs-row").style("gap: 36px"):
            for name in FIGURES:
                ui.html(figure_html(view.t(f"figure.{name}"), *_percent(figures[name].value)), sanitize=False)
    values = {
        view.t(f"figure.{name}"): [_rounded(asset.figures[name].value) for asset in report.assets] for name in FIGURES
    }
    options = grouped_bars(view.palette, [_short(a.asset) for a in report.assets], values, unit="%")
    ui.echart(options).style("height: 290px; width: 100%")


def _show_machines(view: View, report: RunReport) -> None:
    rows: list[dict[str, Any]] = []
    for result in report.assets:
        notes = result.notes
        row: dict[str, Any] = {"asset": result.asset}
        row |= {name: "".join(_percent(result.figures[name].value)) for name in FIGURES}
        row["lost"] = f"{float(notes.get('not_judged_s') or 0):,.0f} s"
        rows.append(row)
    columns = [("asset", view.t("oee.machine"))]
    columns += [(name, view.t(f"figure.{name}")) for name in FIGURES]
    columns.append(("lost", view.t("oee.not_judged")))
    shown = table(view, columns, rows, key="asset", numbers=(*FIGURES, "lost"))
    for name in FIGURES:
        shown.add_slot(
            f"body-cell-{name}",
            f'<q-td :props="props"><a href="#" @click.prevent="$parent.$emit(\'figure\', props.row.asset, \'{name}\')">'
            "{{ props.value }}</a></q-td>",
        )

    async def opened(event: Any) -> None:
        asset, name = event.args
        await open_figure(view, report, asset, name)

    shown.on("figure", opened)


def _percent(value: float | None) -> tuple[str, str]:
    return ("–", "") if value is None else (f"{value * 100:.1f}", "%")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value * 100, 1)


def _place(asset: str) -> str:
    """The last two steps of a path: line and machine."""
    return "/".join(asset.split("/")[-2:])


def _short(asset: str) -> str:
    return asset.rsplit("/", 1)[-1]

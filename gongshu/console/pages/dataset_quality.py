"""The quality of one dataset on the six dimensions of GB/T 36344: scores, what was judged, and what was found."""

import html
from datetime import timedelta

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.widgets import chip_html, empty, number_text, table, text, time_html
from gongshu.govern.errors import QualityUnknown
from gongshu.govern.quality.model import Measure, QualityReport
from gongshu.model.access import Role
from gongshu.model.dataset import Dataset

RUNNERS = (Role.STEWARD, Role.ENGINEER, Role.ANALYST)
SPAN = timedelta(days=1)


async def show_quality(view: View, dataset: Dataset) -> None:
    """Show the last judgement, and let one be made over the last day."""
    place, problem = ui.element("div").classes("gs-stack").style("gap: 14px"), ui.element("div")

    async def show() -> None:
        place.clear()
        with place:
            try:
                report = await view.ask(view.node.quality.latest, dataset.dataset_id)
            except QualityUnknown:
                empty(view, "quality.none", command=f"gongshu quality run {dataset.dataset_id}")
                return
            _show_report(view, report)

    async def run() -> None:
        button.disable()
        with view.trying(problem):
            view.require_role(*RUNNERS, what="judge quality")
            now = view.node.clock()
            for counted in await view.ask(view.node.quality.looked_at, dataset.dataset_id):
                await view.ask(view.node.gate.require_whole, view.subject, counted, purpose="quality")
            actor = str(view.subject.subject_id)
            await view.ask(view.node.quality.run, dataset.dataset_id, now - SPAN, now, actor=actor)
            await show()
        button.enable()

    await show()
    if view.has_role(*RUNNERS):
        button = ui.button(view.t("quality.run"), on_click=run).props("outline color=primary")
        button.style("align-self: flex-start")


def _show_report(view: View, report: QualityReport) -> None:
    score = "–" if report.score is None else f"{report.score:.1f}"
    coverage = view.t("quality.coverage", judged=report.judged, all=report.indicators, rows=number_text(report.rows))
    ui.html(
        f'<div class="gs-figure"><span class="value">{score}<span class="unit">/ 100</span></span>'
        f'<span class="hint">{html.escape(coverage)} · {time_html(report.run_at)}</span></div>',
        sanitize=False,
    )
    rows = []
    for dimension in report.dimensions:
        for measure in dimension.measures:
            rows.append(
                {
                    "key": f"{measure.indicator}/{measure.rule_id}",
                    "dimension": view.pick(dimension.dimension.term, dimension.dimension.value),
                    "indicator": measure.indicator,
                    "rule": measure.rule_id,
                    "result": _result(view, measure),
                    "a": number_text(measure.a) if measure.b else "–",
                    "b": number_text(measure.b) if measure.b else "–",
                    "x": "–" if measure.x_ratio is None else f"{measure.x_ratio:.4f}",
                }
            )
    names = ("dimension", "indicator", "rule", "result", "a", "b", "x")
    columns = [(name, view.t(f"quality.{name}")) for name in names]
    table(view, columns, rows, key="key", markup=("result",), numbers=("a", "b", "x"), page_size=25)
    found = [
        {
            "key": number,
            "where": finding.where,
            "text": view.pick(finding.text_zh, finding.text_en),
            "count": number_text(finding.count),
            "samples": ", ".join(finding.samples[:5]),
        }
        for number, finding in enumerate(report.findings())
    ]
    if found:
        text(view.t("quality.findings"), "h2")
        columns = [(name, view.t(f"finding.{name}")) for name in ("where", "text", "count", "samples")]
        table(view, columns, found, key="key", numbers=("count",)).props("wrap-cells")
    text(view.t("quality.packs", packs=", ".join(report.packs))).classes("gs-muted gs-small")


def _result(view: View, measure: Measure) -> str:
    if measure.score is None:
        reason = view.pick(measure.reason_zh, measure.reason_en)
        return f"{chip_html(view.t('probe.not_judged'), 'plain')} {html.escape(reason)}"
    kind = "good" if measure.score >= 99.5 else "warn" if measure.score >= 80 else "bad"
    return chip_html(f"{measure.score:.1f}", kind)

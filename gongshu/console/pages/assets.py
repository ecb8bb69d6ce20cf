"""Equipment: the tree, and the newest values and last fifteen minutes of the machine that is chosen."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

from nicegui import ui

from gongshu.console.charts import time_lines
from gongshu.console.frame import Console, View
from gongshu.console.live import (
    PURPOSE,
    Latest,
    Line,
    latest_sql,
    lines_sql,
    read_latest,
    read_lines,
    short_text,
)
from gongshu.console.widgets import chip_html, empty, fill, grade_html, grid, panel, table, text, time_html, title
from gongshu.govern.catalogue import ALL
from gongshu.model.dataset import Dataset, DatasetKind
from gongshu.secure.gate import SqlQuery

SPAN = timedelta(minutes=15)
LOOK_BACK = timedelta(days=1)
LOOK_EVERY_S = 5.0
"""Each look is a read through the gate, and so a record in the audit log: no more often than eyes need."""
CHARTS_MAX = 8
QUALITY_KIND = {"good": "good", "uncertain": "warn", "bad": "bad"}


def create_pages(console: Console) -> None:
    """Register the equipment page."""

    @console.page("/assets", "assets")
    async def assets(view: View) -> None:
        title(view, "nav.assets", "assets.question")
        tree = [str(path) for path, _ in await view.ask(view.node.catalogue.assets)]
        if not tree:
            empty(view, "assets.none")
            return
        by_asset = await view.ask(_series_datasets, view)
        chosen = view.request.query_params.get("asset", "") or next((a for a in tree if a in by_asset), tree[0])
        with grid():
            with panel(view.t("assets.tree"), span="span-3 narrow-12"):
                _show_tree(view, tree, chosen)
            with ui.element("div").classes("span-9 narrow-12 gs-stack").style("gap: 16px"):
                await _show_asset(view, chosen, by_asset)


def build_tree(paths: list[str]) -> list[dict[str, Any]]:
    """Return the equipment tree as nested nodes, from its paths; missing steps between are added.

    >>> build_tree(["a/b"])
    [{'id': 'a', 'label': 'a', 'children': [{'id': 'a/b', 'label': 'b', 'children': []}]}]
    """
    children: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for path in paths:
        steps = path.split("/")
        for depth in range(1, len(steps) + 1):
            above, here = "/".join(steps[: depth - 1]), "/".join(steps[:depth])
            children[above].setdefault(here, {"id": here, "label": steps[depth - 1]})

    def nodes(above: str) -> list[dict[str, Any]]:
        return [node | {"children": nodes(node["id"])} for node in children[above].values()]

    return nodes("")


def _show_tree(view: View, paths: list[str], chosen: str) -> None:
    def go(event: Any) -> None:
        if event.value and event.value != chosen:
            ui.navigate.to(f"/assets?asset={event.value}")

    tree = ui.tree(build_tree(paths), on_select=go).props(
        f'selected-color=primary no-nodes-label="{view.t("table.empty")}"'
    )
    steps = chosen.split("/")
    tree.expand(["/".join(steps[:depth]) for depth in range(1, len(steps) + 1)])
    tree.props["selected"] = chosen


def _series_datasets(view: View) -> dict[str, Dataset]:
    found = view.node.catalogue.datasets(limit=ALL)
    return {str(d.asset): d for d in found if d.kind is DatasetKind.SERIES and d.asset}


async def _show_asset(view: View, chosen: str, by_asset: dict[str, Dataset]) -> None:
    dataset = by_asset.get(chosen)
    with panel(""):
        with ui.element("div").classes("gs-row"):
            text(chosen, "h2")
            if dataset is not None:
                ui.html(grade_html(view, dataset.label), sanitize=False)
                ui.link(view.t("assets.open_dataset"), f"/catalogue/{dataset.dataset_id}")
        if dataset is None:
            below = sorted(asset for asset in by_asset if asset.startswith(f"{chosen}/"))
            text(view.t("assets.no_series" if not below else "assets.below")).classes("gs-muted")
            with ui.element("div").classes("gs-row"):
                for asset in below[:60]:
                    ui.link(asset.removeprefix(f"{chosen}/"), f"/assets?asset={asset}")
            return
        problem = ui.element("div")
    values = ui.element("div").classes("gs-stack").style("gap: 16px")
    with view.trying(problem):
        await _Live(view, dataset, values).show()


class _Live:
    """Values and charts of one machine, renewed while the page is open."""

    def __init__(self, view: View, dataset: Dataset, place: ui.element) -> None:
        self._view, self._dataset, self._place = view, dataset, place
        self._latest: dict[str, Latest] = {}
        self._charts: dict[str, ui.echart] = {}
        self._titles = {s.sighting.name: s.sighting.title for s in view.node.catalogue.series_of(dataset.dataset_id)}

    async def show(self) -> None:
        view, now = self._view, self._view.node.clock()
        latest = await view.ask(self._read, latest_sql(self._dataset.dataset_id, now - LOOK_BACK))
        lines = await self._lines()
        self._latest = {entry.series: entry for entry in read_latest(latest)}
        with self._place:
            if not self._latest:
                empty(view, "assets.no_values")
            with panel(view.t("assets.newest")):
                columns = [(n, view.t(f"live.{n}")) for n in ("series", "title", "value", "unit", "quality", "time")]
                self._table = table(
                    view,
                    columns,
                    self._rows(),
                    key="series",
                    markup=("quality", "time"),
                    numbers=("value",),
                    page_size=12,
                )
            with panel(view.t("assets.course"), view.t("assets.course_hint")), grid():
                for line in lines[:CHARTS_MAX]:
                    self._chart(line)
            if len(lines) > CHARTS_MAX:
                text(view.t("assets.more_lines", count=len(lines) - CHARTS_MAX)).classes("gs-muted")
        view.every(LOOK_EVERY_S, self._refresh)

    def _read(self, sql: str) -> Any:
        return self._view.node.gate.read(self._view.subject, SqlQuery(sql), purpose=PURPOSE).read_all()

    async def _lines(self) -> list[Line]:
        now = self._view.node.clock()
        return read_lines(await self._view.ask(self._read, lines_sql(self._dataset.dataset_id, now - SPAN, now)))

    def _rows(self) -> list[dict[str, str]]:
        return [
            {
                "series": entry.series,
                "title": self._titles.get(entry.series, ""),
                "value": short_text(entry.value),
                "unit": self._view.unit(entry.unit),
                "quality": chip_html(self._view.t(f"quality_of.{entry.quality}"), QUALITY_KIND[entry.quality]),
                "time": time_html(entry.time),
            }
            for entry in self._latest.values()
        ]

    def _chart(self, line: Line) -> None:
        name = self._titles.get(line.series) or line.series
        with ui.element("div").classes("span-6 narrow-12"):
            text(f"{name} {self._view.unit(line.unit)}".strip()).classes("gs-small gs-muted")
            options = time_lines(self._view.palette, {name: line.points})
            self._charts[line.series] = ui.echart(options).style("height: 150px; width: 100%")

    async def _refresh(self) -> None:
        for line in await self._lines():
            if chart := self._charts.get(line.series):
                chart.options["series"][0]["data"] = [list(point) for point in line.points]
                chart.update()
        since = self._view.node.clock() - SPAN
        newer = await self._view.ask(self._read, latest_sql(self._dataset.dataset_id, since))
        self._latest |= {entry.series: entry for entry in read_latest(newer)}
        fill(self._table, self._rows())

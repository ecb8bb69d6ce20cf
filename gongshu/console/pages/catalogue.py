"""The catalogue: every dataset, found by words and facets, confirmed in bulk by a steward."""

from collections import Counter
from typing import Any

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.received import provider_of, title_text
from gongshu.console.widgets import (
    chip_html,
    empty,
    fill,
    grade_html,
    number_text,
    panel,
    table,
    text,
    time_html,
    title,
)
from gongshu.model.access import Role
from gongshu.model.dataset import Dataset
from gongshu.model.grade import Grade, GradeStanding
from gongshu.model.ids import DatasetId
from gongshu.packs.errors import PackItemUnknown

SHOWN_MAX = 2_000
"""More are found by searching."""
GUIDE = "industrial-data-grading"
EMPTIED = "emptied"
"""Stands for the standing of a dataset whose copy was deleted: nobody has to confirm it."""


def create_pages(console: Console) -> None:
    """Register the list of datasets."""

    @console.page("/catalogue", "catalogue")
    async def catalogue(view: View) -> None:
        title(view, "nav.catalogue", "catalogue.question")
        if not await view.ask(view.node.catalogue.datasets, limit=1):
            empty(view, "catalogue.none", command="gongshu import orders.xlsx")
            return
        standing = view.request.query_params.get("standing", "")
        await _List(view, standing if standing in set(GradeStanding) else "").show()


def category_title(view: View, code: str) -> str:
    """Return a category's name in the reader's language; the code itself where no pack knows it."""
    try:
        item = view.node.packs.get(GUIDE).item(f"category.{code}")
    except PackItemUnknown:
        return code
    return view.pick(item.title_zh, item.title_en)


class _List:
    """Search, facets, rows and the steward's bulk act."""

    def __init__(self, view: View, standing: str) -> None:
        self._view = view
        self._facets: dict[str, str] = {"standing": standing, "grade": "", "category": ""}
        self._words = ""
        self._names: dict[str, str] = {}
        self._found: list[Dataset] = []
        self._emptied: frozenset[DatasetId] = frozenset()

    async def show(self) -> None:
        view = self._view
        self._names = await view.party_names()
        with panel(""):
            with ui.element("div").classes("gs-row"):
                ui.input(view.t("catalogue.search"), on_change=self._search).props(
                    "outlined dense clearable debounce=300 data-test=search"
                ).style("flex: 1; min-width: 170px")
                self._selects = {name: self._facet(name) for name in self._facets}
                self._count = text("").classes("gs-muted")
            self._rows = table(
                view,
                [
                    (n, view.t(f"catalogue.column.{n}"))
                    for n in ("title", "grade", "category", "parts", "origin", "seen")
                ],
                [],
                key="id",
                markup=("grade", "seen"),
                numbers=("parts",),
                wrap=("title", "origin"),
                wide_only=("parts", "seen"),
                open_at=lambda row: f"/catalogue/{row['id']}",
                selection=view.has_role(Role.STEWARD),
            )
            if view.has_role(Role.STEWARD):
                ui.button(view.t("catalogue.confirm_all"), on_click=self._confirm).props("outline color=primary").style(
                    "align-self: flex-start"
                )
        await self._load()

    def _facet(self, name: str) -> ui.select:
        return (
            ui.select(
                {"": self._view.t("facet.all")}, label=self._view.t(f"facet.{name}"), value="", on_change=self._refine
            )
            .props(f"outlined dense options-dense data-test=facet-{name}")
            .style("min-width: 128px")
        )

    async def _search(self, event: Any) -> None:
        self._words = event.value or ""
        await self._load()

    async def _load(self) -> None:
        catalogue = self._view.node.catalogue
        self._found = await self._view.ask(catalogue.datasets, search=self._words, limit=SHOWN_MAX)
        self._emptied = await self._view.ask(self._view.node.keeping.emptied)
        for name, select in self._selects.items():
            counts = Counter(self._value(name, dataset) for dataset in self._found)
            words = {value: f"{self._word(name, value)} ({count})" for value, count in sorted(counts.items())}
            chosen = self._facets[name] if self._facets[name] in words else ""
            select.set_options({"": self._view.t("facet.all")} | words, value=chosen)
        self._fill()

    def _refine(self) -> None:
        self._facets = {name: select.value or "" for name, select in self._selects.items()}
        self._fill()

    def _fill(self) -> None:
        chosen = {name: value for name, value in self._facets.items() if value}
        rows = [d for d in self._found if all(self._value(name, d) == value for name, value in chosen.items())]
        self._rows.selected = []
        fill(self._rows, [self._row(dataset) for dataset in rows])
        key = "catalogue.count" if len(self._found) < SHOWN_MAX else "catalogue.count_cut"
        self._count.content = self._view.t(key, count=number_text(len(rows)))

    def _value(self, facet: str, dataset: Dataset) -> str:
        label = dataset.label
        standing = EMPTIED if dataset.dataset_id in self._emptied else label.standing.value
        values = {"standing": standing, "grade": str(int(label.grade)), "category": label.category}
        return values[facet]

    def _word(self, facet: str, value: str) -> str:
        return category_title(self._view, value) if facet == "category" else self._view.t(f"{facet}.{value}")

    def _row(self, dataset: Dataset) -> dict[str, Any]:
        return {
            "id": dataset.dataset_id,
            "_to": f"/catalogue/{dataset.dataset_id}",
            "title": title_text(dataset, self._names),
            "grade": self._grade(dataset),
            "category": category_title(self._view, dataset.label.category),
            "parts": number_text(len(dataset.series) or len(dataset.columns)),
            "origin": self._origin(dataset),
            "seen": time_html(dataset.first_seen),
        }

    def _origin(self, dataset: Dataset) -> str:
        party = provider_of(dataset)
        return self._view.t("dataset.from_partner", party=self._names.get(party, party)) if party else dataset.origin

    def _grade(self, dataset: Dataset) -> str:
        if dataset.dataset_id in self._emptied:
            return chip_html(self._view.t(f"standing.{EMPTIED}"), "plain")
        return grade_html(self._view, dataset.label)

    def _confirm(self) -> None:
        view, chosen = (
            self._view,
            [DatasetId(row["id"]) for row in self._rows.selected if row["id"] not in self._emptied],
        )
        if not chosen:
            ui.notify(view.t("catalogue.choose_first"))
            return
        strict = sum(d.label.grade is Grade.THREE for d in self._found if d.dataset_id in set(chosen))
        with ui.dialog(value=True) as dialog, ui.card():
            text(view.t("catalogue.confirm_title", count=len(chosen)), "h2")
            text(view.t("catalogue.confirm_text", strict=strict)).classes("gs-muted")
            reason = ui.input(view.t("dataset.reason")).props("outlined dense data-test=reason")
            problem = ui.element("div")

            async def confirm() -> None:
                with view.trying(problem):
                    view.require_role(Role.STEWARD, what="confirm grades")
                    actor = view.subject.subject_id
                    act = view.node.catalogue.confirm_proposals
                    await view.ask(act, chosen, actor=actor, reason=reason.value or "")
                    dialog.close()
                    ui.notify(view.t("catalogue.confirmed", count=len(chosen)))
                    await self._load()

            with ui.element("div").classes("gs-row end"):
                ui.button(view.t("act.cancel"), on_click=dialog.close).props("flat color=primary")
                ui.button(view.t("catalogue.confirm_go"), on_click=confirm).props("unelevated color=primary")

"""Offering a dataset: choose it, set the terms, see exactly what the partner will see, offer."""

from typing import Any

import pyarrow as pa
from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.terms_form import TermsForm
from gongshu.console.widgets import empty, grade_html, grid, panel, table, text, title
from gongshu.model.dataset import SERIES_COLUMNS, Dataset, DatasetKind
from gongshu.model.grade import Grade, GradeStanding
from gongshu.model.ids import DatasetId, PartyId

CANDIDATES_MAX = 2_000
PREVIEW_ROWS = 12
ANYONE = "urn:gongshu:party:anyone"


def create_pages(console: Console) -> None:
    """Register the page that makes an offer."""

    @console.page("/sharing/offer", "sharing")
    async def offer(view: View) -> None:
        title(view, "sharing.offer", "offer.question")
        found = await view.ask(view.node.catalogue.datasets, standing=GradeStanding.CONFIRMED, limit=CANDIDATES_MAX)
        if not found:
            empty(view, "offer.nothing")
            return
        chosen = view.request.query_params.get("dataset", "")
        dataset = next((d for d in found if d.dataset_id == chosen), None)
        with grid():
            with panel(view.t("offer.dataset"), span="span-4 narrow-12"):
                names = {d.dataset_id: _name(view, d) for d in found}
                ui.select(
                    names,
                    label=view.t("offer.choose"),
                    value=dataset.dataset_id if dataset else None,
                    with_input=True,
                    on_change=lambda event: ui.navigate.to(f"/sharing/offer?dataset={event.value}"),
                ).props("outlined dense options-dense data-test=dataset")
                if dataset is not None:
                    ui.html(grade_html(view, dataset.label), sanitize=False)
                    if dataset.label.grade is Grade.THREE:
                        text(view.t("offer.grade_three")).classes("gs-muted")
                    elif dataset.label.grade is Grade.TWO:
                        text(view.t("offer.grade_two")).classes("gs-muted")
            if dataset is not None:
                with panel(view.t("offer.terms"), view.t("offer.terms_hint"), span="span-8 narrow-12"):
                    await _show_terms(view, dataset)


def _name(view: View, dataset: Dataset) -> str:
    return f"{dataset.title or dataset.dataset_id} · {view.t(f'grade.{int(dataset.label.grade)}')}"


def columns_of(dataset: Dataset) -> list[str]:
    """Return the names of the columns that a reader of the dataset can see."""
    columns = SERIES_COLUMNS if dataset.kind is DatasetKind.SERIES else dataset.columns
    return [column.name for column in columns]


async def _show_terms(view: View, dataset: Dataset) -> None:
    parties = [party.party_id for party in await view.ask(view.node.parties.all)]
    names = await view.party_names()
    form = TermsForm(view, columns_of(dataset), {str(p): names.get(p, str(p)) for p in parties})
    with ui.element("div").classes("gs-row"):
        known = {str(p): names.get(p, str(p)) for p in parties} or {ANYONE: ANYONE}
        party = ui.select(known, label=view.t("offer.as_whom"))
        party.value = next(iter(known))
        party.props("outlined dense").style("min-width: 260px")
        ui.button(view.t("offer.preview"), on_click=lambda: preview()).props("outline color=primary")
        ui.button(view.t("offer.go"), on_click=lambda: make()).props("unelevated color=primary data-test=make")
    place = ui.element("div").classes("gs-stack")

    async def preview() -> None:
        with view.trying(place):
            rows = await view.ask(
                view.node.share.preview,
                DatasetId(dataset.dataset_id),
                form.read(),
                PartyId(party.value),
                view.subject,
                rows_max=PREVIEW_ROWS,
            )
            with place:
                text(view.t("offer.exactly", party=known[party.value])).classes("gs-muted")
                show_rows(view, rows)

    async def make() -> None:
        with view.trying(place):
            await view.ask(view.node.share.offer, DatasetId(dataset.dataset_id), form.read(), view.subject)
            ui.navigate.to("/sharing")


def show_rows(view: View, rows: pa.Table) -> None:
    """Show a few rows as a table, each value as text."""
    columns = [(name, name) for name in rows.column_names]
    shown: list[dict[str, Any]] = [
        {"_key": number} | {name: "" if value is None else str(value) for name, value in row.items()}
        for number, row in enumerate(rows.to_pylist())
    ]
    table(view, columns, shown, key="_key", page_size=PREVIEW_ROWS)

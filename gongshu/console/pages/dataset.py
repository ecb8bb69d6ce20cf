"""One dataset: what it is and why, how good it is, where it came from, what happened to it; and the steward's word."""

import html
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.agreements import contract_path
from gongshu.console.pages.catalogue import GUIDE, category_title
from gongshu.console.pages.copy_look import Look, find_kept
from gongshu.console.pages.dataset_quality import show_quality
from gongshu.console.received import provider_of, title_text
from gongshu.console.widgets import chip, chip_html, empty, facts, grade_html, panel, table, text, time_html
from gongshu.model.access import Role
from gongshu.model.dataset import Dataset, DatasetKind
from gongshu.model.grade import Grade, GradeStanding, Importance
from gongshu.model.ids import DatasetId
from gongshu.share.rights import DEALERS, LOOKERS


def create_pages(console: Console) -> None:
    """Register the detail of a dataset."""

    @console.page("/catalogue/{dataset_id}", "catalogue")
    async def dataset(view: View) -> None:
        dataset_id = DatasetId(view.request.path_params["dataset_id"])
        found = await view.ask(view.node.catalogue.dataset, dataset_id)
        is_emptied = dataset_id in await view.ask(view.node.keeping.emptied)
        with ui.element("div").classes("gs-title"):
            names = await view.party_names()
            text(title_text(found, names).removesuffix(f" · {dataset_id}"), "h1")
            text(dataset_id, "p")
            if is_emptied:
                chip(view.t("standing.emptied"))
            else:
                ui.html(grade_html(view, found.label), sanitize=False)
            if view.has_role(*DEALERS) and not is_emptied:
                ui.link(view.t("dataset.offer"), f"/sharing/offer?dataset={dataset_id}")
        shows: dict[str, Callable[[View, Dataset], Awaitable[None]]] = {
            "grade": partial(_show_grade, names=names, is_emptied=is_emptied),
            "columns": _show_columns,
            "quality": show_quality,
            "lineage": _show_lineage,
            "history": _show_history,
        }
        kept = None if is_emptied else await find_kept(view, dataset_id)
        look = None if kept is None else Look(view, found, kept, names)
        if look is not None:
            shows = {"grade": shows.pop("grade"), "look": lambda *_: look.show(), **shows}
        wanted = view.request.query_params.get("tab", "")
        with panel(""):
            with ui.tabs().props("align=left no-caps inline-label dense") as tabs:
                for name in shows:
                    ui.tab(name, view.t(f"dataset.tab.{name}"))
            with ui.tab_panels(tabs, value=wanted if wanted in shows else "grade").classes("gs-full") as panels:
                for name, show in shows.items():
                    with ui.tab_panel(name), ui.element("div").classes("gs-stack").style("gap: 14px"):
                        await show(view, found)
            if look is not None:
                panels.on_value_change(look.hide)


async def _origin(view: View, dataset: Dataset, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return where the data are from; of received ones also the contract that they stand under and how to read them."""
    party = provider_of(dataset)
    if not party:
        return [(view.t("dataset.origin"), html.escape(dataset.origin))]
    rows = [(view.t("dataset.origin"), html.escape(view.t("dataset.from_partner", party=names.get(party, party))))]
    kept = [each for each in await view.ask(view.node.keeping.kept) if each.version.dataset_id == dataset.dataset_id]
    contracts = {each.agreement_id: str(each.dataset_id) for line in kept for each in line.agreements}
    links = [f'<a href="{contract_path(key)}">{html.escape(name)}</a>' for key, name in contracts.items()]
    if links and view.has_role(*LOOKERS):
        rows.append((view.t("process.contract"), view.join(links)))
    return rows


async def _show_grade(view: View, dataset: Dataset, *, names: Mapping[str, str], is_emptied: bool) -> None:
    proposal = await view.ask(view.node.catalogue.proposal, dataset.dataset_id)
    label = dataset.label
    rows = [
        (view.t("dataset.category"), html.escape(category_title(view, label.category))),
        *await _origin(view, dataset, names),
        (view.t("dataset.asset"), html.escape(dataset.asset or "–")),
        (view.t("dataset.owner"), html.escape(dataset.owner or view.t("dataset.no_owner"))),
        (view.t("dataset.first_seen"), time_html(dataset.first_seen)),
    ]
    if label.valid_until is not None:
        rows.append((view.t("dataset.valid_until"), time_html(label.valid_until)))
    facts(rows)
    text(view.t("dataset.evidence"), "h2")
    text(view.t("dataset.evidence_hint", confidence=f"{proposal.confidence:.0%}")).classes("gs-muted")
    evidence = [
        {
            "key": number,
            "text": view.pick(entry.text_zh, entry.text_en),
            "rule": entry.rule_id,
            "source": entry.source,
        }
        for number, entry in enumerate(proposal.evidence)
    ]
    columns = [(name, view.t(f"evidence.{name}")) for name in ("text", "rule", "source")]
    table(view, columns, evidence, key="key", page_size=8).props("wrap-cells")
    if is_emptied:
        text(view.t("dataset.emptied")).classes("gs-muted")
    elif view.has_role(Role.STEWARD):
        text(view.t("dataset.confirm"), "h2")
        _confirm_form(view, dataset)
    elif label.standing is not GradeStanding.CONFIRMED:
        text(view.t("dataset.who_confirms")).classes("gs-muted")


def _confirm_form(view: View, dataset: Dataset) -> None:
    label = dataset.label
    categories = {
        item.key.removeprefix("category."): view.pick(item.title_zh, item.title_en)
        for item in view.node.packs.get(GUIDE).under("category")
    }
    with ui.element("div").classes("gs-form"):
        grade = ui.select(
            {int(g): view.t(f"grade.{int(g)}") for g in Grade}, label=view.t("facet.grade"), value=int(label.grade)
        ).props("outlined dense data-test=grade")
        importance = ui.select(
            {i.value: view.t(f"importance.{i.value}") for i in Importance},
            label=view.t("dataset.importance"),
            value=label.importance.value,
        ).props("outlined dense")
        category = ui.select(
            categories | {label.category: category_title(view, label.category)},
            label=view.t("dataset.category"),
            value=label.category,
            with_input=True,
        ).props("outlined dense")
        reason = ui.input(view.t("dataset.reason")).props("outlined dense data-test=reason").classes("wide")
    problem = ui.element("div")

    async def confirm() -> None:
        with view.trying(problem):
            view.require_role(Role.STEWARD, what="confirm grades")
            await view.ask(
                view.node.catalogue.confirm,
                dataset.dataset_id,
                grade=Grade(grade.value),
                importance=Importance(importance.value),
                category=category.value,
                actor=view.subject.subject_id,
                reason=reason.value or "",
            )
            ui.navigate.reload()

    ui.button(view.t("dataset.confirm_go"), on_click=confirm).props("unelevated color=primary").style(
        "align-self: flex-start"
    )


async def _show_columns(view: View, dataset: Dataset) -> None:
    parts = {part.name: part for part in await view.ask(view.node.catalogue.parts, dataset.dataset_id)}
    rows: list[dict[str, Any]] = []
    if dataset.kind is DatasetKind.SERIES:
        for series in await view.ask(view.node.catalogue.series_of, dataset.dataset_id):
            s = series.sighting
            rows.append({"name": s.name, "title": s.title, "type": s.value_type.value, "unit": view.unit(s.unit)})
    else:
        for column in dataset.columns:
            rows.append(
                {"name": column.name, "title": column.title, "type": column.type, "unit": view.unit(column.unit)}
            )
    for row in rows:
        part = parts.get(row["name"])
        row["grade"] = grade_html(view, part.label) if part else ""
        row["category"] = category_title(view, part.label.category) if part else ""
    columns = [(name, view.t(f"column.{name}")) for name in ("name", "title", "type", "unit", "grade", "category")]
    table(view, columns, rows, key="name", markup=("grade",))


async def _show_lineage(view: View, dataset: Dataset) -> None:
    lineage = await view.ask(view.node.catalogue.lineage, dataset.dataset_id)
    if not lineage.parents and not lineage.children:
        empty(view, "lineage.none")
        return
    for key, ids in (("lineage.parents", lineage.parents), ("lineage.children", lineage.children)):
        text(view.t(key), "h2")
        if not ids:
            text("–").classes("gs-muted")
        with ui.element("div").classes("gs-row"):
            for other in ids:
                ui.link(other, f"/catalogue/{other}")


async def _show_history(view: View, dataset: Dataset) -> None:
    changes = await view.ask(view.node.catalogue.history, dataset.dataset_id)
    rows = [
        {
            "key": change.change_id,
            "at": time_html(change.at),
            "what": chip_html(view.t(f"change.{change.kind.value}"), "accent"),
            "actor": change.actor,
            "before": _facts_text(change.before),
            "after": _facts_text(change.after),
            "reason": change.reason,
            "audit": "" if change.audit_index is None else f"#{change.audit_index}",
        }
        for change in changes
    ]
    columns = [(n, view.t(f"history.{n}")) for n in ("at", "what", "actor", "before", "after", "reason", "audit")]
    table(view, columns, rows, key="key", markup=("at", "what")).props("wrap-cells")


def _facts_text(values: Any) -> str:
    return "; ".join(f"{name} {value}" for name, value in values.items() if value not in (None, "", []))

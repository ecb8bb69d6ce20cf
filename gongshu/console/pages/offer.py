"""Offering a dataset: choose it, set terms, read them in plain words, see what the partner will see, offer."""

from collections.abc import Sequence

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import Console, View
from gongshu.console.pages.attachments import collect_files
from gongshu.console.pages.offer_needs import show_needs
from gongshu.console.pages.row_table import show_rows
from gongshu.console.pages.terms_form import TermsForm
from gongshu.console.pages.terms_words import clauses_html
from gongshu.console.widgets import empty, grade_html, grid, notice, panel, text, title
from gongshu.model.dataset import SERIES_COLUMNS, Dataset, DatasetKind
from gongshu.model.grade import GradeLabel, GradeStanding, Importance
from gongshu.model.ids import DatasetId, PartyId
from gongshu.secure.parties import Party
from gongshu.share.automation import ASK_FIRST
from gongshu.share.clearances.judging import is_high
from gongshu.share.contracts.attaching import NewAttachment

CANDIDATES_MAX = 2_000
PREVIEW_ROWS = 12
ANYONE = "urn:gongshu:party:anyone"


def create_pages(console: Console) -> None:
    """Register the page that makes an offer."""

    @console.page("/sharing/offer", "sharing")
    async def offer(view: View) -> None:
        title(view, "sharing.offer", "offer.question")
        chosen = view.request.query_params.get("dataset", "")
        found = await view.ask(view.node.catalogue.datasets, standing=GradeStanding.CONFIRMED, limit=CANDIDATES_MAX)
        emptied = await view.ask(view.node.keeping.emptied)
        found = [each for each in found if each.dataset_id not in emptied]
        dataset = await view.ask(view.node.catalogue.dataset, DatasetId(chosen)) if chosen else None
        if not found and dataset is None:
            empty(view, "offer.nothing", to={"/catalogue?standing=proposed": "nav.catalogue"})
            return
        names = {d.dataset_id: _name(view, d) for d in [*found, *([dataset] if dataset else [])]}
        with panel(view.t("offer.dataset")), ui.element("div").classes("gs-row"):
            ui.select(
                names,
                label=view.t("offer.choose"),
                value=dataset.dataset_id if dataset else None,
                with_input=True,
                on_change=lambda event: ui.navigate.to(f"/sharing/offer?dataset={event.value}"),
            ).props("outlined dense options-dense data-test=dataset").style("min-width: 340px")
            if dataset is not None:
                ui.html(grade_html(view, dataset.label), sanitize=False)
        if dataset is None:
            return
        if obstacle := "emptied" if chosen in emptied else obstacle_of(dataset.label):
            notice(view.t("offer.cannot"), view.t(f"grade_obstacle.{obstacle}"), kind="warn")
            ui.link(view.t("offer.to_catalogue"), f"/catalogue/{dataset.dataset_id}")
            return
        parties = await view.ask(view.node.parties.all)
        if is_high(dataset.label):
            parties = await show_needs(view, dataset, parties)
            if not parties:
                return
        await _Desk(view, dataset, parties).show()


def obstacle_of(label: GradeLabel) -> str:
    """Return why data of this grade can be offered to nobody, as the name of a text; empty if they may be.

    >>> from gongshu.model.grade import Grade
    >>> obstacle_of(GradeLabel(Grade.THREE, Importance.CORE, "", GradeStanding.CONFIRMED, None))
    'core'
    """
    if label.importance is Importance.CORE:
        return "core"
    return {GradeStanding.PROPOSED: "proposed", GradeStanding.EXPIRED: "expired"}.get(label.standing, "")


def _name(view: View, dataset: Dataset) -> str:
    return f"{dataset.title or dataset.dataset_id} · {view.t(f'grade.{int(dataset.label.grade)}')}"


def columns_of(dataset: Dataset) -> list[str]:
    """Return the names of the columns that a reader of the dataset can see."""
    columns = SERIES_COLUMNS if dataset.kind is DatasetKind.SERIES else dataset.columns
    return [column.name for column in columns]


class _Desk:
    """The form on one side; on the other what it says, what the partner will see, and the button."""

    def __init__(self, view: View, dataset: Dataset, parties: Sequence[Party]) -> None:
        self._view, self._dataset, self._parties = view, dataset, parties
        self._files: dict[str, tuple[str, bytes]] = {}

    async def show(self) -> None:
        """Build both sides."""
        view = self._view
        parties = self._parties
        self._names = await view.party_names()
        known = {str(p.party_id): self._names.get(p.party_id, p.party_id) for p in parties}
        groups = {group.group_id: group.title for group in await view.ask(view.node.share.desk.groups, view.subject)}
        keys = {p.fingerprint: f"{known[p.party_id]} · {p.fingerprint[7:15]}" for p in parties if p.fingerprint}
        # Data from 二级 on go to named parties; where only one may have them, it is that one.
        chosen = [p.party_id for p in parties] if len(parties) == 1 and is_high(self._dataset.label) else []
        with grid():
            with panel(view.t("offer.terms"), view.t("offer.terms_hint"), span="span-7 narrow-12"):
                self._form = TermsForm(
                    view,
                    columns_of(self._dataset),
                    known,
                    groups=groups,
                    keys=keys,
                    chosen=chosen,
                    changed=self._say,
                )
            with ui.element("div").classes("span-5 narrow-12 gs-stack gs-sticky").style("gap: 16px"):
                with panel(view.t("offer.says"), view.t("offer.says_hint")):
                    self._said = ui.element("div")
                    self._rule()
                    collect_files(view, self._files)
                    self._made = ui.element("div")
                    ui.button(view.t("offer.go"), on_click=self._make).props(
                        "unelevated color=primary data-test=make"
                    ).classes("gs-start")
                with panel(view.t("offer.preview"), view.t("offer.preview_hint")):
                    choices = known or {ANYONE: ANYONE}
                    with ui.element("div").classes("gs-row"):
                        self._party = ui.select(choices, label=view.t("offer.as_whom"), value=next(iter(choices)))
                        self._party.props("outlined dense").style("flex: 1; min-width: 180px")
                        ui.button(view.t("offer.look"), on_click=self._preview).props(
                            "outline color=primary data-test=preview"
                        )
                    self._seen = ui.element("div").classes("gs-stack")
        self._say()

    def _rule(self) -> None:
        view = self._view
        rules = {False: view.t("offer.by_rule"), True: view.t("offer.by_hand")}
        self._asks = ui.radio(rules, value=False).props("dense")
        self._published = ui.input(view.t("offer.published_as"), placeholder=str(self._dataset.dataset_id))
        self._published.props("outlined dense")

    def _say(self) -> None:
        """Say what the form says now, or what is wrong with it; what was said of other terms goes."""
        for shown in (self._said, self._made, self._seen):
            shown.clear()
        with self._said:
            try:
                terms = self._form.read()
            except FieldWrong as error:
                text(self._view.said(error)).classes("gs-muted")
                return
            if terms.is_empty and not terms.unrestricted:
                text(self._view.t("offer.says_nothing")).classes("gs-muted")
            else:
                ui.html(clauses_html(self._view, terms, self._names), sanitize=False)

    async def _preview(self) -> None:
        with self._view.trying(self._seen):
            terms = self._form.read()
            rows = await self._view.ask(
                self._view.node.share.preview,
                DatasetId(self._dataset.dataset_id),
                terms,
                PartyId(self._party.value),
                self._view.subject,
                rows_max=PREVIEW_ROWS,
            )
            with self._seen:
                key = "offer.exactly_figures" if terms.is_aggregate_only else "offer.exactly"
                party = self._names.get(self._party.value, self._party.value)
                columns = self._view.join(rows.column_names)  # those beyond the panel's edge too
                text(self._view.t(key, party=party, columns=columns)).classes("gs-muted")
                show_rows(self._view, rows)

    async def _make(self) -> None:
        with self._view.trying(self._made):
            await self._view.ask(
                self._view.node.share.offer,
                DatasetId(self._dataset.dataset_id),
                self._form.read(),
                self._view.subject,
                rules=ASK_FIRST if self._asks.value else None,
                published_as=(self._published.value or "").strip(),
                attachments=[NewAttachment(name, *file) for name, file in self._files.items()],
            )
            ui.navigate.to("/sharing")

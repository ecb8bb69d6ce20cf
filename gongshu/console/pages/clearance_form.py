"""Asking for a clearance: which data, for whom, by which procedure, and what that procedure found."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import Console, View
from gongshu.console.pages.clearance_parts import clearance_path, kind_heading, need_of, request_path
from gongshu.console.widgets import empty, grade_html, notice, panel, text, title
from gongshu.model.dataset import Dataset
from gongshu.model.grade import GradeStanding
from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.clearances.judging import is_high
from gongshu.share.clearances.model import Kind
from gongshu.share.clearances.records import DECIMALS_MAX, MARKED_TYPE, NAME_MAX, PACK, TEXT_MAX
from gongshu.share.days import day_end

CANDIDATES_MAX = 2_000
USUAL_DAYS = 180
"""Proposed length of a clearance, where the yearly review is not due before. Ours."""
Read = Callable[[], dict[str, Any]]


def create_pages(console: Console) -> None:
    """Register the form."""

    @console.page("/sharing/clearances/new", "clearances")
    async def new(view: View) -> None:
        title(view, "clearances.ask", "clearances.ask_question")
        view.node.share.require_onlooker(view.subject)
        asked = view.request.query_params
        found = await view.ask(view.node.catalogue.datasets, standing=GradeStanding.CONFIRMED, limit=CANDIDATES_MAX)
        emptied = await view.ask(view.node.keeping.emptied)
        found = [each for each in found if each.dataset_id not in emptied]
        parties = {str(p.party_id): p.title or str(p.party_id) for p in await view.ask(view.node.parties.all)}
        if not found or not parties:
            empty(view, "clearances.nothing", to={"/catalogue": "nav.catalogue", "/sharing/partners": "nav.partners"})
            return
        named = asked.get("dataset", "")
        dataset = await view.ask(view.node.catalogue.dataset, DatasetId(named)) if named else None
        party = asked.get("party", "")
        party = party if party in parties else next(iter(parties))
        kinds = await _kinds(view, dataset, party) if dataset else []
        wanted = asked.get("kind", "")
        kind = next((each for each in kinds if each == wanted), next(iter(kinds), None))
        with panel(view.t("clearances.what")):
            _choose(view, [d for d in found if is_high(d.label)] or found, dataset, parties, party, kinds, kind)
        if dataset is None:
            return
        if kind is None:
            notice(view.t("clearances.not_needed"), view.t("clearances.not_needed_text"), kind="good")
            ui.link(view.t("clearances.to_offer"), f"/sharing/offer?dataset={dataset.dataset_id}")
            return
        _Form(view, dataset, PartyId(party), kind).show()


async def _kinds(view: View, dataset: Dataset, party: str) -> list[Kind]:
    """Return the procedures that this dataset needs for this party, missing ones first."""
    standing = view.node.share.clearances.standing
    need = need_of(dataset, await view.ask(standing, dataset, PartyId(party), view.node.clock()))
    return [*need.missing, *need.in_force]


def _choose(
    view: View,
    found: list[Dataset],
    dataset: Dataset | None,
    parties: Mapping[str, str],
    party: str,
    kinds: list[Kind],
    kind: Kind | None,
) -> None:
    names = {d.dataset_id: f"{d.title or d.dataset_id} · {view.t(f'grade.{int(d.label.grade)}')}" for d in found}
    if dataset is not None:
        names.setdefault(dataset.dataset_id, dataset.title or dataset.dataset_id)

    def go(**changed: str) -> None:
        chosen = {"dataset": dataset.dataset_id if dataset else "", "party": party, "kind": kind or ""} | changed
        ui.navigate.to(request_path(chosen["dataset"], chosen["party"], Kind(chosen["kind"] or Kind.STRICT)))

    with ui.element("div").classes("gs-form"):
        ui.select(
            names,
            label=view.t("clearance.dataset"),
            value=dataset.dataset_id if dataset else None,
            with_input=True,
            on_change=lambda event: go(dataset=str(event.value)),
        ).props("outlined dense options-dense data-test=dataset")
        ui.select(
            dict(parties), label=view.t("clearance.party"), value=party, on_change=lambda e: go(party=str(e.value))
        ).props("outlined dense options-dense data-test=party")
        if kinds:
            said = {each.value: view.t(f"clearance_kind.{each.value}") for each in kinds}
            ui.select(
                said,
                label=view.t("clearance.kind"),
                value=kind.value if kind else None,
                on_change=lambda event: go(kind=str(event.value)),
            ).props("outlined dense options-dense data-test=kind")
    if dataset is not None:
        ui.html(grade_html(view, dataset.label), sanitize=False)


class _Form:
    """The record of one procedure, the reason and the last day."""

    def __init__(self, view: View, dataset: Dataset, party: PartyId, kind: Kind) -> None:
        self._view, self._dataset, self._party, self._kind = view, dataset, party, kind

    @property
    def _today(self) -> date:
        """The day now, also where the page was opened yesterday."""
        return self._view.node.clock().astimezone(self._view.node.config.zone).date()

    def show(self) -> None:
        """Build the form and its button."""
        view = self._view
        shown: Mapping[Kind, Callable[[], Read]] = {
            Kind.STRICT: self._strict,
            Kind.IMPORTANT: self._important,
            Kind.CROSS_BORDER: self._cross_border,
        }
        with panel(kind_heading(view, self._kind), view.t(f"clearance_record.{self._kind.value}")):
            read = shown[self._kind]()
        with panel(view.t("clearances.why")), ui.element("div").classes("gs-form"):
            reason = ui.textarea(view.t("clearance.reason")).props("outlined dense autogrow data-test=why")
            reason.classes("wide")
            zone, review = view.node.config.zone, self._dataset.label.valid_until
            review_day = None if review is None else review.astimezone(zone).date()
            last = self._today + timedelta(days=USUAL_DAYS)
            if review_day is not None:
                last = min(last, review_day - timedelta(days=1))
            until = self._line("clearance.until", "2027-12-31", last.isoformat(), "until")
            until.props(f'hint="{view.t("clearances.review_hint", zone=view.zone, day=review_day or "–")}"')
        problem = ui.element("div")

        async def ask() -> None:
            with view.trying(problem):
                end = day_end(self._day("clearance.until", until), zone)
                act, why = view.node.share.clearances.request, reason.value or ""
                made = await view.ask(
                    act, self._kind, self._dataset.dataset_id, self._party, read(), view.subject,
                    reason=why, valid_until=end,
                )  # fmt: skip
                ui.navigate.to(clearance_path(made.clearance_id))

        text(view.t("clearances.then")).classes("gs-muted")
        ui.button(view.t("clearances.go"), on_click=ask).props("unelevated color=primary data-test=go").classes(
            "gs-start"
        )

    # ---- the three procedures ---------------------------------------------------------------------------------------

    def _strict(self) -> Read:
        view, rows = self._view, list[tuple[ui.input, ui.input]]()
        place = ui.element("div").classes("gs-stack")

        def add() -> None:
            with place, ui.element("div").classes("gs-row") as row:
                name = ui.input(view.t("strict.name")).props("outlined dense data-test=name").style("flex: 1")
                post = ui.input(view.t("strict.post")).props("outlined dense data-test=post").style("flex: 2")
                pair = (name, post)
                rows.append(pair)

                def remove() -> None:
                    rows.remove(pair)
                    row.delete()

                button = ui.button(icon="close", on_click=remove).props("flat dense round color=primary")
                button.props(f'aria-label="{view.t("strict.remove")}"')

        add()
        ui.button(view.t("strict.add"), on_click=add).props("flat dense color=primary icon=add").classes("gs-start")
        markable = [column.name for column in self._dataset.columns if column.type == MARKED_TYPE]
        if not markable:
            notice(view.t("strict.no_column"), view.t("strict.no_column_text"), kind="warn")
        with ui.element("div").classes("gs-form"):
            columns = ui.select(markable, label=view.t("strict.columns"), multiple=True, value=markable[:1])
            columns.props("outlined dense use-chips options-dense data-test=columns")
            places = list(range(1, DECIMALS_MAX + 1))
            decimal = ui.select(places, label=view.t("strict.decimal"), value=3)
            decimal.props("outlined dense options-dense data-test=decimal").props(
                f'hint="{view.t("strict.decimal_hint")}"'
            )

        def read() -> dict[str, Any]:
            knowers = [{"name": (n.value or "").strip(), "post": (p.value or "").strip()} for n, p in rows]
            if any(not 0 < len(each) <= NAME_MAX for knower in knowers for each in knower.values()) or not knowers:
                raise FieldWrong(field=view.t("strict.knowers"), expected=view.t("strict.expected", longest=NAME_MAX))
            return {"knowers": knowers, "mark": dict.fromkeys(columns.value or (), int(decimal.value or 3))}

        return read

    def _important(self) -> Read:
        view, today = self._view, self._today.isoformat()
        with ui.element("div").classes("gs-form"):
            reference = self._line("important.reference", "HT-2027-014", "", "reference")
            signed_on = self._line("important.signed_on", "2027-01-31", today, "signed_on")
        with ui.element("div").classes("gs-form"):
            checked_by = self._line("important.checked_by", "", "", "checked_by")
            checked_on = self._line("important.checked_on", "2027-01-31", today, "checked_on")
            checked = ui.textarea(view.t("important.check")).props("outlined dense autogrow data-test=check")
            checked.classes("wide")
        with ui.element("div").classes("gs-form"):
            assessed_by = self._line("important.assessed_by", "", "", "assessed_by")
            assessed_on = self._line("important.assessed_on", "2027-01-31", today, "assessed_on")
        aspects: dict[str, tuple[ui.textarea, ui.checkbox]] = {}
        for item in view.node.packs.get(PACK).under("assessment.aspect"):
            name = item.key.rpartition(".")[2]
            with ui.element("div").classes("gs-aspect"):
                text(view.pick(item.title_zh, item.title_en))
                finding = ui.textarea(view.t("important.finding")).props(f"outlined dense autogrow data-test={name}")
                is_fine = ui.checkbox(view.t("important.acceptable")).props(f"dense data-test={name}-ok")
            aspects[name] = (finding, is_fine)

        def read() -> dict[str, Any]:
            days = {"important.signed_on": signed_on, "important.assessed_on": assessed_on}
            days |= {"important.checked_on": checked_on}
            at = {name: self._past_day(name, field) for name, field in days.items()}
            found = {
                name: {"finding": (finding.value or "").strip(), "acceptable": bool(fine.value)}
                for name, (finding, fine) in aspects.items()
            }
            empty_ones = [f for f in found.values() if not f["finding"] or not f["acceptable"]]
            if empty_ones:
                expected = view.t("important.expected", count=len(empty_ones))
                raise FieldWrong(field=view.t("important.aspects"), expected=expected)
            agreed, by = self._words("important.reference", reference), self._words("important.checked_by", checked_by)
            seen = self._words("important.check", checked, TEXT_MAX)
            assessor = self._words("important.assessed_by", assessed_by)
            return {
                "agreement": {"reference": agreed, "signed_on": at["important.signed_on"]},
                "receiver_check": {"by": by, "on": at["important.checked_on"], "finding": seen},
                "assessment": {"by": assessor, "on": at["important.assessed_on"], "aspects": found},
            }

        return read

    def _cross_border(self) -> Read:
        view = self._view
        ways = {
            item.key.rpartition(".")[2]: view.pick(item.title_zh, item.title_en)
            for item in view.node.packs.get(PACK).under("cross_border.path")
        }
        with ui.element("div").classes("gs-form"):
            path = ui.select(ways, label=view.t("border.path"), value=next(iter(ways)))
            path.props("outlined dense options-dense data-test=path").classes("wide")
            reference = self._line("border.reference", "", "", "reference")
            issued_on = self._line("border.issued_on", "2027-01-31", self._today.isoformat(), "issued_on")
            last = (self._today + timedelta(days=USUAL_DAYS)).isoformat()
            valid_until = self._line("border.valid_until", "2027-12-31", last, "valid_until")

        def read() -> dict[str, Any]:
            return {
                "path": path.value,
                "reference": self._words("border.reference", reference),
                "issued_on": self._past_day("border.issued_on", issued_on),
                "valid_until": self._day("border.valid_until", valid_until).isoformat(),
            }

        return read

    # ---- fields -----------------------------------------------------------------------------------------------------

    def _line(self, key: str, example: str, value: str, name: str) -> ui.input:
        field = ui.input(self._view.t(key), value=value, placeholder=example)
        return field.props(f"outlined dense data-test={name}")

    def _day(self, key: str, field: ui.input) -> date:
        try:
            return date.fromisoformat(_typed(field))
        except ValueError:
            raise FieldWrong(field=self._view.t(key), expected="a day as 2027-12-31") from None

    def _past_day(self, key: str, field: ui.input) -> str:
        day = self._day(key, field)
        if day > self._today:
            raise FieldWrong(field=self._view.t(key), expected="a day that has begun")
        return day.isoformat()

    def _words(self, key: str, field: ui.input | ui.textarea, longest: int = NAME_MAX) -> str:
        """Return what was typed; a record names its parts as programs do, so a person is told here what is missing."""
        typed = _typed(field)
        if not 0 < len(typed) <= longest:
            raise FieldWrong(field=self._view.t(key), expected=f"1 to {longest} characters")
        return typed


def _typed(field: ui.input | ui.textarea) -> str:
    return (field.value or "").strip()

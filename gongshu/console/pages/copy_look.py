"""The first rows of a received copy, or figures over it: read through the gate when a person asks, and kept nowhere."""

import html
import shlex
from collections.abc import Mapping, Sequence

import pyarrow as pa
from nicegui import ui

from gongshu.console.column_words import describe_column
from gongshu.console.copy_looks import (
    FUNCTIONS,
    PURPOSE,
    ROWS_MAX,
    figure_of,
    figures_query,
    gives_figures,
    group_min_of,
    purposes_of,
    remedy_of,
    rows_query,
    uses_of,
)
from gongshu.console.forms import FieldWrong
from gongshu.console.frame import View
from gongshu.console.pages.agreements import contract_path
from gongshu.console.pages.row_table import show_rows
from gongshu.console.widgets import error_notice, facts, notice, text
from gongshu.model.dataset import Column, Dataset
from gongshu.model.ids import DatasetId
from gongshu.secure.errors import Denied
from gongshu.secure.gate import CopyRead, DatasetQuery, SqlQuery
from gongshu.secure.gate.copies import CopyVerdict
from gongshu.share.errors import CopyForbidden
from gongshu.share.keeping.model import Kept
from gongshu.share.reading import is_number
from gongshu.share.rights import LOOKERS

TO_MARKET = frozenset({"ended", "purpose", "other"})
"""Remedies that begin with asking the provider again."""


async def find_kept(view: View, dataset_id: DatasetId) -> Kept | None:
    """Return what is held of a received dataset, or of one that was made from such; None for others."""
    kept = [each for each in await view.ask(view.node.keeping.kept) if each.version.dataset_id == dataset_id]
    return kept[-1] if kept else None


class Look:
    """Cost and form of a look, its button, and what it showed until the person goes on."""

    def __init__(self, view: View, dataset: Dataset, kept: Kept, names: Mapping[str, str]) -> None:
        self._view, self._dataset, self._kept, self._names = view, dataset, kept, names
        self._as_figures = gives_figures(kept)

    async def show(self) -> None:
        """Build it; nothing is read."""
        self._cost = ui.element("div").classes("gs-stack gs-full")
        with ui.element("div").classes("gs-form gs-full"):
            self._build_form()
        self._act = ui.element("div").classes("gs-stack gs-full")
        self._shown = ui.element("div").classes("gs-stack gs-full")
        self._command = ui.html("", sanitize=False).classes("gs-muted gs-full")
        self._purpose.on_value_change(self._say_command)
        self._say_command()
        await self._draw()

    def hide(self) -> None:
        """Forget what was shown: rows stay on the page only while somebody looks at them."""
        self._shown.clear()

    def _build_form(self) -> None:
        view, columns = self._view, self._dataset.columns
        described = {column.name: describe_column(view, column) for column in columns}
        numbers = {column.name: described[column.name] for column in columns if is_number(column)}
        if self._as_figures:
            functions = {name: view.t(f"look.function.{name}") for name in FUNCTIONS}
            self._functions = ui.select(functions, label=view.t("look.functions"), value=["avg"], multiple=True)
            self._columns = ui.select(numbers, label=view.t("look.of_columns"), value=[], multiple=True)
            self._groups = ui.select(described, label=view.t("look.groups"), value=[], multiple=True)
            chosen = {"functions": self._functions, "columns": self._columns, "groups": self._groups}
        else:
            self._columns = ui.select(described, label=view.t("look.columns"), value=[], multiple=True)
            chosen = {"columns": self._columns}
        for name, field in chosen.items():
            field.props(f"outlined dense options-dense use-chips clearable data-test=look-{name}")
        purposes = purposes_of(self._kept)
        label = view.t("look.purpose")
        self._purpose: ui.select | ui.input
        if purposes is None:
            self._purpose = ui.input(label, value=PURPOSE)
        else:
            only = next(iter(purposes)) if len(purposes) == 1 else None
            self._purpose = ui.select(sorted(purposes), label=label, value=only)
        self._purpose.props("outlined dense options-dense data-test=look-purpose")

    async def _draw(self) -> None:
        """Say what a look costs now, and show its button where the contracts have nothing against one."""
        view, uses = self._view, uses_of(self._kept)
        against = await view.ask(self._against, min(purposes_of(self._kept) or {PURPOSE}))
        self._cost.clear()
        with self._cost:
            facts([(view.t(f"look.{name}"), said) for name, said in self._costs(uses).items()])
        self._act.clear()
        with self._act:
            if against is not None:
                notice(view.t("look.closed"), self._why(against), kind="warn")
                self._say_remedy(against)
                return
            go = view.t("look.go" if uses is None else "look.go_counted", max=uses and uses[0])
            button = ui.button(go, on_click=self._look).props("unelevated color=primary data-test=look")
            button.classes("gs-start")

    def _costs(self, uses: tuple[int, int] | None) -> dict[str, str]:
        view = self._view
        parties = dict.fromkeys(agreement.counterparty for agreement in self._kept.agreements)
        whom = view.join(html.escape(self._names.get(party, party)) for party in parties)
        if uses is None:
            cost = view.t("look.not_counted")
        else:
            cost = view.t("look.counted" if uses[1] else "look.used_up", max=uses[0], left=uses[1])
        shape = "look.figures_hint" if self._as_figures else "look.rows_hint"
        said = {
            "costs": html.escape(cost),
            "told": view.t("look.told_text", parties=whom),
            "shows": html.escape(view.t(shape, rows=ROWS_MAX, smallest=group_min_of(self._kept))),
        }
        if view.has_role(*LOOKERS):
            links = [
                f'<a href="{contract_path(each.agreement_id)}">{html.escape(each.dataset_id)}</a>'
                for each in {each.agreement_id: each for each in self._kept.agreements}.values()
            ]
            said["under"] = view.join(links)
        return said

    def _against(self, purpose: str) -> CopyVerdict | None:
        view = self._view
        name = self._dataset.dataset_id
        read = CopyRead(name, view.subject, "read", purpose, is_aggregate=self._as_figures)
        verdict = view.node.keeping.verdict(read)
        return None if verdict.permitted else verdict

    def _why(self, against: CopyVerdict) -> str:
        """Say why not; under a single contract nobody has to be told which one."""
        is_one = len(self._kept.agreements) == 1 and against.why
        return self._view.said(against.why if is_one else "; ".join(against.because))

    async def _look(self) -> None:
        view = self._view
        with view.trying(self._shown):
            purpose = (self._purpose.value or "").strip()
            if not purpose:
                raise FieldWrong(field=view.t("look.purpose"), expected=view.t("look.purpose_expected"))
            try:
                rows = await view.ask(self._read, self._query(), purpose)
            except (Denied, CopyForbidden) as refused:
                with self._shown:
                    error_notice(view, refused)
                    self._say_remedy(await view.ask(self._against, purpose))
            else:
                with self._shown:
                    text(view.t("look.done", rows=rows.num_rows, purpose=purpose)).classes("gs-muted")
                    show_rows(view, rows, self._headings(rows.column_names))
            found = await find_kept(view, self._dataset.dataset_id)
            if found is not None:
                self._kept = found
                await self._draw()

    def _read(self, query: DatasetQuery | SqlQuery, purpose: str) -> pa.Table:
        with self._view.node.gate.read(self._view.subject, query, purpose=purpose) as result:
            return result.read_all()

    def _query(self) -> DatasetQuery | SqlQuery:
        if not self._as_figures:
            return rows_query(self._dataset.dataset_id, self._columns.value)
        return figures_query(self._dataset, self._columns.value, self._functions.value, self._groups.value)

    def _headings(self, names: Sequence[str]) -> list[str]:
        columns = {column.name: column for column in self._dataset.columns}
        return [self._heading(name, columns) for name in names]

    def _heading(self, name: str, columns: Mapping[str, Column]) -> str:
        view = self._view
        if (found := figure_of(name, list(columns.values()))) is not None and self._as_figures:
            function, column = found
            of = f"{column.name} {view.unit(column.unit)}".strip() if column is not None else ""
            return view.t(f"look.figure.{function}", of=of)
        return describe_column(view, columns[name]) if name in columns else name

    def _say_remedy(self, against: CopyVerdict | None) -> None:
        if against is not None:
            remedy = remedy_of(against.term)
            text(self._view.t(f"look.remedy.{remedy}"))
            if remedy in TO_MARKET:
                ui.link(self._view.t("nav.market"), "/sharing/find")

    def _say_command(self) -> None:
        if self._as_figures:
            sql = figures_query(self._dataset, (), FUNCTIONS[:1], ()).sql
        else:
            sql = f"SELECT * FROM {self._dataset.dataset_id} LIMIT {ROWS_MAX}"
        command = f"gongshu sql {shlex.quote(sql)}"
        purpose = (self._purpose.value or "").strip()
        command += f" --purpose {shlex.quote(purpose) if purpose else '…'}"
        self._command.content = f"{self._view.t('look.command')} <code>{html.escape(command)}</code>"

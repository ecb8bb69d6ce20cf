"""Adding a source: choose a protocol, fill in what its connector asks for, probe, start."""

from dataclasses import dataclass, field
from typing import Any

from nicegui import ui

from gongshu.console.forms import FormField, Kind, read_config, read_fields
from gongshu.console.frame import Console, View
from gongshu.console.pages.sources import KEEPERS, show_probe_report
from gongshu.console.widgets import chip, grid, panel, text, title
from gongshu.gather.connector import ConnectorSpec
from gongshu.gather.model import Desired, SourceDefinition, asset_path, require_source_id

HINT_MAX = 70


@dataclass(slots=True)
class Typed:
    """What the person has typed so far; kept when another protocol is chosen."""

    source_id: str = ""
    title: str = ""
    asset: str = ""
    config: dict[str, Any] = field(default_factory=dict)


def create_pages(console: Console) -> None:
    """Register the form. Its path is registered before `/sources/{source_id}` would take it."""

    @console.page("/sources/add", "sources")
    async def add(view: View) -> None:
        title(view, "sources.add", "source_add.question")
        specs = await view.ask(view.node.sources.connectors)
        first = view.request.query_params.get("connector", "")
        _Form(view, specs).show(first if first in specs else next(iter(specs)))


class _Form:
    """The form, which is built anew for each protocol."""

    def __init__(self, view: View, specs: dict[str, ConnectorSpec]) -> None:
        self._view = view
        self._specs = specs
        self._typed = Typed()
        self._chosen = ""
        self._fields: tuple[FormField, ...] = ()

    def show(self, chosen: str) -> None:
        view = self._view
        names = {name: view.pick(spec.title_zh, spec.title_en) for name, spec in self._specs.items()}
        with grid():
            with panel(view.t("source_add.protocol"), span="span-3 narrow-12"):
                ui.radio(names, value=chosen, on_change=lambda event: self._build(event.value)).props("color=primary")
                self._about = ui.element("div").classes("gs-stack")
            with panel(view.t("source_add.settings"), span="span-9 narrow-12"):
                with ui.element("div").classes("gs-form"):
                    self._input("source_id", view.t("source_add.id"), "mill-3", is_required=True)
                    self._input("title", view.t("source_add.title"), "3 号铣床")
                    self._input("asset", view.t("source_add.asset"), "plant-1/line-2/mill-03", is_required=True)
                self._settings = ui.element("div").classes("gs-stack")
                self._result = ui.element("div").classes("gs-stack")
                with ui.element("div").classes("gs-row"):
                    self._probe_button = ui.button(view.t("sources.probe"), on_click=self._probe).props(
                        "outline color=primary"
                    )
                    ui.button(view.t("source_add.go"), on_click=self._add).props("unelevated color=primary")
        self._build(chosen)

    def _build(self, chosen: str) -> None:
        view, spec = self._view, self._specs[chosen]
        self._chosen = chosen
        self._fields = read_fields(view.node.sources.config_schema(chosen))
        self._typed.config = {f.name: f.default for f in self._fields if f.kind in {Kind.FLAG, Kind.CHOICE}}
        self._about.clear()
        with self._about:
            text(view.t("source_add.follows")).classes("gs-muted gs-small")
            for clause in spec.sources:
                text(clause).classes("gs-small")
            with ui.element("div").classes("gs-row"):
                for ability in sorted(spec.can):
                    chip(view.t(f"can.{ability.value}"))
        self._settings.clear()
        with self._settings:
            with ui.element("div").classes("gs-form"):
                for entry in self._fields:
                    if entry.is_basic:
                        self._field(entry)
            with ui.expansion(view.t("source_add.more")).classes("gs-full"), ui.element("div").classes("gs-form"):
                for entry in self._fields:
                    if not entry.is_basic:
                        self._field(entry)
        self._result.clear()

    def _field(self, entry: FormField) -> None:
        view, config = self._view, self._typed.config
        label = view.pick(entry.title_zh, entry.title_en) + (f" ({entry.unit})" if entry.unit else "")
        label += " *" if entry.is_required else ""

        def keep(value: Any) -> None:
            config[entry.name] = value

        if entry.kind is Kind.FLAG:
            ui.checkbox(label, value=bool(entry.default), on_change=lambda e: keep(e.value)).props(
                "dense color=primary"
            )
            return
        if entry.kind is Kind.CHOICE:
            ui.select(list(entry.choices), label=label, value=entry.default, on_change=lambda e: keep(e.value)).props(
                "outlined dense"
            )
            return
        shown: ui.input | ui.textarea
        if entry.kind is Kind.JSON:
            shown = ui.textarea(label, on_change=lambda e: keep(e.value)).classes("gs-mono wide").props("autogrow")
        else:
            shown = ui.input(label, password=entry.kind is Kind.SECRET, on_change=lambda e: keep(e.value))
            if entry.kind is Kind.SECRET:
                shown.props("autocomplete=new-password")
        default = entry.default_text
        hint = view.t("source_add.default", value=default) if default else ""
        if not hint and entry.example:
            hint = view.t("source_add.example", value=entry.example)
        shown.props("outlined dense").props["hint"] = hint if len(hint) <= HINT_MAX else hint[: HINT_MAX - 1] + "…"

    def _input(self, name: str, label: str, example: str, *, is_required: bool = False) -> None:
        shown = ui.input(label + (" *" if is_required else ""), on_change=lambda e: setattr(self._typed, name, e.value))
        shown.props(f"outlined dense data-test={name}").props["hint"] = self._view.t(
            "source_add.example", value=example
        )

    def _definition(self) -> SourceDefinition:
        return SourceDefinition(
            source_id=require_source_id(self._typed.source_id.strip()),
            connector=self._chosen,
            asset=asset_path(self._typed.asset),
            config=read_config(self._fields, self._typed.config),
            title=self._typed.title.strip(),
            desired=Desired.RUNNING,
        )

    async def _probe(self) -> None:
        self._probe_button.disable()
        with self._view.trying(self._result):
            self._view.require_role(*KEEPERS, what="probe sources")
            report = await self._view.node.sources.probe(self._definition())
            with self._result:
                show_probe_report(self._view, report)
        self._probe_button.enable()

    async def _add(self) -> None:
        with self._view.trying(self._result):
            self._view.require_role(*KEEPERS, what="add sources")
            definition = self._definition()
            await self._view.ask(self._view.node.sources.add, definition, actor=self._view.subject.subject_id)
            ui.navigate.to(f"/sources/{definition.source_id}")

"""One negotiation or transfer: its steps with state, its messages, and what a person can do now."""

import html
from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.offer import show_rows
from gongshu.console.pages.terms_words import terms_html
from gongshu.console.widgets import chip_html, facts, grid, notice, panel, table, text, time_html
from gongshu.share.dsp.states import FINAL, Kind, Side, State
from gongshu.share.errors import TermsUnknown
from gongshu.share.model import Record
from gongshu.share.rights import DEALERS, USERS

STEPS = {
    Kind.NEGOTIATION: (
        State.REQUESTED,
        State.OFFERED,
        State.ACCEPTED,
        State.AGREED,
        State.VERIFIED,
        State.FINALIZED,
    ),
    Kind.TRANSFER: (State.REQUESTED, State.STARTED, State.SUSPENDED, State.COMPLETED),
}
DETOURS = frozenset({State.OFFERED, State.ACCEPTED, State.SUSPENDED})
"""Not every process passes them: shown only while one is there."""
Act = Callable[..., Any]
LOOK_EVERY_S = 2.0
ROWS_SHOWN = 50


def create_pages(console: Console) -> None:
    """Register the detail of a negotiation or transfer."""

    @console.page("/sharing/process/{process_id}", "agreements")
    async def process(view: View) -> None:
        process_id = view.request.path_params["process_id"]
        view.node.share.require_onlooker(view.subject)
        record = await view.ask(view.node.share.process, process_id)
        with ui.element("div").classes("gs-title"):
            text(view.t(f"kind.{record.kind.value}"), "h1")
            names = await view.party_names()
            text(f"{record.dataset_id} · {names.get(record.counterparty, record.counterparty)}", "p")
        steps = ui.element("div")
        with grid():
            with panel(view.t("process.about"), span="span-6 narrow-12"):
                about = ui.element("div")
            with panel(view.t("process.act"), span="span-6 narrow-12"):
                acts = ui.element("div").classes("gs-stack")
                result = ui.element("div").classes("gs-stack")
        with panel(view.t("process.messages"), view.t("process.messages_hint")):
            messages = ui.element("div")
        page = _Page(view, process_id, steps, about, acts, result, messages)
        await page.refresh()
        view.every(LOOK_EVERY_S, page.refresh)


class _Page:
    """What changes while the page is open."""

    def __init__(self, view: View, process_id: str, *places: ui.element) -> None:
        self._view, self._process_id = view, process_id
        self._steps, self._about, self._acts, self._result, self._messages = places
        self._shown: Record | None = None

    async def refresh(self) -> None:
        """Read the process, and show it anew where it changed."""
        record = await self._view.ask(self._view.node.share.process, self._process_id)
        if record == self._shown:
            return
        self._shown = record
        for place in (self._steps, self._about, self._acts, self._messages):
            place.clear()
        with self._steps:
            _show_steps(self._view, record)
        with self._about:
            await _show_about(self._view, record)
        with self._acts:
            self._show_acts(record)
        with self._messages:
            await _show_messages(self._view, record)

    def _show_acts(self, record: Record) -> None:
        acts = self._possible(record)
        if not acts:
            text(self._view.t("process.nothing")).classes("gs-muted")
        with ui.element("div").classes("gs-row"):
            for name, act in acts.items():
                kind = "unelevated" if name in {"approve", "pull"} else "outline"
                button = ui.button(self._view.t(f"process_act.{name}"), on_click=partial(self._do, act))
                button.props(f"{kind} color=primary")

    def _possible(self, record: Record) -> dict[str, Act]:
        """Return what this person can do in this state, in the order of the buttons."""
        view, share, acts = self._view, self._view.node.share, dict[str, Act]()
        if record.waiting and view.has_role(*DEALERS):
            acts |= {"approve": share.approve, "decline": share.decline}
        if not view.has_role(*USERS):
            return acts
        if record.kind is Kind.TRANSFER and record.state is State.STARTED:
            if record.side is Side.CONSUMER:
                acts["pull"] = self._pull
            acts |= {"suspend": share.suspend, "complete": share.complete}
        if record.kind is Kind.TRANSFER and record.state is State.SUSPENDED:
            acts["resume"] = share.resume
        if record.state not in FINAL:
            acts["terminate"] = share.terminate
        return acts

    async def _do(self, act: Act) -> None:
        with self._view.trying(self._result):
            if iscoroutinefunction(act):
                await act()
            else:
                await self._view.ask(act, self._process_id, self._view.subject)
            await self.refresh()

    async def _pull(self) -> None:
        view = self._view
        agreement = await view.ask(view.node.share.agreement, self._shown.agreement_id if self._shown else "")
        purpose = min(agreement.terms.purposes, default="")
        rows = await view.ask(view.node.share.pull, self._process_id, view.subject, purpose=purpose)
        with self._result:
            notice(view.t("process.pulled", count=rows.num_rows), kind="good")
            show_rows(view, rows.slice(0, ROWS_SHOWN))


def _show_steps(view: View, record: Record) -> None:
    steps = [step for step in STEPS[record.kind] if step not in DETOURS or step is record.state]
    reached = steps.index(record.state) if record.state in steps else -1
    items = []
    for place, step in enumerate(steps):
        kind = "now" if place == reached else "done" if place < reached else ""
        items.append(f'<li class="{kind}">{html.escape(view.t(f"process.{step.value}"))}</li>')
    if record.state not in steps:
        kind = "bad" if record.state is State.TERMINATED else "now"
        items.append(f'<li class="{kind}">{html.escape(view.t(f"process.{record.state.value}"))}</li>')
    ui.html(f'<ol class="gs-steps">{"".join(items)}</ol>', sanitize=False)


async def _show_about(view: View, record: Record) -> None:
    rows = [
        (view.t("record.side"), view.t(f"side.{record.side.value}")),
        (view.t("process.id"), f"<code>{html.escape(record.process_id)}</code>"),
        (view.t("record.next"), html.escape(record.reason or record.next_state or "–")),
        (view.t("record.updated"), time_html(record.updated_at)),
    ]
    if record.agreement_id:
        try:
            agreement = await view.ask(view.node.share.agreement, record.agreement_id)
            rows.append((view.t("agreement.terms"), terms_html(view, agreement.terms, await view.party_names())))
        except TermsUnknown:
            rows.append((view.t("agreement.terms"), html.escape(record.agreement_id)))
    facts(rows)


async def _show_messages(view: View, record: Record) -> None:
    found = await view.ask(view.node.share.messages, record.process_id)
    rows = [
        {
            "key": message["sequence"],
            "direction": chip_html(view.t("message.in" if message["direction"] == "in" else "message.out"), "plain"),
            "type": message["message_type"],
            "at": time_html(message["at"]),
            "hash": f"<code>{html.escape(message['body_hash'][:16])}…</code>",
        }
        for message in found
    ]
    columns = [(name, view.t(f"message.{name}")) for name in ("direction", "type", "at", "hash")]
    table(view, columns, rows, key="key", markup=("direction", "at", "hash"), page_size=12)

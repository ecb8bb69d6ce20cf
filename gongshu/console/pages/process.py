"""One negotiation or transfer: its steps with state, its messages, and what a person can do now."""

import html
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.agreements import contract_path
from gongshu.console.pages.asking import ask_first
from gongshu.console.pages.attachments import show_waiting
from gongshu.console.pages.process_forms import can_counter, can_keep, show_counter, show_keeping
from gongshu.console.pages.records import next_text, state_html
from gongshu.console.pages.terms_words import clauses_html
from gongshu.console.pages.transfers import way_text
from gongshu.console.widgets import chip_html, facts, grid, number_text, panel, size_words, table, text, time_html
from gongshu.share.automation import Action
from gongshu.share.dsp.states import FINAL, Kind, Side, State
from gongshu.share.errors import TermsUnknown
from gongshu.share.model import Record
from gongshu.share.odrl import read_policy
from gongshu.share.progress import Progress
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
_ENDS = frozenset({"decline", "terminate"})
"""Acts that cannot be taken back."""
Act = Callable[..., Any]
LOOK_EVERY_S = 2.0


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
        answer = ui.element("div")
        with panel(view.t("process.messages"), view.t("process.messages_hint")):
            messages = ui.element("div")
        page = _Page(view, process_id, steps, about, acts, result, messages, answer)
        await page.refresh()
        view.every(LOOK_EVERY_S, page.refresh)


class _Page:
    """What changes while the page is open."""

    def __init__(self, view: View, process_id: str, *places: ui.element) -> None:
        self._view, self._process_id = view, process_id
        self._steps, self._about, self._acts, self._result, self._messages, self._answer = places
        self._shown: tuple[Record, Progress | None, str] | None = None

    async def refresh(self) -> None:
        """Read the process, and show it anew where it changed."""
        record = await self._view.ask(self._view.node.share.process, self._process_id)
        progress = None
        if record.kind is Kind.TRANSFER:
            progress = (await self._view.ask(self._view.node.share.progress, [record.process_id]))[record.process_id]
        queued = await self._view.ask(self._view.node.share.queued, self._process_id)
        if (record, progress, queued) == self._shown:
            return
        is_same = self._shown is not None and (self._shown[0], self._shown[2]) == (record, queued)
        self._shown = (record, progress, queued)
        self._about.clear()
        with self._about:
            await _show_about(self._view, record, progress)
        if is_same:  # only rows have come: what a person is typing stays
            return
        for place in (self._steps, self._acts, self._messages, self._answer):
            place.clear()
        with self._steps:
            _show_steps(self._view, record)
        with self._acts:
            await self._show_acts(record, queued)
        with self._messages:
            await _show_messages(self._view, record)

    async def _show_acts(self, record: Record, queued: str) -> None:
        acts = self._possible(record, queued)
        if queued:
            text(self._view.t("process.queued")).classes("gs-muted")
        elif not acts:
            text(self._view.t("process.nothing")).classes("gs-muted")
        if record.waiting and record.agreement_id and record.side is Side.CONSUMER:
            await show_waiting(self._view, record)
        if can_keep(record) and self._view.has_role(*USERS):
            await show_keeping(self._view, record, self._result)
        with ui.element("div").classes("gs-row"):
            for name, act in acts.items():
                kind = "unelevated" if name == "approve" else "outline"
                take = partial(self._ask_why, name, act) if name in _ENDS else partial(self._do, act)
                button = ui.button(self._view.t(f"process_act.{name}"), on_click=take)
                button.props(f"{kind} color=primary data-test={name}")
        if can_counter(record, queued) and self._view.has_role(*DEALERS):
            with self._answer:
                await show_counter(self._view, record)

    def _possible(self, record: Record, queued: str) -> dict[str, Act]:
        """Return what this person can do in this state, in the order of the buttons."""
        names = acts_of(record, queued, deals=self._view.has_role(*DEALERS), uses=self._view.has_role(*USERS))
        return {name: getattr(self._view.node.share, name) for name in names}

    def _ask_why(self, name: str, act: Act) -> None:
        """Ask once more before an end; the other side reads the reason."""

        async def go(reason: str) -> None:
            await self._view.ask(act, self._process_id, self._view.subject, reason)
            await self.refresh()

        view, said = self._view, self._view.t(f"process_act.{name}")
        ask_first(view, said, view.t("process.end_text"), said, go, reason=view.t("contract.reason"))

    async def _do(self, act: Act) -> None:
        with self._view.trying(self._result):
            await self._view.ask(act, self._process_id, self._view.subject)
            await self.refresh()


def acts_of(record: Record, queued: str, *, deals: bool, uses: bool) -> list[str]:
    """Return what a person can do: while a decision is `queued`, no other one, except to end it all.

    `deals` and `uses` say what the person's roles allow.
    """
    if queued:
        return ["terminate"] if uses and record.state not in FINAL and queued != Action.TERMINATE else []
    acts = ["approve", "decline"] if record.waiting and deals else []
    if not uses:
        return acts
    if record.kind is Kind.TRANSFER and record.state is State.STARTED:
        acts += ["suspend", "complete"]
    if record.kind is Kind.TRANSFER and record.state is State.SUSPENDED and record.held:
        acts.append("resume")
    if record.state not in FINAL and "decline" not in acts:
        acts.append("terminate")
    return acts


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


async def _show_about(view: View, record: Record, progress: Progress | None) -> None:
    rows = [
        (view.t("record.side"), view.t(f"side.{record.side.value}")),
        (view.t("process.id"), f"<code>{html.escape(record.process_id)}</code>"),
        (view.t("record.state"), state_html(view, record)),
        (view.t("record.next"), html.escape(next_text(view, record) or "–")),
        (view.t("record.updated"), time_html(record.updated_at)),
    ]
    if progress is not None:
        rows += _progress(view, record, progress)
    if record.agreement_id:
        try:
            agreement = await view.ask(view.node.share.agreement, record.agreement_id)
            link = f'<a href="{contract_path(record.agreement_id)}">{html.escape(record.agreement_id)}</a>'
            rows.append((view.t("process.contract"), link))
            rows.append((view.t("agreement.terms"), clauses_html(view, agreement.terms, await view.party_names())))
        except TermsUnknown:
            rows.append((view.t("agreement.terms"), html.escape(record.agreement_id)))
    elif record.policy:
        rows += await _on_the_table(view, record)
    facts(rows)


async def _on_the_table(view: View, record: Record) -> list[tuple[str, str]]:
    """Return the terms that a person is asked about, and ours where they differ."""
    rows, names = [], await view.party_names()
    texts = {"process.asked_terms": record.policy}
    if record.own_policy and record.own_policy != record.policy:
        texts["process.own_terms"] = record.own_policy
    for key, policy in texts.items():
        terms, obstacle = read_policy(orjson.loads(policy))
        said = html.escape(view.said(obstacle)) if terms is None else clauses_html(view, terms, names)
        rows.append((view.t(key), said))
    return rows


def _progress(view: View, record: Record, progress: Progress) -> list[tuple[str, str]]:
    size = size_words(progress.size_bytes)
    rows = [
        (view.t("transfers.way"), html.escape(way_text(view, record.format))),
        (view.t("transfers.rows"), html.escape(f"{number_text(progress.rows)} · {size}")),
    ]
    if progress.position is not None:
        rows.append((view.t("transfers.position"), time_html(progress.position)))
    if progress.stored_as:
        name = html.escape(progress.stored_as)
        rows.append((view.t("kept.dataset"), f'<a href="/catalogue/{name}?tab=look">{name}</a>'))
    if progress.last_error:
        rows.append((view.t("process.last_error"), html.escape(view.said(progress.last_error))))
    return rows


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

"""Transfers, watched live: the way, the state, rows, bytes, rate and position; and what was delivered."""

import html
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import Console, View
from gongshu.console.pages.asking import ask_first
from gongshu.console.pages.contract_acts import WAYS
from gongshu.console.pages.records import next_text, state_html
from gongshu.console.widgets import chip_html, empty, fill, number_text, panel, size_words, table, time_html, title
from gongshu.share.dsp.states import FINAL, State
from gongshu.share.model import Delivery, Record
from gongshu.share.progress import Progress
from gongshu.share.rights import USERS

LIMIT = 300
LOOK_EVERY_S = 2.0
COLUMNS = ("dataset", "party", "side", "way", "state", "rows", "size", "rate", "position", "next")


def create_pages(console: Console) -> None:
    """Register the page of transfers."""

    @console.page("/sharing/transfers", "transfers")
    async def transfers(view: View) -> None:
        title(view, "nav.transfers", "transfers.question")
        view.node.share.require_onlooker(view.subject)
        if not await view.ask(view.node.share.transfers, limit=1):
            empty(view, "transfers.none", to={"/sharing/agreements": "nav.agreements"})
            return
        watch = _Watch(view, await view.party_names())
        with panel(view.t("transfers.live"), view.t("transfers.live_hint")):
            await watch.show()
        view.every(LOOK_EVERY_S, watch.refresh)
        with panel(view.t("transfers.deliveries"), view.t("transfers.deliveries_hint")):
            _show_deliveries(view, await view.ask(view.node.share.deliveries, limit=LIMIT), watch.names)


def rate_of(before: tuple[datetime, int] | None, now: datetime, rows: int) -> float | None:
    """Return rows a second since the last look, None at the first one.

    >>> from datetime import UTC, timedelta
    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> rate_of((start, 100), start + timedelta(seconds=2), 300), rate_of(None, start, 300)
    (100.0, None)
    """
    if before is None or now <= before[0]:
        return None
    return max(0, rows - before[1]) / (now - before[0]).total_seconds()


class _Watch:
    """The table that is renewed, and the buttons for what is chosen in it."""

    def __init__(self, view: View, names: Mapping[str, str]) -> None:
        self.names = names
        self._view = view
        self._seen: dict[str, tuple[datetime, int]] = {}
        self._problem: ui.element

    async def show(self) -> None:
        """Build the table and the buttons."""
        view, share = self._view, self._view.node.share
        columns = [(name, view.t(f"transfers.{name}")) for name in COLUMNS]
        acts = view.has_role(*USERS)
        self._table = table(
            view,
            columns,
            [],
            key="id",
            markup=("dataset", "state", "position"),
            numbers=("rows", "size", "rate"),
            wrap=("dataset", "next"),
            wide_only=("side", "size"),
            selection=acts,
        ).props("wrap-cells")
        self._problem = ui.element("div")
        if acts:
            with ui.element("div").classes("gs-row"):
                for name, act in {"suspend": share.suspend, "resume": share.resume, "complete": share.complete}.items():
                    button = ui.button(view.t(f"process_act.{name}"), on_click=partial(self._do, act))
                    button.props("outline color=primary")
                end = ui.button(view.t("process_act.terminate"), on_click=self._ask_why)
                end.props("flat color=negative")
        await self.refresh()

    async def refresh(self) -> None:
        """Read all transfers again; those that run stand first."""
        view, share = self._view, self._view.node.share
        records = await view.ask(share.transfers, limit=LIMIT)
        progress = await view.ask(share.progress, [record.process_id for record in records])
        records.sort(key=lambda record: record.state in FINAL)
        fill(self._table, [self._row(record, progress[record.process_id]) for record in records])

    def _row(self, record: Record, progress: Progress) -> dict[str, Any]:
        view, now = self._view, self._view.node.clock()
        rate = rate_of(self._seen.get(record.process_id), now, progress.rows)
        self._seen[record.process_id] = (now, progress.rows)
        running = record.state is State.STARTED
        position = time_html(progress.position)
        if progress.position is not None and running:
            position += f"<br>{html.escape(view.t('transfers.behind', seconds=_behind(now, progress.position)))}"
        place = f"/sharing/process/{html.escape(record.process_id)}"
        return {
            "id": record.process_id,
            "dataset": f'<a href="{place}">{html.escape(record.dataset_id)}</a>',
            "party": self.names.get(record.counterparty, record.counterparty),
            "side": view.t(f"side.{record.side.value}"),
            "way": way_text(view, record.format),
            "state": state_html(view, record),
            "rows": number_text(progress.rows),
            "size": size_words(progress.size_bytes),
            "rate": f"{rate:,.0f} {view.t('unit.per_second')}" if rate is not None and running else "–",
            "position": position or "–",
            "next": view.said(progress.last_error) or next_text(view, record),
        }

    def _ask_why(self) -> None:
        """Ask once more before transfers end; the other side reads the reason."""
        view = self._view
        with view.trying(self._problem):
            chosen = [str(row["id"]) for row in self._table.selected]
            if not chosen:
                raise FieldWrong(field=view.t("transfers.live"), expected="at least one chosen transfer")

            async def go(reason: str) -> None:
                for process_id in chosen:
                    await view.ask(view.node.share.terminate, process_id, view.subject, reason)
                await self.refresh()

            said = view.t("process_act.terminate")
            ask_first(view, said, view.t("process.end_text"), said, go, reason=view.t("contract.reason"))

    async def _do(self, act: Callable[..., Record]) -> None:
        with self._view.trying(self._problem):
            if not self._table.selected:
                raise FieldWrong(field=self._view.t("transfers.live"), expected="at least one chosen transfer")
            for row in self._table.selected:
                await self._view.ask(act, row["id"], self._view.subject)
            await self.refresh()


def way_text(view: View, format: str) -> str:
    """Return the way of a transfer in words; that of a stranger as it is named."""
    return view.t(f"transfers.{WAYS[format]}") if format in WAYS else format


def _behind(now: datetime, position: datetime) -> str:
    return number_text(max(0, round((now - position).total_seconds())))


def _show_deliveries(view: View, deliveries: list[Delivery], names: Mapping[str, str]) -> None:
    rows = [
        {
            "id": d.delivery_id,
            "dataset": d.dataset_id,
            "party": names.get(d.counterparty, d.counterparty),
            "direction": view.t("meter.served" if d.direction == "out" else "meter.pulled"),
            "purpose": d.purpose,
            "rows": number_text(d.rows),
            "size": size_words(d.size_bytes),
            "outcome": chip_html(_outcome(view, d.outcome), "good" if d.outcome == "complete" else "warn"),
            "at": time_html(d.started_at),
        }
        for d in deliveries
    ]
    shown = ("dataset", "party", "direction", "purpose", "rows", "size", "outcome", "at")
    columns = [(n, view.t(f"meter.{n}")) for n in shown]
    table(
        view,
        columns,
        rows,
        key="id",
        markup=("outcome", "at"),
        numbers=("rows", "size"),
        wrap=("dataset", "party"),
        page_size=10,
    )


def _outcome(view: View, outcome: str) -> str:
    known = {"open", "complete", "stopped", "failed"}
    return view.t(f"meter_outcome.{outcome}") if outcome in known else outcome

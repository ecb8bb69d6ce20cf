"""Negotiations and transfers as a table, each a link to its steps."""

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.widgets import Row, chip_html, table, time_html
from gongshu.share.dsp.states import FINAL, State
from gongshu.share.model import Record, is_their_turn

ASKS = "a person has to approve"
"""What a process waits for in the plain case, as the service says it; any other case says more."""


def record_kind(state: State) -> str:
    """Return the colour word of a state."""
    if state in {State.FINALIZED, State.STARTED, State.COMPLETED}:
        return "good"
    return "bad" if state is State.TERMINATED else "warn" if state is State.SUSPENDED else "accent"


def state_html(view: View, record: Record) -> str:
    """Return the markup of a state; a suspension says whose it is."""
    said = view.t(f"process.{record.state.value}")
    if record.state is State.SUSPENDED:
        said = view.t("process.suspended_here" if record.held else "process.suspended_there")
    return chip_html(said, record_kind(record.state))


def next_text(view: View, record: Record) -> str:
    """Return what a process waits for, or why it ended."""
    if record.state in FINAL or record.reason:
        return view.said(record.reason)
    if record.waiting:
        return view.t("record.waits") if record.waiting == ASKS else view.said(record.waiting)
    if record.pending:
        return view.t("record.sending")
    return view.t("record.waits_there") if is_their_turn(record.kind, record.side, record.state) else ""


def show_records(view: View, records: list[Record], names: Mapping[str, str]) -> ui.table:
    """Show negotiations or transfers, each a link to its steps."""
    columns = [(n, view.t(f"record.{n}")) for n in ("dataset", "party", "side", "state", "next", "updated")]
    return table(
        view,
        columns,
        record_rows(view, records, names),
        key="id",
        markup=("state", "updated"),
        wrap=("dataset", "party", "next"),
        open_at=record_path,
        page_size=10,
    )


def record_path(row: Row) -> str:
    """Return the address of the steps of a row."""
    return f"/sharing/process/{row['id']}"


def record_rows(view: View, records: list[Record], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one row a negotiation or transfer."""
    return [
        {
            "id": r.process_id,
            "dataset": r.dataset_id,
            "party": names.get(r.counterparty, r.counterparty),
            "side": view.t(f"side.{r.side.value}"),
            "state": state_html(view, r),
            "next": next_text(view, r),
            "updated": time_html(r.updated_at),
        }
        for r in records
    ]

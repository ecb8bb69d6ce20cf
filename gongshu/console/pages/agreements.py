"""Contracts: agreements with what is left of them, negotiations and transfers with where they stand, the meter."""

import html
from collections.abc import Mapping
from typing import Any

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.terms_words import terms_html
from gongshu.console.widgets import chip_html, empty, number_text, panel, size_text, table, time_html, title
from gongshu.share.dsp.states import FINAL, Side, State
from gongshu.share.model import Agreement, AgreementStatus, Delivery, Record
from gongshu.share.rights import DEALERS, USERS

STATUS_KIND = {
    AgreementStatus.PENDING: "warn",
    AgreementStatus.ACTIVE: "good",
    AgreementStatus.DISPUTED: "bad",
    AgreementStatus.RETIRED: "plain",
}
LIMIT = 300


def create_pages(console: Console) -> None:
    """Register the page of contracts."""

    @console.page("/sharing/agreements", "agreements")
    async def agreements(view: View) -> None:
        title(view, "nav.agreements", "agreements.question")
        share = view.node.share
        share.require_onlooker(view.subject)
        found = await view.ask(share.agreements, limit=LIMIT)
        negotiations = await view.ask(share.negotiations, limit=LIMIT)
        transfers = await view.ask(share.transfers, limit=LIMIT)
        if not found and not negotiations:
            empty(view, "agreements.none", command="gongshu share negotiate --help")
            return
        names = await view.party_names()
        waiting = [record for record in (*negotiations, *transfers) if record.waiting]
        if waiting:
            with panel(view.t("agreements.waiting")):
                show_records(view, waiting, names)
        with panel(view.t("agreements.agreements"), view.t("agreements.agreements_hint")):
            _show_agreements(view, found, names)
        with panel(view.t("agreements.negotiations")):
            show_records(view, negotiations, names)
        with panel(view.t("agreements.transfers")):
            show_records(view, transfers, names)
        with panel(view.t("agreements.deliveries"), view.t("agreements.deliveries_hint")):
            _show_deliveries(view, await view.ask(share.deliveries, limit=LIMIT), names)


def left_text(view: View, agreement: Agreement) -> str:
    """Return what is left of an agreement in words."""
    now, parts = view.node.clock(), []
    if agreement.uses_left is not None:
        parts.append(view.t("agreement.uses_left", left=agreement.uses_left, all=agreement.terms.uses_max))
    else:
        parts.append(view.t("agreement.used", count=agreement.uses))
    days = agreement.days_left(now)
    if days is not None:
        parts.append(view.t("agreement.days_left", days=f"{days:.0f}") if days > 0 else view.t("agreement.over"))
    return view.join(parts)


def _show_agreements(view: View, found: list[Agreement], names: Mapping[str, str]) -> None:
    rows = [
        {
            "id": a.agreement_id,
            "dataset": a.dataset_id,
            "party": names.get(a.counterparty, a.counterparty),
            "side": view.t(f"side.{a.side.value}"),
            "terms": terms_html(view, a.terms, names),
            "left": f'<span class="gs-nowrap">{html.escape(left_text(view, a))}</span>',
            "state": chip_html(view.t(f"agreement_status.{a.status.value}"), STATUS_KIND[a.status])
            + (f" {html.escape(a.reason)}" if a.reason else ""),
            "agreed": time_html(a.agreed_at),
        }
        for a in found
    ]
    columns = [(n, view.t(f"agreement.{n}")) for n in ("dataset", "party", "side", "terms", "left", "state", "agreed")]
    markup = ("terms", "left", "state", "agreed")
    shown = table(
        view,
        columns,
        rows,
        key="id",
        markup=markup,
        wrap=("dataset", "terms"),
        wide_only=("agreed",),
        selection=view.has_role(*USERS),
    ).props("wrap-cells")
    if not view.has_role(*USERS):
        return
    problem = ui.element("div")
    by_id = {a.agreement_id: a for a in found}

    async def transfer() -> None:
        with view.trying(problem):
            for row in shown.selected:
                record = await view.ask(view.node.share.transfer, row["id"], view.subject)
                ui.navigate.to(f"/sharing/process/{record.process_id}")

    async def retire() -> None:
        with view.trying(problem):
            for row in shown.selected:
                reason = view.t("agreement.ended_by", who=view.subject.subject_id)
                await view.ask(view.node.share.retire, row["id"], view.subject, reason)
            ui.navigate.reload()

    with ui.element("div").classes("gs-row"):
        if any(a.side is Side.CONSUMER for a in by_id.values()):
            ui.button(view.t("agreement.transfer"), on_click=transfer).props("outline color=primary")
        if view.has_role(*DEALERS):
            ui.button(view.t("agreement.retire"), on_click=retire).props("flat color=primary")


def record_kind(state: State) -> str:
    """Return the colour word of a state."""
    if state in {State.FINALIZED, State.STARTED, State.COMPLETED}:
        return "good"
    return "bad" if state is State.TERMINATED else "warn" if state is State.SUSPENDED else "accent"


def show_records(view: View, records: list[Record], names: Mapping[str, str]) -> None:
    """Show negotiations or transfers, each a link to its steps."""
    rows: list[dict[str, Any]] = [
        {
            "id": r.process_id,
            "dataset": r.dataset_id,
            "party": names.get(r.counterparty, r.counterparty),
            "side": view.t(f"side.{r.side.value}"),
            "state": chip_html(view.t(f"process.{r.state.value}"), record_kind(r.state)),
            "next": r.reason if r.state in FINAL else r.next_state,
            "updated": time_html(r.updated_at),
        }
        for r in records
    ]
    columns = [(n, view.t(f"record.{n}")) for n in ("dataset", "party", "side", "state", "next", "updated")]
    table(
        view,
        columns,
        rows,
        key="id",
        markup=("state", "updated"),
        wrap=("dataset",),
        open_at=lambda row: f"/sharing/process/{row['id']}",
        page_size=10,
    )


def _show_deliveries(view: View, deliveries: list[Delivery], names: Mapping[str, str]) -> None:
    rows = [
        {
            "id": d.delivery_id,
            "dataset": d.dataset_id,
            "party": names.get(d.counterparty, d.counterparty),
            "direction": view.t("meter.served" if d.direction == "out" else "meter.pulled"),
            "purpose": d.purpose,
            "rows": number_text(d.rows),
            "size": " ".join(size_text(d.size_bytes)),
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
        wrap=("dataset",),
        page_size=10,
    )


def _outcome(view: View, outcome: str) -> str:
    known = {"open", "complete", "stopped", "failed"}
    return view.t(f"meter_outcome.{outcome}") if outcome in known else outcome

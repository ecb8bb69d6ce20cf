"""Contracts: all of them with what is left, those that wait for an answer, and the negotiations they came from."""

import html
from collections.abc import Mapping
from urllib.parse import quote

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.records import show_records
from gongshu.console.widgets import chip_html, empty, panel, table, time_html, title
from gongshu.share.model import Agreement, AgreementStatus

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
        if not found and not negotiations:
            empty(view, "agreements.none", to={"/sharing/find": "nav.market", "/sharing": "nav.sharing"})
            return
        names = await view.party_names()
        waiting = [record for record in negotiations if record.waiting]
        if waiting:
            with panel(view.t("agreements.waiting"), view.t("agreements.waiting_hint")):
                show_records(view, waiting, names)
        with panel(view.t("agreements.agreements"), view.t("agreements.agreements_hint")):
            _show_agreements(view, found, names)
        with panel(view.t("agreements.negotiations")):
            show_records(view, [record for record in negotiations if not record.waiting], names)


def contract_path(agreement_id: str) -> str:
    """Return the address of a contract's page.

    >>> contract_path("urn:uuid:1")
    '/sharing/contract/urn%3Auuid%3A1'
    """
    return f"/sharing/contract/{quote(agreement_id, safe='')}"


def left_text(view: View, agreement: Agreement) -> str:
    """Return what is left of an agreement in words."""
    if agreement.status is AgreementStatus.RETIRED:
        return view.t("agreement.used", count=agreement.uses)
    now, parts = view.node.clock(), []
    if agreement.uses_left is not None:
        parts.append(view.t("agreement.uses_left", left=agreement.uses_left, all=agreement.terms.uses_max))
    else:
        parts.append(view.t("agreement.used", count=agreement.uses))
    days = agreement.days_left(now)
    if days is not None:
        parts.append(view.t("agreement.days_left", days=f"{days:.0f}") if days > 0 else view.t("agreement.over"))
    return view.join(parts)


def status_html(view: View, agreement: Agreement) -> str:
    """Return the markup of where an agreement stands."""
    stands = chip_html(view.t(f"agreement_status.{agreement.status.value}"), STATUS_KIND[agreement.status])
    is_unbound = agreement.why_unbound and agreement.status is not _ENDED
    return f"{stands} {chip_html(view.t('party.key_changed'), 'warn')}" if is_unbound else stands


def _show_agreements(view: View, found: list[Agreement], names: Mapping[str, str]) -> None:
    rows = [
        {
            "id": a.agreement_id,
            "dataset": a.dataset_id,
            "party": names.get(a.counterparty, a.counterparty),
            "side": view.t(f"side.{a.side.value}"),
            "left": html.escape(left_text(view, a)),
            "state": status_html(view, a) + (f" {html.escape(view.said(a.reason))}" if a.status is _ENDED else ""),
            "agreed": time_html(a.agreed_at),
        }
        for a in found
    ]
    columns = [(n, view.t(f"agreement.{n}")) for n in ("dataset", "party", "side", "left", "state", "agreed")]
    shown: ui.table = table(
        view,
        columns,
        rows,
        key="id",
        markup=("left", "state", "agreed"),
        wrap=("dataset",),
        open_at=lambda row: contract_path(row["id"]),
    )
    shown.props("wrap-cells")


_ENDED = AgreementStatus.RETIRED

"""Contracts: all of them with what is left, those that wait for an answer, and the negotiations they came from."""

import html
from collections.abc import Mapping
from urllib.parse import quote

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.records import record_path, record_rows, show_records
from gongshu.console.widgets import Row, chip_html, empty, fill, panel, table, time_html, title
from gongshu.share.looking import Looking
from gongshu.share.model import Agreement, AgreementStatus, Record

STATUS_KIND = {
    AgreementStatus.PENDING: "warn",
    AgreementStatus.ACTIVE: "good",
    AgreementStatus.DISPUTED: "bad",
    AgreementStatus.RETIRED: "plain",
}
LIMIT = 300
LOOK_EVERY_S = 2.0


def create_pages(console: Console) -> None:
    """Register the page of contracts."""

    @console.page("/sharing/agreements", "agreements")
    async def agreements(view: View) -> None:
        title(view, "nav.agreements", "agreements.question")
        view.node.share.require_onlooker(view.subject)
        watch = _Watch(view)
        await watch.refresh()
        view.every(LOOK_EVERY_S, watch.refresh)


class _Watch:
    """The three lists, which are renewed while the page is open; none is there while there is nothing at all."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._names: dict[str, str] = {}
        with ui.element("div").classes("gs-stack gs-full") as self._nothing:
            empty(view, "agreements.none", to={"/sharing/find": "nav.market", "/sharing": "nav.sharing"})
        with panel(view.t("agreements.waiting"), view.t("agreements.waiting_hint")) as self._asked:
            self._waiting = show_records(view, [], {})
        with panel(view.t("agreements.agreements"), view.t("agreements.agreements_hint")) as self._agreed:
            self._agreements = _agreement_table(view)
        with panel(view.t("agreements.negotiations")) as self._begun:
            self._negotiations = show_records(view, [], {})

    async def refresh(self) -> None:
        """Read everything again; what did not change is not sent."""
        view, share = self._view, self._view.node.share
        found, waiting, begun = await view.ask(read_lists, share)
        parties = {str(a.counterparty) for a in found} | {str(r.counterparty) for r in (*waiting, *begun)}
        if not parties <= self._names.keys():
            self._names = await view.party_names()
        fill(self._waiting, record_rows(view, waiting, self._names), open_at=record_path)
        fill(self._agreements, _agreement_rows(view, found, self._names), open_at=_path_of)
        fill(self._negotiations, record_rows(view, begun, self._names), open_at=record_path)
        self._asked.set_visibility(bool(waiting))
        for shown in (self._agreed, self._begun):
            shown.set_visibility(bool(found or waiting or begun))
        self._nothing.set_visibility(not (found or waiting or begun))


def read_lists(share: Looking) -> tuple[list[Agreement], list[Record], list[Record]]:
    """Return agreements, the negotiations that ask a person, however many began after them, and the other ones."""
    waiting = share.negotiations(waiting=True, limit=LIMIT)
    begun = [record for record in share.negotiations(limit=LIMIT) if not record.waiting]
    return share.agreements(limit=LIMIT), waiting, begun


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
        left = f"{days:.0f}" if days >= 1 else f"{days:.1g}"
        parts.append(view.t("agreement.days_left", days=left) if days > 0 else view.t("agreement.over"))
    return view.join(parts)


def status_html(view: View, agreement: Agreement) -> str:
    """Return the markup of where an agreement stands."""
    stands = chip_html(view.t(f"agreement_status.{agreement.status.value}"), STATUS_KIND[agreement.status])
    is_unbound = agreement.why_unbound and agreement.status is not _ENDED
    return f"{stands} {chip_html(view.t('party.key_changed'), 'warn')}" if is_unbound else stands


def _agreement_table(view: View) -> ui.table:
    columns = [(n, view.t(f"agreement.{n}")) for n in ("dataset", "party", "side", "left", "state", "agreed")]
    shown = table(
        view,
        columns,
        [],
        key="id",
        markup=("left", "state", "agreed"),
        wrap=("dataset",),
        open_at=_path_of,
    )
    return shown.props("wrap-cells")


def _path_of(row: Row) -> str:
    return contract_path(row["id"])


def _agreement_rows(view: View, found: list[Agreement], names: Mapping[str, str]) -> list[Row]:
    return [
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


_ENDED = AgreementStatus.RETIRED

"""One offer of a partner in plain words, and two buttons: ask for a contract, or get the data now."""

import html
from collections.abc import Mapping

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.pages.agreements import contract_path
from gongshu.console.pages.terms_words import show_clauses
from gongshu.console.widgets import chip, notice, text
from gongshu.model.ids import PartyId
from gongshu.share.errors import PeopleAsked
from gongshu.share.obtaining import default_name, obtain
from gongshu.share.rights import USERS
from gongshu.share.terms import Terms

WAIT_S = 30.0


def show_offer(
    view: View,
    party: PartyId,
    dataset_id: str,
    offer_id: str,
    terms: Terms | None,
    obstacle: str,
    names: Mapping[str, str],
    *,
    is_taken: bool,
) -> None:
    """Show the offer; only if it is the one taken where none is named can the data be had in one step."""
    with ui.element("div").classes("gs-offer gs-stack"):
        if terms is None:
            chip(view.t("market.obstacle"), "warn")
            text(view.said(obstacle)).classes("gs-muted")
            return
        show_clauses(view, terms, names)
        if view.has_role(*USERS):
            _show_acts(view, party, dataset_id, offer_id, terms, is_taken=is_taken)


def _show_acts(view: View, party: PartyId, dataset_id: str, offer_id: str, terms: Terms, *, is_taken: bool) -> None:
    result = ui.element("div").classes("gs-stack")

    async def negotiate() -> None:
        with view.trying(result):
            act = view.node.share.negotiate
            record = await view.ask(act, party, dataset_id, view.subject, offer_id=offer_id)
            ui.navigate.to(f"/sharing/process/{record.process_id}")

    async def get_now() -> None:
        with view.trying(result):
            why = str(purpose.value) if purpose is not None else ""
            try:
                got = await view.ask(
                    obtain, view.node.share, party, dataset_id, view.subject,
                    purpose=why, name=(name.value or "").strip(), timeout_s=WAIT_S,
                )  # fmt: skip
            except PeopleAsked as waits:  # nothing went wrong
                with result:
                    notice(view.t("market.asked"), view.said(waits), kind="warn")
                    ui.link(view.t("kind.negotiation"), f"/sharing/process/{waits.fields['process_id']}")
                return
            with result:
                notice(view.t("market.got"), kind="good")
                kept, contract = html.escape(got.dataset_id), contract_path(got.agreement_id)
                said = html.escape(view.t("process.contract"))
                links = f'<a href="/catalogue/{kept}?tab=look">{kept}</a> · <a href="{contract}">{said}</a>'
                ui.html(links, sanitize=False)

    with ui.element("div").classes("gs-row"):
        ui.button(view.t("market.negotiate"), on_click=negotiate).props("outline color=primary")
        if is_taken:
            purposes = sorted(terms.purposes)
            purpose = ui.select(purposes, label=view.t("meter.purpose"), value=purposes[0]) if purposes else None
            if purpose is not None:
                purpose.props("outlined dense options-dense").style("min-width: 140px")
            name = ui.input(view.t("contract.keep_as"), value=default_name(party, dataset_id))
            name.props("outlined dense").style("min-width: 180px")
            button = ui.button(view.t("market.get"), on_click=get_now).props("unelevated color=primary data-test=get")
            button.tooltip(view.t("market.get_hint"))
    result.move(target_index=-1)

"""Offers: what this organisation offers to others, under which terms."""

from collections.abc import Mapping

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import Console, View
from gongshu.console.pages.attachments import show_offer_files
from gongshu.console.pages.terms_words import terms_html
from gongshu.console.widgets import chip_html, empty, panel, table, time_html, title
from gongshu.share.model import Offer
from gongshu.share.rights import DEALERS


def create_pages(console: Console) -> None:
    """Register the page of offers."""

    @console.page("/sharing", "sharing")
    async def sharing(view: View) -> None:
        title(view, "nav.sharing", "sharing.question")
        view.node.share.require_onlooker(view.subject)
        offers = await view.ask(view.node.share.offers, withdrawn=True, limit=500)
        with panel(view.t("sharing.offers"), view.t("sharing.offers_hint")):
            if view.has_role(*DEALERS):
                ui.button(view.t("sharing.offer"), on_click=lambda: ui.navigate.to("/sharing/offer")).props(
                    "unelevated color=primary"
                ).style("align-self: flex-start")
            if not offers:
                empty(view, "sharing.none", to={"/catalogue?standing=proposed": "nav.catalogue"})
            else:
                _show_offers(view, offers, await view.party_names())
        if any(offer.withdrawn_at is None for offer in offers):
            with panel(view.t("attach.title"), view.t("attach.offers_hint")):
                await show_offer_files(view, [offer for offer in offers if offer.withdrawn_at is None])


def _show_offers(view: View, offers: list[Offer], names: Mapping[str, str]) -> None:
    rows = [
        {
            "id": offer.offer_id,
            "title": offer.title or offer.dataset_id,
            "terms": terms_html(view, offer.terms, names),
            "rule": view.t("offer.asks" if offer.rules is not None else "offer.agrees"),
            "made": time_html(offer.created_at),
            "state": chip_html(view.t("offer.withdrawn"), "plain")
            if offer.withdrawn_at
            else chip_html(view.t("offer.open"), "good"),
        }
        for offer in offers
    ]
    columns = [(n, view.t(f"offer.{n}")) for n in ("title", "terms", "rule", "made", "state")]
    markup = ("terms", "made", "state")
    shown = table(view, columns, rows, key="id", markup=markup, wrap=("terms",), selection=view.has_role(*DEALERS))
    if not view.has_role(*DEALERS):
        return
    problem = ui.element("div")

    async def withdraw() -> None:
        with view.trying(problem):
            if not shown.selected:
                raise FieldWrong(field=view.t("offer.withdraw"), expected="at least one chosen row")
            for row in shown.selected:
                await view.ask(view.node.share.withdraw, row["id"], view.subject)
            ui.navigate.reload()

    ui.button(view.t("offer.withdraw"), on_click=withdraw).props("outline color=primary").style(
        "align-self: flex-start"
    )

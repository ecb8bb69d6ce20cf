"""Finding data: what partners offer us, and asking for a contract."""

import html

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.terms_words import terms_html
from gongshu.console.widgets import chip, empty, panel, text, title
from gongshu.model.ids import PartyId
from gongshu.share.model import RemoteCatalogue, RemoteDataset, RemoteOffer
from gongshu.share.rights import USERS


def create_pages(console: Console) -> None:
    """Register the page that reads partners' catalogues."""

    @console.page("/sharing/find", "market")
    async def find(view: View) -> None:
        title(view, "nav.market", "market.question")
        view.node.share.require_onlooker(view.subject)
        parties = {p.party_id: p.title or p.party_id for p in await view.ask(view.node.parties.all) if p.address}
        if not parties:
            empty(view, "market.none", command="gongshu share find --help")
            return
        with panel(""):
            with ui.element("div").classes("gs-row"):
                party = ui.select(parties, label=view.t("market.party"), value=next(iter(parties)))
                party.props("outlined dense data-test=party").style("min-width: 260px")
                words = ui.input(view.t("market.search")).props("outlined dense clearable").style("flex: 1")
                ui.button(view.t("market.go"), on_click=lambda: look()).props("unelevated color=primary data-test=look")
            place = ui.element("div").classes("gs-stack").style("gap: 14px")
            if not view.has_role(*USERS):
                text(view.t("market.who")).classes("gs-muted")

        async def look(page: str = "") -> None:
            with view.trying(place):
                ui.element("div").classes("gs-skeleton").move(place)
                act = view.node.share.catalogue_of
                found = await view.ask(act, PartyId(party.value), view.subject, search=words.value or "", page=page)
                place.clear()
                with place:
                    _show(view, found)
                    if found.next_page:
                        ui.button(view.t("market.more"), on_click=lambda: look(found.next_page)).props(
                            "flat color=primary"
                        )


def _show(view: View, found: RemoteCatalogue) -> None:
    if not found.datasets:
        text(view.t("market.nothing")).classes("gs-muted")
    for dataset in found.datasets:
        with panel(dataset.title or dataset.dataset_id, dataset.dataset_id):
            if dataset.description and dataset.description != dataset.title:
                text(dataset.description).classes("gs-muted")
            for offer in dataset.offers:
                _show_offer(view, found.party, dataset, offer)


def _show_offer(view: View, party: PartyId, dataset: RemoteDataset, offer: RemoteOffer) -> None:
    with ui.element("div").classes("gs-row top"):
        ui.html(terms_html(view, offer.terms) or html.escape(offer.obstacle), sanitize=False).style("flex: 1")
        if offer.terms is None:
            chip(view.t("market.obstacle"), "warn")
        elif view.has_role(*USERS):
            ui.button(view.t("market.negotiate"), on_click=lambda: negotiate()).props("outline color=primary")
    problem = ui.element("div")

    async def negotiate() -> None:
        with view.trying(problem):
            act = view.node.share.negotiate
            record = await view.ask(act, party, dataset.dataset_id, view.subject, offer_id=offer.offer_id)
            ui.navigate.to(f"/sharing/process/{record.process_id}")

"""Sending an entry to a space for audit: a resource that somebody holds, or a product that can be ordered."""

from typing import Any

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import View
from gongshu.console.pages.contract_acts import WAYS
from gongshu.console.widgets import text
from gongshu.model.ids import PartyId
from gongshu.share.contracts.views import clauses_view
from gongshu.share.dsp.messages import FORMAT_PULL
from gongshu.share.model import Offer
from gongshu.share.spaces.model import EntryKind
from gongshu.share.spaces.states import Standing

OFFERS_MAX = 300
USABLE = frozenset({Standing.AUDITED, Standing.REGISTERED, Standing.ACTIVE})
"""States of a resource that a product can be made of."""
Row = dict[str, Any]


async def show_submission(view: View, operator: PartyId, space_id: str, entries: list[Row]) -> None:
    """Show the form, folded away."""
    offers = {offer.offer_id: offer for offer in await view.ask(view.node.share.offers, limit=OFFERS_MAX)}
    ready = [e for e in entries if e.get("kind") == EntryKind.RESOURCE and e.get("state") in USABLE]
    resources = {str(each["entry_id"]): str(each["title"]) for each in ready}
    with ui.expansion(view.t("entry.new")).classes("gs-full").props("data-test=new-entry"):
        text(view.t("entry.hint")).classes("gs-muted")
        with ui.element("div").classes("gs-form"):
            kinds = {kind.value: view.t(f"entry_kind.{kind.value}") for kind in EntryKind}
            kind = ui.select(kinds, label=view.t("space.kind"), value=EntryKind.RESOURCE.value)
            kind.props("outlined dense options-dense data-test=entry-kind")
            name = ui.input(view.t("space.title")).props("outlined dense data-test=entry-title")
            about = ui.textarea(view.t("entry.description")).props("outlined dense autogrow").classes("wide")
            made_of = ui.select(resources, label=view.t("entry.resources"), multiple=True, value=[])
            made_of.props("outlined dense use-chips options-dense")
            said = {key: f"{offer.title or offer.dataset_id} · {key[-8:]}" for key, offer in offers.items()}
            offer = ui.select(said, label=view.t("entry.offer"), value=next(iter(said), None))
            offer.props("outlined dense options-dense")
            ways = {way: view.t(f"transfers.{name}") for way, name in WAYS.items()}
            delivery = ui.select(ways, label=view.t("entry.delivery"), value=FORMAT_PULL)
            delivery.props("outlined dense options-dense")
            for field in (made_of, offer, delivery):
                field.bind_visibility_from(kind, "value", value=EntryKind.PRODUCT.value)
        result = ui.element("div")

        async def send() -> None:
            with view.trying(result):
                entry: Row = {"kind": kind.value, "title": (name.value or "").strip(), "description": about.value or ""}
                if kind.value == EntryKind.PRODUCT:
                    chosen = offers.get(str(offer.value))
                    entry |= _product(view, list(made_of.value or ()), chosen, str(delivery.value))
                if not entry["title"]:
                    raise FieldWrong(field=view.t("space.title"), expected="a value")
                act = view.node.spaces.membership.submit
                await view.ask(act, operator, space_id, entry, view.subject)
                ui.navigate.reload()

        ui.button(view.t("entry.go"), on_click=send).props("outline color=primary data-test=entry-go").classes(
            "gs-start"
        )


def _product(view: View, resources: list[str], offer: Offer | None, delivery: str) -> Row:
    if not resources:
        raise FieldWrong(field=view.t("entry.resources"), expected="at least one audited resource of ours")
    if offer is None:
        raise FieldWrong(field=view.t("entry.offer"), expected="an open offer of ours")
    return {
        "resources": resources,
        "delivery": delivery,
        "dataset_id": offer.published_as or offer.dataset_id,
        "offer_id": offer.offer_id,
        "terms": {each["term"]: {"zh": each["zh"], "en": each["en"]} for each in clauses_view(offer.terms)},
    }

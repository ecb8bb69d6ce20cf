"""Offers: what this organisation offers to others, and who the others are."""

from collections.abc import Mapping

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.terms_form import terms_html
from gongshu.console.widgets import chip_html, empty, panel, table, text, time_html, title
from gongshu.model.access import Role
from gongshu.model.ids import PartyId
from gongshu.secure.errors import NotAllowed
from gongshu.secure.parties import Party
from gongshu.share.model import Offer
from gongshu.share.rights import DEALERS


def create_pages(console: Console) -> None:
    """Register the page of offers and partners."""

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
                empty(view, "sharing.none", command="gongshu share offer --help")
            else:
                _show_offers(view, offers, await view.party_names())
        with panel(view.t("sharing.partners"), view.t("sharing.partners_hint")):
            await _show_partners(view)


def _show_offers(view: View, offers: list[Offer], names: Mapping[str, str]) -> None:
    rows = [
        {
            "id": offer.offer_id,
            "title": offer.title or offer.dataset_id,
            "terms": terms_html(view, offer.terms, names),
            "made": time_html(offer.created_at),
            "state": chip_html(view.t("offer.withdrawn"), "plain")
            if offer.withdrawn_at
            else chip_html(view.t("offer.open"), "good"),
        }
        for offer in offers
    ]
    columns = [(n, view.t(f"offer.{n}")) for n in ("title", "terms", "made", "state")]
    shown = table(view, columns, rows, key="id", markup=("terms", "made", "state"), selection=view.has_role(*DEALERS))
    if not view.has_role(*DEALERS):
        return
    problem = ui.element("div")

    async def withdraw() -> None:
        with view.trying(problem):
            for row in shown.selected:
                await view.ask(view.node.share.withdraw, row["id"], view.subject)
            ui.navigate.reload()

    ui.button(view.t("offer.withdraw"), on_click=withdraw).props("outline color=primary").style(
        "align-self: flex-start"
    )


async def _show_partners(view: View) -> None:
    parties = await view.ask(view.node.parties.all)
    if parties:
        rows = [
            {
                "party": p.party_id,
                "title": p.title,
                "address": p.address,
                "roles": " ".join(chip_html(_role(view, role), "plain") for role in p.roles),
                "fingerprint": f"<code>{p.fingerprint[:23]}…</code>",
            }
            for p in parties
        ]
        columns = [(n, view.t(f"party.{n}")) for n in ("title", "party", "address", "roles", "fingerprint")]
        table(view, columns, rows, key="party", markup=("roles", "fingerprint"))
    else:
        text(view.t("sharing.no_partner")).classes("gs-muted")
    if view.has_role(*DEALERS):
        _partner_form(view)


def _role(view: View, role: str) -> str:
    known = {"partner", "province", "member"}
    return view.t(f"party_role.{role}") if role in known else role


def _partner_form(view: View) -> None:
    with ui.expansion(view.t("sharing.add_partner")).classes("gs-full"):
        text(view.t("sharing.add_hint")).classes("gs-muted")
        with ui.element("div").classes("gs-form"):
            party = ui.input(view.t("party.party")).props("outlined dense data-test=party")
            name = ui.input(view.t("party.title")).props("outlined dense")
            address = ui.input(view.t("party.address")).props("outlined dense")
            key = (
                ui.textarea(view.t("party.key")).props("outlined dense autogrow data-test=key").classes("wide gs-mono")
            )
        problem = ui.element("div")

        async def add() -> None:
            with view.trying(problem):
                if not view.has_role(*DEALERS):
                    raise NotAllowed(actor=view.subject.subject_id, act="register partners", role=Role.PRODUCT_OWNER)
                entry = Party(
                    PartyId((party.value or "").strip()),
                    (name.value or "").strip(),
                    (key.value or "").strip() + "\n",
                    (address.value or "").strip().rstrip("/"),
                    ("partner",),
                )
                await view.ask(view.node.parties.add, entry, actor=view.subject.subject_id)
                ui.navigate.reload()

        ui.button(view.t("sharing.add_go"), on_click=add).props("outline color=primary").style("margin-top: 10px")
        ui.html(
            f'<details style="margin-top:10px"><summary>{view.t("sharing.own_key")}</summary>'
            f'<pre class="gs-sql">{view.node.party_id}\n{view.node.keys.fingerprint()}\n'
            f"{view.node.keys.public_key_pem()}</pre></details>",
            sanitize=False,
        )

"""What is known about partners beside their keys: groups, places, and the trust lists that vouch for them."""

import html

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import View
from gongshu.console.widgets import table, text, time_html
from gongshu.model.ids import PartyId
from gongshu.share.rights import DEALERS


async def show_groups(view: View) -> None:
    """Show the groups that terms can name, and a form to put a party in or out."""
    groups, names = await view.ask(view.node.share.desk.groups, view.subject), await view.party_names()
    if groups:
        rows = [
            {"group": g.group_id, "title": g.title, "members": view.join(names.get(m, m) for m in g.members)}
            for g in groups
        ]
        columns = [(n, view.t(f"group.{n}")) for n in ("group", "title", "members")]
        table(view, columns, rows, key="group", page_size=8)
    else:
        text(view.t("partners.no_groups")).classes("gs-muted")
    parties = await _parties(view)
    if not parties or not view.has_role(*DEALERS):
        return
    with ui.element("div").classes("gs-row"):
        group = (
            ui.input(view.t("group.group")).props("outlined dense data-test=group").style("flex: 1; min-width: 120px")
        )
        party = _party(view, parties)
    problem = ui.element("div")
    desk = view.node.share.desk

    async def join() -> None:
        with view.trying(problem):
            await view.ask(desk.add_to_group, (group.value or "").strip(), [_chosen(view, party)], view.subject)
            ui.navigate.reload()

    async def leave() -> None:
        with view.trying(problem):
            await view.ask(desk.remove_from_group, (group.value or "").strip(), _chosen(view, party), view.subject)
            ui.navigate.reload()

    with ui.element("div").classes("gs-row"):
        ui.button(view.t("group.join"), on_click=join).props("outline color=primary")
        ui.button(view.t("group.leave"), on_click=leave).props("flat color=primary")


async def show_places(view: View) -> None:
    """Show where parties are and who vouches for it, and a form to write it down."""
    places, names = await view.ask(view.node.share.desk.places, view.subject), await view.party_names()
    if places:
        rows = [
            {
                "party": names.get(entry.party_id, entry.party_id),
                "place": f'<span class="gs-whole">{html.escape(entry.place)}</span>',
                "basis": entry.basis,
                "by": f"{html.escape(entry.registered_by.removeprefix('user:'))} {time_html(entry.registered_at)}",
            }
            for entry in places
        ]
        columns = [(n, view.t(f"place.{n}")) for n in ("party", "place", "basis", "by")]
        table(view, columns, rows, key="party", markup=("place", "by"), wrap=("basis",), page_size=8).props(
            "wrap-cells"
        )
    else:
        text(view.t("partners.no_places")).classes("gs-muted")
    parties = await _parties(view)
    if not parties or not view.has_role(*DEALERS):
        return
    with ui.element("div").classes("gs-row"):
        party = _party(view, parties)
        place = ui.input(view.t("place.place"), placeholder="CN-33").props("outlined dense").style("width: 110px")
        basis = ui.input(view.t("place.basis")).props("outlined dense").style("flex: 2; min-width: 160px")
    problem = ui.element("div")

    async def register() -> None:
        with view.trying(problem):
            act, where = view.node.share.desk.register_place, (place.value or "").strip()
            await view.ask(act, _chosen(view, party), where, basis.value or "", view.subject)
            ui.navigate.reload()

    ui.button(view.t("place.go"), on_click=register).props("outline color=primary").classes("gs-start")


async def show_trust(view: View) -> None:
    """Show the trust lists that are believed, and a form to believe one more."""
    believed = await view.ask(view.node.trust.all, view.subject)
    problem = ui.element("div")
    if believed:
        rows = [
            {
                "space": each.space_id,
                "source": each.source,
                "members": each.members,
                "until": time_html(each.valid_until),
                "read": time_html(each.read_at),
                "problem": view.said(each.problem),
            }
            for each in believed
        ]
        names = ("space", "source", "members", "until", "read", "problem")
        columns = [(n, view.t(f"trust.{n}")) for n in names]
        shown = table(
            view, columns, rows, key="space", markup=("until", "read"), wrap=("problem",), numbers=("members",),
            selection=True,
        )  # fmt: skip

        async def remove() -> None:
            with view.trying(problem):
                if not shown.selected:
                    raise FieldWrong(field=view.t("trust.remove"), expected="at least one chosen row")
                for row in shown.selected:
                    await view.ask(view.node.trust.remove, row["space"], view.subject)
                ui.navigate.reload()

        ui.button(view.t("trust.remove"), on_click=remove).props("outline color=primary").classes("gs-start")
    else:
        text(view.t("trust.none")).classes("gs-muted")
    with ui.element("div").classes("gs-row"):
        source = ui.input(view.t("trust.source"), placeholder="https://operator.example/trust.txt")
        source.props("outlined dense").style("flex: 2; min-width: 240px")
        heard = ui.input(view.t("trust.fingerprint")).props("outlined dense").classes("gs-mono").style("flex: 2")

        async def add() -> None:
            with view.trying(problem):
                address = (source.value or "").strip()
                if not address.startswith(("https://", "http://")):
                    raise FieldWrong(field=view.t("trust.source"), expected="an address that begins with https://")
                print_ = "".join((heard.value or "").split()).lower()
                await view.ask(view.node.trust.add, address, print_, view.subject)
                ui.navigate.reload()

        ui.button(view.t("trust.add"), on_click=add).props("outline color=primary")


async def _parties(view: View) -> dict[str, str]:
    return {str(p.party_id): p.title or str(p.party_id) for p in await view.ask(view.node.parties.all)}


def _party(view: View, parties: dict[str, str]) -> ui.select:
    chosen = ui.select(parties, label=view.t("group.party"), value=next(iter(parties), None))
    return chosen.props("outlined dense options-dense").style("flex: 1; min-width: 160px")


def _chosen(view: View, field: ui.select) -> PartyId:
    if not field.value:
        raise FieldWrong(field=view.t("group.party"), expected="a registered party")
    return PartyId(field.value)

"""Spaces: those that we operate, with what waits for a decision, and those of others that we belong to."""

import html
from functools import partial

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import Console, View
from gongshu.console.pages.space_desk import role_text, show_space, standing_html, time_text
from gongshu.console.pages.space_member import member_path, show_membership
from gongshu.console.widgets import empty, panel, table, text, title
from gongshu.model.ids import PartyId
from gongshu.share.rights import DEALERS, USERS
from gongshu.share.spaces.roles import SpaceRole
from gongshu.share.spaces.states import Life

Json = dict[str, object]


def create_pages(console: Console) -> None:
    """Register the page of spaces."""

    @console.page("/sharing/spaces", "spaces")
    async def spaces(view: View) -> None:
        title(view, "nav.spaces", "spaces.question")
        view.node.share.require_onlooker(view.subject)
        chosen, operator = (view.request.query_params.get(name, "") for name in ("space", "operator"))
        if chosen and operator:
            await show_membership(view, PartyId(operator), chosen)
            return
        if chosen:
            await show_space(view, chosen)
            return
        operated = await view.ask(view.node.spaces.host.spaces, view.subject)
        joined = await view.ask(view.node.spaces.membership.standings, view.subject) if view.has_role(*USERS) else []
        if not operated and not joined:
            empty(view, "spaces.none")
        names = await view.party_names()
        if operated:
            with panel(view.t("spaces.operated"), view.t("spaces.operated_hint")):
                _show_operated(view, operated, names)
        if joined:
            with panel(view.t("spaces.joined"), view.t("spaces.joined_hint")):
                _show_joined(view, joined, names)
        if view.has_role(*DEALERS):
            with panel(view.t("spaces.more")):
                _show_request(view, names)
                asked = view.request.query_params
                _show_application(view, names, asked.get("at", ""), asked.get("apply", ""))


def _show_operated(view: View, operated: list[Json], names: dict[str, str]) -> None:
    rows = [
        {
            "id": each["space_id"],
            "title": each["title"],
            "number": each["number"] or "–",
            "state": standing_html(view, str(each["state"]), Life.SPACE),
            "by": names.get(str(each["requested_by"]), each["requested_by"]),
            "at": time_text(each["requested_at"]),
        }
        for each in operated
    ]
    columns = [(n, view.t(f"space.{n}")) for n in ("title", "number", "state", "by", "at")]
    table(view, columns, rows, key="id", markup=("state", "at"), open_at=lambda r: f"/sharing/spaces?space={r['id']}")


def _show_joined(view: View, joined: list[Json], names: dict[str, str]) -> None:
    rows = [
        {
            "key": f"{each['operator']} {each['space_id']}",
            "id": each["space_id"],
            "title": each["title"] or each["space_id"],
            "operator": names.get(str(each["operator"]), each["operator"]),
            "_operator": each["operator"],
            "state": standing_html(view, str(each["state"]), Life.MEMBER if each["roles"] else Life.SPACE),
            "roles": view.join(role_text(view, role) for role in str(each["roles"]).split(",") if role) or "–",
            "at": time_text(each["updated_at"]),
        }
        for each in joined
    ]
    columns = [(n, view.t(f"space.{n}")) for n in ("title", "operator", "state", "roles", "at")]
    table(
        view,
        columns,
        rows,
        key="key",
        markup=("state", "at"),
        wrap=("title",),
        open_at=lambda row: member_path(str(row["_operator"]), str(row["id"])),
    )


def _operators(view: View, names: dict[str, str], *, ours: bool) -> ui.select:
    choices = {party: name for party, name in names.items() if ours or party != view.node.party_id}
    own = str(view.node.party_id)
    field = ui.select(choices, label=view.t("space.operator"), value=own if ours else next(iter(choices), None))
    return field.props("outlined dense options-dense")


def _show_request(view: View, names: dict[str, str]) -> None:
    with ui.expansion(view.t("spaces.request")).classes("gs-full"), ui.element("div").classes("gs-stack"):
        with ui.element("div").classes("gs-form"):
            operator = _operators(view, names, ours=True)
            name = ui.input(view.t("space.title")).props("outlined dense data-test=title")
        rules = ui.textarea(view.t("space.rules")).props("outlined dense autogrow data-test=rules")
        result = ui.element("div")

        async def request() -> None:
            with view.trying(result):
                typed, text_ = (name.value or "").strip(), rules.value or ""
                if operator.value == view.node.party_id:
                    await view.ask(view.node.spaces.host.request, typed, text_, view.subject)
                else:
                    act = view.node.spaces.membership.request_space
                    await view.ask(act, PartyId(operator.value or ""), typed, text_, view.subject)
                ui.navigate.reload()

        ui.button(view.t("spaces.request_go"), on_click=request).props("outline color=primary").classes("gs-start")


def _show_application(view: View, names: dict[str, str], at: str, space_id: str) -> None:
    """Read a space's rules, then sign that very text; open and filled where an address names the space."""
    member, is_named = view.node.spaces.membership, bool(space_id and at in names)
    folded = ui.expansion(view.t("spaces.apply"), value=is_named).classes("gs-full")
    with folded, ui.element("div").classes("gs-stack"):
        with ui.element("div").classes("gs-form"):
            operator = _operators(view, names, ours=False)
            space = ui.input(view.t("space.id"), value=space_id).props("outlined dense data-test=space")
            if is_named and at != view.node.party_id:
                operator.set_value(at)
        place, result = ui.element("div").classes("gs-stack"), ui.element("div")

        async def read() -> None:
            with view.trying(result):
                place.clear()
                who, named = PartyId(operator.value or ""), (space.value or "").strip()
                if not named:
                    raise FieldWrong(field=view.t("space.id"), expected="a value")
                found = await view.ask(member.rules, who, named, view.subject)
                with place:
                    sign(who, named, str(found.get("title", "")), str(found.get("rules", "")))

        def sign(who: PartyId, named: str, heading: str, rules: str) -> None:
            text(heading, "h2")
            ui.html(f'<pre class="gs-sql">{html.escape(rules)}</pre>', sanitize=False)
            roles = {role.value: role_text(view, role.value) for role in SpaceRole if role is not SpaceRole.OPERATOR}
            with ui.element("div").classes("gs-form"):
                chosen = ui.select(roles, label=view.t("space.roles"), multiple=True, value=["provider"])
                chosen.props("outlined dense use-chips options-dense")
                area = ui.input(view.t("space.area"), placeholder="310100").props("outlined dense")
                firm = ui.input(view.t("space.organisation")).props("outlined dense")

            async def apply() -> None:
                with view.trying(result):
                    act = partial(member.apply, area=area.value or "", organisation=firm.value or "", rules=rules)
                    await view.ask(act, who, named, list(chosen.value or ()), view.subject)
                    ui.navigate.reload()

            ui.button(view.t("spaces.sign"), on_click=apply).props("unelevated color=primary").classes("gs-start")

        ui.button(view.t("spaces.read_rules"), on_click=read).props("outline color=primary").classes("gs-start")
        place.move(target_index=-1)
        result.move(target_index=-1)
        if is_named:
            ui.timer(0.01, read, once=True)

"""A space of another operator that we belong to: where we stand, our entries, its catalogue, members and reports."""

import html
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import View
from gongshu.console.pages.asking import ask_first
from gongshu.console.pages.space_desk import (
    role_text,
    show_contracts,
    show_history,
    show_members,
    standing_html,
    time_text,
)
from gongshu.console.pages.space_entry import show_submission
from gongshu.console.widgets import error_notice, facts, notice, panel, table, text
from gongshu.errors import GongshuError
from gongshu.model.ids import PartyId
from gongshu.share.model import AgreementStatus
from gongshu.share.rights import DEALERS, USERS
from gongshu.share.spaces.roles import Act, SpaceRole, may
from gongshu.share.spaces.states import Standing

Row = dict[str, Any]
AGREEMENTS_MAX = 300
_KNOWN = {each.value for each in SpaceRole}


def member_path(operator: str, space_id: str) -> str:
    """Return the address of the page about a space that we belong to.

    >>> member_path("urn:a", "urn:b")
    '/sharing/spaces?space=urn%3Ab&operator=urn%3Aa'
    """
    return f"/sharing/spaces?space={quote(space_id, safe='')}&operator={quote(operator, safe='')}"


async def show_membership(view: View, operator: PartyId, space_id: str) -> None:
    """Ask the operator where we stand, and show what our roles let us see and do."""
    names, member = await view.party_names(), view.node.spaces.membership
    try:
        mine = await view.ask(member.look, operator, space_id, "standing", view.subject)
    except GongshuError as error:
        error_notice(view, error)
        if view.has_role(*USERS):
            await _show_last(view, operator, space_id, names)
        return
    roles = [SpaceRole(role) for role in mine.get("roles", []) if role in _KNOWN]
    state = str(mine.get("state", ""))
    with panel(view.t("spaces.standing"), view.t("spaces.standing_hint")):
        facts(
            [
                (view.t("space.operator"), html.escape(names.get(operator, operator))),
                (view.t("space.state"), standing_html(view, state)),
                (view.t("space.roles"), html.escape(view.join(role_text(view, role.value) for role in roles)) or "–"),
                (view.t("space.check"), html.escape(str(mine.get("identity_check", ""))) or "–"),
                (view.t("space.at"), time_text(mine.get("decided_at") or mine.get("applied_at"))),
                (view.t("space.id"), f"<code>{html.escape(space_id)}</code>"),
            ]
        )
        if view.has_role(*DEALERS):
            _show_leaving(view, operator, space_id)
    if state != Standing.ADMITTED:
        text(view.t("spaces.not_admitted")).classes("gs-muted")
        return
    if may(roles, Act.SUBMIT):
        with panel(view.t("spaces.own_entries"), view.t("spaces.entries_hint")):
            _show_own(view, operator, space_id, list(mine.get("entries", [])))
            if view.has_role(*DEALERS):
                await show_submission(view, operator, space_id, list(mine.get("entries", [])))
    with panel(view.t("spaces.in_catalogue"), view.t("spaces.in_catalogue_hint")):
        await _show_catalogue(view, operator, space_id, names)
    with panel(view.t("spaces.members")):
        found = await view.ask(member.look, operator, space_id, "members", view.subject)
        show_members(view, list(found.get("members", [])), names)
    if may(roles, Act.REPORT) or may(roles, Act.SEE_CONTRACTS):
        with panel(view.t("spaces.contracts"), view.t("spaces.contracts_hint")):
            found = await view.ask(member.look, operator, space_id, "contracts", view.subject)
            show_contracts(view, list(found.get("contracts", [])), names)
            if may(roles, Act.REPORT) and view.has_role(*DEALERS):
                await _show_report(view, operator, space_id, names)
    if may(roles, Act.SEE_HISTORY):
        with panel(view.t("spaces.history")):
            found = await view.ask(member.look, operator, space_id, "history", view.subject)
            show_history(view, list(found.get("history", [])), names)


async def _show_last(view: View, operator: PartyId, space_id: str, names: dict[str, str]) -> None:
    """Show what the operator told last, while its node does not answer."""
    told = await view.ask(view.node.spaces.membership.standings, view.subject)
    for each in told:
        if (each["operator"], each["space_id"]) == (operator, space_id):
            with panel(view.t("spaces.standing"), view.t("spaces.joined_hint")):
                facts(
                    [
                        (view.t("space.operator"), html.escape(names.get(operator, operator))),
                        (view.t("space.state"), standing_html(view, str(each["state"]))),
                        (view.t("space.at"), time_text(each["updated_at"])),
                        (view.t("space.id"), f"<code>{html.escape(space_id)}</code>"),
                    ]
                )


def _show_leaving(view: View, operator: PartyId, space_id: str) -> None:
    async def go(reason: str) -> None:
        await view.ask(view.node.spaces.membership.leave, operator, space_id, view.subject, reason)
        ui.navigate.to("/sharing/spaces")

    def asked() -> None:
        words, said = view.t("spaces.leave_text"), view.t("spaces.leave")
        ask_first(view, said, words, said, go, reason=view.t("space.reason"))

    ui.button(view.t("spaces.leave"), on_click=asked).props("flat color=negative data-test=leave").classes("gs-start")


def _show_own(view: View, operator: PartyId, space_id: str, entries: list[Row]) -> None:
    if not entries:
        text(view.t("spaces.no_entries")).classes("gs-muted")
        return
    rows = [_entry(view, each) for each in entries]
    columns = [(n, view.t(f"space.{n}")) for n in ("entry", "kind", "identifier", "state")]
    acts = view.has_role(*DEALERS)
    shown = table(view, columns, rows, key="id", markup=("state",), wrap=("identifier",), selection=acts, page_size=10)
    if not acts:
        return
    problem, member = ui.element("div"), view.node.spaces.membership

    def each_chosen(act: Callable[..., Row]) -> Callable[[], Any]:
        async def do() -> None:
            with view.trying(problem):
                if not shown.selected:
                    raise FieldWrong(field=view.t("spaces.own_entries"), expected="at least one chosen row")
                for row in shown.selected:
                    await view.ask(act, operator, space_id, row["id"], view.subject)
                ui.navigate.reload()

        return do

    with ui.element("div").classes("gs-row"):
        ui.button(view.t("spaces.show_entry"), on_click=each_chosen(member.publish)).props(
            "outline color=primary data-test=publish"
        )
        ui.button(view.t("space_step.withdraw"), on_click=each_chosen(member.withdraw)).props("flat color=negative")
    problem.move(target_index=-1)


def _entry(view: View, each: Row) -> Row:
    return {
        "id": each.get("entry_id", ""),
        "entry": each.get("title", ""),
        "kind": view.t(f"entry_kind.{each['kind']}") if each.get("kind") in {"resource", "product"} else "–",
        "identifier": each.get("identifier") or "–",
        "state": standing_html(view, str(each.get("state", ""))),
    }


async def _show_catalogue(view: View, operator: PartyId, space_id: str, names: dict[str, str]) -> None:
    """Show the newest entries, and a field to search in all by meaning."""
    member = view.node.spaces.membership
    with ui.element("div").classes("gs-row"):
        words = ui.input(view.t("market.search")).props("outlined dense data-test=words").style("min-width: 280px")
        ui.button(view.t("market.search_go"), on_click=lambda: look()).props("outline color=primary")
    place = ui.element("div").classes("gs-stack")

    async def look() -> None:
        with view.trying(place):
            typed = (words.value or "").strip()
            found = await view.ask(member.look, operator, space_id, "catalogue", view.subject, words=typed)
            entries = list(found.get("entries", []))
            with place:
                if not entries:
                    text(view.t("market.no_hits" if typed else "spaces.empty_catalogue")).classes("gs-muted")
                    return
                party = [str(each.get("party", "")) for each in entries]
                rows = [
                    _entry(view, each) | {"party": names.get(who, who)}
                    for each, who in zip(entries, party, strict=True)
                ]
                columns = [(n, view.t(f"space.{n}")) for n in ("entry", "kind", "party", "identifier")]
                table(view, columns, rows, key="id", wrap=("identifier",), page_size=10)

    await look()


async def _show_report(view: View, operator: PartyId, space_id: str, names: dict[str, str]) -> None:
    found = await view.ask(view.node.share.agreements, limit=AGREEMENTS_MAX)
    open_ones = [each for each in found if each.status is not AgreementStatus.RETIRED]
    if not open_ones:
        return
    said = {
        each.agreement_id: f"{each.dataset_id} · {names.get(each.counterparty, each.counterparty)}"
        for each in open_ones
    }
    result = ui.element("div")

    async def report() -> None:
        with view.trying(result):
            act = view.node.spaces.membership.report
            await view.ask(act, operator, space_id, str(chosen.value or ""), view.subject)
            with result:
                notice(view.t("spaces.reported"), kind="good")

    with ui.element("div").classes("gs-row"):
        chosen = ui.select(said, label=view.t("spaces.report_which"), value=open_ones[0].agreement_id)
        chosen.props("outlined dense options-dense").style("min-width: 280px")
        ui.button(view.t("spaces.report"), on_click=report).props("outline color=primary").tooltip(
            view.t("spaces.report_hint")
        )
    result.move(target_index=-1)

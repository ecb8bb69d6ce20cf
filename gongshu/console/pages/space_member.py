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
    tall_html,
    time_text,
)
from gongshu.console.pages.space_entry import show_submission
from gongshu.console.widgets import choice, error_notice, facts, panel, table, text, time_html
from gongshu.errors import GongshuError
from gongshu.model.ids import PartyId
from gongshu.share.model import AgreementStatus
from gongshu.share.rights import DEALERS, USERS
from gongshu.share.spaces.roles import Act, SpaceRole, may
from gongshu.share.spaces.states import Life, Standing

Row = dict[str, Any]
AGREEMENTS_MAX = 300
_KNOWN = {each.value for each in SpaceRole}
_NOT_JOINED = frozenset({Standing.REQUESTED, Standing.REFUSED, Standing.ACTIVE})
"""States of a space that we asked for, as long as we have not applied to it."""
_SAID = frozenset({Standing.APPLIED, Standing.REFUSED, Standing.SUSPENDED, Standing.LEFT})


def member_path(operator: str, space_id: str) -> str:
    """Return the address of the page about a space that we belong to.

    >>> member_path("urn:a", "urn:b")
    '/sharing/spaces?space=urn%3Ab&operator=urn%3Aa'
    """
    return f"/sharing/spaces?space={quote(space_id, safe='')}&operator={quote(operator, safe='')}"


def apply_path(operator: str, space_id: str) -> str:
    """Return the address at which the rules of a space are read and signed.

    >>> apply_path("urn:a", "urn:b")
    '/sharing/spaces?apply=urn%3Ab&at=urn%3Aa'
    """
    return f"/sharing/spaces?apply={quote(space_id, safe='')}&at={quote(operator, safe='')}"


async def show_membership(view: View, operator: PartyId, space_id: str) -> None:
    """Ask the operator where we stand, and show what our roles let us see and do.

    The page stands before the operator has answered: a node that hangs costs seconds for each question.
    """
    names, ask = await view.party_names(), view.node.spaces.membership.look
    told = await _told(view, operator, space_id)
    if told is None:  # a foreign address, or nobody who may look: refused here, before anything is sent
        mine = await view.ask(ask, operator, space_id, "standing", view.subject)
        await _show_member(view, operator, space_id, mine, names)
        return
    if not told["roles"] and told["state"] in _NOT_JOINED:
        _show_request(view, operator, told, names)  # who never applied is told nothing more there
        return
    place = ui.element("div").classes("gs-stack gs-full").style("gap: 16px")

    async def load() -> None:
        with view.trying(place):
            try:
                mine = await view.ask(ask, operator, space_id, "standing", view.subject)
            except GongshuError as error:
                with place:
                    error_notice(view, error)
                    _show_told(view, operator, told, names)
                return
            with place:
                await _show_member(view, operator, space_id, mine, names)

    ui.timer(0.01, load, once=True)


async def _show_member(view: View, operator: PartyId, space_id: str, mine: Row, names: dict[str, str]) -> None:
    member = view.node.spaces.membership
    roles = [SpaceRole(role) for role in mine.get("roles", []) if role in _KNOWN]
    state = str(mine.get("state", ""))
    with panel(str(mine.get("title", "")) or view.t("spaces.standing"), view.t("spaces.standing_hint")):
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
        if state != Standing.ADMITTED:
            text(view.t(f"space_mine.{state}" if state in _SAID else "space_mine.over")).classes("gs-muted")
        if view.has_role(*DEALERS) and state in {Standing.REFUSED, Standing.LEFT}:
            ui.link(view.t("spaces.apply_again"), apply_path(operator, space_id))
        if view.has_role(*DEALERS) and state in {Standing.APPLIED, Standing.ADMITTED, Standing.SUSPENDED}:
            _show_leaving(view, operator, space_id)
    if state != Standing.ADMITTED:
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


async def _told(view: View, operator: PartyId, space_id: str) -> Row | None:
    """Return what the operator told last, None where it told nothing or the reader may not see it."""
    if not view.has_role(*USERS):
        return None
    found = await view.ask(view.node.spaces.membership.standings, view.subject)
    return next((each for each in found if (each["operator"], each["space_id"]) == (operator, space_id)), None)


def _show_told(view: View, operator: PartyId, told: Row, names: dict[str, str], life: Life = Life.MEMBER) -> None:
    with panel(str(told["title"]) or view.t("spaces.standing"), view.t("spaces.joined_hint")):
        rows = [
            (view.t("space.operator"), html.escape(names.get(operator, operator))),
            (view.t("space.state"), standing_html(view, str(told["state"]), life)),
            (view.t("space.reason"), html.escape(view.said(str(told["reason"])))),
            (view.t("space.at"), time_text(told["updated_at"])),
            (view.t("space.id"), f"<code>{html.escape(str(told['space_id']))}</code>"),
        ]
        facts([(name, shown) for name, shown in rows if shown])


def _show_request(view: View, operator: PartyId, told: Row, names: dict[str, str]) -> None:
    """Show a space that we asked for and do not belong to, and what comes next."""
    _show_told(view, operator, told, names, Life.SPACE)
    text(view.t(f"space_asked.{told['state']}")).classes("gs-muted")
    if told["state"] == Standing.ACTIVE and view.has_role(*DEALERS):
        ui.link(view.t("spaces.apply"), apply_path(operator, str(told["space_id"])))


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
    columns = [(n, view.t(f"space.{n}")) for n in ("entry", "kind", "identifier", "state", "reason")]
    acts, wrap = view.has_role(*DEALERS), ("identifier", "reason")
    shown = table(view, columns, rows, key="id", markup=("state",), wrap=wrap, selection=acts, page_size=10)
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
        "reason": view.said(str(each.get("reason", ""))),
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
                    text(view.t("spaces.no_hits" if typed else "spaces.empty_catalogue")).classes("gs-muted")
                    return
                party = [str(each.get("party", "")) for each in entries]
                rows = [
                    _entry(view, each)
                    | {
                        "party": names.get(who, who),
                        "about": tall_html(html.escape(each.get("description", ""))),
                        "get": _get_html(view, each),
                    }
                    for each, who in zip(entries, party, strict=True)
                ]
                columns = [(n, view.t(f"space.{n}")) for n in ("entry", "kind", "about", "party", "identifier", "get")]
                table(
                    view, columns, rows, key="id", markup=("about", "get"), wrap=("about", "identifier"), page_size=10
                )

    await look()


def _get_html(view: View, each: Row) -> str:
    """Return the link to the terms of a product of another party, where a contract is asked for."""
    dataset, party = str(each.get("dataset_id", "")), str(each.get("party", ""))
    if not dataset or party == view.node.party_id:
        return "–"
    to = f"/sharing/find?party={quote(party, safe='')}&dataset={quote(dataset, safe='')}"
    return f'<a href="{html.escape(to)}">{html.escape(view.t("spaces.to_terms"))}</a>'


async def _show_report(view: View, operator: PartyId, space_id: str, names: dict[str, str]) -> None:
    found = await view.ask(view.node.share.agreements, limit=AGREEMENTS_MAX)
    open_ones = [each for each in found if each.status is not AgreementStatus.RETIRED]
    if not open_ones:
        return
    said = {
        each.agreement_id: f"{html.escape(f'{each.dataset_id} · {names.get(each.counterparty, each.counterparty)}')}"
        f" · {time_html(each.agreed_at)}"
        for each in open_ones
    }
    result = ui.element("div")

    async def report() -> None:
        with view.trying(result):
            act = view.node.spaces.membership.report
            await view.ask(act, operator, space_id, str(chosen.value or ""), view.subject)
            ui.notify(view.t("spaces.reported"))
            ui.navigate.reload()

    with ui.element("div").classes("gs-row"):
        chosen = choice(said, view.t("spaces.report_which"), open_ones[0].agreement_id)
        chosen.props("data-test=report-which").style("min-width: 280px")
        ui.button(view.t("spaces.report"), on_click=report).props("outline color=primary").tooltip(
            view.t("spaces.report_hint")
        )
    result.move(target_index=-1)

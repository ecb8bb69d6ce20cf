"""One clearance: what was found in the procedure, who approved it, and what a person can do with it."""

import html
from collections.abc import Callable, Mapping
from typing import Any

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.asking import ask_first
from gongshu.console.pages.clearance_parts import STATE_KIND, kind_heading, lacking, request_path
from gongshu.console.widgets import chip_html, facts, grid, notice, panel, table, text, time_html
from gongshu.packs import Pack
from gongshu.share.clearances.book import ENDERS, REQUESTERS
from gongshu.share.clearances.model import APPROVERS, Clearance, Kind, State
from gongshu.share.clearances.records import PACK
from gongshu.share.clearances.states import OPEN, Step, role_to_count

Act = Callable[..., Clearance]


def create_pages(console: Console) -> None:
    """Register the page of one clearance."""

    @console.page("/sharing/clearance/{clearance_id:path}", "clearances")
    async def clearance(view: View) -> None:
        book, clearance_id = view.node.share.clearances, view.request.path_params["clearance_id"]
        view.node.share.require_onlooker(view.subject)
        found, state = await view.ask(book.get, clearance_id, view.subject)
        names = await view.party_names()
        party = names.get(found.party_id, found.party_id)
        with ui.element("div").classes("gs-title"):
            text(kind_heading(view, found.kind), "h1")
            text(f"{found.dataset_id} → {party}", "p")
            ui.html(chip_html(view.t(f"clearance_state.{state.value}"), STATE_KIND[state]), sanitize=False)
        if state is not State.IN_FORCE:
            notice(lacking(view, found, state), found.ended_why, kind="warn")
        with grid():
            with panel(view.t("clearance.about"), span="span-6 narrow-12"):
                _show_about(view, found, party)
            with panel(view.t("clearance.decide"), view.t("clearance.decide_hint"), span="span-6 narrow-12"):
                _show_approvals(view, found)
                _show_acts(view, found, state)
        with panel(view.t("clearance.record"), view.t(f"clearance_record.{found.kind.value}")):
            _SHOWN[found.kind](view, found.record, view.node.packs.get(PACK))


def _show_about(view: View, found: Clearance, party: str) -> None:
    dataset = html.escape(found.dataset_id)
    rows = [
        (view.t("clearance.dataset"), f'<a href="/catalogue/{dataset}">{dataset}</a>'),
        (view.t("clearance.party"), html.escape(party)),
        (view.t("clearance.reason"), html.escape(found.reason)),
        (view.t("clearance.asked"), f"{html.escape(_person(found.requested_by))} {time_html(found.requested_at)}"),
        (view.t("clearance.until"), time_html(found.valid_until)),
        (view.t("process.id"), f"<code>{html.escape(found.clearance_id)}</code>"),
    ]
    if found.ended_at is not None:
        who = f"{html.escape(_person(found.ended_by))} {time_html(found.ended_at)}"
        rows.append((view.t(f"clearance.ended_{found.ended_as}"), who))
    facts(rows)


def _show_approvals(view: View, found: Clearance) -> None:
    given = {approval.role: approval for approval in found.approvals}
    rows = []
    for role in APPROVERS:
        approval = given.get(role)
        said = chip_html(view.t("clearance.missing"), "plain")
        if approval is not None:
            who = f"{html.escape(_person(approval.by))} {time_html(approval.at)}"
            said = f"{chip_html(view.t('clearance.approved'), 'good')} {who}"
        rows.append((view.t(f"role.{role.value}"), said))
    facts(rows)


def _show_acts(view: View, found: Clearance, state: State) -> None:
    book, problem = view.node.share.clearances, ui.element("div").classes("gs-stack")

    def ending(name: str, act: Act) -> None:
        async def end(reason: str) -> None:
            await view.ask(act, found.clearance_id, view.subject, reason)
            ui.navigate.reload()

        def asked() -> None:
            words, said = view.t(f"clearance.{name}_text"), view.t(f"clearance.{name}")
            ask_first(view, said, words, said, end, reason=view.t("clearance.why"))

        ui.button(view.t(f"clearance.{name}"), on_click=asked).props(f"flat color=negative data-test={name}")

    async def approve() -> None:
        with view.trying(problem):
            await view.ask(book.approve, found.clearance_id, view.subject)
            ui.navigate.reload()

    is_waiting = state in OPEN[Step.APPROVE] and view.has_role(*APPROVERS)
    counts = role_to_count(found, view.subject.subject_id, view.subject.roles) in APPROVERS
    with ui.element("div").classes("gs-row"):
        if is_waiting and counts:
            ui.button(view.t("clearance.approve"), on_click=approve).props(
                "unelevated color=primary data-test=approve"
            ).classes("gs-start")
        if is_waiting:
            ending("refuse", book.refuse)
        if state in OPEN[Step.REVOKE] and view.has_role(*ENDERS):
            ending("revoke", book.revoke)
        if state in {State.EXPIRED, State.OUTDATED, State.REFUSED, State.REVOKED} and view.has_role(*REQUESTERS):
            again = request_path(found.dataset_id, found.party_id, found.kind)
            ui.button(view.t("clearance.again"), on_click=lambda: ui.navigate.to(again)).props("outline color=primary")
    if is_waiting and not counts:
        own = found.requested_by == view.subject.subject_id
        text(view.t("clearance.not_own" if own else "clearance.not_twice")).classes("gs-muted")
    problem.move(target_index=-1)


def _person(subject_id: str) -> str:
    return subject_id.removeprefix("user:")


def _show_strict(view: View, record: Mapping[str, Any], pack: Pack) -> None:  # noqa: ARG001  one form for all kinds
    knowers = [{"key": number, **knower} for number, knower in enumerate(record["knowers"])]
    columns = [("name", view.t("strict.name")), ("post", view.t("strict.post"))]
    table(view, columns, knowers, key="key")
    marks = view.join(view.t("strict.mark_at", column=name, decimal=at) for name, at in record["mark"].items())
    facts([(view.t("strict.mark"), html.escape(marks))])


def _show_important(view: View, record: Mapping[str, Any], pack: Pack) -> None:
    agreement, check, assessment = record["agreement"], record["receiver_check"], record["assessment"]
    facts(
        [
            (view.t("important.reference"), html.escape(f"{agreement['reference']} · {agreement['signed_on']}")),
            (view.t("important.check"), html.escape(f"{check['finding']} · {check['by']} {check['on']}")),
            (view.t("important.assessed"), html.escape(f"{assessment['by']} {assessment['on']}")),
        ]
    )
    rows = [
        {
            "key": item.key,
            "aspect": view.pick(item.title_zh, item.title_en),
            "finding": assessment["aspects"].get(item.key.rpartition(".")[2], {}).get("finding", "–"),
            "acceptable": chip_html(view.t("important.acceptable"), "good"),
        }
        for item in pack.under("assessment.aspect")
    ]
    columns = [(n, view.t(f"important.{n}")) for n in ("aspect", "finding", "acceptable")]
    table(view, columns, rows, key="key", markup=("acceptable",), wrap=("aspect", "finding"))


def _show_cross_border(view: View, record: Mapping[str, Any], pack: Pack) -> None:
    ways = {item.key.rpartition(".")[2]: view.pick(item.title_zh, item.title_en) for item in pack.under(_PATHS)}
    facts(
        [
            (view.t("border.path"), html.escape(ways.get(record["path"], record["path"]))),
            (view.t("border.reference"), html.escape(record["reference"])),
            (view.t("border.issued_on"), html.escape(record["issued_on"])),
            (view.t("border.valid_until"), html.escape(record["valid_until"])),
        ]
    )


_PATHS = "cross_border.path"
_SHOWN: Mapping[Kind, Callable[[View, Mapping[str, Any], Pack], None]] = {
    Kind.STRICT: _show_strict,
    Kind.IMPORTANT: _show_important,
    Kind.CROSS_BORDER: _show_cross_border,
}

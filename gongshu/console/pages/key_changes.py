"""Partners whose key changed: what stands still for it, asking that it goes on, and a second person's word."""

import html
from collections.abc import Mapping, Sequence

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import Console, View
from gongshu.console.pages.agreements import contract_path
from gongshu.console.pages.asking import ask_first
from gongshu.console.widgets import chip_html, empty, facts, panel, table, text, time_html, title
from gongshu.share.invites import without_spaces
from gongshu.share.key_changes.service import CONFIRMERS, REQUESTERS, KeyChange, Stranded

AGREEMENTS_MAX = 1_000
_KIND = {"confirmed": "good", "refused": "bad"}


def create_pages(console: Console) -> None:
    """Register the page of key changes."""

    @console.page("/sharing/key-changes", "partners")
    async def key_changes(view: View) -> None:
        title(view, "key_changes.title", "key_changes.question")
        view.node.share.require_onlooker(view.subject)
        changes = view.node.share.key_changes
        stranded = await view.ask(changes.stranded, view.subject)
        requests = await view.ask(changes.all, view.subject)
        names = await view.party_names()
        waiting = [change for change in requests if not change.outcome]
        if not stranded and not requests:
            empty(view, "key_changes.none", to={"/sharing/partners": "nav.partners"})
        found = await view.ask(view.node.share.agreements, limit=AGREEMENTS_MAX) if stranded else []
        datasets = {agreement.agreement_id: str(agreement.dataset_id) for agreement in found}
        for each in stranded:
            with panel(names.get(each.party_id, each.party_id), view.t("key_changes.stands")):
                _show_stranded(view, each, datasets)
                _show_asking(view, each, waiting)
        for change in waiting:
            with panel(view.t("key_changes.waits", party=names.get(change.party_id, change.party_id))):
                _show_waiting(view, change)
        decided = [change for change in requests if change.outcome]
        if decided:
            with panel(view.t("key_changes.decided")):
                _show_decided(view, decided, names)


def key_html(proof: str) -> str:
    """Return by what a party proves itself, cut short: the whole key is what its people read out.

    >>> key_html("key sha256:0011aabbccdd")
    '<code>key sha256:0011aabb…</code>'
    """
    return f"<code>{html.escape(proof[:19])}…</code>" if len(proof) > 19 else f"<code>{html.escape(proof)}</code>"


def _show_stranded(view: View, stranded: Stranded, datasets: Mapping[str, str]) -> None:
    now = key_html(stranded.current) if stranded.current else html.escape(view.t("key_changes.nobody"))
    contracts = view.join(
        f'<a href="{contract_path(each)}">{html.escape(datasets.get(each, each))}</a>' for each in stranded.agreements
    )
    groups, places = html.escape(view.join(stranded.groups)), html.escape(view.join(stranded.places))
    rows = [
        (view.t("party.party"), f"<code>{html.escape(stranded.party_id)}</code>"),
        (view.t("key_change.former"), key_html(stranded.former)),
        (view.t("key_change.current"), now),
        (view.t("key_change.contracts"), contracts),
        (view.t("key_change.groups"), groups),
        (view.t("key_change.places"), places),
        (view.t("key_change.offers"), str(len(stranded.offers) or "")),
        (view.t("key_change.spaces"), str(len(stranded.spaces) or "")),
        (view.t("key_change.processes"), str(len(stranded.processes) or "")),
    ]
    facts([(name, shown) for name, shown in rows if shown])


def _show_asking(view: View, stranded: Stranded, waiting: Sequence[KeyChange]) -> None:
    if not stranded.current:
        text(view.t("key_changes.register")).classes("gs-muted")
        return
    pair = (stranded.party_id, stranded.former, stranded.current)
    if any((change.party_id, change.former, change.current) == pair for change in waiting):
        text(view.t("key_changes.asked")).classes("gs-muted")
        return
    if not view.has_role(*REQUESTERS):
        return
    text(view.t("key_changes.advice")).classes("gs-muted")
    reason = ui.input(view.t("key_change.reason")).props("outlined dense data-test=why").classes("gs-full")
    problem = ui.element("div")

    async def ask() -> None:
        with view.trying(problem):
            why = (reason.value or "").strip()
            if not why:
                raise FieldWrong(field=view.t("key_change.reason"), expected="a reason")
            request = view.node.share.key_changes.request
            await view.ask(request, stranded.party_id, view.subject, reason=why, former=stranded.former)
            ui.navigate.reload()

    ui.button(view.t("key_changes.ask"), on_click=ask).props("unelevated color=primary data-test=ask").classes(
        "gs-start"
    )
    problem.move(target_index=-1)


def _show_waiting(view: View, change: KeyChange) -> None:
    facts(
        [
            (view.t("key_change.former"), key_html(change.former)),
            (view.t("key_change.current"), key_html(change.current)),
            (view.t("key_change.reason"), html.escape(change.reason)),
            (
                view.t("key_change.asked"),
                f"{html.escape(_person(change.requested_by))} {time_html(change.requested_at)}",
            ),
        ]
    )
    changes, is_own = view.node.share.key_changes, change.requested_by == view.subject.subject_id
    problem = ui.element("div")

    async def refuse(reason: str) -> None:  # noqa: ARG001  # a refusal keeps no reason
        await view.ask(changes.refuse, change.change_id, view.subject)
        ui.navigate.reload()

    def asked() -> None:
        words, said = view.t("key_changes.refuse_text"), view.t("key_changes.refuse")
        ask_first(view, said, words, said, refuse)

    if view.has_role(*CONFIRMERS) and not is_own:
        heard = ui.input(view.t("partners.their_print"), placeholder="sha256: …")
        heard.props(f'outlined dense data-test=fingerprint hint="{view.t("partners.print_hint")}"')
        heard.classes("gs-mono gs-full")

        async def confirm() -> None:
            with view.trying(problem):
                await view.ask(changes.confirm, change.change_id, without_spaces(heard.value or ""), view.subject)
                ui.navigate.reload()

        confirming = ui.button(view.t("key_changes.confirm"), on_click=confirm)
        confirming.props("unelevated color=primary data-test=confirm").classes("gs-start")
    else:
        text(view.t("key_changes.not_own" if is_own else "key_changes.who")).classes("gs-muted")
    if view.has_role(*CONFIRMERS, *REQUESTERS):
        refusing = ui.button(view.t("key_changes.refuse"), on_click=asked)
        refusing.props("flat color=negative data-test=refuse").classes("gs-start")
    problem.move(target_index=-1)


def _show_decided(view: View, decided: Sequence[KeyChange], names: Mapping[str, str]) -> None:
    rows = [
        {
            "id": change.change_id,
            "party": names.get(change.party_id, change.party_id),
            "current": key_html(change.current),
            "reason": change.reason,
            "asked": html.escape(_person(change.requested_by)),
            "decided": f"{html.escape(_person(change.decided_by))} {time_html(change.decided_at)}",
            "outcome": chip_html(view.t(f"key_outcome.{change.outcome}"), _KIND.get(change.outcome, "plain")),
        }
        for change in decided
    ]
    shown = ("party", "current", "reason", "asked", "decided", "outcome")
    columns = [(n, view.t(f"key_change.{n}")) for n in shown]
    table(view, columns, rows, key="id", markup=("current", "asked", "decided", "outcome"), wrap=("reason",))


def _person(subject_id: str) -> str:
    return subject_id.removeprefix("user:")

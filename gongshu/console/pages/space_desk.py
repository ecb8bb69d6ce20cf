"""One space that we operate: its life, its members, the entries to audit, what was reported, who decided what."""

import html
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import View
from gongshu.console.pages.asking import ask_first
from gongshu.console.widgets import chip_html, facts, panel, table, text
from gongshu.model.ids import PartyId
from gongshu.share.model import AgreementStatus
from gongshu.share.rights import DEALERS
from gongshu.share.spaces.roles import SpaceRole
from gongshu.share.spaces.states import EXPLAINED, Hand, Life, Standing, Step, possible

KINDS = {
    Standing.ACTIVE: "good",
    Standing.ADMITTED: "good",
    Standing.REGISTERED: "good",
    Standing.REQUESTED: "accent",
    Standing.APPLIED: "accent",
    Standing.PENDING: "accent",
    Standing.AUDITED: "accent",
    Standing.SUSPENDED: "warn",
    Standing.REFUSED: "bad",
    Standing.EXPELLED: "bad",
}
_FINAL = frozenset({Step.EXPEL, Step.DISSOLVE})
"""They end contracts and cannot be taken back: a person is asked once more."""
_KEYS = {Life.SPACE: "space_id", Life.MEMBER: "party", Life.ENTRY: "entry_id"}
REPORTED = ("provider", "consumer", "status", "agreed", "hash", "reporter", "at")
Row = dict[str, Any]
Act = Callable[[Step, str, str], Awaitable[None]]
"""Takes a step with the row of this key, for this reason."""


def standing_html(view: View, state: str, life: Life = Life.ENTRY) -> str:
    """Return the markup of a state of a space, a member or an entry."""
    if state not in set(Standing):
        return html.escape(state)
    name = "open" if life is Life.SPACE and state == Standing.ACTIVE else state
    return chip_html(view.t(f"space_state.{name}"), KINDS.get(Standing(state), "plain"))


def time_text(moment: object) -> str:
    """Return the markup of a time that came as text; nothing for none."""
    safe = html.escape(str(moment)) if moment else ""
    return f'<time datetime="{safe}">{safe}</time>' if safe else ""


def role_text(view: View, role: str) -> str:
    """Return a role in a space in words; one that we do not know as it is named."""
    return view.t(f"space_role.{role}") if role in {each.value for each in SpaceRole} else role


def with_names(sentence: str, names: dict[str, str]) -> str:
    """Return a sentence of another node with the parties that we know by name.

    >>> with_names("only urn:x:a, urn:x:ab", {"urn:x:a": "Mill"})
    'only Mill, urn:x:ab'
    """
    return re.sub(r"urn:[\w:.-]*\w", lambda found: names.get(found[0], found[0]), sentence)


def steps_for(life: Life, states: Iterable[str]) -> list[Step]:
    """Return the operator's steps that one of these states allows, in the order of the table.

    >>> [step.value for step in steps_for(Life.MEMBER, ["applied"])]
    ['admitted', 'refused']
    """
    allowed = (step for state in states for step in possible(life, Standing(state), Hand.OPERATOR))
    return list(dict.fromkeys(allowed))


async def show_space(view: View, space_id: str) -> None:
    """Show the space with what can be decided in it."""
    host, names = view.node.spaces.host, await view.party_names()
    space = await view.ask(host.space, space_id, view.subject)
    with panel(str(space["title"]), str(space["number"] or space["space_id"])):
        facts(
            [
                (view.t("space.state"), standing_html(view, space["state"], Life.SPACE)),
                (view.t("space.id"), f"<code>{html.escape(space['space_id'])}</code>"),
                (view.t("space.by"), html.escape(names.get(space["requested_by"], space["requested_by"]))),
                (view.t("space.rules"), f'<pre class="gs-sql">{html.escape(space["rules"])}</pre>'),
            ]
        )

        async def decide(step: Step, key: str, reason: str) -> None:
            act = {Step.APPROVE: host.approve, Step.REFUSE: host.refuse, Step.DISSOLVE: host.dissolve}[step]
            await view.ask(act, key, view.subject, reason)

        _buttons(view, Life.SPACE, [space], lambda: [space_id], decide)
        if space["state"] == Standing.ACTIVE and view.has_role(*DEALERS):
            _show_publishing(view, space_id)
    if space["state"] in {Standing.REQUESTED, Standing.REFUSED}:
        with panel(view.t("spaces.history")):
            known = names | {space_id: str(space["title"])}
            show_history(view, await view.ask(host.history, space_id, view.subject), known)
        return
    await _show_members(view, space_id, names)
    await _show_entries(view, space_id, names)
    with panel(view.t("spaces.contracts"), view.t("spaces.contracts_hint")):
        show_contracts(view, await view.ask(host.contracts, space_id, view.subject), names)
    titles = {each["entry_id"]: each["title"] for each in await view.ask(host.entries, space_id, view.subject)}
    with panel(view.t("spaces.history")):
        known = names | titles | {space_id: str(space["title"])}
        show_history(view, await view.ask(host.history, space_id, view.subject), known)


async def _show_members(view: View, space_id: str, names: dict[str, str]) -> None:
    host = view.node.spaces.host
    found = await view.ask(host.members, space_id, view.subject)

    async def decide(step: Step, key: str, reason: str) -> None:
        if step is Step.ADMIT:
            await view.ask(host.admit, space_id, PartyId(key), view.subject, identity_check=reason)
        else:
            await view.ask(host.decide_member, space_id, PartyId(key), step, view.subject, reason)

    rows = [
        {
            "id": each["party"],
            "party": names.get(each["party"], each["party"]),
            "roles": view.join(role_text(view, role) for role in each["roles"] if role),
            "organisation": f"{each['area']} {each['organisation']}",
            "fingerprint": f"<code title='{html.escape(each['fingerprint'])}'>"
            f"{html.escape(each['fingerprint'][:19])}…</code>",
            "check": each["identity_check"] or "–",
            "state": standing_html(view, each["state"]),
        }
        for each in found
    ]
    names_of = ("party", "roles", "organisation", "fingerprint", "check", "state")
    with panel(view.t("spaces.members"), view.t("spaces.members_hint")):
        _choose(view, Life.MEMBER, found, rows, names_of, ("fingerprint", "state"), decide)


async def _show_entries(view: View, space_id: str, names: dict[str, str]) -> None:
    host = view.node.spaces.host
    found = await view.ask(host.entries, space_id, view.subject)
    titles = {str(each["entry_id"]): str(each["title"]) for each in found}

    async def decide(step: Step, key: str, reason: str) -> None:
        if step is Step.AUDIT:
            await view.ask(host.audit, space_id, key, view.subject, reason)
        elif step is Step.REGISTER:
            await view.ask(host.register, space_id, key, view.subject)
        else:
            await view.ask(host.decide_entry, space_id, key, step, view.subject, reason)

    rows = [
        {
            "id": each["entry_id"],
            "entry": each["title"],
            "kind": view.t(f"entry_kind.{each['kind']}"),
            "party": names.get(each["party"], each["party"]),
            "about": _about_html(view, each, titles, names),
            "identifier": each["identifier"] or "–",
            "state": standing_html(view, each["state"]),
        }
        for each in found
    ]
    shown = ("entry", "kind", "about", "party", "identifier", "state")
    with panel(view.t("spaces.entries"), view.t("spaces.entries_hint")):
        _choose(view, Life.ENTRY, found, rows, shown, ("about", "state"), decide)


def _about_html(view: View, entry: Row, titles: dict[str, str], names: dict[str, str]) -> str:
    """Return what an auditor has to see of an entry: its description, and what a product is made of and sold under."""
    lines = [html.escape(str(entry.get("description", "")))]
    if made_of := [titles.get(str(each), str(each)) for each in entry.get("resources", ())]:
        said, dataset = html.escape(view.join(made_of)), html.escape(str(entry.get("dataset_id", "")))
        lines += [f"{html.escape(view.t('entry.resources'))}: {said}", f"<code>{dataset}</code>"]
        language = view.taste.language.value
        terms = [each.get(language, "") for each in entry.get("terms", {}).values() if isinstance(each, dict)]
        lines += [html.escape(with_names(str(each), names)) for each in terms]
    return tall_html("<br>".join(line for line in lines if line)) or "–"


def tall_html(markup: str) -> str:
    """Return markup of any length so that it scrolls in its cell: a partner writes up to 20,000 characters."""
    return f'<div class="gs-tall">{markup}</div>' if markup else ""


def _choose(
    view: View, life: Life, found: list[Row], rows: list[Row], names: tuple[str, ...], markup: tuple[str, ...], act: Act
) -> None:
    if not rows:
        text(view.t("table.empty")).classes("gs-muted")
        return
    columns = [(n, view.t(f"space.{n}")) for n in names]
    wrap = ("party", "entry", "check", "organisation", "identifier", "about")
    shown = table(view, columns, rows, key="id", markup=markup, wrap=wrap, selection=view.has_role(*DEALERS))
    _buttons(view, life, found, lambda: [row["id"] for row in shown.selected], act)


def _buttons(view: View, life: Life, found: list[Row], chosen: Callable[[], list[str]], act: Act) -> None:
    """Show a field for the reason and a button for each step that one of the rows allows."""
    steps = steps_for(life, [row["state"] for row in found])
    if not steps or not view.has_role(*DEALERS):
        return
    problem = ui.element("div")
    states = {str(row[_KEYS[life]]): str(row["state"]) for row in found}

    def button(step: Step) -> None:
        name = step.name.lower()
        said = view.t(f"space_step.{name}")

        def able() -> list[str]:
            return [key for key in chosen() if step in steps_for(life, [states[key]])]

        async def go(_: str = "") -> None:
            for key in able():
                await act(step, key, (reason.value or "").strip())
            ui.navigate.reload()

        async def take() -> None:
            with view.trying(problem):
                if not chosen():
                    raise FieldWrong(field=said, expected="at least one chosen row")
                if not able():
                    raise FieldWrong(field=said, expected="a chosen row in a state that allows it")
                if step in EXPLAINED and not (reason.value or "").strip():
                    raise FieldWrong(field=label, expected="a reason")
                if step in _FINAL:
                    ask_first(view, said, view.t("spaces.final"), said, go)
                else:
                    await go()

        kind = "flat color=negative" if step in _FINAL else "outline color=primary"
        ui.button(said, on_click=take).props(f"{kind} data-test={name}")

    with ui.element("div").classes("gs-row"):
        label = view.t("space.reason_check" if Step.ADMIT in steps else "space.reason")
        reason = ui.input(label).props("outlined dense").style("flex: 1; min-width: 240px")
        for step in steps:
            button(step)


def _show_publishing(view: View, space_id: str) -> None:
    """Offer the signed list of members, so that other spaces can believe it."""
    result = ui.element("div").classes("gs-stack")

    async def publish() -> None:
        with view.trying(result):
            written, fingerprint = await view.ask(view.node.trust.publish, space_id, view.subject)
            ui.download.content(written, "trust.txt", "text/plain")
            with result:
                text(view.t("spaces.published"))
                ui.html(f"<code>{html.escape(fingerprint)}</code>", sanitize=False)

    button = ui.button(view.t("spaces.publish"), on_click=publish).props("flat color=primary data-test=trust")
    button.classes("gs-start").tooltip(view.t("spaces.publish_hint"))
    result.move(target_index=-1)


def show_members(view: View, found: list[Row], names: dict[str, str]) -> None:
    """Show who belongs to a space, to be read only."""
    rows = [
        {
            "id": each["party"],
            "party": names.get(each["party"], each["party"]),
            "roles": view.join(role_text(view, role) for role in each["roles"] if role),
            "organisation": f"{each['area']} {each['organisation']}",
            "state": standing_html(view, each["state"]),
        }
        for each in found
    ]
    columns = [(n, view.t(f"space.{n}")) for n in ("party", "roles", "organisation", "state")]
    table(view, columns, rows, key="id", markup=("state",), wrap=("party", "organisation"), page_size=10)


def show_contracts(view: View, found: list[Row], names: dict[str, str]) -> None:
    """Show the facts that members reported of their contracts; terms and data are not among them."""
    if not found:
        text(view.t("spaces.no_contracts")).classes("gs-muted")
        return
    known = {each.value for each in AgreementStatus}
    rows = [
        {
            "key": number,
            "provider": names.get(each["provider"], each["provider"]),
            "consumer": names.get(each["consumer"], each["consumer"]),
            "status": view.t(f"agreement_status.{each['status']}") if each["status"] in known else each["status"],
            "agreed": time_text(each["agreed_at"]),
            "hash": f"<code>{html.escape(str(each['policy_hash'])[:12])}…</code>",
            "reporter": names.get(each["reporter"], each["reporter"]),
            "at": time_text(each["reported_at"]),
        }
        for number, each in enumerate(found)
    ]
    columns = [(n, view.t(f"reported.{n}")) for n in REPORTED]
    table(view, columns, rows, key="key", markup=("agreed", "hash", "at"), page_size=10).props("wrap-cells")


def show_history(view: View, found: list[Row], names: dict[str, str]) -> None:
    """Show who decided what, newest first."""
    rows = [
        {
            "id": number,
            "at": time_text(each["at"]),
            "what": names.get(each["name"], each["name"]),
            "state": standing_html(view, each["state"], Life(each["life"])),
            "actor": names.get(each["actor"], str(each["actor"]).removeprefix("user:")),
            "reason": view.said(each["reason"]),
        }
        for number, each in enumerate(found)
    ]
    columns = [(n, view.t(f"space.{n}")) for n in ("at", "what", "state", "actor", "reason")]
    table(view, columns, rows, key="id", markup=("at", "state"), wrap=("what", "actor", "reason"), page_size=10)

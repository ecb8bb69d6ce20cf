"""Partners: how to invite one, how to let one in by a fingerprint that was compared, and whom we know by what."""

import html
from typing import Any
from urllib.parse import quote

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import Console, View
from gongshu.console.pages.asking import ask_first
from gongshu.console.pages.partner_facts import show_groups, show_places, show_trust
from gongshu.console.widgets import chip_html, grid, notice, panel, table, text, time_html, title
from gongshu.model.ids import PartyId
from gongshu.secure.parties import Party
from gongshu.share.rights import DEALERS

LINE_SCHEMES = frozenset({"gongshu", "mtls", "mtls+gongshu"})
"""Schemes of which an invitation line holds all that is needed."""


def create_pages(console: Console) -> None:
    """Register the page of partners."""

    @console.page("/sharing/partners", "partners")
    async def partners(view: View) -> None:
        title(view, "nav.partners", "partners.question")
        view.node.share.require_onlooker(view.subject)
        await _say_admitted(view)
        with panel(view.t("partners.known"), view.t("partners.known_hint")):
            await _show_known(view)
            ui.link(view.t("key_changes.open"), "/sharing/key-changes")
        if view.has_role(*DEALERS):
            with grid(even=True):
                with panel(view.t("partners.invite"), view.t("partners.invite_hint"), span="span-6 narrow-12"):
                    await _show_own(view)
                with panel(view.t("partners.admit"), view.t("partners.admit_hint"), span="span-6 narrow-12"):
                    _show_admission(view)
        with grid(even=True):
            with panel(view.t("partners.groups"), view.t("partners.groups_hint"), span="span-6 narrow-12"):
                await show_groups(view)
            with panel(view.t("partners.places"), view.t("partners.places_hint"), span="span-6 narrow-12"):
                await show_places(view)
        if view.has_role(*DEALERS):
            with panel(view.t("partners.trust"), view.t("partners.trust_hint")):
                await show_trust(view)


def fingerprint_html(fingerprint: str) -> str:
    """Return a fingerprint in groups of four, as people compare it.

    >>> fingerprint_html("sha256:0011aabb")
    '<code class="gs-print">sha256: 0011 aabb</code>'
    """
    kind, _, digits = fingerprint.partition(":")
    groups = " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))
    return f'<code class="gs-print">{html.escape(kind)}: {html.escape(groups)}</code>'


async def _say_admitted(view: View) -> None:
    """Say what comes next where a party was let in just now."""
    admitted = view.request.query_params.get("admitted", "")
    for party in await view.ask(view.node.parties.all) if admitted else []:
        if party.party_id == admitted:
            heading = view.t("partners.admitted", name=party.title or party.party_id)
            notice(heading, view.t("partners.admitted_next"), kind="good")


async def _show_known(view: View) -> None:
    parties = await view.ask(view.node.parties.all)
    if not parties:
        text(view.t("partners.none")).classes("gs-muted")
        return
    groups = await view.ask(view.node.share.desk.groups, view.subject)
    inside = {p.party_id: [g.title for g in groups if p.party_id in g.members] for p in parties}
    places = {entry.party_id: entry.place for entry in await view.ask(view.node.share.desk.places, view.subject)}
    changed = {each.party_id for each in await view.ask(view.node.share.key_changes.stranded, view.subject)}
    rows = [_row(view, party, inside[party.party_id], places.get(party.party_id, "")) for party in parties]
    for row in rows:
        if row["party"] in changed:
            row["identity"] += f"<br>{chip_html(view.t('party.key_changed'), 'warn')}"
    columns = [(n, view.t(f"party.{n}")) for n in ("title", "party", "address", "roles", "identity", "groups", "place")]
    chooses = view.has_role(*DEALERS)
    markup = ("roles", "identity", "place")
    shown = table(view, columns, rows, key="party", markup=markup, wide_only=("address",), selection=chooses)
    shown.props("wrap-cells")
    if not chooses:
        return
    problem = ui.element("div")

    def forget() -> None:
        with view.trying(problem):
            chosen = [PartyId(row["party"]) for row in shown.selected]
            if not chosen:
                raise FieldWrong(field=view.t("partners.known"), expected="at least one chosen party")

            async def go(reason: str) -> None:  # noqa: ARG001  # forgetting keeps no reason
                for party in chosen:
                    await view.ask(view.node.introductions.forget, party, view.subject)
                ui.navigate.reload()

            words = view.t("partners.forget_text", names=view.join(chosen))
            ask_first(view, view.t("partners.forget"), words, view.t("partners.forget"), go)

    ui.button(view.t("partners.forget"), on_click=forget).props("outline color=primary").classes("gs-start")


def _row(view: View, party: Party, groups: list[str], place: str) -> dict[str, Any]:
    proof, whole = chip_html(party.identity, "plain"), html.escape(party.fingerprint)
    if whole:
        proof += f" <code title='{whole}'>{whole[:15]}…</code>"
    if party.certificate_pin:
        proof += f" {chip_html(view.t('party.certificate'), 'good')}"
    if party.space:
        proof += f"<br>{html.escape(view.t('party.by_list', space=party.space))} {time_html(party.valid_until)}"
    return {
        "party": party.party_id,
        "title": party.title,
        "address": party.address,
        "roles": " ".join(chip_html(_role(view, role), "plain") for role in party.roles),
        "identity": proof,
        "groups": view.join(groups),
        "place": f'<span class="gs-whole">{html.escape(place)}</span>',
    }


def _role(view: View, role: str) -> str:
    known = {"partner", "province", "member", "operator", "issuer"}
    return view.t(f"party_role.{role}") if role in known else role


async def _show_own(view: View) -> None:
    line, fingerprint = await view.ask(view.node.introductions.own, view.subject)
    text(view.t("partners.step_line")).classes("gs-muted")
    ui.textarea(view.t("partners.our_line"), value=line).props("outlined dense readonly rows=4").classes("gs-mono")

    def copy() -> None:
        ui.clipboard.write(line)
        ui.notify(view.t("partners.copied"))

    button = ui.button(view.t("partners.copy"), on_click=copy)
    button.props("outline color=primary icon=content_copy").classes("gs-start")
    text(view.t("partners.step_print")).classes("gs-muted")
    ui.html(fingerprint_html(fingerprint), sanitize=False)


def _show_admission(view: View) -> None:
    schemes = list(view.node.identities.names)
    line = ui.textarea(view.t("partners.their_line")).props("outlined dense rows=3 data-test=line").classes("gs-mono")
    heard = ui.input(view.t("partners.their_print"), placeholder="sha256: …")
    heard.props("outlined dense data-test=fingerprint").classes("gs-mono")
    heard.props(f'hint="{view.t("partners.print_hint")}"')
    with ui.expansion(view.t("partners.more")).classes("gs-full"), ui.element("div").classes("gs-form"):
        scheme = ui.select(schemes, label=view.t("party.identity"), value="gongshu").props("outlined dense")
        certificate = ui.input(view.t("party.certificate_label")).props("outlined dense")
        replace = ui.checkbox(view.t("partners.replace")).props("dense")
        party = ui.input(view.t("party.party"), placeholder="did:web:mill.example").props("outlined dense")
        address = ui.input(view.t("party.address"), placeholder="https://").props("outlined dense")
        name = ui.input(view.t("party.title")).props("outlined dense")
        issuer = ui.checkbox(view.t("party.issuer")).props("dense")
        text(view.t("partners.did_hint")).classes("gs-muted wide")
    result = ui.element("div")

    def described() -> Party:
        """What is typed under 'more': a party that proves itself without a key of ours."""
        typed = (party.value or "").strip()
        roles = ("issuer",) if issuer.value else ("partner",)
        shown = (certificate.value or "").strip()
        return Party(
            PartyId(typed),
            (name.value or "").strip() or typed,
            "",
            (address.value or "").strip().rstrip("/"),
            roles,
            scheme.value,
            shown,
        )

    async def admit() -> None:
        with view.trying(result):
            doors, is_again = view.node.introductions, bool(replace.value)
            if (party.value or "").strip():
                made = await view.ask(doors.register, described(), view.subject, replace=is_again)
            else:
                made = await view.ask(
                    doors.accept,
                    line.value or "",
                    heard.value or "",
                    view.subject,
                    replace=is_again,
                    identity=scheme.value,
                    certificate=(certificate.value or "").strip(),
                )
            ui.navigate.to(f"/sharing/partners?admitted={quote(made.party_id, safe='')}")

    ui.button(view.t("partners.admit_go"), on_click=admit).props("unelevated color=primary").classes("gs-start")

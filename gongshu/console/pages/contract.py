"""One contract: its terms and who keeps them, what is left, its document with both signatures, and its evidence."""

import html
from collections.abc import Mapping
from typing import Any

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.pages.agreements import contract_path, left_text, status_html
from gongshu.console.pages.attachments import show_files
from gongshu.console.pages.contract_acts import show_acts
from gongshu.console.pages.contract_evidence import show_meter, show_proofs
from gongshu.console.pages.notices import show_notices
from gongshu.console.pages.records import show_records
from gongshu.console.pages.terms_words import show_clauses
from gongshu.console.widgets import chip, chip_html, facts, grid, notice, panel, table, text, time_html
from gongshu.share.contract_book import SignedContract
from gongshu.share.contract_forms import OPEN, five_elements
from gongshu.share.dsp.states import Side
from gongshu.share.errors import AgreementUnknown
from gongshu.share.model import Agreement, AgreementStatus

TRANSFERS_MAX = 300
ELEMENTS = {"次数": "uses", "期限": "term", "用途": "purposes", "域内": "places", "禁止再分发": "no_onward"}
"""The five elements of 数字合约, and the names of their texts."""


def create_pages(console: Console) -> None:
    """Register the page of one contract."""

    @console.page("/sharing/contract/{agreement_id:path}", "agreements")
    async def contract(view: View) -> None:
        share, agreement_id = view.node.share, view.request.path_params["agreement_id"]
        share.require_onlooker(view.subject)
        agreement = await view.ask(share.agreement, agreement_id)
        names = await view.party_names()
        with ui.element("div").classes("gs-title"):
            text(agreement.dataset_id, "h1")
            text(view.t(f"contract.with_{agreement.side.value}", party=_name(names, agreement.counterparty)), "p")
            ui.html(status_html(view, agreement), sanitize=False)
        if agreement.reason and agreement.status is AgreementStatus.RETIRED:
            notice(view.t("contract.why"), view.said(agreement.reason), kind="warn")
        if agreement.why_unbound and agreement.status is not AgreementStatus.RETIRED:
            notice(view.t("key_changes.stands"), view.said(agreement.why_unbound), kind="warn")
            ui.link(view.t("key_changes.open"), "/sharing/key-changes")
        signed = await _signed(view, agreement_id)
        with grid():
            with panel(view.t("contract.terms"), view.t("contract.terms_hint"), span="span-7 narrow-12"):
                show_clauses(view, agreement.terms, names, copies=True)
            with ui.element("div").classes("span-5 narrow-12 gs-stack").style("gap: 16px"):
                with panel(view.t("contract.left")):
                    _show_left(view, agreement)
                with panel(view.t("contract.acts")):
                    await show_acts(view, agreement)
        await show_meter(view, agreement)
        with panel(view.t("contract.document"), view.t("contract.document_hint")):
            _show_elements(view, agreement)
            await _show_document(view, agreement, signed, names)
        await show_proofs(view, agreement)
        if agreement.terms.notify:
            with panel(view.t("notices.title"), view.t("notices.hint")):
                await show_notices(view, names, agreement_id=agreement_id)
        transfers = [r for r in await view.ask(share.transfers, limit=TRANSFERS_MAX) if r.agreement_id == agreement_id]
        if transfers:
            with panel(view.t("nav.transfers")):
                show_records(view, transfers, names)


async def _signed(view: View, agreement_id: str) -> SignedContract | None:
    """Return the document of both, None where the other side's connector makes none."""
    try:
        return await view.ask(view.node.share.desk.contract, agreement_id, view.subject)
    except AgreementUnknown:
        return None


def _name(names: Mapping[str, str], party: str) -> str:
    return names.get(party, party)


def _show_left(view: View, agreement: Agreement) -> None:
    text(left_text(view, agreement)).classes("gs-left")
    is_over = agreement.status is AgreementStatus.RETIRED
    if not is_over and agreement.uses_left is not None and agreement.terms.uses_max:
        share_of = agreement.uses_left / agreement.terms.uses_max
        ui.html(f'<div class="gs-bar"><i style="width:{share_of:.0%}"></i></div>', sanitize=False).classes("gs-full")
    rows = [
        (view.t("agreement.side"), html.escape(view.t(f"side.{agreement.side.value}"))),
        (view.t("agreement.agreed"), time_html(agreement.agreed_at)),
    ]
    if agreement.end is not None:
        rows.append((view.t("contract.ends"), time_html(agreement.end)))
    rows.append((view.t("process.id"), f"<code>{html.escape(agreement.agreement_id)}</code>"))
    facts(rows)


def _show_elements(view: View, agreement: Agreement) -> None:
    """The five elements side by side; what was not agreed says so."""
    found = five_elements(agreement.terms, agreement.agreed_at)
    cells = []
    for chinese, name in ELEMENTS.items():
        value = _element(view, agreement, name, found[chinese])
        kind = "open" if found[chinese] == OPEN else ""
        cells.append(f'<div class="{kind}"><span>{html.escape(view.t(f"element.{name}"))}</span><b>{value}</b></div>')
    ui.html(f'<div class="gs-elements">{"".join(cells)}</div>', sanitize=False).classes("gs-full")


def _element(view: View, agreement: Agreement, name: str, value: Any) -> str:
    if value == OPEN:
        return html.escape(view.t("element.open"))
    if name == "term":
        begins = time_html(agreement.terms.not_before).replace("<time ", '<time class="short" ')
        ends = time_html(agreement.end).replace("<time ", '<time class="short" ')
        return f"{begins} → {ends}" if begins else view.t("element.until", end=ends)
    if name == "no_onward":
        return html.escape(view.t("element.forbidden"))
    return html.escape(view.join(value) if isinstance(value, list) else str(value))


async def _show_document(
    view: View, agreement: Agreement, signed: SignedContract | None, names: Mapping[str, str]
) -> None:
    if signed is None:
        chip(view.t("contract.one_sided"), "warn")
        text(view.t("contract.one_sided_text")).classes("gs-muted")
        facts([(view.t("contract.hash"), f"<code>{agreement.policy_hash}</code>")])
        return
    problems = view.said("; ".join(signed.problems))
    with ui.element("div").classes("gs-row"):
        chip(view.t("contract.two_sided" if signed.is_two_sided else "contract.one_sided"),
             "good" if signed.is_two_sided else "warn")  # fmt: skip
        chip(view.t("contract.verified" if not problems else "contract.broken"), "bad" if problems else "good")
    if problems:
        notice(view.t("contract.broken"), problems)
    contract = signed.contract
    statements = {statement["party"]: statement for statement in signed.signatures}
    rows = []
    for side, party in ((Side.PROVIDER, contract.provider), (Side.CONSUMER, contract.consumer)):
        statement = statements.get(party.party_id)
        rows.append(
            {
                "side": view.t(f"side.{side.value}"),
                "party": _name(names, party.party_id),
                "key": f"<code title='{html.escape(party.key)}'>{html.escape(party.key[:23])}…</code>",
                "at": f'<time datetime="{html.escape(statement["signed_at"])}"></time>' if statement else "",
                "verdict": _verdict(view, statement is not None, is_sound=not problems),
            }
        )
    columns = [(n, view.t(f"signature.{n}")) for n in ("side", "party", "key", "at", "verdict")]
    table(view, columns, rows, key="side", markup=("key", "at", "verdict"), wrap=("party",))
    none = html.escape(view.t("contract.no_attachments"))
    facts(
        [
            (view.t("contract.hash"), f"<code>{signed.document_hash}</code>"),
            (view.t("contract.environment"), html.escape(_environment(view, contract.environment))),
            (view.t("contract.attachments"), str(len(contract.attachments)) if contract.attachments else none),
        ]
    )
    show_files(view, contract.attachments, agreement.agreement_id)
    await _show_chain(view, agreement)


def _verdict(view: View, is_there: bool, *, is_sound: bool) -> str:  # two facts, both named where called
    if not is_there:
        return chip_html(view.t("signature.missing"), "warn")
    return chip_html(view.t("signature.holds" if is_sound else "signature.doubtful"), "good" if is_sound else "bad")


def _environment(view: View, environment: str) -> str:
    known = {"both_nodes", "provider_only"}
    return view.t(f"environment.{environment}") if environment in known else environment


async def _show_chain(view: View, agreement: Agreement) -> None:
    versions, problems = await view.ask(view.node.share.desk.chain, agreement.agreement_id, view.subject)
    if len(versions) < 2 and not problems:
        text(view.t("contract.first_version")).classes("gs-muted")
        return
    for problem in problems:
        notice(view.t("contract.chain_broken"), view.said(problem))
    rows = [
        {
            "version": str(each.contract.version),
            "id": each.contract.agreement_id,
            "hash": f"<code>{each.document_hash[:16]}…</code>",
            "at": time_html(each.contract.agreed_at),
        }
        for each in versions
    ]
    columns = [(n, view.t(f"version.{n}")) for n in ("version", "id", "hash", "at")]
    table(view, columns, rows, key="id", markup=("hash", "at"), open_at=lambda row: contract_path(row["id"]))

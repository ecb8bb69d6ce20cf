"""What proves a contract: both sides' counts and disputes about them, what is kept here, receipts, deletion."""

import html
from collections.abc import Mapping
from functools import partial

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.widgets import (
    chip_html,
    facts,
    grid,
    notice,
    number_text,
    panel,
    size_words,
    table,
    text,
    time_html,
)
from gongshu.model.access import Role
from gongshu.share.dsp.states import Side
from gongshu.share.evidence.disputes import MAY_CHOOSE, OPEN, Standing
from gongshu.share.evidence.model import EntryKind, Figures, Metered
from gongshu.share.keeping.chain import NOBODY, NOTHING_READ, ROWS_UNKNOWN
from gongshu.share.keeping.model import Kept
from gongshu.share.model import Agreement
from gongshu.share.rights import DEALERS
from gongshu.share.terms import Operation

STANDING_KIND = {Standing.AGREED: "good", Standing.SETTLED: "good", Standing.ENDED: "plain"}
LINES_MAX, RECEIPTS_MAX, ENTRIES_MAX = 200, 200, 1000


async def show_meter(view: View, agreement: Agreement) -> None:
    """Show deliveries as both sides count them; a dispute first, with its two figures and the ways out."""
    lines = await view.ask(
        view.node.evidence.metered, view.subject, agreement_id=agreement.agreement_id, limit=LINES_MAX
    )
    disputes = [line for line in lines if line.standing in OPEN]
    why = await _reasons(view, agreement) if disputes else {}
    for line in disputes:
        _show_dispute(view, line, {whose: why.get((whose, line.delivery), "") for whose in ("out", "in")})
    with panel(view.t("metered.title"), view.t("metered.hint")):
        if not lines:
            text(view.t("metered.none")).classes("gs-muted")
            return
        rows = [_line(view, line) for line in lines]
        columns = [(n, view.t(f"metered.{n}")) for n in ("at", "ours", "theirs", "standing")]
        table(
            view,
            columns,
            rows,
            key="delivery",
            markup=("at", "ours", "theirs", "standing"),
            wrap=("standing",),
            page_size=10,
        )


def figures_text(view: View, figures: Figures | None) -> str:
    """Return what one side counted, in words; a dash where it has not."""
    if figures is None:
        return "–"
    size = size_words(figures.size_bytes)
    return view.t("metered.figures", rows=number_text(figures.rows), size=size)


async def _reasons(view: View, agreement: Agreement) -> dict[tuple[str, str], str]:
    """Return why each side named its figures last, by whose chain says it and by delivery."""
    entries = await view.ask(view.node.evidence.entries, agreement.agreement_id, view.subject, limit=ENTRIES_MAX)
    said = [each for each in reversed(entries) if each.kind is EntryKind.SETTLE]
    return {(each.direction, str(each.body["delivery"])): str(each.body["reason"]) for each in said}


def _line(view: View, line: Metered) -> dict[str, str]:
    standing = "one_sided" if line.is_one_sided else line.standing.value
    kind = "bad" if line.standing in OPEN else STANDING_KIND.get(line.standing, "accent")
    why = ""
    if line.standing is Standing.SETTLED:
        whose = view.t("dispute.settled_as", side=view.t(f"side.{line.our_choice}"), reason=line.reason)
        why = f' <span class="gs-muted">{html.escape(whose)}</span>'
    return {
        "delivery": line.delivery,
        "at": time_html(line.since),
        "ours": html.escape(figures_text(view, line.ours)),
        "theirs": html.escape(figures_text(view, line.theirs)),
        "standing": chip_html(view.t(f"standing_of.{standing}"), kind) + why,
    }


def _show_dispute(view: View, line: Metered, why: Mapping[str, str]) -> None:
    other = Side.CONSUMER if line.side is Side.PROVIDER else Side.PROVIDER
    choices = {"ours": (line.side, line.ours), "theirs": (other, line.theirs)}
    with panel(view.t("dispute.title"), view.t("dispute.hint")) as place:
        place.classes("gs-dispute")
        with grid(even=True):
            for whose, (side, figures) in choices.items():
                with ui.element("div").classes("span-6 gs-stack"):
                    head = f"{view.t(f'metered.{whose}')} · {view.t(f'side.{side.value}')}"
                    text(head).classes("gs-muted")
                    text(figures_text(view, figures)).classes("gs-left")
                    if figures is not None:
                        ui.html(f"<code>sha256 {html.escape(figures.sha256[:24])}…</code>", sanitize=False)
        said = [
            (view.t("dispute.delivery"), f"<code>{html.escape(line.delivery)}</code>"),
            (view.t("dispute.standing"), html.escape(view.t(f"standing_of.{line.standing.value}"))),
        ]
        for whose, choice, reason in (("our", line.our_choice, why["out"]), ("their", line.their_choice, why["in"])):
            if choice:
                said.append((view.t(f"dispute.{whose}_choice"), html.escape(view.t(f"side.{choice}"))))
                said.append((view.t(f"dispute.{whose}_reason"), html.escape(reason)))
        said.append((view.t("dispute.lapses"), time_html(line.due_at)))
        facts(said)
        text(view.t("dispute.ways")).classes("gs-muted")
        if view.has_role(*DEALERS) and line.standing in MAY_CHOOSE:
            _settle(view, line, choices)


def _settle(view: View, line: Metered, choices: dict[str, tuple[Side, Figures | None]]) -> None:
    reason = ui.input(view.t("dispute.reason")).props("outlined dense data-test=settle-reason")
    problem = ui.element("div")

    async def choose(side: Side) -> None:
        with view.trying(problem):
            act, why = view.node.evidence.settle, (reason.value or "").strip()
            await view.ask(act, line.agreement_id, line.delivery, side, view.subject, reason=why)
            ui.navigate.reload()

    with ui.element("div").classes("gs-row"):
        for whose, (side, _) in choices.items():
            ui.button(view.t(f"dispute.take_{whose}"), on_click=partial(choose, side)).props(
                f"outline color=primary data-test=take-{whose}"
            )


async def show_proofs(view: View, agreement: Agreement) -> None:
    """Show what is kept here and until when, what was read of it, and the proof that it was deleted."""
    keeping = view.node.keeping
    with grid(even=True):
        with panel(view.t("kept.title"), view.t("kept.hint"), span="span-12"):
            if agreement.side is Side.CONSUMER:
                mine = [k for k in await view.ask(keeping.kept) if _is_under(k, agreement)]
                for each in mine:
                    _show_kept(view, each)
                if not mine:
                    text(view.t("kept.none")).classes("gs-muted")
            else:
                text(view.t("kept.there")).classes("gs-muted")
            await _show_deletions(view, agreement)
        with panel(view.t("receipts.title"), view.t("receipts.hint"), span="span-12"):
            await _show_receipts(view, agreement)


def _is_under(kept: Kept, agreement: Agreement) -> bool:
    return any(key.agreement_id == agreement.agreement_id for key in kept.version.keys)


def _show_kept(view: View, kept: Kept) -> None:
    version, name = kept.version, html.escape(kept.version.dataset_id)
    size = size_words(sum(file.size_bytes for file in version.files))
    rows_kept = number_text(sum(file.rows for file in version.files))
    rows = [
        (view.t("kept.dataset"), f'<a href="/catalogue/{name}?tab=look">{name}</a>'),
        (view.t("kept.rows"), html.escape(view.t("metered.figures", rows=rows_kept, size=size))),
        (view.t("kept.received"), time_html(version.made_at)),
        (view.t("kept.until"), time_html(kept.ends_at) or html.escape(view.t("kept.no_end"))),
        (view.t("kept.key"), " ".join(f"<code>{html.escape(key.fingerprint[:16])}…</code>" for key in version.keys)),
    ]
    if kept.obstacle:
        rows.append((view.t("kept.obstacle"), html.escape(view.said(kept.obstacle))))
    facts(rows)


async def _show_deletions(view: View, agreement: Agreement) -> None:
    found = [d for d in await view.ask(view.node.keeping.deletions) if d.agreement_id == agreement.agreement_id]
    for deletion in found:
        whose = view.t("deletion.ours" if deletion.direction == "out" else "deletion.theirs")
        known = {"held", "ending", "shredded", "proved", "told", "due", "overdue"}
        state = view.t(f"deletion_state.{deletion.state}") if deletion.state in known else deletion.state
        kind = "good" if deletion.state in {"proved", "told"} else "bad" if deletion.state == "overdue" else "warn"
        rows = [(whose, chip_html(state, kind)), (view.t("deletion.since"), time_html(deletion.since))]
        if deletion.proved_at is not None:
            rows.append((view.t("deletion.proved"), time_html(deletion.proved_at)))
            rows.append((view.t("deletion.files"), str(deletion.files)))
        if deletion.fingerprint:
            rows.append((view.t("deletion.key"), f"<code>{html.escape(deletion.fingerprint[:16])}…</code>"))
        facts(rows)


def _role(view: View, role: str) -> str:
    return "" if role == NOBODY else view.t(f"role.{role}") if role in set(Role) else role


def operation_text(view: View, operation: str) -> str:
    """Return what a receipt says was done, in words; a code that is not known is shown as it is."""
    return view.t(f"operation.{operation}") if operation in {*Operation, NOTHING_READ} else operation


def _rows(view: View, count: int) -> str:
    return view.t("receipts.rows_unknown") if count == ROWS_UNKNOWN else number_text(count)


async def _show_receipts(view: View, agreement: Agreement) -> None:
    keeping = view.node.keeping
    found = await view.ask(keeping.receipts, agreement.agreement_id, limit=RECEIPTS_MAX)
    for fault in await view.ask(keeping.faults, agreement.agreement_id):
        notice(view.t("receipts.fault"), f"{fault.kind} {fault.sequence}: {view.said(fault.seen)}", kind="warn")
    if not found:
        text(view.t("receipts.none")).classes("gs-muted")
        return
    told_here = agreement.side is Side.PROVIDER
    rows = [
        {
            "sequence": receipt.sequence,
            "at": time_html(receipt.at),
            "role": view.join(_role(view, role) for role in str(receipt.body.get("role", "")).split("+")),
            "operation": operation_text(view, str(receipt.body.get("operation", ""))),
            "purpose": str(receipt.body.get("purpose", "")),
            "rows": _rows(view, int(receipt.body.get("rows", 0))),
            "state": chip_html(view.t("receipts.told"), "good")
            if told_here or receipt.acknowledged_at
            else chip_html(view.t("receipts.waiting"), "warn"),
        }
        for receipt in found
    ]
    names = ("sequence", "at", "role", "operation", "purpose", "rows", "state")
    columns = [(n, view.t(f"receipts.{n}")) for n in names]
    table(
        view,
        columns,
        rows,
        key="sequence",
        markup=("at", "state"),
        numbers=("rows",),
        wrap=("role",),
        wide_only=("role",),
        page_size=8,
    )

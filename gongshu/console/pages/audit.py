"""The audit log: every record, its export with proofs, and whether it verifies."""

import html
import json
import sys
import tempfile
from pathlib import Path
from subprocess import run
from typing import Any

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.widgets import (
    chip_html,
    facts,
    fill,
    grid,
    notice,
    number_text,
    panel,
    table,
    text,
    time_html,
    title,
)
from gongshu.model.access import Role
from gongshu.secure.audit import AuditEntry

READERS = (Role.AUDIT_ADMIN, Role.SECURITY_ADMIN)
PAGE = 200
VERIFY_TIMEOUT_S = 120
OUTCOME_KIND = {"ok": "good", "denied": "bad", "failed": "warn"}


def create_pages(console: Console) -> None:
    """Register the page of the audit log."""

    @console.page("/audit", "audit")
    async def audit(view: View) -> None:
        title(view, "nav.audit", "audit.question")
        view.require_role(*READERS, what="read the audit log")
        with grid(even=True):
            with panel(view.t("audit.state"), span="span-5 narrow-12"):
                size = await view.ask(view.node.audit.size)
                notes = await view.ask(view.node.audit.checkpoints, limit=1)
                rows = [
                    (view.t("audit.records"), number_text(size)),
                    (view.t("audit.key"), f"<code>{html.escape(view.node.keys.fingerprint())}</code>"),
                ]
                facts(rows)
                if notes:
                    with ui.expansion(view.t("audit.checkpoint")):
                        ui.html(f'<pre class="gs-sql">{html.escape(notes[0])}</pre>', sanitize=False)
            with panel(view.t("audit.prove"), view.t("audit.prove_hint"), span="span-7 narrow-12"):
                _show_proof(view)
        with panel(view.t("audit.entries")):
            await _show_entries(view)


def _show_proof(view: View) -> None:
    result = ui.element("div")

    async def export() -> None:
        with view.trying(result):
            view.require_role(*READERS, what="export the audit log")
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "audit.jsonl"
                await view.ask(view.node.audit.export, file)
                ui.download.content(file.read_bytes(), "audit.jsonl")

    async def verify() -> None:
        with view.trying(result):
            view.require_role(*READERS, what="verify the audit log")
            ok, said = await view.ask(_verify_now, view)
            with result:
                notice(view.t("audit.verified" if ok else "audit.not_verified"), said, kind="good" if ok else "bad")

    with ui.element("div").classes("gs-row"):
        ui.button(view.t("audit.verify"), on_click=verify).props("unelevated color=primary")
        ui.button(view.t("audit.export"), on_click=export).props("outline color=primary")
    command = f"gongshu audit verify audit.jsonl --fingerprint {view.node.keys.fingerprint()}"
    ui.html(f'<pre class="gs-sql">{html.escape(command)}</pre>', sanitize=False)


def _verify_now(view: View) -> tuple[bool, str]:
    """Export and verify with the program that shares no code with the writer, as a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "audit.jsonl"
        view.node.audit.export(file)
        command = [sys.executable, "-m", "gongshu.audit_verifier", str(file)]
        command += ["--fingerprint", view.node.keys.fingerprint()]
        done = run(command, capture_output=True, text=True, timeout=VERIFY_TIMEOUT_S, check=False)
    return done.returncode == 0, (done.stdout + done.stderr).strip().replace(str(file), "audit.jsonl")


async def _show_entries(view: View) -> None:
    entries = await view.ask(view.node.audit.entries, limit=PAGE)
    with ui.element("div").classes("gs-row"):
        action = ui.input(view.t("audit.action")).props("outlined dense clearable debounce=400 data-test=action")
        actor = ui.input(view.t("audit.actor")).props("outlined dense clearable debounce=400")
        object_ = ui.input(view.t("audit.object")).props("outlined dense clearable debounce=400")
        older = ui.button(view.t("audit.older")).props("flat color=primary")
    names = ("index", "at", "actor", "action", "object", "outcome", "details")
    columns = [(name, view.t(f"audit.{name}")) for name in names]
    shown = table(
        view,
        columns,
        [],
        key="index",
        markup=("at", "outcome", "details"),
        wrap=("actor", "object", "details"),
        page_size=PAGE,
    )
    shown.props("wrap-cells")

    async def load(before: int | None = None) -> None:
        nonlocal entries
        entries = await view.ask(
            view.node.audit.entries,
            action=(action.value or "").strip() or None,
            actor=(actor.value or "").strip() or None,
            object=(object_.value or "").strip() or None,
            limit=PAGE,
            before=before,
        )
        fill(shown, [entry_row(view, entry) for entry in entries])
        older.set_visibility(len(entries) == PAGE)

    async def turn() -> None:
        await load(entries[-1].index if entries else None)

    for field in (action, actor, object_):
        field.on_value_change(lambda: load())
    older.on_click(turn)
    await load()
    text(view.t("audit.wildcard")).classes("gs-muted gs-small")


def entry_row(view: View, entry: AuditEntry) -> dict[str, Any]:
    """Return one record as a row."""
    details = json.dumps(dict(entry.details), ensure_ascii=False)
    short = html.escape(details if len(details) <= 120 else details[:119] + "…")
    opened = f'<details><summary>{short}</summary><pre class="gs-sql">{html.escape(details)}</pre></details>'
    return {
        "index": entry.index,
        "at": time_html(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "object": entry.object,
        "outcome": chip_html(view.t(f"audit_outcome.{entry.outcome}"), OUTCOME_KIND[entry.outcome])
        if entry.outcome in OUTCOME_KIND
        else chip_html(entry.outcome, "plain"),
        "details": opened if len(details) > 2 else "",
    }

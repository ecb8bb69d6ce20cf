"""Decisions of the gate: who asked for what, what was answered and why, and who could grant what was refused."""

import html
import re
from typing import Any

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.widgets import chip_html, empty, fill, panel, table, text, time_html, title
from gongshu.model.access import Role
from gongshu.secure.audit import AuditEntry

SEE_ALL = (Role.SECURITY_ADMIN, Role.AUDIT_ADMIN, Role.STEWARD)
SHOWN_MAX = 400
MARKUP = ("at", "outcome", "because", "grant")
ACTIONS = ("read.", "aggregate.", "export.", "share.")
_ASK = re.compile(r'@id\("([^"]+)"\)\s*@ask\("([^"]+)"\)')


def create_pages(console: Console) -> None:
    """Register the page of decisions."""

    @console.page("/decisions", "decisions")
    async def decisions(view: View) -> None:
        title(view, "nav.decisions", "decisions.question")
        actor = None if view.has_role(*SEE_ALL) else str(view.subject.subject_id)
        if actor is not None:
            text(view.t("decisions.own_only")).classes("gs-muted")
        entries = await view.ask(read_decisions, view, actor)
        if not entries:
            empty(view, "decisions.none", command='gongshu sql "SELECT count(*) FROM readings"')
            return
        asks = await view.ask(lambda: read_asks(view.node.policies.active()))
        wanted = view.request.query_params.get("outcome", "")
        with panel(""):
            with ui.element("div").classes("gs-row"):
                words = ui.input(view.t("decisions.search")).props(
                    "outlined dense clearable debounce=250 data-test=search"
                )
                words.style("flex: 1; min-width: 220px")
                outcome = ui.select(
                    {key: view.t(f"outcome.{key}") for key in ("any", "ok", "denied")},
                    label=view.t("decisions.outcome"),
                    value=wanted if wanted in {"ok", "denied"} else "any",
                )
                outcome.props("outlined dense").style("min-width: 150px")
            names = ("at", "outcome", "actor", "action", "object", "purpose", "because", "grant", "record")
            columns = [(name, view.t(f"decision.{name}")) for name in names]
            shown = table(
                view,
                columns,
                [],
                key="record",
                markup=MARKUP,
                wrap=("because",),
                wide_only=("action", "record"),
                page_size=20,
            )
            shown.props("wrap-cells")

        def refill() -> None:
            needle = (words.value or "").lower().split()
            rows = []
            for entry in entries:
                haystack = f"{entry.actor} {entry.object} {entry.details.get('purpose', '')}".lower()
                is_wanted = outcome.value in ("any", entry.outcome)
                if is_wanted and all(word in haystack for word in needle):
                    rows.append(decision_row(view, entry, asks))
            fill(shown, rows)

        words.on_value_change(refill)
        outcome.on_value_change(refill)
        refill()


def read_decisions(view: View, actor: str | None) -> list[AuditEntry]:
    """Return the newest decisions of the gate, newest first; the records of what was read afterwards are left out."""
    found: list[AuditEntry] = []
    for action in ACTIONS:
        found += view.node.audit.entries(action=f"{action}*", actor=actor, limit=SHOWN_MAX)
    decided = [entry for entry in found if entry.action.endswith((".permitted", ".denied"))]
    return sorted(decided, key=lambda entry: -entry.index)[:SHOWN_MAX]


def read_asks(policies: str) -> dict[str, str]:
    """Return whom each policy tells a refused person to ask, by the policy's id.

    >>> read_asks('@id("a")\\n@ask("A steward.")\\nforbid (principal, action, resource);')
    {'a': 'A steward.'}
    """
    return dict(_ASK.findall(policies))


def decision_row(view: View, entry: AuditEntry, asks: dict[str, str]) -> dict[str, Any]:
    """Return one decision as a row; a refusal names who could grant it."""
    is_denied = entry.outcome == "denied"
    because = [str(reason) for reason in entry.details.get("because", [])]
    grant = next((asks[reason] for reason in because if reason in asks), view.t("decisions.ask_administrator"))
    demands = [f"{name}: {entry.details[name]}" for name in ("masks", "row_filters") if entry.details.get(name)]
    sql = entry.details.get("sql")
    opened = (
        f"<details><summary>SQL</summary><pre class='gs-sql'>{html.escape(str(sql))}</pre></details>" if sql else ""
    )
    return {
        "record": entry.index,
        "at": time_html(entry.at),
        "outcome": chip_html(view.t(f"outcome.{entry.outcome}"), "bad" if is_denied else "good")
        if entry.outcome in {"ok", "denied"}
        else chip_html(entry.outcome, "warn"),
        "actor": entry.actor,
        "action": entry.action.partition(".")[0],
        "object": entry.object,
        "purpose": str(entry.details.get("purpose") or ""),
        "because": html.escape(", ".join([*because, *demands])) + opened,
        "grant": html.escape(grant) if is_denied else "",
    }

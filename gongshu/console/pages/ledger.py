"""The ledger: whose data are here, whose of ours are elsewhere, what is disputed, notices of use, evidence verified."""

import html
from collections.abc import Mapping

from gongshu.console.frame import Console, View
from gongshu.console.pages.agreements import contract_path
from gongshu.console.pages.contract_evidence import figures_text
from gongshu.console.pages.evidence_check import show_check
from gongshu.console.pages.notices import show_notices
from gongshu.console.widgets import chip_html, empty, panel, table, text, time_html, title
from gongshu.share.evidence.ledger import Holding
from gongshu.share.evidence.model import Metered

STANDING_KIND = {"active": "good", "disputed": "bad", "deleting": "warn"}
DISPUTES_MAX = 200


def create_pages(console: Console) -> None:
    """Register the page of the ledger."""

    @console.page("/sharing/ledger", "ledger")
    async def ledger(view: View) -> None:
        title(view, "nav.ledger", "ledger.question")
        view.node.share.require_onlooker(view.subject)
        held = await view.ask(view.node.ledger.holdings, view.subject)
        names = await view.party_names()
        disputes = await view.ask(view.node.evidence.metered, view.subject, disputed=True, limit=DISPUTES_MAX)
        if disputes:
            with panel(view.t("ledger.disputes"), view.t("ledger.disputes_hint")) as place:
                place.classes("gs-dispute")
                _show_disputes(view, disputes, names)
        if not held:
            empty(view, "ledger.none", to={"/sharing/agreements": "nav.agreements"})
        for direction in ("received", "given"):
            mine = [line for line in held if line.direction == direction]
            if held:
                with panel(view.t(f"ledger.{direction}"), view.t(f"ledger.{direction}_hint")):
                    _show_held(view, mine, names, direction)
        with panel(view.t("notices.title"), view.t("notices.hint")):
            await show_notices(view, names)
        with panel(view.t("proof.title"), view.t("proof.hint")):
            await show_check(view)


def _show_held(view: View, held: list[Holding], names: Mapping[str, str], direction: str) -> None:
    if not held:
        text(view.t(f"ledger.no_{direction}")).classes("gs-muted")
        return
    rows = [
        {
            "key": number,
            "id": line.agreement_id,
            "dataset": line.dataset_id,
            "party": names.get(line.party, line.party),
            "purposes": view.join(line.purposes) or view.t("ledger.any"),
            "until": time_html(line.until).replace("<time ", '<time class="short" ') or "–",
            "standing": chip_html(view.t(f"ledger_state.{line.standing}"), STANDING_KIND.get(line.standing, "plain")),
            "derived": view.join(line.derived) or "–",
            "ended": time_html(line.ended_there_at) or "–",
            "deleted": time_html(line.deleted_at) or "–",
        }
        for number, line in enumerate(held)
    ]
    there = ("derived",) if direction == "received" else ("ended",)
    shown = ("dataset", "party", "purposes", "until", "standing", *there, "deleted")
    columns = [(n, view.t(f"ledger.{n}")) for n in shown]
    table(
        view,
        columns,
        rows,
        key="key",
        markup=("until", "standing", "ended", "deleted"),
        wide_only=("purposes",),
        open_at=lambda row: contract_path(row["id"]),
        page_size=10,
    ).props("wrap-cells")


def _show_disputes(view: View, disputes: list[Metered], names: Mapping[str, str]) -> None:
    rows = [
        {
            "key": f"{line.agreement_id} {line.delivery}",
            "id": line.agreement_id,
            "contract": names.get(line.counterparty, line.counterparty),
            "at": time_html(line.since),
            "ours": html.escape(figures_text(view, line.ours)),
            "theirs": html.escape(figures_text(view, line.theirs)),
            "standing": chip_html(view.t(f"standing_of.{line.standing.value}"), "bad"),
            "lapses": time_html(line.due_at),
        }
        for line in disputes
    ]
    names_of = ("contract", "at", "ours", "theirs", "standing", "lapses")
    columns = [(n, view.t(f"disputed.{n}")) for n in names_of]
    table(
        view,
        columns,
        rows,
        key="key",
        markup=("at", "ours", "theirs", "standing", "lapses"),
        open_at=lambda row: contract_path(row["id"]),
        page_size=10,
    ).props("wrap-cells")

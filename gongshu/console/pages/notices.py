"""Notices of use: signed messages that tell a party named in a contract when its data were used."""

import html
from collections.abc import Mapping

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.pages.agreements import contract_path
from gongshu.console.widgets import chip_html, table, text, time_html
from gongshu.share.notices import Notice

LIMIT = 500


async def show_notices(view: View, names: Mapping[str, str], *, agreement_id: str = "") -> None:
    """Show what others told us and what we told others; of one contract, or of all."""
    desk = view.node.share.desk
    for direction in ("in", "out"):
        found = await view.ask(desk.notices, view.subject, received=direction == "in", limit=LIMIT)
        mine = [notice for notice in found if not agreement_id or notice.agreement_id == agreement_id]
        with ui.element("div").classes("gs-stack"):
            text(view.t(f"notices.{direction}"), "h3")
            if mine:
                _show(view, mine, names, direction, is_of_all=not agreement_id)
            else:
                text(view.t(f"notices.none_{direction}")).classes("gs-muted")


def _show(view: View, found: list[Notice], names: Mapping[str, str], direction: str, *, is_of_all: bool) -> None:
    rows = [
        {
            "id": notice.notice_id,
            "to": contract_path(notice.agreement_id),
            "party": names.get(notice.party_id, notice.party_id),
            "user": names.get(str(notice.claims.get("user", "")), str(notice.claims.get("user", ""))),
            "use": str(notice.claims.get("use", "–")),
            "purpose": str(notice.claims.get("purpose", "")) or "–",
            "at": time_html(notice.at),
            "told": _told(view, notice),
            "contract": _link(view, notice),
        }
        for notice in found
    ]
    told = ["told", "contract"] if direction == "out" and is_of_all else ["told"] if direction == "out" else []
    shown = ["party", "user", "use", "purpose", "at", *told]
    columns = [(n, view.t(f"notice_{direction}.party" if n == "party" else f"notice.{n}")) for n in shown]
    table(view, columns, rows, key="id", markup=("at", "told", "contract"), numbers=("use",), page_size=8).props(
        "wrap-cells"
    )


def _link(view: View, notice: Notice) -> str:
    words = html.escape(view.t("process.contract"))
    return f'<a href="{html.escape(contract_path(notice.agreement_id))}">{words}</a>'


def _told(view: View, notice: Notice) -> str:
    if notice.sent_at is not None:
        return f"{chip_html(view.t('receipts.told'), 'good')} {time_html(notice.sent_at)}"
    waits = chip_html(view.t("receipts.waiting"), "warn")
    return f"{waits} {html.escape(view.said(notice.last_error))}".strip()

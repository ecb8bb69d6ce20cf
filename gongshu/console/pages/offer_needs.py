"""What a graded dataset needs before it may go to each partner: what is there, what is missing, and the way to it."""

import html
from collections.abc import Mapping, Sequence

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.pages.clearance_parts import Need, clearance_path, lacking, needs_of, request_path
from gongshu.console.widgets import chip_html, notice, panel, table, text
from gongshu.model.dataset import Dataset
from gongshu.secure.parties import Party
from gongshu.share.clearances.book import READERS
from gongshu.share.clearances.model import Clearance, Kind, State

Asked = Mapping[tuple[str, Kind], Clearance]


async def show_needs(view: View, dataset: Dataset, parties: Sequence[Party]) -> list[Party]:
    """Show where each party stands, and return those to whom the dataset may be offered now."""
    if not parties:
        notice(view.t("offer.no_party"), view.t("offer.no_party_text"), kind="warn")
        ui.link(view.t("nav.partners"), "/sharing/partners")
        return []
    needs = await needs_of(view, dataset, parties)
    asked = await _asked(view, dataset)
    names = await view.party_names()
    with panel(view.t("offer.needs"), view.t(f"offer.needs_{int(dataset.label.grade)}")):
        rows = [
            {
                "key": need.party,
                "party": names.get(need.party, need.party),
                "place": html.escape(need.place) or _link(view.t("offer.no_place"), "/sharing/partners"),
                "has": " ".join(chip_html(view.t(f"clearance_kind.{k.value}"), "good") for k in need.in_force) or "–",
                "missing": _missing(view, dataset, need, asked),
            }
            for need in needs
        ]
        columns = [(n, view.t(f"needs.{n}")) for n in ("party", "place", "has", "missing")]
        table(view, columns, rows, key="key", markup=("place", "has", "missing"), page_size=8).props("wrap-cells")
        ready = {need.party for need in needs if need.is_met}
        if not ready:
            text(view.t("offer.nobody_cleared")).classes("gs-muted")
    return [party for party in parties if party.party_id in ready]


async def _asked(view: View, dataset: Dataset) -> Asked:
    """Return the requests that wait for approval, as far as the reader may see them."""
    if not view.has_role(*READERS):
        return {}
    found = await view.ask(view.node.share.clearances.all, view.subject, dataset_id=dataset.dataset_id, limit=1000)
    return {(each.party_id, each.kind): each for each, state in reversed(found) if state is State.REQUESTED}


def _missing(view: View, dataset: Dataset, need: Need, asked: Asked) -> str:
    if need.is_met:
        return chip_html(view.t("needs.nothing"), "good")
    said = []
    for kind in need.missing:
        waits = asked.get((need.party, kind))
        if waits is None:
            link = _link(view.t("needs.ask"), request_path(dataset.dataset_id, need.party, kind))
        else:
            link = _link(lacking(view, waits, State.REQUESTED), clearance_path(waits.clearance_id))
        said.append(f"{chip_html(view.t(f'clearance_kind.{kind.value}'), 'warn')} {link}")
    return "<br>".join(said)


def _link(words: str, address: str) -> str:
    return f'<a href="{html.escape(address)}">{html.escape(words)}</a>'

"""Finding data: search by meaning in what was read of others' catalogues, read one anew, and ask for a contract."""

import html
from collections.abc import Mapping
from functools import partial
from urllib.parse import quote

from nicegui import ui

from gongshu.console.column_words import describe_columns
from gongshu.console.forms import FieldWrong
from gongshu.console.frame import Console, View
from gongshu.console.pages.market_offer import show_offer
from gongshu.console.widgets import chip, chip_html, empty, notice, panel, table, text, time_html, title
from gongshu.model.ids import PartyId
from gongshu.share.crawl.model import Crawl, Found
from gongshu.share.crawl.views import SHORT
from gongshu.share.errors import DatasetNotOffered
from gongshu.share.model import RemoteCatalogue
from gongshu.share.odrl import read_policy
from gongshu.share.remote import newest_alike
from gongshu.share.rights import DEALERS, USERS

HITS_MAX = 20


def create_pages(console: Console) -> None:
    """Register the page that finds what others offer."""

    @console.page("/sharing/find", "market")
    async def find(view: View) -> None:
        title(view, "nav.market", "market.question")
        view.node.share.require_onlooker(view.subject)
        parties = {p.party_id: p.title or p.party_id for p in await view.ask(view.node.parties.all) if p.address}
        if not parties:
            empty(view, "market.none", to={"/sharing/partners": "nav.partners"})
            return
        asked = view.request.query_params
        with panel(""):
            with ui.element("form").props("method=get action=/sharing/find role=search").classes("gs-row"):
                words = ui.input(view.t("market.search"), value=asked.get("words", ""))
                words.props("outlined dense clearable name=words data-test=words").style("flex: 1; min-width: 240px")
                ui.button(view.t("market.search_go")).props("unelevated color=primary type=submit data-test=search")
            text(view.t("market.search_hint")).classes("gs-muted")
        names = await view.party_names()
        if asked.get("dataset"):
            await _show_entry(view, PartyId(asked.get("party", "")), asked["dataset"], names)
        elif asked.get("words"):
            await _show_hits(view, asked["words"], names)
        with panel(view.t("market.followed"), view.t("market.followed_hint")):
            await _show_followed(view, parties, names)
        with panel(view.t("market.direct"), view.t("market.direct_hint")):
            _show_direct(view, parties)


# ---- the index ---------------------------------------------------------------------------------------------------


async def _show_hits(view: View, words: str, names: Mapping[str, str]) -> None:
    hits = await view.ask(view.node.crawl.search, words, view.subject, limit=HITS_MAX)
    kept = {str(each.version.dataset_id) for each in await view.ask(view.node.keeping.kept)}
    with panel(view.t("market.hits", count=len(hits))):
        if not hits:
            text(view.t("market.no_hits")).classes("gs-muted")
        for hit in hits:
            _show_hit(view, hit, names, is_copy=hit.is_own and hit.dataset_id in kept)


def _show_hit(view: View, hit: Found, names: Mapping[str, str], *, is_copy: bool) -> None:
    to = f"/sharing/find?party={quote(hit.party, safe='')}&dataset={quote(hit.dataset_id, safe='')}"
    with ui.element("div").classes("gs-hit"):
        ui.link(hit.title or hit.dataset_id, f"/catalogue/{hit.dataset_id}" if hit.is_own else to)
        with ui.element("div").classes("gs-row"):
            text(names.get(hit.party, hit.party), "span").classes("gs-muted")
            if hit.is_own:
                chip(view.t("market.copy" if is_copy else "market.own"))
            elif hit.offers:
                chip(view.t("market.offers", count=hit.offers), "accent")
        if hit.description and hit.description != hit.title:
            text(describe_columns(view, hit.description)[:SHORT]).classes("gs-muted gs-small")


async def _show_entry(view: View, party: PartyId, dataset_id: str, names: Mapping[str, str]) -> None:
    try:
        entry = await view.ask(view.node.crawl.entry, party, dataset_id, view.subject)
    except DatasetNotOffered:  # not followed, or newer than the index: the catalogue of a space leads here
        place = ui.element("div").classes("gs-stack gs-full")
        ui.timer(0.01, partial(_show_now, view, party, dataset_id, names, place), once=True)
        return
    with panel(str(entry["title"] or dataset_id), f"{names.get(party, party)} · {dataset_id}"):
        if entry["description"]:
            text(describe_columns(view, str(entry["description"]))).classes("gs-muted")
        policies = list(entry.get("offers", ()))
        taken = newest_alike(policies)
        for number, policy in enumerate(policies):
            terms, obstacle = read_policy(policy)
            offer_id = str(policy.get("@id", ""))
            show_offer(view, party, dataset_id, offer_id, terms, obstacle, names, is_taken=number == taken)
        if not policies:
            text(view.t("market.nothing")).classes("gs-muted")


async def _show_now(view: View, party: PartyId, dataset_id: str, names: Mapping[str, str], place: ui.element) -> None:
    """Read one dataset from the partner itself, after the page stands: its node may hang."""
    with view.trying(place):
        found = await view.ask(view.node.share.catalogue_of, party, view.subject, dataset_id=dataset_id)
        with place:
            _show(view, found, names)


async def _show_followed(view: View, parties: Mapping[PartyId, str], names: Mapping[str, str]) -> None:
    followed = await view.ask(view.node.crawl.followed, view.subject)
    if followed:
        columns = [(n, view.t(f"crawl.{n}")) for n in ("party", "entries", "read", "next", "state")]
        rows = [_crawl_row(view, crawl, names) for crawl in followed]
        chooses = view.has_role(*DEALERS)
        shown = table(
            view,
            columns,
            rows,
            key="id",
            markup=("read", "next", "state"),
            numbers=("entries",),
            wrap=("state",),
            selection=chooses,
        ).props("wrap-cells")
    else:
        text(view.t("market.none_followed")).classes("gs-muted")
    if not view.has_role(*DEALERS):
        return
    result = ui.element("div")

    async def each(act: str) -> None:
        with view.trying(result):
            if not shown.selected:
                raise FieldWrong(field=view.t("market.followed"), expected="at least one chosen party")
            for row in shown.selected:
                await view.ask(getattr(view.node.crawl, act), PartyId(row["id"]), view.subject)
            ui.navigate.reload()

    with ui.element("div").classes("gs-row"):
        if followed:
            ui.button(view.t("market.again"), on_click=partial(each, "crawl")).props("outline color=primary")
            ui.button(view.t("market.unfollow"), on_click=partial(each, "unfollow")).props("flat color=primary")
        others = {p: name for p, name in parties.items() if p not in {crawl.party for crawl in followed}}
        if others:
            _follow_form(view, others, result)


def _follow_form(view: View, others: Mapping[PartyId, str], result: ui.element) -> None:
    chosen = ui.select(dict(others), label=view.t("market.party"), value=next(iter(others)))
    chosen.props("outlined dense options-dense").style("min-width: 220px")

    async def follow() -> None:
        with view.trying(result):
            await view.ask(view.node.crawl.follow, PartyId(chosen.value), view.subject)
            ui.navigate.reload()

    ui.button(view.t("market.follow"), on_click=follow).props("outline color=primary")


def _crawl_row(view: View, crawl: Crawl, names: Mapping[str, str]) -> dict[str, object]:
    if crawl.is_running:
        state = chip_html(view.t("crawl.running", pages=crawl.pass_pages), "accent")
    elif crawl.failures:
        why = html.escape(view.said(crawl.last_error))
        state = f"{chip_html(view.t('crawl.failed', count=crawl.failures), 'bad')} {why}"
    else:
        state = chip_html(view.t("crawl.current" if crawl.completed_at else "crawl.new"), "good")
    return {
        "id": crawl.party,
        "party": names.get(crawl.party, crawl.party),
        "entries": crawl.entries,
        "read": time_html(crawl.checked_at or crawl.completed_at) or html.escape(view.t("crawl.never")),
        "next": time_html(crawl.next_at),
        "state": state,
    }


# ---- one partner's catalogue, now -----------------------------------------------------------------------------------


def _show_direct(view: View, parties: Mapping[PartyId, str]) -> None:
    with ui.element("div").classes("gs-row"):
        party = ui.select(dict(parties), label=view.t("market.party"), value=next(iter(parties)))
        party.props("outlined dense data-test=party").style("min-width: 220px")
        words = ui.input(view.t("market.words")).props("outlined dense clearable").style("flex: 1")
        ui.button(view.t("market.go"), on_click=lambda: look()).props("outline color=primary data-test=look")
    place = ui.element("div").classes("gs-stack").style("gap: 14px")
    if not view.has_role(*USERS):
        text(view.t("market.who")).classes("gs-muted")

    async def look(page: str = "") -> None:
        with view.trying(place):
            ui.element("div").classes("gs-skeleton").move(place)
            act = view.node.share.catalogue_of
            found = await view.ask(act, PartyId(party.value), view.subject, search=words.value or "", page=page)
            names = await view.party_names()
            place.clear()
            with place:
                _show(view, found, names)
                if found.next_page:
                    ui.button(view.t("market.more"), on_click=lambda: look(found.next_page)).props("flat color=primary")


def _show(view: View, found: RemoteCatalogue, names: Mapping[str, str]) -> None:
    if not found.datasets:
        notice(view.t("market.nothing"), kind="warn")
    if found.elsewhere:
        _show_elsewhere(view, found, names)
    for dataset in found.datasets:
        whose = names.get(PartyId(dataset.participant), dataset.participant)
        with panel(dataset.title or dataset.dataset_id, view.join(filter(None, (dataset.dataset_id, whose)))):
            if dataset.description and dataset.description != dataset.title:
                text(describe_columns(view, dataset.description)).classes("gs-muted")
            taken = newest_alike([offer.policy for offer in dataset.offers])
            for number, offer in enumerate(dataset.offers):
                show_offer(
                    view,
                    PartyId(dataset.participant or found.party),
                    dataset.dataset_id,
                    offer.offer_id,
                    offer.terms,
                    offer.obstacle,
                    names,
                    is_taken=number == taken,
                )


def _show_elsewhere(view: View, found: RemoteCatalogue, names: Mapping[str, str]) -> None:
    rows = [
        {"id": at, "whose": names.get(each.participant or found.party, each.participant), "address": each.address}
        for at, each in enumerate(found.elsewhere)
    ]
    with panel(view.t("market.elsewhere"), view.t("market.elsewhere_hint")):
        columns = [(name, view.t(f"market.{name}")) for name in ("whose", "address")]
        table(view, columns, rows, key="id", wrap=("address",), page_size=8).props("wrap-cells")

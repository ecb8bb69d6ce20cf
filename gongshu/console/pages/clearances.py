"""Clearances: what may leave by which procedure, what each still lacks, and whose copy a leaked file is."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from nicegui import ui
from nicegui.events import UploadEventArguments

from gongshu.console.frame import Console, View
from gongshu.console.pages.clearance_parts import STATE_KIND, clearance_path, lacking
from gongshu.console.widgets import chip_html, empty, notice, panel, size_words, table, text, time_html, title
from gongshu.share.clearances.book import READERS, REQUESTERS
from gongshu.share.clearances.marks import TRACERS, Trace
from gongshu.share.clearances.model import Clearance, State

LIMIT = 500
LEAK_BYTES_MAX = 200_000_000
"""Largest file that is searched from a page; the command takes any. Ours."""


def create_pages(console: Console) -> None:
    """Register the page of clearances."""

    @console.page("/sharing/clearances", "clearances")
    async def clearances(view: View) -> None:
        title(view, "nav.clearances", "clearances.question")
        view.node.share.require_onlooker(view.subject)
        if not view.has_role(*READERS, *TRACERS):
            text(view.t("clearances.who")).classes("gs-muted")
            return
        found = await view.ask(view.node.share.clearances.all, view.subject, limit=LIMIT)
        names = await view.party_names()
        with panel(view.t("clearances.all"), view.t("clearances.all_hint")):
            if view.has_role(*REQUESTERS):
                ask = ui.button(view.t("clearances.ask"), on_click=lambda: ui.navigate.to("/sharing/clearances/new"))
                ask.props("unelevated color=primary data-test=ask").classes("gs-start")
            if found:
                _show(view, found, names)
            else:
                empty(view, "clearances.none")
        if view.has_role(*TRACERS):
            with panel(view.t("trace.title"), view.t("trace.hint")):
                _show_trace(view, names)


def _show(view: View, found: list[tuple[Clearance, State]], names: Mapping[str, str]) -> None:
    rows = [
        {
            "id": clearance.clearance_id,
            "dataset": clearance.dataset_id,
            "party": names.get(clearance.party_id, clearance.party_id),
            "kind": view.t(f"clearance_kind.{clearance.kind.value}"),
            "state": chip_html(view.t(f"clearance_state.{state.value}"), STATE_KIND[state]),
            "lacks": lacking(view, clearance, state),
            "until": time_html(clearance.valid_until).replace("<time ", '<time class="short" '),
        }
        for clearance, state in found
    ]
    columns = [(n, view.t(f"clearance.{n}")) for n in ("dataset", "party", "kind", "state", "lacks", "until")]
    table(
        view,
        columns,
        rows,
        key="id",
        markup=("state", "until"),
        wrap=("lacks",),
        open_at=lambda row: clearance_path(row["id"]),
    ).props("wrap-cells")


def _show_trace(view: View, names: Mapping[str, str]) -> None:
    text(view.t("trace.text")).classes("gs-muted")
    place = ui.element("div").classes("gs-stack")

    async def search(event: UploadEventArguments) -> None:
        with view.trying(place), tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / safe_name(event.file.name)
            await event.file.save(copy)
            found = await view.ask(view.node.share.marker.trace, copy, view.subject)
            with place:
                _show_found(view, event.file.name, found, names)
        upload.reset()

    def too_large() -> None:
        place.clear()
        with place:
            limit = size_words(LEAK_BYTES_MAX)
            notice(view.t("error.input"), view.t("trace.too_large", limit=limit))

    upload = ui.upload(
        label=view.t("trace.choose"),
        auto_upload=True,
        max_files=1,
        max_file_size=LEAK_BYTES_MAX,
        on_upload=search,
        on_rejected=too_large,
    )
    upload.props("flat bordered color=primary data-test=leak").classes("gs-upload")
    place.move(target_index=-1)


def safe_name(name: str) -> str:
    """Return the last part of an uploaded file's name, as a name in one folder of ours and in the audit log.

    >>> safe_name("../../etc/leak.csv"), safe_name("..")
    ('leak.csv', 'file')
    """
    last = "".join(sign for sign in Path(name.replace("\\", "/")).name if sign.isprintable())
    return last[-100:] if last.strip(". ") else "file"


def _show_found(view: View, name: str, found: list[Trace], names: Mapping[str, str]) -> None:
    named = [trace for trace in found if trace.is_named]
    if not named:
        notice(view.t("trace.nobody"), view.t("trace.nobody_text", name=name), kind="warn")
        return
    parties = dict.fromkeys(names.get(trace.party, trace.party) for trace in named)
    notice(view.t("trace.found", party=view.join(parties)), view.t("trace.found_text", name=name), kind="good")
    columns = [(n, view.t(f"trace.{n}")) for n in ("party", "dataset", "delivery", "begun", "hits", "chance")]
    shown = table(
        view, columns, trace_rows(view, named, names), key="key", markup=("begun",), numbers=("hits", "chance")
    )
    shown.props("wrap-cells")


def trace_rows(view: View, named: list[Trace], names: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the rows about copies that were recognised; only `begun` is markup."""
    return [
        {
            "key": number,
            "party": names.get(trace.party, trace.party),
            "dataset": trace.dataset_id,
            "delivery": view.t("trace.any") if trace.delivery_id is None else str(trace.delivery_id),
            "begun": time_html(trace.begun_at) or "–",
            "hits": f"{trace.hits:,} / {trace.seen:,}",
            "chance": chance_text(trace.chance),
        }
        for number, trace in enumerate(named)
    ]


def chance_text(chance: float) -> str:
    """Return how likely an unmarked file would fit as well, in words that do not pretend to be exact.

    >>> chance_text(3.2e-12), chance_text(0.25), chance_text(0.0)
    ('1 : 300,000,000,000', '1 : 4', '< 1 : 10¹⁵')
    """
    if chance < 1e-15:
        return "< 1 : 10¹⁵"
    odds = 1 / chance
    digits = max(0, len(str(int(odds))) - 1)
    return f"1 : {round(odds, -digits):,.0f}"

"""Standards packs: every number and code that logic reads, with source, clause and how sure it is."""

import json
from typing import Any

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.widgets import chip_html, fill, number_text, panel, table, text, title
from gongshu.packs import Confidence, PackItem

CONFIDENCE_KIND = {
    Confidence.CONFIRMED: "good",
    Confidence.SECOND_HAND: "accent",
    Confidence.TO_BE_CONFIRMED: "warn",
    Confidence.PLATFORM: "plain",
}


def create_pages(console: Console) -> None:
    """Register the page of the packs."""

    @console.page("/standards", "standards")
    async def standards(view: View) -> None:
        title(view, "nav.standards", "standards.question")
        items = await view.ask(lambda: list(view.node.packs.items()))
        packs = {f"{i.pack} {i.version}": i.pack for i in items}
        names = {
            f"{p.name} {p.version}": f"{view.pick(p.title_zh, p.title_en)} · {p.version}" for p in view.node.packs.packs
        }
        chosen = {"pack": "", "confidence": "", "words": ""}
        with panel(""):
            with ui.element("div").classes("gs-row"):
                words = ui.input(view.t("standards.search")).props(
                    "outlined dense clearable debounce=250 data-test=search"
                )
                words.style("flex: 1; min-width: 220px")
                pack = ui.select({"": view.t("facet.all")} | names, label=view.t("standards.pack"), value="")
                sure = ui.select(
                    {"": view.t("facet.all")} | {c.value: view.t(f"confidence.{c.value}") for c in Confidence},
                    label=view.t("standards.confidence"),
                    value="",
                )
                for select, width in ((pack, "340px"), (sure, "170px")):
                    select.props("outlined dense options-dense").style(f"width: {width}")
                count = text("").classes("gs-muted")
            columns = [
                (n, view.t(f"standards.{n}")) for n in ("title", "value", "source", "clause", "confidence", "pack")
            ]
            shown = table(view, columns, [], key="key", markup=("confidence",), wrap=("value",), page_size=25).props(
                "wrap-cells"
            )

        def refill() -> None:
            rows = [_row(view, item) for item in items if _fits(item, chosen)]
            fill(shown, rows)
            count.content = view.t("standards.count", count=number_text(len(rows)), packs=len(packs))

        def refine() -> None:
            chosen.update(pack=pack.value or "", confidence=sure.value or "", words=(words.value or "").lower())
            refill()

        for control in (words, pack, sure):
            control.on_value_change(refine)
        refill()


def _fits(item: PackItem, chosen: dict[str, str]) -> bool:
    if chosen["pack"] and chosen["pack"] != f"{item.pack} {item.version}":
        return False
    if chosen["confidence"] and chosen["confidence"] != item.confidence.value:
        return False
    haystack = f"{item.key} {item.title_zh} {item.title_en} {item.source} {item.clause}".lower()
    return all(word in haystack for word in chosen["words"].split())


def _row(view: View, item: PackItem) -> dict[str, Any]:
    value = item.value if isinstance(item.value, str) else json.dumps(item.value, ensure_ascii=False)
    return {
        "key": f"{item.pack}/{item.version}/{item.key}",
        "title": view.pick(item.title_zh, item.title_en),
        "value": value if len(value) <= 160 else value[:159] + "…",
        "source": item.source,
        "clause": item.clause,
        "confidence": chip_html(view.t(f"confidence.{item.confidence.value}"), CONFIDENCE_KIND[item.confidence]),
        "pack": f"{item.pack} {item.version}",
    }

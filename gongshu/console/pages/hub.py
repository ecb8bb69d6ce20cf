"""The province: as a member, agreements and reports; as a province, members, reporters and totals."""

from nicegui import ui

from gongshu.config import NodeRole
from gongshu.console.frame import Console, View
from gongshu.console.pages.hub_member import show_member
from gongshu.console.pages.hub_province import show_province
from gongshu.console.widgets import panel, title


def create_pages(console: Console) -> None:
    """Register the page of the hub; a node has both sides, its role decides which comes first."""

    @console.page("/hub", "hub")
    async def hub(view: View) -> None:
        is_province = view.node.config.role is NodeRole.PROVINCE
        title(view, "nav.hub", "hub.question_province" if is_province else "hub.question_member")
        sides = {"province": show_province, "member": show_member}
        with panel(""):
            with ui.tabs().props("align=left no-caps inline-label dense") as tabs:
                for side in sides:
                    ui.tab(side, view.t(f"hub.tab.{side}"))
            with ui.tab_panels(tabs, value="province" if is_province else "member").classes("gs-full"):
                for side, show in sides.items():
                    with ui.tab_panel(side), ui.element("div").classes("gs-stack").style("gap: 18px"):
                        await show(view)

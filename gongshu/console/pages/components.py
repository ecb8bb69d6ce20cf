"""Components: the connectors and apps that are installed, what each can do, and how to add one."""

import html

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.widgets import chip_html, panel, table, text, title


def create_pages(console: Console) -> None:
    """Register the page of components."""

    @console.page("/components", "components")
    async def components(view: View) -> None:
        title(view, "nav.components", "components.question")
        connectors = await view.ask(view.node.sources.connectors)
        with panel(view.t("components.connectors"), view.t("components.connectors_hint")):
            rows = [
                {
                    "name": spec.name,
                    "title": view.pick(spec.title_zh, spec.title_en),
                    "can": " ".join(chip_html(view.t(f"can.{ability.value}"), "plain") for ability in sorted(spec.can)),
                    "sources": html.escape("; ".join(spec.sources)),
                }
                for spec in connectors.values()
            ]
            columns = [(name, view.t(f"component.{name}")) for name in ("name", "title", "can", "sources")]
            table(view, columns, rows, key="name", markup=("can", "sources"))
        apps = await view.ask(view.node.apps.apps)
        with panel(view.t("components.apps"), view.t("components.apps_hint")):
            rows = [
                {
                    "name": f"{spec.name} {spec.version}",
                    "title": view.pick(spec.title_zh, spec.title_en),
                    "needs": view.join(view.pick(i.title_zh, i.title_en) for i in spec.inputs if i.required),
                    "sources": html.escape("; ".join(spec.sources)),
                }
                for spec in apps
            ]
            columns = [(name, view.t(f"component.{name}")) for name in ("name", "title", "needs", "sources")]
            table(view, columns, rows, key="name", markup=("sources",)).props("wrap-cells")
        with panel(view.t("components.own"), view.t("components.own_hint")):
            text(view.t("components.own_text"))
            ui.html(
                '<pre class="gs-sql">[project.entry-points."gongshu.connectors"]\n'
                'my-protocol = "my_package.my_protocol:SPEC"\n\n'
                '[project.entry-points."gongshu.apps"]\nmy-app = "my_package.my_app:SPEC"</pre>',
                sanitize=False,
            )

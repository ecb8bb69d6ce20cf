"""A dialog before what cannot be undone: what will happen, a reason where one is kept, and two buttons."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.widgets import text

Act = Callable[[str], Awaitable[None]]
"""Gets the reason that was typed, empty where none is asked for; shows its own errors in the dialog."""


def ask_first(view: View, heading: str, words: str, button: str, act: Act, *, reason: str = "") -> None:
    """Open the dialog; `reason` is the label of its field, which is left out where it is empty."""
    with ui.dialog(value=True) as dialog, ui.card():
        text(heading, "h2")
        text(words)
        typed = ui.input(reason).props("outlined dense data-test=reason") if reason else None
        problem = ui.element("div")

        async def go() -> None:
            with view.trying(problem):
                await act((typed.value or "").strip() if typed is not None else "")
                dialog.close()

        with ui.element("div").classes("gs-row end"):
            ui.button(view.t("act.cancel"), on_click=dialog.close).props("flat color=primary")
            ui.button(button, on_click=go).props("unelevated color=primary data-test=go")

"""Signing in, and making the first account with the one-time link: plain forms, so that no password enters a socket."""

import html
from collections.abc import Callable
from urllib.parse import quote

from fastapi import Request
from nicegui import ui

from gongshu.console import session, theme
from gongshu.console.frame import Console
from gongshu.console.session import Taste
from gongshu.console.texts import Texts
from gongshu.console.widgets import notice, text

ERRORS = {
    "secure.login_failed": "sign_in.wrong",
    "secure.login_throttled": "sign_in.throttled",
    "secure.code_rejected": "first.code_rejected",
    "secure.password_too_weak": "first.password_weak",
    "secure.account_invalid": "first.name_invalid",
    "secure.account_exists": "first.name_taken",
    "passwords_differ": "first.passwords_differ",
}
"""What the address may carry after a failed form, and the text that explains it."""


def create_pages(console: Console) -> None:
    """Register the two pages that need no session."""

    @console.open_page(session.SIGN_IN)
    def sign_in(request: Request, taste: Taste, texts: Texts) -> None:
        def t(key: str) -> str:
            return texts.get(key, taste.language)

        with _door(request, taste, texts, t("sign_in.title")):
            _error(request, t)
            with ui.element("form").props("method=post action=/session"):
                _hidden("to", request.query_params.get("to", "/"))
                _field("name", t("sign_in.name"), "username")
                _field("password", t("sign_in.password"), "current-password", is_secret=True)
                ui.button(t("sign_in.go")).props("type=submit unelevated color=primary")
            text(t("sign_in.no_account"), "p").classes("gs-muted gs-small").style("margin: 0")

    @console.open_page(session.FIRST)
    def first(request: Request, taste: Taste, texts: Texts) -> None:
        def t(key: str) -> str:
            return texts.get(key, taste.language)

        with _door(request, taste, texts, t("first.title")):
            text(t("first.intro"), "p").classes("gs-muted").style("margin: 0")
            _error(request, t)
            with ui.element("form").props("method=post action=/session/first"):
                code = request.query_params.get("code", "")
                if code:
                    _hidden("code", code)
                else:
                    _field("code", t("first.code"), "off")
                _field("name", t("sign_in.name"), "username", value=request.query_params.get("name", ""))
                _field("password", t("sign_in.password"), "new-password", is_secret=True)
                _field("again", t("first.again"), "new-password", is_secret=True)
                ui.button(t("first.go")).props("type=submit unelevated color=primary")


def _door(request: Request, taste: Taste, texts: Texts, heading: str) -> ui.element:
    here = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
    with ui.element("div").classes("gs-door"):
        section = ui.element("section").classes("gs-panel")
        with section:
            ui.html(
                f'<span class="gs-brand">{theme.MARK}{texts.get("brand.name", taste.language)}</span>', sanitize=False
            )
            text(heading, "h1")
            inner = ui.element("div").classes("gs-stack").style("gap: 12px")
            with ui.element("div").classes("foot"):
                other, shade = taste.language.other, "light" if taste.is_dark else "dark"
                language = texts.get("frame.other_language", taste.language)
                ui.link(language, f"/taste?language={other.value}&to={here}").props('data-test="language"')
                ui.link(
                    texts.get("frame.to_light" if taste.is_dark else "frame.to_dark", taste.language),
                    f"/taste?theme={shade}&to={here}",
                ).props('data-test="theme"')
    return inner


def _error(request: Request, t: Callable[[str], str]) -> None:
    code = request.query_params.get("error", "")
    if code:
        notice(t(ERRORS.get(code, "sign_in.wrong")))


def _field(name: str, label: str, autocomplete: str, *, is_secret: bool = False, value: str = "") -> None:
    field = ui.input(label, value=value, password=is_secret, password_toggle_button=is_secret)
    field.props(f"outlined dense name={name} autocomplete={autocomplete} for=field-{name} required")


def _hidden(name: str, value: str) -> None:
    escaped = html.escape(value, quote=True)
    ui.html(f'<input type="hidden" name="{name}" value="{escaped}">', sanitize=False, tag="div")

"""The page for an address where none is: plain markup, because anybody may ask for any number of them."""

import html

from nicegui import app as nicegui_app
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gongshu.console import session, theme
from gongshu.console.session import Taste
from gongshu.console.texts import read_texts


def say_nowhere() -> None:
    """Let the pages' library answer so, in place of its own page in English, which stays in memory and in the log."""
    nicegui_app.add_exception_handler(404, _answer)


async def _answer(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return HTMLResponse(nowhere_html(session.taste_of(request)), 404)


def nowhere_html(taste: Taste) -> str:
    """Return the page."""

    def t(key: str) -> str:
        return html.escape(read_texts().get(key, taste.language))

    return (
        f'<!doctype html><html lang="{taste.language.tag}"><head><meta charset="utf-8">'
        f"<title>{t('nowhere.title')} · {t('brand.title')}</title>{theme.head_html()}</head>"
        f'<body class="{"body--dark" if taste.is_dark else ""}"><main class="gs-door"><section class="gs-panel">'
        f'<span class="gs-brand">{theme.MARK}{t("brand.name")}</span><h1>{t("nowhere.title")}</h1>'
        f'<p>{t("nowhere.step")}</p><a href="/">{t("nav.home")}</a></section></main></body></html>'
    )

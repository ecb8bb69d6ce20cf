"""What every page has around it: header, navigation, title; and the one way a page asks the node's services."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from nicegui import app as nicegui_app
from nicegui import run, ui

from gongshu.console import session, theme
from gongshu.console.nowhere import say_nowhere
from gongshu.console.places import AREAS, Place
from gongshu.console.reasons import error_in_chinese, in_chinese
from gongshu.console.session import Taste
from gongshu.console.texts import Language, Texts, read_texts
from gongshu.console.units import unit_text
from gongshu.console.widgets import error_notice, text
from gongshu.errors import GongshuError, NotAuthenticated, Refused, Retry
from gongshu.model.access import Role, Subject

if TYPE_CHECKING:
    from gongshu.node import Node

P = ParamSpec("P")
T = TypeVar("T")
BUILD_TIMEOUT_S = 20.0
RECONNECT_S = 15.0
"""So long a page waits for a browser that went silent; with the library's 3 s, a busy computer or a short loss of the
network made the page load anew, and what was typed or pressed meanwhile was gone. Ours."""
BEIJING = "UTC+08:00"
log = logging.getLogger(__name__)


class RoleNeeded(Refused):
    """The person lacks the role for an act on a page."""

    code = "console.role_needed"
    template = "{subject} may not {what}: it needs the role {role}. A system administrator can grant it (Accounts)."


class RightsChanged(Refused):
    """An open page belongs to rights that the person no longer has, or to more than it knew."""

    code = "console.rights_changed"
    retry = Retry.AFTER_FIX
    template = "Your roles were changed since this page was opened. Load the page again."


@dataclass(frozen=True, slots=True)
class View:
    """One page being shown to one person."""

    node: "Node"
    request: Request
    subject: Subject
    taste: Taste
    texts: Texts

    def t(self, key: str, **fields: object) -> str:
        """Return a text in the reader's language."""
        return self.texts.get(key, self.taste.language, **fields)

    def pick(self, chinese: str, english: str) -> str:
        """Return the one of two texts that the reader reads; the other where it is empty."""
        first, second = (chinese, english) if self.taste.language is Language.ZH else (english, chinese)
        return first or second

    def said(self, words: str | GongshuError) -> str:
        """Return what a service said, in the reader's language as far as it is known."""
        if self.taste.language is not Language.ZH:
            return str(words)
        return error_in_chinese(words) if isinstance(words, GongshuError) else in_chinese(words)

    async def party_names(self) -> dict[str, str]:
        """Return the title of each known organisation by its id, this one's too."""
        parties = await self.ask(self.node.parties.all)
        names = {str(party.party_id): party.title or str(party.party_id) for party in parties}
        return names | {str(self.node.party_id): self.node.config.title}

    def unit(self, code: str) -> str:
        """Return a unit as people write it."""
        sign = unit_text(code, self.node.packs)
        return self.t("unit.piece") if sign == "piece" else sign

    @property
    def zone(self) -> str:
        """The zone of the days that people name, in the reader's words."""
        written = str(self.node.config.zone)
        return self.t("zone.beijing") if written == BEIJING else written

    def join(self, words: Iterable[object]) -> str:
        """Return a list in one line, with the separator of the reader's language."""
        return ("、" if self.taste.language is Language.ZH else ", ").join(map(str, words))

    @property
    def palette(self) -> theme.Palette:
        """The chart colours of the reader's theme."""
        return theme.DARK if self.taste.is_dark else theme.LIGHT

    async def ask(self, service: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a service answers, called in a thread so that other pages stay quick.

        Raises: NotAuthenticated when the session ended meanwhile, RightsChanged when the roles did, and what the
            service raises: an open page keeps asking as the one it was built for.
        """
        session_token = self.request.cookies.get(session.TOKEN_COOKIE, "")

        def call() -> T:
            now = self.node.identity.subject_of(session_token)
            if now.subject_id != self.subject.subject_id or now.roles != self.subject.roles:
                raise RightsChanged
            return service(*args, **kwargs)

        return cast(T, await run.io_bound(call))  # None comes only while the server shuts down

    def require_role(self, *roles: Role, what: str) -> None:
        """Refuse an act that needs one of the roles.

        Raises: RoleNeeded.
        """
        if not self.subject.roles & set(roles):
            raise RoleNeeded(subject=self.subject.subject_id, what=what, role=" / ".join(roles))

    def has_role(self, *roles: Role) -> bool:
        """Return whether the reader has one of the roles."""
        return bool(self.subject.roles & set(roles))

    def every(self, interval_s: float, refresh: Callable[[], Awaitable[None]]) -> None:
        """Run a refresh in a cycle while the page is open; it ends, with a notice, when the service refuses."""
        client = ui.context.client

        async def once() -> None:
            if not client.has_socket_connection:  # nobody looks: the page was left, or its browser is silent
                return
            try:
                await refresh()
            except GongshuError as error:
                timer.deactivate()
                with place:
                    error_notice(self, error)

        place = ui.element("div")
        timer = ui.timer(interval_s, once, immediate=False)

    @contextmanager
    def trying(self, place: ui.element) -> Iterator[None]:
        """Show in `place`, cleared before, that the block is under way, and its error; the page stays usable.

        While it runs no button of the page takes a click: a second one would ask, pay or use a second time.
        """
        place.clear()
        with place:
            busy = text(self.t("frame.busy")).classes("gs-busy").props("role=status")
        try:
            yield
        except GongshuError as error:
            with place:
                error_notice(self, error)
        finally:
            if not busy.is_deleted:
                busy.delete()


Builder = Callable[[View], Awaitable[None]]


class Console:
    """Collects the pages and mounts them on the application."""

    def __init__(self, app: FastAPI, node: "Node") -> None:
        self._app = app
        self._node = node
        self._texts = read_texts()

    def page(self, path: str, place: str) -> Callable[[Builder], Builder]:
        """Register a page of a place in the navigation; the builder fills the content area."""

        def register(builder: Builder) -> Builder:
            async def build(request: Request) -> Response | None:
                try:
                    subject = cast(Subject, await run.io_bound(session.subject_of, request, self._node.identity))
                except NotAuthenticated:
                    return RedirectResponse(session.sign_in_address(request), status_code=303)
                view = View(self._node, request, subject, session.taste_of(request), self._texts)
                await self._show(view, place, builder)
                return None

            ui.page(path, response_timeout=BUILD_TIMEOUT_S)(build)
            return builder

        return register

    def open_page(self, path: str) -> Callable[[Callable[[Request, Taste, Texts], None]], None]:
        """Register a page that needs no sign-in."""

        def register(builder: Callable[[Request, Taste, Texts], None]) -> None:
            def build(request: Request) -> None:
                taste = session.taste_of(request)
                _dress(taste, read_texts().get("brand.title", taste.language))
                builder(request, taste, self._texts)

            ui.page(path)(build)

        return register

    def mount(self) -> None:
        """Mount NiceGUI at `/`, after every other route, with assets from the package only."""
        self._app.include_router(session.create_router(self._node.identity, lambda error: error.code))
        say_nowhere()
        nicegui_app.on_exception(lambda error: log.error("a page failed: %s", type(error).__name__, exc_info=error))
        ui.run_with(
            self._app,
            title="工数 Gongshu",
            favicon=_favicon(),
            tailwind=False,
            show_welcome_message=False,
            reconnect_timeout=RECONNECT_S,
        )

    async def _show(self, view: View, place: str, builder: Builder) -> None:
        _dress(view.taste, view.t("page.title", page=view.t(f"nav.{place}"), node=view.node.config.title))
        _header(view)
        _navigation(view, place)
        with ui.element("div").classes("gs-main").props("id=main tabindex=-1"):
            try:
                await builder(view)
            except GongshuError as error:
                error_notice(view, error)


def _dress(taste: Taste, title: str) -> None:
    ui.page_title(title)
    ui.dark_mode(taste.is_dark)
    ui.colors(primary=(theme.DARK if taste.is_dark else theme.LIGHT).accent)
    ui.add_head_html(theme.head_html() + f'<script>document.documentElement.lang="{taste.language.tag}"</script>')
    if taste.is_dark:  # before the page's own script runs, so that it does not flash white
        ui.add_head_html("<style>html { background: #11171a }</style>")


def _header(view: View) -> None:
    here = quote(view.request.url.path + (f"?{view.request.url.query}" if view.request.url.query else ""))
    other = view.taste.language.other
    role = view.t(f"role_of_node.{view.node.config.role.value}")
    with ui.header(fixed=True).classes("gs-header"):
        ui.html(f'<a class="gs-skip" href="#main">{view.t("frame.skip")}</a>', sanitize=False)
        ui.html(f'<a class="gs-brand" href="/">{theme.MARK}{view.t("brand.name")}</a>', sanitize=False)
        ui.label(f"{view.node.config.title} · {role}").classes("gs-node")
        ui.element("div").classes("gs-spacer")
        ui.link(view.t("frame.other_language"), f"/taste?language={other.value}&to={here}").classes("gs-switch").props(
            f'lang={other.tag} data-test="language"'
        )
        shade = "light" if view.taste.is_dark else "dark"
        ui.link(
            view.t("frame.to_light" if view.taste.is_dark else "frame.to_dark"), f"/taste?theme={shade}&to={here}"
        ).classes("gs-switch").props('data-test="theme"')
        ui.label(view.subject.subject_id.removeprefix("user:")).classes("gs-who").tooltip(
            view.join(view.t(f"role.{role}") for role in sorted(view.subject.roles))
        )
        with ui.element("form").props("method=post action=/session/end"):
            ui.button(view.t("frame.sign_out")).props("flat dense type=submit").style("padding: 3px 8px")


def _navigation(view: View, place: str) -> None:
    role = view.node.config.role
    with (
        ui.left_drawer(value=True, fixed=True).classes("gs-nav").props("width=196 breakpoint=0 no-swipe-open"),
        ui.element("nav").props(f'aria-label="{view.t("frame.navigation")}"'),
    ):
        for area, places in AREAS.items():
            if area:
                text(view.t(f"area.{area}"), "h2")
            for entry in places:
                if entry.is_for(role):
                    _entry(view, entry, is_here=entry.name == place)


def _entry(view: View, entry: Place, *, is_here: bool) -> None:
    link = ui.link(view.t(f"nav.{entry.name}"), entry.path)
    if is_here:
        link.props("aria-current=page")


def _favicon() -> str:
    return theme.MARK.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ').replace("currentColor", "#0b6b75")

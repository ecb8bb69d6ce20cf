"""Who is signed in, and how they like to read: three cookies, and the routes that set them.

The session cookie holds the token of the identity service itself: signing out revokes it, and a closed account loses
its pages with the next click. It is HttpOnly and SameSite=Strict, and Secure wherever the page came over TLS.
See docs/decisions/0049-the-session-is-a-token.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from gongshu.console.texts import Language
from gongshu.errors import GongshuError, NotAuthenticated
from gongshu.model.access import Subject
from gongshu.secure.identity import IdentityService

TOKEN_COOKIE, LANGUAGE_COOKIE, THEME_COOKIE = "gongshu_session", "gongshu_language", "gongshu_theme"
YEAR_S = 365 * 86_400
SIGN_IN, FIRST = "/sign-in", "/first"


@dataclass(frozen=True, slots=True)
class Taste:
    """How a reader wants pages."""

    language: Language
    is_dark: bool


def taste_of(request: Request) -> Taste:
    """Return the reader's choices; without any, the browser's language and the light theme."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    accepted = request.headers.get("accept-language", "zh").lower()
    fallback = Language.EN if accepted.startswith("en") else Language.ZH
    language = Language(chosen) if chosen in set(Language) else fallback
    return Taste(language, request.cookies.get(THEME_COOKIE) == "dark")


def subject_of(request: Request, identity: IdentityService) -> Subject:
    """Return who is signed in.

    Raises: NotAuthenticated.
    """
    return identity.subject_of(request.cookies.get(TOKEN_COOKIE, ""))


def sign_in_address(request: Request) -> str:
    """Return the sign-in page that leads back to the page asked for."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"{SIGN_IN}?to={quote(target)}"


def create_router(identity: IdentityService, on_error: Callable[[GongshuError], str]) -> APIRouter:
    """Return the routes of the console that answer with a cookie; `on_error` gives the code that the page explains."""
    router = APIRouter(include_in_schema=False)

    @router.post("/session")
    async def sign_in(
        request: Request,
        name: Annotated[str, Form(max_length=100)] = "",
        password: Annotated[str, Form(max_length=1024)] = "",
        to: Annotated[str, Form()] = "/",
    ) -> Response:
        """Sign in and go where one wanted to go."""
        if _is_foreign(request):
            return _see(SIGN_IN)
        address = request.client.host if request.client else ""
        try:
            token = await run_in_threadpool(identity.login, name.strip(), password, address=address)
        except NotAuthenticated as error:
            return _see(f"{SIGN_IN}?error={on_error(error)}&to={quote(_local(to))}")
        return _signed_in(request, token, _local(to))

    @router.post("/session/first")
    async def make_first_account(
        request: Request,
        code: Annotated[str, Form(max_length=200)] = "",
        name: Annotated[str, Form(max_length=100)] = "",
        password: Annotated[str, Form(max_length=1024)] = "",
        again: Annotated[str, Form(max_length=1024)] = "",
    ) -> Response:
        """Redeem the one-time code and sign in."""
        back = f"{FIRST}?code={quote(code)}&name={quote(name)}&error="
        if _is_foreign(request):
            return _see(FIRST)
        if password != again:
            return _see(back + "passwords_differ")
        try:
            await run_in_threadpool(identity.redeem, code.strip(), name.strip(), password)
            token = await run_in_threadpool(identity.login, name.strip(), password)
        except GongshuError as error:
            return _see(back + quote(on_error(error)))
        return _signed_in(request, token, "/")

    @router.post("/session/end")
    async def sign_out(request: Request) -> Response:
        """Revoke the token and leave."""
        if not _is_foreign(request):
            await run_in_threadpool(identity.revoke, request.cookies.get(TOKEN_COOKIE, ""))
        answer = _see(SIGN_IN)
        answer.delete_cookie(TOKEN_COOKIE, path="/")
        return answer

    router.add_api_route("/taste", set_taste, methods=["GET"])
    return router


def set_taste(request: Request, to: str = "/", language: str = "", theme: str = "") -> Response:
    """Remember language or theme, and go back."""
    answer = _see(_local(to))
    for cookie, value, allowed in (
        (LANGUAGE_COOKIE, language, set(Language)),
        (THEME_COOKIE, theme, {"light", "dark"}),
    ):
        if value in allowed:
            answer.set_cookie(cookie, value, max_age=YEAR_S, samesite="lax", secure=request.url.scheme == "https")
    return answer


def _signed_in(request: Request, token: str, to: str) -> Response:
    answer = _see(to)
    answer.set_cookie(
        TOKEN_COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
    )
    return answer


def _is_foreign(request: Request) -> bool:
    """Return whether a form was posted by a page of another site: browsers name the origin of every form post."""
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


def _local(target: str) -> str:
    """Return the target if it is a path of this site, else the home page."""
    is_path = target.startswith("/") and not target.startswith("//") and "\\" not in target and "\n" not in target
    return target if is_path else "/"


def _see(address: str) -> Response:
    return RedirectResponse(address, status_code=303)

"""Paths where nothing is: programs get one form, readers a page in their language, and the log nothing at all."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from nicegui import app as pages
from starlette.routing import Mount

from gongshu.api import answer_elsewhere
from gongshu.console.nowhere import say_nowhere


def something() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """An application like ours: routes of rooms, then what answers elsewhere, then the pages, which take everything."""
    made, room = FastAPI(), APIRouter()
    room.add_api_route("/api/v1/things/{name}", something, methods=["GET"])
    room.add_api_route("/api/v1/things/{name}", something, methods=["DELETE"])
    room.add_api_route("/dsp/2025-1/catalog/request", something, methods=["POST"])
    room.add_api_route("/share/inbox/{transfer_id}", something, methods=["POST", "PUT"])
    room.add_api_route("/healthz", something, methods=["GET"])
    made.include_router(room)
    answer_elsewhere(made)
    made.router.routes.append(Mount("/", pages))
    say_nowhere()
    return made


def ask(app: FastAPI, method: str, path: str, **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(asked())


@pytest.mark.parametrize("method", ["GET", "PUT", "BREW"])
@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/", "/api/v1/things/a/b", "/dsp/", "/dsp/2025-1/catalog/x", "/share/x"]
)
def test_nothing_is_said_to_programs_and_to_no_log(
    app: FastAPI, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(app, method, path)
    assert answer.status_code == 404
    assert path in answer.text
    assert not answer.headers["content-type"].startswith("text/html")
    assert caplog.records == []


def test_the_form_is_that_of_every_error(app: FastAPI) -> None:
    answer = ask(app, "GET", "/api/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
    seen: dict[str, Any] = answer.json()
    assert seen.keys() == {"type", "title", "status", "detail", "code", "retry"}
    assert (seen["status"], seen["code"]) == (404, "request.nothing_here")


@pytest.mark.parametrize(
    ("path", "taken", "kind"),
    [
        ("/api/v1/things/a", "GET, DELETE", "application/problem+json"),
        ("/dsp/2025-1/catalog/request", "POST", "text/plain; charset=utf-8"),
        ("/share/inbox/a", "POST, PUT", "application/problem+json"),
    ],
)
def test_a_wrong_method_is_told_from_a_wrong_path(
    app: FastAPI, path: str, taken: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(app, "DELETE" if "PUT" in taken else "PUT", path)
    assert (answer.status_code, answer.headers["allow"], answer.headers["content-type"]) == (405, taken, kind)
    assert taken in answer.text
    assert caplog.records == []


@pytest.mark.parametrize(("language", "said"), [("zh-CN", "没有这个页面"), ("en-GB", "There is no such page")])
def test_a_reader_gets_a_page_in_a_language_and_the_log_no_line(
    app: FastAPI, language: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nicegui")
    answer = ask(app, "GET", "/nowhere", **{"accept-language": language})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert said in answer.text
    assert not [record for record in caplog.records if record.name == "nicegui"]

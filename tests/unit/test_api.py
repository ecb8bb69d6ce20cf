"""The index of routes answers as the framework does when it asks each route in turn."""

import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query
from starlette.routing import Match

from gongshu.api import RouteIndex, index_routes


def refuse() -> None:
    raise HTTPException(403)


def an_app(*, is_indexed: bool) -> FastAPI:
    app = FastAPI()
    inner, outer, guarded = APIRouter(), APIRouter(prefix="/api/things"), APIRouter()

    @guarded.get("/api/secrets")
    def secrets() -> dict[str, str]:
        return {"route": "secrets"}

    @outer.get("/newest")
    def newest(limit: Annotated[int, Query(ge=1)] = 3) -> dict[str, str | int]:
        return {"route": "newest", "limit": limit}

    @outer.get("/{thing_id}")
    def thing(thing_id: str) -> dict[str, str]:
        return {"route": "thing", "id": thing_id}

    @outer.post("/{thing_id}")
    async def change(thing_id: str) -> dict[str, str]:
        return {"route": "change", "id": thing_id}

    @inner.get("/api/parts/{part_id:int}")
    def part(part_id: int) -> dict[str, str | int]:
        return {"route": "part", "id": part_id}

    @inner.get("/api/weights/{weight:float}")
    def weight(weight: float) -> dict[str, str | float]:
        return {"route": "weight", "weight": weight}

    @inner.get("/api/files/{name:path}")
    def file(name: str) -> dict[str, str]:
        return {"route": "file", "name": name}

    outer.include_router(inner, prefix="/inner")
    app.include_router(guarded, dependencies=[Depends(refuse)])
    app.include_router(outer)
    app.include_router(inner)

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"route": "health"}

    if is_indexed:
        index_routes(app)
    return app


ASKED = (
    ("GET", "/api/things/newest"),
    ("GET", "/api/things/newest?limit=0"),
    ("GET", "/api/things/a%2Fb"),
    ("GET", "/api/things/%E6%B6%B2%E5%8E%8B"),
    ("POST", "/api/things/7"),
    ("DELETE", "/api/things/7"),
    ("HEAD", "/api/things/7"),
    ("GET", "/api/things/"),
    ("GET", "/api/things"),
    ("GET", "/api/parts/12"),
    ("GET", "/api/parts/twelve"),
    ("GET", "/api/things/inner/api/parts/12"),
    ("GET", "/api/weights/1.5"),
    ("GET", "/api/secrets"),
    ("GET", "/api/files/a/b/c"),
    ("GET", "/api/files/"),
    ("GET", "/healthz"),
    ("GET", "/healthz%0A"),
    ("GET", "/nothing"),
)


@pytest.fixture(scope="module")
def apps() -> list[FastAPI]:
    return [an_app(is_indexed=False), an_app(is_indexed=True)]


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_an_answer_is_the_same_with_and_without_the_index(apps: list[FastAPI], method: str, path: str) -> None:
    async def answers() -> list[tuple[int, bytes, str | None]]:
        found = []
        for app in apps:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as client:
                answer = await client.request(method, path)
            found.append((answer.status_code, answer.content, answer.headers.get("allow")))
        return found

    plain, indexed = asyncio.run(answers())
    assert indexed == plain


def test_the_description_of_the_interface_is_the_same() -> None:
    assert an_app(is_indexed=True).openapi() == an_app(is_indexed=False).openapi()


def test_a_wrong_method_and_an_unknown_path_are_left_to_the_routes_themselves(apps: list[FastAPI]) -> None:
    index = apps[1].router.routes[0]
    assert isinstance(index, RouteIndex)

    def found(method: str, path: str, kind: str = "http") -> Match:
        return index.matches({"type": kind, "method": method, "path": path, "headers": []})[0]

    assert found("GET", "/api/things/7") is Match.FULL
    assert {found("PUT", "/api/things/7"), found("GET", "/api/other"), found("GET", "/healthz", "websocket")} == {
        Match.NONE
    }

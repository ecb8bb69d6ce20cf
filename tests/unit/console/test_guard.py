"""What browsers are told comes with every answer, also with one that nobody has written."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Response

from gongshu.console.guard import COMMON, guard


@pytest.fixture(scope="module")
def app() -> FastAPI:
    made = FastAPI()

    @made.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    @made.get("/unchanged")
    def unchanged() -> Response:
        return Response(status_code=304)

    guard(made)
    return made


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/broken", 500), ("GET", "/unchanged", 304), ("GET", "/nowhere", 404), ("HEAD", "/broken", 405)],
)
def test_every_answer_carries_the_headers(app: FastAPI, method: str, path: str, status: int) -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return await client.request(method, path)

    answer = asyncio.run(ask())
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in COMMON} == COMMON
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")

"""The HTTP routes: what pages do, by programs; roles, errors by name, and no secret in any answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gongshu.errors import GongshuError
from gongshu.gather.api import create_router
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from tests.integration.gather.conftest import Rooms

SOURCE = {
    "id": "mill-3",
    "connector": "modbus",
    "asset": "plant-1/mill-03",
    "config": {"host": "127.0.0.1", "port": 1, "timeout_s": 1, "tags": [{"name": "load", "address": 40}]},
}


@pytest_asyncio.fixture
async def client(rooms: Rooms) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()

    def subject_of(request: Request) -> Subject:
        role = Role(request.headers["x-role"])
        return Subject(SubjectId("user:zhang"), PartyId("urn:gongshu:party:test"), frozenset({role}))

    @app.exception_handler(GongshuError)
    async def problem(request: Request, error: GongshuError) -> JSONResponse:
        return JSONResponse({"code": error.code, "detail": str(error)}, error.status)

    app.include_router(create_router(rooms.sources, subject_of))
    transport = httpx.ASGITransport(app)
    headers = {"x-role": "engineer"}
    async with httpx.AsyncClient(transport=transport, base_url="http://node", headers=headers) as client:
        yield client


async def test_a_source_is_added_changed_stopped_and_removed(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/v1/sources", json=SOURCE)).status_code == 201
    (found,) = (await client.get("/api/v1/sources")).json()
    assert (found["id"], found["state"], found["added_by"]) == ("mill-3", "starting", "user:zhang")
    changed = (await client.put("/api/v1/sources/mill-3", json=SOURCE | {"title": "3 号铣床"})).json()
    assert (changed["title"], changed["revision"]) == ("3 号铣床", 2)
    assert (await client.post("/api/v1/sources/mill-3/stop")).status_code == 204
    assert (await client.get("/api/v1/sources/mill-3")).json()["state"] == "stopped"
    assert (await client.post("/api/v1/sources/mill-3/start")).status_code == 204
    assert (await client.get("/api/v1/sources/mill-3/losses")).json() == []
    assert (await client.delete("/api/v1/sources/mill-3")).status_code == 204
    assert (await client.get("/api/v1/sources/mill-3")).status_code == 404


async def test_a_viewer_sees_and_changes_nothing(client: httpx.AsyncClient) -> None:
    viewer = {"x-role": "viewer"}
    assert (await client.get("/api/v1/sources", headers=viewer)).status_code == 200
    refused = await client.post("/api/v1/sources", json=SOURCE, headers=viewer)
    assert (refused.status_code, refused.json()["code"]) == (403, "gather.not_allowed")
    assert (await client.get("/api/v1/sources", headers={"x-role": "partner"})).status_code == 403
    assert (await client.post("/api/v1/sources/probe", json=SOURCE, headers=viewer)).status_code == 403


async def test_probing_and_browsing_answer_with_our_errors(client: httpx.AsyncClient) -> None:
    unreachable = await client.post("/api/v1/sources/probe", json=SOURCE)
    assert (unreachable.status_code, unreachable.json()["code"]) == (503, "gather.unreachable")
    cannot = await client.post("/api/v1/sources/browse", json={"source": SOURCE})
    assert (cannot.status_code, cannot.json()["code"]) == (409, "gather.ability_missing")
    wrong = await client.post("/api/v1/sources", json=SOURCE | {"config": {"host": "h"}})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "gather.config_wrong")
    assert "'tags'" in wrong.json()["detail"]


@pytest.mark.disk
async def test_a_folder_is_probed_without_being_added(client: httpx.AsyncClient, tmp_path: Path) -> None:
    config = {"folder": str(tmp_path)}
    report = (await client.post("/api/v1/sources/probe", json=SOURCE | {"connector": "files", "config": config})).json()
    assert report["ok"]


async def test_the_form_comes_from_the_schema(client: httpx.AsyncClient) -> None:
    names = [one["name"] for one in (await client.get("/api/v1/connectors")).json()]
    assert {"modbus", "files"} <= set(names)
    schema = (await client.get("/api/v1/connectors/modbus/schema")).json()
    assert schema["properties"]["port"]["title_zh"] == "端口"
    assert (await client.get("/api/v1/connectors/telepathy/schema")).status_code == 404

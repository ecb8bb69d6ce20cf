"""The catalogue over HTTP: who may do what, and what a decision needs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.govern.api import create_router
from gongshu.govern.quality.service import QualityService
from gongshu.lake import Lake
from gongshu.model.access import Role, Subject
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.secure.errors import Denied
from tests.conftest import Clock
from tests.unit.govern.parts import Remembered, make_catalogue, packs, sighting

MILL = "/api/v1/catalogue/datasets/plant_1_line_1_mill_01"
DECISION = {"grade": 1, "importance": "general", "category": "production.working_condition", "reason": "seen"}


class Client:
    """Asks the application without a socket; the header `roles` says who asks."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str, *, headers: dict[str, str] | None = None) -> httpx.Response:
        return self._ask("GET", path, headers=headers or {"roles": "viewer"})

    def post(self, path: str, *, json: object, headers: dict[str, str] | None = None) -> httpx.Response:
        return self._ask("POST", path, json=json, headers=headers or {"roles": "viewer"})

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())


@pytest.fixture
def client(database: Database, clock: Clock, tmp_path: Path) -> Iterator[Client]:
    catalogue = make_catalogue(database, clock)
    catalogue.register_series([sighting(), sighting("recipe_id", unit="")])
    lake = Lake.open(log_file=tmp_path / "log.db", warehouse=tmp_path / "warehouse")
    quality = QualityService(database, lake, catalogue, packs(), Remembered(), clock)

    def subject_of(request: Request) -> Subject:
        roles = frozenset(Role(name) for name in request.headers["roles"].split())
        return Subject(SubjectId("user:li"), PartyId("urn:gongshu:party:mill"), roles)

    def answer(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, GongshuError)
        return JSONResponse({"code": error.code, "detail": str(error)}, error.status)

    app = FastAPI()
    app.add_exception_handler(GongshuError, answer)

    def require_whole(subject: Subject, dataset_id: DatasetId) -> None:
        if Role.ANALYST in subject.roles or dataset_id == "recipes":
            raise Denied(
                subject=subject.subject_id,
                action="aggregate",
                object=dataset_id,
                purpose="quality",
                reasons="x",
                ask="y",
            )

    app.include_router(create_router(catalogue, quality, packs(), subject_of, require_whole))
    yield Client(app)
    lake.close()


STEWARD = {"roles": "steward"}


@pytest.mark.parametrize("rest", ["", "/proposal", "/parts", "/history", "/expectations"])
def test_a_viewer_sees_every_side_of_an_entry_and_a_partner_none(client: Client, rest: str) -> None:
    assert client.get(MILL + rest).status_code == 200
    refused = client.get(MILL + rest, headers={"roles": "partner"})
    assert (refused.status_code, refused.json()["code"]) == (403, "govern.role_missing")


@pytest.mark.parametrize("path", ["/catalogue/datasets", "/catalogue/assets", "/catalogue/reviews", "/packs"])
def test_lists_are_for_the_nodes_own_people(client: Client, path: str) -> None:
    assert client.get(f"/api/v1{path}").json()
    assert client.get(f"/api/v1{path}", headers={"roles": "partner"}).status_code == 403


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.STEWARD}))
def test_only_a_steward_confirms(client: Client, role: Role) -> None:
    refused = client.post(f"{MILL}/confirm", json=DECISION, headers={"roles": role.value})
    assert refused.status_code == 403
    assert "steward" in refused.json()["detail"]
    assert client.get(MILL).json()["standing"] == "proposed"


def test_a_stewards_confirmation_holds_for_a_year(client: Client) -> None:
    confirmed = client.post(f"{MILL}/confirm", json=DECISION, headers=STEWARD).json()
    assert (confirmed["standing"], confirmed["grade_term"]) == ("confirmed", "一级")
    assert confirmed["valid_until"] == "2027-11-02T08:00:00+00:00"
    assert client.get(f"{MILL}/history").json()[0]["actor"] == "user:li"


def test_a_downgrade_without_a_reason_says_what_it_is_below(client: Client) -> None:
    refused = client.post(f"{MILL}/confirm", json=DECISION | {"reason": ""}, headers=STEWARD)
    assert (refused.status_code, refused.json()["code"]) == (400, "govern.reason_missing")
    assert "二级" in refused.json()["detail"]


@pytest.mark.parametrize("wrong", [{"grade": 4}, {"importance": "secret"}, {"colour": "red"}])
def test_a_decision_that_makes_no_sense_is_refused(client: Client, wrong: dict[str, object]) -> None:
    assert client.post(f"{MILL}/confirm", json=DECISION | wrong, headers=STEWARD).status_code == 422


def test_parts_owners_and_many_at_once(client: Client) -> None:
    part = client.post(f"{MILL}/parts/spindle_load/confirm", json=DECISION | {"grade": 3}, headers=STEWARD)
    assert part.json()["grade"] == 3
    assert client.post(f"{MILL}/confirm", json=DECISION, headers=STEWARD).json()["code"] == "govern.grade_below_parts"
    assert client.post(f"{MILL}/owner", json={"owner": "wang"}, headers=STEWARD).json()["owner"] == "wang"
    many = {"dataset_ids": ["plant_1_line_1_mill_01"], "reason": "all fine"}
    assert (
        client.post("/api/v1/catalogue/confirmations", json=many, headers=STEWARD).json()[0]["standing"] == "confirmed"
    )


def test_a_state_secret_disappears(client: Client) -> None:
    said = client.post(f"{MILL}/state-secret", json={"reason": "found"}, headers={"roles": "security_admin"})
    assert said.status_code == 204
    assert client.get(MILL).json()["code"] == "govern.state_secret_declared"
    assert client.get("/api/v1/catalogue/datasets").json() == []


def test_the_list_is_exported_to_the_steward(client: Client) -> None:
    sheet = client.get("/api/v1/catalogue/export", headers=STEWARD)
    assert "工业" not in sheet.headers["content-disposition"]
    assert "生产数据域" in sheet.content.decode("utf-8-sig")
    assert client.get("/api/v1/catalogue/export?format=xlsx", headers=STEWARD).content[:2] == b"PK"
    assert client.get("/api/v1/catalogue/export").status_code == 403


def test_quality_is_declared_and_missing_reports_are_told(client: Client) -> None:
    assert client.get(f"{MILL}/quality").json()["code"] == "govern.quality_unknown"
    rule = {"part": "spindle_load", "kind": "bounds", "spec": {"low": 0, "high": 150}}
    assert client.post(f"{MILL}/expectations", json=rule, headers={"roles": "engineer"}).status_code == 204
    assert client.get(f"{MILL}/expectations").json() == [rule]
    wrong = rule | {"spec": {"low": "x"}}
    refused = client.post(f"{MILL}/expectations", json=wrong, headers={"roles": "engineer"})
    assert refused.json()["code"] == "govern.expectation_invalid"
    assert client.post(f"{MILL}/quality", json={}).status_code == 403


def test_every_number_is_listed_with_its_source(client: Client) -> None:
    items = client.get("/api/v1/packs/items").json()
    assert len(items) == sum(1 for _ in packs().items())
    unsure = client.get("/api/v1/packs/items?pack=industrial-data-grading&confidence=to_be_confirmed").json()
    assert {item["confidence"] for item in unsure} == {"to_be_confirmed"}
    assert any(item["key"] == "condition.3.1" for item in unsure)


def test_an_unknown_dataset_is_not_found(client: Client) -> None:
    assert client.get("/api/v1/catalogue/datasets/nothing").status_code == 404


def test_who_may_not_see_a_dataset_whole_neither_judges_it_nor_declares_its_rules(client: Client) -> None:
    rule = {"part": "recipe_id", "kind": "codes", "spec": {"codes": ["guess"]}}
    analyst = {"roles": "analyst"}
    for path, body in ((f"{MILL}/expectations", rule), (f"{MILL}/quality", {})):
        refused = client.post(path, json=body, headers=analyst)
        assert (refused.status_code, refused.json()["code"]) == (403, "secure.denied")
    assert client.get(f"{MILL}/expectations").json() == []


def test_a_reference_asks_for_the_dataset_it_refers_to(client: Client) -> None:
    engineer = {"roles": "engineer"}
    rule = {"part": "recipe_id", "kind": "reference", "spec": {"dataset": "recipes", "column": "secret"}}
    refused = client.post(f"{MILL}/expectations", json=rule, headers=engineer)
    assert (refused.status_code, refused.json()["code"]) == (403, "secure.denied")
    assert client.get(f"{MILL}/expectations").json() == []

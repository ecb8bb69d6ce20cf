"""The room's HTTP routes, put together as the node does."""

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gongshu.audit_verifier import verify
from gongshu.errors import GongshuError
from gongshu.model.access import Role
from gongshu.secure.api import ARROW_STREAM, create_router, subject_dependency
from gongshu.secure.identity import IdentityService
from gongshu.secure.identity.passwords import Passwords
from tests.integration.secure.conftest import OWN, Plant

PASSWORD = "correct horse battery"
NAMES = {
    "root": Role.SYSTEM_ADMIN,
    "sec": Role.SECURITY_ADMIN,
    "auditor": Role.AUDIT_ADMIN,
    "li": Role.ENGINEER,
    "guest": Role.VIEWER,
}


class Client:
    """Asks an application without a socket."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=("10.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@pytest.fixture(scope="module")
def identity(plant: Plant) -> IdentityService:
    cheap = Passwords(memory_kib=64, passes=1, lanes=1)
    identity = IdentityService(plant.database, plant.audit, plant.clock, own_party_id=OWN, passwords=cheap)
    for name, role in NAMES.items():
        if name != "root":
            identity.create_account(name, PASSWORD, {role}, actor="system:test")
    return identity


@pytest.fixture(scope="module")
def client(plant: Plant, identity: IdentityService) -> Client:
    app = FastAPI()

    @app.exception_handler(GongshuError)
    def answer(request: Request, error: GongshuError) -> JSONResponse:
        return JSONResponse({"code": error.code, "detail": str(error)}, status_code=error.status)

    subject_of = subject_dependency(identity)
    app.include_router(create_router(identity, plant.gate, plant.policies, plant.audit, subject_of))
    client, code = Client(app), identity.first_link()
    made = client.post("/api/v1/first-account", json={"code": code, "name": "root", "password": PASSWORD})
    assert (made.status_code, made.json()["roles"]) == (201, ["system_admin"])
    return client


def signed_in(client: Client, name: str) -> dict[str, str]:
    answer = client.post("/api/v1/login", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_signing_in_and_out(client: Client) -> None:
    headers = signed_in(client, "li")
    assert client.get("/api/v1/me", headers=headers).json() == {
        "subject_id": "user:li",
        "party_id": OWN,
        "roles": ["engineer"],
        "attributes": {},
    }
    assert client.post("/api/v1/logout", headers=headers).status_code == 204
    assert client.get("/api/v1/me", headers=headers).status_code == 401


def test_a_wrong_password_and_a_spent_code_are_401(client: Client) -> None:
    wrong = client.post("/api/v1/login", json={"name": "guest", "password": "not this one"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "secure.login_failed")
    spent = client.post("/api/v1/first-account", json={"code": "x", "name": "other", "password": PASSWORD})
    assert spent.status_code == 401


ROUTES: list[tuple[str, str, dict[str, Any] | None, set[str]]] = [
    ("GET", "/api/v1/me", None, set(NAMES)),
    ("GET", "/api/v1/accounts", None, {"root", "sec"}),
    ("POST", "/api/v1/accounts", {"name": "guest", "password": PASSWORD, "roles": ["viewer"]}, {"root"}),
    ("POST", "/api/v1/sql", {"sql": "SELECT count(*) AS n FROM orders", "purpose": "x"}, {"li"}),
    ("GET", "/api/v1/audit", None, {"auditor"}),
    ("GET", "/api/v1/audit/checkpoint", None, {"auditor"}),
    ("GET", "/api/v1/audit/export", None, {"auditor"}),
    ("GET", "/api/v1/policies", None, {"sec", "auditor"}),
    ("POST", "/api/v1/policies/check", {"text": "nonsense"}, {"sec"}),
    ("POST", "/api/v1/policies", {"text": "nonsense"}, {"sec"}),
    (
        "POST",
        "/api/v1/policies/explain",
        {"subject_id": "user:x", "roles": ["analyst"], "dataset_id": "orders"},
        {"sec"},
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "allowed"), ROUTES)
def test_each_route_serves_its_roles_and_nobody_else(
    client: Client, method: str, path: str, body: dict[str, Any] | None, allowed: set[str]
) -> None:
    assert client.request(method, path, json=body).status_code == 401
    assert client.request(method, path, json=body, headers={"Authorization": "Bearer gs_made_up"}).status_code == 401
    for name in NAMES:
        answer = client.request(method, path, json=body, headers=signed_in(client, name))
        assert (answer.status_code != 403) == (name in allowed), (name, answer.text)
        if name not in allowed:
            assert set(answer.json()) == {"code", "detail"}


def test_every_route_stands_in_the_table(client: Client) -> None:
    schema: dict[str, dict[str, Any]] = client.get("/openapi.json").json()["paths"]
    open_to_all = {("POST", "/api/v1/login"), ("POST", "/api/v1/first-account"), ("POST", "/api/v1/logout")}
    routes = {(method.upper(), path) for path, methods in schema.items() for method in methods}
    assert routes - open_to_all == {(method, path) for method, path, _, _ in ROUTES}


def test_sql_answers_in_json_and_arrow(client: Client) -> None:
    headers = signed_in(client, "li")
    body = {"sql": 'SELECT customer, amount, "at" FROM orders ORDER BY amount', "purpose": "x", "rows_max": 2}
    answer = client.post("/api/v1/sql", json=body, headers=headers).json()
    assert answer["rows"][0] == {"customer": "HIDDENROW", "amount": 75.0, "at": "2026-11-01T00:33:00+00:00"}
    assert [column["name"] for column in answer["columns"]] == ["customer", "amount", "at"]
    assert answer["truncated"] is True
    stream = client.post("/api/v1/sql", json=body, headers=headers | {"Accept": ARROW_STREAM})
    assert stream.headers["content-type"] == ARROW_STREAM
    table = pa.ipc.open_stream(io.BytesIO(stream.content)).read_all()
    assert table["amount"].to_pylist() == [75.0, 250.0]
    assert int(stream.headers["x-gongshu-audit-index"]) > answer["audit_index"]


@pytest.mark.parametrize(
    ("sql", "status"),
    [
        ("SELECT * FROM WHERE (", 400),
        ("SELECT * FROM read_csv('/etc/passwd')", 403),
        ("SELECT * FROM nothing_here", 403),
    ],
)
def test_refused_sql_has_its_status(client: Client, sql: str, status: int) -> None:
    answer = client.post("/api/v1/sql", json={"sql": sql, "purpose": "x"}, headers=signed_in(client, "li"))
    assert answer.status_code == status


def test_odd_values_survive_json(client: Client) -> None:
    sql = "SELECT make_date(250000, 1, 1) AS far, 1::DECIMAL(9, 2) AS money, 'NaN'::DOUBLE AS nan, 1 AS a, 2 AS a"
    answer = client.post(
        "/api/v1/sql", json={"sql": f"{sql} FROM orders", "purpose": "x"}, headers=signed_in(client, "li")
    )
    row = answer.json()["rows"][0]
    assert (row["money"], row["nan"], row["a"], row["a_2"]) == ("1.00", None, 1, 2)
    assert isinstance(row["far"], str)


def test_the_export_verifies(client: Client, plant: Plant, tmp_path: Path) -> None:
    for _ in range(5):
        client.post(
            "/api/v1/sql", json={"sql": "SELECT 1 FROM orders", "purpose": "x"}, headers=signed_in(client, "li")
        )
    answer = client.get("/api/v1/audit/export", headers=signed_in(client, "auditor"))
    report = verify(io.BytesIO(answer.content), fingerprint=plant.keys.fingerprint())
    assert report.records > 0
    listed = client.get("/api/v1/audit?action=read.*&limit=5", headers=signed_in(client, "auditor")).json()
    assert len(listed) == 5
    assert all(entry["action"].startswith("read.") for entry in listed)


def test_a_faulty_policy_is_refused_with_its_line(client: Client) -> None:
    headers = signed_in(client, "sec")
    text = '\n@id("mine") permit (principal, action, resource) when { resource.nonsense };'
    faults = client.post("/api/v1/policies/check", json={"text": text}, headers=headers).json()
    assert faults[0]["line"] == 2
    answer = client.post("/api/v1/policies", json={"text": text}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "secure.policy_invalid")
    assert "line 2" in answer.json()["detail"]


def test_an_explanation_names_the_policies(client: Client) -> None:
    body = {"subject_id": "user:x", "roles": ["partner"], "party_id": "urn:x", "dataset_id": "orders"}
    answer = client.post("/api/v1/policies/explain", json=body, headers=signed_in(client, "sec")).json()
    assert answer["permitted"] is False
    assert "partner-needs-agreement" in answer["because"]
    assert answer["ask"]

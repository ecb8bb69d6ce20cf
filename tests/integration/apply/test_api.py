"""The apps over HTTP."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from gongshu.apply.api import create_router
from gongshu.apply.errors import InputsNotMet, NotForOthers
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from tests.integration.apply.conftest import SPAN_S, START, STEWARD, Stack

SPAN = {"start": START.isoformat(), "end": (START + timedelta(seconds=SPAN_S)).isoformat()}


EARLY = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}


def client_of(stack: Stack, subject: Subject = STEWARD) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(create_router(stack.apps, lambda: subject))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://node")


async def test_from_the_list_to_an_opened_figure(stack: Stack) -> None:
    client = client_of(stack)
    (oee,) = [app for app in (await client.get("/api/v1/apps")).json() if app["name"] == "oee"]
    assert oee["outputs"][0]["schema"]["availability"] == "double"
    assert (await client.get("/api/v1/apps/oee")).json() == oee
    bindings = (await client.get("/api/v1/apps/oee/bindings", params={"below": stack.asset("mill-01")})).json()
    assert len(bindings) == 1
    findings = (await client.post("/api/v1/apps/oee/check", json={**SPAN, "bindings": bindings})).json()
    assert not [f for f in findings if f["stops"]]
    body = {**SPAN, "bindings": bindings, "params": {"bucket_s": 60}}
    made = await client.post("/api/v1/apps/oee/runs", json=body)
    assert made.status_code == 201
    run = made.json()
    assert (await client.get(f"/api/v1/apps/runs/{run['run_id']}")).json() == run
    listed = (await client.get("/api/v1/apps/runs", params={"app": "oee"})).json()
    assert [r["run_id"] for r in listed] == [run["run_id"]]
    answer = await client.get(
        f"/api/v1/apps/runs/{run['run_id']}/figure",
        params={"asset": stack.asset("mill-01"), "figure": "effectiveness"},
    )
    opened = answer.json()
    assert opened["figure"]["formula"] == "E = PRI × PQ / APT"
    assert [term["term"]["symbol"] for term in opened["terms"]] == ["PRI × PQ", "APT"]
    assert all("SELECT" in term["query"] for term in opened["terms"])


async def test_wrong_input_is_refused(stack: Stack) -> None:
    client = client_of(stack)
    assert (await client.post("/api/v1/apps/oee/check", json={**SPAN, "colour": 1})).status_code == 422
    with pytest.raises(InputsNotMet):
        await client.post("/api/v1/apps/oee/runs", json=EARLY)


async def test_other_organisations_see_nothing(stack: Stack) -> None:
    other = Subject(SubjectId("partner:x"), PartyId("urn:gongshu:party:x"), frozenset({Role.PARTNER}))
    client = client_of(stack, other)
    for path in ("/api/v1/apps", "/api/v1/apps/oee", "/api/v1/apps/oee/bindings", "/api/v1/apps/runs"):
        with pytest.raises(NotForOthers):
            await client.get(path)
    with pytest.raises(NotForOthers):
        await client.post("/api/v1/apps/oee/runs", json=SPAN)

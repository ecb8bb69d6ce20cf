"""Key changes by commands and over HTTP on a node, by people who have to agree."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gongshu.model.access import Role
from gongshu.model.ids import PartyId, SubjectId
from gongshu.secure.api import subject_dependency
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party
from gongshu.share.key_changes.api import create_key_changes_router
from tests.integration.share.offices import Office
from tests.integration.share.site import new_app

PATH = "/api/v1/share/key-changes"


class Desk:
    """A node with three people: li asks, zhao (security) and wang (a steward) can confirm, chen only looks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.office = Office(folder / "mill", "mill")
        self.node = self.office.node
        self.tokens = {"li": self.office.token}
        for name, role in (("zhao", Role.SECURITY_ADMIN), ("wang", Role.STEWARD), ("chen", Role.VIEWER)):
            self.node.identity.create_account(name, "correct horse battery 8", [role], actor=SubjectId("user:li"))
            self.tokens[name] = self.node.identity.login(name, "correct horse battery 8")
        self._app = new_app()
        self._app.include_router(create_key_changes_router(self.node.share, subject_dependency(self.node.identity)))

    def run(self, name: str, *arguments: str, ok: bool = True) -> str:
        """Give one command as this person."""
        self.office.token = self.tokens[name]
        return self.office.run("key-change", *arguments, ok=ok)

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        self.office.token = self.tokens["li"]
        return self.office.rows("key-change", "list", *arguments)

    def ask(self, name: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask over HTTP as this person, nobody if the name is empty."""
        headers = {"Authorization": f"Bearer {self.tokens[name]}"} if name else {}

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://mill") as client:
                return await client.request(method, PATH + path, json=body, headers=headers)

        return asyncio.run(call())

    def partner(self, name: str) -> "Partner":
        """A partner in a group, at a place, that has another key since."""
        first, second = (KeyStore(self.folder / f"{name}-{number}") for number in (1, 2))
        party = Party(PartyId(f"urn:gongshu:party:{name}"), "", first.public_key_pem(), "http://127.0.0.1:1")
        li = self.node.identity.subject_of(self.tokens["li"])
        self.node.parties.add(party)
        self.node.share.desk.add_to_group("suppliers", [party.party_id], li)
        self.node.share.desk.register_place(party.party_id, "CN-33", "test", li)
        self.node.parties.replace(replace(party, public_key_pem=second.public_key_pem()))
        return Partner(party.party_id, first.fingerprint(), second.fingerprint())

    def counts(self, party: PartyId) -> bool:
        """True if the group counts the party."""
        li = self.node.identity.subject_of(self.tokens["li"])
        return any(party in group.members for group in self.node.share.desk.groups(li))


@dataclass(frozen=True)
class Partner:
    party: PartyId
    former: str
    current: str


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("key_changes"))
    yield made
    made.office.close()


def change_in(said: str) -> str:
    return said.split("key change ")[1].split(" ")[0]


def test_two_people_let_it_go_on_by_commands(desk: Desk) -> None:
    shop = desk.partner("shop")
    (waiting,) = [each for each in desk.rows("--waiting") if each["party_id"] == shop.party]
    assert (waiting["former"], waiting["current"]) == (f"key {shop.former}", f"key {shop.current}")
    assert (waiting["groups"], waiting["places"], waiting["agreements"]) == (["suppliers"], ["CN-33"], [])
    assert "suppliers" in desk.run("li", "list", "--waiting")
    change = change_in(desk.run("li", "request", shop.party, "--reason", "new machine"))
    assert not desk.counts(shop.party)
    assert "same person" in desk.run("li", "confirm", change, "--fingerprint", shop.current, ok=False)
    assert "fingerprint is not" in desk.run("zhao", "confirm", change, "--fingerprint", shop.former, ok=False)
    assert "fingerprint is not" in desk.run("zhao", "confirm", change, "--fingerprint", "", ok=False)
    assert "needs the role" in desk.run("chen", "confirm", change, "--fingerprint", shop.current, ok=False)
    assert not desk.counts(shop.party), "nothing of that opened anything"
    assert "goes on with" in desk.run("zhao", "confirm", change, "--fingerprint", shop.current)
    assert desk.counts(shop.party)
    assert "confirmed already" in desk.run("wang", "refuse", change, ok=False)
    assert [each["outcome"] for each in desk.rows() if each["change_id"] == change] == ["confirmed"]
    assert [each for each in desk.rows("--waiting") if each["party_id"] == shop.party] == []


def test_a_refused_one_opens_nothing_and_can_be_asked_for_anew(desk: Desk) -> None:
    forge = desk.partner("forge")
    change = change_in(desk.run("li", "request", forge.party, "--reason", "new machine"))
    assert "is refused" in desk.run("wang", "refuse", change)
    assert "refused already" in desk.run("zhao", "confirm", change, "--fingerprint", forge.current, ok=False)
    assert not desk.counts(forge.party)
    assert change_in(desk.run("li", "request", forge.party, "--reason", "asked again")) != change


def test_what_cannot_be_asked_for_is_said(desk: Desk) -> None:
    nobody = "urn:gongshu:party:nobody"
    assert f"There is no party '{nobody}'" in desk.run("li", "request", nobody, "--reason", "x", ok=False)
    dock = desk.partner("dock")
    other = ("--reason", "x", "--former", "key sha256:other")
    assert "name one" in desk.run("li", "request", dock.party, *other, ok=False)
    assert "needs the role" in desk.run("chen", "request", dock.party, "--reason", "x", ok=False)
    assert "urn:uuid:none" in desk.run("zhao", "confirm", "urn:uuid:none", "--fingerprint", "x", ok=False)
    desk.run("li", "request", dock.party, "--reason", "x")
    desk.node.parties.remove(dock.party)
    (change,) = [each["change_id"] for each in desk.rows() if each["party_id"] == dock.party]
    assert dock.party in desk.run("zhao", "confirm", change, "--fingerprint", dock.current, ok=False)


def test_the_same_over_http(desk: Desk) -> None:
    mine = desk.partner("mine")
    body = {"party": mine.party, "reason": "new machine"}
    asked = desk.ask("li", "POST", "", body)
    assert asked.status_code == 201
    change = asked.json()["change_id"]
    found = desk.ask("chen", "GET", "").json()
    assert change in [each["change_id"] for each in found["requests"]]
    assert mine.party in [each["party_id"] for each in found["stranded"]]
    right, wrong = {"fingerprint": mine.current}, {"fingerprint": mine.former}
    for name, given, status, code in (
        ("li", right, 403, "share.key_change_refused"),
        ("zhao", wrong, 403, "share.key_change_refused"),
        ("chen", right, 403, "secure.not_allowed"),
        ("", right, 401, "secure.token_rejected"),
    ):
        answer = desk.ask(name, "POST", f"/{change}/confirm", given)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not desk.counts(mine.party)
    assert desk.ask("zhao", "POST", f"/{change}/confirm", right).json()["outcome"] == "confirmed"
    assert desk.counts(mine.party)
    assert desk.ask("wang", "POST", f"/{change}/refuse").status_code == 403


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("", {"party": "urn:gongshu:party:nobody", "reason": "x"}, 404),
        ("", {"party": "urn:gongshu:party:nobody\u0000", "reason": "x"}, 404),
        ("", {"party": "urn:gongshu:party:mill", "reason": ""}, 422),
        ("", {"party": "x" * 201, "reason": "x"}, 422),
        ("", {"party": "x", "reason": "x", "more": 1}, 422),
        ("/urn:uuid:none/confirm", {"fingerprint": "x"}, 404),
        ("/urn:uuid:none/confirm", {"fingerprint": "x" * 401}, 422),
        ("/urn:uuid:none/confirm", [], 422),
        ("/%00/confirm", {"fingerprint": "x"}, 404),
    ],
)
def test_hostile_words_change_nothing(desk: Desk, path: str, body: Any, status: int) -> None:
    before = desk.rows()
    assert desk.ask("wang", "POST", path, body).status_code == status
    assert desk.rows() == before

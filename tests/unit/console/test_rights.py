"""An open page asks as the one it was built for, or not at all."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from nicegui import run

from gongshu.console.frame import RightsChanged, View
from gongshu.console.session import Taste
from gongshu.console.texts import Language, read_texts
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId


def person(*roles: Role, name: str = "li") -> Subject:
    return Subject(SubjectId(f"user:{name}"), PartyId("urn:gongshu:party:mill"), frozenset(roles))


@pytest.fixture(autouse=True)
def in_this_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(work: Any) -> Any:
        return work()

    monkeypatch.setattr(run, "io_bound", call)


def view(built_for: Subject, asking: Subject) -> View:
    node: Any = SimpleNamespace(identity=SimpleNamespace(subject_of=lambda _: asking))
    request: Any = SimpleNamespace(cookies={})
    return View(node, request, built_for, Taste(Language.EN, is_dark=False), read_texts())


def test_a_page_asks_while_the_rights_stay() -> None:
    assert asyncio.run(view(person(Role.SECURITY_ADMIN), person(Role.SECURITY_ADMIN)).ask(lambda: 7)) == 7


@pytest.mark.parametrize("now", [person(Role.VIEWER), person(Role.SECURITY_ADMIN, Role.STEWARD), person(name="wu")])
def test_a_page_that_was_opened_with_other_rights_does_nothing(now: Subject) -> None:
    done: list[int] = []
    with pytest.raises(RightsChanged):
        asyncio.run(view(person(Role.SECURITY_ADMIN), now).ask(done.append, 1))
    assert done == []

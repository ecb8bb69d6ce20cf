"""Writes that come at the same time share a transaction; one that fails takes nothing of the others with it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.secure.tables import peer_token_ids
from gongshu.together import Together
from tests.conftest import Clock


class Counted:
    """A database's transactions, counted; whoever comes while the first one is held gathers behind it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.transactions = 0
        self.together = Together(database, self.begin)
        self.failed: list[str] = []

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        self.transactions += 1
        with self.database.begin() as connection:
            yield connection

    def use(self, token: str) -> None:
        values = {"issuer": "urn:mill", "jti": token, "expires_at": self.clock()}
        try:
            self.together.do(lambda connection: connection.execute(sa.insert(peer_token_ids), values).rowcount)
        except sa.exc.IntegrityError:
            self.failed.append(token)

    def use_behind_one(self, *tokens: str) -> None:
        """Use these while another piece of work holds the disk."""
        is_held, go_on = threading.Event(), threading.Event()

        def hold(connection: sa.Connection) -> None:
            is_held.set()
            assert go_on.wait(30)

        threads = [threading.Thread(target=self.together.do, args=(hold,))]
        threads[0].start()
        assert is_held.wait(30)
        threads += [threading.Thread(target=self.use, args=(token,)) for token in tokens]
        for thread in threads[1:]:
            thread.start()
        until(lambda: len(self.together._waiting) == len(tokens))
        go_on.set()
        for thread in threads:
            thread.join(30)

    def kept(self) -> list[str]:
        with self.database.connect() as connection:
            return sorted(connection.execute(sa.select(peer_token_ids.c.jti)).scalars())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def counted(database: Database, clock: Clock) -> Counted:
    return Counted(database, clock)


def test_those_who_wait_share_one_transaction(counted: Counted) -> None:
    counted.use_behind_one("a", "b", "c")
    assert (counted.kept(), counted.transactions) == (["a", "b", "c"], 2)


def test_who_comes_alone_goes_alone(counted: Counted) -> None:
    counted.use("a")
    counted.use("b")
    assert (counted.kept(), counted.transactions) == (["a", "b"], 2)


def test_one_that_fails_fails_for_itself_and_the_others_are_kept(counted: Counted) -> None:
    counted.use("b")
    counted.use_behind_one("a", "b", "c")
    assert (counted.kept(), counted.failed) == (["a", "b", "c"], ["b"])


def test_of_two_that_exclude_each_other_one_is_kept(counted: Counted) -> None:
    counted.use_behind_one("a", "a")
    assert (counted.kept(), counted.failed) == (["a"], ["a"])


def carry(counted: Counted, token: str, *, fails: bool = False) -> None:
    """Do a piece of work while a token is carried, as a request does."""

    def use(connection: sa.Connection) -> None:
        values = {"issuer": "urn:mill", "jti": token, "expires_at": counted.clock()}
        connection.execute(sa.insert(peer_token_ids), values)

    def work(connection: sa.Connection) -> None:
        values = {"issuer": "urn:mill", "jti": f"{token}'s work", "expires_at": counted.clock()}
        connection.execute(sa.insert(peer_token_ids), values)
        assert not fails, "refused"

    with counted.database.carrying():
        assert counted.database.carry(use)
        counted.together.do(work)


def test_what_is_carried_is_kept_with_the_work(counted: Counted) -> None:
    carry(counted, "a")
    assert (counted.kept(), counted.transactions) == (["a", "a's work"], 1)
    assert not counted.database.carry(lambda connection: connection.close())


def test_what_is_carried_is_kept_though_the_work_is_refused(counted: Counted) -> None:
    with pytest.raises(AssertionError, match="refused"):
        carry(counted, "a", fails=True)
    assert counted.kept() == ["a"]


def test_what_is_carried_is_kept_though_there_was_no_work(counted: Counted) -> None:
    with counted.database.carrying():
        values = {"issuer": "urn:mill", "jti": "a", "expires_at": counted.clock()}
        assert counted.database.carry(lambda connection: connection.execute(sa.insert(peer_token_ids), values).close())
    assert counted.kept() == ["a"]


def test_work_is_not_kept_if_what_is_carried_cannot_be(counted: Counted) -> None:
    counted.use("a")
    with pytest.raises(sa.exc.IntegrityError):
        carry(counted, "a")
    assert counted.kept() == ["a"]

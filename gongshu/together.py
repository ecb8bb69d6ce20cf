"""Short writes of several threads in one transaction: while one waits for the disk, the others gather for the next.

Nobody waits for company: who comes alone goes alone. This module must not know what anybody writes.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from gongshu.database import Database

T = TypeVar("T")

TOGETHER_MAX = 16
"""Pieces of work in one transaction, so that those behind it need not wait long. Ours."""


class _Piece:
    """What one thread wants to write."""

    def __init__(self, work: Callable[[sa.Connection], Any]) -> None:
        self.work = work
        self.result: Any = None
        self.is_taken = self.is_kept = False


class Together:
    """Puts what threads write at the same time into one transaction, on SQLite, where they would wait for each other.

    On PostgreSQL each has its own: there they are kept side by side, and rows locked for several could lock out others.
    """

    def __init__(self, database: Database, begin: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._database = database
        self._begin = begin
        self._is_shared = database.is_sqlite
        self._waiting: list[_Piece] = []
        self._leading = threading.Lock()

    def do(self, work: Callable[[sa.Connection], T]) -> T:
        """Do the work in a transaction, and return its result when that is kept.

        The work may be done twice, the first time without being kept, and in another thread: it changes nothing but
        the database. If any piece of a common transaction fails, each gets one of its own, and fails for itself.
        What the thread carries (`Database.carrying`) is written first, and kept or lost with the work.
        """
        carried = list(self._database.carried or ())
        piece = _Piece(partial(_one_after_the_other, carried, work) if carried else work)
        if self._is_shared:
            self._waiting.append(piece)
            with self._leading:
                while not piece.is_taken:
                    self._keep(self._take())
        if not piece.is_kept:
            with self._begin() as connection:
                piece.result = piece.work(connection)
        if carried and self._database.carried is not None:
            self._database.carried.clear()
        result: T = piece.result
        return result

    def _take(self) -> list[_Piece]:
        """Return the pieces whose turn it is; only who leads takes any."""
        pieces = self._waiting[:TOGETHER_MAX]
        del self._waiting[: len(pieces)]
        for piece in pieces:
            piece.is_taken = True
        return pieces

    def _keep(self, pieces: list[_Piece]) -> None:
        """Do these pieces in one transaction. A single one is the leader's own, and fails for it alone."""
        with suppress(*(Exception,) if len(pieces) > 1 else ()):  # whatever it is, it is for its own thread to raise
            with self._begin() as connection:
                for piece in pieces:
                    piece.result = piece.work(connection)
            for piece in pieces:
                piece.is_kept = True


def _one_after_the_other(
    carried: Sequence[Callable[[sa.Connection], None]], work: Callable[[sa.Connection], T], connection: sa.Connection
) -> T:
    for each in carried:
        each(connection)
    return work(connection)

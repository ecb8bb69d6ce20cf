"""The SQLite log keeps the contract of logs."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gongshu.lake.ports import Log
from gongshu.lake.sqlite_log import SqliteLog
from gongshu.testing.log_contract import LogContract, LogRig


class SqliteRig(LogRig):
    def __init__(self, folder: Path) -> None:
        self._file = folder / "log.db"

    @property
    def opener(self) -> Callable[[], Log]:
        return partial(SqliteLog, self._file)

    def open_bounded(self, size_max_bytes: int) -> Log:
        return SqliteLog(self._file, size_max_bytes=size_max_bytes)

    def damage(self, offset: int) -> None:
        with sqlite3.connect(self._file) as connection:
            payload = connection.execute("SELECT payload FROM entry WHERE offset = ?", (offset,)).fetchone()[0]
            hurt = bytes([payload[0] ^ 1]) + payload[1:]
            connection.execute("UPDATE entry SET payload = ? WHERE offset = ?", (hurt, offset))
        connection.close()


class TestSqliteLog(LogContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> SqliteRig:
        return SqliteRig(tmp_path)

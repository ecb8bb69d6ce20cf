"""The metadata database: one set of tables for the whole node, on SQLite or PostgreSQL.

Every room declares its tables in `<room>/tables.py` on `metadata` and opens transactions with `Database.begin`.
Schema changes are Alembic revisions in `gongshu/migrations`; `prepare` brings a database to the newest one.
This module must not know what any table means.
"""

import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import sqlalchemy as sa
import sqlalchemy.orm  # the lake's library needs it; half loaded in one thread, it makes statements of all others fail
from sqlalchemy import event
from sqlalchemy.types import TypeDecorator

from gongshu.postgres import one_by_one, tend_connections

if TYPE_CHECKING:
    from alembic.config import Config

P = ParamSpec("P")
T = TypeVar("T")

ROOMS_WITH_TABLES = (
    "gongshu.govern.tables",
    "gongshu.secure.tables",
    "gongshu.gather.tables",
    "gongshu.share.tables",
    "gongshu.share.contract_tables",
    "gongshu.share.crawl.tables",
    "gongshu.share.spaces.tables",
    "gongshu.share.evidence.tables",
    "gongshu.share.keeping.tables",
    "gongshu.apply.tables",
    "gongshu.hub.tables",
)

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_MS = 30_000
"""Longest wait for another writer."""
RACES_MAX = 9
"""How often a writer that was overtaken begins anew. Ours: each time one of the others has finished."""
CONNECTIONS_KEPT = 16
"""Open connections of a process. Beyond SQLAlchemy's 5 each would be opened, set up and closed for one statement."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PREPARING = threading.Lock()
"""Alembic keeps its context in module variables, so threads of one process take turns."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as microseconds since 1970 so that both databases sort and compare it alike."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """Return microseconds; a naive time is a mistake of ours and raises."""
        if value is None:
            return None
        assert value.tzinfo is not None, "times are aware UTC"
        delta = value - _EPOCH
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Return the aware UTC time."""
        if value is None:
            return None
        return _EPOCH + timedelta(microseconds=value)


class Database:
    """A connection pool with the rules of the house: foreign keys on, waits instead of 'locked', full sync."""

    def __init__(self, url: str) -> None:
        self.url = url
        pool = {} if ":memory:" in url else {"pool_size": CONNECTIONS_KEPT}
        self.engine = sa.create_engine(url, hide_parameters=True, **pool)
        self._turn = threading.RLock()
        self._local = threading.local()
        if self.is_sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_immediately)
        else:
            tend_connections(self.engine)
        self._reading = self.engine.execution_options(gongshu_read_only=True)

    @property
    def is_sqlite(self) -> bool:
        """True on SQLite, where a write transaction takes the whole file."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Yield a connection in one transaction: committed when the block ends, rolled back when it raises.

        On SQLite the write lock is taken at once, so that a read followed by a write cannot be overtaken.
        """
        with self._taking_turns(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Yield a connection for reading only; it never waits for a writer."""
        looking: sa.Connection | None = getattr(self._local, "looking", None)
        if looking is not None:
            yield looking
            return
        with self._reading.connect() as connection:
            if not self.is_sqlite:
                one_by_one(connection)
            yield connection

    @contextmanager
    def stream(self) -> Iterator[sa.Connection]:
        """Yield a connection for reading many rows in parts (`yield_per`), in one transaction."""
        with self._reading.connect() as connection:
            yield connection

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """Within the block, all that this thread reads by `connect` is read in one transaction.

        For one judgement, never around waiting or writing: on SQLite it rests on the state of its beginning.
        """
        with self.connect() as connection:
            before, self._local.looking = getattr(self._local, "looking", None), connection
            try:
                yield
            finally:
                self._local.looking = before

    @contextmanager
    def carrying(self) -> Iterator[None]:
        """Within the block, what this thread gives to `carry` is written by its next common transaction (`Together`).

        What none has written when the block ends, with success or not, is written then, alone.
        """
        before, carried = self.carried, list[Callable[[sa.Connection], None]]()
        self._local.carried = carried
        try:
            yield
        finally:
            self._local.carried = before
            if carried:
                with self.begin() as connection:
                    for work in carried:
                        work(connection)

    def carry(self, work: Callable[[sa.Connection], None]) -> bool:
        """Leave work to this thread's next common transaction; False outside of `carrying`, where nothing is taken."""
        carried = self.carried
        if carried is not None:
            carried.append(work)
        return carried is not None

    @property
    def carried(self) -> list[Callable[[sa.Connection], None]] | None:
        """What this thread carries to its next common transaction; None outside of `carrying`."""
        found: list[Callable[[sa.Connection], None]] | None = getattr(self._local, "carried", None)
        return found

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        """Let the threads of this process write to SQLite one after the other.

        SQLite would make each that waits sleep, up to a tenth of a second a time; between processes it still does.
        """
        has_turn = self.is_sqlite and self._turn.acquire(timeout=BUSY_MS / 1000)
        try:
            yield
        finally:
            if has_turn:
                self._turn.release()

    def prepare(self) -> None:
        """Bring the schema to the newest revision; safe to call from several processes at once."""
        for room in ROOMS_WITH_TABLES:
            import_module(room)
        if self._revision() == newest_revision():
            return
        from alembic import command  # a quarter of a second and 11 MB, for the one start that has something to do

        logging.getLogger("alembic").setLevel(logging.WARNING)
        with _PREPARING:
            command.upgrade(self._alembic(), "head")

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def _revision(self) -> str | None:
        if not sa.inspect(self.engine).has_table("alembic_version"):
            return None
        with self.connect() as connection:
            revision: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return revision

    def _alembic(self) -> "Config":
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["engine"] = self.engine
        return config


def settles_races(work: Callable[P, T]) -> Callable[P, T]:
    """Let a method begin anew if another thread or process was first to write the row it was about to write.

    For methods that look first what is there, and write all they do in one transaction: the second look finds the
    other's row, so they answer as if they had come later. On SQLite writers take turns, and it never happens.
    """

    @wraps(work)
    def settled(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(RACES_MAX):
            with suppress(sa.exc.IntegrityError):
                return work(*args, **kwargs)
        return work(*args, **kwargs)

    return settled


def newest_revision() -> str:
    """Return the revision that none builds on, as the files in `migrations/versions` declare them."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in (MIGRATIONS / "versions").glob("*.py"))
    declared = set(re.findall(r"""^revision = ["'](\w+)""", text, re.MULTILINE))
    built_on = set(re.findall(r"""^down_revision = ["'](\w+)""", text, re.MULTILINE))
    (newest,) = declared - built_on
    return str(newest)


def _configure_sqlite(connection: Any, record: Any) -> None:  # noqa: ARG001
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediately(connection: sa.Connection) -> None:
    read_only = connection.get_execution_options().get("gongshu_read_only", False)
    statement = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    driver = connection.connection.driver_connection
    assert driver is not None, "it was just taken from the pool"
    try:
        driver.execute(statement)  # past SQLAlchemy, whose way for statements costs as much as a small read
    except sqlite3.OperationalError as cause:
        raise sa.exc.OperationalError(statement, None, cause) from cause

"""A private PostgreSQL server for the tests that need one, run as an ordinary user, gone when they end."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from gongshu.database import Database

_numbers = count(1)


def _binaries() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


def _as_user(*command: object) -> list[str]:
    """PostgreSQL refuses to run as root."""
    words = [str(word) for word in command]
    return ["runuser", "-u", "postgres", "--", *words] if os.geteuid() == 0 else words


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a server without its database's name."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's initdb is not on this machine")
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("PostgreSQL does not run as root, and runuser is not here")
    folder = Path(tempfile.mkdtemp(prefix="gongshu-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data, port = folder / "data", _free_port()
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": folder}
        subprocess.run(
            _as_user(binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"), **quiet
        )  # type: ignore[call-overload]
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        start = _as_user(binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start")
        subprocess.run(start, **quiet)  # type: ignore[call-overload]
        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}"
        finally:
            subprocess.run(_as_user(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"), **quiet)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated(postgres_url: str) -> str:
    """The name of a database on that server that all revisions have built; the tests use copies of it."""
    name = "gongshu"
    _create(postgres_url, name, like="template0")
    database = Database(f"{postgres_url}/{name}")
    database.prepare()
    database.close()
    return name


@pytest.fixture
def postgres(postgres_url: str, migrated: str) -> Iterator[Database]:
    """An empty metadata database of its own on that server, at the newest revision."""
    name = f"gongshu_{next(_numbers)}"
    _create(postgres_url, name, like=migrated)
    database = Database(f"{postgres_url}/{name}")
    yield database
    database.close()


def _create(server: str, name: str, *, like: str) -> None:
    import psycopg

    with psycopg.connect(f"{server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}")

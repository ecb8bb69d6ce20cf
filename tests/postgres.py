"""A private PostgreSQL server, run as an ordinary user, gone when nobody needs it any more."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.waiting import free_ports


@dataclass(frozen=True)
class Server:
    """A running server that takes anybody from this machine as its superuser."""

    port: int
    folder: Path

    @property
    def url(self) -> str:
        """Its SQLAlchemy URL without a database's name."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of its first process."""
        return int((self.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])


def missing() -> str:
    """Return why no server can be run here; empty if one can."""
    if _binaries() is None:
        return "PostgreSQL's initdb is not on this machine"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "PostgreSQL does not run as root, and runuser is not here"
    return ""


@contextmanager
def served(*, is_durable: bool) -> Iterator[Server]:
    """Run a server; unless it is durable, it does not wait for the disk."""
    binaries = _binaries()
    assert binaries is not None, missing()
    folder = Path(tempfile.mkdtemp(prefix="gongshu-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server = Server(free_ports(1)[0], folder)
        data = folder / "data"
        _run(folder, binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8")
        options = f"-p {server.port} -k {folder} -c listen_addresses=127.0.0.1"
        options += "" if is_durable else " -c fsync=off"
        _run(folder, binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start")
        try:
            yield server
        finally:
            _run(folder, binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


def _run(folder: Path, *command: object) -> None:
    words = [str(word) for word in command]
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        words = ["runuser", "-u", "postgres", "--", *words]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder)

"""Metadata databases and node homes at the newest revision, for tests: copies of what this process migrated once.

What the migrations do is tested in `tests/integration/test_migrations.py`; everywhere else a copy is the same thing,
and some fifty times cheaper.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from gongshu.config import Home, NodeConfig, write_config
from gongshu.database import Database


@cache
def _template() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "metadata.db"
        database = Database(f"sqlite:///{file}")
        database.prepare()
        database.close()
        return file.read_bytes()


def new_database(file: Path) -> Database:
    """Return the SQLite database in this file, made empty if there is none yet; the caller closes it."""
    if not file.exists():
        file.write_bytes(_template())
    return Database(f"sqlite:///{file}")


def new_home(folder: Path, config: NodeConfig) -> Home:
    """Make a node's home as `gongshu init` leaves it: its configuration, and an empty SQLite metadata database."""
    home = Home(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(home, config)
    new_database(folder / "metadata.db").close()
    return home

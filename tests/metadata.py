"""Metadata databases at the newest revision, for tests: a copy of one that this process migrated once.

What the migrations do is tested in `tests/integration/test_migrations.py`; everywhere else a copy is the same thing,
and some fifty times cheaper.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

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

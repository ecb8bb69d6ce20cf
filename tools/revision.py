"""Write a new Alembic revision from what the rooms declare: `python -m tools.revision "what changes"`."""

import sys
import tempfile
from importlib import import_module
from pathlib import Path

from alembic import command
from alembic.config import Config

from gongshu import database

MIGRATIONS = Path(database.__file__).parent / "migrations"


def main(message: str) -> None:
    """Compare the newest revision with the declared tables and write the difference."""
    for room in database.ROOMS_WITH_TABLES:
        import_module(room)
    number = f"{len(list((MIGRATIONS / 'versions').glob('[0-9]*.py'))) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        scratch = database.Database(f"sqlite:///{folder}/scratch.db")
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["engine"] = scratch.engine
        command.upgrade(config, "head")
        command.revision(config, message, autogenerate=True, rev_id=number)
        scratch.close()


if __name__ == "__main__":
    main(sys.argv[1])

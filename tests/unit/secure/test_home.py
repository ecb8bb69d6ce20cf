"""What lies in a node's home is its own: no other user reads it, and no error quotes it."""

import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from gongshu.config import Home, NodeConfig, write_config
from gongshu.database import Database
from gongshu.secure.tables import accounts


def test_the_home_folder_is_closed_to_other_users(tmp_path: Path) -> None:
    home = Home(tmp_path / "open" / "node")
    home.path.mkdir(mode=0o755, parents=True)
    write_config(home, NodeConfig(party_id="urn:gongshu:party:mill", title="Mill (synthetic)"))
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_an_error_of_the_database_quotes_no_hash(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught, database.begin() as connection:
        connection.execute(sa.insert(accounts).values(name="li", password_hash="$argon2id$secret"))
    assert "argon2id" not in f"{caught.value} {caught.value!r}"

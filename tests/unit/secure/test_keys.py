from pathlib import Path

import pytest

from gongshu.secure.errors import KeysDamaged, KeysUnsafe
from gongshu.secure.keys import KeyStore


def test_keys_are_made_once_and_kept(tmp_path: Path) -> None:
    first, second = KeyStore(tmp_path / "keys"), KeyStore(tmp_path / "keys")
    assert first.fingerprint() == second.fingerprint()
    assert first.derived_secret("a") == second.derived_secret("a") != first.derived_secret("b")
    second.public_key().verify(first.sign(b"text"), b"text")


def test_files_and_folder_are_for_the_owner_alone(tmp_path: Path) -> None:
    folder = KeyStore(tmp_path / "keys").folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.name for path in folder.iterdir()} == {"node.pem", "secret.bin"}


@pytest.mark.parametrize("name", ["", "node.pem", "secret.bin"])
def test_a_wider_mode_is_refused(tmp_path: Path, name: str) -> None:
    folder = KeyStore(tmp_path / "keys").folder
    path = folder / name
    path.chmod(path.stat().st_mode | 0o040)
    with pytest.raises(KeysUnsafe, match="chmod"):
        KeyStore(folder)


@pytest.mark.parametrize("name", ["node.pem", "secret.bin"])
def test_a_damaged_file_is_named_and_not_replaced(tmp_path: Path, name: str) -> None:
    folder = KeyStore(tmp_path / "keys").folder
    (folder / name).write_bytes(b"nonsense")
    with pytest.raises(KeysDamaged, match=name):
        KeyStore(folder)
    assert (folder / name).read_bytes() == b"nonsense"

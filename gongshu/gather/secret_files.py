"""The secrets of sources: taken out of a config before it goes to the database, put back when a connector is opened.

They lie in `keys/sources/<id>.json`, mode 0600 in a folder of mode 0700, as the node's own keys do.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from gongshu.config import Home
from gongshu.gather.connector import ConnectorConfig
from gongshu.model.ids import SourceId


def split_secrets(config: ConnectorConfig) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the config without its secrets, and the secrets by their place in it (`user.password`).

    Shape: the first is plain JSON; only what was set or has no default is in it.
    """
    secrets: dict[str, str] = {}
    plain = _without(config.model_dump(exclude_unset=True), "", secrets)
    return json.loads(json.dumps(plain, default=str)), secrets


def join_secrets(plain: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """Return the config with its secrets, as `split_secrets` was given it."""
    whole = json.loads(json.dumps(plain))
    for place, secret in secrets.items():
        *steps, last = place.split(".")
        at: Any = whole
        for step in steps:
            at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
        at[int(last) if isinstance(at, list) else last] = secret
    return dict(whole)


def write_secrets(home: Home, source_id: SourceId, secrets: Mapping[str, str]) -> None:
    """Keep a source's secrets; none removes the file."""
    file = _file(home, source_id)
    if not secrets:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(dict(secrets), stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)


def read_secrets(home: Home, source_id: SourceId) -> dict[str, str]:
    """Return a source's secrets; empty if it has none."""
    try:
        return dict(json.loads(_file(home, source_id).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def _file(home: Home, source_id: SourceId) -> Path:
    return home.keys / "sources" / f"{source_id}.json"


def _without(value: Any, place: str, secrets: dict[str, str]) -> Any:
    if isinstance(value, SecretStr):
        secrets[place] = value.get_secret_value()
        return None
    if isinstance(value, Mapping):
        inner = {key: _without(one, f"{place}.{key}" if place else str(key), secrets) for key, one in value.items()}
        return {key: one for key, one in inner.items() if not isinstance(value[key], SecretStr)}
    if isinstance(value, list | tuple):
        return [_without(one, f"{place}.{number}", secrets) for number, one in enumerate(value)]
    return value

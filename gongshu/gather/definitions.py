"""Sources described in a file: TOML or YAML, one or many, the same fields as the command and the page.

[[sources]]
id = "mill-3"
connector = "modbus"
asset = "plant-1/line-2/mill-03"
[sources.config]
host = "192.168.1.20"
tags = [{ name = "spindle_load", address = 40, type = "float32", unit = "%" }]
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gongshu.gather.errors import ConfigWrong, FileUnreadable
from gongshu.gather.model import Desired, SourceDefinition, asset_path, require_source_id

SIZE_MAX_BYTES = 64 * 1024 * 1024


class SourceForm(BaseModel):
    """One source as people write it, in a file or to the HTTP API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="Name of the source: lower-case letters, digits, hyphens", examples=["mill-3"])
    connector: str = Field(description="Name of an installed connector", examples=["modbus"])
    asset: str = Field(min_length=1, description="Asset whose values it brings", examples=["plant-1/line-2/mill-03"])
    title: str = Field(default="", description="Name as people read it", examples=["3 号铣床"])
    config: dict[str, Any] = Field(default_factory=dict, description="The connector's own settings")
    assets: dict[str, str] = Field(
        default_factory=dict, description="Exceptions: pattern over path/name of a tag to its asset"
    )
    start: bool = Field(default=True, description="Collect from it at once")

    def definition(self) -> SourceDefinition:
        """Return the definition. Raises: ConfigWrong for a name that cannot be one."""
        return SourceDefinition(
            source_id=require_source_id(self.id),
            connector=self.connector,
            asset=asset_path(self.asset),
            config=self.config,
            assets={pattern: asset_path(asset) for pattern, asset in self.assets.items()},
            title=self.title,
            desired=Desired.RUNNING if self.start else Desired.STOPPED,
        )


def read_definitions(file: Path) -> list[SourceDefinition]:
    """Return the sources that a `.toml`, `.yaml` or `.yml` file describes, in its order.

    Raises: FileUnreadable; ConfigWrong naming the source and field.
    """
    found = _read(file).get("sources")
    if not isinstance(found, list) or not found:
        raise ConfigWrong(what=str(file), field="sources", reason="a list of at least one source is needed")
    return [_definition(one, f"{file}, source {number}") for number, one in enumerate(found, 1)]


def _definition(one: object, what: str) -> SourceDefinition:
    try:
        return SourceForm.model_validate(one).definition()
    except ValidationError as cause:
        first = cause.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise ConfigWrong(what=what, field=place, reason=first["msg"]) from None


def _read(file: Path) -> Mapping[str, Any]:
    remedy = "Give a TOML or YAML file with a list `sources`."
    try:
        if file.stat().st_size > SIZE_MAX_BYTES:
            raise FileUnreadable(file=file, reason=f"it is larger than {SIZE_MAX_BYTES} bytes", remedy=remedy)
        text = file.read_text(encoding="utf-8")
        found = tomllib.loads(text) if file.suffix.lower() == ".toml" else yaml.safe_load(text)
    except OSError as cause:
        raise FileUnreadable(file=file, reason=cause.strerror or "it cannot be opened", remedy=remedy) from cause
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError) as cause:
        raise FileUnreadable(file=file, reason=str(cause).replace("\n", " "), remedy=remedy) from cause
    if not isinstance(found, Mapping):
        raise FileUnreadable(file=file, reason="it holds no table", remedy=remedy)
    return found

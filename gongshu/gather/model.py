"""A source as its owner describes it, and as it is seen: frozen values, and the pure rules over them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from gongshu.gather.connector import ConnectorConfig, ConnectorSpec, Tag
from gongshu.gather.counters import Counters, State
from gongshu.gather.errors import ConfigWrong
from gongshu.model.ids import AssetId, SourceId
from gongshu.model.series import SeriesSighting

_SOURCE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Desired(StrEnum):
    """What the owner wants of a source."""

    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class SourceDefinition:
    """What is needed to collect from one far end."""

    source_id: SourceId
    connector: str
    """Name of an installed connector."""
    asset: AssetId
    """The asset whose values it brings; tags that say a path lie below it."""
    config: Mapping[str, Any]
    """The connector's config as it is written in a file: plain values, secrets among them."""
    assets: Mapping[str, AssetId] = field(default_factory=dict)
    """Exceptions: a pattern over a tag's `path/name` (`*`, `?`, `[…]`) to the asset it belongs to; first match wins."""
    title: str = ""
    desired: Desired = Desired.RUNNING


@dataclass(frozen=True, slots=True)
class Source:
    """A registered source; its definition's config has no secrets in it."""

    definition: SourceDefinition
    revision: int
    """Grows with every change, so that a running collector is seen to be out of date."""
    added_at: datetime
    added_by: str

    @property
    def source_id(self) -> SourceId:
        """The source's name."""
        return self.definition.source_id


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source with what its collector last said of itself."""

    source: Source
    state: State
    """As the collector says; `lost` when it should run and has not said anything lately."""
    counters: Counters | None
    value_age_s: float | None
    """How long ago the last value came."""


@dataclass(frozen=True, slots=True)
class LossRecord:
    """Something that was lost, as it was written down."""

    source_id: SourceId
    reason: str
    address: str
    readings: int | None
    """None where nobody can tell."""
    times: int
    start: datetime | None
    end: datetime | None
    recorded_at: datetime
    recovered: bool
    """True for an outage of which everything was replayed."""


def require_source_id(source_id: str) -> SourceId:
    """Return the name if it can be one.

    Raises: ConfigWrong.
    """
    if not _SOURCE_ID.fullmatch(source_id):
        raise ConfigWrong(
            what="the source", field="source_id", reason=f"{source_id!r} is not lower-case letters, digits, hyphens"
        )
    return SourceId(source_id)


def asset_path(*parts: str) -> AssetId:
    """Return the asset that the parts lead to, without empty steps.

    >>> asset_path("plant-1/", "", "line 2/mill-03")
    'plant-1/line 2/mill-03'
    """
    steps = [step.strip() for part in parts for step in part.split("/")]
    return AssetId("/".join(step for step in steps if step))


def decide_asset(definition: SourceDefinition, tag: Tag) -> AssetId:
    """Return the asset a tag belongs to: by the first pattern that matches, else below the source's own."""
    place = f"{tag.path}/{tag.name}" if tag.path else tag.name
    for pattern, asset in definition.assets.items():
        if fnmatchcase(place, pattern):
            return asset_path(asset)
    return asset_path(definition.asset, tag.path)


def sightings_of(definition: SourceDefinition, tags: Iterable[Tag]) -> list[SeriesSighting]:
    """Return the tags as the catalogue wants to hear of them."""
    return [
        SeriesSighting(
            source_id=definition.source_id,
            address=tag.address,
            asset=decide_asset(definition, tag),
            name=tag.name,
            value_type=tag.value_type,
            unit=tag.unit,
            title=tag.title,
            writable=tag.writable,
            protocol=definition.connector,
        )
        for tag in tags
    ]


def read_config_of(spec: ConnectorSpec, config: Mapping[str, Any], what: str) -> ConnectorConfig:
    """Return the validated config of a connector.

    Raises: ConfigWrong, naming the first wrong field; the value itself is never shown, for it may be a secret.
    """
    try:
        return spec.config_type().model_validate(dict(config))
    except ValidationError as cause:
        first = cause.errors(include_url=False, include_input=False, include_context=False)[0]
        more = cause.error_count() - 1
        reason = first["msg"] + (f" (and {more} more)" if more else "")
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise ConfigWrong(what=what, field=place, reason=reason) from None

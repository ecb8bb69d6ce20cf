"""The sources of a node: added, changed in what is wanted of them, looked at, probed and browsed.

The command line, the HTTP API and the pages call this and nothing else. Collectors are separate processes; this module
tells them nothing, it changes what is wanted, and `fleet` sees to it.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gongshu.config import Home
from gongshu.database import Database
from gongshu.gather import tables as t
from gongshu.gather.connector import (
    BrowseNode,
    Browses,
    Can,
    Connector,
    ConnectorSpec,
    Context,
    ProbeReport,
    connector_named,
    installed_connectors,
)
from gongshu.gather.counters import State, read_counters
from gongshu.gather.errors import AbilityMissing, ConfigWrong, SourceExists, SourceUnknown
from gongshu.gather.model import (
    Desired,
    LossRecord,
    Source,
    SourceDefinition,
    SourceStatus,
    asset_path,
    read_config_of,
    require_source_id,
)
from gongshu.gather.own_places import OwnPlaces
from gongshu.gather.secret_files import join_secrets, read_secrets, split_secrets, write_secrets
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import AssetId, SourceId, SubjectId
from gongshu.model.series import Series

SYSTEM = SubjectId("system:gather")
FRESH_S = 5.0
"""A collector that has written nothing for so long is not there; it writes every second."""


class Catalogue(Protocol):
    """What this service needs of the catalogue."""

    def series(self) -> list[Series]:
        """Return all series."""
        ...


class SourceService:
    """Reads and changes the sources of one node."""

    def __init__(
        self, database: Database, catalogue: Catalogue, audit: AuditSink, clock: Callable[[], datetime], home: Home
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._audit = audit
        self._clock = clock
        self._home = home

    def connectors(self) -> dict[str, ConnectorSpec]:
        """Return the installed connectors by name."""
        return installed_connectors()

    def config_schema(self, connector: str) -> dict[str, Any]:
        """Return the JSON schema of a connector's config, from which a form is made.

        Shape: each property has `description`, `examples`, `title_zh`, `title_en`, `unit` and `secret`.
        Raises: ConnectorUnknown.
        """
        return connector_named(connector).config_type().model_json_schema()

    def check(self, definition: SourceDefinition) -> None:
        """Raise what `add` would raise about the definition itself. Raises: ConfigWrong, ConnectorUnknown."""
        self._checked(definition)

    def add(self, definition: SourceDefinition, *, actor: SubjectId = SYSTEM) -> Source:
        """Register a source and return it without its secrets; a node that runs collects from it within two seconds.

        Raises: ConfigWrong, ConnectorUnknown, SourceExists.
        """
        spec, config = self._checked(definition)
        plain, secrets = split_secrets(config)
        now = self._clock()
        row = {
            "source_id": definition.source_id,
            "connector": spec.name,
            "title": definition.title,
            "asset": definition.asset,
            "assets": dict(definition.assets),
            "config": plain,
            "desired": definition.desired,
            "revision": 1,
            "added_at": now,
            "added_by": actor,
        }
        with self._database.begin() as connection:
            try:
                connection.execute(sa.insert(t.sources).values(row))
            except IntegrityError as cause:
                raise SourceExists(source_id=definition.source_id) from cause
            details = {"connector": spec.name, "endpoint": config.endpoint}
            self._note("source.added", definition.source_id, actor, details)
            write_secrets(self._home, definition.source_id, secrets)
        return Source(replace(definition, config=plain), 1, now, actor)

    def change(self, definition: SourceDefinition, *, actor: SubjectId = SYSTEM) -> Source:
        """Give a source another config, asset or title (a rotated password, a moved machine); its collector restarts.

        Raises: ConfigWrong, ConnectorUnknown, SourceUnknown.
        """
        spec, config = self._checked(definition)
        plain, secrets = split_secrets(config)
        values = {
            "connector": spec.name,
            "title": definition.title,
            "asset": definition.asset,
            "assets": dict(definition.assets),
            "config": plain,
            "revision": t.sources.c.revision + 1,
        }
        update = sa.update(t.sources).where(t.sources.c.source_id == definition.source_id)
        with self._database.begin() as connection:
            if not connection.execute(update.values(values)).rowcount:
                raise SourceUnknown(source_id=definition.source_id)
            self._note("source.changed", definition.source_id, actor, {"endpoint": config.endpoint})
            write_secrets(self._home, definition.source_id, secrets)
        return self.source(definition.source_id)

    def remove(self, source_id: SourceId, *, actor: SubjectId = SYSTEM) -> None:
        """Forget a source and its secrets; its series, readings and losses stay.

        Raises: SourceUnknown.
        """
        with self._database.begin() as connection:
            if not connection.execute(sa.delete(t.sources).where(t.sources.c.source_id == source_id)).rowcount:
                raise SourceUnknown(source_id=source_id)
            self._note("source.removed", source_id, actor, {})
        write_secrets(self._home, source_id, {})

    def start(self, source_id: SourceId, *, actor: SubjectId = SYSTEM) -> None:
        """Want a source to be collected. Raises: SourceUnknown."""
        self._want(source_id, Desired.RUNNING, actor)

    def stop(self, source_id: SourceId, *, actor: SubjectId = SYSTEM) -> None:
        """Want a source not to be collected. Raises: SourceUnknown."""
        self._want(source_id, Desired.STOPPED, actor)

    def sources(self) -> list[Source]:
        """Return all sources by name."""
        with self._database.connect() as connection:
            rows = connection.execute(sa.select(t.sources).order_by(t.sources.c.source_id)).all()
        return [_source(row) for row in rows]

    def source(self, source_id: SourceId) -> Source:
        """Return one source. Raises: SourceUnknown."""
        with self._database.connect() as connection:
            row = connection.execute(sa.select(t.sources).where(t.sources.c.source_id == source_id)).first()
        if row is None:
            raise SourceUnknown(source_id=source_id)
        return _source(row)

    def definition_with_secrets(self, source_id: SourceId) -> SourceDefinition:
        """Return what a collector needs; for the collector process alone. Raises: SourceUnknown."""
        definition = self.source(source_id).definition
        return replace(definition, config=join_secrets(definition.config, read_secrets(self._home, source_id)))

    def status(self, source_id: SourceId) -> SourceStatus:
        """Return one source with what its collector says. Raises: SourceUnknown."""
        return self._status(self.source(source_id))

    def statuses(self) -> list[SourceStatus]:
        """Return all sources with what their collectors say, by name."""
        return [self._status(source) for source in self.sources()]

    def series_of(self, source_id: SourceId) -> list[Series]:
        """Return the series that a source has brought, by id. Cost: reads the whole list of series."""
        return [series for series in self._catalogue.series() if series.sighting.source_id == source_id]

    def losses(self, source_id: SourceId | None = None, *, limit: int = 100) -> list[LossRecord]:
        """Return what was lost, newest first, of one source or of all."""
        query = sa.select(t.source_losses).order_by(t.source_losses.c.loss_id.desc()).limit(limit)
        if source_id is not None:
            query = query.where(t.source_losses.c.source_id == source_id)
        with self._database.connect() as connection:
            return [
                LossRecord(
                    SourceId(row.source_id),
                    row.reason,
                    row.address,
                    row.readings,
                    row.times,
                    row.started_at,
                    row.ended_at,
                    row.recorded_at,
                    row.recovered,
                )
                for row in connection.execute(query)
            ]

    async def probe(self, what: SourceDefinition | SourceId) -> ProbeReport:
        """Return what can be reached with a definition, or with a registered source's; nothing is changed there.

        Raises: ConfigWrong, ConnectorUnknown, SourceUnknown, and the connector's own errors.
        """
        definition = self._definition(what)
        spec, _ = self._checked(definition)
        with tempfile.TemporaryDirectory() as scratch:
            return await self._connector(spec, definition, Path(scratch)).probe()

    async def browse(
        self, what: SourceDefinition | SourceId, *, under: str = "", limit: int = 1_000
    ) -> list[BrowseNode]:
        """Return at most `limit` nodes below an address of the far end, parents first.

        Raises: AbilityMissing for a connector that cannot browse, and as `probe`.
        """
        definition = self._definition(what)
        spec, _ = self._checked(definition)
        if Can.BROWSE not in spec.can:
            raise AbilityMissing(connector=spec.name, ability="browse", can=", ".join(sorted(spec.can)))
        with tempfile.TemporaryDirectory() as scratch:
            async with self._connector(spec, definition, Path(scratch)) as connector:
                assert isinstance(connector, Browses)
                found: list[BrowseNode] = []
                async for node in connector.browse(under):
                    found.append(node)
                    if len(found) >= limit:
                        break
                return found

    def _definition(self, what: SourceDefinition | SourceId) -> SourceDefinition:
        return what if isinstance(what, SourceDefinition) else self.definition_with_secrets(what)

    def _connector(self, spec: ConnectorSpec, definition: SourceDefinition, scratch: Path) -> Connector:
        folder = source_folder(self._home, definition.source_id)
        context = Context(
            definition.source_id, folder if folder.is_dir() else scratch, self._clock, OwnPlaces.of(self._home)
        )
        return spec.connector(read_config_of(spec, definition.config, _named(definition)), context)

    def _checked(self, definition: SourceDefinition) -> tuple[ConnectorSpec, Any]:
        require_source_id(definition.source_id)
        spec = connector_named(definition.connector)
        config = read_config_of(spec, definition.config, _named(definition))
        own = OwnPlaces.of(self._home)
        for field, value in config:
            if isinstance(value, Path) and own.hold(value):
                raise ConfigWrong(
                    what=_named(definition), field=field, reason="the node or the system keeps its own files there"
                )
        return spec, config

    def _want(self, source_id: SourceId, desired: Desired, actor: SubjectId) -> None:
        update = sa.update(t.sources).where(t.sources.c.source_id == source_id)
        verb = "started" if desired is Desired.RUNNING else "stopped"
        with self._database.begin() as connection:
            if not connection.execute(update.values(desired=desired)).rowcount:
                raise SourceUnknown(source_id=source_id)
            self._note(f"source.{verb}", source_id, actor, {})

    def _status(self, source: Source) -> SourceStatus:
        counters = read_counters(status_file(self._home, source.source_id))
        now = self._clock()
        if source.definition.desired is Desired.STOPPED:
            state = State.STOPPED
        elif counters is None or counters.updated_at is None:
            state = State.STARTING
        else:
            is_fresh = (now - counters.updated_at).total_seconds() <= FRESH_S
            state = counters.state if is_fresh else State.LOST
        last = counters.last_value_at if counters else None
        return SourceStatus(source, state, counters, (now - last).total_seconds() if last else None)

    def _note(self, action: str, source_id: SourceId, actor: SubjectId, details: dict[str, Any]) -> None:
        self._audit.write(AuditEvent(self._clock(), actor, action, f"source:{source_id}", "ok", details))


def status_file(home: Home, source_id: SourceId) -> Path:
    """Return where a source's collector writes its counters."""
    return home.run / "sources" / f"{source_id}.json"


def source_folder(home: Home, source_id: SourceId) -> Path:
    """Return the source's own folder: certificates, trust lists, what was set aside."""
    return home.path / "sources" / source_id


def _named(definition: SourceDefinition) -> str:
    return f"source {definition.source_id!r} ({definition.connector})"


def _source(row: sa.Row[Any]) -> Source:
    definition = SourceDefinition(
        source_id=SourceId(row.source_id),
        connector=row.connector,
        asset=AssetId(row.asset),
        config=row.config,
        assets={pattern: asset_path(asset) for pattern, asset in row.assets.items()},
        title=row.title,
        desired=Desired(row.desired),
    )
    return Source(definition, row.revision, row.added_at, row.added_by)

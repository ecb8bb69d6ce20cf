"""The connector itself: opens, browses, reads, subscribes, and remembers what it needs to go on after an outage."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import numpy as np
import pyarrow as pa

from gongshu.errors import GongshuError
from gongshu.gather.batch import micros, native_batch
from gongshu.gather.connector import (
    BrowseNode,
    ConnectorBase,
    ConnectorConfig,
    Context,
    Feed,
    Finding,
    ProbeReport,
    Tag,
)
from gongshu.gather.connectors.opcua.addresses import NamespaceUnknown
from gongshu.gather.connectors.opcua.browse import node_id, walk
from gongshu.gather.connectors.opcua.config import NodeSetting, OpcUaConfig, Security
from gongshu.gather.connectors.opcua.describe import Describer
from gongshu.gather.connectors.opcua.link import Link, SessionKey, connect, translated
from gongshu.gather.connectors.opcua.messages import decode_read
from gongshu.gather.connectors.opcua.pump import PublishPump
from gongshu.gather.connectors.opcua.sdk import NodeId, ua
from gongshu.gather.connectors.opcua.subscription import Item, Subscription, create_subscription
from gongshu.gather.connectors.opcua.trust import OwnCertificate, own_certificate
from gongshu.gather.errors import DecodeError, LinkLost
from gongshu.model.reading import STATUS_BAD_NODE_ID_UNKNOWN, ValueType

_PROBED_MAX = 200


def open_opcua(config: ConnectorConfig, context: Context) -> "OpcUaConnector":
    """Return a connector, not yet open."""
    return OpcUaConnector(cast(OpcUaConfig, config), context)


class OpcUaConnector(ConnectorBase):
    """See `gongshu.gather.connector.Connector`, `Browses`, `Reads`, `Subscribes`."""

    def __init__(self, config: OpcUaConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._own: OwnCertificate | None = None
        self._link: Link | None = None
        self._kept: tuple[SessionKey, Subscription] | None = None
        self._kept_until: datetime | None = None
        self._last_us: dict[str, int] = {}

    async def open(self) -> None:
        """See `Connector.open`; goes on with the session of before if the server still holds it."""
        if self._link is None:
            if self._kept_until is not None and self._context.clock() > self._kept_until:
                self._kept = None  # the server has let go of it by now
            self._link = await self._connect(self._kept[0] if self._kept else None)
            if not self._link.resumed:
                self._kept = None

    async def close(self) -> None:
        """See `Connector.close`. After a lost link the server keeps session and queues, so that nothing is missed."""
        link, self._link = self._link, None
        if link is not None:
            closing = asyncio.create_task(link.close(keep_session=self._kept is not None))
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                await closing
                raise

    async def probe(self) -> ProbeReport:
        """See `Connector.probe`."""
        link = await self._connect(None)
        try:
            with translated(self._config):
                findings = [
                    Finding("reachable", True, self._config.endpoint),
                    Finding("protocol", True, f"OPC UA, {link.offer.mode.value}, {link.offer.policy}"),
                    Finding("login", True, self._config.login),
                ]
                namespaces = await link.namespaces()
                tags, missing = await self._probed_tags(link, namespaces)
        finally:
            await link.close(keep_session=False)
        writable = [tag.address for tag in tags if tag.writable]
        findings.append(
            Finding(
                "least_privilege",
                not writable if tags else None,
                f"the login may write {len(writable)} of {len(tags)} variables looked at"
                if tags
                else "there is no variable to look at",
            )
        )
        seen = f"not there: {', '.join(missing[:5])}" if missing else f"{len(tags)} looked at"
        findings.append(Finding("tags", not missing if tags or missing else None, seen))
        return ProbeReport(tuple(findings))

    async def browse(self, under: str = "") -> AsyncIterator[BrowseNode]:
        """See `Browses.browse`. Bounded by `tags_max` nodes."""
        link = self._require_link()
        with translated(self._config):
            namespaces = await link.namespaces()
            roots = self._known_nodes([under] if under else self._config.roots, namespaces)
            async for node in walk(
                link, roots, namespaces,
                items_per_call=self._config.items_per_call, nodes_max=self._config.tags_max,
            ):  # fmt: skip
                yield node

    async def read(self, addresses: Sequence[str]) -> pa.RecordBatch:
        """See `Reads.read`."""
        link = self._require_link()
        with translated(self._config):
            namespaces = await link.namespaces()
            asked: list[tuple[int, NodeId]] = []
            unknown: list[int] = []
            for position, address in enumerate(addresses):
                try:
                    asked.append((position, node_id(address, namespaces)))
                except (DecodeError, NamespaceUnknown):
                    unknown.append(position)
            step = self._config.items_per_call
            batches = [await self._read(link, asked[start : start + step]) for start in range(0, len(asked), step)]
        now_us = micros(self._context.clock())
        batches.append(native_batch(unknown, arrival_us=now_us, status=STATUS_BAD_NODE_ID_UNKNOWN))
        batch = pa.concat_batches(batches)
        return batch.sort_by("tag")

    async def subscribe(self, feed: Feed) -> None:
        """See `Subscribes.subscribe`."""
        link = self._require_link()
        subscription = self._kept[1] if self._kept and link.resumed else None
        self._kept = None
        with translated(self._config):
            if subscription is None:
                items = await self._items(link)
                subscription = await create_subscription(link, self._config, items)
        pump = PublishPump(link, subscription, feed, self._config, self._context.clock, self._last_us)
        if not link.resumed:
            feed.alive()
        try:
            await pump.run()
        except GongshuError:
            if pump.was_answered:  # a subscription that never answered here is none to come back to
                self._kept = (link.key, subscription)
                self._kept_until = self._context.clock() + timedelta(seconds=self._config.session_keep_s)
            raise
        finally:
            self._last_us |= pump.last_times()

    async def _connect(self, kept: SessionKey | None) -> Link:
        if self._own is None and self._config.security is not Security.NONE:
            uri = self._config.application_uri or f"urn:{socket.gethostname()}:gongshu:{self._context.source_id}"
            self._own = await asyncio.to_thread(own_certificate, self._context.folder, uri, self._context.clock())
        return await connect(self._config, self._own, self._context.folder, self._context.clock(), kept)

    def _require_link(self) -> Link:
        if self._link is None:
            raise LinkLost(endpoint=self._config.endpoint, reason="it is not open")
        return self._link

    def _known_nodes(self, addresses: Sequence[str], namespaces: Sequence[str]) -> list[NodeId]:
        nodes = []
        for address in addresses:
            try:
                nodes.append(node_id(address, namespaces))
            except NamespaceUnknown:
                continue  # what the server does not have has nothing below it
        return nodes

    async def _read(self, link: Link, asked: Sequence[tuple[int, NodeId]]) -> pa.RecordBatch:
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
        for _, node in asked:
            wanted = ua.ReadValueId()
            wanted.NodeId = node
            wanted.AttributeId = ua.AttributeIds.Value
            request.Parameters.NodesToRead.append(wanted)
        rows = decode_read(await link.send(request), len(asked))
        positions = np.array([position for position, _ in asked], np.int32)
        return rows.batch(positions, arrival_us=micros(self._context.clock()))

    async def _items(self, link: Link) -> tuple[Item, ...]:
        """The configured variables, or all below the roots."""
        namespaces = await link.namespaces()
        if self._config.nodes:
            settings = self._config.nodes[: self._config.tags_max]
            return await self._configured(link, settings, namespaces)
        roots = self._known_nodes(self._config.roots, namespaces)
        step, most = self._config.items_per_call, self._config.tags_max
        found: list[Item] = []
        async for node in walk(link, roots, namespaces, items_per_call=step, nodes_max=most):
            if node.tag is not None:
                found.append(Item(node.tag, node_id(node.address, namespaces)))
        return tuple(found)

    async def _configured(
        self, link: Link, settings: Sequence[NodeSetting], namespaces: Sequence[str]
    ) -> tuple[Item, ...]:
        nodes: list[NodeId | None] = []
        for setting in settings:
            try:
                nodes.append(node_id(setting.address, namespaces))
            except NamespaceUnknown:
                nodes.append(None)
        present = [(i, node) for i, node in enumerate(nodes) if node is not None]
        described = await Describer(link, self._config.items_per_call).describe(
            [node for _, node in present],
            [settings[i].address for i, _ in present],
            [settings[i].path for i, _ in present],
            {},
        )
        tags = dict(zip((i for i, _ in present), described, strict=True))
        return tuple(Item(_named(setting, tags.get(i)), nodes[i]) for i, setting in enumerate(settings))

    async def _probed_tags(self, link: Link, namespaces: Sequence[str]) -> tuple[list[Tag], list[str]]:
        """Return some variables, and the configured addresses that do not exist."""
        if self._config.nodes:
            items = await self._configured(link, self._config.nodes[:_PROBED_MAX], namespaces)
            asked = [item.tag.address for item in items if item.node is not None]
            batch = await self._read(
                link, [(i, node_id(address, namespaces)) for i, address in enumerate(asked)]
            ) if asked else None  # fmt: skip
            statuses = batch.column("status").to_pylist() if batch is not None else []
            gone = {a for a, code in zip(asked, statuses, strict=True) if code == STATUS_BAD_NODE_ID_UNKNOWN}
            gone |= {item.tag.address for item in items if item.node is None}
            return [item.tag for item in items if item.tag.address not in gone], sorted(gone)
        roots = self._known_nodes(self._config.roots, namespaces)
        tags: list[Tag] = []
        async for node in walk(
            link, roots, namespaces, items_per_call=self._config.items_per_call, nodes_max=_PROBED_MAX
        ):
            if node.tag is not None:
                tags.append(node.tag)
        return tags, []


def _named(setting: NodeSetting, tag: Tag | None) -> Tag:
    """What the configuration says wins over what the server says."""
    found = tag or Tag(setting.address, setting.address.partition("=")[2], ValueType.TEXT, setting.path)
    return replace(found, name=setting.name or found.name, unit=setting.unit or found.unit)

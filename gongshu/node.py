"""What a node consists of, and the one place where its services are put together.

A node is opened the same way by the server, by the command line beside a running server, and by tests. Opening starts
nothing: `gongshu.main` starts the dispatcher of the data space and the child processes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gongshu.apply.service import AppService
from gongshu.config import Home, NodeConfig, read_config
from gongshu.database import Database
from gongshu.gather.service import SourceService
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.quality.service import QualityService
from gongshu.govern.store import DatasetStore
from gongshu.hub.service import HubService
from gongshu.lake import Lake
from gongshu.model.ids import PartyId
from gongshu.packs import Packs, load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.gate import Gate
from gongshu.secure.identity import IdentityService, PartyRegistry, PeerTokens
from gongshu.secure.keys import KeyStore
from gongshu.secure.policy import PolicyService
from gongshu.share.service import ShareService


@dataclass(frozen=True, slots=True)
class Node:
    """The services of one organisation's node, lowest room first."""

    config: NodeConfig
    home: Home
    clock: Callable[[], datetime]
    packs: Packs
    database: Database
    lake: Lake
    keys: KeyStore
    audit: AuditLog
    catalogue: CatalogueService
    store: DatasetStore
    quality: QualityService
    identity: IdentityService
    parties: PartyRegistry
    peers: PeerTokens
    policies: PolicyService
    gate: Gate
    sources: SourceService
    share: ShareService
    apps: AppService
    hub: HubService

    @property
    def party_id(self) -> PartyId:
        """The organisation that runs this node."""
        return PartyId(self.config.party_id)

    def close(self) -> None:
        """Close the lake and the database; running child processes are not touched."""
        self.lake.close()
        self.database.close()


def utc_now() -> datetime:
    """Return the time now, aware UTC."""
    return datetime.now(UTC)


def public_address(home: Home, config: NodeConfig) -> str:
    """Return the address partners use: as configured, else where the running node answers, else host and port."""
    if config.public_url:
        return config.public_url.rstrip("/")
    answering = home.run / "address"
    if answering.is_file():
        return answering.read_text(encoding="utf-8").strip()
    return f"http://{config.host}:{config.port}"

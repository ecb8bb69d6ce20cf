"""What a node consists of, and the one place where its services are put together.

A node is opened the same way by the server, by the command line beside a running server, and by tests. Opening starts
nothing: `gongshu.main` starts the dispatcher of the data space and the child processes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_network

from gongshu.apply.service import AppService
from gongshu.config import ConfigInvalid, Home, NodeConfig, read_config
from gongshu.database import Database
from gongshu.gather.service import SourceService
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.quality.service import QualityService
from gongshu.govern.store import DatasetStore
from gongshu.hub.membership import Own
from gongshu.hub.service import HubService
from gongshu.lake import Lake
from gongshu.model.ids import PartyId
from gongshu.packs import Packs, load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.dcp.fetching import HttpFetch
from gongshu.secure.gate import Gate
from gongshu.secure.gate.examining import ExaminedLake
from gongshu.secure.identity.service import IdentityService
from gongshu.secure.keys import KeyStore, require_private
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_identity import PeerIdentities, PeerIdentity, SchemeParts, installed_schemes
from gongshu.secure.peer_tls import TlsSettings
from gongshu.secure.peer_tokens import PeerTokens
from gongshu.secure.policy.service import PolicyService
from gongshu.secure.trust_lists import TrustLists
from gongshu.share.clearances.book import ClearanceBook
from gongshu.share.crawl.service import CrawlService
from gongshu.share.evidence.exporting import Exporter
from gongshu.share.evidence.ledger import SovereigntyLedger
from gongshu.share.evidence.service import EvidenceService, end_transfers_with, post_with
from gongshu.share.introductions import Introductions
from gongshu.share.keeping.judging import Place
from gongshu.share.keeping.service import Keeping, KeepingSettings
from gongshu.share.peer import HttpWire
from gongshu.share.service import ShareService, ShareSettings
from gongshu.share.spaces.register import read_admitted
from gongshu.share.spaces.service import SpaceService
from gongshu.share.trusting import Trusting, member_of


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
    identities: PeerIdentities
    tls: TlsSettings
    policies: PolicyService
    gate: Gate
    sources: SourceService
    keeping: Keeping
    share: ShareService
    evidence: EvidenceService
    exporter: Exporter
    ledger: SovereigntyLedger
    crawl: CrawlService
    spaces: SpaceService
    introductions: Introductions
    trust: Trusting
    apps: AppService
    hub: HubService

    @property
    def party_id(self) -> PartyId:
        """The organisation that runs this node."""
        return PartyId(self.config.party_id)

    def close(self) -> None:
        """Close what the services hold open; running child processes are not touched."""
        self.spaces.stop()
        self.evidence.stop()
        self.crawl.stop()
        self.share.close()
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
    return f"{'https' if config.tls_certificate else 'http'}://{config.host}:{config.port}"


def tls_settings(home: Home, config: NodeConfig) -> TlsSettings:
    """Return where the files of TLS lie.

    Raises: ConfigInvalid if the certificate or the key is named alone, or a network is none; KeysUnsafe if others can
        read the key.
    """
    if bool(config.tls_certificate) != bool(config.tls_key):
        raise ConfigInvalid(file=home.config_file, reason="tls_certificate and tls_key belong together")
    named = (config.tls_certificate, config.tls_key, config.tls_partner_ca)
    certificate, key, authorities = (home.path / name if name else None for name in named)
    if key is not None and key.is_file():
        require_private(key)
    try:
        inside = tuple(ip_network(part.strip()) for part in config.partner_networks.split(",") if part.strip())
    except ValueError as cause:
        raise ConfigInvalid(file=home.config_file, reason=f"partner_networks: {cause}") from cause
    return TlsSettings(certificate, key, authorities, inside)


def open_node(home: Home, *, clock: Callable[[], datetime] = utc_now, identities: Sequence[PeerIdentity] = ()) -> Node:
    """Open the node of a home folder: bring its database to the newest revision and put its services together.

    `identities` are schemes beside the installed ones, by which parties registered with them prove themselves.

    Raises: ConfigMissing, ConfigInvalid, KeysUnsafe, PackBroken, CertificateUnusable.
    """
    ground = _lay_ground(home, clock)
    database, packs, keys, audit, lake = ground.database, ground.packs, ground.keys, ground.audit, ground.lake
    catalogue, parties, own, title = ground.catalogue, ground.parties, ground.own_party_id, ground.config.title
    keeping = _open_keeping(ground)
    store, examined = DatasetStore(lake, catalogue, keeping.keeper), ExaminedLake(lake, keeping.law, own)
    peers = PeerTokens(keys, parties, own, clock, database=database)
    policies = PolicyService(database, audit, clock)
    clearances = ClearanceBook(database, catalogue, parties, packs, audit, clock, own)
    named = (catalogue, lake, policies, audit, clock)
    gate = Gate(*named, keys=keys, own_party_id=own, copies=keeping.law, clearing=clearances)
    schemes = SchemeParts(own, keys, parties, peers, database, audit, clock, ground.address, ground.tls)
    doors = PeerIdentities(parties, [*_offered(schemes), *identities], own_party_id=own, public_address=ground.address)
    share = _open_share(ground, gate, keeping, clearances, doors)
    wire = HttpWire(parties, doors, clock, tls=ground.tls)
    us = Own(own, title, ground.config.division, ground.address)
    return Node(
        config=ground.config,
        home=home,
        clock=clock,
        packs=packs,
        database=database,
        lake=lake,
        keys=keys,
        audit=audit,
        catalogue=catalogue,
        store=store,
        quality=QualityService(database, examined, catalogue, packs, audit, clock),
        identity=IdentityService(database, audit, clock, own_party_id=own),
        parties=parties,
        peers=peers,
        identities=doors,
        tls=ground.tls,
        policies=policies,
        gate=gate,
        sources=SourceService(database, catalogue, audit, clock, home),
        keeping=keeping,
        share=share,
        evidence=_open_evidence(ground, share, keeping, wire),
        exporter=Exporter(database, keys, parties, audit, clock, own),
        ledger=SovereigntyLedger(database, keeping, catalogue, clock),
        crawl=CrawlService(database, wire, parties, catalogue, packs, audit, clock, own),
        spaces=SpaceService(database, wire, parties, share, keys, packs, audit, clock, own),
        trust=_open_trust(schemes, title, doors.names),
        introductions=_open_introductions(schemes, title, doors.names),
        apps=AppService(database, gate, store, catalogue, audit, clock, own, packs=packs),
        hub=HubService(database, keys, parties, peers, gate, packs, audit, clock, us),
    )


@dataclass(frozen=True, slots=True)
class _Ground:
    """What every service stands on."""

    config: NodeConfig
    home: Home
    clock: Callable[[], datetime]
    own_party_id: PartyId
    tls: TlsSettings
    packs: Packs
    database: Database
    keys: KeyStore
    audit: AuditLog
    lake: Lake
    catalogue: CatalogueService
    parties: PartyRegistry

    def address(self) -> str:
        """Return the address under which partners reach the node now."""
        return public_address(self.home, self.config)


def _lay_ground(home: Home, clock: Callable[[], datetime]) -> _Ground:
    config = read_config(home)
    tls = tls_settings(home, config)
    packs = load_packs()
    database = Database(home.database_url(config))
    database.prepare()
    keys = KeyStore(home.keys)
    audit = AuditLog(database, keys, clock)
    return _Ground(
        config=config,
        home=home,
        clock=clock,
        own_party_id=PartyId(config.party_id),
        tls=tls,
        packs=packs,
        database=database,
        keys=keys,
        audit=audit,
        lake=_open_lake(home, config),
        catalogue=CatalogueService(database, packs, audit, clock),
        parties=PartyRegistry(database, audit, clock),
    )


def _open_share(
    ground: _Ground, gate: Gate, keeping: Keeping, clearances: ClearanceBook, doors: PeerIdentities
) -> ShareService:
    return ShareService(
        database=ground.database,
        catalogue=ground.catalogue,
        gate=gate,
        parties=ground.parties,
        peers=doors,
        keys=ground.keys,
        audit=ground.audit,
        clock=ground.clock,
        own_party_id=ground.own_party_id,
        public_address=ground.address,
        keeping=keeping,
        clearances=clearances,
        spool=ground.home.run,
        settings=ShareSettings(idle_max=timedelta(days=ground.config.idle_transfer_days) or None),
        tls=ground.tls,
    )


def _open_evidence(ground: _Ground, share: ShareService, keeping: Keeping, wire: HttpWire) -> EvidenceService:
    return EvidenceService(
        *(ground.database, ground.keys, ground.parties, ground.audit, ground.clock, ground.own_party_id),
        end_transfers_with(ground.database, share.engine),
        post_with(wire, ground.parties),
        counted=keeping.counted_instead,
    )


def _offered(parts: SchemeParts) -> list[PeerIdentity]:
    opened = (spec.open(parts) for spec in installed_schemes())
    return [scheme for scheme in opened if scheme is not None]


def _open_trust(parts: SchemeParts, title: str, schemes: Sequence[str]) -> Trusting:
    fetch, own = HttpFetch(parts.tls), parts.own_party_id
    lists = TrustLists(parts.database, parts.parties, parts.audit, parts.clock, fetch, own, schemes)

    def ourselves() -> Party:
        return member_of(own, title, parts.keys, parts.public_address(), parts.tls.own_certificate())

    admitted = partial(read_admitted, parts.database)
    return Trusting(lists, parts.keys, parts.parties, parts.clock, ourselves, admitted)


def _open_introductions(parts: SchemeParts, title: str, schemes: Sequence[str]) -> Introductions:
    return Introductions(
        parts.keys,
        parts.parties,
        parts.own_party_id,
        title,
        parts.public_address,
        certificate=parts.tls.own_certificate(),
        schemes=schemes,
    )


def _open_keeping(ground: _Ground) -> Keeping:
    config, home = ground.config, ground.home
    silent = timedelta(days=config.receipts_silent_days)
    return Keeping(
        database=ground.database,
        keys=ground.keys,
        parties=ground.parties,
        catalogue=ground.catalogue,
        storage=ground.lake,
        audit=ground.audit,
        clock=ground.clock,
        vault=home.vault,
        folder=home.sealed(config),
        place=Place(ground.own_party_id, config.place, ground.keys.fingerprint()),
        settings=KeepingSettings(silent or None, timedelta(days=config.deletion_grace_days)),
    )


def _open_lake(home: Home, config: NodeConfig) -> Lake:
    return Lake.open(
        log_file=home.log_file,
        warehouse=home.warehouse(config),
        query_memory_mb=config.query_memory_mb,
        query_timeout_s=config.query_timeout_s,
    )

"""What every node of these tests keeps its data with: a database, a vault, files, a catalogue and a gate, all real."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from gongshu.database import Database
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.store import DatasetStore
from gongshu.lake import Lake
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.packs import load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.gate import Gate
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.policy import PolicyService
from gongshu.share.clearances.book import ClearanceBook
from gongshu.share.keeping.judging import Place
from gongshu.share.keeping.service import Keeping


class Household:
    """One party's services up to the gate, in one folder."""

    def __init__(
        self,
        folder: Path,
        party: PartyId,
        clock: Callable[[], datetime],
        database: Database,
        *,
        country: str = "CN",
        **keeping: Any,
    ) -> None:
        self.database = database
        self.keys = KeyStore(folder / "keys")
        self.audit = AuditLog(database, self.keys, clock)
        self.lake = Lake.open(log_file=folder / "log.db", warehouse=folder / "lake", query_memory_mb=256)
        packs = load_packs()
        self.catalogue = CatalogueService(database, packs, self.audit, clock)
        self.parties = PartyRegistry(database, self.audit, clock)
        self.keeping = Keeping(
            database=database,
            keys=self.keys,
            parties=self.parties,
            catalogue=self.catalogue,
            storage=self.lake,
            audit=self.audit,
            clock=clock,
            vault=folder / "vault",
            folder=folder / "lake" / "sealed",
            place=Place(party, country, self.keys.fingerprint()),
            **keeping,
        )
        self.store = DatasetStore(self.lake, self.catalogue, self.keeping.keeper)
        self.clearances = ClearanceBook(database, self.catalogue, self.parties, packs, self.audit, clock, party)
        self.gate = Gate(
            self.catalogue,
            self.lake,
            PolicyService(database, self.audit, clock),
            self.audit,
            clock,
            keys=self.keys,
            own_party_id=party,
            copies=self.keeping.law,
            clearing=self.clearances,
        )
        self.li = Subject(SubjectId("user:li"), party, frozenset({Role.PRODUCT_OWNER, Role.STEWARD}))

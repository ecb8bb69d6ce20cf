"""A consumer's node without a network: real database, vault, files, catalogue and gate, and contracts made by hand."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.ids import DatasetId, PartyId
from gongshu.secure.gate import SqlQuery
from gongshu.secure.parties import Party
from gongshu.share.agreements import find_agreement
from gongshu.share.bindings import proof_of
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.evidence.service import EvidenceService
from gongshu.share.keeping.service import KeepingSettings
from gongshu.share.model import Agreement, AgreementStatus, Record
from gongshu.share.odrl import agreement_policy, canonical_text, text_hash
from gongshu.share.ports import Reply
from gongshu.share.tables import share_agreements, share_deliveries, share_processes
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.integration.share.household import Household
from tests.metadata import new_database

MILL, SHOP = PartyId("urn:gongshu:party:mill"), PartyId("urn:gongshu:party:shop")
SECRET = "PLANTED-SECRET-7391"


def rows(count: int = 100) -> pa.Table:
    """Rows with a value that is looked for on the disk."""
    return pa.table(
        {
            "part": pa.array([f"P-{i % 4}" for i in range(count)]),
            "weight": pa.array([float(i) for i in range(count)]),
            "note": pa.array([f"{SECRET}-{i}" for i in range(count)]),
        }
    )


class Pantry(Household):
    """One node; it is the shop unless it is made for another party."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        party: PartyId = SHOP,
        settings: KeepingSettings | None = None,
        database: Database | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.party, self.settings = folder, party, settings
        self.clock = clock or Clock()
        self.made = 0
        self.given = database
        self.open()

    def open(self) -> None:
        """Put the services together, as a process does that starts."""
        super().__init__(
            self.folder,
            self.party,
            self.clock,
            self.given or new_database(self.folder / "metadata.db"),
            country="CN-33",
            settings=self.settings,
            ticks=self.clock.ticks,
        )

    def close(self) -> None:
        self.lake.close()
        self.database.close()

    def knows(self, other: "Pantry") -> None:
        self.parties.add(Party(other.party, "other", other.keys.public_key_pem(), "http://127.0.0.1:1", ("partner",)))

    def agree(
        self, terms: Terms, *, agreement_id: str = "", side: Side = Side.CONSUMER, other: PartyId = MILL
    ) -> Agreement:
        """Make an active agreement."""
        self.made += 1
        chosen = agreement_id or f"urn:agreement:{self.made}"
        provider, consumer = (other, self.party) if side is Side.CONSUMER else (self.party, other)
        policy = agreement_policy(
            terms, agreement_id=chosen, target="orders", assigner=provider, assignee=consumer, at=self.clock()
        )
        text = canonical_text(policy)
        began = {"created_at": self.clock(), "created_by": "user:li", "updated_at": self.clock()}
        with self.database.begin() as connection:
            connection.execute(
                sa.insert(share_processes).values(
                    process_id=f"n-{chosen}",
                    kind=Kind.NEGOTIATION,
                    side=side,
                    state=State.FINALIZED,
                    counterparty=other,
                    agreement_id=chosen,
                    **began,
                )
            )
            connection.execute(
                sa.insert(share_agreements).values(
                    agreement_id=chosen,
                    side=side,
                    counterparty=other,
                    dataset_id="orders",
                    negotiation_id=f"n-{chosen}",
                    policy=text,
                    policy_hash=text_hash(text),
                    status=AgreementStatus.ACTIVE,
                    agreed_at=self.clock(),
                    bound_to=proof_of(other),
                )
            )
            return find_agreement(connection, chosen)

    def retire(self, agreement: Agreement) -> None:
        with self.database.begin() as connection:
            mine = share_agreements.c.agreement_id == agreement.agreement_id
            connection.execute(sa.update(share_agreements).where(mine).values(status="retired", reason="by hand"))

    def deliver(self, agreement: Agreement, count: int = 100) -> None:
        """Write down, as provider, that rows were delivered."""
        values = {"direction": "out", "process_id": "t", "agreement_id": agreement.agreement_id, "purpose": ""}
        values |= {"counterparty": agreement.counterparty, "dataset_id": "orders", "encoding": "arrow"}
        with self.database.begin() as connection:
            connection.execute(
                sa.insert(share_deliveries).values(
                    **values, rows=count, outcome="complete", started_at=self.clock(), finished_at=self.clock()
                )
            )

    def keep(
        self, agreement: Agreement, name: str, table: pa.Table | None = None, *, transfer: str = "t1", **more: Any
    ) -> DatasetId:
        """Keep a table as if it had just arrived."""
        data = rows() if table is None else table
        return self.keep_batches(agreement, name, data.to_batches(max_chunksize=50), data.schema, transfer, **more)

    def keep_batches(
        self,
        agreement: Agreement,
        name: str,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        transfer: str = "t1",
        **more: Any,
    ) -> DatasetId:
        record = self._record(agreement, transfer)
        return self.keeping.keeper.keep(
            record, agreement, name, batches, schema, title=f"Kept {name}", actor="user:li", **more
        )

    def ask(self, sql: str, *, purpose: str = "quality", action: str = "read", **more: Any) -> pa.Table:
        return self.gate.read(self.li, SqlQuery(sql), purpose=purpose, action=action, **more).read_all()

    def found_on_disk(self, needle: bytes) -> list[str]:
        """Files of the node that hold these bytes."""
        return sorted(str(path) for path in self._files() if needle in path.read_bytes())

    def _files(self) -> Iterator[Path]:
        return (path for path in self.folder.rglob("*") if path.is_file())

    def _record(self, agreement: Agreement, transfer: str) -> Record:
        now = self.clock()
        blank = Record(
            process_id=transfer,
            kind=Kind.TRANSFER,
            side=Side.CONSUMER,
            state=State.STARTED,
            pending=None,
            pending_message=None,
            pending_sent=False,
            held=False,
            counterparty=agreement.counterparty,
            peer_pid=None,
            peer_address="",
            dataset_id="orders",
            offer_id="",
            policy="",
            own_policy="",
            agreement_id=agreement.agreement_id,
            format="HttpData-PULL",
            data_address="",
            rules=None,
            waiting="",
            reason="",
            created_at=now,
            created_by="user:li",
            updated_at=now,
            deadline_at=None,
            ends_at=None,
        )
        return replace(blank)


def tell_end(teller: Any, hearer: Any) -> None:
    """Let the evidence of one node tell the other's of contracts that have ended."""
    parts = [(n.database, n.keys, n.parties, n.audit, n.clock, n.party, lambda *_: None) for n in (hearer, teller)]
    hears = EvidenceService(*parts[0])
    EvidenceService(*parts[1], lambda _, __, body: Reply(200, orjson.dumps(hears.take(teller.party, body)))).step()


class Post:
    """A wire between two pantries: what one sends, the other takes; it can be cut."""

    def __init__(self, sender: Pantry, receiver: Pantry) -> None:
        self._sender, self._receiver = sender, receiver
        self.is_cut = False
        self.time: Callable[[], datetime] = receiver.clock
        """What the receiver's answers say when they were given."""
        self.sent: list[tuple[str, bytes]] = []

    def __call__(self, party: PartyId, path: str, body: bytes) -> Reply:
        if self.is_cut:
            return Reply(503)
        self.sent.append((path, body))
        watch = self._receiver.keeping.watch
        takes = {"usage": watch.take_receipts, "deletions": watch.take_proof}
        take = takes[path.rpartition("/")[2]]
        date = format_datetime(self.time(), usegmt=True)
        return Reply(200, orjson.dumps(take(self._sender.party, body)), {"date": date})

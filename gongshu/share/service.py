"""What pages, programs and commands do in the data space: offer, find, negotiate, transfer, pull, end.

`ShareService` puts the parts together and keeps the rights; the parts decide. Every change is in the audit log.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from gongshu.database import Database
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSinkOfMany
from gongshu.model.ids import DatasetId, PartyId
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.peer_identity import PeerIdentities
from gongshu.secure.peer_tls import TlsSettings
from gongshu.share import processes as store
from gongshu.share.addresses import join
from gongshu.share.agreements import find_agreement, retire_agreement, set_transfer_rules
from gongshu.share.automation import Action, Rules
from gongshu.share.clearances.book import ClearanceBook
from gongshu.share.clearances.marks import Marker
from gongshu.share.contract_book import ContractBook
from gongshu.share.contracts.attaching import NewAttachment
from gongshu.share.contracts.service import ContractDesk
from gongshu.share.dealing import Dealing
from gongshu.share.delivery import partner_subject
from gongshu.share.dsp.messages import FORMAT_PULL, PATH
from gongshu.share.dsp.states import Side
from gongshu.share.engine import Engine
from gongshu.share.flows import Flows
from gongshu.share.inbox import Inbox
from gongshu.share.intake import Intake
from gongshu.share.keeping.service import Keeping
from gongshu.share.keeping.watching import WatchedPolicy
from gongshu.share.key_changes.service import KeyChanges
from gongshu.share.looking import Looking
from gongshu.share.model import Agreement, Offer, Record, RemoteCatalogue, RemoteOffer
from gongshu.share.notices import NoticeBook
from gongshu.share.offers import OfferBook
from gongshu.share.outbox import Outbox
from gongshu.share.partners import KEEPS_TERMS, SIGNS_CONTRACTS, PartnerBook
from gongshu.share.peer import HttpWire
from gongshu.share.ports import CatalogueReader, Clock, GateDoor, Reply
from gongshu.share.pulling import Puller
from gongshu.share.reactor import Reactor
from gongshu.share.reading import preview_rows
from gongshu.share.receiving import Opening
from gongshu.share.remote import fetch_catalogue, fetch_offer
from gongshu.share.rights import DEALERS, USERS, require_right
from gongshu.share.runner import Runner
from gongshu.share.sending import Retries
from gongshu.share.signals import Signals
from gongshu.share.terms import Terms
from gongshu.share.watchdog import IDLE_MAX, Watchdog


@dataclass(frozen=True, slots=True)
class ShareSettings:
    """Bounds of the data space."""

    token_valid_s: int = 300
    """Life of a data token; a pull that began in time goes on."""
    body_bytes_max: int = 1024 * 1024
    body_timeout_s: float = 10.0
    """Bounds of a message from another party."""
    stream_step_s: float = 1.0
    """Between two looks for new rows of a stream; while none come, up to five times as long."""
    stream_settle_s: float = 5.0
    """How long a row may need from its arrival into the lake: a stream stays so far behind."""
    receive_bytes_max: int = 64 * 1024**3
    """What one delivery to us may bring; it lies on disk, not in memory."""
    idle_max: timedelta | None = IDLE_MAX
    """A started transfer under which nothing was fetched for so long is ended; None ends none."""
    retries: Retries = field(default_factory=Retries)


class ShareService(Looking):
    """The data space of one node. Threads may share it."""

    def __init__(
        self,
        *,
        database: Database,
        catalogue: CatalogueReader,
        gate: GateDoor,
        parties: PartyRegistry,
        peers: PeerIdentities,
        keys: KeyStore,
        audit: AuditSinkOfMany,
        clock: Clock,
        own_party_id: PartyId,
        public_address: Callable[[], str],
        keeping: Keeping,
        clearances: ClearanceBook,
        spool: Path,
        settings: ShareSettings | None = None,
        tls: TlsSettings | None = None,
    ) -> None:
        self.settings = settings or ShareSettings()
        self.own_party_id = own_party_id
        self.keeping = keeping
        self.clearances = clearances
        self.marker = Marker(database, keys, clearances, audit, clock)
        self._audit = audit
        self._gate = gate
        self._parties = parties
        self._public_address = public_address
        signals = Signals()
        super().__init__(database, Engine(database, audit, clock, signals), signals, clock)
        self.partners = PartnerBook(database, parties, audit, clock)
        self.key_changes = KeyChanges(database, parties, audit, clock)
        self.notices = NoticeBook(database, keys, parties, audit, clock, own_party_id)
        self.steady = keeping.steady
        self.contracts = ContractBook(database, keys, parties, clock, own_party_id, (SIGNS_CONTRACTS, KEEPS_TERMS))
        self._policy = WatchedPolicy(keeping.watch, catalogue, self.steady, self.partners, clearances)
        self._wire = HttpWire(parties, peers, clock, tls=tls)
        self._book = OfferBook(database, gate, self._policy, audit, clock, keeping.require_onward)
        self.flows = self._open_flows(spool)
        self.delivery = self.flows.delivery
        inbox = Inbox(database, self.engine, clock)
        self.intake = Intake(
            *(database, self.engine, inbox, self._book, self._policy, parties, peers, clock), own_party_id=own_party_id
        )
        self._dealing = Dealing(
            *(database, self.engine, self._book, clock, self.flows.inboxes),
            callback=self._callback,
            declaration=self.contracts.declaration,
        )
        self._puller = Puller(database, self.engine, self.flows.access, keeping.keeper, audit, clock, spool=spool)
        self.desk = ContractDesk(
            database, self.engine, self.partners, self.notices, self.contracts, parties, self._wire, audit, clock
        )
        self._runner = self._open_runner()

    def _open_flows(self, spool: Path) -> Flows:
        return Flows(
            database=self._database,
            engine=self.engine,
            policy=self._policy,
            parties=self._parties,
            gate=self._gate,
            keeper=self.keeping.keeper,
            audit=self._audit,
            clock=self.clock,
            signals=self._signals,
            address=lambda: self.address,
            spool=spool,
            settings=self.settings,
            peer_wire=self._wire,
            steady=self.steady,
            notices=self.notices,
            marker=self.marker,
        )

    def _open_runner(self) -> Runner:
        ground, signals = (self._database, self.engine), self._signals
        reactor = Reactor(*ground, self._policy, self._audit, self.clock, self.own_party_id, signals, self.contracts)
        outbox = Outbox(
            *(*ground, self._wire, self._audit, self.clock, signals),
            mint_address=self.delivery.data_address,
            retries=self.settings.retries,
            random=Random(),  # noqa: S311  # spreads retries, protects nothing
        )
        watchdog = Watchdog(*ground, outbox, self.clock, idle_max=self.settings.idle_max)
        chores = (self.notices.chore(self._wire),)
        return Runner(self._database, reactor, outbox, watchdog, self.clock, signals, chores=chores)

    # ---- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start sending, reacting and watching, in a thread of this process."""
        self._runner.start()
        self.flows.start()
        self.keeping.start(self._post)

    def stop(self) -> None:
        """Stop; what is queued stays queued and goes on at the next start."""
        self.keeping.stop()
        self._runner.stop()
        self.flows.stop()

    def close(self) -> None:
        """Stop, and close the connections to partners."""
        self.stop()
        self._wire.close()

    def step(self) -> None:
        """Do what is due now in the calling thread, for one-shot programs."""
        self._runner.step()
        while self.flows.step():
            self._runner.step()

    @property
    def address(self) -> str:
        """The address under which partners reach this node."""
        return self._public_address().rstrip("/")

    def _post(self, party: PartyId, path: str, body: bytes) -> Reply:
        """Send to a path beside a party's protocol endpoints, with our proof of who we are."""
        return self._wire.post_to(party, join(self._parties.get(party).address, path), body)

    def _callback(self) -> str:
        return f"{self.address}{PATH}"

    # ---- provider ---------------------------------------------------------------------------------------------------

    def offer(
        self,
        dataset_id: DatasetId,
        terms: Terms,
        actor: Subject,
        *,
        rules: Rules | None = None,
        offer_id: str = "",
        attachments: Sequence[NewAttachment] = (),
        published_as: str = "",
    ) -> Offer:
        """Publish a dataset under terms; an offer id of one's own stays the same where a catalogue is published again.

        Partners see the dataset under the id `published_as`, empty for its own.
        Raises: NotAllowed; a NotFound for the dataset; TermsInvalid; GradeForbids; Denied; OfferTaken; NameTaken;
            AttachmentInvalid.
        """
        require_right(actor, DEALERS, "offer data")
        known = [party.party_id for party in self._parties.all()]
        return self._book.offer(
            dataset_id, terms, actor, rules=rules, offer_id=offer_id, published_as=published_as, known_parties=known,
            attachments=attachments,
        )  # fmt: skip

    def withdraw(self, offer_id: str, actor: Subject) -> Offer:
        """Take an offer out of the catalogue; agreements made from it stand. Raises: NotAllowed, OfferUnknown."""
        require_right(actor, DEALERS, "withdraw offers")
        return self._book.withdraw(offer_id, actor)

    def offers(self, *, withdrawn: bool = False, limit: int = 100, offset: int = 0) -> list[Offer]:
        """Return our offers, newest first."""
        return self._book.all(withdrawn=withdrawn, limit=limit, offset=offset)

    def preview(
        self, dataset_id: DatasetId, terms: Terms, party: PartyId, actor: Subject, *, rows_max: int = 20
    ) -> pa.Table:
        """Return rows exactly as that partner would receive them under the terms, through the gate as the partner.

        Raises: NotAllowed, TermsInvalid, GradeForbids, Denied.
        """
        require_right(actor, DEALERS, "preview offers")
        self._book.require_previewable(dataset_id, terms, actor, self._parties.all())
        subject = partner_subject(party, "preview")
        return preview_rows(self._gate, subject, self._policy.dataset(dataset_id), terms, rows_max).read_all()

    # ---- consumer ---------------------------------------------------------------------------------------------------

    def catalogue_of(
        self, party: PartyId, actor: Subject, *, search: str = "", dataset_id: str = "", page: str = ""
    ) -> RemoteCatalogue:
        """Return one page of what another party offers us. Raises: NotAllowed, PartyUnknown, and the wire's errors."""
        require_right(actor, USERS, "read partners' catalogues")
        return fetch_catalogue(self._wire, party, search=search, dataset_id=dataset_id, page=page)

    def negotiate(
        self,
        party: PartyId,
        dataset_id: str,
        actor: Subject,
        *,
        offer_id: str = "",
        offer: RemoteOffer | None = None,
        terms: Terms | None = None,
        rules: Rules | None = None,
        replaces: str = "",
    ) -> Record:
        """Ask for a contract on an offer, or with other `terms` than offered; return the negotiation.

        `replaces` names our agreement over the same dataset that ends when the new one is final.

        An empty offer id takes the dataset's only offer. An `offer` that was read before is not looked up again.
        Raises: NotAllowed, OfferUnknown, TermsUnknown if the offer holds what this node cannot keep, wire errors.
        """
        require_right(actor, USERS, "negotiate")
        remote = offer or fetch_offer(self._wire, party, dataset_id, offer_id)
        return self._dealing.negotiate(
            party, dataset_id, actor, remote=remote, terms=terms, rules=rules, replaces=replaces
        )

    def transfer(
        self,
        agreement_id: str,
        actor: Subject,
        *,
        format: str = FORMAT_PULL,
        rules: Rules | None = None,
        opening: Opening | None = None,
    ) -> Record:
        """Request a transfer under an agreement in which we are the consumer.

        For a push, `opening` says what its one delivery is kept as; the rows come by themselves once it has started.
        Raises: AgreementUnknown, TermsForbid, MessageInvalid for a format that is not known.
        """
        require_right(actor, USERS, "transfer data")
        return self._dealing.transfer(agreement_id, actor, format=format, rules=rules, opening=opening)

    def pull(self, transfer_id: str, actor: Subject, *, purpose: str = "", columns: Sequence[str] = ()) -> pa.Table:
        """Return the data of a started transfer, unkept; the provider counts one use, and gets a receipt of an export.

        Raises: CopyForbidden if the contract does not let rows out of the node; and as `Puller.pull`.
        """
        require_right(actor, USERS, "pull data")
        record = self.engine.record(transfer_id)
        fetch = partial(self._puller.pull, transfer_id, actor, purpose=purpose, columns=tuple(columns))
        if record.side is not Side.CONSUMER:
            return fetch()
        return self.keeping.hand_out(self.agreement(record.agreement_id), actor, purpose, fetch)

    def pull_into(
        self,
        transfer_id: str,
        name: str,
        actor: Subject,
        *,
        purpose: str = "",
        title: str = "",
        columns: Sequence[str] = (),
    ) -> DatasetId:
        """Pull and keep the rows, or figures over them, as a dataset of origin `partner:<party>`, under the contract.

        Raises: as `Puller.pull`, and as `Keeper.keep`.
        """
        require_right(actor, USERS, "pull data")
        return self._puller.pull_into(transfer_id, name, actor, purpose=purpose, title=title, columns=tuple(columns))

    # ---- both -------------------------------------------------------------------------------------------------------

    def approve(self, process_id: str, actor: Subject) -> Record:
        """Say yes to what waits for a person. Raises: NotAllowed, ProcessUnknown, NotWaiting."""
        require_right(actor, DEALERS, "approve")
        return self._dealing.answer(process_id, actor, agrees=True)

    def decline(self, process_id: str, actor: Subject, reason: str = "") -> Record:
        """Say no to what waits for a person, and end it. Raises: NotAllowed, ProcessUnknown, NotWaiting."""
        require_right(actor, DEALERS, "decline")
        return self._dealing.answer(process_id, actor, agrees=False, reason=reason)

    def counter(self, process_id: str, terms: Terms, actor: Subject) -> Record:
        """Answer a request or an offer with other terms. Raises: NotAllowed, ProcessUnknown, MoveIllegal, Refused."""
        require_right(actor, DEALERS, "make counter-offers")
        return self._dealing.counter(process_id, terms, actor)

    def suspend(self, transfer_id: str, actor: Subject, reason: str = "") -> Record:
        """Stop a transfer for now; as provider, data stop at once. Raises: NotAllowed, ProcessUnknown, MoveIllegal."""
        require_right(actor, USERS, "suspend transfers")
        return self._dealing.act(transfer_id, Action.SUSPEND, actor, reason)

    def resume(self, transfer_id: str, actor: Subject) -> Record:
        """Let a transfer go on that this side suspended. Raises: NotAllowed, ProcessUnknown, MoveIllegal."""
        require_right(actor, USERS, "resume transfers")
        return self._dealing.act(transfer_id, Action.START, actor, "")

    def complete(self, transfer_id: str, actor: Subject) -> Record:
        """Say that a transfer is done. Raises: NotAllowed, ProcessUnknown, MoveIllegal."""
        require_right(actor, USERS, "complete transfers")
        return self._dealing.act(transfer_id, Action.COMPLETE, actor, "")

    def terminate(self, process_id: str, actor: Subject, reason: str = "") -> Record:
        """End a negotiation or transfer. Raises: NotAllowed, ProcessUnknown, MoveIllegal."""
        require_right(actor, USERS, "terminate")
        return self._dealing.act(process_id, Action.TERMINATE, actor, reason or "ended by a person")

    def retire(self, agreement_id: str, actor: Subject, reason: str) -> Agreement:
        """End an agreement: its data stop, its transfers end. Raises: NotAllowed, AgreementUnknown, ReasonMissing."""
        require_right(actor, DEALERS, "end agreements")
        with self._database.begin() as connection:
            find_agreement(connection, agreement_id)
            if retire_agreement(connection, agreement_id, reason):
                self._write(actor, "agreement.retired", agreement_id, {"reason": reason[:300]})
            running = store.transfers_under(connection, agreement_id)
        for record in running:
            self.engine.terminate(record.process_id, f"the agreement was ended: {reason}", actor=actor.subject_id)
        return self.agreement(agreement_id)

    def set_transfer_rules(self, agreement_id: str, rules: Rules | None, actor: Subject) -> Agreement:
        """Let new transfers under an agreement of ours as provider follow these rules; None is the default again."""
        require_right(actor, DEALERS, "set rules")
        with self._database.begin() as connection:
            find_agreement(connection, agreement_id)
            set_transfer_rules(connection, agreement_id, rules.as_json() if rules is not None else None)
            self._write(actor, "agreement.rules_set", agreement_id, {})
        return self.agreement(agreement_id)

    def _write(self, actor: Subject, action: str, what: str, details: dict[str, Any]) -> None:
        self._audit.write(AuditEvent(self.clock(), actor.subject_id, action, what, "ok", details))

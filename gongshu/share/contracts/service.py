"""The desk at which people of this node see to contracts. Rights are checked here; the books decide."""

import hashlib
from collections.abc import Sequence

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.parties import PartyRegistry
from gongshu.share import processes as store
from gongshu.share.agreements import find_agreement, require_bound
from gongshu.share.automation import Action
from gongshu.share.contract import Attachment
from gongshu.share.contract_book import ContractBook, SignedContract
from gongshu.share.contract_tables import share_attachments
from gongshu.share.contracts.attaching import (
    NewAttachment,
    attachments_of,
    insert_attachment,
    keep_content,
    require_attachable,
)
from gongshu.share.dsp.reader import read_plain
from gongshu.share.dsp.states import Side, State
from gongshu.share.engine import Engine
from gongshu.share.errors import AgreementUnknown, AttachmentInvalid, MessageInvalid, OfferUnknown, PartnerFactInvalid
from gongshu.share.model import Agreement
from gongshu.share.notices import Notice, NoticeBook, Sender
from gongshu.share.partners import Group, PartnerBook, RegisteredPlace
from gongshu.share.ports import Clock
from gongshu.share.rights import DEALERS, LOOKERS, USERS, require_right
from gongshu.share.tables import share_offers

ATTACHMENTS_PATH = "/share/attachments"


class ContractDesk:
    """What the console, the commands and HTTP ask about contracts. Threads may share it."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        partners: PartnerBook,
        notices: NoticeBook,
        contracts: ContractBook,
        parties: PartyRegistry,
        wire: Sender,
        audit: AuditSink,
        clock: Clock,
    ) -> None:
        self._database = database
        self._engine = engine
        self._partners = partners
        self._notices = notices
        self._contracts = contracts
        self._parties = parties
        self._wire = wire
        self._audit = audit
        self._clock = clock

    # ---- partners ---------------------------------------------------------------------------------------------------

    def groups(self, actor: Subject) -> list[Group]:
        """Return the groups that terms can name. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see the data space")
        return self._partners.groups()

    def add_to_group(self, group_id: str, members: Sequence[PartyId], actor: Subject, *, title: str = "") -> Group:
        """Put parties into a group, made if there is none. Raises: NotAllowed, PartnerFactInvalid, PartyUnknown."""
        require_right(actor, DEALERS, "change groups")
        return self._partners.add_to_group(group_id, members, actor, title=title)

    def remove_from_group(self, group_id: str, party: PartyId, actor: Subject) -> Group:
        """Take a party out of a group; that binds at its next request. Raises: NotAllowed, GroupUnknown."""
        require_right(actor, DEALERS, "change groups")
        return self._partners.remove_from_group(group_id, party, actor)

    def places(self, actor: Subject) -> list[RegisteredPlace]:
        """Return where parties are. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see the data space")
        return self._partners.places()

    def register_place(self, party: PartyId, place: str, basis: str, actor: Subject) -> RegisteredPlace:
        """Write down where a party is. Raises: NotAllowed, PartyUnknown, PartnerFactInvalid."""
        require_right(actor, DEALERS, "register places")
        return self._partners.register_place(party, place, basis, actor)

    def confirm_payment(self, agreement_id: str, reference: str, actor: Subject) -> Agreement:
        """Confirm that an agreement of ours as provider was paid; transfers that waited for it start.

        A program that watches an account does the same over HTTP. Raises: NotAllowed, AgreementUnknown,
        PartnerFactInvalid.
        """
        require_right(actor, DEALERS, "confirm payments")
        with self._database.connect() as connection:
            agreement = find_agreement(connection, agreement_id)
            waiting = [
                record
                for record in store.transfers_under(connection, agreement_id)
                if record.waiting and record.state is State.REQUESTED
            ]
        if agreement.side is not Side.PROVIDER or agreement.terms.payment is None:
            raise PartnerFactInvalid(reason="no payment is owed to us under this agreement")
        self._partners.confirm_payment(agreement_id, reference, actor)
        for record in waiting:
            self._engine.queue(record, Action.START, actor=actor.subject_id, reason="")
        return agreement

    # ---- documents --------------------------------------------------------------------------------------------------

    def contract(self, agreement_id: str, actor: Subject) -> SignedContract:
        """Return the contract document of an agreement, checked. Raises: NotAllowed, AgreementUnknown."""
        require_right(actor, LOOKERS, "see the data space")
        return self._contracts.find(agreement_id)

    def chain(self, agreement_id: str, actor: Subject) -> tuple[list[SignedContract], list[str]]:
        """Return a contract with all versions before it, and what is wrong with their chain."""
        require_right(actor, LOOKERS, "see the data space")
        return self._contracts.chain(agreement_id)

    def attach(self, offer_id: str, name: str, media_type: str, content: bytes, actor: Subject) -> str:
        """Attach a file to an offer: contracts made from now on hold its hash. Return the hash.

        Raises: NotAllowed, OfferUnknown, AttachmentInvalid.
        """
        require_right(actor, DEALERS, "attach files")
        new = NewAttachment(name, media_type, content)
        require_attachable(new)
        with self._database.begin() as connection:
            if connection.execute(sa.select(share_offers).where(share_offers.c.offer_id == offer_id)).first() is None:
                raise OfferUnknown(offer_id=offer_id[:200])
            insert_attachment(connection, offer_id, new, self._clock())
            event = AuditEvent(
                self._clock(), actor.subject_id, "offer.attached", offer_id, "ok", {"name": name, "sha256": new.sha256}
            )
            self._audit.write(event)
        return new.sha256

    def files_of(self, offer_id: str, actor: Subject) -> tuple[Attachment, ...]:
        """Return the files that contracts made from an offer hold. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see the data space")
        with self._database.connect() as connection:
            return attachments_of(connection, offer_id)

    def awaiting(self, process_id: str, actor: Subject) -> tuple[Attachment, ...]:
        """Return the files of the contract that a negotiation waits for us to sign. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see the data space")
        return self._contracts.awaiting(process_id)

    def attachment(self, agreement_id: str, name: str, actor: Subject) -> bytes:
        """Return the bytes of an attachment of a contract, fetched from the provider if they are not here yet.

        A contract that we have not signed yet has them too: a person reads them before.
        Raises: NotAllowed, AgreementUnknown, AttachmentInvalid if they are not what the contract says, wire errors.
        """
        require_right(actor, USERS, "read attachments")
        try:
            contract = self._contracts.find(agreement_id).contract
            files, party = contract.attachments, contract.provider.party_id
        except AgreementUnknown:
            with self._database.connect() as connection:
                agreement = find_agreement(connection, agreement_id)
            files, party = self._contracts.awaiting(agreement.negotiation_id), agreement.counterparty
        listed = next((part for part in files if part.name == name), None)
        if listed is None:
            raise AttachmentInvalid(name=name[:200], reason="the contract has no such attachment")
        content = self._content(listed.sha256)
        if content is None:
            address = f"{self._parties.get(party).address.rstrip('/')}{ATTACHMENTS_PATH}"
            body = orjson.dumps({"agreement": agreement_id, "name": name})
            reply = self._wire.post_to(party, address, body)
            if not reply.is_ok or hashlib.sha256(reply.body).hexdigest() != listed.sha256:
                raise AttachmentInvalid(name=name, reason="the provider does not send what the contract says")
            content = reply.body
            with self._database.begin() as connection:
                keep_content(connection, listed.sha256, listed.media_type, content, self._clock())
        return content

    def give_attachment(self, party: PartyId, body: bytes) -> bytes:
        """Return an attachment to the consumer of the contract that lists it. Raises: AttachmentInvalid."""
        try:
            asked = read_plain(body, "the request")
            agreement_id, name = str(asked["agreement"]), str(asked["name"])
            contract = self._contracts.find(agreement_id).contract
        except (MessageInvalid, KeyError, AgreementUnknown) as cause:
            raise AttachmentInvalid(name="(unknown)", reason="it is asked for in no known form") from cause
        listed = next((part for part in contract.attachments if part.name == name), None)
        content = None if listed is None else self._content(listed.sha256)
        if contract.consumer.party_id != party or content is None:
            raise AttachmentInvalid(name=name[:200], reason="no contract with this party has it")
        with self._database.connect() as connection:
            require_bound(find_agreement(connection, agreement_id))
        return content

    def _content(self, digest: str) -> bytes | None:
        query = sa.select(share_attachments.c.content).where(share_attachments.c.sha256 == digest)
        with self._database.connect() as connection:
            content = connection.execute(query).scalar()
        return None if content is None else bytes(content)

    # ---- notices ----------------------------------------------------------------------------------------------------

    def take_notice(self, party: PartyId, body: bytes) -> None:
        """Keep a notice of use that a party sends. Raises: NoticeInvalid."""
        self._notices.take(party, body)

    def notices(self, actor: Subject, *, received: bool, limit: int = 100, offset: int = 0) -> list[Notice]:
        """Return notices of use, newest first: those of others to us, or ours with what became of them."""
        require_right(actor, LOOKERS, "see the data space")
        if received:
            return self._notices.received(limit=limit, offset=offset)
        return self._notices.sent(limit=limit, offset=offset)

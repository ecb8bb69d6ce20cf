"""What other parties ask of us, checked before it reaches the engine: who asks, for which offer, back to where."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import NotFound
from gongshu.model.dataset import DatasetKind
from gongshu.model.ids import PartyId
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.peer_identity import PeerIdentities
from gongshu.share.addresses import is_under
from gongshu.share.agreements import find_agreement, require_bound, require_undisputed
from gongshu.share.catalog import build_catalog, build_dataset, build_service, formats_of
from gongshu.share.data_addresses import require_data_address
from gongshu.share.desk import Later
from gongshu.share.destination import read_destination
from gongshu.share.dsp.messages import FORMAT_PUSH
from gongshu.share.dsp.reader import Inbound, read_message
from gongshu.share.dsp.states import FINAL, Kind, Move, Side, State
from gongshu.share.engine import Engine
from gongshu.share.errors import (
    AddressRefused,
    AgreementUnknown,
    DatasetNotOffered,
    MessageInvalid,
    OfferUnknown,
    TermsForbid,
)
from gongshu.share.filters import read_filter
from gongshu.share.inbox import Answer, Inbox
from gongshu.share.model import AgreementStatus, Offer
from gongshu.share.odrl import canonical_text, message_offer, read_terms
from gongshu.share.offers import OfferBook
from gongshu.share.policy import SharePolicy
from gongshu.share.ports import Clock
from gongshu.share.quotas import OPEN_FOR, OPEN_MAX, Quota
from gongshu.share.tables import share_processes

Json = dict[str, Any]

ID_MAX = 400
"""Longest pid or id of another party that is kept."""


class Intake:
    """Answers the protocol's requests."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        inbox: Inbox,
        book: OfferBook,
        policy: SharePolicy,
        parties: PartyRegistry,
        identities: PeerIdentities,
        clock: Clock,
        *,
        own_party_id: PartyId,
    ) -> None:
        self._database = database
        self._engine = engine
        self._inbox = inbox
        self._book = book
        self._policy = policy
        self._parties = parties
        self._identities = identities
        self._own = own_party_id
        self._open = {kind: Quota(f"open {kind}s", OPEN_MAX, partial(_open_of, kind, clock)) for kind in Kind}

    def authenticate(self, scope: Mapping[str, Any], body: bytes | None) -> PartyId:
        """Return who sent a request (its ASGI scope), by the scheme of identity that this party is registered with.

        Raises: PeerTokenRejected.
        """
        return self._identities.party_of(self._identities.proof_of(scope, body))

    def answer(self) -> Later:
        """Return what the reactions to one request wait for: `Later.answered` is called when its answer has left."""
        return self._engine.answer()

    @contextmanager
    def one_request(self, later: Later) -> Iterator[None]:
        """Around one request from proof to answer: it rests on one state of the register of parties.

        The proof is used up with what the message changes, in one transaction, or at the end where it changed nothing.
        """
        with later.prepared(), self._database.carrying(), self._parties.one_look():
            yield

    # ---- catalogue --------------------------------------------------------------------------------------------------

    def catalogue(self, party: PartyId, body: bytes, *, after: str, address: str) -> tuple[Json, dict[str, str]]:
        """Return one page of what this party may see, and where those around it begin. Raises: MessageInvalid."""
        inbound = read_message(body, "CatalogRequestMessage")
        wanted = read_filter(inbound.document.get("filter") or [])
        offers, pages = self._book.visible_page(
            party,
            after=after,
            limit=wanted.limit,
            offset=wanted.offset,
            published_as=wanted.dataset_id,
            search=wanted.search,
        )
        service = self._service(address)
        document = build_catalog(
            catalog_id=f"{self._own}:catalogue",
            participant_id=self._own,
            service=service,
            datasets=self._datasets(offers, service),
        )
        return document, pages

    def dataset(self, party: PartyId, dataset_id: str, *, address: str) -> Json:
        """Return one dataset with the offers this party may see. Raises: DatasetNotOffered."""
        offers, _ = self._book.visible_page(party, after="", limit=1, published_as=dataset_id)
        found = self._datasets(offers, self._service(address))
        if not found:
            raise DatasetNotOffered(dataset_id=dataset_id[:200])
        return found[0]

    def _service(self, address: str) -> Json:
        return build_service(service_id=f"{self._own}:connector", address=address)

    def _datasets(self, offers: list[Offer], service: Json) -> list[Json]:
        grouped: dict[str, list[Offer]] = {}
        for offer in offers:
            grouped.setdefault(offer.published_as, []).append(offer)
        return [
            build_dataset(self._policy.dataset(found[0].dataset_id), found, service=service)
            for found in grouped.values()
        ]

    # ---- processes --------------------------------------------------------------------------------------------------

    def state(self, party: PartyId, process_id: str, kind: Kind) -> Json:
        """Return a process as this party may see it. Raises: ProcessUnknown."""
        return self._inbox.state_for(party, process_id, kind)

    def read(self, body: bytes, *types: str) -> Inbound:
        """Return a process message. Raises: MessageInvalid."""
        inbound = read_message(body, *types)
        for name in ("providerPid", "consumerPid", "agreementId"):
            value = inbound.document.get(name)
            if name in inbound.document and not (isinstance(value, str) and 0 < len(value) <= ID_MAX):
                raise MessageInvalid(what=inbound.message_type, reason=f"{name} has 1 to {ID_MAX} characters")
        if inbound.message_id is not None and len(inbound.message_id) > ID_MAX:
            raise MessageInvalid(what=inbound.message_type, reason=f"@id has at most {ID_MAX} characters")
        return inbound

    def begin(self, party: PartyId, inbound: Inbound) -> Answer:
        """Begin a process that the other side asks for, or return the one that this request began before.

        Raises: AddressRefused, OfferUnknown, AgreementUnknown, TermsUnknown, TermsForbid, MessageInvalid.
        """
        self._require_callback(party, inbound)
        with self._database.one_look():
            with self._database.connect() as connection:
                self._open[inbound.kind].take(connection, party)
            if inbound.move is Move.REQUEST:
                values = self._contract_request(party, inbound)
            elif inbound.move is Move.OFFER:
                values = self._unasked_offer(party, inbound)
            else:
                values = self._transfer_request(party, inbound)
        address = str(inbound.text("callbackAddress")).removesuffix("/")
        return self._inbox.receive_first(party, inbound, {**values, "peer_address": address})

    def go_on(self, party: PartyId, inbound: Inbound, process_id: str) -> Answer:
        """Apply a message to a process. Raises: ProcessUnknown, MessageInvalid, MoveIllegal, TermsUnknown."""
        changes: Json = {}
        agreement: Json | None = None
        if inbound.move in (Move.REQUEST, Move.OFFER):
            changes = self._next_offer(party, inbound, process_id)
        elif inbound.move is Move.AGREE:
            agreement = inbound.document["agreement"]
            assert agreement is not None, "the schema demands it"
            read_terms(agreement)
            changes = {"agreement_id": _short(str(agreement["@id"]))}
        elif inbound.move is Move.START:
            changes = self._address_changes(party, inbound, process_id)
        return self._inbox.receive(party, inbound, process_id, changes, agreement=agreement)

    # ---- checks -----------------------------------------------------------------------------------------------------

    def _require_callback(self, party: PartyId, inbound: Inbound) -> None:
        address = inbound.text("callbackAddress") or ""
        if not is_under(address, self._parties.get(party).address):
            raise AddressRefused(address=address[:200], party=party)

    def _contract_request(self, party: PartyId, inbound: Inbound) -> Json:
        asked = inbound.document["offer"]
        offer = self._book.visible(str(asked.get("@id")), party)
        if offer is None or asked.get("target", offer.published_as) != offer.published_as:
            raise OfferUnknown(offer_id=str(asked.get("@id"))[:200])
        read_terms(asked)
        ours = message_offer(offer.terms, offer_id=offer.offer_id, target=offer.published_as)
        return {
            "dataset_id": offer.dataset_id,
            "offer_id": offer.offer_id,
            "policy": canonical_text({**asked, "target": offer.published_as}),
            "own_policy": canonical_text(ours),
            "rules": offer.rules,
        }

    def _unasked_offer(self, party: PartyId, inbound: Inbound) -> Json:
        offer = inbound.document["offer"]
        read_terms(offer)
        assert party, "authenticated before"
        return {
            "dataset_id": _short(str(offer["target"])),
            "offer_id": _short(str(offer["@id"])),
            "policy": canonical_text(offer),
        }

    def _transfer_request(self, party: PartyId, inbound: Inbound) -> Json:
        agreement_id = str(inbound.text("agreementId"))
        with self._database.connect() as connection:
            agreement = find_agreement(connection, agreement_id)
        if agreement.counterparty != party or agreement.side is not Side.PROVIDER:
            raise AgreementUnknown(agreement_id=agreement_id[:200])
        require_undisputed(require_bound(agreement))
        if agreement.status is not AgreementStatus.ACTIVE:
            raise TermsForbid(agreement_id=agreement_id, reason=f"the agreement is {agreement.status}")
        return {
            **self._format_asked(party, inbound, agreement.dataset_id),
            "dataset_id": agreement.dataset_id,
            "agreement_id": agreement_id,
            "ends_at": agreement.end,
            "rules": agreement.transfer_rules,
        }

    def _format_asked(self, party: PartyId, inbound: Inbound, dataset_id: str) -> Json:
        asked = str(inbound.text("format"))
        try:
            possible = formats_of(self._policy.dataset(dataset_id).kind)
        except NotFound:  # it says so itself when the transfer is to start
            possible = formats_of(DatasetKind.TABLE)
        if asked not in possible:
            reason = f"the format is none of {', '.join(possible)}"
            raise MessageInvalid(what=inbound.message_type, reason=reason)
        if asked != FORMAT_PUSH:
            if "dataAddress" in inbound.document:
                raise MessageInvalid(what=inbound.message_type, reason=f"{asked} takes no dataAddress")
            return {"format": asked}
        return {"format": asked, "data_address": self._push_destination(party, inbound)}

    def _push_destination(self, party: PartyId, inbound: Inbound) -> str:
        """Return where a push goes, as it is stored; an address that is not the party's is refused here already."""
        document = inbound.document.get("dataAddress")
        require_data_address(self._database, self._parties, party, read_destination(document).address)
        return orjson.dumps(document).decode()

    def _address_changes(self, party: PartyId, inbound: Inbound, process_id: str) -> Json:
        """Return what a start says about the way of data: to the consumer where to pull, to us where to push."""
        record = self._engine.record(process_id)
        if "dataAddress" not in inbound.document or record.counterparty != party:
            return {}
        if record.format == FORMAT_PUSH:
            is_ours_to_push = record.side is Side.PROVIDER
            return {"data_address": self._push_destination(party, inbound)} if is_ours_to_push else {}
        return {"data_address": orjson.dumps(inbound.document["dataAddress"]).decode()}

    def _next_offer(self, party: PartyId, inbound: Inbound, process_id: str) -> Json:
        record = self._engine.record(process_id)
        offer = inbound.document["offer"]
        target = record.target
        if record.counterparty == party and offer.get("target", target) != target:
            raise MessageInvalid(what=inbound.message_type, reason="its offer is for another dataset")
        return {"policy": canonical_text({**offer, "target": target})}


def _open_of(kind: Kind, clock: Clock, party: PartyId) -> "sa.Select[int]":
    columns = share_processes.c
    counts = sa.or_(columns.state != State.STARTED, columns.updated_at > clock() - OPEN_FOR)
    mine = (columns.counterparty == party, columns.kind == kind, columns.state.not_in(FINAL), counts)
    return sa.select(sa.func.count()).where(*mine)


def _short(identity: str) -> str:
    if not 0 < len(identity) <= ID_MAX:
        raise MessageInvalid(what="offer or agreement", reason=f"its ids have 1 to {ID_MAX} characters")
    return identity

"""Our offers: made through the gate, found by those who may see them."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database, UtcTime, settles_races
from gongshu.model.access import Request, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.dataset import Dataset
from gongshu.model.ids import DatasetId, PartyId
from gongshu.prepared import Prepared
from gongshu.secure.errors import Denied
from gongshu.secure.parties import Party
from gongshu.share.automation import Rules
from gongshu.share.bindings import proof_of
from gongshu.share.contracts.attaching import NewAttachment, insert_attachment
from gongshu.share.errors import GradeForbids, NameTaken, OfferTaken, OfferUnknown, TermsInvalid
from gongshu.share.model import Offer
from gongshu.share.odrl import canonical_text, offer_policy, read_terms, text_hash
from gongshu.share.offerable import require_offerable
from gongshu.share.policy import SharePolicy
from gongshu.share.ports import Clock, GateDoor
from gongshu.share.signals import new_urn
from gongshu.share.tables import share_offer_parties, share_offers, share_published_names
from gongshu.share.terms import Phase, Terms

_O, _N = share_offers.c, share_published_names.c
_PARTY: sa.BindParameter[PartyId] = sa.bindparam("asked_party")
_NAMED = sa.select(share_offer_parties.c.offer_id).where(
    share_offer_parties.c.offer_id == _O.offer_id,
    share_offer_parties.c.party_id == _PARTY,
    share_offer_parties.c.bound_to == proof_of(_PARTY),
)
_IN_TIME = sa.or_(_O.until.is_(None), _O.until >= sa.bindparam("now", type_=UtcTime))
_IS_VISIBLE = sa.and_(_O.withdrawn_at.is_(None), _IN_TIME, sa.or_(_O.is_open, _NAMED.exists()))
"""Of an offer, to the party `asked_party`, at the moment `now`."""
_VISIBLE = Prepared(sa.select(share_offers).where(_O.offer_id == sa.bindparam("asked_id"), _IS_VISIBLE))

ID_MAX = 400
"""Longest id of a dataset in a catalogue; as long as those of others that are kept."""

PURPOSE = "share"
"""The purpose under which the gate is asked whether an offer may be made."""


class OfferBook:
    """Offers of this node."""

    def __init__(
        self,
        database: Database,
        gate: GateDoor,
        policy: SharePolicy,
        audit: AuditSink,
        clock: Clock,
        require_onward: Callable[[DatasetId, Terms], None] | None = None,
    ) -> None:
        self._database = database
        self._gate = gate
        self._policy = policy
        self._audit = audit
        self._clock = clock
        self._require_onward = require_onward

    @settles_races
    def offer(
        self,
        dataset_id: DatasetId,
        terms: Terms,
        actor: Subject,
        *,
        rules: Rules | None = None,
        offer_id: str = "",
        published_as: str = "",
        known_parties: Sequence[PartyId] = (),
        attachments: Sequence[NewAttachment] = (),
    ) -> Offer:
        """Publish a dataset under terms and return the offer; asking twice makes two offers.

        Partners see the dataset under the id `published_as`, empty for its own. No partner sees the offer without its
        attachments.
        Raises: a NotFound for the dataset; TermsInvalid; GradeForbids; Denied when the gate says no; OfferTaken;
            NameTaken.
        """
        name = published_as or dataset_id
        if not is_public_id(name):
            raise TermsInvalid(reason=f"a published id has 1 to {ID_MAX} printable characters without spaces")
        dataset = self._require_offerable(dataset_id, terms, known_parties)
        self.require_shareable(dataset_id, terms, actor)
        chosen = offer_id or new_urn()
        policy = offer_policy(terms, offer_id=chosen)
        text = canonical_text(policy)
        with self._database.begin() as connection:
            if connection.execute(sa.select(_O.offer_id).where(_O.offer_id == chosen)).first():
                raise OfferTaken(offer_id=chosen[:200])
            self._take_name(connection, name, dataset_id)
            connection.execute(
                sa.insert(share_offers).values(
                    offer_id=chosen,
                    dataset_id=dataset_id,
                    published_as=name,
                    title=dataset.title,
                    policy=text,
                    policy_hash=text_hash(text),
                    is_open=not terms.parties,
                    until=terms.until,
                    rules=rules.as_json() if rules is not None else None,
                    created_at=self._clock(),
                    created_by=actor.subject_id,
                )
            )
            for party in sorted(terms.parties):
                connection.execute(
                    sa.insert(share_offer_parties).values(offer_id=chosen, party_id=party, bound_to=proof_of(party))
                )
            for new in attachments:
                insert_attachment(connection, chosen, new, self._clock())
            details = {"dataset": dataset_id, "published_as": name, "policy_hash": text_hash(text)}
            self._write(actor, "offer.published", chosen, details)
            for new in attachments:
                self._write(actor, "offer.attached", chosen, {"name": new.name, "sha256": new.sha256})
        return self.get(chosen)

    def _require_offerable(self, dataset_id: DatasetId, terms: Terms, known_parties: Sequence[PartyId]) -> Dataset:
        dataset = self._policy.dataset(dataset_id)
        columns = {column.name: column.type for column in dataset.columns}
        groups = self._policy.known_groups()
        require_offerable(terms, now=self._clock(), columns=columns, named_exist=known_parties, groups_exist=groups)
        return dataset

    def _take_name(self, connection: sa.Connection, name: str, dataset_id: DatasetId) -> None:
        owner = connection.execute(sa.select(_N.dataset_id).where(_N.published_as == name)).scalar()
        if owner is None:
            connection.execute(sa.insert(share_published_names).values(published_as=name, dataset_id=dataset_id))
        elif owner != dataset_id:
            raise NameTaken(published_as=name[:200])

    def require_previewable(
        self, dataset_id: DatasetId, terms: Terms, actor: Subject, known_parties: Sequence[Party]
    ) -> None:
        """Return if these terms could be offered now; none at all may be looked at too.

        Raises: a NotFound for the dataset; TermsInvalid; as `require_shareable`.
        """
        if not terms.is_empty:
            self._require_offerable(dataset_id, terms, [party.party_id for party in known_parties])
        self.require_shareable(dataset_id, terms, actor)

    def require_shareable(self, dataset_id: DatasetId, terms: Terms, actor: Subject) -> None:
        """Return if the grade and the gate allow this actor to share the dataset under the terms.

        Raises: GradeForbids, Denied; both are in the audit log. CopyForbidden if it was received under a contract that
            these terms go beyond.
        """
        self._policy.dataset(dataset_id)
        why_not = self._policy.why_not_grade(dataset_id, terms, terms.parties)
        party = ", ".join(sorted(terms.parties)) or "any party"
        if why_not:
            self._write(actor, "offer.refused", dataset_id, {"reason": why_not}, outcome="denied")
            raise GradeForbids(dataset_id=dataset_id, party=party, reason=why_not)
        if self._require_onward is not None:
            self._require_onward(dataset_id, terms)
        decision = self._gate.decide(Request(actor, "share", PURPOSE, dataset_id))
        if not decision.permitted:
            raise Denied(
                subject=actor.subject_id,
                action="share",
                object=dataset_id,
                purpose=PURPOSE,
                reasons=", ".join(decision.because),
                ask="A product owner or a steward offers data whose grade is confirmed.",
            )

    def withdraw(self, offer_id: str, actor: Subject) -> Offer:
        """Take an offer out of the catalogue; agreements that were made from it stand. Raises: OfferUnknown."""
        with self._database.begin() as connection:
            change = sa.update(share_offers).where(_O.offer_id == offer_id, _O.withdrawn_at.is_(None))
            if connection.execute(change.values(withdrawn_at=self._clock())).rowcount != 1:
                raise OfferUnknown(offer_id=offer_id[:200])
            self._write(actor, "offer.withdrawn", offer_id, {})
        return self.get(offer_id)

    def get(self, offer_id: str) -> Offer:
        """Return one offer, also a withdrawn one. Raises: OfferUnknown."""
        with self._database.connect() as connection:
            row = connection.execute(sa.select(share_offers).where(_O.offer_id == offer_id)).first()
        if row is None:
            raise OfferUnknown(offer_id=offer_id[:200])
        return _offer_of(row)

    def all(self, *, withdrawn: bool, limit: int, offset: int) -> list[Offer]:
        """Return our offers, newest first."""
        query = sa.select(share_offers).order_by(_O.created_at.desc(), _O.offer_id).limit(limit).offset(offset)
        if not withdrawn:
            query = query.where(_O.withdrawn_at.is_(None))
        with self._database.connect() as connection:
            return [_offer_of(row) for row in connection.execute(query)]

    def visible(self, offer_id: str, party: PartyId) -> Offer | None:
        """Return the offer if this party may see and negotiate it now."""
        with self._database.connect() as connection:
            row = _VISIBLE.first(connection, {"asked_id": offer_id, "asked_party": party, "now": self._clock()})
        offers = self._still_shareable([_offer_of(row)] if row else [], party)
        return offers[0] if offers else None

    def visible_page(
        self, party: PartyId, *, after: str, limit: int, offset: int = 0, published_as: str = "", search: str = ""
    ) -> tuple[list[Offer], dict[str, str]]:
        """Return the offers of the next datasets this party may see, and after which id the pages around it begin.

        These are `next` and `previous`, where there are such; the first page begins after the empty id. `offset` counts
        from there and is left out on later pages.
        Cost: two or three indexed queries and one catalogue look-up a dataset of the page.
        """
        name, asked = _O.published_as, {"asked_party": party, "now": self._clock()}
        seen = sa.select(name).where(_IS_VISIBLE).distinct()
        if published_as:
            seen = seen.where(name == published_as)
        if search:
            like = sa.or_(_O.title.icontains(search, autoescape=True), name.icontains(search, autoescape=True))
            seen = seen.where(like)
        onward = seen.where(name > after).order_by(name).limit(limit + 1).offset(0 if after else offset)
        with self._database.connect() as connection:
            ids = list(connection.execute(onward, asked).scalars())
            page = ids[:limit]
            query = sa.select(share_offers).where(name.in_(page), _IS_VISIBLE)
            rows = list(connection.execute(query.order_by(name, _O.created_at, _O.offer_id), asked))
            back = seen.where(name <= after).order_by(name.desc()).limit(limit + 1)
            before = list(connection.execute(back, asked).scalars()) if after else []
        pages = {"next": page[-1]} if len(ids) > limit else {}
        if before:
            pages["previous"] = before[limit] if len(before) > limit else ""
        return self._still_shareable([_offer_of(row) for row in rows], party), pages

    def _still_shareable(self, offers: list[Offer], party: PartyId) -> list[Offer]:
        return [
            offer
            for offer in offers
            if self._policy.why_not_offer(offer.dataset_id, offer.terms, party, Phase.CATALOGUE) is None
        ]

    def _write(self, actor: Subject, action: str, what: str, details: dict[str, Any], *, outcome: str = "ok") -> None:
        self._audit.write(AuditEvent(self._clock(), actor.subject_id, action, what, outcome, details))


def is_public_id(text: str) -> bool:
    """True if partners can be shown the text as an id.

    >>> is_public_id("urn:mill:orders"), is_public_id("two words")
    (True, False)
    """
    return 0 < len(text) <= ID_MAX and text.isprintable() and not any(character.isspace() for character in text)


def _offer_of(row: Any) -> Offer:
    policy = orjson.loads(row.policy)
    return Offer(
        offer_id=row.offer_id,
        dataset_id=DatasetId(row.dataset_id),
        published_as=row.published_as,
        title=row.title,
        terms=read_terms(policy),
        policy=policy,
        policy_hash=row.policy_hash,
        rules=row.rules,
        created_at=row.created_at,
        created_by=row.created_by,
        withdrawn_at=row.withdrawn_at,
    )

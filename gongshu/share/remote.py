"""Reading another party's catalogue."""

from collections.abc import Mapping, Sequence
from typing import Any

from gongshu.model.ids import PartyId
from gongshu.share.addresses import is_under
from gongshu.share.catalog import read_catalog, read_elsewhere, read_offer
from gongshu.share.dsp.messages import build_catalog_request, encode
from gongshu.share.dsp.reader import read_document
from gongshu.share.dsp.schema import find_fault
from gongshu.share.errors import (
    MessageInvalid,
    NotOfferedToUs,
    OfferUnknown,
    PeerAnswerInvalid,
    PeerRefused,
    SeveralOffers,
)
from gongshu.share.links import read_links
from gongshu.share.model import RemoteCatalogue, RemoteOffer
from gongshu.share.odrl import canonical_text
from gongshu.share.outbox import reply_reason
from gongshu.share.peer import HttpWire

STRANGER = "it may not know this node yet: send it the line of `gongshu share invite`"


def fetch_catalogue(
    wire: HttpWire, party: PartyId, *, search: str = "", dataset_id: str = "", page: str = ""
) -> RemoteCatalogue:
    """Return one page of a party's catalogue; `page` is the `next_page` of the one before.

    Raises: PartyUnknown, PeerUnreachable, PeerRefused, PeerAnswerInvalid, AddressRefused for a page elsewhere.
    """
    filters = [{"dataset": dataset_id}] if dataset_id else [{"search": search}] if search else []
    body = encode(build_catalog_request(filters))
    reply = wire.post_to(party, page, body) if page else wire.post(party, "", "/catalog/request", body)
    what = "the catalogue request"
    if not reply.is_ok:
        said = reply_reason(reply)
        reason = f"{said}; {STRANGER}" if said.startswith("share.not_authorised") else said
        raise PeerRefused(party=party, what=what, status_code=reply.status_code, reason=reason)
    try:
        document = read_document(reply.body)
    except MessageInvalid as cause:
        raise PeerAnswerInvalid(party=party, what=what, reason=str(cause)) from cause
    fault = find_fault(document, "Catalog")
    if fault:
        raise PeerAnswerInvalid(party=party, what=what, reason=fault)
    links, base = read_links(reply.headers.get("link", "")), wire.base_of(party)
    pages = [links.get(name, "") for name in ("next", "previous")]
    following, before = (page if is_under(page, base, query_allowed=True) else "" for page in pages)
    return RemoteCatalogue(party, read_catalog(document), following, before, read_elsewhere(document))


def fetch_offer(wire: HttpWire, party: PartyId, dataset_id: str, offer_id: str) -> RemoteOffer:
    """Return one offer of a dataset, read anew from the party's catalogue; an empty offer id takes the only one.

    Raises: OfferUnknown (NotOfferedToUs, SeveralOffers), and as `fetch_catalogue`.
    """
    return choose_offer(fetch_catalogue(wire, party, dataset_id=dataset_id), dataset_id, offer_id)


def shown_offer(policy: dict[str, Any] | None, offer_id: str = "") -> RemoteOffer | None:
    """Return the offer of a policy that a catalogue showed, None where none is given.

    Raises: OfferUnknown if it is another one than is named.
    """
    if policy is None:
        return None
    offer = read_offer(policy)
    if not offer.offer_id or offer_id not in ("", offer.offer_id):
        raise OfferUnknown(offer_id=f"{offer_id or '(none)'} with the policy of {offer.offer_id or '(none)'}"[:200])
    return offer


def newest_alike(policies: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the place of the offer that is taken where none is named: the newest of some that say the same.

    >>> newest_alike([{"@id": "a", "use": 1}, {"@id": "b", "use": 1}]), newest_alike([{"use": 1}, {"use": 2}])
    (1, None)
    """
    said = {canonical_text({**policy, "@id": ""}) for policy in policies}
    return len(policies) - 1 if len(said) == 1 else None


def choose_offer(catalogue: RemoteCatalogue, dataset_id: str, offer_id: str = "") -> RemoteOffer:
    """Return one offer of a dataset; an empty offer id takes the only one, or the newest of some that say the same.

    Raises: OfferUnknown.
    """
    party = catalogue.party
    for dataset in catalogue.datasets:
        offers = [offer for offer in dataset.offers if offer_id in ("", offer.offer_id)]
        if dataset.dataset_id == dataset_id and offers and not dataset.participant:
            taken = newest_alike([offer.policy for offer in offers])
            if taken is not None:
                return offers[taken]
            raise SeveralOffers(party=party, dataset_id=dataset_id[:200])
    if offer_id:
        raise OfferUnknown(offer_id=offer_id[:200])
    raise NotOfferedToUs(party=party, dataset_id=dataset_id[:200])

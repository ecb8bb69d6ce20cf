"""From a partner's dataset to rows of our own in one step: contract, transfer and pull, each only if it is due."""

import re
from dataclasses import dataclass

from gongshu.model.access import Subject
from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.agreements import require_undisputed
from gongshu.share.dsp.messages import FORMAT_PULL
from gongshu.share.dsp.states import Side, State
from gongshu.share.errors import PurposeNotCovered
from gongshu.share.model import Agreement, AgreementStatus, Record
from gongshu.share.remote import choose_offer
from gongshu.share.service import ShareService
from gongshu.share.terms import Terms

LOOKED_AT = 1000
"""How many agreements and transfers, newest first, are looked through for one that still serves."""


@dataclass(frozen=True, slots=True)
class Obtained:
    """What came, and under what."""

    dataset_id: DatasetId
    agreement_id: str
    transfer_id: str


def obtain(
    share: ShareService,
    party: PartyId,
    dataset_id: str,
    actor: Subject,
    *,
    purpose: str = "",
    name: str = "",
    timeout_s: float = 60.0,
) -> Obtained:
    """Return a fresh copy of a partner's dataset, kept under `name`; the provider counts one use.

    An agreement that stands is used before another is negotiated, with the terms as offered and no others; so are a
    request that still waits for the provider's people, and a transfer that runs. `timeout_s` bounds each of the two
    waits.

    Raises: NotAllowed, ContractFrozen where only a disputed agreement would serve, OfferUnknown where the dataset has
        no offer or several, PurposeNotCovered before anything is agreed or counted, TermsUnknown, WaitedTooLong when a
        person has to approve first, and what `ShareService.pull_into` raises.
    """
    agreement_id = _agreement(share, party, dataset_id, actor, timeout_s, purpose)
    transfer = _running(share, agreement_id)
    if transfer is None:
        asked = share.transfer(agreement_id, actor)
        transfer = share.wait_for(asked.process_id, {State.STARTED}, timeout_s)
    own_name = name or default_name(party, dataset_id)
    kept = share.pull_into(transfer.process_id, own_name, actor, purpose=purpose)
    return Obtained(kept, agreement_id, transfer.process_id)


def default_name(party: PartyId, dataset_id: str) -> str:
    """Return a name that a dataset may have, from whose it is and what it is.

    >>> default_name(PartyId("urn:gongshu:party:mill"), "orders")
    'mill_orders'
    """
    words = f"{re.split('[:/]', party.rstrip('/'))[-1]}_{dataset_id}".lower()
    return re.sub("[^a-z0-9]+", "_", words).strip("_")[:60] or "received"


def _agreement(
    share: ShareService, party: PartyId, dataset_id: str, actor: Subject, timeout_s: float, purpose: str
) -> str:
    every = share.agreements(limit=LOOKED_AT)
    about_it = [each for each in every if (each.counterparty, each.dataset_id) == (party, dataset_id)]
    serving = [agreement for agreement in about_it if _serves(share, agreement)]
    for agreement in sorted(serving, key=lambda each: each.status is AgreementStatus.DISPUTED):
        _require_purpose(agreement.terms, party, dataset_id, purpose)
        return require_undisputed(agreement).agreement_id  # a dispute is settled, not passed by with another contract
    offer = choose_offer(share.catalogue_of(party, actor, dataset_id=dataset_id), dataset_id)
    _require_purpose(offer.terms, party, dataset_id, purpose)
    asked = share.request_for(party, dataset_id, offer) or share.negotiate(party, dataset_id, actor, offer=offer)
    return share.wait_for(asked.process_id, {State.FINALIZED}, timeout_s).agreement_id


def _require_purpose(terms: Terms | None, party: PartyId, dataset_id: str, purpose: str) -> None:
    """A contract without its purpose would be made for nothing: its provider refuses each request."""
    if terms is not None and terms.purposes and purpose not in terms.purposes:
        allowed = ", ".join(sorted(terms.purposes))
        stated = repr(purpose[:200]) if purpose else "none"
        raise PurposeNotCovered(party=party, dataset_id=dataset_id[:200], purposes=allowed, stated=stated)


def _serves(share: ShareService, agreement: Agreement) -> bool:
    is_ours = agreement.side is Side.CONSUMER and agreement.status in (AgreementStatus.ACTIVE, AgreementStatus.DISPUTED)
    return is_ours and agreement.uses_left != 0 and agreement.days_left(share.clock()) != 0


def _running(share: ShareService, agreement_id: str) -> Record | None:
    for record in share.transfers(limit=LOOKED_AT):
        if (record.agreement_id, record.state, record.format) == (agreement_id, State.STARTED, FORMAT_PULL):
            return record
    return None

"""The values of sharing as plain fields, for programs and tables. Tokens and keys never appear."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from gongshu.share.contract import terms_document
from gongshu.share.contracts.views import clauses_view
from gongshu.share.model import Agreement, Delivery, Offer, Record, RemoteCatalogue, RemoteDataset
from gongshu.share.terms import Terms

View = dict[str, Any]


def terms_view(terms: Terms) -> View:
    """Return terms field by field; what does not restrict is None or empty."""
    return {
        "parties": sorted(terms.parties),
        "until": terms.until.isoformat() if terms.until else None,
        "uses_max": terms.uses_max,
        "purposes": sorted(terms.purposes),
        "columns": sorted(terms.columns),
        "rows_max": terms.rows_max,
        "groups": sorted(terms.groups),
        "not_before": terms.not_before.isoformat() if terms.not_before else None,
        "duration_s": terms.duration_s,
        "places": sorted(terms.places),
        "connectors": sorted(terms.connectors),
        "rows_where": terms_document(terms)["rows_where"],
        "operations": sorted(operation.value for operation in terms.operations),
        "aggregate_min": terms.aggregate_min,
        "delete_after_s": terms.delete_after_s,
        "notify": sorted(terms.notify),
        "no_onward": terms.no_onward,
        "payment": terms_document(terms)["payment"],
        "legal_only": sorted(terms.legal_only),
        "unrestricted": terms.is_empty,
    }


def offer_view(offer: Offer) -> View:
    """Return one of our offers."""
    return {
        "offer_id": offer.offer_id,
        "dataset_id": offer.dataset_id,
        "published_as": offer.published_as,
        "title": offer.title,
        "terms": terms_view(offer.terms),
        "clauses": clauses_view(offer.terms),
        "asks_first": offer.rules is not None,
        "created_at": offer.created_at.isoformat(),
        "created_by": offer.created_by,
        "withdrawn_at": offer.withdrawn_at.isoformat() if offer.withdrawn_at else None,
    }


def record_view(record: Record) -> View:
    """Return a negotiation or transfer: where it stands, and why."""
    return {
        "process_id": record.process_id,
        "kind": record.kind.value,
        "side": record.side.value,
        "state": record.state.value,
        "pending": record.pending.value if record.pending else None,
        "waiting": record.waiting,
        "reason": record.reason,
        "party": record.counterparty,
        "dataset_id": record.dataset_id,
        "offer_id": record.offer_id,
        "agreement_id": record.agreement_id,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
        "deadline_at": record.deadline_at.isoformat() if record.deadline_at else None,
    }


def agreement_view(agreement: Agreement, now: datetime) -> View:
    """Return an agreement with what is left of it."""
    days = agreement.days_left(now)
    return {
        "agreement_id": agreement.agreement_id,
        "side": agreement.side.value,
        "party": agreement.counterparty,
        "dataset_id": agreement.dataset_id,
        "status": agreement.status.value,
        "terms": terms_view(agreement.terms),
        "clauses": clauses_view(agreement.terms),
        "uses": agreement.uses,
        "uses_left": agreement.uses_left,
        "days_left": None if days is None else round(days, 3),
        "agreed_at": agreement.agreed_at.isoformat(),
        "policy_hash": agreement.policy_hash,
        "reason": agreement.reason,
    }


def delivery_view(delivery: Delivery) -> View:
    """Return one line of the meter."""
    return {
        "delivery_id": delivery.delivery_id,
        "direction": delivery.direction,
        "transfer_id": delivery.process_id,
        "agreement_id": delivery.agreement_id,
        "party": delivery.counterparty,
        "dataset_id": delivery.dataset_id,
        "purpose": delivery.purpose,
        "encoding": delivery.encoding,
        "rows": delivery.rows,
        "size_bytes": delivery.size_bytes,
        "outcome": delivery.outcome,
        "stored_as": delivery.stored_as,
        "started_at": delivery.started_at.isoformat(),
        "finished_at": delivery.finished_at.isoformat() if delivery.finished_at else None,
    }


def remote_view(dataset: RemoteDataset) -> View:
    """Return a dataset of another party with its offers; an offer with an obstacle cannot be agreed to from here."""
    offers = [
        {
            "offer_id": offer.offer_id,
            "terms": None if offer.terms is None else terms_view(offer.terms),
            "obstacle": offer.obstacle,
            "policy": dict(offer.policy),
        }
        for offer in dataset.offers
    ]
    return {
        "dataset_id": dataset.dataset_id,
        "participant": dataset.participant,
        "title": dataset.title,
        "description": dataset.description,
        "formats": list(dataset.formats),
        "offers": offers,
    }


def catalogue_view(catalogue: RemoteCatalogue) -> View:
    """Return one page of another party's catalogue."""
    datasets = [remote_view(dataset) for dataset in catalogue.datasets]
    pages = {"next_page": catalogue.next_page, "previous_page": catalogue.previous_page}
    elsewhere = [asdict(each) for each in catalogue.elsewhere]
    return {"party": catalogue.party, "datasets": datasets, "elsewhere": elsewhere, **pages}

"""Catalogues in the protocol's form: ours written, others' read. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gongshu.model.dataset import Dataset, DatasetKind
from gongshu.model.ids import PartyId
from gongshu.share.dsp.messages import CONTEXT, EDC_NAMESPACE, FORMAT_PULL, FORMAT_PUSH, FORMAT_STREAM
from gongshu.share.errors import TermsUnknown
from gongshu.share.links import read_links
from gongshu.share.model import CatalogueElsewhere, Offer, RemoteDataset, RemoteOffer
from gongshu.share.odrl import read_terms

Json = dict[str, Any]

TEXT_MAX = 4000


def build_catalog(*, catalog_id: str, participant_id: PartyId, service: Json, datasets: Sequence[Json]) -> Json:
    """Return the catalogue document; `dataset` is left out when empty, as the schema demands."""
    document: Json = {
        "@context": [CONTEXT],
        "@id": catalog_id,
        "@type": "Catalog",
        "participantId": participant_id,
        "service": [service],
    }
    return document | {"dataset": list(datasets)} if datasets else document


def build_service(*, service_id: str, address: str) -> Json:
    """Return the DataService that serves our datasets."""
    return {"@id": service_id, "@type": "DataService", "endpointURL": address}


def build_dataset(dataset: Dataset, offers: Sequence[Offer], *, service: Json) -> Json:
    """Return one dataset, under its published id, with its offers; columns that every one withholds are not named."""
    visible: set[str] = set()
    for offer in offers:
        visible |= offer.terms.columns or {column.name for column in dataset.columns}
    columns = [column for column in dataset.columns if column.name in visible]
    described = ", ".join(
        f"{column.name} {column.type}" + (f" [{column.unit}]" if column.unit else "") for column in columns
    )
    return {
        "@id": offers[0].published_as,
        "@type": "Dataset",
        "dct:title": dataset.title,
        "dct:description": described[:TEXT_MAX],
        "hasPolicy": [dict(offer.policy) for offer in offers],
        "distribution": [
            {"@type": "Distribution", "format": format, "accessService": service} for format in formats_of(dataset.kind)
        ],
    }


def formats_of(kind: DatasetKind) -> tuple[str, ...]:
    """Return the formats in which a dataset can be transferred; only what keeps growing can be a stream.

    >>> formats_of(DatasetKind.TABLE)
    ('HttpData-PULL', 'HttpData-PUSH')
    """
    finite = (FORMAT_PULL, FORMAT_PUSH)
    return (*finite, FORMAT_STREAM) if kind is DatasetKind.SERIES else finite


def read_catalog(document: Mapping[str, Any], *, participant: str = "") -> tuple[RemoteDataset, ...]:
    """Return the datasets of another party's catalogue, and those of nested catalogues under who offers them.

    A nested catalogue without a participant of its own belongs to that of the catalogue around it.
    """
    found = [_read_dataset(item, participant) for item in document.get("dataset") or [] if isinstance(item, dict)]
    for inner, theirs in _nested(document, participant):
        found += read_catalog(inner, participant=theirs)
    return tuple(found)


def read_elsewhere(document: Mapping[str, Any], *, participant: str = "") -> tuple[CatalogueElsewhere, ...]:
    """Return the nested catalogues of which only the place is named, not the datasets, at any depth.

    Source: Dataspace Protocol 2025-1, example nested-catalog.json.
    """
    found: list[CatalogueElsewhere] = []
    for inner, theirs in _nested(document, participant):
        services = inner.get("service") or []
        if not inner.get("dataset") and not inner.get("catalog"):
            addresses = [each.get("endpointURL") for each in services if isinstance(each, dict)]
            found += [CatalogueElsewhere(theirs, each[:TEXT_MAX]) for each in addresses if isinstance(each, str)]
        found += read_elsewhere(inner, participant=theirs)
    return tuple(found)


def _nested(document: Mapping[str, Any], participant: str) -> Iterator[tuple[Json, str]]:
    """Yield each catalogue within this one, and whose it is: empty for those of the party that was asked."""
    owner = document.get("participantId")
    for inner in document.get("catalog") or []:
        if isinstance(inner, dict):
            named = inner.get("participantId")
            yield inner, (named[:400] if isinstance(named, str) and named not in ("", owner) else participant)


def next_link(header: str) -> str:
    """Return the address of the next page from a Link header, empty if there is none."""
    return read_links(header).get("next", "")


def _read_dataset(item: Mapping[str, Any], participant: str) -> RemoteDataset:
    formats = {str(part.get("format")) for part in item.get("distribution") or [] if isinstance(part, dict)}
    return RemoteDataset(
        dataset_id=str(item.get("@id", ""))[:400],
        title=_text(item, "title") or _text(item, "name"),
        description=_text(item, "description"),
        formats=tuple(sorted(formats)),
        offers=tuple(read_offer(offer) for offer in item.get("hasPolicy") or [] if isinstance(offer, dict)),
        participant=participant,
    )


def read_offer(offer: Json) -> RemoteOffer:
    """Return an offer as a catalogue holds it."""
    try:
        return RemoteOffer(str(offer.get("@id", "")), offer, read_terms(offer), "")
    except TermsUnknown as unknown:
        return RemoteOffer(str(offer.get("@id", "")), offer, None, str(unknown.fields["what"]))


def _text(item: Mapping[str, Any], name: str) -> str:
    for key in (f"dct:{name}", f"http://purl.org/dc/terms/{name}", name, f"edc:{name}", f"{EDC_NAMESPACE}{name}"):
        value = item.get(key)
        value = value.get("@value") if isinstance(value, dict) else value
        if isinstance(value, str):
            return value[:TEXT_MAX]
    return ""

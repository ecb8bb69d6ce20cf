"""Catalogues in the protocol's form: ours written, others' read, filters understood or refused. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gongshu.model.dataset import Dataset, DatasetKind
from gongshu.model.ids import PartyId
from gongshu.share.dsp.messages import CONTEXT, EDC_NAMESPACE, FORMAT_PULL, FORMAT_PUSH, FORMAT_STREAM
from gongshu.share.errors import MessageInvalid, TermsUnknown
from gongshu.share.model import Offer, RemoteDataset, RemoteOffer
from gongshu.share.odrl import read_terms

Json = dict[str, Any]

PAGE = 50
"""Datasets a page, as other connectors have it."""
TEXT_MAX = 4000

_EDC_ID = ("id", "https://w3id.org/edc/v0.0.1/ns/id", "@id")
_EDC_TITLE = ("title", "dct:title", "http://purl.org/dc/terms/title")


@dataclass(frozen=True, slots=True)
class CatalogueFilter:
    """What a catalogue request asks for."""

    dataset_id: str = ""
    search: str = ""
    limit: int = PAGE


def read_filter(filters: Sequence[Any]) -> CatalogueFilter:
    """Return what a request's `filter` array asks for; what is not understood is refused, never ignored.

    Understood are `{"dataset": id}`, `{"search": text}`, and the query object of EDC (limit, offset 0, expressions
    `id = …` and `title like %…%`).

    Raises: MessageInvalid.
    """
    found: dict[str, Any] = {}
    for item in filters:
        if not isinstance(item, dict):
            raise _not_understood("an entry that is no object")
        for key, value in item.items():
            found |= _read_entry(str(key), value)
    return CatalogueFilter(**found)


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


def read_catalog(document: Mapping[str, Any]) -> tuple[RemoteDataset, ...]:
    """Return the datasets of another party's catalogue, those of nested catalogues too."""
    found = [_read_dataset(item) for item in document.get("dataset") or [] if isinstance(item, dict)]
    for inner in document.get("catalog") or []:
        if isinstance(inner, dict):
            found += read_catalog(inner)
    return tuple(found)


def next_link(header: str) -> str:
    """Return the address of the next page from a Link header (RFC 8288), empty if there is none.

    >>> next_link('<http://a/c?p=1>; rel="prev", <http://a/c?p=3>; rel="next"')
    'http://a/c?p=3'
    """
    for part in header.split(","):
        target, _, parameters = part.strip().partition(">")
        words = parameters.replace('"', "").replace(" ", "").split(";")
        if target.startswith("<") and "rel=next" in words:
            return target[1:]
    return ""


def _read_dataset(item: Mapping[str, Any]) -> RemoteDataset:
    formats = {str(part.get("format")) for part in item.get("distribution") or [] if isinstance(part, dict)}
    return RemoteDataset(
        dataset_id=str(item.get("@id", ""))[:400],
        title=_text(item, "title") or _text(item, "name"),
        description=_text(item, "description"),
        formats=tuple(sorted(formats)),
        offers=tuple(_read_offer(offer) for offer in item.get("hasPolicy") or [] if isinstance(offer, dict)),
    )


def _read_offer(offer: Json) -> RemoteOffer:
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


def _read_entry(key: str, value: Any) -> Json:
    if key in ("dataset", "search") and isinstance(value, str) and value:
        return {"dataset_id" if key == "dataset" else "search": value}
    if key == "limit" and isinstance(value, int) and 1 <= value <= PAGE:
        return {"limit": value}
    if key == "limit" and isinstance(value, int) and value > PAGE:
        return {}
    if key == "offset" and value == 0:
        return {}
    if key in ("@type", "sortOrder", "sortField") and value in ("QuerySpec", "ASC", None):
        return {}
    if key == "filterExpression" and isinstance(value, list):
        found: Json = {}
        for expression in value:
            found |= _read_expression(expression)
        return found
    raise _not_understood(key)


def _read_expression(expression: Any) -> Json:
    if isinstance(expression, dict):
        left, operator = expression.get("operandLeft"), expression.get("operator")
        right = expression.get("operandRight")
        if left in _EDC_ID and operator == "=" and isinstance(right, str):
            return {"dataset_id": right}
        if left in _EDC_TITLE and operator == "like" and isinstance(right, str) and right.strip("%"):
            return {"search": right.strip("%")}
    raise _not_understood("an expression of filterExpression")


def _not_understood(what: str) -> MessageInvalid:
    return MessageInvalid(
        what="CatalogRequestMessage", reason=f"its filter holds {what[:60]!r}, which is not understood"
    )

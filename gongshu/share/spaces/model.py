"""What comes over the wire and is written into a space, checked where it enters."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from gongshu.share.spaces.errors import ApplicationInvalid
from gongshu.share.spaces.roles import SpaceRole

Json = dict[str, Any]
M = TypeVar("M", bound=BaseModel)
Line = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[^\x00]*$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class EntryKind(StrEnum):
    """What an entry of the catalogue is."""

    RESOURCE = "resource"
    """数据资源: data that somebody holds; it is found, not ordered."""
    PRODUCT = "product"
    """数据产品: one or more resources in a form of delivery and under terms; it can be ordered."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpaceRequest(_Message):
    """Asks the operator for a logical space."""

    title: Line
    rules: Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[^\x00]+$")]


class Application(_Message):
    """Asks for admission; the signature is over the space's rules."""

    roles: Annotated[list[SpaceRole], Field(min_length=1, max_length=4)]
    area: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
    organisation: Annotated[str, StringConstraints(pattern=r"^(?:[0-9A-Z]{9}|[0-9A-Z]{18})$")]
    rules_hash: Hash
    signature: Annotated[str, StringConstraints(max_length=400, pattern=r"^[0-9a-f]+$")]


class ResourceEntry(_Message):
    """A resource, as its holder describes it."""

    kind: Literal[EntryKind.RESOURCE] = EntryKind.RESOURCE
    title: Line
    description: Text = ""


class ProductEntry(_Message):
    """A product: its resources by their ids in the space, how it is delivered, and the offer with its terms."""

    kind: Literal[EntryKind.PRODUCT] = EntryKind.PRODUCT
    title: Line
    description: Text = ""
    resources: Annotated[list[Line], Field(min_length=1, max_length=100)]
    delivery: Line
    dataset_id: Line
    offer_id: Line
    terms: Annotated[dict[str, Any], Field(max_length=40)]


class EntryMessage(_Message):
    """One entry, of either kind."""

    entry: Annotated[ResourceEntry | ProductEntry, Field(discriminator="kind")]


class Named(_Message):
    """An entry that something is done with."""

    entry_id: Line
    reason: Text = ""


class ContractReport(_Message):
    """What a member says about a contract of its own; neither terms nor data."""

    agreement_id: Line
    provider: Line
    consumer: Line
    status: Line
    policy_hash: Hash
    agreed_at: AwareDatetime


class Question(_Message):
    """What a member wants to see."""

    what: Literal["standing", "catalogue", "members", "contracts", "history"]
    words: Annotated[str, StringConstraints(max_length=400, pattern=r"^[^\x00]*$")] = ""


class Reason(_Message):
    """Why."""

    reason: Text = ""


class Notice(_Message):
    """News from an operator to a member."""

    notice_id: Line
    space_id: Line
    about: Literal["space", "member", "entry"]
    name: Line
    state: Line
    reason: Text = ""
    at: AwareDatetime


def read_message(kind: type[M], document: object) -> M:
    """Return the message. Raises: ApplicationInvalid, with the place of the fault and none of the content."""
    try:
        return kind.model_validate(document)
    except ValidationError as cause:
        fault = cause.errors()[0]
        raise ApplicationInvalid(reason=_in_words(fault) or _in_place(kind, fault)) from cause


_NAMES = {
    "title": "name",
    "rules": "rules of the space",
    "description": "description",
    "area": "area",
    "organisation": "organisation code",
    "roles": "roles",
}
"""What people type, by the field that holds it."""
_FORMS = {"area": "a six-digit code of a division", "organisation": "9 or 18 digits and capital letters"}


def _in_words(fault: Any) -> str:
    """Return what is wrong with a field that a person typed; empty for another field or fault."""
    field = str(fault["loc"][-1]) if fault["loc"] else ""
    name, kind = _NAMES.get(field, ""), fault["type"]
    if not name:
        return ""
    if kind in {"string_too_short", "too_short", "missing"} or fault["input"] == "":
        return f"the {name}: it is missing"
    if kind == "string_too_long":
        return f"the {name}: at most {fault['ctx']['max_length']} characters"
    if kind == "string_pattern_mismatch":
        return (
            f"the {name}: it is not in the form asked for ({_FORMS.get(field, 'one line without control characters')})"
        )
    return ""


def _in_place(kind: type[BaseModel], fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    return f"{kind.__name__} at {place or 'the top'}: {fault['msg']}"


def iso(moment: datetime | None) -> str | None:
    """Return a time for programs, None for none."""
    return None if moment is None else moment.isoformat()

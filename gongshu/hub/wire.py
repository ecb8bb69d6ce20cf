"""What travels between nodes: validated models that turn documents into values, and nothing else.

Figures are text in plain decimal notation, so no float, exponent, NaN or infinity can enter. Unknown fields are
refused, because a signature would cover what nobody reads.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
)

from gongshu.hub.errors import DocumentMalformed
from gongshu.hub.model import RECEIPT_TYPE, Report, ReportedValue, Signed, Terms
from gongshu.hub.period import parse_period
from gongshu.model.ids import PartyId

MESSAGE_BYTES_MAX = 256 * 1024
"""Ten times the size of a report with every indicator; a bound against exhaustion, not a promise."""

Figure = Annotated[str, Field(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,6})?$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Moment = Annotated[AwareDatetime, BeforeValidator(lambda seen: seen if isinstance(seen, str) else None)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def read(cls, document: object, *, what: str) -> Self:
        """Return the validated document.

        Raises: DocumentMalformed, naming the fields but never the values.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as cause:
            seen = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in cause.errors()[:5])
            raise DocumentMalformed(what=what, reason=seen) from cause


class SignedMessage(_Strict):
    """A document and its signature."""

    document: dict[str, Any]
    signature: Annotated[str, Field(max_length=200)]

    def value(self) -> Signed:
        """Return it as a value."""
        return Signed(self.document, self.signature)


class TermsDocument(_Strict):
    """The terms that both parties sign."""

    type: Literal["gongshu.reporting-agreement/1"]
    agreement_id: Annotated[str, Field(pattern=r"^urn:uuid:[0-9a-f-]{36}$")]
    province: Name
    member: Annotated[str, Field(max_length=200)]
    division: Annotated[str, Field(pattern=r"^([A-Z][0-9]{2})?$")]
    indicators: Annotated[list[Code], Field(min_length=1, max_length=200)]
    purpose: Name
    basis: Name
    period: Literal["month"]
    utc_offset_minutes: Annotated[StrictInt, Field(ge=-720, le=840)]
    due_days: Annotated[StrictInt, Field(ge=1, le=366)]
    valid_from: Moment
    valid_until: Moment

    def value(self) -> Terms:
        """Return it as a value."""
        fields = self.model_dump(exclude={"type", "period"})
        return Terms(**(fields | {"indicators": tuple(self.indicators)}))


class ValueDocument(_Strict):
    """One indicator in a report."""

    indicator: Code
    value: Figure | None
    unit: Annotated[str, Field(max_length=40)]
    formula: Annotated[str, Field(max_length=500)]
    source: Annotated[str, Field(max_length=100)]
    query_sha256: Sha256
    reason: Annotated[str, Field(max_length=300)]


class ReportDocument(_Strict):
    """The report that a member signs."""

    type: Literal["gongshu.report/1"]
    agreement_id: Name
    province: Name
    member: Name
    division: Annotated[str, Field(pattern=r"^[A-Z][0-9]{2}$")]
    period: Annotated[str, Field(max_length=7)]
    revision: Annotated[StrictInt, Field(ge=1, le=10_000)]
    preliminary: StrictBool
    made_at: Moment
    values: Annotated[list[ValueDocument], Field(min_length=1, max_length=200)]

    def value(self) -> Report:
        """Return it as a value.

        Raises: PeriodMalformed.
        """
        return Report(
            agreement_id=self.agreement_id,
            province=PartyId(self.province),
            member=PartyId(self.member),
            division=self.division,
            period=parse_period(self.period),
            revision=self.revision,
            preliminary=self.preliminary,
            made_at=self.made_at,
            values=tuple(
                ReportedValue(**(v.model_dump() | {"value": None if v.value is None else Decimal(v.value)}))
                for v in self.values
            ),
        )


class ReceiptDocument(_Strict):
    """The province's answer to an accepted report."""

    type: Literal["gongshu.receipt/1"]
    receipt_number: Name
    report_sha256: Sha256
    agreement_id: Name
    province: Name
    member: Name
    period: Annotated[str, Field(max_length=7)]
    revision: StrictInt
    received_at: Moment


class InvitationMessage(_Strict):
    """What a plant sends to see an invitation's terms."""

    code: Annotated[str, Field(min_length=8, max_length=200)]


class OfferedTerms(_Strict):
    """The province's answer: who it is, and the terms to sign."""

    party_id: Name
    title: Name
    public_key_pem: Annotated[str, Field(max_length=4000)]
    terms: dict[str, Any]


class JoinMessage(_Strict):
    """A plant's acceptance: the terms with its name in them, signed, and how to reach it."""

    code: Annotated[str, Field(min_length=8, max_length=200)]
    title: Name
    public_key_pem: Annotated[str, Field(max_length=4000)]
    address: Annotated[str, Field(max_length=500)]
    agreement: SignedMessage


class CountersignedMessage(_Strict):
    """The province's signature under the same terms."""

    signature: Annotated[str, Field(max_length=200)]


def receipt_document(
    report: Report, *, report_sha256: str, receipt_number: str, received_at: datetime
) -> dict[str, Any]:
    """Return the document that the province signs for an accepted report."""
    return {
        "type": RECEIPT_TYPE,
        "receipt_number": receipt_number,
        "report_sha256": report_sha256,
        "agreement_id": report.agreement_id,
        "province": report.province,
        "member": report.member,
        "period": str(report.period),
        "revision": report.revision,
        "received_at": received_at.isoformat(),
    }


def is_receipt_for(receipt: ReceiptDocument, report: Mapping[str, Any], report_sha256: str) -> bool:
    """Return whether a receipt speaks of exactly this report."""
    same = ("agreement_id", "province", "member", "period", "revision")
    seen = receipt.model_dump()
    return receipt.report_sha256 == report_sha256 and all(seen[field] == report[field] for field in same)

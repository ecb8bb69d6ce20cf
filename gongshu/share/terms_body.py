"""Terms as they come in over HTTP, checked in form before they become the value that the data space works with."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gongshu.model.ids import PartyId
from gongshu.share.terms import Comparison, Operation, Payment, RowCondition, Terms


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RowConditionBody(_Body):
    """One comparison that each row has to meet; values are text, read by the column's type."""

    column: str
    comparison: Comparison
    values: list[str] = Field(min_length=1, max_length=1000)


class PaymentTermBody(_Body):
    """What is paid before the first transfer."""

    amount: str = Field(examples=["1200.00"])
    currency: str = Field(examples=["CNY"])


class TermsBody(_Body):
    """What a contract allows; an empty field does not restrict."""

    parties: list[str] = Field(default=[], examples=[["urn:gongshu:party:partner"]])
    until: AwareDatetime | None = None
    uses_max: int | None = Field(default=None, ge=1)
    purposes: list[str] = Field(default=[], examples=[["quality-analysis"]])
    columns: list[str] = Field(default=[], examples=[["time", "value"]])
    rows_max: int | None = Field(default=None, ge=1)
    groups: list[str] = Field(default=[], description="Groups of parties of this node")
    not_before: AwareDatetime | None = None
    duration_s: int | None = Field(default=None, ge=1, description="From the agreement on")
    places: list[str] = Field(default=[], examples=[["CN-33"]])
    connectors: list[str] = Field(default=[], description="Fingerprints of keys")
    rows_where: list[RowConditionBody] = []
    operations: list[Operation] = []
    aggregate_min: int | None = Field(default=None, ge=2, description="Only figures over groups of so many rows")
    delete_after_s: int | None = Field(default=None, ge=1, description="From delivery on")
    notify: list[str] = Field(default=[], description="Parties that get a notice of each use")
    no_onward: bool = False
    payment: PaymentTermBody | None = None
    legal_only: list[str] = Field(default=[], description="Terms that a partner's node need not be able to keep")
    unrestricted: bool = Field(default=False, description="Declares that nothing is restricted")

    def terms(self) -> Terms:
        """Return the value that the data space works with."""
        return Terms(
            parties=frozenset(PartyId(party) for party in self.parties),
            until=self.until,
            uses_max=self.uses_max,
            purposes=frozenset(self.purposes),
            columns=frozenset(self.columns),
            rows_max=self.rows_max,
            groups=frozenset(self.groups),
            not_before=self.not_before,
            duration_s=self.duration_s,
            places=frozenset(self.places),
            connectors=frozenset(self.connectors),
            rows_where=frozenset(
                RowCondition(row.column, row.comparison, frozenset(row.values)) for row in self.rows_where
            ),
            operations=frozenset(self.operations),
            aggregate_min=self.aggregate_min,
            delete_after_s=self.delete_after_s,
            notify=frozenset(PartyId(party) for party in self.notify),
            no_onward=self.no_onward,
            payment=Payment(self.payment.amount, self.payment.currency) if self.payment else None,
            legal_only=frozenset(self.legal_only),
            unrestricted=self.unrestricted,
        )

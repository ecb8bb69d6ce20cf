"""Errors of the hub.

InvalidInput      PeriodMalformed · DocumentMalformed · ReportWrong · TermsInvalid · IndicatorUnknown ·
                  SourceUnusable · AddressUnsafe
Refused           InvitationRefused · SignatureInvalid · KeyUnexpected · NotYourReport · AgreementNotInForce ·
                  RoleMissing · FarSideRefused
NotFound          AgreementUnknown · ReportUnknown · TotalsUnknown
Conflict          RevisionTaken · NotYetReleasable · IndicatorUnbound
TooLarge          ReportTooLarge
Unavailable       FarSideSilent
Damaged           ReceiptForged
"""

from gongshu.errors import Conflict, Damaged, InvalidInput, NotFound, Refused, Retry, TooLarge, Unavailable


class PeriodMalformed(InvalidInput):
    """A period is not a month."""

    code = "hub.period_malformed"
    template = "{seen!r} is not a reporting period: write a month as YYYY-MM, for example 2026-10."


class DocumentMalformed(InvalidInput):
    """A signed document lacks a field, has one too many, or has one of a wrong type."""

    code = "hub.document_malformed"
    template = "This {what} cannot be read: {reason}. Send the fields that docs/rooms/hub.md lists, numbers as text."


class ReportWrong(InvalidInput):
    """A report that can be read but breaks rules; every finding is named."""

    code = "hub.report_wrong"
    template = "The report for {period} was not accepted: {findings}. Correct it and send it again."


class TermsInvalid(InvalidInput):
    """The terms of a reporting agreement cannot hold."""

    code = "hub.terms_invalid"
    template = "These reporting terms cannot hold: {reason}."


class IndicatorUnknown(InvalidInput):
    """No indicator has this code."""

    code = "hub.indicator_unknown"
    template = "No indicator has the code {indicator!r}; the pack {pack} defines {known}."


class SourceUnusable(InvalidInput):
    """The query behind an indicator does not give one number."""

    code = "hub.source_unusable"
    template = (
        "The query for the indicator {indicator} on {dataset} gave {seen}; it must give one row with one number. "
        "Correct it with `gongshu hub bind`."
    )


class ReportTooLarge(TooLarge):
    """A message to the hub is larger than any report can be."""

    code = "hub.report_too_large"
    template = "The message has more than {size_bytes_max} bytes; a report is far smaller. Nothing was read."


class AddressUnsafe(InvalidInput):
    """An address to which figures would travel readable."""

    code = "hub.address_unsafe"
    template = "{address!r} is no address for a hub: use https://…, or http:// to this machine only."


class InvitationRefused(Refused):
    """An invitation is unknown, used or too old; the three are not told apart."""

    code = "hub.invitation_refused"
    template = "This invitation is not valid (any more). Ask the province for a new one: `gongshu hub invite` there."


class SignatureInvalid(Refused):
    """A signature does not fit the document and the party's registered key."""

    code = "hub.signature_invalid"
    template = "The signature under this {what} does not fit the key of {party}. Nothing was stored."


class KeyUnexpected(Refused):
    """The far side's key is not the one that the invitation names."""

    code = "hub.key_unexpected"
    template = (
        "{address} answered with the key {seen}, but the invitation names {expected}. Do not join: ask the province by "
        "telephone which is right."
    )


class NotYourReport(Refused):
    """A party sent a report in another's name."""

    code = "hub.not_your_report"
    template = "{caller} may not send a report of {member}: each party reports for itself."


class AgreementNotInForce(Refused):
    """The agreement has not begun, has ended, or was ended early."""

    code = "hub.agreement_not_in_force"
    template = (
        "The agreement {agreement_id} is in force from {valid_from} until {valid_until}, not now. Sign a new one."
    )


class RoleMissing(Refused):
    """The subject lacks the role for this act."""

    code = "hub.role_missing"
    template = "{subject} may not {what}: it needs one of the roles {roles}, which a security administrator grants."


class AgreementUnknown(NotFound):
    """No such agreement, or not one of this party."""

    code = "hub.agreement_unknown"
    template = "No reporting agreement {agreement_id} here for {party}. `gongshu hub status` lists those that exist."


class ReportUnknown(NotFound):
    """No report was made for this period."""

    code = "hub.report_unknown"
    template = "No report {report} here. `gongshu hub status` lists those that exist."


class TotalsUnknown(NotFound):
    """Nothing was published for the period yet."""

    code = "hub.totals_unknown"
    template = "Nothing is published for {period} yet; a steward of the province releases it."


class RevisionTaken(Conflict):
    """A revision number is used already for different content, or leaves a gap."""

    code = "hub.revision_taken"
    template = "The next revision for {period} is {expected}, but the report says {seen}. Nothing was overwritten."


class NotYetReleasable(Conflict):
    """Too few contributors for any publication."""

    code = "hub.not_yet_releasable"
    retry = Retry.LATER
    template = (
        "{period} has {contributors} reports; each indicator needs at least {least} contributors to be published."
    )


class IndicatorUnbound(Conflict):
    """An agreed indicator has no dataset and query behind it on this node."""

    code = "hub.indicator_unbound"
    template = "No dataset stands behind the indicators {indicators}. Name one each with `gongshu hub bind`."


class FarSideSilent(Unavailable):
    """The other node did not answer."""

    code = "hub.far_side_silent"
    template = "{address} did not answer while trying to {what}: {reason}. A report waits and is sent again by itself."


class FarSideRefused(Refused):
    """The other node answered with a refusal."""

    code = "hub.far_side_refused"
    template = "{address} refused to {what}: {reason}"


class ReceiptForged(Damaged):
    """A receipt is not signed by the province, or speaks of another report."""

    code = "hub.receipt_forged"
    template = "The receipt from {address} is not a receipt for this report: {reason}. Nothing was marked as delivered."

"""What can go wrong in sharing, for people and for the other side of the wire."""

from gongshu.errors import (
    Conflict,
    Damaged,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    Refused,
    Retry,
    TooLarge,
    Unavailable,
)


class MessageInvalid(InvalidInput):
    """A protocol message cannot be read, or breaks the schema."""

    code = "share.message_invalid"
    template = "The message {what} cannot be used: {reason}. Send it as Dataspace Protocol 2025-1 defines it."


class MessageTooLarge(TooLarge):
    """A body over the stated bound."""

    code = "share.message_too_large"
    template = "The message is over {limit_bytes} bytes. Send less, or ask for a page."


class MessageTooSlow(InvalidInput):
    """A body that did not arrive in time."""

    code = "share.message_too_slow"
    template = "The message did not arrive within {timeout_s} s. Send it again."


class ProcessUnknown(NotFound):
    """No such negotiation or transfer, or it is somebody else's."""

    code = "share.process_unknown"
    template = (
        "There is no negotiation or transfer {process_id} with this party. Look at the list of those you started."
    )


class IdAmbiguous(InvalidInput):
    """The beginning of an id was typed, and several ids begin so."""

    code = "share.id_ambiguous"
    template = "{typed} can stand for more than one {kind}: {ids}. Type more of the id."


class OfferUnknown(NotFound):
    """No such offer, or this party may not see it."""

    code = "share.offer_unknown"
    template = "There is no offer {offer_id} for this party. Read the catalogue again."


class NotOfferedToUs(OfferUnknown):
    """The partner's catalogue holds no such dataset for this node."""

    code = "share.not_offered_to_us"
    template = "{party} offers no {dataset_id} to this node. `gongshu share find {party}` shows what it offers."


class SeveralOffers(OfferUnknown):
    """The partner offers a dataset under several terms, and none was chosen."""

    code = "share.several_offers"
    template = (
        "{party} offers {dataset_id} under several terms. `gongshu share find {party}` shows them; make the "
        "contract with `gongshu share negotiate {party} {dataset_id} --offer OFFER`."
    )


class PurposeNotCovered(InvalidInput):
    """What data are fetched for is not among the purposes of their offer or contract."""

    code = "share.purpose_not_covered"
    template = (
        "{dataset_id} of {party} may be fetched only for: {purposes}. Stated was {stated}; nothing was asked. "
        "State one of these purposes."
    )


class DatasetNotOffered(NotFound):
    """Nothing of this name is offered to this party."""

    code = "share.dataset_not_offered"
    template = "No dataset {dataset_id} is offered to this party. Read the catalogue again."


class AgreementUnknown(NotFound):
    """No such agreement with this party."""

    code = "share.agreement_unknown"
    template = "There is no agreement {agreement_id} with this party. Look at the list of agreements."


class PartyChanged(Refused):
    """A contract is bound to another key than its party has now."""

    code = "share.party_changed"
    template = (
        "Nothing moves under agreement {agreement_id} with {party}: {reason}. Retire it and negotiate anew, or let two "
        "people confirm the change: gongshu share key-change request {party} --reason WHY."
    )


class PartnerAddsTooMuch(Conflict):
    """A partner has reached a bound on what it may add here."""

    code = "share.partner_adds_too_much"
    retry = Retry.LATER
    template = "{party} has {most} {what} here, which is the bound. End what can end, wait, or ask this node's people."


class MoveIllegal(Conflict):
    """The protocol does not allow this message in the state the process is in."""

    code = "share.move_illegal"
    template = "{move} by the {sender} is refused while {process_id} is {state}: {reason}. Go on from its state."


class NotWaiting(Conflict):
    """Nobody is being asked about this process."""

    code = "share.not_waiting"
    template = "{process_id} does not wait for a person; it is {state}. Only what waits can be approved or declined."


class OfferTaken(Conflict):
    """There is an offer of this id, perhaps a withdrawn one."""

    code = "share.offer_taken"
    template = "There is already an offer {offer_id}. Its terms never change: choose another id, or none."


class AnswerAwaited(Unavailable):
    """A start came while ours was under way, so that nothing tells whether it answers ours."""

    code = "share.answer_awaited"
    template = "Transfer {process_id} takes no start now: its own is not answered yet. Send it again in a moment."


class InboxBusy(Unavailable):
    """A delivery cannot be taken at this moment."""

    code = "share.inbox_busy"
    template = "Transfer {transfer_id} takes no delivery now: {reason}. Deliver again in a minute."


class SpoolFull(Unavailable):
    """The disk has no room for what arrives."""

    code = "share.spool_full"
    template = "{folder} has less than {free_bytes} bytes free, so no delivery is taken. Make room on that disk."


class NameTaken(Conflict):
    """Another dataset is known to partners under this id."""

    code = "share.name_taken"
    template = (
        "Another dataset was published as {published_as} before. Choose another id: partners keep contracts by it."
    )


class TermsInvalid(InvalidInput):
    """The terms of an offer contradict themselves or bind nobody."""

    code = "share.terms_invalid"
    template = "The terms cannot be offered: {reason}. Correct them, or declare that there is no restriction."


class TermsUnknown(Refused):
    """A policy holds a rule that this node cannot enforce."""

    code = "share.terms_unknown"
    retry = Retry.AFTER_FIX
    template = (
        "The policy holds {what}, which this node cannot enforce, so it neither offers nor agrees to it. "
        "Agree on a policy that uses the terms listed in docs/rooms/share.md."
    )


class GradeForbids(Refused):
    """The data's grade does not allow this sharing."""

    code = "share.grade_forbids"
    template = "Dataset {dataset_id} cannot be shared with {party}: {reason}. A steward decides on grades."


class TermsForbid(Refused):
    """The contract says no."""

    code = "share.terms_forbid"
    template = "Agreement {agreement_id} does not allow this: {reason}. Negotiate new terms with the provider."


class ContractFrozen(TermsForbid):
    """The two sides count a delivery under the contract differently; no other terms would help."""

    code = "share.contract_frozen"
    retry = Retry.AFTER_FIX
    template = (
        "Agreement {agreement_id} does not allow this: the agreement is disputed, its two sides count a delivery "
        "differently. `gongshu evidence disputes` names the delivery; each side settles it by "
        "`gongshu evidence settle` or on the contract's page."
    )


class ReasonMissing(InvalidInput):
    """An agreement was to be ended without a word to the other side."""

    code = "share.reason_missing"
    template = "Agreement {agreement_id} was not ended: the other side reads why, and no reason is given. State one."


class AddressRefused(Refused):
    """An address that a message names is not one this party registered."""

    code = "share.address_refused"
    retry = Retry.AFTER_FIX
    template = (
        "The address {address} is not under the registered address of {party}. Register the party's new address first."
    )


class InviteInvalid(InvalidInput):
    """An invitation code that is cut, altered or not signed by the key in it."""

    code = "share.invite_invalid"
    template = "The invitation cannot be used: {reason}. Ask for it again and paste the whole line."


class FingerprintDiffers(InviteInvalid):
    """What was read out is not the fingerprint of the key in the invitation, or nothing was."""

    code = "share.fingerprint_differs"
    template = (
        "{party} was not registered: {reason}. Have them read it out again, by telephone or in person; if it still "
        "differs, somebody exchanged the invitation on its way."
    )


class DataTokenInvalid(NotAuthenticated):
    """The token of a data request is missing, unknown, expired or withdrawn."""

    code = "share.data_token_invalid"
    retry = Retry.LATER
    template = "The token for transfer {transfer_id} is {why}. Ask the refresh endpoint of the transfer for a new one."


class TransferStopped(Conflict):
    """A transfer through which no data flow now."""

    code = "share.transfer_stopped"
    template = "No data flow through transfer {transfer_id}: {reason}. Resume it, or request a new transfer."


class PeerUnreachable(Unavailable):
    """The other party's node did not answer, or not in time."""

    code = "share.peer_unreachable"
    template = "{party} did not answer at {address}: {reason}. Check that its node runs, then try again."


class PeerRefused(Refused):
    """The other party's node answered with a refusal."""

    code = "share.peer_refused"
    retry = Retry.AFTER_FIX
    template = "{party} refused {what} (status {status_code}): {reason}. Settle it with that party."


class PeerAnswerInvalid(Unavailable):
    """The other party's node answered with something that is not the protocol."""

    code = "share.peer_answer_invalid"
    template = "The answer of {party} to {what} cannot be used: {reason}. Ask that party which version it runs."


class WaitedTooLong(Unavailable):
    """A process did not reach a state in the time given."""

    code = "share.waited_too_long"
    template = (
        "{process_id} is {state} after {timeout_s} s, not {wanted}; {waiting}. It goes on: see `gongshu share "
        "negotiations` or `transfers`, and try again then."
    )


class PeopleAsked(WaitedTooLong):
    """The provider took our request for a contract and does nothing by itself: its people answer."""

    code = "share.people_asked"
    template = (
        "{party} has the request for {dataset_id} and does not answer by itself: one of its people has to. Once they "
        "agree the contract is concluded by itself; see `gongshu share negotiations` ({process_id}), and fetch the "
        "data then."
    )


class EvidenceDamaged(Damaged):
    """A stored agreement is not the one that was agreed."""

    code = "share.evidence_damaged"
    template = "The stored text of agreement {agreement_id} does not match its hash; nothing is delivered under it."


class CopyKeyGone(Damaged):
    """The key of received data is shredded, lost or not this node's."""

    code = "share.copy_key_gone"
    template = "The key {fingerprint} of received data cannot be used: {reason}. Fetch the data again under a contract."


class VaultUnsafe(Refused):
    """Others on this machine could read the keys of received data."""

    code = "share.vault_unsafe"
    retry = Retry.AFTER_FIX
    template = "{path} has mode {mode}; keys of received data need {expected}. Correct it with chmod."


class CopyForbidden(Refused):
    """The contract does not let this be done with what was received."""

    code = "share.copy_forbidden"
    template = "{dataset} holds data received under a contract: {reason}. Agree on other terms with the provider."


class ClockBehind(Refused):
    """A person says that a clock is right that was set back."""

    code = "share.clock_behind"
    template = (
        "The clock cannot be taken as right: it stands {by_s} s before the time that this machine has counted while it "
        "holds received data. Set it to the true time; contracts do not grow younger."
    )


class ReceiptInvalid(InvalidInput):
    """A usage receipt or deletion proof that cannot be believed."""

    code = "share.receipt_invalid"
    template = "{what} of agreement {agreement_id} is not accepted: {reason}. Send what this node signed, unaltered."


class SelectionInvalid(InvalidInput):
    """A data request asks for figures that cannot be computed."""

    code = "share.selection_invalid"
    template = "The data request for {asked} cannot be answered: {reason}. Ask for columns, or for listed figures."


class PartnerFactInvalid(InvalidInput):
    """A group, place or payment that cannot be written down."""

    code = "share.partner_fact_invalid"
    template = "This cannot be written down about a partner: {reason}. Correct it and try again."


class GroupUnknown(NotFound):
    """No such group, or the party is not in it."""

    code = "share.group_unknown"
    template = "There is no group {group_id} with the member {party}. Look at the list of groups."


class ContractInvalid(Refused):
    """A contract document or a signature on it that does not hold."""

    code = "share.contract_invalid"
    retry = Retry.AFTER_FIX
    template = "The contract document of agreement {agreement_id} is not accepted: {reason}. Negotiate anew."


class AttachmentInvalid(InvalidInput):
    """An attachment of a contract that cannot be taken or given."""

    code = "share.attachment_invalid"
    template = "The attachment {name} cannot be used: {reason}. Attach another file."


class NoticeInvalid(InvalidInput):
    """A notice of use that is not the sender's, or says something else than a notice."""

    code = "share.notice_invalid"
    template = "The notice is not accepted: {reason}. Send it as this version of the software signs it."

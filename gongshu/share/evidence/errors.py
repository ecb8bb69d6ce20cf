"""What can go wrong with evidence, for people and for the other side of the wire."""

from gongshu.errors import Conflict, InvalidInput, NotFound


class EntryRefused(InvalidInput):
    """A signed entry of a partner that cannot be believed."""

    code = "share.entry_refused"
    template = "Entry {sequence} about agreement {agreement_id} is not accepted: {reason}. Send what your node signed."


class SettlementRefused(Conflict):
    """Nobody can say now how this dispute is to end."""

    code = "share.settlement_refused"
    template = (
        "Delivery {delivery} of agreement {agreement_id} cannot be settled from here now: it is {state}. "
        "Wait for the other side, or end the contract with `gongshu share retire`."
    )


class SettlementUnexplained(InvalidInput):
    """A person says whose figures count, and not why, or at a length that the other side does not take."""

    code = "share.settlement_unexplained"
    template = (
        "Delivery {delivery} of agreement {agreement_id} is not settled: a reason of 1 to {longest} characters is "
        "signed with it. Give one."
    )


class BundleUnwritable(NotFound):
    """There is nothing to export, or nowhere to write it."""

    code = "share.bundle_unwritable"
    template = "The evidence of agreement {agreement_id} was not written to {file}: {reason}. Choose another file."

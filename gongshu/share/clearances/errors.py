"""What can go wrong with clearances and watermarks."""

from gongshu.errors import Conflict, InvalidInput, NotFound, Refused


class ClearanceUnknown(NotFound):
    """No such clearance."""

    code = "share.clearance_unknown"
    template = "There is no clearance {clearance_id}. Look at `gongshu share clearance list`."


class ClearanceInvalid(InvalidInput):
    """A request for a clearance that cannot be taken."""

    code = "share.clearance_invalid"
    template = (
        "The clearance of {dataset_id} for {party} cannot be requested: {reason}. Correct it; `gongshu share clearance "
        "form KIND` shows what a record holds."
    )


class ClearanceClosed(Conflict):
    """The state of a clearance does not allow the step."""

    code = "share.clearance_closed"
    template = "Clearance {clearance_id} is {state} and cannot be {step}. Request a new one where it is still needed."


class ClearanceEndUnexplained(InvalidInput):
    """A clearance is to end, and nobody says why."""

    code = "share.clearance_end_unexplained"
    template = "Clearance {clearance_id} is not {step}: a reason of 1 to {longest} characters is missing. Give one."


class ApprovalRefused(Refused):
    """An approval that does not count."""

    code = "share.approval_refused"
    template = (
        "The approval of {person} for clearance {clearance_id} does not count: {reason}. A steward and a security "
        "administrator approve, two people beside the one who requested it."
    )


class MarkedFileUnreadable(InvalidInput):
    """A file in which no watermark can be looked for."""

    code = "share.marked_file_unreadable"
    template = "{path} cannot be searched for a watermark: {reason}. Name a CSV, JSON, text, Parquet or Arrow file."

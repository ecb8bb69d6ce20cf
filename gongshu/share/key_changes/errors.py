"""What can go wrong when the key of a party changes."""

from gongshu.errors import Conflict, InvalidInput, NotFound, Refused


class KeyChangeUnknown(NotFound):
    """No such request."""

    code = "share.key_change_unknown"
    template = "There is no key change {change_id}. Look at `gongshu share key-change list`."


class KeyChangeNeedless(Conflict):
    """Nothing of the party is bound to another key than it has."""

    code = "share.key_change_needless"
    template = "The key change of {party} cannot be requested: {reason}. Look at `gongshu share key-change list`."


class KeyChangeUnexplained(InvalidInput):
    """Somebody asks that a changed key goes on, and does not say why."""

    code = "share.key_change_unexplained"
    template = "The key change of {party} is not requested: a reason of 1 to {longest} characters is missing. Give one."


class KeyChangeRefused(Refused):
    """A confirmation that does not count."""

    code = "share.key_change_refused"
    template = (
        "Key change {change_id} of {party} is not confirmed: {reason}. A steward or security administrator confirms, "
        "another person than who requested it, with the fingerprint that the party's people read out."
    )

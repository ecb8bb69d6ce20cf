"""What can go wrong when the key of a party changes."""

from gongshu.errors import Conflict, NotFound, Refused


class KeyChangeUnknown(NotFound):
    """No such request."""

    code = "share.key_change_unknown"
    template = "There is no key change {change_id}. Look at `gongshu share key-change list`."


class KeyChangeNeedless(Conflict):
    """Nothing of the party is bound to another key than it has."""

    code = "share.key_change_needless"
    template = "The key change of {party} cannot be requested: {reason}. Look at `gongshu share key-change list`."


class KeyChangeRefused(Refused):
    """A confirmation that does not count."""

    code = "share.key_change_refused"
    template = (
        "Key change {change_id} of {party} is not confirmed: {reason}. A steward or security administrator confirms, "
        "another person than who requested it, with the fingerprint that the party's people read out."
    )

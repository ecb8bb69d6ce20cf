"""What can go wrong while gathering. A connector raises these and no exception of its SDK.

Unavailable      EndpointUnreachable · EndpointSilent · LinkLost · LoginRefused · CertificateUntrusted
InvalidInput     ConfigWrong · DecodeError · FileUnreadable
NotFound         ConnectorUnknown · SourceUnknown
Conflict         SourceExists · AbilityMissing · NameTaken
TooLarge         LineTooLong
"""

from gongshu.errors import Conflict, InvalidInput, NotFound, Refused, Retry, TooLarge, Unavailable


class EndpointUnreachable(Unavailable):
    """Nothing answers at the address."""

    code = "gather.unreachable"
    retry = Retry.LATER
    template = "Could not connect to {endpoint}: {reason}. Check that the device is on, and its address and port."


class EndpointSilent(Unavailable):
    """Something is there and does not answer in time, or answers what is not the protocol."""

    code = "gather.silent"
    retry = Retry.LATER
    template = (
        "{endpoint} did not answer {what} within {timeout_s} s. Check the network, and that it speaks {protocol}."
    )


class LinkLost(Unavailable):
    """A connection that worked is gone; the collector connects again by itself."""

    code = "gather.link_lost"
    retry = Retry.LATER
    template = "The connection to {endpoint} was lost: {reason}. It is tried again with growing delay."


class LoginRefused(Unavailable):
    """The far end refuses our account, password or token; trying again changes nothing."""

    code = "gather.login_refused"
    retry = Retry.AFTER_FIX
    template = "{endpoint} refused the login as {user!r}: {reason}. Correct the account or its rights."


class CertificateUntrusted(Unavailable):
    """One of the two sides does not trust the other's certificate."""

    code = "gather.certificate_untrusted"
    retry = Retry.AFTER_FIX
    template = "The certificate of {endpoint} is not accepted: {reason}. {remedy}"


class ConfigWrong(InvalidInput):
    """A source's configuration cannot be used; the message names the first wrong field."""

    code = "gather.config_wrong"
    template = "The configuration of {what} is wrong at {field!r}: {reason}. Correct that field."


class DecodeError(InvalidInput):
    """Bytes are not what the protocol says they should be."""

    code = "gather.decode"
    template = "Could not decode {what} from {seen}: {reason}."


class FileUnreadable(InvalidInput):
    """A file cannot become a table at all; single bad rows are set aside instead."""

    code = "gather.file_unreadable"
    template = "Could not read {file}: {reason}. {remedy}"


class LineTooLong(TooLarge):
    """One line is longer than the bound, so that reading it could take all memory."""

    code = "gather.line_too_long"
    template = (
        "{file} has a line or quoted field of more than {size_max_bytes} bytes, starting at byte {offset}. "
        "Nothing was taken. Check the delimiter and the quotes, or raise `line_size_max_bytes`."
    )


class FileTooLarge(TooLarge):
    """A file is larger than what may be held in memory."""

    code = "gather.file_too_large"
    template = (
        "{file} has {size_bytes} bytes, more than the {size_max_bytes} that may be read at once. "
        "Nothing was taken. Split it, or raise `size_max_bytes`."
    )


class ConnectorUnknown(NotFound):
    """No connector of that name is installed."""

    code = "gather.connector_unknown"
    template = "There is no connector {connector!r}. Installed are: {installed}."


class SourceUnknown(NotFound):
    """No source of that name."""

    code = "gather.source_unknown"
    template = "There is no source {source_id!r}. `gongshu source list` shows those there are."


class SourceExists(Conflict):
    """A source of that name is there already."""

    code = "gather.source_exists"
    template = "A source {source_id!r} exists already. Remove it first, or choose another name."


class AbilityMissing(Conflict):
    """The connector cannot do what was asked of it."""

    code = "gather.ability_missing"
    template = "The connector {connector!r} cannot {ability}; it can: {can}."


class NameTaken(Conflict):
    """A dataset of that name came another way; importing would replace its rows."""

    code = "gather.name_taken"
    template = "The dataset {dataset_id!r} is there already and came from {origin}. Choose another name with --name."


class NotAllowed(Refused):
    """The subject's roles do not allow it."""

    code = "gather.not_allowed"
    template = "{subject} may not {what}. It needs one of the roles {roles}; an administrator can give it."

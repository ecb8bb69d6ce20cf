"""What can go wrong in a space, for people and for the other side of the wire."""

from gongshu.errors import Conflict, InvalidInput, NotFound, Refused, Retry


class SpaceUnknown(NotFound):
    """No such space here, or the asking party has no business in it."""

    code = "space.unknown"
    template = "There is no space {space_id} for this party. Ask its operator for the id, or apply for admission."


class SpaceForbids(Refused):
    """The role in the space does not allow the act."""

    code = "space.forbidden"
    template = "{party} may not {act} in space {space_id}: {reason}. Ask the space's operator."


class SpaceMoveIllegal(Conflict):
    """The state does not allow this step."""

    code = "space.move_illegal"
    template = "{what} {name} is {state} and cannot be {move}. Possible now: {possible}."


class ApplicationInvalid(InvalidInput):
    """An application, entry or report that cannot be taken."""

    code = "space.application_invalid"
    template = "It cannot be taken: {reason}. Correct it and send it again."


class RulesNotSigned(Refused):
    """The rules of the space are not signed by the applicant's key."""

    code = "space.rules_not_signed"
    retry = Retry.AFTER_FIX
    template = "The rules of space {space_id} are not signed by {party}: {reason}. Read the rules and apply again."


class EntryUnknown(NotFound):
    """No such entry in this space, or not for this party."""

    code = "space.entry_unknown"
    template = "There is no entry {entry_id} for this party in space {space_id}. Look at the space's catalogue."


class IdentifierInvalid(InvalidInput):
    """A code that cannot be part of an identifier, or whose check digits are wrong."""

    code = "space.identifier_invalid"
    template = "{text!r} is no identifier of a catalogue entry: {reason}. Copy it whole, with its check digits."

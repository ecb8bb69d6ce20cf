"""The error tree. Every error a user can meet has one class, one code, and says what to do next.

    GongshuError
    ├── InvalidInput      what was given cannot be used            400
    ├── NotAuthenticated  nobody proved who asks                   401
    ├── Refused           a rule or a policy says no               403
    ├── NotFound          no such thing, or not for this subject   404
    ├── Conflict          the thing is not in a state for this     409
    ├── TooLarge          over a stated bound                      413
    ├── Unavailable       another system did not answer            503
    └── Damaged           stored data are not what was written     500

The eight branches decide the HTTP status. Each room adds its leaves in `<room>/errors.py`; a leaf states `code`,
`retry` and `template`. `docs/errors.md` lists all of them and is checked against the classes.
"""

import re
from enum import StrEnum
from string import Formatter
from typing import ClassVar

_TWO_STOPS = re.compile(r"(?<=[\w)\]}'\"`”’）》」])\s*[.。]\s*\.(?=\s|$)")
"""A sentence inside of a sentence, of whatever language: both bring their full stop."""


class Retry(StrEnum):
    """Whether the same call can succeed later."""

    NEVER = "never"
    LATER = "later"
    AFTER_FIX = "after_fix"


class GongshuError(Exception):
    """The root: a message made from a template and named fields, which stay readable as attributes of `fields`."""

    code: ClassVar[str] = ""
    retry: ClassVar[Retry] = Retry.AFTER_FIX
    status: ClassVar[int] = 500
    template: ClassVar[str] = ""

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        missing = {name for _, name, _, _ in Formatter().parse(self.template) if name} - fields.keys()
        if missing:
            raise RuntimeError(f"{type(self).__name__} lacks the fields {sorted(missing)}")
        super().__init__(_TWO_STOPS.sub(".", self.template.format(**fields)))

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders (query worker, collectors) and keep their fields."""
        return (_rebuild, (type(self), self.fields))


def _rebuild(kind: type[GongshuError], fields: dict[str, object]) -> GongshuError:
    return kind(**fields)


class InvalidInput(GongshuError):
    """What was given cannot be used."""

    status = 400


class NotAuthenticated(GongshuError):
    """Nobody proved who asks."""

    status = 401


class Refused(GongshuError):
    """A rule or a policy says no; the message says who could allow it."""

    status = 403
    retry = Retry.NEVER


class NotFound(GongshuError):
    """No such thing, or not for this subject: the two are not told apart."""

    status = 404


class Conflict(GongshuError):
    """The thing is not in a state for this."""

    status = 409


class TooLarge(GongshuError):
    """Over a stated bound."""

    status = 413


class Unavailable(GongshuError):
    """Another system did not answer, or not in time."""

    status = 503
    retry = Retry.LATER


class Damaged(GongshuError):
    """Stored data are not what was written."""

    status = 500
    retry = Retry.NEVER

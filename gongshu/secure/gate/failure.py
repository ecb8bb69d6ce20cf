"""Turns errors of the lake into errors that may be shown: an engine's words can quote protected values. Pure."""

from gongshu.errors import GongshuError
from gongshu.lake.errors import (
    LogBusy,
    QueryForbidden,
    QueryInvalid,
    QueryMemoryExceeded,
    QueryTimeout,
    QueryWorkerLost,
)
from gongshu.secure.errors import QueryFailed, SqlRefused

_HARMLESS = (QueryTimeout, QueryMemoryExceeded, QueryWorkerLost, LogBusy)
SHOWN_MAX = 200


def translated(error: GongshuError, *, has_secret: bool) -> GongshuError:
    """Return what the subject may see. With a key in the SQL not even the engine's own first line is shown."""
    if isinstance(error, _HARMLESS):
        return error
    if isinstance(error, QueryForbidden):
        return SqlRefused(reason="the engine's own guard does not let it through")
    if isinstance(error, QueryInvalid) and not has_secret:
        reason = str(error.fields.get("reason", "")).strip()
        return QueryFailed(kind=reason.split("\n")[0][:SHOWN_MAX] or "the engine gave no reason")
    return QueryFailed(kind=error.code)

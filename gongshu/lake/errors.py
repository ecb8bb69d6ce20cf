"""The errors of the lake.

InvalidInput   ReadingsInvalid, QueryInvalid, TableNameInvalid, ColumnTypeUnsupported, TableSchemaMismatch
Refused        QueryForbidden
NotFound       TableUnknown, SnapshotUnknown
Conflict       WriterRunning
TooLarge       QueryMemoryExceeded
Unavailable    LogFull, LogUnwritable, LogBusy, WarehouseUnwritable, QueryTimeout, QueryWorkerLost
Damaged        LogDamaged, LogEntryDamaged, LogBehind, SealedUnreadable
"""

from gongshu.errors import Conflict, Damaged, InvalidInput, NotFound, Refused, Retry, TooLarge, Unavailable


class ReadingsInvalid(InvalidInput):
    """A batch that is not of the readings' shape; nothing of it was stored."""

    code = "lake.readings_invalid"
    template = "A batch of readings from producer {producer!r} was not stored: {reason}. Correct the connector."


class TableNameInvalid(InvalidInput):
    """A table's name becomes a folder and an SQL name."""

    code = "lake.table_name_invalid"
    template = (
        "{table!r} cannot name a table: use lower-case letters, digits and underscores, first a letter, at most 63."
    )


class ColumnTypeUnsupported(InvalidInput):
    """The table format has no type that keeps such values whole."""

    code = "lake.column_type_unsupported"
    template = (
        "Table {table} was not written: column {column!r} has the type {type}, which cannot be kept. "
        "Convert it to text, numbers, times, bytes or lists of these."
    )


class TableSchemaMismatch(InvalidInput):
    """Appended data do not fit the table that is there."""

    code = "lake.table_schema_mismatch"
    template = (
        "Table {table} was not written: column {column!r} holds {expected}, the new data hold {seen}. "
        "Convert the data, or replace the table."
    )


class QueryInvalid(InvalidInput):
    """The engine cannot run this SQL."""

    code = "lake.query_invalid"
    template = "The query could not run: {reason}"


class QueryForbidden(Refused):
    """The SQL reaches beyond the relations it was given."""

    code = "lake.query_forbidden"
    template = "The query was refused: {reason}. Use only SELECT over the tables you were given."


class TableUnknown(NotFound):
    """No such table."""

    code = "lake.table_unknown"
    template = "There is no table {table!r} in the lake. `gongshu catalog list` shows what there is."


class SnapshotUnknown(NotFound):
    """The version of the table is gone or never was."""

    code = "lake.snapshot_unknown"
    template = "Table {table!r} has no snapshot {snapshot_id}: it expired or never was. Read the current one."


class WriterRunning(Conflict):
    """One writer at a time."""

    code = "lake.writer_running"
    retry = Retry.LATER
    template = "The lake in {warehouse} already has a writer (process {owner}). Stop it, or wait until it ends."


class QueryMemoryExceeded(TooLarge):
    """The query needs more memory than it may have."""

    code = "lake.query_memory_exceeded"
    template = (
        "The query needs more than the {memory_mb} MB that a query may use. "
        "Ask for fewer rows or a shorter time, or raise query_memory_mb."
    )


class LogFull(Unavailable):
    """No room for another batch; the batch was not stored and not acknowledged."""

    code = "lake.log_full"
    template = (
        "The log {file} has no room for a batch of {size_bytes} bytes: {reason}. "
        "Free some disk space; nothing acknowledged is lost."
    )


class LogUnwritable(Unavailable):
    """The disk refused; the batch was not stored and not acknowledged."""

    code = "lake.log_unwritable"
    template = "The log {file} could not be written: {reason}. Check the disk and the folder's permissions."


class LogBusy(Unavailable):
    """Others wrote for so long that this batch did not get its turn."""

    code = "lake.log_busy"
    template = "The log {file} was busy for {waited_s} s, and the batch was not stored. Send it again."


class WarehouseUnwritable(Unavailable):
    """The disk refused a table's file; the table is as it was, and the log keeps what waits."""

    code = "lake.warehouse_unwritable"
    template = (
        "The warehouse {folder} could not be written: {reason}. Free some disk space or correct the permissions; "
        "the table is as it was, and readings wait in the log."
    )


class QueryTimeout(Unavailable):
    """The query ran longer than it may."""

    code = "lake.query_timeout"
    retry = Retry.AFTER_FIX
    template = (
        "The query was stopped after {timeout_s} s. Ask for fewer rows or a shorter time, or raise query_timeout_s."
    )


class QueryWorkerLost(Unavailable):
    """The engine's process died; the next query gets a new one."""

    code = "lake.query_worker_lost"
    template = "The query's process ended unexpectedly ({reason}). Run the query again."


class LogDamaged(Damaged):
    """The log file itself cannot be read."""

    code = "lake.log_damaged"
    template = "The log {file} cannot be read: {reason}. Keep the file for recovery, and start with a new one."


class LogEntryDamaged(Damaged):
    """One batch is not what was written; it is set aside, the others are kept."""

    code = "lake.log_entry_damaged"
    template = (
        "Entry {offset} of the log {log_id} ({rows} readings of producer {producer!r}) is not what was written: "
        "{reason}. It was set aside in the table `set_aside`; send that batch again if its source still has it."
    )


class LogBehind(Damaged):
    """The log is older than the table: somebody put back an old copy."""

    code = "lake.log_behind"
    template = (
        "The log {log_id} ends at {log_end}, but the table already holds its entries up to {committed}: "
        "an old copy was put back. Move log.db away; a new log starts by itself."
    )


class SealedUnreadable(Damaged):
    """An encrypted file is gone, altered, or not the one that its key was made for."""

    code = "lake.sealed_unreadable"
    template = "An encrypted dataset cannot be read: {reason}. Fetch it again from where it came."

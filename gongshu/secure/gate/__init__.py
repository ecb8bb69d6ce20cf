"""The gate: the one way out of the lake. It decides, rewrites, masks, meters and writes down, then lets rows go.

`entities` turns facts into what policies see, `masking` and `relations` write the SQL that stands for a dataset (all
pure); `readable` knows which series a subject may read; `service` is the shell, `result` counts what leaves.
"""

from gongshu.secure.gate.copies import CopyLaw, CopyRead, CopyVerdict
from gongshu.secure.gate.model import DatasetQuery, IbisQuery, Query, RowBound, SqlQuery
from gongshu.secure.gate.result import GateResult
from gongshu.secure.gate.rows import python_rows
from gongshu.secure.gate.service import Gate

__all__ = [
    "CopyLaw",
    "CopyRead",
    "CopyVerdict",
    "DatasetQuery",
    "Gate",
    "GateResult",
    "IbisQuery",
    "Query",
    "RowBound",
    "SqlQuery",
    "python_rows",
]

"""The SQL guard: reads a statement, refuses what it does not know, and writes it anew. Pure.

Three layers, because none is trusted alone: an allow-list of syntax nodes and functions here (`nodes`, `functions`),
a second look at the words that are about to be sent (`statement`), and the engine's own locked process in the lake.
"""

from gongshu.secure.guard.predicate import PredicateInvalid, parse_predicate
from gongshu.secure.guard.statement import (
    GuardRefused,
    Statement,
    StatementUnreadable,
    is_dataset_name,
    parse_statement,
)

__all__ = [
    "GuardRefused",
    "PredicateInvalid",
    "Statement",
    "StatementUnreadable",
    "is_dataset_name",
    "parse_predicate",
    "parse_statement",
]

"""Writes a checked tree as SQL, and looks at the words of the result once more. Pure."""

from collections.abc import Set

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ErrorLevel
from sqlglot.tokenizer_core import TokenType

from gongshu.secure.guard.functions import WORDS_BEFORE_PAREN, words_of

_WORDS_ALONE_REFUSED = words_of(
    """attach call checkpoint copy create delete describe detach drop export force import insert install into load
    merge pivot pragma recursive reset set show summarize truncate unpivot update use vacuum lambda"""
)


def write_sql(tree: exp.Expr) -> str:
    """Return the tree as DuckDB SQL: every identifier quoted, no comments.

    Raises: sqlglot's UnsupportedError if the engine has no such thing.
    """
    return str(tree.sql(dialect="duckdb", identify=True, comments=False, unsupported_level=ErrorLevel.RAISE))


def words_fault(sql: str, functions: Set[str]) -> str | None:
    """Return the first call or word of the written SQL that is not listed, or None.

    Identifiers are quoted in written SQL, so a bare word before a parenthesis is a call or a word of the language.
    """
    tokens = DuckDB().tokenize(sql)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type in (TokenType.STRING, TokenType.NUMBER):
            continue
        word = token.text.lower()
        called = following is not None and following.token_type is TokenType.L_PAREN
        if token.token_type is TokenType.IDENTIFIER:
            if called:
                return f"a call of {token.text!r}"
            continue
        if not word.isidentifier():
            continue
        if called and word not in functions and word not in WORDS_BEFORE_PAREN:
            return f"the function {word}"
        if word in _WORDS_ALONE_REFUSED:
            return f"the word {word.upper()}"
    return None

"""Finds what is wrong with a policy text, with the line it stands on. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import cedarpy

from gongshu.secure.guard import PredicateInvalid, parse_predicate
from gongshu.secure.policy.obligations import ANNOTATIONS, NOTES, ObligationInvalid, parse_obligations

POLICIES_MAX = 2000
TEXT_SIZE_MAX = 1_000_000

_TOKEN = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|;', re.DOTALL)
_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_POLICY_NUMBER = re.compile(r"policy(\d+)")


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One reason why a text cannot be deployed."""

    line: int
    """Where the policy begins; the whole text's faults stand on line 1."""
    policy: str
    """The policy's `@id`, or empty."""
    message: str

    def __str__(self) -> str:
        name = f" {self.policy}" if self.policy else ""
        return f"line {self.line}{name}: {self.message}"


@cache
def schema_text() -> str:
    """Return the schema that policies are checked against."""
    return files("gongshu.secure.policy").joinpath("schema.cedarschema").read_text(encoding="utf-8")


@cache
def default_text() -> str:
    """Return the policies that a new node starts with."""
    return files("gongshu.secure.policy").joinpath("default.cedar").read_text(encoding="utf-8")


def find_faults(text: str) -> list[PolicyFault]:
    """Return every reason why the text cannot be deployed, in the order of the lines; empty means that it can."""
    if len(text) > TEXT_SIZE_MAX:
        return [PolicyFault(1, "", f"the text has more than {TEXT_SIZE_MAX} characters")]
    statements = list(split_statements(text))
    if not 1 <= len(statements) <= POLICIES_MAX:
        return [PolicyFault(1, "", f"there are {len(statements)} policies; a text has 1 to {POLICIES_MAX}")]
    unreadable = [fault for line, statement in statements for fault in _syntax_faults(line, statement)]
    if unreadable:
        return unreadable
    parsed = parse_policies(text)
    if len(parsed) != len(statements):
        return [PolicyFault(1, "", "templates (?principal, ?resource) are not supported")]
    faults = [f for (line, _), policy in zip(statements, parsed, strict=True) for f in _annotation_faults(line, policy)]
    faults += _repeated_ids(statements, parsed)
    faults += _schema_faults(text, statements, parsed)
    return sorted(faults, key=lambda fault: fault.line)


def split_statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line on which it begins, text) of each policy; a `;` in a string or comment ends none."""
    start = 0
    for token in [*_TOKEN.finditer(text), None]:
        if token is not None and token.group() != ";":
            continue
        end = len(text) if token is None else token.end()
        statement = text[start:end]
        code = re.match(r"(?:\s|//[^\n]*(?:\n|$))*", statement)
        skipped = code.end() if code else 0
        if statement[skipped:].strip():
            yield text.count("\n", 0, start + skipped) + 1, statement[skipped:]
        start = end


def parse_policies(text: str) -> list[dict[str, Any]]:
    """Return the policies in Cedar's JSON form, in the order of the text; templates are left out.

    Raises: ValueError if the text is not Cedar.
    """
    static: dict[str, dict[str, Any]] = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    return [static[name] for name in sorted(static, key=_number)]


def _number(name: str) -> int:
    match = _POLICY_NUMBER.fullmatch(name)
    assert match is not None, "cedarpy numbers policies in the order of the text"
    return int(match.group(1))


def _syntax_faults(line: int, statement: str) -> list[PolicyFault]:
    try:
        cedarpy.policies_to_json_str(statement)
    except ValueError as cause:
        return [PolicyFault(line, "", " ".join(str(cause).split())[:400])]
    return []


def _annotation_faults(line: int, policy: dict[str, Any]) -> list[PolicyFault]:
    annotations: dict[str, str] = {name: value or "" for name, value in policy.get("annotations", {}).items()}
    name = annotations.get("id", "")
    faults = []
    if not _ID.fullmatch(name):
        faults.append('every policy needs an @id("…") of lower-case letters, digits and hyphens')
    if unknown := sorted(annotations.keys() - ANNOTATIONS - NOTES):
        faults.append(f"the annotation @{unknown[0]} is not known")
    if policy["effect"] == "forbid" and (misplaced := sorted(annotations.keys() & ANNOTATIONS)):
        faults.append(f"@{misplaced[0]} belongs on a permit, a forbid has nothing to soften")
    try:
        demands = parse_obligations(annotations)
        for predicate in demands.row_filters:
            parse_predicate(predicate)
    except (ObligationInvalid, PredicateInvalid) as cause:
        faults.append(str(cause))
    return [PolicyFault(line, name, message) for message in faults]


def _repeated_ids(statements: list[tuple[int, str]], parsed: list[dict[str, Any]]) -> Iterator[PolicyFault]:
    seen: dict[str, int] = {}
    for (line, _), policy in zip(statements, parsed, strict=True):
        name = policy.get("annotations", {}).get("id") or ""
        if name and name in seen:
            yield PolicyFault(line, name, f"the policy on line {seen[name]} has the same @id")
        seen.setdefault(name, line)


def _schema_faults(text: str, statements: list[tuple[int, str]], parsed: list[dict[str, Any]]) -> Iterator[PolicyFault]:
    for error in cedarpy.validate_policies(text, schema_text()).errors:
        number = _POLICY_NUMBER.fullmatch(error.policy_id)
        if number is None:
            yield PolicyFault(1, "", error.error)
            continue
        index = int(number.group(1))
        name = parsed[index].get("annotations", {}).get("id") or ""
        message = error.error.removeprefix(f"for policy `{error.policy_id}`, ")
        yield PolicyFault(statements[index][0], name, message)

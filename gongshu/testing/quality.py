"""The quality scale of connectors: `quality.toml` answers every rule, and the tier it claims follows from the answers.

tier = "silver"
[rules]
C01 = "done"
C15 = { answer = "exempt", comment = "Modbus has no credentials" }
outside_party = { answer = "todo", comment = "nobody has run it yet" }
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from gongshu.gather.connector import ConnectorSpec

CLAUSES = tuple(f"C{number:02}" for number in range(1, 18))
FURTHER = ("real_server", "recorded_traffic", "measured", "outside_party")
"""CI runs it against a server of another maker · bytes of real devices are replayed · throughput and memory are in
`bench/` · somebody outside ran the suite against a device of theirs."""
RULES = (*CLAUSES, *FURTHER)
TIERS = ("none", "bronze", "silver", "gold", "platinum")
_BRONZE = {*CLAUSES[:7], "C13", "C17"}
_SILVER = _BRONZE | {"C10", "C11", "C14", "C16", "real_server"}
_GOLD = {*CLAUSES, "real_server", "recorded_traffic", "measured"}
NEEDED: Mapping[str, set[str]] = {
    "none": set(),
    "bronze": _BRONZE,
    "silver": _SILVER,
    "gold": _GOLD,
    "platinum": _GOLD | {"outside_party"},
}


def quality_findings(file: Path, spec: ConnectorSpec, gaps: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the answers; empty means they are complete and the claimed tier follows from them.

    `gaps` are the contract class's: test name to `ours`, `upstream` or `never`.
    """
    if not file.is_file():
        return [f"{spec.name} has no quality.toml beside its config"]
    found = tomllib.loads(file.read_text(encoding="utf-8"))
    return judge_quality(found, gaps)


def judge_quality(found: Mapping[str, object], gaps: Mapping[str, str]) -> list[str]:
    """Return the findings on parsed answers; pure.

    >>> judge_quality({"tier": "bronze", "rules": {}}, {})[0]
    'C01 is not answered'
    """
    rules = found.get("rules")
    rules = rules if isinstance(rules, dict) else {}
    findings = [f"{rule} is not answered" for rule in RULES if rule not in rules]
    findings += [f"{rule} is no rule" for rule in rules if rule not in RULES]
    answers = {rule: _answer(answer) for rule, answer in rules.items()}
    for rule, (answer, comment) in answers.items():
        if answer not in ("done", "todo", "exempt"):
            findings.append(f"{rule}: {answer!r} is not done, todo or exempt")
        if answer != "done" and not comment:
            findings.append(f"{rule}: {answer} needs a comment")
    for test, whose in gaps.items():
        clause = test.removeprefix("test_").split("_")[0].upper()
        if whose == "ours" and answers.get(clause, ("", ""))[0] == "done":
            findings.append(f"{clause} is answered done, but {test} is a gap of ours")
    tier = found.get("tier")
    if tier not in TIERS:
        return [*findings, f"the tier {tier!r} is none of {', '.join(TIERS)}"]
    missing = sorted(rule for rule in NEEDED[str(tier)] if answers.get(rule, ("todo", ""))[0] == "todo")
    if missing:
        findings.append(f"the tier {tier} asks for {', '.join(missing)}")
    return findings


def _answer(answer: object) -> tuple[str, str]:
    if isinstance(answer, dict):
        return str(answer.get("answer", "")), str(answer.get("comment", ""))
    return str(answer), ""

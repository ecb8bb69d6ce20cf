"""Policies parsed once, and the verdict on a request. Pure: no clock, store or network.

Cedar drops a policy that fails, also a forbid. Here any failure of evaluation denies.
See docs/decisions/0032-a-policy-that-fails-denies.md.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cedarpy

from gongshu.model.access import Obligations
from gongshu.secure.policy.obligations import add_up, parse_obligations
from gongshu.secure.policy.text import parse_policies

NOTHING_PERMITS = "no-policy-permits"
NO_OBLIGATIONS = Obligations()
POLICY_ERROR = "policy-error"

_FAILED = re.compile(r"policy `(policy\d+)`")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policies say about one request."""

    permitted: bool
    because: tuple[str, ...]
    obligations: Obligations = NO_OBLIGATIONS
    ask: str = ""
    """Whom a refused person could ask; empty where the policies do not say."""


class CompiledPolicies:
    """A policy text, parsed. The text has no faults (`find_faults`); others raise ValueError."""

    def __init__(self, text: str) -> None:
        self._handle = cedarpy.PolicySet.from_str(text)
        self._names: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        self._demands: dict[str, Obligations] = {}
        for number, policy in enumerate(parse_policies(text)):
            annotations: Mapping[str, str] = {k: v or "" for k, v in policy.get("annotations", {}).items()}
            name = annotations.get("id") or f"policy{number}"
            self._names[f"policy{number}"] = name
            self._asks[name] = annotations.get("ask", "")
            if policy["effect"] == "permit":
                self._demands[f"policy{number}"] = parse_obligations(annotations)

    def judge(self, requests: Sequence[dict[str, Any]], entities: "cedarpy.Entities") -> list[Verdict]:
        """Return one verdict a request, in order. What cannot be evaluated is denied.

        Cost: about 0.05 ms a request with the default policies.
        """
        if not requests:
            return []
        return [self._verdict(result) for result in cedarpy.is_authorized_batch(list(requests), self._handle, entities)]

    def _verdict(self, result: "cedarpy.AuthzResult") -> Verdict:
        diagnostics = result.diagnostics
        if diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
            failed = sorted({self._names.get(n, n) for e in diagnostics.errors for n in _FAILED.findall(e)})
            return Verdict(permitted=False, because=(f"{POLICY_ERROR}: {', '.join(failed) or 'request'}",))
        reasons = sorted(diagnostics.reasons, key=lambda name: int(name.removeprefix("policy")))
        names = tuple(self._names[reason] for reason in reasons)
        if result.decision is not cedarpy.Decision.Allow:
            ask = next((self._asks[name] for name in names if self._asks[name]), "")
            return Verdict(permitted=False, because=names or (NOTHING_PERMITS,), ask=ask)
        demands = add_up(self._demands[reason] for reason in reasons)
        return Verdict(permitted=True, because=names, obligations=demands)

"""What the kit expects to find at a connector: datasets, offers and agreements, and for each case a rule.

The rules are those of our own copy of the scenarios; the kit only needs time between a message and the next, because it
listens for one after it has been answered for the other. Delays are part of a rule, a feature of the product.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gongshu.share.automation import Action, Reaction, Rules, rule
from tests.integration.share.test_conformance import (
    CONSUMER_NEGOTIATION,
    CONSUMER_TRANSFER,
    PROVIDER_NEGOTIATION,
    PROVIDER_TRANSFER,
    STARTS,
)

PARTY = "urn:gongshu:party:examinee"
KIT = "TCK_PARTICIPANT"
"""The kit's own id, fixed in its code."""
DATASET = "kit_rows"
"""Our one table behind all published datasets."""
FORMAT = "HttpData-PULL"
AFTER_MS = 300
"""The kit polls states and registers its handlers within about 200 ms after a message."""
PAUSE_MS = 2000
"""Where a case has a pause: the kit first reads the state before it."""

DISABLED = {"TP:02-04": STARTS, "TP_C:02-04": rule(started=Action.SUSPEND, suspended=Action.START)}
"""Switched off in the kit; provided for, so that a version that runs them finds its agreement."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the kit, and how we behave in it."""

    name: str
    """As the kit has it: `CN_C:01-02`."""
    rules: Rules

    @property
    def key(self) -> str:
        """The kit's configuration key without its last part."""
        return self.name.replace(":", "_").replace("-", "_")

    @property
    def item(self) -> str:
        """The id of its dataset or agreement; the kit has `ACN0102` and its offer in its code."""
        return "A" + self.name.replace(":", "").replace("-", "").replace("_", "")

    @property
    def offer_id(self) -> str:
        """The id of the offer in a case in which we provide."""
        return f"CD123:{self.item}:456"


def cases_of(table: Mapping[str, tuple[Rules, object]]) -> list[Case]:
    """Return the cases of one table of scenarios."""
    return [Case(name, slowed(rules)) for name, (rules, _) in table.items()]


def slowed(rules: Rules) -> Rules:
    """Return the rules with the time that the kit needs."""
    return Rules(
        {
            on: tuple(Reaction(step.action, PAUSE_MS if step.after_ms else AFTER_MS) for step in steps)
            for on, steps in rules.steps.items()
        }
    )


def disabled(prefix: str) -> list[Case]:
    """Return the cases that the kit has switched off."""
    return [Case(name, slowed(rules)) for name, rules in DISABLED.items() if name.startswith(prefix)]


PROVIDED = cases_of(PROVIDER_NEGOTIATION)
ASKED = cases_of(CONSUMER_NEGOTIATION)
SENT = [*cases_of(PROVIDER_TRANSFER), *disabled("TP:")]
FETCHED = [*cases_of(CONSUMER_TRANSFER), *disabled("TP_C:")]
CATALOGUE = ("CAT0101", "CAT0102")
MISSING = "CAT0103"


def properties(*, node: str, triggers: str, kit_port: int, authorization: str) -> dict[str, str]:
    """Return the kit's configuration."""
    settings = {
        "dataspacetck.debug": "true",
        "dataspacetck.host": "127.0.0.1",
        "dataspacetck.port": str(kit_port),
        "dataspacetck.callback.address": f"http://127.0.0.1:{kit_port}",
        "dataspacetck.dsp.local.connector": "false",
        "dataspacetck.dsp.connector.agent.id": PARTY,
        "dataspacetck.dsp.connector.http.base.url": node,
        "dataspacetck.dsp.connector.http.url": f"{node}/dsp/2025-1",
        "dataspacetck.dsp.connector.http.headers.authorization": authorization,
        "dataspacetck.dsp.connector.negotiation.initiate.url": f"{triggers}/negotiations",
        "dataspacetck.dsp.connector.transfer.initiate.url": f"{triggers}/transfers",
        "dataspacetck.dsp.default.wait": "15",
        "CAT_01_01_DATASETID": CATALOGUE[0],
        "CAT_01_02_DATASETID": CATALOGUE[1],
        "CAT_01_03_DATASETID": MISSING,
    }
    for case in PROVIDED:
        settings |= {f"{case.key}_DATASETID": case.item, f"{case.key}_OFFERID": case.offer_id}
    for case in ASKED:
        settings |= {f"{case.key}_DATASETID": case.item, f"{case.key}_OFFERID": case.offer_id}
    for case in (*SENT, *FETCHED):
        settings |= {f"{case.key}_AGREEMENTID": case.item, f"{case.key}_FORMAT": FORMAT}
    return settings

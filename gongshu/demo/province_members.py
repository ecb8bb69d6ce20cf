"""Further members of the synthetic province: small nodes inside the demo's own process, each with its own keys.

They join and report through the same services as the enterprise; only nobody looks at their pages.
"""

import pyarrow as pa

from gongshu.config import Home, NodeConfig, write_config
from gongshu.demo.client import Person
from gongshu.demo.show import Show, require
from gongshu.hub.period import parse_period
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.node import open_node
from gongshu.simulate.province import MonthlyFigures, make_months

MEMBERS = 4
INDICATORS = ("parts_produced", "running_time", "oee")
DATASET = "monthly_figures"


def join_and_report(show: Show, official: Person, period: str) -> int:
    """Let each further member join and report this month; return how many did."""
    months = make_months(seed=67, periods=(period,), count=MEMBERS)
    address = show.stage.nodes["province"].address
    for number, month in enumerate(months):
        body = {"indicators": list(INDICATORS)}
        invitation = official.call("POST", "/api/v1/hub/invitations", body)["invitation"]
        show.say(f"member {number + 1} of {len(months)} joins and reports …")
        _report(month, Home(show.stage.folder / f"member-{number + 1}"), address, invitation)
    return len(months)


def _report(month: MonthlyFigures, home: Home, address: str, invitation: str) -> None:
    enterprise = month.enterprise
    home.path.mkdir()
    title = enterprise.title
    write_config(home, NodeConfig(party_id=enterprise.party_id, title=title, division=enterprise.division, port=0))
    node = open_node(home)
    try:
        clerk = Subject(SubjectId("user:clerk"), PartyId(enterprise.party_id), frozenset({Role.STEWARD}))
        table = pa.table({code: [float(value)] for code, value in month.values.items()})
        dataset_id = node.store.write(DATASET, table, title=f"{title} {month.period}", origin="import:synthetic")
        agreement = node.hub.join(address, invitation, clerk)
        for code in INDICATORS:
            node.hub.reporting.bind(code, dataset_id, f"SELECT {code} FROM {dataset_id}", clerk)
        node.hub.reporting.submit(agreement.terms.agreement_id, parse_period(month.period), clerk)
        node.hub.reporting.deliver_due()
        states = [report.state for report in node.hub.reporting.reports()]
        require(states == ["accepted"], f"the report of {title}", "accepted", states)
    finally:
        node.close()

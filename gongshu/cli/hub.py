"""`gongshu hub`: join a province and report to it; invite members and publish totals."""

from datetime import datetime
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.cli.share_terms import last_moment
from gongshu.hub.model import Publication
from gongshu.hub.period import Period, parse_period, period_at
from gongshu.hub.roles import CONTRACTORS, REPORTERS, require_role
from gongshu.model.ids import DatasetId

app = typer.Typer(add_completion=False, no_args_is_help=True)

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
PeriodOption = Annotated[str, typer.Option("--period", help="A month, as 2026-10; empty means last month")]


@app.command()
def invite(
    indicator: Annotated[list[str] | None, typer.Option(help="Ask for this indicator; repeat it. None: all")] = None,
    until: Annotated[str, typer.Option(help="Last day of the agreement, as 2027-12-31; empty means a year")] = "",
    basis: Annotated[str, typer.Option(help="Approval or filing number of the survey")] = "voluntary",
) -> None:
    """Province: make a one-time invitation to report: gongshu hub invite --indicator energy --until 2027-12-31."""
    end = last_moment(until, "--until")
    with opened_node() as node:
        invitation = node.hub.memberships.invite(
            current_subject(node), indicators=indicator or (), basis=basis, valid_until=end
        )
    done(f"Hand this over by another channel; it works once, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC:")
    done(invitation.text)


@app.command()
def join(
    address: Annotated[str, typer.Argument(help="The province's address, as https://province.example")],
    invitation: Annotated[str, typer.Argument(help="The invitation's text: CODE@sha256:…")],
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking")] = False,
) -> None:
    """Plant: read the terms, sign them, become a member: gongshu hub join https://province.example CODE@sha256:…."""
    with opened_node() as node:
        subject = current_subject(node)
        offered, terms = node.hub.memberships.look(address, invitation)
        done(f"{offered.title} ({terms.province}) asks {terms.member} ({terms.division}) each month for:")
        done(f"  {', '.join(terms.indicators)}")
        done(f"  for {terms.purpose} ({terms.basis}), until {terms.valid_until:%Y-%m-%d}")
        if not yes:
            typer.confirm("Sign these terms?", abort=True)
        agreement = node.hub.join(address, invitation, subject)
    done(f"Signed by both: {agreement.terms.agreement_id}. Name the figures with `gongshu hub bind`.")


@app.command()
def bind(
    indicator: Annotated[str, typer.Argument(help="The indicator's code, as energy")],
    dataset: Annotated[str, typer.Argument(help="The dataset that the figure comes from")],
    sql: Annotated[str, typer.Argument(help="One number; {period_start} and {period_end} are filled in")],
) -> None:
    """Plant: name the query behind an indicator: gongshu hub bind energy meters "SELECT sum(kwh) FROM meters"."""
    with opened_node() as node:
        node.catalogue.dataset(DatasetId(dataset))
        source = node.hub.reporting.bind(indicator, DatasetId(dataset), sql, current_subject(node))
    done(f"{source.indicator} comes from {source.dataset_id}.")


@app.command()
def report(
    period: PeriodOption = "",
    agreement: Annotated[str, typer.Option(help="Agreement; empty means the one in force")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing")] = False,
    format: AsFormat = Format.TABLE,
) -> None:
    """Plant: make, sign and send a month's report: gongshu hub report --period 2026-10 --dry-run."""
    with opened_node() as node:
        subject, reporting = current_subject(node), node.hub.reporting
        month = _month(period, node.clock(), node.hub.rules().utc_offset_minutes)
        terms = node.hub.memberships.agreement(agreement) if agreement else reporting.agreement_in_force()
        if dry_run:
            _, opened = reporting.draft(terms.terms.agreement_id, month, subject)
            rows = [
                {"indicator": o.value.indicator, "value": o.value.value, "unit": o.value.unit, "query": o.sql}
                for o in opened
            ]
            show(rows, ["indicator", "value", "unit", "query"], format)
            return
        sent = reporting.submit(terms.terms.agreement_id, month, subject)
        reporting.deliver_due()
        delivered = reporting.sent(sent.report_id)
    row = {"period": str(month), "revision": delivered.revision, "state": delivered.state, "answer": delivered.answer}
    show([row], ["period", "revision", "state", "answer"], format)


@app.command()
def status(format: AsFormat = Format.TABLE) -> None:
    """Agreements, and the reports under them: gongshu hub status."""
    with opened_node() as node:
        require_role(current_subject(node), CONTRACTORS | REPORTERS, what="see reporting agreements")
        agreements: list[dict[str, object]] = [
            {
                "agreement": a.terms.agreement_id,
                "with": a.member_title if a.as_province else a.province_title,
                "we": "receive" if a.as_province else "report",
                "until": f"{a.ended_at or a.terms.valid_until:%Y-%m-%d}",
                "indicators": ", ".join(a.terms.indicators),
            }
            for a in node.hub.memberships.agreements()
        ]
        reports: list[dict[str, object]] = [
            {
                "agreement": r.agreement_id,
                "period": str(r.period),
                "revision": r.revision,
                "state": r.state,
                "attempts": r.attempts,
                "answer": r.answer,
            }
            for r in node.hub.reporting.reports()
        ]
    if format is Format.JSON:
        under = {a["agreement"]: [r for r in reports if r["agreement"] == a["agreement"]] for a in agreements}
        show([a | {"reports": under[a["agreement"]]} for a in agreements], [], format)
        return
    show(agreements, ["agreement", "with", "we", "until", "indicators"])
    show(reports, ["period", "revision", "state", "attempts", "answer"])


@app.command()
def members(period: PeriodOption = "", format: AsFormat = Format.TABLE) -> None:
    """Province: who reported and who is late: gongshu hub members --period 2026-10."""
    with opened_node() as node:
        month = _month(period, node.clock(), node.hub.rules().utc_offset_minutes)
        standing = node.hub.province.standing(month, current_subject(node))
    rows = [
        {
            "member": s.title,
            "division": s.division,
            "standing": s.standing,
            "due": f"{s.due_at:%Y-%m-%d}",
            "revision": s.revision or None,
        }
        for s in standing
    ]
    show(rows, ["member", "division", "standing", "due", "revision"], format)


@app.command()
def release(period: PeriodOption = "", format: AsFormat = Format.TABLE) -> None:
    """Province: publish a month's totals: gongshu hub release --period 2026-10."""
    with opened_node() as node:
        month = _month(period, node.clock(), node.hub.rules().utc_offset_minutes)
        publication = node.hub.province.release(month, current_subject(node))
    _show_totals(publication, format)


@app.command()
def totals(period: PeriodOption = "", format: AsFormat = Format.TABLE) -> None:
    """Province: show a month's published totals by division: gongshu hub totals --period 2026-10."""
    with opened_node() as node:
        month = _month(period, node.clock(), node.hub.rules().utc_offset_minutes)
        publication = node.hub.province.publication(month, current_subject(node))
    _show_totals(publication, format)


def _show_totals(publication: Publication, format: Format) -> None:
    rows = [
        {
            "indicator": c.indicator,
            "division": c.key or "all",
            "value": c.value if c.shown == "shown" else f"withheld ({c.shown})",
            "contributors": c.contributors,
            "preliminary": c.preliminary,
        }
        for c in publication.cells
    ]
    show(rows, ["indicator", "division", "value", "contributors", "preliminary"], format)


def _month(text: str, now: datetime, utc_offset_minutes: int) -> Period:
    return parse_period(text) if text else period_at(now, utc_offset_minutes=utc_offset_minutes).previous()

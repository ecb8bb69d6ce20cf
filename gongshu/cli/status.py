"""`gongshu status`: what the node holds and does."""

from typing import Annotated

import typer

from gongshu.cli.output import Format, show
from gongshu.cli.session import opened_node
from gongshu.secure.peer_tls import TlsSettings, client_context, pin_of

TIME_HELP = "a partner that answers settles it, a person by `gongshu share time --reset`, else 7 days of running"

app = typer.Typer(add_completion=False)


@app.command()
def status(format: Annotated[Format, typer.Option(help="table for people, json for programs")] = Format.TABLE) -> None:
    """Show what the node holds and does: gongshu status --format json."""
    with opened_node() as node:
        lake = node.lake.status()
        sources = node.sources.statuses()
        answering = node.home.run / "address"
        address = answering.read_text(encoding="utf-8") if answering.is_file() else "not running"
        if answering.is_file() and not _answers(address, node.tls):
            address = f"{address} does not answer"
        rows: list[dict[str, object]] = [
            {"what": "address", "value": address},
            {"what": "party", "value": node.party_id},
            {"what": "key", "value": node.keys.fingerprint()},
            {"what": "readings", "value": lake.rows_total},
            {"what": "readings waiting for the writer", "value": lake.pending_rows},
            {"what": "files", "value": lake.files},
            {"what": "size_bytes", "value": lake.size_bytes},
            {"what": "last commit", "value": lake.last_commit_at},
            {"what": "datasets", "value": len(node.catalogue.datasets(limit=100_000))},
            {"what": "audit records", "value": node.audit.size()},
        ]
        counted = node.keeping.counted_instead()
        if counted is not None:
            said = f"wait until the clock is believed; by the machine it is {counted:%Y-%m-%dT%H:%M:%SZ}: {TIME_HELP}"
            rows.append({"what": "deletions of received data", "value": said})
        rows += [{"what": f"source {s.source.source_id}", "value": s.state.value} for s in sources]
    show(rows, ["what", "value"], format)


def _answers(address: str, tls: TlsSettings) -> bool:
    """A node that was killed leaves its address behind; one with TLS has to show our own certificate."""
    import httpx

    own = tls.own_certificate()
    context = client_context(TlsSettings(), certificate=own, pin=pin_of(own))
    try:
        return httpx.get(f"{address}/healthz", timeout=5.0, trust_env=False, verify=context).is_success
    except httpx.HTTPError:
        return False

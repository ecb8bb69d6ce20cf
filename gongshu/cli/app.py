"""`gongshu app`: apps, whether data meet what they need, runs, and figures opened to their sources."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gongshu.apply.model import RunReport
from gongshu.apply.service import figure_rows
from gongshu.apply.spec import InputSpec, ParamValue
from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.model.ids import AssetId

app = typer.Typer(add_completion=False, no_args_is_help=True, help="应用 Apps on governed data.")

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
Below = Annotated[str, typer.Option(help="Only assets at or below this place in the tree")]
Start = Annotated[str, typer.Option("--from", help="Start with zone, as 2026-11-02T08:00+08:00; empty: an hour back")]
End = Annotated[str, typer.Option("--to", help="End with zone; empty means now")]


@app.command("list")
def list_apps(format: AsFormat = Format.TABLE) -> None:
    """Show the installed apps: gongshu app list."""
    with opened_node() as node:
        rows = [
            {
                "app": spec.name,
                "version": spec.version,
                "title": f"{spec.title_zh} {spec.title_en}",
                "needs": ", ".join(f"{i.role}{'' if i.required else '?'}" for i in spec.inputs),
                "makes": ", ".join(output.name for output in spec.outputs),
            }
            for spec in node.apps.apps()
        ]
    show(rows, ("app", "version", "title", "needs", "makes"), format)


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="APP", help="The app, as `gongshu app list` names it")],
    below: Below = "",
    start: Start = "",
    end: End = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Say whether the data hold what an app needs: gongshu app check oee --below plant-1."""
    with opened_node() as node:
        subject = current_subject(node)
        node.apps.require_member(subject)
        since, until = _span(start, end)
        findings = node.apps.check(name, node.apps.suggest(name, below=below), since, until, actor=subject)
    rows = [{**asdict(f), "outcome": f.outcome.value, "stops": f.stops} for f in findings]
    show(rows, ("asset", "role", "need", "outcome", "seen", "expected", "remedy"), format)
    if any(finding.stops for finding in findings):
        raise typer.Exit(code=1)


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="APP", help="The app, as `gongshu app list` names it")],
    below: Below = "",
    start: Start = "",
    end: End = "",
    param: Annotated[list[str] | None, typer.Option(help="A parameter as NAME=VALUE; repeat it")] = None,
    format: AsFormat = Format.TABLE,
) -> None:
    """Run an app on data that hold what it needs: gongshu app run oee --below plant-1 --param bucket_s=3600."""
    with opened_node() as node:
        subject = current_subject(node)
        since, until = _span(start, end)
        bindings = node.apps.suggest(name, below=below)
        report = node.apps.run(name, bindings, since, until, actor=subject, params=_params(param or []))
    _show_run(report, format)


@app.command()
def runs(
    name: Annotated[str, typer.Argument(metavar="APP", help="Only runs of this app; empty means all")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Show the latest runs: gongshu app runs oee."""
    with opened_node() as node:
        if name:
            node.apps.app(name)
        reports = node.apps.runs(name or None, reader=current_subject(node))
    rows = [
        {"run": r.run_id, "by": r.actor, "from": r.start, "to": r.end, "assets": len(r.assets), "at": r.finished_at}
        for r in reports
    ]
    show(rows, ("run", "by", "from", "to", "assets", "at"), format)


@app.command("show")
def show_run(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A run, as `gongshu app runs` names it; or an app")],
    asset: Annotated[str, typer.Option(help="Open the figures of this asset")] = "",
    figure: Annotated[str, typer.Option(help="Open one figure down to its readings")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Show a run, or open a figure of it: gongshu app show RUN --asset plant-1/mill-03 --figure availability."""
    with opened_node() as node:
        if run_id in {spec.name for spec in node.apps.apps()}:
            _show_needs(node.apps.app(run_id).inputs, format)
            return
        reader = current_subject(node)
        if not (asset and figure):
            _show_run(node.apps.run_report(run_id, reader=reader), format)
            return
        opened = node.apps.explain(run_id, AssetId(asset), figure, reader=reader)
    if format is Format.TABLE:
        value = "—" if opened.figure.value is None else f"{opened.figure.value:.4f}"
        done(f"{opened.figure.formula}   = {value}   {opened.figure.remark}")
        done(f"{opened.figure.source}; {', '.join(opened.run.packs)}; not judged: {opened.not_judged_s} s")
    rows = [
        {
            "term": o.term.symbol,
            "value": o.term.value,
            "unit": o.term.unit,
            "readings": o.term.readings,
            "left out": o.term.excluded,
            "series": ", ".join(name.rpartition("/")[2] for name in o.names),
            "query": o.query,
        }
        for o in opened.terms
    ]
    show(rows, ("term", "value", "unit", "readings", "left out", "series"), format)
    if format is Format.TABLE:
        done("See the readings themselves, if you may:")
        for row in rows:
            done(f'gongshu sql "{row["query"]}"')


def _show_run(report: RunReport, format: Format) -> None:
    rows = figure_rows(report)
    if format is Format.JSON:
        show([{"run": report.run_id, **row} for row in rows], (), format)
        return
    done(f"{report.run_id}: {report.start:%Y-%m-%d %H:%M:%S}Z to {report.end:%Y-%m-%d %H:%M:%S}Z")
    figures = list(report.assets[0].figures) if report.assets else []
    for row in rows:
        row.update({k: f"{row[k]:.1%}" if isinstance(row[k], float) else "not judged" for k in figures})
        row["not judged"] = f"{row.get('not_judged_s')} s"
    show(rows, ("asset", *figures, "not judged"), format)
    done(f"Derived datasets: {', '.join(report.outputs)}. Open a figure:")
    done(f"gongshu app show {report.run_id} --asset ASSET --figure {figures[0] if figures else 'FIGURE'}")


def _show_needs(inputs: Sequence[InputSpec], format: Format) -> None:
    rows = [
        {
            **asdict(wanted),
            "title": f"{wanted.title_zh} {wanted.title_en}",
            "readings": f"at least {wanted.need.readings_min}, {wanted.need.good_ratio_min:.0%} good",
        }
        for wanted in inputs
    ]
    show(rows, ("role", "required", "kind", "unit", "readings", "title"), format)


def _span(start: str, end: str) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    until = _time(end, "--to") if end else now
    return _time(start, "--from") if start else until - timedelta(hours=1), until


def _time(text: str, option: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as cause:
        raise typer.BadParameter(
            f"{text!r} is no time; write it as 2026-11-02T08:00+08:00", param_hint=option
        ) from cause
    if time.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no zone; write it as 2026-11-02T08:00+08:00", param_hint=option)
    return time.astimezone(UTC)


def _params(given: Sequence[str]) -> dict[str, ParamValue]:
    params: dict[str, ParamValue] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--param")
        params[name] = value
    return params

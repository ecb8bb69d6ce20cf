"""`gongshu source`: the machines and systems that data come from."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.gather.connector import BrowseNode
from gongshu.gather.definitions import SourceForm, read_definitions
from gongshu.gather.errors import ConfigWrong
from gongshu.gather.rights import MAY_CHANGE, MAY_SEE, require_role
from gongshu.model.ids import SourceId

app = typer.Typer(add_completion=False, no_args_is_help=True)

_SOURCE = Annotated[str, typer.Argument(help="Name of the source")]
_FORMAT = Annotated[Format, typer.Option(help="table for people, json for programs")]


@app.command("connectors")
def list_connectors(format: _FORMAT = Format.TABLE) -> None:
    """Show what can be collected from.

    Example: gongshu source connectors
    """
    from gongshu.gather.connector import installed_connectors

    rows = [
        {"name": spec.name, "title": f"{spec.title_zh} · {spec.title_en}", "can": ", ".join(sorted(spec.can))}
        for spec in installed_connectors().values()
    ]
    show(rows, ["name", "title", "can"], format)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the new source; not with --file")] = "",
    connector: Annotated[str, typer.Option(help="Name of a connector, see `gongshu source connectors`")] = "",
    asset: Annotated[str, typer.Option(help="Asset whose values it brings: plant-1/line-2/mill-03")] = "",
    title: Annotated[str, typer.Option(help="Name as people read it")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting: host=10.0.0.5, or tags=[{…}] as JSON")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="TOML or YAML file with a list `sources`")] = None,
    probe: Annotated[bool, typer.Option(help="Try to reach it first, and add it only then")] = False,
    start: Annotated[bool, typer.Option(help="Collect at once")] = True,
) -> None:
    """Add one source, or all of a file.

    Example: gongshu source add mill-3 --connector modbus --asset plant-1/mill-03 --set host=10.0.0.5 --set 'tags=[{"name":"load","address":40}]'
    """  # noqa: E501
    if file is not None:
        wanted = read_definitions(file)
    else:
        config = _settings(set_ or [])
        form = SourceForm(id=name, connector=connector, asset=asset or "-", title=title, config=config, start=start)
        if not asset:
            raise ConfigWrong(what="the source", field="asset", reason="--asset is needed")
        wanted = [form.definition()]
    with opened_node() as node:
        subject = require_role(current_subject(node), MAY_CHANGE, "add sources")
        for definition in wanted:
            node.sources.check(definition)
            if probe:
                asyncio.run(node.sources.probe(definition))
        for definition in wanted:
            node.sources.add(definition, actor=subject.subject_id)
            done(f"Added {definition.source_id}. A running node collects from it within two seconds.")


@app.command("list")
def list_sources(format: _FORMAT = Format.TABLE) -> None:
    """Show all sources with what their collectors say.

    Example: gongshu source list --format json
    """
    with opened_node() as node:
        require_role(current_subject(node), MAY_SEE, "see sources")
        rows = []
        for status in node.sources.statuses():
            counters = status.counters
            rows.append(
                {
                    "source": status.source.source_id,
                    "connector": status.source.definition.connector,
                    "asset": status.source.definition.asset,
                    "state": status.state.value,
                    "read": counters.read if counters else 0,
                    "bad": counters.bad if counters else 0,
                    "lost": counters.lost if counters else 0,
                    "last value": f"{status.value_age_s:.1f} s ago" if status.value_age_s is not None else "",
                    "value_age_s": status.value_age_s,
                    "error": counters.last_error_code if counters else "",
                }
            )
    show(rows, ["source", "connector", "asset", "state", "read", "bad", "lost", "last value", "error"], format)


@app.command("losses")
def list_losses(
    name: Annotated[str, typer.Argument(help="Name of the source; all if empty")] = "",
    format: _FORMAT = Format.TABLE,
) -> None:
    """Show what was lost on the way, and what of it came later.

    Example: gongshu source losses mill-3
    """
    with opened_node() as node:
        require_role(current_subject(node), MAY_SEE, "see sources")
        if name:
            node.sources.status(SourceId(name))
        rows = [
            {
                "source": loss.source_id,
                "reason": loss.reason,
                "tag": loss.address,
                "readings": "unknown" if loss.readings is None else loss.readings,
                "times": loss.times,
                "from": loss.start,
                "to": loss.end,
                "recovered": loss.recovered,
            }
            for loss in node.sources.losses(SourceId(name) if name else None)
        ]
    show(rows, ["source", "reason", "tag", "readings", "times", "from", "to", "recovered"], format)


@app.command("probe")
def probe_source(name: _SOURCE, format: _FORMAT = Format.TABLE) -> None:
    """Say what can be reached, without changing anything there. Exit status 1 if something is wrong.

    Example: gongshu source probe mill-3
    """
    with opened_node() as node:
        require_role(current_subject(node), MAY_CHANGE, "probe sources")
        report = asyncio.run(node.sources.probe(SourceId(name)))
    answers = {True: "yes", False: "no", None: "not judged"}
    rows = [{"what": one.what, "holds": answers[one.holds], "detail": one.detail} for one in report.findings]
    show(rows, ["what", "holds", "detail"], format)
    if not report.ok:
        raise typer.Exit(1)


@app.command("browse")
def browse_source(
    name: _SOURCE,
    under: Annotated[str, typer.Option(help="Address to begin at; the root if empty")] = "",
    limit: Annotated[int, typer.Option(help="Most nodes to show", min=1)] = 1_000,
    format: _FORMAT = Format.TABLE,
) -> None:
    """Show what the far end has.

    Example: gongshu source browse cell-1 --limit 50
    """
    with opened_node() as node:
        require_role(current_subject(node), MAY_CHANGE, "browse sources")
        found = asyncio.run(node.sources.browse(SourceId(name), under=under, limit=limit))
    show([_node_row(one) for one in found], ["path", "address", "type", "unit"], format)


@app.command("start")
def start_source(name: _SOURCE) -> None:
    """Collect from a source again.

    Example: gongshu source start mill-3
    """
    with opened_node() as node:
        subject = require_role(current_subject(node), MAY_CHANGE, "start sources")
        node.sources.start(SourceId(name), actor=subject.subject_id)
    done(f"{name} is to run.")


@app.command("stop")
def stop_source(name: _SOURCE) -> None:
    """Stop collecting from a source; what it has brought stays.

    Example: gongshu source stop mill-3
    """
    with opened_node() as node:
        subject = require_role(current_subject(node), MAY_CHANGE, "stop sources")
        node.sources.stop(SourceId(name), actor=subject.subject_id)
    done(f"{name} is to stop.")


@app.command("remove")
def remove_source(name: _SOURCE) -> None:
    """Forget a source and its secrets; its series and readings stay.

    Example: gongshu source remove mill-3
    """
    with opened_node() as node:
        subject = require_role(current_subject(node), MAY_CHANGE, "remove sources")
        node.sources.remove(SourceId(name), actor=subject.subject_id)
    done(f"Removed {name}.")


def _settings(given: list[str]) -> dict[str, Any]:
    """`host=10.0.0.5`, `csv.delimiter=;`: a value that is JSON is taken as such, anything else as text."""
    config: dict[str, Any] = {}
    for one in given:
        place, is_there, text = one.partition("=")
        if not is_there:
            raise ConfigWrong(what="--set", field=one, reason="it has no `=`")
        *steps, last = place.split(".")
        at = config
        for step in steps:
            at = at.setdefault(step, {})
        try:
            at[last] = json.loads(text)
        except json.JSONDecodeError:
            at[last] = text
    return config


def _node_row(node: BrowseNode) -> dict[str, object]:
    tag = node.tag
    kind = tag.value_type.value if tag else "folder"
    return {"path": node.path, "address": node.address, "type": kind, "unit": tag.unit if tag else ""}

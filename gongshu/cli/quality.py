"""`gongshu quality`: judge datasets on the six dimensions of GB/T 36344, and show what was found."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.govern.quality.model import QualityReport
from gongshu.govern.quality.scoring import encode_report
from gongshu.govern.roles import JUDGES, READERS, require_role
from gongshu.model.ids import DatasetId

app = typer.Typer(add_completion=False, no_args_is_help=True)

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
TheDataset = Annotated[str, typer.Argument(help="The dataset's id, as `gongshu catalog list` shows it")]


@app.command()
def run(
    dataset_id: TheDataset,
    hours: Annotated[
        float | None, typer.Option(min=0.001, help="Only the last so many hours; all when left out")
    ] = None,
    format: AsFormat = Format.TABLE,
) -> None:
    """Judge a dataset now: gongshu quality run plant_1_line_1_mill_01 --hours 24."""
    with opened_node() as node:
        subject = current_subject(node)
        require_role(subject, JUDGES, "judge", dataset_id)
        for counted in node.quality.looked_at(DatasetId(dataset_id)):
            node.gate.require_whole(subject, counted, purpose="quality")
        now: datetime = node.clock()
        start = now - timedelta(hours=hours) if hours else None
        made = node.quality.run(DatasetId(dataset_id), start, now if hours else None, actor=subject.subject_id)
    _print(made, format)


@app.command()
def report(dataset_id: TheDataset, format: AsFormat = Format.TABLE) -> None:
    """Show the newest report: gongshu quality report plant_1_line_1_mill_01."""
    with opened_node() as node:
        require_role(current_subject(node), READERS, "read", dataset_id)
        found = node.quality.latest(DatasetId(dataset_id))
    _print(found, format)


def _print(made: QualityReport, format: Format) -> None:
    if format is Format.JSON:
        show([encode_report(made)], (), format)
        return
    total = "not judged" if made.score is None else f"{made.score:g} of 100"
    done(f"{made.dataset_id}: {total}; {made.judged} of {made.indicators} indicators judged; {made.rows} rows.")
    rows = [
        {
            "dimension": f"{result.dimension.term} {result.dimension.value}",
            "score": result.score,
            "indicator": measure.indicator,
            "rule": measure.rule_id,
            "A": measure.a if measure.b else None,
            "B": measure.b or None,
            "X": None if measure.x_ratio is None else f"{measure.x_ratio:.4f}",
            "not judged because": measure.reason_en,
        }
        for result in made.dimensions
        for measure in result.measures
    ]
    show(rows, ("dimension", "score", "indicator", "rule", "A", "B", "X", "not judged because"))
    findings = [
        {"rule": f.rule_id, "where": f.where, "count": f.count, "what": f.text_en, "samples": ", ".join(f.samples)}
        for f in made.findings()
    ]
    if findings:
        done("\nFindings")
        show(findings, ("rule", "where", "count", "what", "samples"))

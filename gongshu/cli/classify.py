"""`gongshu classify`: category and grade for a list of names or the columns of a file, without storing anything."""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer
from pyarrow import csv

from gongshu.cli.output import Format, done, show
from gongshu.govern.classify.evaluation import Score, evaluate, read_examples
from gongshu.govern.classify.profile import profile_column
from gongshu.govern.classify.propose import Classifier
from gongshu.govern.errors import FileUnreadable
from gongshu.govern.views import proposal_row
from gongshu.packs import load_packs

app = typer.Typer(add_completion=False)


@app.command()
def classify(
    file: Annotated[Path | None, typer.Argument(help="A CSV file with headings; its columns are classified")] = None,
    evaluate_rules: Annotated[bool, typer.Option("--evaluate", help="Measure the rules on the labelled set")] = False,
    format: Annotated[Format, typer.Option("--format", help="table for people, json for programs")] = Format.TABLE,
) -> None:
    """Propose category and grade for each column of a CSV file: gongshu classify orders.csv."""
    classifier = Classifier(load_packs())
    if evaluate_rules:
        _show_evaluation(classifier, format)
        return
    if file is None:
        raise typer.BadParameter("give a CSV file, or --evaluate")
    rows = []
    table = read_csv(file)
    for name in table.column_names:
        profile = profile_column(table.column(name), classifier.check_rules)
        proposal = classifier.propose_column(name, context=file.stem, profile=profile)
        why = "; ".join(evidence.text_zh for evidence in proposal.evidence[:2])
        rows.append({"column": name, **proposal_row(proposal), "why": why})
    show(rows, ("column", "category", "grade_term", "importance_term", "confidence", "markers", "why"), format)


def read_csv(file: Path) -> pa.Table:
    """Return a CSV file's rows.

    Raises: FileUnreadable.
    """
    try:
        return csv.read_csv(file)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as cause:
        raise FileUnreadable(file=file, kind="CSV in UTF-8", reason=str(cause).splitlines()[0]) from cause


def _show_evaluation(classifier: Classifier, format: Format) -> None:
    examples = read_examples(classifier.check_rules)
    rows, mistakes = [], []
    for name, held_out in (("tuned", False), ("held out", True)):
        result = evaluate(classifier, [example for example in examples if example.held_out is held_out])
        scores = [*result.categories, result.category_total, *result.markers, result.marker_total]
        rows += [{"set": name, **_score_row(score)} for score in scores]
        mistakes += [dict(zip(MISTAKE, (name, *mistake), strict=True)) for mistake in result.mistakes]
    show(rows, ("set", "label", "right", "wrong", "missed", "precision", "recall"), format)
    if format is Format.TABLE:
        done(f"\n{len(examples)} labelled names (synthetic, labelled by this project); mistakes:")
        show(mistakes, MISTAKE)


MISTAKE = ("set", "name", "expected", "proposed")


def _score_row(score: Score) -> dict[str, object]:
    return {
        "label": score.label,
        "right": score.right,
        "wrong": score.wrong,
        "missed": score.missed,
        "precision": None if score.precision_ratio is None else round(score.precision_ratio, 3),
        "recall": None if score.recall_ratio is None else round(score.recall_ratio, 3),
    }

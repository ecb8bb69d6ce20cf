"""`gongshu grade`: a grade from facts, and what waits for review."""

from datetime import timedelta
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.govern.errors import FactUnknown
from gongshu.govern.grading import FACTS, Facts, accident_class, grade_facts, importance_of, loss_class
from gongshu.govern.model import grade_text
from gongshu.govern.roles import READERS, SECRET_DECLARERS, require_role
from gongshu.govern.views import review_row
from gongshu.model.ids import DatasetId
from gongshu.packs import load_packs

app = typer.Typer(add_completion=False, no_args_is_help=True)

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]


@app.command()
def facts(
    given: Annotated[list[str] | None, typer.Argument(help="Facts, as recovery=costly; see --known")] = None,
    deaths: Annotated[int | None, typer.Option(min=0, help="Deaths an accident could cause")] = None,
    injuries: Annotated[int | None, typer.Option(min=0, help="Serious injuries it could cause")] = None,
    loss_cny: Annotated[float | None, typer.Option(min=0, help="Direct loss in CNY")] = None,
    known: Annotated[bool, typer.Option("--known", help="List the facts and their values")] = False,
    format: AsFormat = Format.TABLE,
) -> None:
    """Grade by the nine conditions: gongshu grade facts enterprise_impact=large --deaths 3."""
    if known:
        show(
            [{"fact": fact, "values": ", ".join(values)} for fact, values in FACTS.items()], ("fact", "values"), format
        )
        return
    packs = load_packs()
    values = dict(_split(text) for text in given or ())
    accidents = packs.get("accident-classes")
    if deaths is not None or injuries is not None:
        values["accident"] = accident_class(accidents, deaths=deaths or 0, injuries=injuries or 0)
    if loss_cny is not None:
        values["loss"] = loss_class(accidents, loss_cny)
    sheet = Facts.of(values)
    result = grade_facts(sheet, packs.get("industrial-data-grading"))
    importance, _ = importance_of(result, sheet, packs.get("miit-data-security"))
    rows = [
        {
            "condition": condition.item.key,
            "grade": condition.grade.term,
            "state": state,
            "facts": ", ".join(condition.facts),
            "text": condition.item.title_zh,
            "source": condition.item.citation,
        }
        for state, conditions in (("fired", result.fired), ("open", result.open))
        for condition in conditions
    ]
    if format is Format.JSON:
        answer = {"grade": int(result.grade), "importance": importance.value, "conditions": rows}
        show([answer], (), format)
        return
    done(f"{grade_text(result.grade, importance)}")
    show(rows, ("condition", "grade", "state", "facts", "text", "source"))


def _split(text: str) -> tuple[str, str]:
    fact, separator, value = text.partition("=")
    if not separator:
        raise FactUnknown(fact=text, value="", known="; ".join(FACTS))
    return fact, value


@app.command()
def due(
    within_days: Annotated[int, typer.Option(min=0, help="Also what comes due within so many days")] = 30,
    format: AsFormat = Format.TABLE,
) -> None:
    """List what waits for a steward: gongshu grade due --within-days 60."""
    with opened_node() as node:
        require_role(current_subject(node), READERS, "read")
        within = timedelta(days=within_days)
        reviews = node.catalogue.reviews_due(node.clock(), within, emptied=node.keeping.emptied())
    columns = ("dataset_id", "title", "why", "due_at", "grade_term", "importance_term", "standing_term")
    show([review_row(review) for review in reviews], columns, format)


@app.command()
def state_secret(
    dataset_id: Annotated[str, typer.Argument(help="The dataset that must not be here")],
    reason: Annotated[str, typer.Option(help="Who found it, and how")],
) -> None:
    """Block a dataset that holds a state secret, for good: gongshu grade state-secret drawings --reason "…"."""
    with opened_node() as node:
        subject = current_subject(node)
        require_role(subject, SECRET_DECLARERS, "block", dataset_id)
        node.catalogue.declare_state_secret(DatasetId(dataset_id), actor=subject.subject_id, reason=reason)
    done(f"{dataset_id} is blocked: it is neither listed nor served from now on.")

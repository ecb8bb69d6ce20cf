"""`gongshu catalog`: what exists, of which category and grade, and the steward's confirmation."""

from pathlib import Path
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.govern.export import Signer, read_classification_list, write_list
from gongshu.govern.model import grade_text
from gongshu.govern.roles import CONFIRMERS, READERS, require_role
from gongshu.govern.views import change_row, dataset_row, part_row, proposal_row
from gongshu.model.grade import Grade, GradeStanding, Importance
from gongshu.model.ids import DatasetId

app = typer.Typer(add_completion=False, no_args_is_help=True)

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
TheDataset = Annotated[str, typer.Argument(help="The dataset's id, as `gongshu catalog list` shows it")]


@app.command("list")
def list_datasets(
    search: Annotated[str, typer.Argument(help="Words to look for, in Chinese, English or pinyin")] = "",
    standing: Annotated[GradeStanding | None, typer.Option(help="Only grades in this standing")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many")] = 100,
    format: AsFormat = Format.TABLE,
) -> None:
    """List datasets: gongshu catalog list zhuzhou --standing proposed."""
    with opened_node() as node:
        require_role(current_subject(node), READERS, "read")
        found = node.catalogue.datasets(search=search, standing=standing, limit=limit)
    show(
        [dataset_row(dataset) for dataset in found],
        ("dataset_id", "title", "category", "grade_term", "importance_term", "standing_term", "valid_until", "owner"),
        format,
    )


@app.command("show")
def show_dataset(dataset_id: TheDataset, format: AsFormat = Format.TABLE) -> None:
    """Show a dataset's parts, and why it is graded so: gongshu catalog show plant_1_line_1_mill_01."""
    with opened_node() as node:
        require_role(current_subject(node), READERS, "read", dataset_id)
        dataset = node.catalogue.dataset(DatasetId(dataset_id))
        proposal = node.catalogue.proposal(dataset.dataset_id)
        parts = node.catalogue.parts(dataset.dataset_id)
        history = node.catalogue.history(dataset.dataset_id)
        lineage = node.catalogue.lineage(dataset.dataset_id)
    row = dataset_row(dataset) | {"parents": list(lineage.parents), "children": list(lineage.children)}
    if format is Format.JSON:
        rest = {
            "proposal": proposal_row(proposal),
            "parts": [part_row(part) for part in parts],
            "history": [change_row(change) for change in history],
        }
        show([row | rest], (), format)
        return
    show([{"field": name, "value": value} for name, value in row.items()], ("field", "value"))
    done(f"\nProposed: {proposal.category}, {grade_text(proposal.grade, proposal.importance)}, because")
    show(proposal_row(proposal)["evidence"], ("rule_id", "seen", "text_zh", "source"))
    done("\nParts")
    show([part_row(part) for part in parts], ("name", "category", "grade_term", "importance_term", "standing_term"))
    done("\nHistory")
    show([change_row(change) for change in history], ("at", "kind", "actor", "reason", "audit_index"))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write it: .csv or .xlsx")],
    sign: Annotated[bool, typer.Option("--sign", help="Write a signature by the node's key beside it")] = False,
) -> None:
    """Write the enterprise's classification list: gongshu catalog export list.xlsx --sign."""
    with opened_node() as node:
        require_role(current_subject(node), CONFIRMERS, "export")
        rows = read_classification_list(node.catalogue)
        signer = Signer(node.keys.sign, node.keys.public_key_pem()) if sign else None
        written = write_list(file, rows, now=node.clock(), signer=signer)
    done(f"{len(rows)} datasets written to {', '.join(map(str, written))}.")


@app.command()
def confirm(
    dataset_ids: Annotated[list[str], typer.Argument(help="One dataset or more")],
    grade: Annotated[int | None, typer.Option(min=1, max=3, help="As proposed when left out")] = None,
    importance: Annotated[Importance | None, typer.Option(help="As proposed when left out")] = None,
    category: Annotated[str, typer.Option(help="As proposed when left out")] = "",
    part: Annotated[str, typer.Option(help="Grade this column or series by itself")] = "",
    reason: Annotated[str, typer.Option(help="Needed for a lower grade than proposed")] = "",
) -> None:
    """Confirm category and grade until the yearly review: gongshu catalog confirm orders --grade 2 --reason "…"."""
    with opened_node() as node:
        subject = current_subject(node)
        require_role(subject, CONFIRMERS, "confirm", dataset_ids[0])
        for dataset_id in map(DatasetId, dataset_ids):
            label = node.catalogue.dataset(dataset_id).label
            decided_grade, level = Grade(grade or label.grade), importance or label.importance
            decided = category or label.category
            if part:
                node.catalogue.confirm_part(
                    dataset_id,
                    part,
                    grade=decided_grade,
                    importance=level,
                    category=decided,
                    actor=subject.subject_id,
                    reason=reason,
                )
                done(f"{dataset_id}.{part}: {decided}, {grade_text(decided_grade, level)}.")
                continue
            dataset = node.catalogue.confirm(
                dataset_id,
                grade=decided_grade,
                importance=level,
                category=decided,
                actor=subject.subject_id,
                reason=reason,
            )
            assert dataset.label.valid_until is not None
            until = dataset.label.valid_until.date().isoformat()
            done(f"{dataset_id}: {decided}, {grade_text(decided_grade, level)}, until {until}.")

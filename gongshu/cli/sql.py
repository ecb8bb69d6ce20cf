"""`gongshu sql`: ask through the gate."""

from typing import Annotated

import typer

from gongshu.cli.output import Format, show
from gongshu.cli.session import current_subject, opened_node

app = typer.Typer(add_completion=False)


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT over dataset names and `readings`")],
    purpose: Annotated[str, typer.Option(help="What it is for; policies and the audit log see it")] = "analysis",
    rows_max: Annotated[int, typer.Option(min=1, help="No more rows than this")] = 1000,
    format: Annotated[Format, typer.Option(help="Table for people, JSON for programs")] = Format.TABLE,
) -> None:
    """Ask through the gate, as you.

    Example: gongshu sql "SELECT series, date_trunc('hour', time) AS hour, avg(value) FROM readings GROUP BY ALL"
    """
    with opened_node() as node:
        from gongshu.secure.gate import SqlQuery, python_rows

        subject = current_subject(node)
        with node.gate.read(subject, SqlQuery(statement, rows_max), purpose=purpose) as result:
            rows = python_rows(result.read_all())
            columns = list(rows[0]) if rows else list(result.schema.names)
        show(rows, columns, format)
        if result.truncated:
            typer.echo(f"Only the first {rows_max} rows are shown; see --rows-max.", err=True)

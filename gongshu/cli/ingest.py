"""`gongshu import`: a file or folder becomes governed datasets."""

from pathlib import Path
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.gather.connectors.files.config import CsvOptions
from gongshu.gather.importing import Importer
from gongshu.gather.model import asset_path
from gongshu.gather.rights import MAY_IMPORT, require_role

app = typer.Typer(add_completion=False)


@app.command()
def import_path(
    path: Annotated[Path, typer.Argument(help="A CSV, Parquet or Excel file, or a folder of them")],
    name: Annotated[str, typer.Option(help="Name of the dataset; the file's name if empty")] = "",
    asset: Annotated[str, typer.Option(help="Asset that the rows belong to")] = "",
    delimiter: Annotated[str, typer.Option(help="Delimiter of CSV files; found out if empty")] = "",
    encoding: Annotated[str, typer.Option(help="Encoding of CSV files; found out if empty")] = "",
    skip_rows: Annotated[int, typer.Option(help="Lines above the names", min=0)] = 0,
    format: Annotated[Format, typer.Option(help="table for people, json for programs")] = Format.TABLE,
) -> None:
    """Make datasets of a file or folder; importing again makes a new version.

    Example: gongshu import orders.csv --name orders
    """
    options = CsvOptions(delimiter=delimiter, encoding=encoding, skip_rows=skip_rows)
    with opened_node() as node:
        require_role(current_subject(node), MAY_IMPORT, "import files")
        importer = Importer(node.store, node.catalogue, node.home)
        rows = [
            {
                "file": one.file.name,
                "dataset": one.dataset_id,
                "rows taken": one.rows_taken,
                "rows set aside": one.rows_set_aside,
                "side file": one.side_file,
            }
            for one in importer.run(path, name=name, options=options, asset=asset_path(asset) if asset else None)
        ]
    show(rows, ["file", "dataset", "rows taken", "rows set aside", "side file"], format)
    if format is Format.TABLE:
        done("Their grades are proposed; nothing is shared until a steward confirms them.")

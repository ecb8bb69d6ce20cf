"""A file or folder becomes datasets at once, for those who do not want to set up a source: `gongshu import PATH`.

It reads with the same code as the files connector and writes through the same store.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gongshu.config import Home
from gongshu.gather.connector import TableSink
from gongshu.gather.connectors.files.config import CsvOptions, FilesConfig
from gongshu.gather.connectors.files.reading import read_file
from gongshu.gather.connectors.files.taken import write_side_file
from gongshu.gather.errors import FileUnreadable, NameTaken
from gongshu.govern.errors import DatasetUnknown
from gongshu.govern.naming import decide_dataset_id
from gongshu.model.dataset import Dataset
from gongshu.model.ids import AssetId, DatasetId


class Catalogue(Protocol):
    """What importing needs of the catalogue."""

    def dataset(self, dataset_id: DatasetId) -> Dataset:
        """Return one entry; raises DatasetUnknown."""
        ...


@dataclass(frozen=True, slots=True)
class Imported:
    """One table of a file that became a dataset."""

    file: Path
    dataset_id: DatasetId
    rows_taken: int
    rows_set_aside: int
    side_file: Path | None
    """Holds the rows set aside, with line and reason."""


@dataclass(frozen=True, slots=True)
class Importer:
    """Imports into one node."""

    tables: TableSink
    catalogue: Catalogue
    home: Home

    def run(
        self,
        path: Path,
        *,
        name: str = "",
        options: CsvOptions | None = None,
        asset: AssetId | None = None,
        size_max_bytes: int = FilesConfig.model_fields["size_max_bytes"].default,
    ) -> Iterator[Imported]:
        """Import a file, or every matching file of a folder, and yield each dataset when it is stored.

        `name` is the dataset's, and of one file only; else the file's name is taken. Importing again under a name
        replaces the rows with a new version.

        Raises: FileUnreadable, FileTooLarge, LineTooLong; NameTaken if the dataset came another way.
        """
        for file in _files(path):
            tables = read_file(file, options or CsvOptions(), size_max_bytes=size_max_bytes)
            if not tables:
                raise FileUnreadable(file=file, reason="no sheet has rows", remedy="Nothing was taken.")
            for table in tables:
                part = table.part if len(tables) > 1 else ""
                own = "-".join(filter(None, (name if name and path.is_file() else file.stem, part)))
                self._require_own(decide_dataset_id(own))
                title = " · ".join(filter(None, (name or file.name, part)))
                dataset_id = self.tables.write(own, table.table, title=title, origin=f"import:{file.name}", asset=asset)
                folder = self.home.path / "sources" / "import" / "set-aside"
                side_file = write_side_file(folder, dataset_id, table.digest, table.bad_rows)
                yield Imported(file, dataset_id, table.table.num_rows, len(table.bad_rows), side_file)

    def _require_own(self, dataset_id: DatasetId) -> None:
        """An import replaces imports only, never what a source or an app wrote."""
        try:
            found = self.catalogue.dataset(dataset_id)
        except DatasetUnknown:
            return
        if not found.origin.startswith("import:"):
            raise NameTaken(dataset_id=dataset_id, origin=found.origin)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileUnreadable(file=path, reason="there is no such file or folder", remedy="Check the path.")
    if path.is_file():
        return [path]
    patterns: tuple[str, ...] = FilesConfig.model_fields["patterns"].default
    found = sorted({file for pattern in patterns for file in path.rglob(pattern) if file.is_file()})
    if not found:
        raise FileUnreadable(file=path, reason=f"no file in it matches {', '.join(patterns)}", remedy="Check the path.")
    return found

"""Where this node keeps its own files. No source may bring them in: a key would become a dataset, and the lake's files
would come back under a name that nobody graded."""

from dataclasses import dataclass
from pathlib import Path

from gongshu.config import Home, read_config


@dataclass(frozen=True, slots=True)
class OwnPlaces:
    """The folders of one node, and the one in them that is meant for files of others."""

    folders: tuple[Path, ...] = ()
    inbox: Path | None = None

    @classmethod
    def of(cls, home: Home) -> "OwnPlaces":
        """Return the home folder, and the tables' where that lies elsewhere."""
        folders = [home.path.resolve()]
        if home.config_file.is_file():
            folders.append(home.warehouse(read_config(home)).resolve())
        return cls(tuple(folders), home.inbox.resolve())

    def hold(self, path: Path) -> bool:
        """True if the path, links followed, is one of the node's own files or folders; the inbox is not."""
        real = path.resolve()
        if self.inbox is not None and real.is_relative_to(self.inbox):
            return False
        return any(real.is_relative_to(folder) for folder in self.folders)

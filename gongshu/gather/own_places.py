"""Where no source may read: this node's own files, and the system's.

A key would become a dataset, the lake's files would come back under a name that nobody graded, and `/proc` holds what
programs were started with.
"""

from dataclasses import dataclass
from pathlib import Path

from gongshu.config import Home, read_config

SYSTEM = tuple(Path(folder) for folder in ("/etc", "/proc", "/sys", "/dev", "/boot"))


@dataclass(frozen=True, slots=True)
class OwnPlaces:
    """The folders of one node and of its machine, and the one in them that is meant for files of others."""

    folders: tuple[Path, ...] = ()
    inbox: Path | None = None

    @classmethod
    def of(cls, home: Home) -> "OwnPlaces":
        """Return the system's folders, the home folder, and the tables' where that lies elsewhere."""
        folders = [*SYSTEM, home.path.resolve()]
        if home.config_file.is_file():
            folders.append(home.warehouse(read_config(home)).resolve())
        return cls(tuple(folders), home.inbox.resolve())

    def hold(self, path: Path) -> bool:
        """True if the path, links followed, is none for a source; the inbox is one."""
        real = path.resolve()
        if self.inbox is not None and real.is_relative_to(self.inbox):
            return False
        return any(real.is_relative_to(folder) for folder in self.folders)

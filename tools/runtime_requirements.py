"""Print requirements/runtime.in: the runtime dependencies of pyproject.toml and the build backend."""

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
print("# Made from pyproject.toml by `make lock`.")
print("\n".join(project["project"]["dependencies"]))
print("\n".join(project["build-system"]["requires"]))

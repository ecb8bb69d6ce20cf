"""Finds apps through the entry point group `gongshu.apps`, ours and strangers' by the same door."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

from gongshu.apply.errors import AppBroken, AppUnknown
from gongshu.apply.model import AppProgram
from gongshu.apply.spec import AppSpec

GROUP = "gongshu.apps"


class AppRegistry:
    """The installed apps. An app's declaration is read at once, its code when it first runs."""

    def __init__(self, found: Iterable[EntryPoint] | None = None) -> None:
        self._entries = {entry.name: entry for entry in (entry_points(group=GROUP) if found is None else found)}

    def specs(self) -> list[AppSpec]:
        """Return the declarations, in order of name.

        Raises: AppBroken.
        """
        return [self.spec(name) for name in sorted(self._entries)]

    def spec(self, name: str) -> AppSpec:
        """Return one declaration.

        Raises: AppUnknown, AppBroken.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise AppUnknown(app=name[:60], known=", ".join(sorted(self._entries)) or "none")
        try:
            spec = entry.load()
        except (ImportError, AttributeError) as cause:
            raise AppBroken(app=name, place=entry.value, reason=cause) from cause
        if not isinstance(spec, AppSpec) or spec.name != name:
            raise AppBroken(app=name, place=entry.value, reason=f"it is not the declaration of {name!r}")
        return spec

    def program(self, spec: AppSpec) -> AppProgram:
        """Return the app's function.

        Raises: AppBroken.
        """
        module, _, attribute = spec.opens.partition(":")
        try:
            return cast(AppProgram, getattr(import_module(module), attribute))
        except (ImportError, AttributeError) as cause:
            raise AppBroken(app=spec.name, place=spec.opens, reason=cause) from cause

    def code_sha256(self, spec: AppSpec) -> str:
        """Return a digest of the app's declaration and of every Python file in its folder."""
        place = Path(import_module(spec.opens.partition(":")[0]).__file__ or "").parent
        total = hashlib.sha256(json.dumps(asdict(spec), default=str, sort_keys=True).encode())
        for file in sorted(place.rglob("*.py")):
            total.update(file.relative_to(place).as_posix().encode() + b"\x00" + file.read_bytes() + b"\x00")
        return total.hexdigest()

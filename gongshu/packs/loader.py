"""Reads pack files, checks them against the schema, and says file and line where one is broken."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from gongshu.packs.errors import PackBroken
from gongshu.packs.model import Confidence, Pack, PackItem, Packs

FOLDER = Path(__file__).parent


class _Loader(yaml.CSafeLoader):
    """YAML with dates left as text: the schema checks them, and content hashes stay independent of a parser."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _utc_today() -> date:
    return datetime.now(UTC).date()


def load_packs(folders: Sequence[Path] = (FOLDER,), *, today: Callable[[], date] = _utc_today) -> Packs:
    """Return every pack of the folders; a node's own folder can add versions and packs to those of the package.

    Raises: PackBroken with file and line; also when two files hold the same version of the same pack.
    """
    packs: dict[tuple[str, str], Pack] = {}
    for file in (file for folder in folders for file in sorted(folder.glob("*.yaml"))):
        pack = decode_pack(file.read_text(encoding="utf-8"), file_name=file.name)
        if (pack.name, pack.version) in packs:
            raise PackBroken(file=file.name, line=1, reason=f"{pack.name} {pack.version} is there already")
        packs[pack.name, pack.version] = pack
    return Packs(tuple(packs.values()), today)


@lru_cache(maxsize=128)
def decode_pack(text: str, *, file_name: str) -> Pack:
    """Return the pack that a file's text holds; the same text again costs nothing, for a pack cannot change.

    Raises: PackBroken.
    """
    try:
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader, with fewer types)
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        reason = str(getattr(cause, "problem", None) or "it is not YAML")
        raise PackBroken(file=file_name, line=mark.line + 1 if mark else 1, reason=reason) from cause
    for error in _schema().iter_errors(raw):
        path = list(error.instance_path)
        where = ".".join(map(str, path)) or "the file"
        raise PackBroken(file=file_name, line=_line_of(text, path), reason=f"{where}: {error.message}")
    if file_name != f"{raw['pack']}-{raw['version']}.yaml":
        reason = f"it holds {raw['pack']} {raw['version']}, so its name should be {raw['pack']}-{raw['version']}.yaml"
        raise PackBroken(file=file_name, line=_line_of(text, ["pack"]), reason=reason)
    return _build(raw, text, file_name)


def _build(raw: Mapping[str, Any], text: str, file_name: str) -> Pack:
    items: dict[str, PackItem] = {}
    begins, ends = _day(raw, text, file_name, []), _day(raw, text, file_name, [], "effective_to")
    for index, entry in enumerate(raw["items"]):
        path: list[str | int] = ["items", index]
        if entry["key"] in items:
            reason = f"the key {entry['key']!r} stands twice"
            raise PackBroken(file=file_name, line=_line_of(text, path), reason=reason)
        items[entry["key"]] = PackItem(
            pack=raw["pack"],
            version=raw["version"],
            key=entry["key"],
            value=entry["value"],
            title_zh=entry["title_zh"],
            title_en=entry["title_en"],
            source=entry.get("source", raw["source"]),
            clause=entry["clause"],
            confidence=Confidence(entry["confidence"]),
            effective_from=_day(entry, text, file_name, path) or begins,
            effective_to=_day(entry, text, file_name, path, "effective_to") or ends,
        )
    content = json.dumps(raw, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return Pack(
        name=raw["pack"],
        version=raw["version"],
        title_zh=raw["title_zh"],
        title_en=raw["title_en"],
        source=raw["source"],
        effective_from=begins,
        effective_to=ends,
        items=items,
        digest=hashlib.sha256(content.encode()).hexdigest(),
    )


def _day(
    raw: Mapping[str, Any], text: str, file_name: str, path: Sequence[str | int], field: str = "effective_from"
) -> date | None:
    value = raw.get(field)
    try:
        return None if value is None else date.fromisoformat(value)
    except ValueError as cause:
        raise PackBroken(file=file_name, line=_line_of(text, [*path, field]), reason=f"{field}: {cause}") from cause


@cache
def _schema() -> Any:
    return jsonschema_rs.validator_for(json.loads((FOLDER / "schema.json").read_text(encoding="utf-8")))


def _line_of(text: str, path: Sequence[str | int]) -> int:
    """Return the line, from 1, of the deepest part of the path that the text has."""
    node = yaml.compose(text, Loader=_Loader)
    line = node.start_mark.line if node else 0
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == step]
            if not found:
                break
            line, node = found[0][0].start_mark.line, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return line + 1

"""Names: dataset ids that SQL takes without quotes, kinds of assets, and the text that a search looks in."""

import hashlib
import re
from collections.abc import Iterable

from gongshu.govern.errors import NameUnusable
from gongshu.govern.pinyin import initials, spell
from gongshu.model.ids import AssetId, DatasetId
from gongshu.model.series import AssetKind

NAME_LENGTH_MAX = 63
_HAN = re.compile(r"[\u3400-\u9fff]")
_RESERVED = frozenset(
    """all analyse analyze and anti any array as asc asof asymmetric at authorization binary both by case cast check
    collate collation column columns concurrently constraint create cross default deferrable desc describe distinct
    do else end except false fetch for foreign freeze from full generated glob group having ilike in initially inner
    intersect into is isnull join lambda lateral leading left like limit map natural not notnull null offset on only
    or order outer overlaps pivot pivot_longer pivot_wider placing positional primary qualify readings references
    returning right select semi show similar some struct summarize symmetric table tablesample then to trailing true
    try_cast tuple union unique unpack unpivot using variadic verbose when where window with""".split()  # noqa: SIM905
)
"""Words that a query could not use as a table's bare name, and `readings`, the view over all series."""


def decide_dataset_id(name: str, *, taken: Iterable[str] = ()) -> DatasetId:
    """Return the identifier for a name: lower-case letters, digits, underscores; Chinese becomes pinyin.

    A name that others already have, or that is too long, gets six hex digits of its own hash, so the same name
    always gives the same identifier.

    Raises: NameUnusable if no letter or digit is left.

    >>> decide_dataset_id("plant-1/line-2/铣床-03")
    'plant_1_line_2_xi_chuang_03'
    """
    spelled = "_".join(spell(name)) if _HAN.search(name) else name
    slug = re.sub(r"[^a-z0-9]+", "_", spelled.lower()).strip("_")
    if not slug:
        raise NameUnusable(name=name)
    if slug[0].isdigit() or slug in _RESERVED:
        slug = f"d_{slug}"
    if len(slug) > NAME_LENGTH_MAX or slug in set(taken):
        digest = hashlib.sha256(name.encode()).hexdigest()[:6]
        slug = f"{slug[: NAME_LENGTH_MAX - 7].rstrip('_')}_{digest}"
    return DatasetId(slug)


def decide_asset_dataset_id(asset: AssetId, *, taken: Iterable[str]) -> DatasetId:
    """Return the identifier of an asset's series dataset; a path in no script we can spell is named by its hash.

    >>> decide_asset_dataset_id(AssetId("станок"), taken=[])
    'asset_e68761'
    """
    try:
        return decide_dataset_id(asset, taken=taken)
    except NameUnusable:
        return decide_dataset_id(f"asset-{hashlib.sha256(asset.encode()).hexdigest()[:6]}", taken=taken)


_KIND_WORDS = {
    AssetKind.SITE: ("plant", "site", "factory", "厂", "工厂", "基地"),
    AssetKind.AREA: ("area", "workshop", "shop", "hall", "车间", "区", "区域"),
    AssetKind.LINE: ("line", "产线", "生产线", "线"),
    AssetKind.CELL: ("cell", "station", "单元", "工位", "工段"),
}
_KIND_BY_DEPTH = (AssetKind.SITE, AssetKind.AREA, AssetKind.LINE, AssetKind.CELL)


def decide_asset_kind(asset: AssetId, *, has_children: bool) -> AssetKind:
    """Return the level of an asset: by a word in its own name, else by depth; a leaf is a machine, or a part of one.

    Source: IEC 62264-1 §5.3 for the levels; the words and the rule by depth are this platform's.

    >>> decide_asset_kind(AssetId("plant-1/line-2"), has_children=True).value
    'line'
    """
    steps = asset.split("/")
    own = re.split(r"[^a-z\u3400-\u9fff]+", steps[-1].lower())
    for kind, words in _KIND_WORDS.items():
        if any(word in own or (_HAN.match(word) and steps[-1].endswith(word)) for word in words):
            return kind
    depth = len(steps) - 1
    if not has_children and depth > 0:
        return AssetKind.PART if depth > len(_KIND_BY_DEPTH) else AssetKind.MACHINE
    return _KIND_BY_DEPTH[depth] if depth < len(_KIND_BY_DEPTH) else AssetKind.MACHINE


def asset_ancestors(asset: AssetId) -> list[AssetId]:
    """Return the asset and all above it, the root first.

    >>> asset_ancestors(AssetId("p/l/m"))
    ['p', 'p/l', 'p/l/m']
    """
    steps = asset.split("/")
    return [AssetId("/".join(steps[: i + 1])) for i in range(len(steps))]


def split_identifier(name: str) -> list[str]:
    """Return a column's words in lower case; Chinese words stay whole.

    >>> split_identifier("order_ID")
    ['order', 'id']
    """
    return [word for word in re.split(r"[^a-z0-9\u3400-\u9fff]+", name.lower()) if word]


def search_text(parts: Iterable[str]) -> str:
    """Return what a search compares with: the words in lower case, and Chinese also as pinyin and its initials.

    >>> "zhuzhou" in search_text(["主轴负载"]) and "zzfz" in search_text(["主轴负载"])
    True
    """
    words = list(dict.fromkeys(part.lower() for part in parts if part))
    spelled: list[str] = []
    for word in words:
        if _HAN.search(word):
            spelled.append("".join(spell(word)))
            spelled.append(initials(word))
    return " ".join([*words, *dict.fromkeys(spelled)])


def search_terms(query: str) -> list[str]:
    r"""Return the terms of a query, ready for LIKE with `\` as escape; every term has to occur."""
    return [re.sub(r"([\\%_])", r"\\\1", term) for term in query.lower().split()]

"""Names that SQL takes, kinds of assets, search."""

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.govern.errors import NameUnusable
from gongshu.govern.naming import asset_ancestors, decide_asset_kind, decide_dataset_id, search_terms
from gongshu.model.ids import AssetId


@given(st.text(max_size=120))
def test_any_name_gives_an_identifier_or_is_refused(name: str) -> None:
    try:
        slug = decide_dataset_id(name)
    except NameUnusable:
        return
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,62}", slug)
    assert decide_dataset_id(name) == slug


def test_every_reserved_word_of_the_engine_is_avoided() -> None:
    with duckdb.connect() as engine:
        words = engine.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
        )
        for (word,) in words.fetchall():
            slug = decide_dataset_id(word)
            engine.execute(f"CREATE TABLE {slug} (a INTEGER)")
            engine.execute(f"SELECT {slug}.a FROM {slug}")
    assert decide_dataset_id("readings") == "d_readings"


def test_different_names_with_one_spelling_stay_apart() -> None:
    first = decide_dataset_id("plant-1/a")
    second = decide_dataset_id("plant_1/a", taken=[first])
    assert first == "plant_1_a"
    assert second != first
    assert decide_dataset_id("plant_1/a", taken=[first]) == second


def test_a_name_without_letters_is_refused() -> None:
    with pytest.raises(NameUnusable):
        decide_dataset_id("—!?—")


@pytest.mark.parametrize(
    "asset, has_children, kind",
    [
        ("plant-1", True, "site"),
        ("绍兴工厂", False, "site"),
        ("plant-1/机加车间", True, "area"),
        ("plant-1/line-2", True, "line"),
        ("plant-1/hall/line-2/cell-4", True, "cell"),
        ("plant-1/line-2/mill-03", False, "machine"),
        ("a/b/c/d/e/f", False, "part"),
        ("unnamed", False, "site"),
    ],
)
def test_assets_get_a_kind_by_word_else_by_depth(asset: str, has_children: bool, kind: str) -> None:
    assert decide_asset_kind(AssetId(asset), has_children=has_children).value == kind


def test_ancestors_come_root_first() -> None:
    assert asset_ancestors(AssetId("a")) == ["a"]
    assert asset_ancestors(AssetId("a/b/c")) == ["a", "a/b", "a/b/c"]


def test_wildcards_in_a_query_are_text() -> None:
    assert search_terms(r"50%  A_b \x") == [r"50\%", r"a\_b", r"\\x"]

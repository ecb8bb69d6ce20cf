"""The commands that need no node: packs, classification of a file, a grade from facts."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gongshu.cli.classify import app as classify
from gongshu.cli.grade import app as grade
from gongshu.cli.standard import app as standard
from gongshu.govern.errors import FactUnknown, FileUnreadable
from gongshu.packs.errors import PackBroken

RUN = CliRunner()


def test_every_number_is_shown_with_source_clause_and_confidence() -> None:
    rows = json.loads(RUN.invoke(standard, ["show", "--format", "json"]).stdout)
    assert {"source", "clause", "confidence", "value"} <= rows[0].keys()
    only = json.loads(RUN.invoke(standard, ["show", "gbt-36344", "--format", "json"]).stdout)
    assert {row["pack"] for row in only} == {"gbt-36344"}
    assert "gbt-4754" in RUN.invoke(standard, ["list", "--format", "json"]).stdout


def test_a_pack_file_is_checked(tmp_path: Path) -> None:
    assert "all can be used" in RUN.invoke(standard, ["check"]).stdout
    file = tmp_path / "probe-1.yaml"
    file.write_text("pack: probe\n", encoding="utf-8")
    result = RUN.invoke(standard, ["check", str(file)])
    assert isinstance(result.exception, PackBroken)
    assert RUN.invoke(standard, ["check", str(tmp_path / "none.yaml")]).exit_code == 2


def test_the_columns_of_a_file_are_classified(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("order_id,客户名称,unit_price\nSO-1,甲,3.5\n", encoding="utf-8")
    rows = json.loads(RUN.invoke(classify, [str(file), "--format", "json"]).stdout)
    assert [row["category"] for row in rows] == [
        "management.supply_chain",
        "management.customer_product",
        "management.customer_product",
    ]
    missing = RUN.invoke(classify, [str(tmp_path / "none.csv")])
    assert isinstance(missing.exception, FileUnreadable)


def test_the_labelled_set_is_measured_on_demand() -> None:
    rows = json.loads(RUN.invoke(classify, ["--evaluate", "--format", "json"]).stdout)
    assert {"all categories", "all sensitive kinds"} <= {row["label"] for row in rows}


@pytest.mark.parametrize(
    "words, expected",
    [
        (["recovery=cheap"], (1, "general")),
        (["enterprise_impact=large", "--loss-cny", "100000000"], (3, "important")),
        (["--deaths", "3"], (2, "general")),
    ],
)
def test_facts_give_a_grade(words: list[str], expected: tuple[int, str]) -> None:
    (answer,) = json.loads(RUN.invoke(grade, ["facts", *words, "--format", "json"]).stdout)
    assert (answer["grade"], answer["importance"]) == expected


def test_an_unknown_fact_is_one_clear_error() -> None:
    assert isinstance(RUN.invoke(grade, ["facts", "recovery"]).exception, FactUnknown)
    assert "accident" in RUN.invoke(grade, ["facts", "--known"]).stdout

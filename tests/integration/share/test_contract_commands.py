"""The commands about contracts, between two nodes with homes of their own."""

from pathlib import Path

import pytest
import typer

from gongshu.cli import share_terms as take
from gongshu.share.terms import Comparison, Payment, RowCondition
from tests.integration.share.offices import offices


def test_a_contract_is_made_shown_amended_and_paid_from_the_command_line(tmp_path: Path) -> None:
    with offices(tmp_path) as (mill, shop):
        fingerprint = mill.node.keys.fingerprint()
        answer = shop.run("join", mill.run("invite").splitlines()[0], "--fingerprint", fingerprint).splitlines()[-1]
        mill.run("join", answer, "--fingerprint", shop.node.keys.fingerprint())
        mill.publish()
        assert mill.rows("group", "buyers", "--add", shop.party)[0]["members"] == [shop.party]
        assert mill.rows("place", shop.party, "CN-33", "--basis", "licence")[0]["place"] == "CN-33"
        terms = ("--group", "buyers", "--place", "CN", "--for", "30d", "--where", "quantity >= 5", "--no-onward")
        more = ("--delete-after", "10d", "--payment", "12.00 CNY", "--operation", "read")
        assert all(row["quantity"] >= 5 for row in mill.rows("offer", "orders", *terms, *more, "--preview"))
        offer = mill.rows("offer", "orders", *terms, *more)[0]
        assert "enforced because both nodes do" in str(offer["terms"])
        file = tmp_path / "quality.txt"
        file.write_text("within tolerance", encoding="utf-8")
        made = shop.rows("negotiate", mill.party, "orders")[0]["agreement_id"]
        mill.run("attach", str(offer["offer_id"]), str(file))
        assert "both signatures hold" in shop.run("contract", str(made))
        assert '"次数": "未约定"' in mill.run("contract", str(made), "--form", "digital-contract")
        assert "双方签名有效" in shop.run("contract", str(made), "--language", "zh")
        assert shop.rows("chain", str(made))[0]["version"] == 1
        assert "is paid" in mill.run("paid", str(made), "bank 7")
        assert "no payment is owed" in shop.run("paid", str(made), "bank 8", ok=False)
        assert "is under way" in shop.run("amend", str(made))
        assert "no such attachment" in shop.run("attachment", str(made), "x", str(tmp_path / "x"), ok=False)
        assert mill.rows("notices", "--sent") == []
        assert mill.rows("group", "buyers", "--remove", shop.party)[0]["members"] == []


@pytest.mark.parametrize("text", ["quantity", "quantity ~ 5", ">= 5", ""])
def test_a_condition_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        take.row_condition(text)


def test_terms_are_read_from_plain_words() -> None:
    assert take.row_condition("part = A B") == RowCondition("part", Comparison.EQUAL, frozenset({"A B"}))
    assert take.row_condition("part in A,B").values == {"A", "B"}
    assert take.span_seconds("12h", "--for") == 43_200
    assert take.payment_of("12.00 CNY") == Payment("12.00", "CNY")
    assert take.payment_of("") is None
    assert take.legal_only(["no-onward"]) == {"no_onward"}
    for wrong in (
        lambda: take.span_seconds("soon", "--for"),
        lambda: take.payment_of("12"),
        lambda: take.legal_only(["x"]),
    ):
        with pytest.raises(typer.BadParameter):
            wrong()

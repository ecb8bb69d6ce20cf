"""A program reads a partner's dataset in a few lines, as a person of its own node."""

from pathlib import Path

import pytest

from gongshu.client import Client, NodeRefused, NodeSilent, TokenMissing
from gongshu.secure.parties import Party
from tests.integration.share.offices import Office, offices

TERMS = ("--uses", "9", "--purpose", "quality", "--column", "part_number", "--column", "quantity")


def kind(frame: object) -> str:
    """Return package and name of its class; a test that imported both packages would make each test process slow."""
    return f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"


def introduce(one: Office, other: Office) -> None:
    known = Party(other.node.party_id, other.party, other.node.keys.public_key_pem(), other.address, ("partner",))
    one.node.parties.add(known)


def test_a_program_obtains_a_partners_dataset_as_arrow_pandas_or_polars(tmp_path: Path) -> None:
    with offices(tmp_path) as (mill, shop):
        introduce(mill, shop)
        introduce(shop, mill)
        mill.publish()
        mill.run("offer", "orders", "--to", shop.party, *TERMS)
        with Client(shop.address, shop.token) as node:
            for purpose, stated in (("", "none"), ("sales", "'sales'")):
                with pytest.raises(NodeRefused, match=f"only for: quality. Stated was {stated}"):
                    node.obtain(mill.party, "orders", purpose=purpose)
            assert shop.rows("agreements") == [], "no contract is made that cannot be used"
            orders = node.obtain(mill.party, "orders", purpose="quality")
            table = orders.to_arrow()
            assert (table.num_rows, table.column_names) == (50, ["part_number", "quantity"])
            frame = orders.to_pandas()
            assert kind(frame) == "pandas.DataFrame"
            assert int(frame["quantity"].sum()) == sum(i % 13 for i in range(50))
            polars = orders.to_polars()
            assert kind(polars) == "polars.DataFrame"
            assert polars["part_number"].n_unique() == 7
            assert orders.read("quantity").to_arrow().column_names == ["quantity"]
            again = shop.rows("get", mill.party, "orders", "--purpose", "quality", "--as", orders.dataset_id)[0]
            assert again["dataset_id"] == orders.dataset_id
            assert len(shop.rows("agreements")) == 1, "the agreement that stands serves the second time too"
            with pytest.raises(NodeRefused, match=f"gongshu share find {mill.party}"):
                node.obtain(mill.party, "payroll", purpose="quality")
            with pytest.raises(NodeRefused, match="sql_refused"):
                node.sql("DROP TABLE orders")


def test_what_a_client_lacks_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GONGSHU_TOKEN", raising=False)
    with pytest.raises(TokenMissing, match="GONGSHU_TOKEN"):
        Client("http://127.0.0.1:9")
    with Client("http://127.0.0.1:9", "token") as nobody, pytest.raises(NodeSilent, match=r"127\.0\.0\.1:9"):
        nobody.sql("SELECT 1")

"""Rows carried to the consumer: by two real nodes, and by a hand that cuts, repeats and forges."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from gongshu.model.ids import DatasetId
from gongshu.secure.gate import DatasetQuery
from gongshu.share.dsp.messages import FORMAT_PUSH
from gongshu.share.dsp.states import State
from gongshu.share.encoding import Encoding
from gongshu.share.model import Record
from gongshu.share.receiving import Opening
from gongshu.share.terms import Terms
from tests.integration.share.site import Site, orders, two_sites
from tests.integration.share.test_end_to_end import contract

Sites = tuple[Site, Site]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with two_sites(tmp_path_factory.mktemp("push")) as sites:
        yield sites


def opening(
    name: str, *, purpose: str = "", encoding: Encoding = Encoding.ARROW, columns: tuple[str, ...] = ()
) -> Opening:
    return Opening(name, "", purpose, columns, encoding)


def pushed(sites: Sites, terms: Terms, dataset: str, wanted: Opening) -> Record:
    shop = sites[1]
    agreement = contract(sites, terms, dataset)  # type: ignore[arg-type]
    asked = shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_PUSH, opening=wanted)
    return shop.share.wait_for(asked.process_id, {State.COMPLETED, State.TERMINATED}, 30)


def rows_of(site: Site, name: str) -> pa.Table:
    return site.gate.read(site.li, DatasetQuery(DatasetId(name)), purpose="quality").read_all()


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_push_brings_the_rows_counts_one_use_and_completes(pair: Sites, encoding: Encoding) -> None:
    mill, shop = pair
    dataset = mill.publish(f"push_{encoding}")
    terms = Terms(uses_max=1, purposes=frozenset({"quality"}), columns=frozenset({"part_number", "quantity"}))
    done = pushed(pair, terms, dataset, opening(f"got_{encoding}", purpose="quality", encoding=encoding))
    assert (done.state, done.reason) == (State.COMPLETED, "")
    kept = rows_of(shop, f"got_{encoding}").sort_by([("part_number", "ascending"), ("quantity", "ascending")])
    sent = orders().select(["part_number", "quantity"])
    assert kept.select(["part_number", "quantity"]).equals(
        sent.sort_by([("part_number", "ascending"), ("quantity", "ascending")])
    )
    served = mill.share.deliveries(agreement_id=done.agreement_id)[0]
    taken = shop.share.deliveries(agreement_id=done.agreement_id)[0]
    assert (served.rows, served.outcome, taken.rows, taken.stored_as) == (1000, "complete", 1000, f"got_{encoding}")
    assert mill.share.agreement(done.agreement_id).uses == 1
    assert [item.name for item in shop.folder.glob("spool/*")] == []

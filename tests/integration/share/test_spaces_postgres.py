"""A space with the operator's register on PostgreSQL: rows are locked, identifiers counted, news kept in order."""

from pathlib import Path

import pytest

from gongshu.database import Database
from gongshu.share.spaces.identifiers import require_identifier
from gongshu.share.spaces.states import Step
from tests.conftest import Clock
from tests.unit.share.town import town

pytestmark = pytest.mark.postgres


def test_a_space_lives_and_ends(tmp_path: Path, clock: Clock, postgres: Database) -> None:
    with town(tmp_path, clock, "mill", "shop", operator_database=postgres) as village:
        operator = village.house("operator")
        host, li = operator.spaces.host, operator.li
        space_id = village.open_space()
        mill, shop = village.join(space_id, "mill", "provider"), village.join(space_id, "shop", "user")
        numbers = []
        for title in ("主轴温度", "Spindle speed"):
            sent = {"kind": "resource", "title": title}
            entry_id = mill.spaces.membership.submit(operator.party, space_id, sent, mill.li)["entry_id"]
            host.audit(space_id, entry_id, li)
            numbers.append(require_identifier(host.register(space_id, entry_id, li)["identifier"]))
            mill.spaces.membership.publish(operator.party, space_id, entry_id, mill.li)
        assert [number.split("/")[1][:7] for number in numbers] == ["1000001", "1000002"]
        found = shop.spaces.membership.look(operator.party, space_id, "catalogue", shop.li, words="spindle temperature")
        assert found["entries"][0]["title"] == "主轴温度"
        agreement = mill.agree(shop, "1")
        mill.spaces.membership.report(operator.party, space_id, agreement, mill.li)
        village.tell()
        host.decide_member(space_id, shop.party, Step.EXPEL, li, "breach")
        village.tell()
        assert mill.status(agreement) == "retired"
        host.dissolve(space_id, li, "over")
        assert village.tell() == 3, "the two entries that were withdrawn with it, and the end itself"
        assert mill.spaces.membership.standings(mill.li)[0]["state"] == "ended"

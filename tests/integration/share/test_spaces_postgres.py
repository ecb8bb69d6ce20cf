"""A space with the operator's register on PostgreSQL: rows are locked, identifiers counted, news kept in order."""

from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.share.spaces.identifiers import require_identifier
from gongshu.share.spaces.states import Step
from gongshu.share.spaces.tables import space_received, space_standings
from tests.conftest import Clock
from tests.integration.share.test_races_postgres import at_once
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


def test_news_that_two_senders_bring_at_once_is_taken_once(tmp_path: Path, clock: Clock, postgres: Database) -> None:
    with town(tmp_path, clock, "mill", operator_database=postgres) as village:
        taker, bringer = village.house("operator"), village.house("mill").party
        standing = {"space_id": "s1", "operator": bringer, "state": "admitted", "roles": "user", "updated_at": clock()}
        with postgres.begin() as connection:
            connection.execute(sa.insert(space_standings).values(**standing))
        for number in range(5):
            news = {"notice_id": f"n{number}", "space_id": "s1", "about": "member", "name": taker.party}
            news |= {"state": "suspended", "at": "2026-11-02T08:00:00Z"}
            assert at_once(partial(taker.spaces.membership.receive, bringer, news)) == []
        with postgres.connect() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(space_received)).scalar() == 5

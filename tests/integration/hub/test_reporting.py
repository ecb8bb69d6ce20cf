"""A plant reports to a province over HTTP, with figures from its own lake through its own gate."""

import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from gongshu.hub import tables
from gongshu.hub.errors import (
    AgreementNotInForce,
    FarSideRefused,
    FarSideSilent,
    IndicatorUnbound,
    RoleMissing,
    SourceUnusable,
)
from gongshu.hub.model import Agreement, DeliveryState, Standing
from gongshu.hub.period import Period
from gongshu.hub.reporting import REPORTS_PATH
from gongshu.model.access import Role
from gongshu.model.ids import DatasetId
from gongshu.secure.errors import Denied
from gongshu.secure.policy import PolicyService
from tests.conftest import Clock
from tests.integration.hub.nodes import WholeNode, free_port, served

OCTOBER = Period(2026, 10)
ENERGY = "SELECT sum(kwh) FROM meters WHERE time >= {period_start} AND time < {period_end}"


@pytest.fixture
def mill(tmp_path: Path, clock: Clock) -> Iterator[WholeNode]:
    node = WholeNode(tmp_path / "mill", "mill", clock)
    yield node
    node.close()


@pytest.fixture
def province(tmp_path: Path, clock: Clock) -> Iterator[WholeNode]:
    node = WholeNode(tmp_path / "province", "province", clock)
    yield node
    node.close()


def join(mill: WholeNode, province: WholeNode, address: str, clock: Clock) -> Agreement:
    now = clock.now
    clock.now = now - timedelta(days=62)
    invitation = province.hub.memberships.invite(
        province.person(), indicators=["energy"], valid_until=now + timedelta(days=300)
    )
    agreement = mill.hub.join(address, invitation.text, mill.person())
    clock.now = now
    mill.write_meters(
        [
            (datetime(2026, 9, 30, 15, 59, tzinfo=UTC), 1000.0),  # still September in Beijing
            (datetime(2026, 9, 30, 16, 0, tzinfo=UTC), 0.1),
            (datetime(2026, 10, 15, tzinfo=UTC), 0.2),
            (datetime(2026, 10, 31, 16, 0, tzinfo=UTC), 500.0),  # November
        ]
    )
    mill.hub.reporting.bind("energy", DatasetId("meters"), ENERGY, mill.person())
    return agreement


def test_a_report_goes_up_and_its_receipt_comes_back(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
        _, opened = mill.hub.reporting.draft(agreement.terms.agreement_id, OCTOBER, mill.person())
        assert str(opened[0].value.value) == "0.3"
        sent = mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())
        (delivered,) = mill.hub.reporting.deliver_due()
    assert delivered.state is DeliveryState.ACCEPTED
    (row,) = province.hub.province.standing(OCTOBER, province.person())
    assert (row.standing, row.revision) == (Standing.REPORTED, 1)
    (kept,) = mill.hub.reporting.opened(sent.report_id)
    assert "TIMESTAMPTZ '2026-09-30 16:00:00+00:00'" in kept.sql
    (entry,) = mill.audit.entries(before=kept.audit_index + 1, limit=1)
    assert (entry.action, entry.object, entry.details["purpose"]) == ("aggregate.permitted", "meters", "report")


def test_the_query_stays_at_home(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
        mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())
        mill.hub.reporting.deliver_due()
    with province.database.connect() as connection:
        document = connection.execute(sa.select(tables.received_reports.c.document)).scalar_one()
    assert "SELECT" not in document
    assert json.loads(document)["values"][0]["value"] == "0.3"


def test_a_silent_province_gets_the_reports_later_and_in_order(
    mill: WholeNode, province: WholeNode, clock: Clock
) -> None:
    port = free_port()
    with served(province, port) as address:
        agreement = join(mill, province, address, clock)
    mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())
    mill.write_meters([(datetime(2026, 10, 2, tzinfo=UTC), 7.0)])
    mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())
    (first,) = mill.hub.reporting.deliver_due()
    assert (first.state, first.attempts) == (DeliveryState.QUEUED, 1)
    assert "did not answer" in first.answer
    assert mill.hub.reporting.deliver_due() == [], "not before its time, and not the second before the first"
    clock.forward(seconds=6)
    with served(province, port):
        assert [s.state for s in mill.hub.reporting.deliver_due()] == [DeliveryState.ACCEPTED] * 2
    (row,) = province.hub.province.standing(OCTOBER, province.person())
    assert row.revision == 2


def test_a_lost_receipt_is_fetched_by_sending_again(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
        sent = mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())
        mill.hub.reporting.deliver_due()
        receipt = mill.hub.reporting.sent(sent.report_id).answer
        with mill.database.begin() as connection:  # as if the answer had been lost on the way
            connection.execute(sa.update(tables.outbox).values(state="queued", next_attempt_at=clock(), receipt=None))
        (again,) = mill.hub.reporting.deliver_due()
    assert (again.state, again.answer) == (DeliveryState.ACCEPTED, receipt)


def test_a_refused_report_says_why_and_is_not_sent_again(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
        province.hub.memberships.end(agreement.terms.agreement_id, province.person())
        mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())
        (refused,) = mill.hub.reporting.deliver_due()
        clock.forward(days=1)
        assert mill.hub.reporting.deliver_due() == []
    assert refused.state is DeliveryState.REFUSED
    assert "is in force from" in refused.answer


def test_a_receipt_signed_by_another_is_no_receipt(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
        mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())
        known = mill.parties.get(province.party_id)
        impostor = type(known)(known.party_id, known.title, mill.keys.public_key_pem(), known.address, known.roles)
        mill.parties.replace(impostor)
        (waiting,) = mill.hub.reporting.deliver_due()
    assert waiting.state is DeliveryState.QUEUED
    assert "is not a receipt for this report" in waiting.answer


def test_the_courier_delivers_by_itself(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
        sent = mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())
        mill.hub.start()
        try:
            deadline = time.monotonic() + 60
            while mill.hub.reporting.sent(sent.report_id).state is not DeliveryState.ACCEPTED:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            mill.hub.stop()


@pytest.mark.parametrize(
    ("sql", "seen"),
    [
        ("SELECT kwh FROM meters", "2 rows with 1 columns"),
        ("SELECT 1 AS a, 2 AS b FROM meters LIMIT 1", "1 rows with 2 columns"),
        ("SELECT 'NaN'::DOUBLE FROM meters LIMIT 1", "no finite number"),
        ("SELECT 'text' FROM meters LIMIT 1", "no finite number"),
        ("SELECT 1e300 FROM meters LIMIT 1", "a number outside"),
        ("SELECT -1 FROM meters LIMIT 1", "a number outside"),
    ],
)
def test_a_query_that_gives_no_figure_is_refused_when_it_is_named_and_stops_the_report(
    mill: WholeNode, province: WholeNode, clock: Clock, sql: str, seen: str
) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
    before = mill.hub.reporting.sources()
    with pytest.raises(SourceUnusable, match=seen):
        mill.hub.reporting.bind("energy", DatasetId("meters"), sql, mill.person())
    assert mill.hub.reporting.sources() == before
    with mill.database.begin() as connection:  # as if it had given one when it was named
        connection.execute(sa.update(tables.indicator_sources).values(sql=sql))
    with pytest.raises(SourceUnusable, match=seen):
        mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())
    assert mill.hub.reporting.reports() == []


def test_an_empty_month_is_reported_as_without_figure(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
        mill.write_meters([(datetime(2026, 1, 1, tzinfo=UTC), 1.0)])
        report, _ = mill.hub.reporting.draft(agreement.terms.agreement_id, OCTOBER, mill.person())
    assert (report.values[0].value, report.values[0].reason != "") == (None, True)


def test_who_may_not_read_the_dataset_cannot_report_it(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
    with pytest.raises(Denied):
        mill.hub.reporting.bind("energy", DatasetId("nowhere"), "SELECT sum(kwh) FROM nowhere", mill.person())
    with mill.database.begin() as connection:  # as if it had been there when it was named
        connection.execute(sa.update(tables.indicator_sources).values(sql="SELECT sum(kwh) FROM nowhere"))
    with pytest.raises(Denied):
        mill.hub.reporting.draft(agreement.terms.agreement_id, OCTOBER, mill.person())
    with pytest.raises(RoleMissing):
        mill.hub.reporting.draft(agreement.terms.agreement_id, OCTOBER, mill.person(Role.VIEWER))


def test_a_figure_of_a_part_is_not_reported_as_that_of_the_whole(
    mill: WholeNode, province: WholeNode, clock: Clock
) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
    policies = PolicyService(mill.database, mill.audit, clock)
    text = policies.active().replace('@id("own-steward")', '@id("own-steward")\n@row_filter("kwh < 1")')
    policies.deploy(text, "user:security")
    with pytest.raises(SourceUnusable, match="part that you may see only"):
        mill.hub.reporting.draft(agreement.terms.agreement_id, OCTOBER, mill.person())


def test_an_unbound_indicator_is_named(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        invitation = province.hub.memberships.invite(province.person(), indicators=["parts_produced"])
        agreement = mill.hub.join(address, invitation.text, mill.person())
    with pytest.raises(IndicatorUnbound, match="parts_produced"):
        mill.hub.reporting.draft(agreement.terms.agreement_id, Period(2026, 11), mill.person())


def test_after_the_agreement_nothing_is_made(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        agreement = join(mill, province, address, clock)
    clock.forward(days=301)
    with pytest.raises(AgreementNotInForce):
        mill.hub.reporting.submit(agreement.terms.agreement_id, OCTOBER, mill.person())


HOSTILE = (
    b"",
    b"[]",
    b"{",
    b'{"document": NaN}',
    b"\xff\xfe",
    b'{"code": "\\ud800\\ud800\\ud800"}',
    b"1" * 999,
)


ASKED = {"request": f"POST {REPORTS_PATH}"}


def post(address: str, path: str, content: bytes, authorization: str = "") -> httpx.Response:
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    return httpx.post(f"{address}/api/v1/hub/{path}", content=content, headers=headers, trust_env=False, timeout=10)


def test_hostile_messages_get_a_problem_and_change_nothing(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address:
        join(mill, province, address, clock)

        def token() -> str:
            return mill.peers.issue(province.party_id, claims=ASKED)

        for path in ("reports", "members", "invitation"):
            for body in (
                b"",
                b"[]",
                b"{",
                b'{"document": NaN}',
                b"\xff\xfe",
                b'{"code": "\\ud800\\ud800\\ud800"}',
                b"1" * 999,
            ):
                answer = post(address, path, body, token())
                assert (answer.status_code, answer.json()["status"]) == (400, 400), (path, body)
            assert post(address, path, b" " * 300_000, token()).status_code == 413
        used, older = token(), mill.peers.issue(province.party_id)
        assert post(address, "reports", b"{}", used).status_code == 400
        for header in ("", "Bearer x", used, mill.peers.issue(mill.party_id, claims=ASKED), older):
            assert post(address, "reports", b"{}", header).status_code == 401
    with province.database.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.received_reports)).scalar_one() == 0


def test_a_far_side_that_is_no_hub_is_named(mill: WholeNode, clock: Clock) -> None:
    with pytest.raises(FarSideSilent, match="ConnectError"):
        mill.hub.join(f"http://127.0.0.1:{free_port()}", "code-code@sha256:00", mill.person())
    with served(mill, free_port()) as address, pytest.raises(FarSideRefused, match="403"):
        mill.hub.join(address, "unknown-code@sha256:00", mill.person())


def test_a_courier_that_fails_goes_on_and_says_so_once(
    mill: WholeNode, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gongshu.hub.service.LOOK_EVERY_S", 0.02)
    mill.database.close()
    with mill.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hub_outbox RENAME TO hub_outbox_gone")
    with caplog.at_level(logging.ERROR):
        mill.hub.start()
        deadline = time.monotonic() + 60
        while not caplog.records:
            assert time.monotonic() < deadline, "the courier says nothing"
            time.sleep(0.02)
        time.sleep(0.2)  # several more looks, each of which fails too
        mill.hub.stop()
    assert len([r for r in caplog.records if "courier" in r.message]) == 1


def test_people_and_programs_use_the_same_services(mill: WholeNode, province: WholeNode, clock: Clock) -> None:
    with served(province, free_port()) as address, served(mill, free_port()) as mill_address:
        agreement = join(mill, province, address, clock)
        body = {"agreement_id": agreement.terms.agreement_id, "period": "2026-10"}
        hub = f"{mill_address}/api/v1/hub"
        draft = httpx.post(f"{hub}/drafts", json=body, trust_env=False, timeout=20).json()
        assert draft["report"]["values"][0]["value"] == "0.3"
        assert "SELECT" in draft["opened"][0]["sql"]
        sent = httpx.post(f"{hub}/outbox", json=body, trust_env=False, timeout=20).json()
        mill.hub.reporting.deliver_due()
        (listed,) = httpx.get(f"{hub}/outbox", trust_env=False).json()
        assert (listed["report_id"], listed["state"]) == (sent["report_id"], "accepted")
        assert httpx.get(f"{hub}/outbox/{sent['report_id']}", trust_env=False).json()[0]["dataset_id"] == "meters"
        top = f"{address}/api/v1/hub/periods/2026-10"
        assert httpx.get(f"{top}/members", trust_env=False).json()[0]["standing"] == "reported"
        assert httpx.get(f"{top}/totals", trust_env=False).status_code == 404
        assert httpx.post(f"{top}/publications", trust_env=False).status_code == 409
        assert httpx.get(f"{address}/api/v1/hub/periods/2026-99/totals", trust_env=False).status_code == 400

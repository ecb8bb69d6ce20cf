"""Tokens for data: short, replaced without harm, dead at once when the transfer stops; and attempts under one key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.ids import PartyId
from gongshu.share import processes as store
from gongshu.share.agreements import revoke_tokens
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.encoding import Encoding
from gongshu.share.errors import DataTokenInvalid, TermsForbid
from gongshu.share.metering import ATTEMPTS_MAX, ATTEMPTS_WITHIN, Entry, Meter
from gongshu.share.model import Agreement, AgreementStatus
from gongshu.share.tables import share_agreements, share_deliveries
from gongshu.share.terms import Terms
from gongshu.share.tokens import TokenDesk
from tests.conftest import Clock
from tests.metadata import new_database
from tests.unit.share.world import SHOP, Memory

TRANSFER = "urn:uuid:transfer"


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    made = new_database(tmp_path / "metadata.db")
    with made.begin() as connection:
        fixed = {"process_id": TRANSFER, "kind": Kind.TRANSFER, "side": Side.PROVIDER, "state": State.STARTED}
        times = {"created_at": clock(), "updated_at": clock(), "created_by": "test"}
        store.insert_process(connection, {**fixed, **times, "counterparty": SHOP, "agreement_id": "a"})
        agreed = {"agreement_id": "a", "side": Side.PROVIDER, "counterparty": SHOP, "dataset_id": "orders"}
        text = {"negotiation_id": "n", "policy": "{}", "policy_hash": "", "status": AgreementStatus.ACTIVE, "uses": 0}
        connection.execute(sa.insert(share_agreements).values(**agreed, **text, agreed_at=clock()))
    yield made
    made.close()


def why(desk: TokenDesk, token: str) -> str:
    with pytest.raises(DataTokenInvalid) as refused:
        desk.require_valid(TRANSFER, f"Bearer {token}")
    return str(refused.value.fields["why"])


def test_a_renewal_whose_answer_is_lost_does_no_harm(database: Database, clock: Clock) -> None:
    desk = TokenDesk(database, clock, 300)
    old = desk.issue(TRANSFER)
    for _ in range(3):
        desk.issue(TRANSFER)  # lost on the way
        clock.forward(seconds=1)
        desk.require_valid(TRANSFER, old)
    new = desk.issue(TRANSFER)
    desk.require_valid(TRANSFER, new)
    assert why(desk, old) == "expired"
    desk.require_valid(TRANSFER, new)


def test_a_download_outlives_its_token_and_a_newer_one_but_no_stop(database: Database, clock: Clock) -> None:
    desk = TokenDesk(database, clock, 300)
    digest = desk.require_valid(TRANSFER, desk.issue(TRANSFER))
    clock.forward(hours=3)
    desk.require_valid(TRANSFER, desk.issue(TRANSFER))
    assert desk.is_withdrawn(digest) is False
    clock.forward(days=3)
    desk.require_valid(TRANSFER, desk.issue(TRANSFER))
    assert desk.is_withdrawn(digest) is None, "forgotten: then the transfer itself is asked"
    running = desk.require_valid(TRANSFER, desk.issue(TRANSFER))
    with database.begin() as connection:
        revoke_tokens(connection, TRANSFER, clock())
    assert desk.is_withdrawn(running) is True


def test_tokens_outlive_a_restart_and_belong_to_one_transfer(database: Database, clock: Clock) -> None:
    token = TokenDesk(database, clock, 300).issue(TRANSFER)
    restarted = TokenDesk(database, clock, 300)
    restarted.require_valid(TRANSFER, token)
    with pytest.raises(DataTokenInvalid):
        restarted.require_valid("urn:uuid:other", token)
    assert why(restarted, "") == why(restarted, "x") == "missing or unknown"
    clock.forward(seconds=300)
    assert why(restarted, token) == "expired"


def entry(
    database: Database, clock: Clock, key: str, *, uses_max: int | None = 1, rows_max: int | None = None
) -> Entry:
    with database.connect() as connection:
        record = store.find_process(connection, TRANSFER)
    assert record is not None
    terms = Terms(uses_max=uses_max, rows_max=rows_max, unrestricted=True)
    party = PartyId(SHOP)
    agreement = Agreement(
        "a", Side.PROVIDER, party, "orders", "n", terms, {}, "", AgreementStatus.ACTIVE, 0, clock(), None, ""
    )
    return Entry(record, agreement, "", Encoding.ARROW, key)


def uses(database: Database) -> int:
    with database.connect() as connection:
        return int(connection.execute(sa.select(share_agreements.c.uses)).scalar_one())


def test_attempts_under_one_key_count_once_and_end_each_other(database: Database, clock: Clock) -> None:
    meter = Meter(database, Memory(), clock)
    asked = entry(database, clock, "k")
    lines = [meter.open(asked) for _ in range(ATTEMPTS_MAX)]
    assert None not in lines
    assert uses(database) == 1
    assert meter.open(asked) is None, "the fourth is a delivery of its own, and there is no use left"
    with database.connect() as connection:
        outcomes = list(connection.execute(sa.select(share_deliveries.c.outcome)).scalars())
    assert outcomes == ["failed", "failed", "open"]


@pytest.mark.parametrize("how", ["complete", "late", "other key", "no key"])
def test_what_is_no_further_attempt_counts_anew(database: Database, clock: Clock, how: str) -> None:
    meter = Meter(database, Memory(), clock)
    key = "" if how == "no key" else "k"
    first = meter.open(entry(database, clock, key))
    assert first is not None
    if how == "complete":
        meter.close(first, rows=1, size_bytes=1, outcome="complete")
    if how == "late":
        clock.forward(seconds=ATTEMPTS_WITHIN.total_seconds() + 1)
    assert meter.open(entry(database, clock, "k2" if how == "other key" else key)) is None
    assert uses(database) == 1


def test_a_stream_is_one_use_never_goes_back_and_ends_with_its_rows(database: Database, clock: Clock) -> None:
    meter = Meter(database, Memory(), clock)
    asked = entry(database, clock, "", rows_max=10)
    opened = meter.open_stream(asked, 100)
    meter.note_stream(TRANSFER, opened.delivery_id, rows=4, size_bytes=1, more=4)
    assert meter.open_stream(asked, 100).rows == 4
    assert uses(database) == 1
    newest = meter.open_stream(asked, 200)
    with pytest.raises(TermsForbid, match="does not go back"):
        meter.open_stream(asked, 199)
    meter.note_stream(TRANSFER, newest.delivery_id, rows=6, size_bytes=1, more=6)
    with pytest.raises(TermsForbid, match="10 rows were sent"):
        meter.open_stream(asked, 300)
    with database.connect() as connection:
        outcomes = list(connection.execute(sa.select(share_deliveries.c.outcome)).scalars())
    assert outcomes == ["stopped", "stopped", "open"]

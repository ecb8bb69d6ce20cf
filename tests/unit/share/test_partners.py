"""Facts about partners: what binds at once, and the notices of use that go out before rows do."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.ids import PartyId
from gongshu.secure.errors import PartyUnknown
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.encoding import Encoding
from gongshu.share.errors import GroupUnknown, NoticeInvalid, PartnerFactInvalid, PeerUnreachable, TermsForbid
from gongshu.share.metering import Entry, Meter
from gongshu.share.model import Agreement, AgreementStatus, Record
from gongshu.share.notices import NoticeBook
from gongshu.share.partners import ABILITIES, KEEPS_TERMS, PartnerBook
from gongshu.share.policy import SharePolicy
from gongshu.share.ports import Reply
from gongshu.share.tables import share_agreements, share_messages
from gongshu.share.terms import Operation, Payment, Phase, Terms
from tests.conftest import Clock
from tests.metadata import new_database
from tests.unit.share.world import MILL, ORDERS, SHOP, SPY, Memory, Shelf, subject


class Fixture:
    """One provider's books on a real database."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.database: Database = new_database(folder / "mill.db")
        self.audit = Memory()
        self.keys = KeyStore(folder / "mill-keys")
        self.shop_keys = KeyStore(folder / "shop-keys")
        self.parties = PartyRegistry(self.database, self.audit, self.clock)
        for party, keys in ((SHOP, self.shop_keys), (SPY, KeyStore(folder / "spy-keys"))):
            self.parties.add(Party(party, party, keys.public_key_pem(), f"http://{party.rsplit(':', 1)[1]}.example"))
        self.book = PartnerBook(self.database, self.parties, self.audit, self.clock)
        self.policy = SharePolicy(Shelf(self.clock), self.clock, self.book)
        self.notices = NoticeBook(self.database, self.keys, self.parties, self.audit, self.clock, MILL)

    def agreement(self, terms: Terms) -> Agreement:
        return Agreement(
            "a-1",
            Side.PROVIDER,
            SHOP,
            ORDERS,
            "n-1",
            terms,
            {},
            "0" * 64,
            AgreementStatus.ACTIVE,
            0,
            self.clock(),
            None,
            "",
        )

    def why_not(self, terms: Terms, phase: Phase = Phase.ACCESS, *columns: str) -> str | None:
        return self.policy.why_not_use(self.agreement(terms), phase, columns=frozenset(columns))


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Fixture]:
    made = Fixture(tmp_path)
    yield made
    made.database.close()


def test_membership_binds_at_once(mill: Fixture) -> None:
    terms = Terms(groups=frozenset({"suppliers"}))
    assert "none of its groups" in str(mill.why_not(terms))
    group = mill.book.add_to_group("suppliers", [SHOP, SPY], subject(), title="Suppliers")
    assert set(group.members) == {SHOP, SPY}
    assert mill.why_not(terms) is None
    assert mill.policy.why_not_offer(ORDERS, terms, SHOP, Phase.CATALOGUE) is None
    assert mill.book.remove_from_group("suppliers", SHOP, subject()).members == (SPY,)
    assert "none of its groups" in str(mill.why_not(terms))
    assert [event.action for event in mill.audit.events[-2:]] == ["share.group_joined", "share.group_left"]


def test_odd_groups_places_and_payments_are_refused(mill: Fixture) -> None:
    with pytest.raises(PartnerFactInvalid):
        mill.book.add_to_group("two words", [SHOP], subject())
    with pytest.raises(PartyUnknown):
        mill.book.add_to_group("suppliers", [PartyId("urn:x:nobody")], subject())
    with pytest.raises(GroupUnknown):
        mill.book.remove_from_group("suppliers", SHOP, subject())
    for place, basis in (("Hangzhou", "seen"), ("CN-33", " ")):
        with pytest.raises(PartnerFactInvalid):
            mill.book.register_place(SHOP, place, basis, subject())
    with pytest.raises(PartnerFactInvalid):
        mill.book.confirm_payment("a-1", "", subject())


def test_a_place_counts_once_it_is_registered_and_the_newest_counts(mill: Fixture) -> None:
    terms = Terms(places=frozenset({"CN"}))
    assert "not registered" in str(mill.why_not(terms))
    mill.book.register_place(SHOP, "CN-33", "business licence, seen on paper", subject())
    assert mill.why_not(terms) is None
    mill.book.register_place(SHOP, "DE", "moved", subject())
    assert "'DE'" in str(mill.why_not(terms))
    assert [entry.place for entry in mill.book.places()] == ["DE"]


def test_a_connector_is_known_by_its_registered_key(mill: Fixture) -> None:
    terms = Terms(connectors=frozenset({mill.shop_keys.fingerprint()}))
    assert mill.why_not(terms) is None
    mill.parties.remove(SHOP)
    assert "another connector" in str(mill.why_not(terms))


def test_nothing_flows_before_the_payment_is_confirmed_and_a_reference_pays_once(mill: Fixture) -> None:
    terms = Terms(payment=Payment("1200.00", "CNY"))
    assert mill.policy.awaits_payment(mill.agreement(terms))
    assert "not confirmed" in str(mill.why_not(terms, Phase.TRANSFER))
    mill.book.confirm_payment("a-1", "bank 4711", subject())
    mill.book.confirm_payment("a-1", "bank 4711", subject())
    assert mill.why_not(terms, Phase.TRANSFER) is None
    assert not mill.policy.awaits_payment(mill.agreement(terms))
    for agreement_id, reference in (("a-2", "bank 4711"), ("a-1", "bank 4712")):
        with pytest.raises(PartnerFactInvalid):
            mill.book.confirm_payment(agreement_id, reference, subject())


def test_only_figures_pass_where_only_aggregates_may_leave(mill: Fixture) -> None:
    terms = Terms(operations=frozenset({Operation.AGGREGATE}), aggregate_min=5, columns=frozenset({"part", "price"}))
    assert "operation read" in str(mill.why_not(terms, Phase.ACCESS, "part"))
    assert mill.why_not(terms, Phase.ACCESS, "part", "avg(price)") is None
    assert "'time'" in str(mill.why_not(terms, Phase.ACCESS, "time", "count(*)"))
    assert "figures are" in str(mill.why_not(terms, Phase.ACCESS, "max(price)"))


def test_a_duration_runs_from_the_agreement(mill: Fixture) -> None:
    agreement = mill.agreement(Terms(duration_s=60))
    assert mill.policy.why_not_use(agreement, Phase.ACCESS) is None
    assert agreement.days_left(mill.clock()) == pytest.approx(60 / 86_400)
    mill.clock.forward(seconds=61)
    assert "ended" in str(mill.policy.why_not_use(agreement, Phase.ACCESS))
    assert not mill.policy.is_alive(agreement)
    assert agreement.days_left(mill.clock()) == 0.0


def test_a_node_that_does_not_say_that_it_keeps_terms_is_not_believed_to(mill: Fixture) -> None:
    terms = Terms(no_onward=True)
    assert "does not declare" in str(mill.policy.why_not_offer(ORDERS, terms, SHOP, Phase.NEGOTIATION))
    for number, body in enumerate(({ABILITIES: [KEEPS_TERMS]}, {"other": 1})):
        with mill.database.begin() as connection:
            connection.execute(
                sa.insert(share_messages).values(
                    direction="in",
                    counterparty=SHOP,
                    message_id=f"m{number}",
                    process_id="n-1",
                    message_type="ContractRequestMessage",
                    body_hash="",
                    body=orjson.dumps(body).decode(),
                    at=mill.clock(),
                )
            )
        assert mill.policy.why_not_offer(ORDERS, terms, SHOP, Phase.NEGOTIATION) is None
    assert "does not declare" in str(mill.policy.why_not_offer(ORDERS, terms, SPY, Phase.NEGOTIATION))


# ---- notices ---------------------------------------------------------------------------------------------------------


@dataclass
class Post:
    """A wire that fails as long as it is told to."""

    failures: int = 0
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    def post_to(self, party: PartyId, address: str, body: bytes = b"") -> Reply:
        if self.failures:
            self.failures -= 1
            raise PeerUnreachable(party=party, address=address, reason="the cable is out")
        self.sent.append((address, body))
        return Reply(202)


def entry_of(mill: Fixture, terms: Terms) -> Entry:
    record = Record(
        process_id="t-1",
        kind=Kind.TRANSFER,
        side=Side.PROVIDER,
        state=State.STARTED,
        pending=None,
        pending_message=None,
        pending_sent=False,
        held=False,
        counterparty=SHOP,
        peer_pid=None,
        peer_address="",
        dataset_id=ORDERS,
        offer_id="",
        policy="",
        own_policy="",
        agreement_id="a-1",
        format="",
        data_address="",
        rules=None,
        waiting="",
        reason="",
        created_at=mill.clock(),
        created_by="",
        updated_at=mill.clock(),
        deadline_at=None,
        ends_at=None,
    )
    with mill.database.begin() as connection:
        connection.execute(
            sa.insert(share_agreements).values(
                agreement_id="a-1",
                side=Side.PROVIDER,
                counterparty=SHOP,
                dataset_id=ORDERS,
                negotiation_id="n-1",
                policy="{}",
                policy_hash="",
                status=AgreementStatus.ACTIVE,
                uses=0,
                agreed_at=mill.clock(),
            )
        )
    return Entry(record, mill.agreement(terms), "quality", Encoding.ARROW)


def test_each_use_queues_a_signed_notice_that_the_named_party_can_check(mill: Fixture, tmp_path: Path) -> None:
    entry = entry_of(mill, Terms(notify=frozenset({SPY})))
    assert Meter(mill.database, mill.audit, mill.clock, mill.notices).open(entry) is not None
    post = Post(failures=2)
    assert mill.notices.send_due(post) == 1
    assert mill.notices.send_due(post) == 0
    for _ in range(2):
        mill.clock.forward(seconds=30)
        mill.notices.chore(post).perform_due()
    (address, body), (line,) = post.sent[0], mill.notices.sent()
    assert address == "http://spy.example/share/notices"
    assert line.sent_at is not None
    assert line.claims["purpose"] == "quality"
    with mill.database.connect() as connection:
        assert mill.notices.next_due(connection) is None
    spy_parties = PartyRegistry(mill.database, mill.audit, mill.clock)
    spy_parties.add(Party(MILL, "mill", mill.keys.public_key_pem(), "http://mill.example"))
    spy = NoticeBook(mill.database, KeyStore(tmp_path / "spy"), spy_parties, mill.audit, mill.clock, SPY)
    spy.take(MILL, body)
    spy.take(MILL, body)
    assert [notice.claims["user"] for notice in spy.received()] == [SHOP]
    for sender, text in (
        (SHOP, body),
        (MILL, b"{}"),
        (MILL, b"["),
        (MILL, b'{"notice": 5}'),
        (MILL, body[:-20] + body[-2:]),
    ):
        with pytest.raises(NoticeInvalid):
            spy.take(sender, text)
    another = NoticeBook(mill.database, mill.keys, spy_parties, mill.audit, mill.clock, SHOP)
    with pytest.raises(NoticeInvalid, match="this party"):
        another.take(MILL, body)


def test_no_notice_no_rows(mill: Fixture) -> None:
    entry = entry_of(mill, Terms(notify=frozenset({SPY})))
    with pytest.raises(TermsForbid, match="cannot be queued"):
        Meter(mill.database, mill.audit, mill.clock).open(entry)
    with mill.database.connect() as connection:
        assert connection.execute(sa.select(share_agreements.c.uses)).scalar() == 0


def test_a_party_that_never_answers_is_given_up_and_shown(mill: Fixture) -> None:
    entry = entry_of(mill, Terms(notify=frozenset({SPY})))
    Meter(mill.database, mill.audit, mill.clock, mill.notices).open(entry)
    post = Post(failures=99)
    for _ in range(45):
        mill.clock.forward(seconds=6 * 3600)
        mill.notices.send_due(post)
    (line,) = mill.notices.sent(agreement_id="a-1")
    assert (line.sent_at, "cable" in line.last_error) == (None, True)
    assert "notice.given_up" in [event.action for event in mill.audit.events]
    assert mill.notices.send_due(post) == 0


def test_a_notice_to_ourselves_arrives_without_a_wire(mill: Fixture) -> None:
    entry = entry_of(mill, Terms(notify=frozenset({MILL})))
    Meter(mill.database, mill.audit, mill.clock, mill.notices).open(replace(entry, purpose="x" * 500))
    post = Post()
    mill.notices.send_due(post)
    assert post.sent == []
    assert [len(notice.claims["purpose"]) for notice in mill.notices.received()] == [200]

"""The Sparkplug host: births, aliases, order, doubt, death; messages twice, late, missing and spoilt."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongshu.gather.connectors.mqtt.datatypes import DataType
from gongshu.gather.connectors.mqtt.host import WINDOW, SparkplugHost, rebirth_request
from gongshu.gather.connectors.mqtt.model import Outcome
from gongshu.gather.connectors.mqtt.payload import Payload
from gongshu.model.reading import STATUS_BAD_NO_COMMUNICATION, STATUS_GOOD, STATUS_UNCERTAIN, ValueType

NOW = datetime(2026, 11, 2, tzinfo=UTC)
NODE = ("g", "n")


class Edge:
    """An edge node that says what it is told to say."""

    def __init__(self) -> None:
        self.seq = 0
        self.ms = 1_000_000

    def payload(self, *, seq: bool = True) -> Any:
        self.ms += 1
        payload = Payload(timestamp=self.ms)
        if seq:
            payload.seq = self.seq
            self.seq = (self.seq + 1) % 256
        return payload

    def birth(self, bd_seq: int = 0, **metrics: tuple[int, dict[str, Any]]) -> tuple[str, bytes]:
        self.seq = 0
        payload = self.payload()
        payload.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=bd_seq)
        payload.metrics.add(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, boolean_value=False)
        for alias, (name, (datatype, value)) in enumerate(metrics.items(), 1):
            payload.metrics.add(name=name, alias=alias, datatype=datatype, timestamp=self.ms, **value)
        return "spBv1.0/g/NBIRTH/n", payload.SerializeToString()

    def device_birth(self, alias: int = 50) -> tuple[str, bytes]:
        payload = self.payload()
        payload.metrics.add(name="load", alias=alias, datatype=DataType.INT32, int_value=4294967284)
        return "spBv1.0/g/DBIRTH/n/d", payload.SerializeToString()

    def data(self, alias: int = 1, device: str = "", **value: Any) -> tuple[str, bytes]:
        payload = self.payload()
        payload.metrics.add(alias=alias, timestamp=self.ms, **(value or {"int_value": 4294967284}))
        topic = f"spBv1.0/g/DDATA/n/{device}" if device else "spBv1.0/g/NDATA/n"
        return topic, payload.SerializeToString()

    def death(self, bd_seq: int = 0) -> tuple[str, bytes]:
        payload = Payload(timestamp=self.ms)
        payload.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=bd_seq)
        return "spBv1.0/g/NDEATH/n", payload.SerializeToString()


INT32 = (DataType.INT32, {"int_value": 1})


def host() -> SparkplugHost:
    return SparkplugHost(reorder=timedelta(seconds=2), rebirth_every=timedelta(seconds=10), tags_max=1000)


def receive(host: SparkplugHost, *messages: tuple[str, bytes], now: datetime = NOW) -> Outcome:
    total = Outcome()
    for topic, body in messages:
        found = host.receive(topic, body, now)
        total.samples += found.samples
        total.rebirths += found.rebirths
        total.lost_messages += found.lost_messages
        total.unusable += found.unusable
        total.refused += found.refused
    return total


def values(outcome: Outcome) -> list[object]:
    return [sample.value for sample in outcome.samples]


def test_a_birth_gives_values_and_the_type_that_data_under_the_alias_has() -> None:
    edge, follower = Edge(), host()
    born = receive(follower, edge.birth(x=INT32))
    assert [(s.tag.address, s.tag.value_type, s.value, s.status) for s in born.samples] == [
        ("g/n//x", ValueType.INT64, 1, STATUS_GOOD)
    ]
    (sample,) = receive(follower, edge.data()).samples
    assert sample.value == -12, "the type of the birth makes it negative"
    assert sample.time_us == edge.ms * 1000


def test_commands_and_bdseq_are_no_series() -> None:
    assert len(receive(host(), Edge().birth(x=INT32)).samples) == 1


def test_data_before_any_birth_is_left_counted_and_asked_about_at_most_so_often() -> None:
    edge, follower = Edge(), host()
    edge.birth(x=INT32)
    first = receive(follower, edge.data(), edge.data())
    assert (first.samples, first.lost_messages, first.rebirths) == ([], 2, [NODE])
    assert receive(follower, edge.data(), now=NOW + timedelta(seconds=9)).rebirths == []
    assert receive(follower, edge.data(), now=NOW + timedelta(seconds=10)).rebirths == [NODE]


def test_a_birth_that_was_asked_for_and_does_not_come_is_asked_for_again() -> None:
    follower = host()
    receive(follower, Edge().data())
    assert follower.tick(NOW + timedelta(seconds=11)).rebirths == [NODE]


def test_an_overtaken_message_is_waited_for() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    first, second, third = (edge.data(int_value=n) for n in (1, 2, 3))
    assert receive(follower, third, second).samples == []
    assert values(receive(follower, first)) == [1, 2, 3]
    assert follower.tick(NOW + timedelta(hours=1)).rebirths == []


def test_a_gap_that_does_not_close_asks_for_a_rebirth_and_uses_nothing_until_then() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    edge.data()
    receive(follower, edge.data())
    assert follower.tick(NOW + timedelta(seconds=1)).rebirths == []
    given_up = follower.tick(NOW + timedelta(seconds=2))
    assert (given_up.rebirths, given_up.lost_messages) == ([NODE], 2)
    assert receive(follower, edge.data()).samples == []
    assert len(receive(follower, edge.birth(x=INT32), edge.data()).samples) == 2


def test_too_many_that_wait_end_the_waiting() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    edge.data()
    outcome = receive(follower, *[edge.data() for _ in range(WINDOW + 1)])
    assert outcome.rebirths == [NODE]


def test_a_message_twice_counts_once() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    message = edge.data()
    outcome = receive(follower, message, message, edge.data(), message)
    assert (len(outcome.samples), outcome.rebirths) == (2, [])
    assert follower.tick(NOW + timedelta(hours=1)).rebirths == []


def test_a_restart_whose_birth_was_missed_is_not_read_with_old_aliases() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    receive(follower, *[edge.data() for _ in range(20)])
    edge.birth(y=INT32, x=INT32)
    outcome = receive(follower, edge.data(alias=1))
    assert outcome.samples == []
    assert follower.tick(NOW + timedelta(seconds=2)).rebirths == [NODE]


def test_sequence_numbers_wrap() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    outcome = receive(follower, *[edge.data(int_value=n) for n in range(600)])
    assert (values(outcome), outcome.rebirths) == (list(range(600)), [])


def test_death_makes_every_metric_of_node_and_devices_stale_without_a_time_of_its_own() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32), edge.device_birth())
    dead = receive(follower, edge.death())
    assert {(s.tag.address, s.value, s.time_us, s.status) for s in dead.samples} == {
        ("g/n//x", None, None, STATUS_BAD_NO_COMMUNICATION),
        ("g/n/d/load", None, None, STATUS_BAD_NO_COMMUNICATION),
    }
    assert receive(follower, edge.data()).samples == []


def test_a_late_will_of_an_earlier_connection_kills_nobody() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(bd_seq=4, x=INT32))
    assert receive(follower, edge.death(bd_seq=3)).samples == []
    assert len(receive(follower, edge.data()).samples) == 1


def test_the_death_of_a_device_leaves_the_node_alive() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32), edge.device_birth())
    ended = receive(follower, ("spBv1.0/g/DDEATH/n/d", edge.payload().SerializeToString()))
    assert [s.tag.address for s in ended.samples] == ["g/n/d/load"]
    assert len(receive(follower, edge.data()).samples) == 1
    unknown = receive(follower, edge.data(alias=50, device="d"))
    assert (unknown.samples, unknown.rebirths) == ([], [NODE])


def test_a_new_birth_may_change_types_and_the_series_follows() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    (sample,) = receive(follower, edge.birth(x=(DataType.STRING, {"string_value": "on"}))).samples
    assert (sample.tag.value_type, sample.value) == (ValueType.TEXT, "on")
    wrong = receive(follower, edge.data(int_value=1))
    assert (wrong.samples, wrong.unusable) == ([], 1)


def test_data_that_changes_its_type_without_a_birth_is_not_used() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    outcome = receive(follower, edge.data(datatype=DataType.DOUBLE, double_value=1.5))
    assert (outcome.samples, outcome.unusable, outcome.rebirths) == ([], 1, [NODE])


def test_one_alias_for_two_metrics_makes_the_birth_unusable() -> None:
    edge, follower = Edge(), host()
    payload = edge.payload()
    for name in ("x", "y"):
        payload.metrics.add(name=name, alias=1, datatype=DataType.INT32, int_value=1)
    outcome = receive(follower, ("spBv1.0/g/NBIRTH/n", payload.SerializeToString()))
    assert (outcome.samples, outcome.rebirths) == ([], [NODE])


def test_null_is_no_value_and_not_good_and_history_keeps_its_time() -> None:
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    (null,) = receive(follower, edge.data(is_null=True)).samples
    assert (null.value, null.status) == (None, STATUS_UNCERTAIN)
    payload = edge.payload()
    payload.metrics.add(alias=1, timestamp=5, is_historical=True, int_value=7)
    (old,) = receive(follower, ("spBv1.0/g/NDATA/n", payload.SerializeToString())).samples
    assert (old.value, old.time_us) == (7, 5000)


@pytest.mark.parametrize("datatype", [DataType.DATASET, DataType.TEMPLATE, DataType.UNKNOWN, 999])
def test_types_that_no_series_holds_are_refused_by_name_once(datatype: int) -> None:
    edge, follower = Edge(), host()
    outcome = receive(follower, edge.birth(x=INT32, table=(datatype, {"int_value": 1})))
    assert outcome.refused == ["g/n//table"]
    assert receive(follower, edge.data(alias=2)).refused == []


def test_a_rebirth_request_is_the_standards_command() -> None:
    payload = Payload.FromString(rebirth_request(NOW))
    (metric,) = payload.metrics
    assert (metric.name, metric.datatype, metric.boolean_value) == ("Node Control/Rebirth", 11, True)


@given(st.binary(max_size=200), st.sampled_from(["NBIRTH", "NDATA", "NDEATH", "STATE", "NCMD", ""]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_outcome(body: bytes, kind: str) -> None:
    follower = host()
    follower.receive(f"spBv1.0/g/{kind}/n", body, NOW)
    follower.tick(NOW + timedelta(seconds=60))


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_repeats_and_reorder_within_the_window_change_nothing(seed: int) -> None:
    random = Random(seed)
    edge, follower = Edge(), host()
    receive(follower, edge.birth(x=INT32))
    messages = [(n, edge.data(int_value=n)) for n in range(100)]
    shuffled = sorted(messages, key=lambda one: one[0] + random.random() * 8)
    shuffled = [one for one in shuffled for _ in range(random.choice((1, 1, 2)))]
    outcome = receive(follower, *[message for _, message in shuffled])
    assert values(outcome) == list(range(100))
    assert (outcome.rebirths, outcome.lost_messages) == ([], 0)

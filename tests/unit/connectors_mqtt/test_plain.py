"""Plain JSON: where values, times, names and units stand; and what is not JSON."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gongshu.gather.connectors.mqtt.config import JsonMap, MqttConfig
from gongshu.gather.connectors.mqtt.model import Sample
from gongshu.gather.connectors.mqtt.paths import parse_path, value_at
from gongshu.gather.connectors.mqtt.plain import JsonReader
from gongshu.gather.connectors.mqtt.topics import filter_of, match_topic, parse_sparkplug
from gongshu.model.reading import STATUS_GOOD, STATUS_UNCERTAIN, ValueType


def read(message: object, topic: str = "plant/l1/load", **rule: Any) -> list[Sample]:
    fields = {"topic": "plant/{line}/{name}"} | rule
    return JsonReader([JsonMap.model_validate(fields)]).read(topic, json.dumps(message).encode()).samples


def test_a_scalar_is_one_value_named_by_its_topic() -> None:
    (sample,) = read(1.5, asset="{line}", unit="kW")
    tag = sample.tag
    assert (tag.address, tag.name, tag.path, tag.unit) == ("plant/l1/load", "load", "l1", "kW")
    assert (sample.value, sample.time_us, sample.status) == (1.5, None, STATUS_GOOD)


def test_an_object_is_a_value_for_each_name() -> None:
    samples = read({"ts": 1700000000123, "a": 1, "b": "on"}, time="ts", time_form="milliseconds")
    assert [(s.tag.address, s.tag.name, s.value) for s in samples] == [
        ("plant/l1/load#a", "a", 1), ("plant/l1/load#b", "b", "on")
    ]  # fmt: skip
    assert {s.time_us for s in samples} == {1700000000123000}


def test_a_list_of_objects_has_a_name_value_time_and_unit_each() -> None:
    message = {"d": [{"n": "a", "v": 1, "t": 1.25, "u": "mm"}, {"n": "b", "v": 2, "t": 2.5}]}
    samples = read(
        message, value="d", name_field="n", value_field="v", time="t", time_form="seconds", unit_field="u", unit="m"
    )
    assert [(s.tag.name, s.value, s.time_us, s.tag.unit) for s in samples] == [
        ("a", 1, 1250000, "mm"), ("b", 2, 2500000, "m")
    ]  # fmt: skip


def test_paths_reach_into_lists_and_odd_names() -> None:
    assert value_at({"a.b": [0, {"c": 7}]}, '["a.b"][1].c') == 7
    with pytest.raises(ValueError):
        parse_path("a..b")


@pytest.mark.parametrize(
    ("written", "form", "expected"),
    [
        ("2026-01-02T03:04:05.678901+08:00", "iso", 1767294245678901),
        ("2026-01-02T03:04:05", "iso", None),
        ("soon", "iso", None),
        (1700000000.123456, "seconds", 1700000000123456),
        (1700000000123456789, "nanoseconds", 1700000000123456),
        (float("nan"), "seconds", None),
        (10**400, "milliseconds", None),
        (True, "seconds", None),
        (None, "seconds", None),
    ],
)
def test_times_are_exact_or_absent(written: object, form: str, expected: int | None) -> None:
    (sample,) = read({"v": 1, "t": written}, value="v", time="t", time_form=form)
    assert sample.time_us == expected


def test_a_series_keeps_its_fractions_and_texts_stay_texts() -> None:
    reader = JsonReader([JsonMap.model_validate({"topic": "t/{name}"})])
    seen = [reader.read("t/x", body).samples[0] for body in (b"1", b"1.5", b"2", b'"007"', b"null")]
    assert [(s.value, s.tag.value_type) for s in seen] == [
        (1, ValueType.INT64), (1.5, ValueType.FLOAT64), (2.0, ValueType.FLOAT64), ("007", ValueType.TEXT),
        (None, ValueType.TEXT),
    ]  # fmt: skip
    assert isinstance(seen[2].value, float)
    assert seen[4].status == STATUS_UNCERTAIN
    (declared,) = read(2, types={"load": "float64"})
    assert isinstance(declared.value, float)
    (large,) = read(2**53 + 1, types={"load": "float64"})
    assert large.value == 2**53 + 1, "a float could not hold it"


def test_a_topic_that_no_map_names_says_nothing() -> None:
    assert read(1, topic="other/x") == []


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes_are_values_or_counted(body: bytes) -> None:
    outcome = JsonReader([JsonMap.model_validate({"topic": "{rest}"})]).read("a/b", body)
    assert outcome.samples or outcome.unusable or body.strip() in (b"{}",)


def test_a_bottomless_message_is_counted() -> None:
    outcome = JsonReader([JsonMap.model_validate({"topic": "{rest}"})]).read("a", b"[" * 200_000)
    assert outcome.unusable == 1


def test_patterns_name_levels() -> None:
    assert filter_of("a/{x}/+/{rest}") == "a/+/+/#"
    assert match_topic("a/{x}/{rest}", "a/1/2/3") == {"x": "1", "rest": "2/3"}
    assert match_topic("a/{x}", "a/1/2") is None
    assert match_topic("a.b/{x}", "aXb/1") is None


@pytest.mark.parametrize("topic", ["a/{rest}/b", "a/{x}/{x}", "a/#", "a/x{y}", ""])
def test_what_is_no_pattern_is_refused(topic: str) -> None:
    with pytest.raises(ValidationError):
        JsonMap(topic=topic)


def test_only_messages_of_edge_nodes_are_followed() -> None:
    assert parse_sparkplug("spBv1.0/g/DDATA/n/d") is not None
    for topic in (
        "spBv1.0/STATE/h",
        "spBv1.0/g/NCMD/n",
        "spAv1.0/g/NDATA/n",
        "spBv1.0/g/DDATA/n",
        "x",
        "spBv1.0//NDATA/n",
    ):
        assert parse_sparkplug(topic) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "mqtt://h", "username": "a"},
        {"url": "mqtts://h"},
        {"url": "mqtts://h", "anonymous": True, "username": "a"},
        {"url": "mqtts://u:p@h", "anonymous": True},
        {"url": "mqtts://h", "username": "a", "json_maps": []},
        {"url": "mqtts://h", "username": "a", "payload": "sparkplug"},
        {"url": "mqtts://h", "username": "a", "client_certificate": "c.pem"},
        {"url": "mqtts://h", "username": "a", "json_maps": [{"topic": "a/{x}", "name": "{y}"}]},
    ],
)
def test_a_config_that_is_unclear_or_unsafe_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MqttConfig.model_validate({"json_maps": [{"topic": "{name}"}]} | fields)


def test_tls_verifies_by_default() -> None:
    config = MqttConfig.model_validate({"url": "mqtts://h", "username": "a", "json_maps": [{"topic": "{name}"}]})
    context = config.tls_context()
    assert context is not None
    assert (context.check_hostname, context.verify_mode.name, config.port) == (True, "CERT_REQUIRED", 8883)

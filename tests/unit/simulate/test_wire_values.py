"""Registers, edge node, identifiers, tables and the other enterprises: values without a network."""

import csv
import struct
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from gongshu.gather.connectors.modbus.config import ModbusConfig
from gongshu.gather.connectors.mqtt import sparkplug_b_pb2
from gongshu.packs import load_packs
from gongshu.simulate.edge_node import METRICS, REBIRTH, EdgeNode, measure
from gongshu.simulate.erp import ORDER_HEAD, write_erp
from gongshu.simulate.errors import PlantOptionInvalid
from gongshu.simulate.options import PlantOptions, parse_options
from gongshu.simulate.physics import build_shop, start_state
from gongshu.simulate.province import make_months
from gongshu.simulate.register_map import write_register_map
from gongshu.simulate.registers import REGISTERS, Area, Kind, encode_register
from gongshu.simulate.uscc import FICTITIOUS_PREFIX, is_uscc, make_uscc
from gongshu.simulate.utilities import (
    PRESSURE_HIGH_BAR,
    PRESSURE_LOW_BAR,
    UtilityState,
    step_utilities,
)

RULES = load_packs().get("gb-32100")
NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
VALUES = measure(start_state(build_shop(), np.full((3, 4), 0.5)))


def test_the_published_map_is_a_modbus_source_s_configuration(tmp_path: Path) -> None:
    write_register_map(tmp_path / "map.json", port=1502)
    config = ModbusConfig.model_validate_json((tmp_path / "map.json").read_text(encoding="utf-8"))
    assert {(t.unit_id, str(t.space), t.address, t.width) for t in config.tags} == {
        (r.unit_id, str(r.area), r.address, r.count) for r in REGISTERS
    }


@given(st.floats(width=32, allow_nan=False), st.booleans())
def test_float32_lies_in_two_registers_in_either_order(value: float, low: bool) -> None:
    words = encode_register(value, Kind.FLOAT32, scale=1.0, low_word_first=low)
    high_first = words[::-1] if low else words
    assert struct.unpack(">f", struct.pack(">2H", *high_first))[0] == value


def test_no_two_registers_overlap_and_all_values_fit() -> None:
    taken: set[tuple[int, Area, int]] = set()
    for register in REGISTERS:
        words = encode_register(
            register.read(UtilityState()), register.kind, scale=register.scale, low_word_first=register.low_word_first
        )
        assert len(words) == register.count
        cells = {(register.unit_id, register.area, register.address + i) for i in range(register.count)}
        assert not cells & taken
        taken |= cells


def test_the_compressor_keeps_the_net_between_its_pressures() -> None:
    state, pressures = UtilityState(), []
    for _ in range(7200):
        state = step_utilities(state, running=3, machines_kw=12.0, draw=0.5, speed=1.0)
        pressures.append(state.pressure_bar)
    assert min(pressures) > PRESSURE_LOW_BAR - 0.1
    assert max(pressures) < PRESSURE_HIGH_BAR + 0.1
    assert state.energy_wh > UtilityState().energy_wh + 20_000


def decode(raw: bytes) -> sparkplug_b_pb2.Payload:  # type: ignore[name-defined]
    payload = sparkplug_b_pb2.Payload()  # type: ignore[attr-defined]
    payload.ParseFromString(raw)
    return payload


def test_birth_names_every_metric_and_data_carry_the_alias_alone() -> None:
    node = EdgeNode(sparkplug_b_pb2.Payload, birth_death_number=7)  # type: ignore[attr-defined]
    births = [(topic, decode(raw)) for topic, raw in node.births(VALUES, NOW)]
    assert [topic.split("/")[2] for topic, _ in births] == ["NBIRTH", "DBIRTH", "DBIRTH"]
    assert [payload.seq for _, payload in births] == [0, 1, 2]
    assert {m.name for m in births[0][1].metrics} >= {"bdSeq", REBIRTH}
    known = {m.alias: (m.name, m.datatype) for _, payload in births[1:] for m in payload.metrics}
    assert len(known) == len(METRICS)
    changed = {**VALUES, ("conveyor-01", "tracking_offset"): -12}
    ((topic, raw),) = node.data(changed, NOW)
    payload = decode(raw)
    assert topic.endswith("DDATA/edge-1/conveyor-01")
    assert payload.seq == 3
    assert [m.name for m in payload.metrics] == [""]
    assert known[payload.metrics[0].alias][0] == "tracking_offset"
    assert payload.metrics[0].int_value == 2**32 - 12


def test_seq_wraps_at_256_and_starts_anew_with_a_birth() -> None:
    node = EdgeNode(sparkplug_b_pb2.Payload)  # type: ignore[attr-defined]
    node.births(VALUES, NOW)
    seqs = []
    for count in range(300):
        ((_, raw),) = node.data({**VALUES, ("conveyor-01", "transported"): count + 1}, NOW)
        seqs.append(decode(raw).seq)
    assert seqs == [(3 + n) % 256 for n in range(300)]
    assert decode(node.births(VALUES, NOW)[0][1]).seq == 0


def test_death_carries_the_number_of_its_birth_and_no_seq() -> None:
    payload = decode(EdgeNode(sparkplug_b_pb2.Payload, birth_death_number=7).death())  # type: ignore[attr-defined]
    assert [(m.name, m.long_value) for m in payload.metrics] == [("bdSeq", 7)]
    assert not payload.HasField("seq")


@given(st.binary(max_size=60))
def test_any_command_bytes_are_answered(raw: bytes) -> None:
    assert EdgeNode(sparkplug_b_pb2.Payload).is_rebirth(raw) in {True, False}  # type: ignore[attr-defined]


@given(st.integers(0, 99_999))
def test_identifiers_have_valid_checks_and_a_region_that_does_not_exist(number: int) -> None:
    code = make_uscc(number, RULES)
    assert is_uscc(code, RULES)
    assert code.startswith(FICTITIOUS_PREFIX)


@given(st.integers(0, 99_999), st.integers(0, 17), st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
def test_one_wrong_character_is_found(number: int, place: int, char: str) -> None:
    code = make_uscc(number, RULES)
    changed = code[:place] + char + code[place + 1 :]
    assert is_uscc(changed, RULES) == (changed == code)


def test_a_published_example_passes() -> None:
    assert is_uscc("91350100M000100Y43", RULES)  # the example in GB 32100-2015


def test_the_office_s_wrong_rows_are_where_the_truth_says(tmp_path: Path) -> None:
    wrong = write_erp(tmp_path, seed=67, today=date(2026, 11, 2), rules=RULES)
    with (tmp_path / "orders_synthetic.csv").open(encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert tuple(lines[0]) == ORDER_HEAD
    at = {w.kind: lines[w.line - 1] for w in wrong}
    assert at["date does not exist"][6] == "2026-02-30"
    assert at["wrong unit"][4] == "吨"
    assert at["duplicate row"] == lines[next(w.line for w in wrong if w.kind == "duplicate row") - 2]
    assert not at["quantity is not a number"][3].isdecimal()
    assert len({row[0] for row in lines[1:]}) == len(lines) - 2
    sheet = load_workbook(tmp_path / "customers_synthetic.xlsx").active
    assert sheet is not None
    rows = list(sheet.iter_rows(min_row=2, values_only=True))
    assert all("合成" in str(row[1]) and is_uscc(str(row[2]), RULES) for row in rows)


def test_the_province_s_figures_are_seeded_and_possible() -> None:
    months = make_months(seed=67, periods=("2026-09", "2026-10"), count=6)
    assert months == make_months(seed=67, periods=("2026-09", "2026-10"), count=6)
    assert len(months) == 12
    codes = {item.key.removeprefix("indicator.") for item in load_packs().get("reporting").under("indicator")}
    divisions = {item.key.removeprefix("division.") for item in load_packs().get("gbt-4754").under("division")}
    for month in months:
        assert month.values.keys() == codes
        assert 0 < month.values["oee"] < 1
        assert month.enterprise.division in divisions
        assert "synthetic" in month.enterprise.title
    with pytest.raises(ValueError, match="3 to 6"):
        make_months(seed=1, periods=("2026-10",), count=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--speed", "0"],
        ["--speed", "1e9"],
        ["--rate", "-1"],
        ["--seed", "-1"],
        ["--opcua-port", "70000"],
        ["--mqtt", "x"],
    ],
)
def test_an_option_out_of_bounds_is_refused(arguments: list[str]) -> None:
    with pytest.raises(PlantOptionInvalid):
        parse_options(["--folder", "x", *arguments])


def test_the_rate_is_carried_at_ten_rounds_a_second() -> None:
    assert PlantOptions(Path("x"), rate=20_000).bulk_count == 2_000
    assert PlantOptions(Path("x"), rate=1).bulk_count == 1

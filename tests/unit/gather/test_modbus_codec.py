"""Registers, read plans and deadbands of Modbus: pure, so properties hold for anything."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.errors import GongshuError
from gongshu.gather.connectors.modbus import SPEC
from gongshu.gather.connectors.modbus.addresses import parse_address
from gongshu.gather.connectors.modbus.client import _batch
from gongshu.gather.connectors.modbus.config import BITS_MAX, ModbusConfig, ModbusTag, Space
from gongshu.gather.connectors.modbus.layout import Columns, Deadbands, Layout
from gongshu.gather.connectors.modbus.plan import plan_blocks, split_block
from gongshu.gather.connectors.modbus.registers import (
    WORDS,
    ByteOrder,
    RegisterType,
    WordOrder,
    arrange_words,
    decode_numbers,
    decode_text,
    encode_numbers,
    encode_text,
)
from gongshu.gather.errors import ConfigWrong, DecodeError
from gongshu.gather.model import read_config_of
from gongshu.model.reading import STATUS_BAD, STATUS_GOOD, STATUS_UNCERTAIN

INTEGERS = {
    RegisterType.INT16: (-(2**15), 2**15 - 1),
    RegisterType.UINT16: (0, 2**16 - 1),
    RegisterType.INT32: (-(2**31), 2**31 - 1),
    RegisterType.UINT32: (0, 2**32 - 1),
    RegisterType.INT64: (-(2**63), 2**63 - 1),
    RegisterType.UINT64: (0, 2**64 - 1),
}
orders = st.tuples(st.sampled_from(WordOrder), st.sampled_from(ByteOrder))


@given(kind=st.sampled_from(sorted(INTEGERS)), order=orders, data=st.data())
def test_integers_survive_the_round_trip(
    kind: RegisterType, order: tuple[WordOrder, ByteOrder], data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.integers(*INTEGERS[kind]), min_size=1, max_size=8))
    sent = arrange_words(encode_numbers(np.array(values, object), kind), *order)
    assert decode_numbers(arrange_words(sent, *order), kind).tolist() == values


@given(values=st.lists(st.floats(), min_size=1, max_size=8), order=orders)
def test_float64_survives_the_round_trip(values: list[float], order: tuple[WordOrder, ByteOrder]) -> None:
    sent = arrange_words(encode_numbers(np.array(values), RegisterType.FLOAT64), *order)
    found = decode_numbers(arrange_words(sent, *order), RegisterType.FLOAT64)
    assert found.tobytes() == np.array(values).tobytes()


@given(values=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=8), order=orders)
def test_float32_survives_the_round_trip(values: list[float], order: tuple[WordOrder, ByteOrder]) -> None:
    sent = arrange_words(encode_numbers(np.array(values, np.float32), RegisterType.FLOAT32), *order)
    assert decode_numbers(arrange_words(sent, *order), RegisterType.FLOAT32).tolist() == values


@given(st.text(st.characters(exclude_characters="\0", codec="gb18030"), max_size=8))
def test_text_survives_the_round_trip(text: str) -> None:
    assert decode_text(encode_text(text, "gb18030", 16), "gb18030") == text


def test_a_wrong_width_is_a_decode_error() -> None:
    with pytest.raises(DecodeError):
        decode_numbers(np.zeros((1, 3), np.uint16), RegisterType.FLOAT32)
    with pytest.raises(DecodeError):
        encode_text("far too long", "ascii", 2)


def test_the_known_layout_of_a_float() -> None:
    """123.456 is 0x42F6E979: high word first by the standard's habit, low first in many devices."""
    assert encode_numbers(np.array([123.456]), RegisterType.FLOAT32).tolist() == [[0x42F6, 0xE979]]


tags = st.builds(
    lambda space, address, kind: ModbusTag(
        name="t",
        space=space,
        address=address,
        type=RegisterType.BOOL if space.is_bits else kind,
    ),
    st.sampled_from(Space),
    st.integers(0, 3_000),
    st.sampled_from([kind for kind in WORDS if kind is not RegisterType.BOOL]),
)


@given(found=st.lists(tags, min_size=1, max_size=60), gap_max=st.integers(0, 50), registers_max=st.integers(4, 125))
def test_a_plan_reads_every_tag_once_and_asks_for_no_more_than_is_allowed(
    found: list[ModbusTag], gap_max: int, registers_max: int
) -> None:
    blocks = plan_blocks(found, 1, gap_max=gap_max, registers_max=registers_max)
    assert sorted(i for block in blocks for i in block.tags) == list(range(len(found)))
    for block in blocks:
        assert block.count <= (BITS_MAX if block.space.is_bits else registers_max)
        for i in block.tags:
            assert found[i].space is block.space
            assert block.start <= found[i].address
            assert found[i].address + found[i].width <= block.start + block.count


@given(found=st.lists(tags, min_size=2, max_size=30))
def test_splitting_ends_with_every_tag_alone(found: list[ModbusTag]) -> None:
    waiting = list(plan_blocks(found, 1, gap_max=50, registers_max=125))
    alone = []
    while waiting:
        halves = split_block(waiting.pop(), found)
        if len(halves) == 1:
            alone.append(halves[0])
        else:
            waiting += halves
    assert sorted(block.tags[0] for block in alone) == list(range(len(found)))


@given(found=st.lists(tags, min_size=1, max_size=30), data=st.data())
def test_any_words_decode_to_columns(found: list[ModbusTag], data: st.DataObject) -> None:
    blocks = plan_blocks(found, 1, gap_max=8, registers_max=125)
    layout = Layout(found, blocks)
    words = np.array(
        data.draw(st.lists(st.integers(0, 65535), min_size=layout.words, max_size=layout.words)), np.uint16
    )
    columns = layout.decode(words, np.zeros(len(found), np.uint32))
    for double, integer, text in zip(columns.double, columns.integer, columns.text, strict=True):
        assert [double, integer, text].count(None) == 2
    batch = _batch(np.arange(len(found)), columns, np.zeros(len(found), np.int64), np.arange(len(found)))
    assert batch.num_rows == len(found)
    assert batch.column("value_double").null_count == sum(one is None for one in columns.double)


def decode(tag: ModbusTag, words: list[int], status: int = STATUS_GOOD) -> Columns:
    layout = Layout([tag], plan_blocks([tag], 1, gap_max=0, registers_max=125))
    return layout.decode(np.array(words, np.uint16), np.array([status], np.uint32))


def test_scale_and_offset_apply() -> None:
    found = decode(ModbusTag(name="t", address=0, type=RegisterType.INT16, scale=0.1, offset=-40.0), [250])
    assert found.double[0] == pytest.approx(-15.0)
    assert found.integer[0] is None


def test_a_scaled_counter_beyond_exact_doubles_is_uncertain() -> None:
    tag = ModbusTag(name="t", address=0, type=RegisterType.UINT64, scale=0.001)
    words = encode_numbers(np.array([2**60 + 1], object), RegisterType.UINT64)[0].tolist()
    assert decode(tag, words).status[0] == STATUS_UNCERTAIN


def test_bad_status_leaves_no_value() -> None:
    found = decode(ModbusTag(name="t", address=0), [7], STATUS_BAD)
    assert (found.double[0], found.integer[0], found.text[0]) == (None, None, None)


def test_bytes_that_are_no_text_are_a_bad_reading() -> None:
    found = decode(ModbusTag(name="t", address=0, type=RegisterType.STRING, words=1), [0xFFFF])
    assert (found.text[0], found.status[0]) == (None, STATUS_BAD)


def columns(*values: float | None, status: int = 0) -> Columns:
    none = np.full(len(values), None, object)
    return Columns(np.array(values, object), none.copy(), none.copy(), np.full(len(values), status, np.uint32))


def test_a_deadband_delivers_what_moved_and_repeats_after_a_while() -> None:
    numbers = [
        ModbusTag(name="t", address=i, type=RegisterType.FLOAT32, deadband=d) for i, d in ((0, 0.5), (2, 0), (4, None))
    ]
    bands = Deadbands(numbers, repeat_after_us=100)

    def worth(at_us: int, *values: float | None, status: int = 0) -> list[bool]:
        return [bool(one) for one in bands.worth(columns(*values, status=status), np.full(3, at_us, np.int64))]

    assert worth(0, 1.0, 1.0, 1.0) == [True, True, True]
    assert worth(1, 1.4, 1.0, 1.0) == [False, False, True]
    assert worth(2, 1.6, 1.1, 1.0) == [True, True, True]
    assert worth(3, float("nan"), 1.1, 1.0) == [True, False, True]
    assert worth(4, float("nan"), 1.1, 1.0) == [False, False, True]
    assert worth(5, None, None, None, status=STATUS_BAD) == [True, True, True]
    assert worth(200, None, None, None, status=STATUS_BAD) == [True, True, True]


def test_nan_survives_the_batch() -> None:
    batch = _batch(np.arange(2), columns(float("nan"), None), np.zeros(2, np.int64), np.arange(2))
    assert pa.compute.is_nan(batch.column("value_double")).to_pylist() == [True, None]


@pytest.mark.parametrize(
    ("tag", "field"),
    [
        ({"address": 70_000}, "address"),
        ({"address": 1, "type": "float128"}, "type"),
        ({"address": 1, "type": "string"}, "tags.0"),
        ({"address": 1, "type": "bool"}, "tags.0"),
        ({"address": 65_535, "type": "float64"}, "tags.0"),
        ({"address": 1, "encoding": "klingon", "type": "string", "words": 2}, "tags.0"),
        ({"address": 1, "space": "coil", "scale": 2.0}, "tags.0"),
        ({"address": 1, "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_map_is_one_error_that_names_the_field(tag: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigWrong) as caught:
        read_config_of(SPEC, {"host": "h", "tags": [{"name": "t"} | tag]}, "source 'x' (modbus)")
    assert field in str(caught.value.fields["field"])
    assert "\n" not in str(caught.value)


def test_the_same_address_twice_is_refused() -> None:
    with pytest.raises(ConfigWrong, match="both 1/holding/1:uint16"):
        read_config_of(SPEC, {"host": "h", "tags": [{"name": n, "address": 1} for n in "ab"]}, "source 'x' (modbus)")


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_none(text: str) -> None:
    try:
        found = parse_address(text)
    except GongshuError:
        pytest.fail("no error is meant here")
    assert found is None or found.key(1) == text


def test_addresses_read_back() -> None:
    for text in ("1/holding/40:float32", "2/input/7.3:bool", "1/coil/5:bool", "1/holding/9:string[8]"):
        tag = parse_address(text)
        assert tag is not None
        assert tag.key(99) == text


def test_the_config_names_its_endpoint_without_more() -> None:
    config = ModbusConfig(host="10.0.0.5", tags=(ModbusTag(name="t", address=0),))
    assert config.endpoint == "modbus://10.0.0.5:502"

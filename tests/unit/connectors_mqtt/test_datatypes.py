"""Sparkplug's data types, extremes included; and the generated module against the installed protobuf."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.gather.connectors.mqtt.datatypes import DataType, WireMismatch, decode_value, value_type_of
from gongshu.gather.connectors.mqtt.payload import Payload


def metric(**value: Any) -> Any:
    return Payload.Metric(**value)


@given(st.sampled_from([8, 16, 32, 64]), st.data())
def test_signed_numbers_survive_every_width_of_twos_complement(bits: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    code = {8: DataType.INT8, 16: DataType.INT16, 32: DataType.INT32, 64: DataType.INT64}[bits]
    for width in {bits, 32, 64}:
        if width >= bits:
            field = "long_value" if width == 64 else "int_value"
            assert decode_value(metric(**{field: number % 2**width}), code) == number


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (DataType.INT8, {"int_value": 300}),
        (DataType.UINT8, {"int_value": 256}),
        (DataType.INT32, {"double_value": 1.0}),
        (DataType.BOOLEAN, {"int_value": 1}),
        (DataType.STRING, {"bytes_value": b"x"}),
        (DataType.INT16_ARRAY, {"bytes_value": b"\x01"}),
        (DataType.BOOLEAN_ARRAY, {"bytes_value": b"\xff\xff\xff\xff"}),
        (DataType.BOOLEAN_ARRAY, {"bytes_value": b"\x01"}),
        (DataType.STRING_ARRAY, {"bytes_value": b"no end"}),
        (DataType.STRING_ARRAY, {"bytes_value": b"\xff\x00"}),
        (DataType.DATASET, {"int_value": 1}),
        (DataType.INT32, {}),
    ],
)
def test_what_the_type_cannot_be_is_refused_not_bent(code: int, value: dict[str, Any]) -> None:
    with pytest.raises(WireMismatch):
        decode_value(metric(**value), code)


def test_arrays_are_read_as_the_standard_packs_them() -> None:
    packed = bytes([0x0C, 0, 0, 0, 0x34, 0xD0])
    flags = [False, False, True, True, False, True, False, False, True, True, False, True]
    assert decode_value(metric(bytes_value=packed), DataType.BOOLEAN_ARRAY) == flags
    assert decode_value(metric(bytes_value=struct.pack("<2Q", 0, 2**64 - 1)), DataType.UINT64_ARRAY) == [0, 2**64 - 1]
    assert decode_value(metric(bytes_value=b"ABC\x00hello\x00"), DataType.STRING_ARRAY) == ["ABC", "hello"]


def test_every_type_is_held_or_refused_and_none_forgotten() -> None:
    refused = {code for code in DataType if value_type_of(code) is None}
    assert refused == {
        DataType.UNKNOWN, DataType.DATASET, DataType.TEMPLATE, DataType.PROPERTYSET, DataType.PROPERTYSETLIST
    }  # fmt: skip
    assert value_type_of(12345) is None


def test_the_generated_module_fits_the_installed_protobuf() -> None:
    payload = Payload(seq=3)
    payload.metrics.add(name="x", alias=7, datatype=3, int_value=4294967284)
    assert payload.SerializeToString().hex() == "120d0a01781007200350f4ffffff0f1803"

"""Addresses of values that are not in the register map, as text: `unit/space/address[.bit]:type[words]`. Pure."""

import re

from pydantic import ValidationError

from gongshu.gather.connectors.modbus.config import ModbusTag

_FORM = re.compile(
    r"(?P<unit_id>\d{1,3})/(?P<space>coil|discrete|input|holding)/(?P<address>\d{1,5})(\.(?P<bit>\d{1,2}))?"
    r":(?P<type>[a-z0-9]+)(\[(?P<words>\d{1,3})\])?"
)


def parse_address(address: str) -> ModbusTag | None:
    """Return a tag with everything that the address says, high word first; None if it is no such address.

    >>> parse_address("1/holding/40:float32").width
    2
    """
    match = _FORM.fullmatch(address)
    if match is None:
        return None
    try:
        return ModbusTag.model_validate({"name": address, **{k: v for k, v in match.groupdict().items() if v}})
    except ValidationError:
        return None

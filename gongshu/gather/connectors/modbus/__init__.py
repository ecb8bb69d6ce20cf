"""Modbus TCP: registers and coils of a map that the owner gives become readings; merged reads, one poll cycle a group.

This connector must not know assets, grades or storage, and it has no function code that writes.
"""

from gongshu.gather.connector import Can, ConnectorSpec

SPEC = ConnectorSpec(
    name="modbus",
    title_zh="Modbus TCP 主站",
    title_en="Modbus TCP client",
    opens="gongshu.gather.connectors.modbus.client:ModbusConnector",
    config="gongshu.gather.connectors.modbus.config:ModbusConfig",
    can=frozenset({Can.READ, Can.POLL}),
    sources=(
        "MODBUS Application Protocol Specification V1.1b3, §6.1 to §6.4 (reading) and §7 (exceptions)",
        "MODBUS Messaging on TCP/IP Implementation Guide V1.0b, §3.1 (header)",
    ),
    source_time=False,
)

"""OPC UA client: subscribes with several publish requests in flight, accounts for every value, trusts no certificate
that nobody vouched for. It must not know the catalogue or the lake, and it never writes to a server (I4)."""

from gongshu.gather.connector import Can, ConnectorSpec

SPEC = ConnectorSpec(
    name="opcua",
    title_zh="OPC UA 客户端",
    title_en="OPC UA client",
    opens="gongshu.gather.connectors.opcua.connector:open_opcua",
    config="gongshu.gather.connectors.opcua.config:OpcUaConfig",
    can=frozenset({Can.BROWSE, Can.READ, Can.SUBSCRIBE}),
    sources=(
        "OPC 10000-4 §5.8 View",
        "OPC 10000-4 §5.10 Attribute",
        "OPC 10000-4 §5.12 MonitoredItem",
        "OPC 10000-4 §5.13 Subscription",
        "OPC 10000-4 §6.1.3 certificate validation",
        "OPC 10000-6 §5.2 binary encoding",
    ),
)

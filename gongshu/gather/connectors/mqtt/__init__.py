"""MQTT: plain JSON of any shape, and Sparkplug B 3.0 as a host application that orders, doubts and asks again.

It must not know the catalogue or the lake. What it sends is the protocol's own talk: subscriptions, its STATE, and
requests for a rebirth; never a value to a device (I4, docs/decisions/0018-rebirth-is-a-request-for-data.md)."""

from gongshu.gather.connector import Can, ConnectorSpec

SPEC = ConnectorSpec(
    name="mqtt",
    title_zh="MQTT 与 Sparkplug B",
    title_en="MQTT and Sparkplug B",
    opens="gongshu.gather.connectors.mqtt.connector:open_mqtt",
    config="gongshu.gather.connectors.mqtt.config:MqttConfig",
    can=frozenset({Can.SUBSCRIBE}),
    sources=(
        "MQTT 5.0 §4.3 quality of service, §3.1.2.4 clean start, §3.3.4 receive maximum",
        "MQTT 3.1.1",
        "Sparkplug 3.0 §4 topics, §5 operational behavior, §6 payloads",
    ),
)

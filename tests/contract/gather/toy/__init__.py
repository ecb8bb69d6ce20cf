"""A small protocol of JSON lines over TCP: the suite is tried on it, sound and with planted faults."""

from gongshu.gather.connector import Can, ConnectorSpec

SPEC = ConnectorSpec(
    name="toy",
    title_zh="玩具协议",
    title_en="Toy protocol",
    opens="tests.contract.gather.toy.client:ToyConnector",
    config="tests.contract.gather.toy.config:ToyConfig",
    can=frozenset({Can.BROWSE, Can.READ, Can.SUBSCRIBE}),
    sources=("none: it exists only here",),
)

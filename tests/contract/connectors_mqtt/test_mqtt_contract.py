"""MQTT against the contract of all connectors, in both its forms."""

import pytest

from gongshu.gather.connectors.mqtt import SPEC
from gongshu.testing.connector_contract import ConnectorContract, Gap
from gongshu.testing.rig import Rig
from tests.contract.connectors_mqtt.rig import JsonRig, SparkplugRig


@pytest.mark.mosquitto
class TestPlainJson(ConnectorContract):
    spec = SPEC
    gaps = {  # noqa: RUF012 - the contract reads it as a ClassVar
        "test_c05_one_spoilt_tag_does_not_lose_the_others": Gap("never", "plain JSON carries no quality"),
        "test_c07_maps_every_quality_and_unknown_is_never_good": Gap("never", "plain JSON carries no quality"),
        "test_c09_says_so_when_the_device_dropped_some": Gap("never", "plain JSON carries no sequence numbers"),
    }

    def make_rig(self) -> Rig:
        return JsonRig()


@pytest.mark.mosquitto
class TestSparkplug(ConnectorContract):
    spec = SPEC

    def make_rig(self) -> Rig:
        return SparkplugRig()

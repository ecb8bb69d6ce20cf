"""OPC UA against the contract of all connectors."""

from gongshu.gather.connectors.opcua import SPEC
from gongshu.testing.connector_contract import ConnectorContract
from gongshu.testing.rig import Rig
from tests.contract.connectors_opcua.rig import OpcUaRig


class TestOpcUa(ConnectorContract):
    spec = SPEC

    def make_rig(self) -> Rig:
        return OpcUaRig()

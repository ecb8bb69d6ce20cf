"""Modbus TCP passes the contract against two servers of different makers."""

from gongshu.gather.connectors.modbus import SPEC
from gongshu.testing.connector_contract import ConnectorContract, Gap, Rig
from tests.contract.gather.modbus_rigs import PymodbusRig, PyModbusTcpRig

GAPS = {
    "test_c02_refuses_a_wrong_credential_in_time_with_our_error": Gap("never", "Modbus has no credentials"),
    "test_c04_source_time_is_utc": Gap("never", "Modbus values carry no device time"),
    "test_c15_takes_a_rotated_credential": Gap("never", "Modbus has no credentials"),
}


class TestPymodbusServer(ConnectorContract):
    spec = SPEC
    gaps = GAPS

    def make_rig(self) -> Rig:
        return PymodbusRig()


class TestPyModbusTcpServer(ConnectorContract):
    spec = SPEC
    gaps = GAPS

    def make_rig(self) -> Rig:
        return PyModbusTcpRig()

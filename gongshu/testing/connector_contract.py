"""The suite that every connector passes, ours and strangers'. Make a class of it and supply a rig:

    class TestS7(ConnectorContract):
        spec = SPEC
        gaps = {"test_c04_source_time_is_utc": Gap("never", "S7 values carry no device time")}

        def make_rig(self) -> Rig:
            return S7Rig()

Clauses C01 to C17 stand in `docs/connectors/contract.md`. A clause in brackets of an ability is not collected where
`SPEC` does not declare it. A gap is strict: one that has closed fails, and so does one that names no clause.
"""

from gongshu.testing.clauses_link import LinkClauses
from gongshu.testing.clauses_opening import OpeningClauses
from gongshu.testing.clauses_values import ValueClauses
from gongshu.testing.contract_base import Gap, needs
from gongshu.testing.rig import Native, Rig, TcpRig

__all__ = ["ConnectorContract", "Gap", "Native", "Rig", "TcpRig", "needs"]


class ConnectorContract(OpeningClauses, ValueClauses, LinkClauses):
    """Every connector passes this suite, or says why not in `gaps`."""

"""Cedar policies: checked against a schema when deployed, parsed once, and closed on any error of evaluation.

`text` finds faults in a policy text, `obligations` reads what permits demand, `compiled` decides (all pure); `service`
stores versions. `default.cedar` is what a new node starts with, `schema.cedarschema` says what policies may ask.
"""

from gongshu.secure.policy.compiled import CompiledPolicies, Verdict
from gongshu.secure.policy.service import PolicyService, PolicyVersion
from gongshu.secure.policy.text import PolicyFault, find_faults

__all__ = ["CompiledPolicies", "PolicyFault", "PolicyService", "PolicyVersion", "Verdict", "find_faults"]

"""Apps: what each needs of the data, whether the data meet it, what came of a run, and where every figure is from.

An app is one frozen declaration found by entry point (`spec`). `bindings` proposes which series play its roles,
`judging` says whether they hold what was asked, `service` runs an app on data that do and refuses data that do not.
This room reads through the gate alone and writes derived datasets through the store; it must not know the lake.
"""

from gongshu.apply.model import AssetBinding, Explanation, Finding, Outcome, RunReport
from gongshu.apply.spec import AppSpec, InputSpec, OutputSpec, ParamSpec, QualityNeed, ValueKind

__all__ = [
    "AppSpec",
    "AssetBinding",
    "Explanation",
    "Finding",
    "InputSpec",
    "Outcome",
    "OutputSpec",
    "ParamSpec",
    "QualityNeed",
    "RunReport",
    "ValueKind",
]

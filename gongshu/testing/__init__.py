"""Suites that strangers can run on their own plug-ins: `connector_contract` holds a connector to seventeen clauses,
`identity_contract` a scheme of identity to what attackers try.

Needs pytest, pytest-asyncio and hypothesis, which the platform itself does not. `cable` lies between a connector and a
real far end and can be cut, held and spoilt; `rig` is what an author supplies; `quality` judges the answers on the
quality scale. Nothing here is imported by the platform.
"""

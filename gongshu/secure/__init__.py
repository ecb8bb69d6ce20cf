"""Room five (安全): who asks, what the policy says, the one way out, and the proof of both.

`identity` proves who asks · `parties`, `keys`, `peer_tokens` prove which organisation asks · `policy` holds the Cedar
policies · `gate` is the one way out of the lake · `audit` is the tamper-evident log. Import from these modules: this
file loads none of them, so that a process which only writes audit records stays small.

This room must not know what a contract, an app or a report is; those rooms ask it as subjects.
"""

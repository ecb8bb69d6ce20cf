"""The audit log: an RFC 6962 Merkle log in the metadata database, with signed checkpoints.

`merkle` and `leaf` are pure; `note` writes checkpoints; `log` stores; `export` writes the file that
`gongshu audit verify` reads. The verifier (`gongshu/audit_verifier.py`) shares no code with this package.
"""

from gongshu.secure.audit.log import AuditEntry, AuditLog

__all__ = ["AuditEntry", "AuditLog"]

"""The policies in force, and those that were. A new version is checked before it is stored; every change is audited."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import SubjectId
from gongshu.secure.errors import PolicyInvalid
from gongshu.secure.policy.compiled import CompiledPolicies
from gongshu.secure.policy.text import PolicyFault, default_text, find_faults
from gongshu.secure.tables import policy_versions


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One deployed text. Version 0 is what the package ships, in force until something is deployed."""

    version: int
    text_hash: str
    author: str
    deployed_at: datetime | None


class PolicyService:
    """Stores policies; several processes see a new version with their next request."""

    def __init__(self, database: Database, audit: AuditSink, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._lock = threading.Lock()
        self._compiled: tuple[int, CompiledPolicies] | None = None

    def check(self, text: str) -> list[PolicyFault]:
        """Return what is wrong with a text, by line; empty means that it can be deployed."""
        return find_faults(text)

    def deploy(self, text: str, actor: SubjectId | str) -> PolicyVersion:
        """Put a text in force and return its version.

        Raises: PolicyInvalid with every fault and its line; the former version stays in force.
        """
        if faults := find_faults(text):
            self._audit.write(
                AuditEvent(self._clock(), str(actor), "policy.refused", "policy", "failed", {"faults": len(faults)})
            )
            raise PolicyInvalid(findings="; ".join(map(str, faults[:10])))
        digest, now = hashlib.sha256(text.encode("utf-8")).hexdigest(), self._clock()
        with self._database.begin() as connection:
            version = (connection.execute(sa.select(sa.func.max(policy_versions.c.version))).scalar() or 0) + 1
            connection.execute(
                sa.insert(policy_versions).values(
                    version=version, text=text, text_hash=digest, author=str(actor), deployed_at=now
                )
            )
            details = {"version": version, "sha256": digest}
            self._audit.write(AuditEvent(now, str(actor), "policy.deployed", f"policy:{version}", "ok", details))
        return PolicyVersion(version, digest, str(actor), now)

    def active(self) -> str:
        """Return the text in force."""
        return self._newest()[1]

    def version(self) -> int:
        """Return the version in force; 0 is the text that the package ships."""
        with self._database.connect() as connection:
            return connection.execute(sa.select(sa.func.max(policy_versions.c.version))).scalar() or 0

    def versions(self) -> list[PolicyVersion]:
        """Return all versions, newest first, the shipped one last."""
        shipped = PolicyVersion(0, hashlib.sha256(default_text().encode("utf-8")).hexdigest(), "system:package", None)
        query = sa.select(policy_versions).order_by(policy_versions.c.version.desc())
        with self._database.connect() as connection:
            rows = connection.execute(query).all()
        return [*(PolicyVersion(r.version, r.text_hash, r.author, r.deployed_at) for r in rows), shipped]

    def compiled(self) -> CompiledPolicies:
        """Return the policies in force, parsed; parsed again only after a change."""
        version = self.version()
        with self._lock:
            if self._compiled is None or self._compiled[0] != version:
                number, text = self._newest()
                self._compiled = (number, CompiledPolicies(text))
            return self._compiled[1]

    def _newest(self) -> tuple[int, str]:
        query = sa.select(policy_versions.c.version, policy_versions.c.text).order_by(policy_versions.c.version.desc())
        with self._database.connect() as connection:
            row = connection.execute(query.limit(1)).first()
        return (0, default_text()) if row is None else (row.version, row.text)

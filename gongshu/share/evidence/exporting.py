"""Exports the evidence of one contract, as this side has it."""

from pathlib import Path

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.access import Role, Subject
from gongshu.model.audit import AuditEvent
from gongshu.model.ids import PartyId
from gongshu.secure.audit import AuditLog
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.share.evidence.bundle import write_bundle
from gongshu.share.evidence.errors import BundleUnwritable
from gongshu.share.evidence.gathering import agreement_row, gather, read_audit
from gongshu.share.keeping.chain import moment
from gongshu.share.ports import Clock
from gongshu.share.rights import DEALERS, require_right


class Exporter:
    """Writes bundles for one node."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        parties: PartyRegistry,
        log: AuditLog,
        clock: Clock,
        own_party_id: PartyId,
    ) -> None:
        self._database = database
        self._keys = keys
        self._parties = parties
        self._log = log
        self._clock = clock
        self._own = own_party_id

    def export(self, agreement_id: str, path: Path, actor: Subject) -> int:
        """Write the evidence of one contract to a file and return the number of its records.

        Raises: NotAllowed, AgreementUnknown, BundleUnwritable.
        Cost: every hash of the audit log once; the records of this contract one by one.
        """
        require_right(actor, DEALERS | {Role.AUDIT_ADMIN}, "export the evidence of a contract")
        with self._database.connect() as connection:
            agreement = agreement_row(connection, agreement_id)
        event = AuditEvent(self._clock(), actor.subject_id, "evidence.exported", agreement_id, "ok")
        self._log.write(event)
        note, records = read_audit(self._database, self._log, agreement_id)
        header = {
            "agreement": agreement_id,
            "contract_hash": agreement.policy_hash,
            "party": self._own,
            "counterparty": agreement.counterparty,
            "side": agreement.side,
            "written_at": moment(self._clock()),
            "keys": self._known_keys(PartyId(agreement.counterparty)),
            "checkpoint": note,
        }
        try:
            return write_bundle(path, header, gather(self._database, agreement_id, records), self._keys.sign)
        except OSError as cause:
            reason = cause.strerror or type(cause).__name__
            raise BundleUnwritable(agreement_id=agreement_id, file=path, reason=reason) from cause

    def fingerprint(self) -> str:
        """Return the fingerprint that a reader of our bundles has to compare."""
        return self._keys.fingerprint()

    def _known_keys(self, counterparty: PartyId) -> dict[str, str]:
        keys = {str(self._own): self._keys.public_key_raw().hex()}
        try:
            keys[str(counterparty)] = self._parties.get(counterparty).public_key.public_bytes_raw().hex()
        except GongshuError:
            return keys  # it is not registered any more, or proves itself without a key of its own
        return keys

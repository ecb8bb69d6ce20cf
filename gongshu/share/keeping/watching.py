"""The provider's side: receipts and deletion proofs of partners are checked, kept, and missed when they stay away."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database, settles_races
from gongshu.errors import GongshuError
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.parties import PartyRegistry
from gongshu.share.agreements import find_agreement, require_bound
from gongshu.share.dsp.reader import read_plain
from gongshu.share.dsp.states import Side
from gongshu.share.errors import MessageInvalid, ReceiptInvalid
from gongshu.share.judging import end_of
from gongshu.share.keeping.chain import (
    PROOF_DOMAIN,
    RECEIPT_DOMAIN,
    canonical,
    hash_of,
    is_signed,
    link_fault,
    proof_fault,
    receipt_fault,
)
from gongshu.share.keeping.model import Deletion, Fault
from gongshu.share.keeping.tables import deletion_proofs, receipt_faults, usage_receipts
from gongshu.share.model import Agreement, AgreementStatus
from gongshu.share.policy import SharePolicy
from gongshu.share.ports import Clock
from gongshu.share.quotas import ENTRIES_MAX, FAULTS_MAX, PROOFS_MAX, entries_max
from gongshu.share.tables import share_agreements, share_deliveries
from gongshu.share.terms import Phase, Terms

_logger = logging.getLogger(__name__)

BATCH_MAX = 1000
ENDED, OVERDUE, SILENCE, GAP = "ended", "overdue", "silence", "gap"
_R, _F, _P, _A = usage_receipts.c, receipt_faults.c, deletion_proofs.c, share_agreements.c


class Watch:
    """What partners tell of the data they received from us."""

    def __init__(
        self,
        database: Database,
        parties: PartyRegistry,
        audit: AuditSink,
        clock: Clock,
        *,
        silence_max: timedelta | None,
        deletion_grace: timedelta,
    ) -> None:
        self._database = database
        self._parties = parties
        self._audit = audit
        self._clock = clock
        self._silence_max = silence_max
        self._grace = deletion_grace

    # ---- receipts ---------------------------------------------------------------------------------------------------

    def take_receipts(self, party: PartyId, body: bytes) -> dict[str, Any]:
        """Check and keep a batch of a partner's receipts; return the hashes of those that are kept now.

        Raises: MessageInvalid, ReceiptInvalid; those before the one that is wrong are kept.
        """
        document = read_plain(body, "the receipts")
        batch = document.get("receipts")
        if not isinstance(batch, list) or len(batch) > BATCH_MAX:
            raise MessageInvalid(what="the receipts", reason=f"it holds no list of at most {BATCH_MAX} receipts")
        accepted = [self._take_receipt(party, entry) for entry in batch]
        return {"accepted": accepted}

    @settles_races
    def _take_receipt(self, party: PartyId, entry: object) -> str:
        body, signature = _entry(entry, "a receipt")
        if fault := receipt_fault(body):
            raise MessageInvalid(what="a receipt", reason=fault)
        agreement = self._agreement(party, body["contract"], "A receipt")
        if body["sequence"] > (most := entries_max(ENTRIES_MAX, agreement.agreed_at, self._clock())):
            raise MessageInvalid(what="a receipt", reason=f"a contract has at most {most} receipts by now")
        text, sequence = canonical(body), body["sequence"]
        if not is_signed(RECEIPT_DOMAIN, text, signature, self._parties.get(party).public_key):
            self._fault(agreement.agreement_id, "forged", sequence, "a receipt without the partner's signature")
            raise ReceiptInvalid(what="A receipt", agreement_id=agreement.agreement_id, reason="it is not signed")
        mine = (_R.direction == "in", _R.agreement_id == agreement.agreement_id)
        with self._database.begin() as connection:
            near = sa.select(_R.sequence, _R.body_hash, _R.body).where(
                *mine, _R.sequence.between(sequence - 1, sequence + 1)
            )
            rows = {row.sequence: row for row in connection.execute(near)}
            known = {number: row.body_hash for number, row in rows.items()}
            digest = hash_of(text)
            if known.get(sequence) == digest:
                return digest
            wrong = (
                ("fork", f"two receipts {sequence} that differ")
                if sequence in known
                else link_fault(sequence, body["previous"], known=known, first_hash=agreement.policy_hash)
            )
            following = rows.get(sequence + 1)
            if following is not None and orjson.loads(following.body)["previous"] != digest:
                wrong = ("fork", f"receipt {sequence + 1} does not follow on this receipt {sequence}")
            if wrong is None or wrong[0] == GAP:
                connection.execute(
                    sa.insert(usage_receipts).values(
                        direction="in",
                        agreement_id=agreement.agreement_id,
                        sequence=sequence,
                        counterparty=party,
                        body=text,
                        body_hash=digest,
                        signature=signature,
                        at=self._clock(),
                    )
                )
                self._close_gap(connection, agreement.agreement_id, sequence)
        if wrong is not None:
            self._fault(agreement.agreement_id, wrong[0], sequence, wrong[1])
            if wrong[0] != GAP:
                raise ReceiptInvalid(what="A receipt", agreement_id=agreement.agreement_id, reason=wrong[1])
        return digest

    def _close_gap(self, connection: sa.Connection, agreement_id: str, sequence: int) -> None:
        """A receipt that came late fills the gap before the next one."""
        mine = (_F.agreement_id == agreement_id, _F.kind == GAP, _F.sequence == sequence + 1)
        connection.execute(sa.delete(receipt_faults).where(*mine))

    # ---- proofs -----------------------------------------------------------------------------------------------------

    @settles_races
    def take_proof(self, party: PartyId, body: bytes) -> dict[str, Any]:
        """Check and keep a partner's proof that it deleted what it received; asking twice changes nothing.

        Raises: MessageInvalid, ReceiptInvalid.
        """
        proof, signature = _entry(read_plain(body, "the deletion proof"), "a deletion proof")
        if fault := proof_fault(proof):
            raise MessageInvalid(what="a deletion proof", reason=fault)
        agreement = self._agreement(party, proof["contract"], "A deletion proof")
        text = canonical(proof)
        if not is_signed(PROOF_DOMAIN, text, signature, self._parties.get(party).public_key):
            self._fault(agreement.agreement_id, "forged", 0, "a deletion proof without the partner's signature")
            raise ReceiptInvalid(
                what="A deletion proof", agreement_id=agreement.agreement_id, reason="it is not signed"
            )
        self._ended_at(
            agreement
        )  # the end is written down first: a proof that comes at once must not seem to precede it
        key = {"fingerprint": proof["key"][:64], "agreement_id": agreement.agreement_id}
        with self._database.begin() as connection:
            mine = (_P.fingerprint == key["fingerprint"], _P.agreement_id == key["agreement_id"])
            if connection.execute(sa.select(_P.body).where(*mine)).first() is None:
                held = sa.select(sa.func.count()).where(_P.agreement_id == agreement.agreement_id)
                if connection.execute(held).scalar_one() >= PROOFS_MAX:
                    reason = f"a contract has at most {PROOFS_MAX} of them"
                    raise ReceiptInvalid(what="A deletion proof", agreement_id=agreement.agreement_id, reason=reason)
                values = {"counterparty": party, "body": text, "signature": signature, "received_at": self._clock()}
                connection.execute(sa.insert(deletion_proofs).values(**key, **values))
                details = {"key": key["fingerprint"], "files": len(proof["files"]), "reason": proof["reason"][:300]}
                self._write("deletion.proved", agreement.agreement_id, details, actor=f"partner:{party}")
        return {"accepted": hash_of(text)}

    # ---- what stays away --------------------------------------------------------------------------------------------

    def why_silent(self, agreement: Agreement) -> str | None:
        """Return why nothing is delivered to a partner that owes receipts, None if it may have more."""
        if self._silence_max is None or agreement.side is not Side.PROVIDER or not owes_receipts(agreement.terms):
            return None
        with self._database.connect() as connection:
            heard = self._heard(connection, agreement.agreement_id)
        if heard is None or self._clock() - heard <= self._silence_max:
            return None
        return f"its receipts of use are missing since {heard:%Y-%m-%dT%H:%M:%SZ}; data flow again when they come"

    def tend(self) -> int:
        """Raise an alarm, once each, for partners that are silent or owe a deletion proof; return how many."""
        raised = 0
        for line in self.deletions():
            if line.state == "overdue":
                raised += self._fault(line.agreement_id, OVERDUE, 0, f"no deletion proof since {line.since:%Y-%m-%d}")
        with self._database.connect() as connection:
            query = sa.select(_A.agreement_id).where(_A.side == Side.PROVIDER, _A.status == AgreementStatus.ACTIVE)
            active = list(connection.execute(query).scalars())
        for agreement_id in active:
            agreement = self._readable(agreement_id)
            if agreement is not None and (why := self.why_silent(agreement)):
                raised += self._fault(agreement_id, SILENCE, self._last_sequence(agreement_id), why)
        return raised

    def deletions(self) -> list[Deletion]:
        """Return how the deletions stand that partners owe us or have proved, by contract."""
        with self._database.connect() as connection:
            proofs = list(connection.execute(sa.select(deletion_proofs).order_by(_P.received_at)))
            delivered = sa.select(share_deliveries.c.agreement_id).where(
                share_deliveries.c.direction == "out", share_deliveries.c.rows > 0
            )
            query = sa.select(_A.agreement_id).where(_A.side == Side.PROVIDER, _A.agreement_id.in_(delivered))
            ours = list(connection.execute(query).scalars())
        by_contract: dict[str, list[Any]] = {}
        for row in proofs:
            by_contract.setdefault(row.agreement_id, []).append(row)
        lines = [self._line(agreement_id, by_contract.get(agreement_id, [])) for agreement_id in ours]
        return [line for line in lines if line is not None]

    def faults(self, agreement_id: str = "") -> list[Fault]:
        """Return what was wrong with partners' receipts, newest first."""
        query = sa.select(receipt_faults).where(_F.kind != ENDED).order_by(_F.fault_id.desc())
        if agreement_id:
            query = query.where(_F.agreement_id == agreement_id)
        with self._database.connect() as connection:
            return [
                Fault(row.agreement_id, row.kind, row.sequence, row.seen, row.at) for row in connection.execute(query)
            ]

    def _line(self, agreement_id: str, proofs: list[Any]) -> Deletion | None:
        agreement = self._readable(agreement_id)
        if agreement is None:
            return None
        ended = self._ended_at(agreement)
        last = proofs[-1] if proofs else None
        files = sum(len(orjson.loads(row.body)["files"]) for row in proofs)
        line = Deletion(
            direction="in",
            agreement_id=agreement_id,
            counterparty=agreement.counterparty,
            state="proved",
            since=ended or agreement.agreed_at,
            proved_at=last.received_at if last is not None else None,
            fingerprint=last.fingerprint if last is not None else "",
            files=files,
            reason=agreement.reason,
        )
        if ended is None or (last is not None and last.received_at >= ended):
            return line if last is not None else None
        if not (owes_receipts(agreement.terms) or self._last_sequence(agreement_id)):
            return None  # a partner whose node neither promised nor ever told anything owes no proof
        state = "overdue" if self._clock() > ended + self._grace else "due"
        return Deletion(**{name: getattr(line, name) for name in Deletion.__slots__} | {"state": state})

    def _ended_at(self, agreement: Agreement) -> datetime | None:
        end, now = end_of(agreement.terms, agreement.agreed_at), self._clock()
        if end is not None and end < now:
            return end
        if agreement.status is not AgreementStatus.RETIRED:
            return None
        self._fault(agreement.agreement_id, ENDED, 0, agreement.reason[:300])
        with self._database.connect() as connection:
            mine = (_F.agreement_id == agreement.agreement_id, _F.kind == ENDED)
            found: datetime | None = connection.execute(sa.select(_F.at).where(*mine)).scalar()
        return found

    def _heard(self, connection: sa.Connection, agreement_id: str) -> datetime | None:
        """The last sign of life: a receipt, else the first delivery; None while nothing was delivered."""
        receipts = sa.select(sa.func.max(_R.at)).where(_R.direction == "in", _R.agreement_id == agreement_id)
        d = share_deliveries.c
        first = sa.select(sa.func.min(d.started_at)).where(
            d.direction == "out", d.agreement_id == agreement_id, d.rows > 0
        )
        begun: datetime | None = connection.execute(first).scalar()
        heard: datetime | None = connection.execute(receipts).scalar()
        return None if begun is None else max(begun, heard or begun)

    def _last_sequence(self, agreement_id: str) -> int:
        query = sa.select(sa.func.max(_R.sequence)).where(_R.direction == "in", _R.agreement_id == agreement_id)
        with self._database.connect() as connection:
            return int(connection.execute(query).scalar() or 0)

    def _agreement(self, party: PartyId, agreement_id: str, what: str) -> Agreement:
        with self._database.connect() as connection:
            agreement = find_agreement(connection, agreement_id)
        if agreement.counterparty != party or agreement.side is not Side.PROVIDER:
            raise ReceiptInvalid(what=what, agreement_id=agreement_id[:200], reason="it is no contract with this party")
        return require_bound(agreement)

    def _readable(self, agreement_id: str) -> Agreement | None:
        try:
            with self._database.connect() as connection:
                return find_agreement(connection, agreement_id)
        except GongshuError:
            return None

    @settles_races
    def _fault(self, agreement_id: str, kind: str, sequence: int, seen: str) -> bool:
        """Write a fault down, once; True if it is new."""
        with self._database.begin() as connection:
            mine = (_F.agreement_id == agreement_id, _F.kind == kind, _F.sequence == sequence)
            if connection.execute(sa.select(_F.fault_id).where(*mine)).first() is not None:
                return False
            held = sa.select(sa.func.count()).where(_F.agreement_id == agreement_id, _F.kind == kind)
            if connection.execute(held).scalar_one() >= FAULTS_MAX:
                return False
            values = {"agreement_id": agreement_id, "kind": kind, "sequence": sequence, "seen": seen}
            connection.execute(sa.insert(receipt_faults).values(**values, at=self._clock()))
            if kind != ENDED:
                self._write(f"usage.{kind}", agreement_id, {"sequence": sequence, "seen": seen[:300]}, outcome="failed")
        if kind in (OVERDUE, SILENCE):
            _logger.warning("agreement %s: %s", agreement_id, seen)
        return True

    def _write(
        self, action: str, what: str, details: Mapping[str, Any], *, outcome: str = "ok", actor: str = "system:share"
    ) -> None:
        self._audit.write(AuditEvent(self._clock(), actor, action, what, outcome, dict(details)))


class WatchedPolicy(SharePolicy):
    """The provider's judgements, and: nothing more to a partner that does not tell what it does with what it has."""

    def __init__(self, watch: Watch, *parts: Any) -> None:
        super().__init__(*parts)
        self._watch = watch

    def why_not_use(
        self, agreement: Agreement, phase: Phase, *, purpose: str = "", columns: frozenset[str] = frozenset()
    ) -> str | None:
        """Return why nothing may be delivered under the agreement now, None if it may."""
        why_not = super().why_not_use(agreement, phase, purpose=purpose, columns=columns)
        return why_not or self._watch.why_silent(agreement)


def owes_receipts(terms: Terms) -> bool:
    """True if the terms can only be kept by the partner's node, which therefore has to tell what it does."""
    only_there = {"delete_after_s"} if terms.delete_after_s is not None else set()
    only_there |= {"no_onward"} if terms.no_onward else set()
    return bool(only_there - terms.legal_only)


def _entry(entry: object, what: str) -> tuple[dict[str, Any], str]:
    body = entry.get("body") if isinstance(entry, dict) else None
    signature = entry.get("signature") if isinstance(entry, dict) else None
    if not isinstance(body, dict) or not isinstance(signature, str):
        raise MessageInvalid(what=what, reason="it is not a body with a signature")
    return body, signature

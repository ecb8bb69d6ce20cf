"""Agreements in the database: written once, checked against their hash, counted, retired."""

from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.model.ids import PartyId
from gongshu.prepared import Prepared
from gongshu.secure.tables import parties
from gongshu.share.automation import Action
from gongshu.share.contract_tables import share_contract_signatures, share_contracts
from gongshu.share.dsp.states import Side, State
from gongshu.share.errors import (
    AgreementUnknown,
    ContractFrozen,
    EvidenceDamaged,
    PartyChanged,
    ReasonMissing,
    TermsUnknown,
)
from gongshu.share.model import Agreement, AgreementStatus, Record
from gongshu.share.odrl import canonical_text, read_terms, text_hash
from gongshu.share.processes import queue_reaction, transfers_under
from gongshu.share.tables import share_agreements, share_offers, share_processes, share_tokens
from gongshu.share.terms import Terms

_A = share_agreements.c
_C = share_contracts.c
_MINE = _A.agreement_id == sa.bindparam("asked_id")
_PROOF = sa.func.coalesce(parties.c.proof, "").label("proof_now")
_WITH_PROOF = sa.select(share_agreements, _PROOF).outerjoin(parties, parties.c.party_id == _A.counterparty)
_FIND = Prepared(_WITH_PROOF.where(_MINE))
_OWNER = Prepared(sa.select(_A.negotiation_id).where(_MINE))
_INSERT = Prepared(sa.insert(share_agreements))
_P = share_processes.c
_LOCK_OFFER = Prepared(
    sa.select(share_offers.c.offer_id).where(share_offers.c.offer_id == sa.bindparam("offer")).with_for_update()
)
_FIND_EARLIER = Prepared(
    sa.select(_A.agreement_id)
    .join(share_processes, _P.process_id == _A.negotiation_id)
    .where(_A.counterparty == sa.bindparam("party"), _A.dataset_id == sa.bindparam("dataset"))
    .where(_A.side == Side.PROVIDER, _P.offer_id == sa.bindparam("offer"))
    .where(sa.or_(_P.state != State.TERMINATED, _A.uses > 0))
    .limit(1)
)
_FIND_CONTRACT = Prepared(sa.select(share_contracts).where(_C.agreement_id == sa.bindparam("asked_id")))
_IS_UNDER_IT = share_contract_signatures.c.agreement_id == sa.bindparam("asked_id")
_COUNT_SIGNED = Prepared(sa.select(sa.func.count()).where(_IS_UNDER_IT))
_ACTIVATE = Prepared(
    sa.update(share_agreements).where(_MINE, _A.status == AgreementStatus.PENDING).values(status=AgreementStatus.ACTIVE)
)
_REVOKE = Prepared(
    sa.update(share_tokens)
    .where(share_tokens.c.process_id == sa.bindparam("asked_id"), share_tokens.c.revoked_at.is_(None))
    .values(revoked_at=sa.bindparam("at"))
)


def find_agreement(connection: sa.Connection, agreement_id: str) -> Agreement:
    """Return one agreement with its terms read anew from the stored text.

    Raises: AgreementUnknown; EvidenceDamaged if the text is not what its hash says; TermsUnknown if it holds what this
    node cannot enforce: all three end in no delivery.
    """
    # No text of the database holds a zero byte; PostgreSQL would not even take the question.
    row = None if "\0" in agreement_id else _FIND.first(connection, {"asked_id": agreement_id})
    if row is None:
        raise AgreementUnknown(agreement_id=agreement_id[:200])
    return agreement_of(row)


def require_bound(agreement: Agreement) -> Agreement:
    """Return the agreement if its counterparty is still who it was made with. Raises: PartyChanged."""
    why_not = agreement.why_unbound
    if why_not:
        raise PartyChanged(agreement_id=agreement.agreement_id, party=agreement.counterparty, reason=why_not)
    return agreement


def require_undisputed(agreement: Agreement) -> Agreement:
    """Return the agreement unless a dispute about what was delivered freezes it. Raises: ContractFrozen."""
    if agreement.status is AgreementStatus.DISPUTED:
        raise ContractFrozen(agreement_id=agreement.agreement_id)
    return agreement


def unbound_agreements(connection: sa.Connection, party: str) -> list[str]:
    """Return the ids of agreements with who was known by this id before: nothing is sent under them."""
    query = sa.select(_A.agreement_id).outerjoin(parties, parties.c.party_id == _A.counterparty)
    is_other = sa.func.coalesce(parties.c.proof, "") != _A.bound_to
    return list(connection.execute(query.where(_A.counterparty == party, is_other)).scalars())


def list_agreements(connection: sa.Connection, *, limit: int, offset: int) -> list[Agreement]:
    """Return agreements, newest first."""
    query = _WITH_PROOF.order_by(_A.agreed_at.desc(), _A.agreement_id).limit(limit).offset(offset)
    return [_shown(row) for row in connection.execute(query)]


def agreement_of(row: Any) -> Agreement:
    """Return the row as a value. Raises: EvidenceDamaged, TermsUnknown."""
    if text_hash(row.policy) != row.policy_hash:
        raise EvidenceDamaged(agreement_id=row.agreement_id)
    policy = orjson.loads(row.policy)
    return Agreement(
        agreement_id=row.agreement_id,
        side=Side(row.side),
        counterparty=PartyId(row.counterparty),
        dataset_id=row.dataset_id,
        negotiation_id=row.negotiation_id,
        terms=read_terms(policy),
        policy=policy,
        policy_hash=row.policy_hash,
        status=AgreementStatus(row.status),
        uses=row.uses,
        agreed_at=_agreed_at(policy) or row.agreed_at,
        transfer_rules=row.transfer_rules,
        reason=row.reason,
        bound_to=row.bound_to,
        proof_now=row.proof_now,
    )


def _agreed_at(policy: dict[str, Any]) -> datetime | None:
    """The time in the agreement itself, which is the same on both sides."""
    try:
        stamp = datetime.fromisoformat(str(policy.get("timestamp"))[:40])
    except ValueError:
        return None
    return stamp.astimezone(UTC) if stamp.tzinfo else None


def _shown(row: Any) -> Agreement:
    """Return the row for a list: what cannot be trusted is shown as ended, with the reason."""
    try:
        return agreement_of(row)
    except (EvidenceDamaged, TermsUnknown) as fault:
        return Agreement(
            agreement_id=row.agreement_id,
            side=Side(row.side),
            counterparty=PartyId(row.counterparty),
            dataset_id=row.dataset_id,
            negotiation_id=row.negotiation_id,
            terms=Terms(uses_max=0),
            policy={},
            policy_hash=row.policy_hash,
            status=AgreementStatus.RETIRED,
            uses=row.uses,
            agreed_at=row.agreed_at,
            transfer_rules=None,
            reason=str(fault),
        )


def lock_offer(connection: sa.Connection, offer_id: str) -> None:
    """Let nobody else make a contract under this offer that has to be the first, until the transaction ends."""
    _LOCK_OFFER.first(connection, {"offer": offer_id})


def has_had_contract(connection: sa.Connection, record: Record) -> bool:
    """Return whether the party of a negotiation has made, or is about to make, a contract under the same offer.

    One that came to nothing counts if it was used: it counts from when its finalisation is sent, and the party may hide
    that it came.
    """
    asked = {"party": record.counterparty, "dataset": record.dataset_id, "offer": record.offer_id}
    return _FIND_EARLIER.first(connection, asked) is not None


def insert_agreement(connection: sa.Connection, record: Record, policy: dict[str, Any], at: datetime) -> bool:
    """Keep the agreement of a negotiation as pending; False if its id is taken by another negotiation.

    It is with whom the negotiation began with, by the key of then.
    """
    agreement_id = str(policy["@id"])
    owner = _OWNER.scalar(connection, {"asked_id": agreement_id})
    if owner is not None:
        return bool(owner == record.process_id)
    text = canonical_text(policy)
    values = {
        "agreement_id": agreement_id,
        "side": record.side,
        "counterparty": record.counterparty,
        "dataset_id": record.dataset_id,
        "negotiation_id": record.process_id,
        "policy": text,
        "policy_hash": text_hash(text),
        "status": AgreementStatus.PENDING,
        "uses": 0,
        "agreed_at": at,
    }
    _INSERT.run(connection, {**values, "bound_to": record.bound_to})
    return True


def renew_agreement(connection: sa.Connection, record: Record, policy: dict[str, Any], at: datetime) -> bool:
    """Keep what the other side wrote anew instead of a pending agreement; False if its id is taken."""
    agreement_id = str(policy["@id"])
    if _OWNER.scalar(connection, {"asked_id": agreement_id}) is not None:
        return False
    text = canonical_text(policy)
    values = {"agreement_id": agreement_id, "policy": text, "policy_hash": text_hash(text), "agreed_at": at}
    is_pending = (_A.negotiation_id == record.process_id, _A.status == AgreementStatus.PENDING)
    return connection.execute(sa.update(share_agreements).where(*is_pending).values(**values)).rowcount == 1


def set_transfer_rules(connection: sa.Connection, agreement_id: str, rules: dict[str, Any] | None) -> bool:
    """Let transfers under an agreement follow rules of their own; False if there is no such agreement."""
    change = sa.update(share_agreements).where(_A.agreement_id == agreement_id)
    return connection.execute(change.values(transfer_rules=rules)).rowcount == 1


def activate_agreement(connection: sa.Connection, agreement_id: str) -> bool:
    """Let a pending agreement count from now on; what it replaces ends with that. True if reactions were queued.

    A contract that both parties owe a signature stays pending until both are there.
    """
    contract = _FIND_CONTRACT.first(connection, {"asked_id": agreement_id})
    needs_both = contract is not None and contract.needs_both
    if needs_both and _COUNT_SIGNED.scalar(connection, {"asked_id": agreement_id}) != 2:
        return False
    changed = _ACTIVATE.run(connection, {"asked_id": agreement_id})
    if changed == 1 and contract is not None and contract.replaces:
        retire_agreement(connection, contract.replaces, f"replaced by {agreement_id}")
        ending = transfers_under(connection, contract.replaces)
        for record in ending:
            reason = "the agreement was replaced by a newer one"
            queue_reaction(
                connection, record.process_id, Action.TERMINATE, record.updated_at, actor="system:share", reason=reason
            )
        return bool(ending)
    return False


def retire_agreement(connection: sa.Connection, agreement_id: str, reason: str) -> bool:
    """End an agreement for good; False if it had ended before. Raises: ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing(agreement_id=agreement_id)
    result = connection.execute(
        sa.update(share_agreements)
        .where(_A.agreement_id == agreement_id, _A.status != AgreementStatus.RETIRED)
        .values(status=AgreementStatus.RETIRED, reason=reason[:2000])
    )
    return result.rowcount == 1


def count_use(connection: sa.Connection, agreement_id: str, uses_max: int | None) -> bool:
    """Count one use of an active agreement; False if none is left. Two callers never share the last one."""
    change = sa.update(share_agreements).where(_A.agreement_id == agreement_id, _A.status == AgreementStatus.ACTIVE)
    if uses_max is not None:
        change = change.where(_A.uses < uses_max)
    return connection.execute(change.values(uses=_A.uses + 1)).rowcount == 1


def revoke_tokens(connection: sa.Connection, process_id: str, at: datetime) -> None:
    """Make every token of a transfer worthless."""
    _REVOKE.run(connection, {"asked_id": process_id, "at": at})

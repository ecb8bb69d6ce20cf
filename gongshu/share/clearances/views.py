"""Clearances and traces as plain fields, with their words."""

from typing import Any

from gongshu.share.clearances.marks import Trace
from gongshu.share.clearances.model import Clearance, Kind, State

View = dict[str, Any]

KIND_WORDS = {
    Kind.STRICT: ("三级数据严格程序", "strict procedure for 三级 data"),
    Kind.IMPORTANT: ("重要数据对外提供", "providing 重要 data to others"),
    Kind.CROSS_BORDER: ("数据出境", "data leaving the country"),
}
STATE_WORDS = {
    State.REQUESTED: ("待批准", "waits for two approvals: a steward's and a security administrator's"),
    State.IN_FORCE: ("生效", "in force"),
    State.REFUSED: ("已拒绝", "refused"),
    State.REVOKED: ("已撤销", "revoked"),
    State.EXPIRED: ("已过期", "its time is over"),
    State.OUTDATED: ("已失效", "the data, their grade or the receiver's key changed; request a new one"),
}


def clearance_view(clearance: Clearance, state: State) -> View:
    """Return one clearance."""
    return {
        "clearance_id": clearance.clearance_id,
        "kind": clearance.kind.value,
        "kind_zh": KIND_WORDS[clearance.kind][0],
        "kind_en": KIND_WORDS[clearance.kind][1],
        "state": state.value,
        "state_zh": STATE_WORDS[state][0],
        "state_en": STATE_WORDS[state][1],
        "dataset_id": clearance.dataset_id,
        "party": clearance.party_id,
        "reason": clearance.reason,
        "record": dict(clearance.record),
        "requested_by": clearance.requested_by,
        "requested_at": clearance.requested_at.isoformat(),
        "valid_until": clearance.valid_until.isoformat(),
        "approvals": [
            {"by": each.by, "role": each.role.value, "at": each.at.isoformat()} for each in clearance.approvals
        ],
        "ended_by": clearance.ended_by,
        "ended_at": clearance.ended_at.isoformat() if clearance.ended_at else None,
        "ended_why": clearance.ended_why,
    }


def trace_view(trace: Trace) -> View:
    """Return how well a file fits one party or delivery."""
    return {
        "party": trace.party,
        "delivery_id": trace.delivery_id,
        "dataset_id": trace.dataset_id,
        "begun_at": trace.begun_at.isoformat() if trace.begun_at else None,
        "hits": trace.hits,
        "seen": trace.seen,
        "chance": trace.chance,
        "named": trace.is_named,
    }

"""The two state machines: every state, message and sender, and the pure decisions around messages under way."""

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.share.dsp.states import (
    FINAL,
    TABLE,
    TARGET,
    Effect,
    Kind,
    Move,
    Process,
    Refusal,
    Side,
    State,
    Step,
    Verdict,
    abandon,
    can_send,
    confirm,
    decide,
    reconcile,
    shown_state,
)

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
C, P = Side.CONSUMER, Side.PROVIDER

ALLOWED = {
    ("negotiation", "NEW", Move.REQUEST, C): "REQUESTED",
    ("negotiation", "NEW", Move.OFFER, P): "OFFERED",
    ("negotiation", "REQUESTED", Move.OFFER, P): "OFFERED",
    ("negotiation", "REQUESTED", Move.AGREE, P): "AGREED",
    ("negotiation", "OFFERED", Move.REQUEST, C): "REQUESTED",
    ("negotiation", "OFFERED", Move.ACCEPT, C): "ACCEPTED",
    ("negotiation", "ACCEPTED", Move.AGREE, P): "AGREED",
    ("negotiation", "AGREED", Move.VERIFY, C): "VERIFIED",
    ("negotiation", "VERIFIED", Move.FINALIZE, P): "FINALIZED",
    ("negotiation", "REQUESTED", Move.TERMINATE, C): "TERMINATED",
    ("negotiation", "REQUESTED", Move.TERMINATE, P): "TERMINATED",
    ("negotiation", "OFFERED", Move.TERMINATE, C): "TERMINATED",
    ("negotiation", "OFFERED", Move.TERMINATE, P): "TERMINATED",
    ("negotiation", "ACCEPTED", Move.TERMINATE, P): "TERMINATED",
    ("negotiation", "VERIFIED", Move.TERMINATE, P): "TERMINATED",
    ("negotiation", "AGREED", Move.TERMINATE, C): "TERMINATED",
    ("transfer", "NEW", Move.TRANSFER_REQUEST, C): "REQUESTED",
    ("transfer", "REQUESTED", Move.START, P): "STARTED",
    ("transfer", "STARTED", Move.COMPLETE, C): "COMPLETED",
    ("transfer", "STARTED", Move.COMPLETE, P): "COMPLETED",
    ("transfer", "STARTED", Move.SUSPEND, C): "SUSPENDED",
    ("transfer", "STARTED", Move.SUSPEND, P): "SUSPENDED",
    ("transfer", "STARTED", Move.START_ANEW, P): "STARTED",
    ("transfer", "SUSPENDED", Move.START, C): "STARTED",
    ("transfer", "SUSPENDED", Move.START, P): "STARTED",
    ("transfer", "REQUESTED", Move.TRANSFER_TERMINATE, C): "TERMINATED",
    ("transfer", "REQUESTED", Move.TRANSFER_TERMINATE, P): "TERMINATED",
    ("transfer", "STARTED", Move.TRANSFER_TERMINATE, C): "TERMINATED",
    ("transfer", "STARTED", Move.TRANSFER_TERMINATE, P): "TERMINATED",
    ("transfer", "SUSPENDED", Move.TRANSFER_TERMINATE, C): "TERMINATED",
    ("transfer", "SUSPENDED", Move.TRANSFER_TERMINATE, P): "TERMINATED",
}
"""Written again from the figures, so that a slip in the table shows. Source: Dataspace Protocol 2025-1."""

TOLERATED = {
    ("negotiation", "ACCEPTED", Move.TERMINATE, C),
    ("negotiation", "VERIFIED", Move.TERMINATE, C),
    ("negotiation", "AGREED", Move.TERMINATE, P),
}

EVERYTHING = list(product(Kind, State, Move, Side))


@pytest.mark.parametrize("kind, state, move, sender", EVERYTHING)
def test_a_received_message_follows_the_figure_and_nothing_else(
    kind: Kind, state: State, move: Move, sender: Side
) -> None:
    key = (kind.value, state.value, move, sender)
    step = decide(Process(kind, sender.other, state), move, sender, NOW)
    if key in ALLOWED or key in TOLERATED:
        assert isinstance(step, Step)
        assert step.process.state.value == ALLOWED.get(key, "TERMINATED")
    else:
        assert isinstance(step, Refusal)


@pytest.mark.parametrize("kind, state, move, sender", EVERYTHING)
def test_only_the_figures_rows_are_ever_sent_and_the_state_waits_for_the_answer(
    kind: Kind, state: State, move: Move, sender: Side
) -> None:
    key = (kind.value, state.value, move, sender)
    process = Process(kind, sender, state)
    step = decide(process, move, sender, NOW)
    assert can_send(process, move) == (key in ALLOWED)
    if key not in ALLOWED:
        assert isinstance(step, Refusal)
        return
    assert isinstance(step, Step)
    assert step.process.state is state
    assert step.process.pending is move
    assert confirm(step.process, NOW).process.state.value == ALLOWED[key]


def test_no_row_leaves_a_final_state_and_every_state_but_final_ones_can_be_left() -> None:
    assert not [row for row in TABLE if row.before in FINAL]
    reached = {(row.kind, TARGET[row.move]) for row in TABLE if TARGET[row.move] not in FINAL}
    assert reached <= {(row.kind, row.before) for row in TABLE}


def test_a_second_message_waits_until_the_first_is_answered() -> None:
    process = Process(Kind.TRANSFER, P, State.STARTED, pending=Move.SUSPEND)
    assert isinstance(decide(process, Move.COMPLETE, P, NOW), Refusal)


def test_an_answer_that_is_possible_only_after_our_message_proves_that_it_arrived() -> None:
    process = Process(Kind.NEGOTIATION, P, State.REQUESTED, pending=Move.AGREE, pending_sent=True)
    step = decide(process, Move.VERIFY, C, NOW)
    assert isinstance(step, Step)
    assert step.process.state is State.VERIFIED
    assert step.process.pending is None
    assert Effect.CONFIRM_PENDING in step.effects


def test_a_message_that_was_never_given_to_the_wire_proves_nothing() -> None:
    process = Process(Kind.NEGOTIATION, P, State.REQUESTED, pending=Move.AGREE, pending_sent=False)
    assert isinstance(decide(process, Move.VERIFY, C, NOW), Refusal)


def test_a_message_that_was_written_before_ours_arrived_proves_nothing() -> None:
    resuming = Process(Kind.TRANSFER, C, State.SUSPENDED, pending=Move.START, pending_sent=True)
    assert isinstance(decide(resuming, Move.SUSPEND, P, NOW, knows_ours=False), Refusal)
    answered = decide(resuming, Move.SUSPEND, P, NOW)
    assert isinstance(answered, Step)
    assert Effect.CONFIRM_PENDING in answered.effects


def test_the_offer_may_arrive_before_the_answer_to_the_request() -> None:
    process = Process(Kind.NEGOTIATION, C, State.NEW, pending=Move.REQUEST, pending_sent=True)
    step = decide(process, Move.OFFER, P, NOW)
    assert isinstance(step, Step)
    assert step.process.state is State.OFFERED
    assert step.process.pending is None


def test_where_two_ends_cross_the_termination_wins_on_both_sides() -> None:
    ending = Process(Kind.TRANSFER, P, State.STARTED, pending=Move.TRANSFER_TERMINATE, pending_sent=True)
    assert isinstance(decide(ending, Move.COMPLETE, C, NOW), Refusal)
    completing = Process(Kind.TRANSFER, C, State.STARTED, pending=Move.COMPLETE, pending_sent=True)
    step = decide(completing, Move.TRANSFER_TERMINATE, P, NOW)
    assert isinstance(step, Step)
    assert step.process.state is State.TERMINATED


def test_an_end_drops_what_was_under_way() -> None:
    process = Process(Kind.TRANSFER, P, State.STARTED, pending=Move.SUSPEND, pending_sent=True)
    step = decide(process, Move.COMPLETE, C, NOW)
    assert isinstance(step, Step)
    assert step.process.state is State.COMPLETED
    assert step.process.pending is None
    assert set(step.effects) == {Effect.DROP_PENDING, Effect.STOP_DATA}


def test_who_suspended_alone_resumes() -> None:
    suspended = decide(Process(Kind.TRANSFER, P, State.STARTED), Move.SUSPEND, P, NOW)
    assert isinstance(suspended, Step)
    held = confirm(suspended.process, NOW).process
    assert isinstance(decide(held, Move.START, C, NOW), Refusal)
    resumed = decide(held, Move.START, P, NOW)
    assert isinstance(resumed, Step)
    assert not resumed.process.held


def test_stopping_is_an_effect_at_once_on_the_sending_side_too() -> None:
    for move in (Move.SUSPEND, Move.COMPLETE, Move.TRANSFER_TERMINATE):
        step = decide(Process(Kind.TRANSFER, P, State.STARTED), move, P, NOW)
        assert isinstance(step, Step)
        assert Effect.STOP_DATA in step.effects


def test_a_late_acknowledgement_does_not_open_what_has_ended() -> None:
    process = Process(Kind.TRANSFER, P, State.TERMINATED, pending=Move.START, pending_sent=True)
    assert confirm(process, NOW).process.state is State.TERMINATED


def test_ending_alone_leaves_nothing_under_way() -> None:
    step = abandon(Process(Kind.NEGOTIATION, C, State.NEW, Move.REQUEST, pending_sent=True), NOW)
    assert step.process.state is State.TERMINATED
    assert step.process.pending is None


@pytest.mark.parametrize(
    "peer, verdict",
    [
        (State.AGREED, Verdict.ADOPT),
        (State.REQUESTED, Verdict.RESEND),
        (State.TERMINATED, Verdict.END),
        (State.OFFERED, Verdict.DIVERGED),
    ],
)
def test_the_peers_state_tells_what_became_of_a_message(peer: State, verdict: Verdict) -> None:
    process = Process(Kind.NEGOTIATION, P, State.REQUESTED, Move.AGREE, pending_sent=True)
    assert reconcile(process, peer, was_refused=False) is verdict


def test_a_state_that_comes_again_proves_nothing_before_an_answer() -> None:
    process = Process(Kind.NEGOTIATION, P, State.REQUESTED, Move.OFFER, pending_sent=True)
    assert reconcile(process, State.OFFERED, was_refused=False) is Verdict.RESEND
    assert reconcile(process, State.OFFERED, was_refused=True) is Verdict.ADOPT


def test_the_peer_never_sees_the_state_new() -> None:
    assert shown_state(Process(Kind.NEGOTIATION, C, State.NEW, Move.REQUEST)) is State.REQUESTED
    assert shown_state(Process(Kind.NEGOTIATION, P, State.NEW, Move.OFFER)) is State.OFFERED


@given(st.sampled_from(Kind), st.sampled_from(Side), st.lists(st.tuples(st.sampled_from(Move), st.booleans())))
def test_random_messages_never_lead_to_a_state_outside_the_machine(
    kind: Kind, side: Side, script: list[tuple[Move, bool]]
) -> None:
    inside = {row.before for row in TABLE if row.kind is kind} | {TARGET[row.move] for row in TABLE if row.kind is kind}
    process = Process(kind, side, State.NEW)
    for move, is_ours in script:
        step = decide(process, move, side if is_ours else side.other, NOW)
        if isinstance(step, Step):
            process = step.process
            if process.pending:
                process = confirm(process, NOW).process
        assert process.state in inside


def test_two_suspensions_that_cross_both_hold() -> None:
    held = Process(Kind.TRANSFER, P, State.SUSPENDED, held=True)
    crossed = decide(held, Move.SUSPEND, C, NOW)
    assert isinstance(crossed, Step)
    assert crossed.process == held
    assert isinstance(decide(Process(Kind.TRANSFER, P, State.SUSPENDED), Move.SUSPEND, C, NOW), Refusal)


def test_only_one_side_resumes_at_a_time() -> None:
    resuming = Process(Kind.TRANSFER, P, State.SUSPENDED, pending=Move.START, pending_sent=True)
    assert isinstance(decide(resuming, Move.START, C, NOW), Refusal)

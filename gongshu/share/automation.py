"""What a side does by itself when a process enters a state: rules as data, the default and special ones alike.

A rule names, for each occasion, the steps that follow it and how long to wait before each. The default is the normal,
policy-driven flow. An offer, a negotiation or a transfer may carry rules of its own: a person who wants to be asked, a
partner who answers slowly, a conformance suite that wants odd behaviour. Pure; `engine` stores the steps as reactions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gongshu.share.dsp.states import Kind, Side, State


class Occasion(StrEnum):
    """A state that was entered, told apart where the way into it matters."""

    REQUESTED = "requested"
    COUNTERED = "countered"
    """REQUESTED from OFFERED: the consumer answered an offer with another request."""
    OFFERED = "offered"
    ACCEPTED = "accepted"
    AGREED = "agreed"
    VERIFIED = "verified"
    FINALIZED = "finalized"
    STARTED = "started"
    RESUMED = "resumed"
    SUSPENDED = "suspended"


class Action(StrEnum):
    """What a rule can tell a side to do."""

    DECIDE = "decide"
    """Provider: agree if the offer is unchanged and the terms permit, else ask a person."""
    ACCEPT_SAME = "accept_same"
    """Consumer: accept an offer with the terms that were asked for, else ask a person."""
    CHECK = "check"
    """Consumer: verify an agreement that says what was negotiated, else terminate."""
    OFFER = "offer"
    AGREE = "agree"
    ACCEPT = "accept"
    COUNTER = "counter"
    """Consumer: ask again with the terms of the first request."""
    VERIFY = "verify"
    FINALIZE = "finalize"
    START = "start"
    START_ANEW = "start_anew"
    """Provider: answer a resumption by the consumer with a new data address."""
    SUSPEND = "suspend"
    COMPLETE = "complete"
    TERMINATE = "terminate"
    ASK = "ask"
    """Wait for a person."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """One step of a rule."""

    action: Action
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """The steps for each occasion; an occasion that is missing has none."""

    steps: Mapping[Occasion, tuple[Reaction, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, list[list[str | int]]]:
        """Return the form in which rules are stored."""
        return {on.value: [[step.action.value, step.after_ms] for step in steps] for on, steps in self.steps.items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, list[list[str | int]]]) -> "Rules":
        """Return stored rules.

        Raises: ValueError if an occasion or action is not known.
        """
        return cls(
            {
                Occasion(on): tuple(Reaction(Action(str(action)), int(after_ms)) for action, after_ms in steps)
                for on, steps in stored.items()
            }
        )


def rule(**steps: Action | tuple[Action, int]) -> Rules:
    """Return rules with one step an occasion, given by the occasion's name.

    >>> rule(requested=Action.OFFER, offered=(Action.TERMINATE, 500)).as_json()
    {'requested': [['offer', 0]], 'offered': [['terminate', 500]]}
    """
    made = {}
    for on, step in steps.items():
        made[Occasion(on)] = (Reaction(step) if isinstance(step, Action) else Reaction(*step),)
    return Rules(made)


DEFAULT_RULES = {
    (Kind.NEGOTIATION, Side.PROVIDER): rule(
        requested=Action.DECIDE, countered=Action.ASK, accepted=Action.AGREE, verified=Action.FINALIZE
    ),
    (Kind.NEGOTIATION, Side.CONSUMER): rule(offered=Action.ACCEPT_SAME, agreed=Action.CHECK),
    (Kind.TRANSFER, Side.PROVIDER): rule(requested=Action.START),
    (Kind.TRANSFER, Side.CONSUMER): Rules(),
}
ASK_FIRST = rule(requested=Action.ASK, countered=Action.ASK, accepted=Action.AGREE, verified=Action.FINALIZE)
"""For an offer whose owner wants to approve each contract."""


def occasion_of(before: State, after: State) -> Occasion | None:
    """Return the occasion of a change of state; None where nobody reacts.

    >>> occasion_of(State.SUSPENDED, State.STARTED).value
    'resumed'
    """
    if after is State.REQUESTED and before is State.OFFERED:
        return Occasion.COUNTERED
    if after is State.STARTED and before is State.SUSPENDED:
        return Occasion.RESUMED
    name = after.value.lower()
    return Occasion(name) if name in {occasion.value for occasion in Occasion} else None

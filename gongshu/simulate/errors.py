"""The simulator's errors.

InvalidInput ── PlantOptionInvalid
Unavailable  ── PlantNotStarted
"""

from gongshu.errors import InvalidInput, Unavailable


class PlantOptionInvalid(InvalidInput):
    """An option of the simulator is outside its bounds."""

    code = "simulate.option_invalid"
    template = (
        "The synthetic plant cannot run with {option} = {seen}: it must be {expected}. Change it and start again."
    )


class PlantNotStarted(Unavailable):
    """A server of the synthetic plant could not begin to listen."""

    code = "simulate.not_started"
    template = (
        "The synthetic plant could not open its {server} server on {address}: {reason}. "
        "Free the port, or give 0 to take any."
    )

"""Errors of the apps.

InvalidInput ─┬── BindingInvalid     a binding names no role, no series, or too many
              ├── ParameterInvalid   a parameter is unknown or out of bounds
              └── PeriodInvalid      start and end are not a usable span
NotFound ─────┬── AppUnknown         no such app is installed
              ├── RunUnknown         no such run
              └── FigureUnknown      the run has no such machine or figure
Conflict ─────── InputsNotMet        the data do not hold what the app needs
Unavailable ──── AppBroken           an installed app cannot be loaded
"""

from gongshu.errors import Conflict, InvalidInput, NotFound, Refused, Retry, Unavailable


class BindingInvalid(InvalidInput):
    """A binding cannot be used."""

    code = "apply.binding_invalid"
    template = "The binding of {app} for {asset} cannot be used: {reason}. See what it needs: `gongshu app show {app}`."


class ParameterInvalid(InvalidInput):
    """A parameter cannot be used."""

    code = "apply.parameter_invalid"
    template = "{app} cannot run with {parameter} = {seen}: {expected}. Change it and run again."


class PeriodInvalid(InvalidInput):
    """The span of time cannot be used."""

    code = "apply.period_invalid"
    template = (
        "{app} cannot run from {start} to {end}: {reason}. Give an earlier time, with its zone, before a later one."
    )


class NotForOthers(Refused):
    """Another organisation asks about our apps."""

    code = "apply.not_for_others"
    template = (
        "{subject} may not see the apps of this organisation. "
        "Its results are shared as derived datasets, under an agreement in the data space."
    )


class AppUnknown(NotFound):
    """No such app is installed."""

    code = "apply.app_unknown"
    retry = Retry.AFTER_FIX
    template = "There is no app {app!r}. Installed: {known}."


class RunUnknown(NotFound):
    """No such run."""

    code = "apply.run_unknown"
    template = "There is no run {run_id!r}. See the latest with `gongshu app runs`."


class FigureUnknown(NotFound):
    """The run has no such figure."""

    code = "apply.figure_unknown"
    template = "The run {run_id} has no figure {figure!r} of {asset!r}. It has: {known}."


class InputsNotMet(Conflict):
    """The data do not hold what the app needs; each finding says what was seen, expected and to be done."""

    code = "apply.inputs_not_met"
    retry = Retry.AFTER_FIX
    template = "{app} was not run from {start} to {end}: the data do not hold what it needs. {findings}"


class AppBroken(Unavailable):
    """An installed app cannot be loaded."""

    code = "apply.app_broken"
    retry = Retry.AFTER_FIX
    template = "The app {app} is installed but cannot be loaded from {place}: {reason}. Reinstall or remove it."

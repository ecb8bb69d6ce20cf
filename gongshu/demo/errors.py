"""Errors of the demo."""

from gongshu.errors import Conflict, Unavailable


class DemoFolderUnusable(Conflict):
    """The demo cannot keep its files."""

    code = "demo.folder_unusable"
    template = (
        "The demo cannot write its files in {folder}: {reason}. Free space there, or choose another with --folder."
    )


class ProcessFailed(Unavailable):
    """A process of the demo did not come up."""

    code = "demo.process_failed"
    template = "The demo's {name} did not start within {timeout_s} s: {seen}. Its log is in {log}."


class CallFailed(Unavailable):
    """A node of the demo answered with an error where the step needs success."""

    code = "demo.call_failed"
    template = "{node} answered {method} {path} with {status}: {detail}"


class StepFailed(Unavailable):
    """What a step of the demo is to show does not hold."""

    code = "demo.step_failed"
    template = "{what}: expected {expected}, seen {seen}"

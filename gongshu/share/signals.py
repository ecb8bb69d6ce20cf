"""How threads of one process learn that something happened, and new random ids."""

import secrets
import threading

from gongshu.share.desk import Desk
from gongshu.share.dsp.states import Kind


class Signals:
    """Lets threads sleep until a process changes or something is queued."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._data_condition = threading.Condition()
        self._data_count = 0
        self.desk = Desk()

    @property
    def count(self) -> int:
        """How often something happened so far."""
        return self._count

    @property
    def data_count(self) -> int:
        """How often something happened that can let data flow."""
        return self._data_count

    def notify(self, kind: Kind | None = None, *, is_work: bool = True) -> None:
        """Wake everyone who waits; for a change of a negotiation, not those who carry data.

        `is_work` says that something may be due now that does not lie at the desk.
        """
        with self._condition:
            self._count += 1
            self._condition.notify_all()
        if kind is not Kind.NEGOTIATION:
            with self._data_condition:
                self._data_count += 1
                self._data_condition.notify_all()
        if is_work:
            self.desk.ask_to_look()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Return the count as soon as it is not `seen` any more, or after the time."""
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen, timeout=max(0.0, timeout_s))
            return self._count

    def wait_for_data(self, seen: int, timeout_s: float) -> int:
        """As `wait`, for `data_count`."""
        with self._data_condition:
            self._data_condition.wait_for(lambda: self._data_count != seen, timeout=max(0.0, timeout_s))
            return self._data_count


def new_urn() -> str:
    """Return a new random id."""
    digits = secrets.token_hex(16)
    return f"urn:uuid:{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

"""What every durable log must keep, as tests: derive a class, supply a rig, and pytest does the rest.

class TestMyLog(LogContract):
    @pytest.fixture
    def rig(self, tmp_path): return MyRig(tmp_path)
"""

import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import pytest

from gongshu.lake.errors import LogFull
from gongshu.lake.ports import Log


class LogRig(ABC):
    """One place for a log: opens it again and again, and can hurt it."""

    @property
    @abstractmethod
    def opener(self) -> Callable[[], Log]:
        """Open the log of this place; the callable can be sent to another process."""

    @abstractmethod
    def open_bounded(self, size_max_bytes: int) -> Log:
        """Open the log with room for about so many bytes."""

    @abstractmethod
    def damage(self, offset: int) -> None:
        """Change one byte of a stored entry behind the log's back."""


def append_many(opener: Callable[[], Log], producer: str, count: int) -> None:
    """Append `count` batches of one row; a process of its own runs this."""
    log = opener()
    for sequence in range(count):
        log.append(f"{producer}/{sequence}".encode(), rows=1, producer=producer, sequence=sequence)
    log.close()


def _fill(log: Log) -> tuple[int, LogFull | None]:
    for sequence in range(100):
        try:
            log.append(b"x" * 20_000, rows=1, producer="p", sequence=sequence)
        except LogFull as refusal:
            return sequence, refusal
    return 100, None


class LogContract(ABC):
    """The clauses. Every log passes all of them."""

    processes: ClassVar[int] = 3

    @pytest.fixture
    @abstractmethod
    def rig(self) -> LogRig:
        """Return a fresh place for a log, made anew for each clause."""

    def test_entries_come_back_in_order_with_their_bytes(self, rig: LogRig) -> None:
        log = rig.opener()
        offsets = [log.append(bytes([n]) * 3_000, rows=n + 1) for n in range(20)]
        tail = log.read(after=0)
        assert [entry.offset for entry in tail.entries] == offsets == sorted(set(offsets))
        assert [entry.payload for entry in tail.entries] == [bytes([n]) * 3_000 for n in range(20)]
        assert [entry.rows for entry in tail.entries] == list(range(1, 21))
        assert log.end() == offsets[-1]
        log.close()

    def test_an_empty_log_ends_at_zero(self, rig: LogRig) -> None:
        log = rig.opener()
        assert (log.end(), log.pending(after=0), list(log.read(after=0).entries)) == (0, (0, 0), [])
        assert log.last_sequence("nobody") is None
        log.close()

    def test_reading_is_bounded_by_rows_and_by_offset(self, rig: LogRig) -> None:
        log = rig.opener()
        offsets = [log.append(b"x", rows=10) for _ in range(10)]
        assert [e.offset for e in log.read(after=offsets[2], rows_max=25).entries] == offsets[3:6]
        assert [e.offset for e in log.read(after=0, rows_max=1).entries] == offsets[:1]
        assert [e.offset for e in log.read(after=offsets[1], up_to=offsets[4]).entries] == offsets[2:5]
        assert log.pending(after=offsets[6]) == (3, 30)
        log.close()

    def test_a_repeated_sequence_stores_nothing_and_returns_the_first_offset(self, rig: LogRig) -> None:
        log = rig.opener()
        first = log.append(b"one", rows=1, producer="p", sequence=7)
        other = log.append(b"two", rows=1, producer="q", sequence=7)
        again = log.append(b"changed", rows=1, producer="p", sequence=7)
        assert (again, other > first) == (first, True)
        assert [entry.payload for entry in log.read(after=0).entries] == [b"one", b"two"]
        log.close()

    def test_sequences_may_come_out_of_order_and_with_gaps(self, rig: LogRig) -> None:
        log = rig.opener()
        for sequence in (5, 2, 9, 3):
            log.append(str(sequence).encode(), rows=1, producer="p", sequence=sequence)
        assert [entry.sequence for entry in log.read(after=0).entries] == [5, 2, 9, 3]
        assert log.last_sequence("p") == 9
        log.close()

    def test_repeats_are_known_after_trimming_and_reopening(self, rig: LogRig) -> None:
        log = rig.opener()
        offset = log.append(b"one", rows=1, producer="p", sequence=1)
        assert log.trim(up_to=offset) == 1
        log.close()
        log = rig.opener()
        assert log.append(b"one", rows=1, producer="p", sequence=1) == offset
        assert log.last_sequence("p") == 1
        assert log.pending(after=0) == (0, 0)
        log.close()

    def test_trimming_moves_the_mark_and_never_reuses_an_offset(self, rig: LogRig) -> None:
        log = rig.opener()
        offsets = [log.append(b"x" * 100, rows=1) for _ in range(200)]
        assert log.trim(up_to=offsets[149]) == 150
        tail = log.read(after=0)
        assert tail.trimmed_to == offsets[149]
        assert [entry.offset for entry in tail.entries] == offsets[150:]
        assert log.trim(up_to=offsets[-1]) == 50
        assert log.append(b"y", rows=1) > offsets[-1]
        log.close()

    def test_it_is_the_same_log_after_reopening(self, rig: LogRig) -> None:
        log = rig.opener()
        log_id = log.log_id
        offset = log.append(b"kept", rows=1)
        log.close()
        log.close()
        log = rig.opener()
        assert (log.log_id, log.end()) == (log_id, offset)
        assert log.read(after=0).entries[0].payload == b"kept"
        log.close()

    def test_one_handle_sees_what_another_appended(self, rig: LogRig) -> None:
        one, two = rig.opener(), rig.opener()
        offset = one.append(b"x", rows=1)
        assert [entry.offset for entry in two.read(after=0).entries] == [offset]
        one.trim(up_to=offset)
        assert two.read(after=0).trimmed_to == offset
        one.close()
        two.close()

    def test_processes_append_at_once_and_nothing_is_lost_or_repeated(self, rig: LogRig) -> None:
        rig.opener().close()
        context = multiprocessing.get_context("spawn")
        count = 50
        writers = [
            context.Process(target=append_many, args=(rig.opener, f"p{n}", count)) for n in range(self.processes)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
        assert [writer.exitcode for writer in writers] == [0] * self.processes
        log = rig.opener()
        entries = log.read(after=0).entries
        expected = {f"p{n}/{sequence}".encode() for n in range(self.processes) for sequence in range(count)}
        assert len(entries) == len(expected)
        assert {entry.payload for entry in entries} == expected
        for n in range(self.processes):
            mine = [entry.sequence for entry in entries if entry.producer == f"p{n}"]
            assert mine == list(range(count)), "the order of one producer is kept"
        log.close()

    def test_a_damaged_entry_is_named_and_the_others_are_read(self, rig: LogRig) -> None:
        log = rig.opener()
        offsets = [log.append(bytes([n]) * 500, rows=3, producer="p", sequence=n) for n in range(3)]
        log.close()
        rig.damage(offsets[1])
        log = rig.opener()
        tail = log.read(after=0)
        assert [entry.offset for entry in tail.entries] == [offsets[0], offsets[2]]
        assert [(entry.offset, entry.rows, entry.producer) for entry in tail.damaged] == [(offsets[1], 3, "p")]
        log.close()

    def test_what_was_set_aside_is_kept_apart_and_may_be_sent_again(self, rig: LogRig) -> None:
        log = rig.opener()
        offset = log.append(b"bad", rows=3, producer="p", sequence=1)
        log.set_aside(offset, reason="the test says so")
        assert log.set_aside_count() == 1
        assert log.pending(after=0) == (0, 0)
        assert log.append(b"good", rows=3, producer="p", sequence=1) > offset
        log.close()

    def test_a_full_log_says_so_and_stores_nothing_of_the_batch(self, rig: LogRig) -> None:
        log = rig.open_bounded(400_000)
        stored, refusal = _fill(log)
        assert 5 <= stored < 100
        assert isinstance(refusal, LogFull)
        assert "no room" in str(refusal)
        assert log.pending(after=0) == (stored, stored)
        assert log.last_sequence("p") == stored - 1
        assert not log.read(after=0).damaged
        log.trim(up_to=log.end())
        log.append(b"x" * 20_000, rows=1, producer="p", sequence=stored)
        assert log.pending(after=0) == (1, 1)
        log.close()

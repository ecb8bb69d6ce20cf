"""Streams: rows of a dataset that keeps growing, sent as they come, through one response, until somebody ends it.

A stream is read in windows of arrival time: (position, until], where `until` lies a little in the past, so that a row
on its way into the lake is not passed by. Each window is judged and read through the gate anew. After it a mark tells
the consumer the position it has reached; the consumer states the last one it has kept when it opens the stream again. A
position never goes back, and a newer opening ends the older. See decision 0065.
"""

import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pyarrow as pa

from gongshu.errors import GongshuError
from gongshu.model.dataset import DatasetKind
from gongshu.secure.gate import RowBound
from gongshu.share.admission import Admission, Flow
from gongshu.share.automation import Action
from gongshu.share.clearances.marks import bind
from gongshu.share.delivery import Delivery, Stream
from gongshu.share.dsp.messages import FORMAT_STREAM
from gongshu.share.encoding import Encoding, Sink
from gongshu.share.engine import SYSTEM, Engine
from gongshu.share.errors import SelectionInvalid, TermsForbid, TransferStopped
from gongshu.share.metering import Entry, Meter
from gongshu.share.model import Agreement, Record
from gongshu.share.ports import Clock, Rows
from gongshu.share.selection import read_selection
from gongshu.share.terms import Phase
from gongshu.share.tokens import TokenDesk

POSITION = b"gongshu.position"
"""Metadata of the record batch that ends a window: microseconds since 1970-01-01 UTC, of arrival."""
ARRIVED = "arrival_time"
SPAN_FIRST, SPAN_MAX = timedelta(hours=1), timedelta(days=366)
ROWS_FEW, ROWS_MANY = 50_000, 500_000
"""A window grows fourfold while it brings few rows, and shrinks when it brings many: consumers keep whole windows."""
IDLE_FACTOR, IDLE_MAX = 2.0, 5.0
"""Each empty look waits longer, up to so many steps: every look is a read with its record."""
BEFORE_FIRST = timedelta(days=1)
"""What arrived longer before the dataset was first seen, if anything did, is one window."""
CHECK_S = 0.2
"""A stream that waits looks so often whether it was stopped; the promise is one second."""
HEARTBEAT_S = 2.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StreamSettings(Protocol):
    """The pace of streams."""

    @property
    def stream_step_s(self) -> float:
        """Between two looks for new rows."""
        ...

    @property
    def stream_settle_s(self) -> float:
        """How long a row may need from its arrival into the lake."""
        ...


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """One opening of a stream."""

    transfer_id: str
    authorization: str
    purpose: str = ""
    columns: tuple[str, ...] = ()
    after: int = 0
    """The position that the consumer has kept; 0 asks for everything from the first row on."""


class Streams:
    """The provider's end of streams."""

    def __init__(
        self,
        engine: Engine,
        admission: Admission,
        delivery: Delivery,
        meter: Meter,
        tokens: TokenDesk,
        clock: Clock,
        settings: StreamSettings,
        stopping: threading.Event,
    ) -> None:
        self._engine = engine
        self._admission = admission
        self._delivery = delivery
        self._meter = meter
        self._tokens = tokens
        self._clock = clock
        self._settings = settings
        self.stopping = stopping

    def open(self, request: StreamRequest) -> Stream:
        """Judge and begin one stream; the first opening of a transfer counts as one use, the others as none.

        Raises: DataTokenInvalid, TransferStopped, TermsForbid, EvidenceDamaged, TermsUnknown, SelectionInvalid; what
            the gate raises comes with the first window. Each refusal of a known partner is in the audit log.
        """
        try:
            digest = self._tokens.require_valid(request.transfer_id, request.authorization)
            record = self._admission.flowing(request.transfer_id)
            running = self._begin(request, record, digest)
        except GongshuError as refusal:
            self._delivery.write_refusal(request.transfer_id, refusal)
            raise
        return Stream(Encoding.ARROW.media_type, running.pieces())

    def _begin(self, request: StreamRequest, record: Record, digest: str) -> "_Running":
        if record.format != FORMAT_STREAM:
            raise TransferStopped(transfer_id=record.process_id, reason=f"it is no stream but {record.format}")
        wanted = frozenset(request.columns)
        agreement = self._admission.permitted(record, Phase.ACCESS, purpose=request.purpose, columns=wanted)
        first_seen = self._require_rows(agreement, request)
        entry = Entry(record, agreement, request.purpose, Encoding.ARROW)
        opened = self._meter.open_stream(entry, request.after)
        ids = (record.process_id, agreement.agreement_id, opened.delivery_id)
        flow = Flow(*ids, request.purpose, wanted, digest, is_marked=True)  # each window is read, and marked, anew
        terms = agreement.terms
        left = None if terms.rows_max is None else max(0, terms.rows_max - opened.rows)
        return _Running(self, flow, request, left, micros_of(first_seen - BEFORE_FIRST))

    def _require_rows(self, agreement: Agreement, request: StreamRequest) -> datetime:
        """Return since when there are rows. Raises: TermsForbid, SelectionInvalid if none of them can be streamed."""
        dataset = self._delivery.dataset_of(agreement)
        if dataset.kind is not DatasetKind.SERIES:
            raise TermsForbid(
                agreement_id=agreement.agreement_id, reason="the dataset does not grow, so it has no stream"
            )
        figures = read_selection(request.columns, [column.name for column in dataset.columns]).figures
        if agreement.terms.is_aggregate_only or figures:
            raise SelectionInvalid(asked="a stream", reason="figures over rows that are still coming do not exist")
        if not 0 <= request.after <= micros_of(self._clock() + SPAN_MAX):
            raise SelectionInvalid(asked=str(request.after)[:40], reason="it is no position of this stream")
        return dataset.first_seen

    # ---- what a running stream asks ---------------------------------------------------------------------------------

    @property
    def settings(self) -> StreamSettings:
        """The pace."""
        return self._settings

    @property
    def clock(self) -> Clock:
        """The node's clock."""
        return self._clock

    def why_stopped(self, flow: Flow) -> str | None:
        """Return why the stream ends at once."""
        return self._admission.why_stopped(flow)

    def read(self, flow: Flow, request: StreamRequest, window: tuple[int, int], rows_max: int | None) -> Rows:
        """Judge the stream anew and return the rows that arrived in a window. Raises: as `open`."""
        record = self._admission.flowing(flow.process_id)
        why_not = self._admission.why_not_now(flow)
        if why_not:
            # The other side is told why; who mends it resumes the stream, which goes on where it was.
            self._engine.queue(record, Action.SUSPEND, actor=SYSTEM, reason=why_not)
            raise TransferStopped(transfer_id=flow.process_id, reason=why_not)
        agreement = self._admission.agreement_of(record)
        bounds = (RowBound(ARRIVED, ">", (_text(window[0]),)), RowBound(ARRIVED, "<=", (_text(window[1]),)))
        asked, purpose = request.columns, request.purpose
        rows = self._delivery.read(record, agreement, asked, purpose, more=bounds, rows_max=rows_max)
        bind(rows, flow.delivery_id)
        return rows

    def note(self, flow: Flow, *, rows: int, size_bytes: int, total: int) -> None:
        """Write what has been sent so far: of this opening, and how many rows more of the stream."""
        self._meter.note_stream(flow.process_id, flow.delivery_id, rows=rows, size_bytes=size_bytes, more=total)

    def mark(self, flow: Flow, position: int, rows: int) -> None:
        """Write how many rows lie before a position, for the lines that both sides sign."""
        self._meter.mark_stream(flow.process_id, position, rows)

    def end(self, flow: Flow, *, rows: int, size_bytes: int, outcome: str) -> None:
        """Close the line of this opening."""
        self._meter.close(flow.delivery_id, rows=rows, size_bytes=size_bytes, outcome=outcome)


@dataclass(slots=True)
class _Sent:
    rows: int = 0
    size_bytes: int = 0
    noted: int = 0


@dataclass(slots=True)
class _Pace:
    """How far the next window reaches, and when it is read."""

    step_s: float
    span: timedelta = SPAN_FIRST
    wait_s: float = field(default=0.0)

    def learn(self, rows: int, *, is_behind: bool) -> None:
        if rows < ROWS_FEW:
            self.span = min(SPAN_MAX, self.span * 4)
        elif rows > ROWS_MANY:
            self.span = max(timedelta(seconds=1), self.span / 4)
        longest = self.step_s * IDLE_MAX
        waited = self.step_s if rows else min(longest, max(self.step_s, self.wait_s * IDLE_FACTOR))
        self.wait_s = 0.0 if is_behind else waited


class _Running:
    """One opening under way."""

    def __init__(self, streams: Streams, flow: Flow, request: StreamRequest, rows_left: int | None, floor: int) -> None:
        self._streams = streams
        self._floor = floor
        self._flow = flow
        self._request = request
        self._left = rows_left
        self._sent = _Sent()
        self._last_piece_s = time.monotonic()

    def pieces(self) -> Iterator[bytes]:
        """Yield the stream; where it was stopped it ends in good form, because no end of a stream means 'all'."""
        outcome = "failed"
        try:
            yield from self._windows()
            outcome = "stopped"
        finally:
            self._streams.end(self._flow, rows=self._sent.rows, size_bytes=self._sent.size_bytes, outcome=outcome)

    def _windows(self) -> Iterator[bytes]:
        settings, sink = self._streams.settings, Sink()
        pace, position, writer, schema = _Pace(settings.stream_step_s), self._request.after, None, None
        while self._is_going_on_after(pace.wait_s):
            settled = micros_of(self._streams.clock()) - _micros(settings.stream_settle_s)
            until = min(max(position + _micros(pace.span.total_seconds()), self._floor), settled)
            if until <= position:
                pace.learn(0, is_behind=False)
                yield from self._heartbeat(writer, sink, schema, position)
                continue
            try:
                rows = self._streams.read(self._flow, self._request, (position, until), self._left)
            except GongshuError:  # refused, stopped, or the lake is away: what was whole stands, the rest comes anew
                break
            if writer is None:
                schema = rows.schema
                writer = pa.ipc.new_stream(sink, schema)
            if rows.schema != schema:
                rows.close()
                break  # a policy has changed what is seen; the next opening begins with the new columns
            before = self._sent.rows
            complete = yield from self._window(rows, writer, sink)
            if not complete:
                break
            position = until
            count = self._sent.rows - before
            self._streams.mark(self._flow, position, count)
            pace.learn(count, is_behind=until < settled)
            yield self._mark(writer, sink, schema, position)
            if self._left == 0:
                break
        if writer is not None:
            writer.close()
            yield sink.take()

    def _window(self, rows: Rows, writer: Any, sink: Sink) -> Generator[bytes, None, bool]:
        try:
            for batch in rows.batches():
                if self._streams.stopping.is_set() or self._streams.why_stopped(self._flow):
                    return False
                writer.write_batch(batch)
                self._sent.rows += batch.num_rows
                if self._left is not None:
                    self._left -= batch.num_rows
                yield self._taken(sink)
        finally:
            rows.close()
            self._note()
        return True

    def _mark(self, writer: Any, sink: Sink, schema: pa.Schema, position: int) -> bytes:
        empty = pa.RecordBatch.from_pylist([], schema=schema)
        writer.write_batch(empty, custom_metadata={POSITION: str(position).encode()})
        return self._taken(sink)

    def _heartbeat(self, writer: Any, sink: Sink, schema: pa.Schema, position: int) -> Iterator[bytes]:
        if writer is not None and time.monotonic() - self._last_piece_s >= HEARTBEAT_S:
            yield self._mark(writer, sink, schema, position)

    def _taken(self, sink: Sink) -> bytes:
        piece = sink.take()
        self._sent.size_bytes += len(piece)
        self._last_piece_s = time.monotonic()
        return piece

    def _note(self) -> None:
        more = self._sent.rows - self._sent.noted
        if more:
            self._sent.noted = self._sent.rows
            self._streams.note(self._flow, rows=self._sent.rows, size_bytes=self._sent.size_bytes, total=more)

    def _is_going_on_after(self, wait_s: float) -> bool:
        """Wait, and return False as soon as the stream was stopped, or this node stops."""
        deadline = time.monotonic() + wait_s
        while not self._streams.stopping.is_set() and self._streams.why_stopped(self._flow) is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return True
            time.sleep(min(CHECK_S, left_s))
        return False


def micros_of(moment: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC.

    >>> micros_of(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment_of(position: int) -> datetime:
    """Return the moment of a position."""
    return EPOCH + timedelta(microseconds=position)


def _micros(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _text(position: int) -> str:
    return moment_of(position).isoformat(sep=" ")

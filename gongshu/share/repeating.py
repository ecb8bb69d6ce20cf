"""What a message says anew under the `@id` of one that was taken: its sender heard no answer, and keeps what came last.

A message that comes twice is normally the same. EDC 0.14.1 repeats an agreement under a new `@id` and time of the
agreement, and a start with a new data address; whoever kept the first would ask for data under an agreement that the
other side does not know.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.share import processes as store
from gongshu.share.agreements import find_agreement, renew_agreement
from gongshu.share.contract_book import CONTRACT
from gongshu.share.dsp.messages import ANSWERS
from gongshu.share.dsp.reader import Inbound
from gongshu.share.dsp.states import Move, Side, State
from gongshu.share.errors import AnswerAwaited
from gongshu.share.model import Record
from gongshu.share.odrl import text_hash
from gongshu.share.reactor import AGREEMENT_AHEAD_MAX, read_stamp
from gongshu.share.short_ids import short_id
from gongshu.share.signals import new_urn

Json = dict[str, Any]

RENEWED_MAX = 20
"""How often one agreement may be written anew, each kept as evidence: as often as we send a message ourselves."""


def take_anew(
    connection: sa.Connection, record: Record, inbound: Inbound, changes: Mapping[str, Any], now: datetime
) -> Json:
    """Store what a repeated message says anew, and return what of the process it changed; empty if nothing.

    Only while the other side still waits for what follows the message: an agreement until our verification arrived, and
    only one that differs in its `@id` and time alone; the address of a start until another message came.
    """
    if inbound.move is Move.AGREE and record.state is State.AGREED and record.side is Side.CONSUMER:
        return _take_agreement(connection, record, inbound, now)
    last = store.last_received(connection, record.process_id)
    is_last = last is not None and last[0] == inbound.message_id
    if inbound.move is Move.START and record.state is State.STARTED and is_last and "data_address" in changes:
        address = {"data_address": changes["data_address"]}
        store.update_process(connection, record.process_id, address)
        return address
    return {}


def read_move(connection: sa.Connection, record: Record, inbound: Inbound) -> Move:
    """Return what a message is: a start of the provider may be its answer to our own, and a start anew.

    EDC 0.14.1 answers a consumer's start by one of its own, with a new data address, and ends the transfer where that
    is refused. Our own kind does not: its messages name what they answer. See decision 0103.
    Raises: AnswerAwaited if ours is still under way; a start sent before it arrived would look the same.
    """
    assert inbound.move is not None, "only process messages come here"
    if inbound.move is not Move.START or record.side is not Side.CONSUMER or ANSWERS in inbound.document:
        return inbound.move
    if record.pending is Move.START and record.pending_sent:
        raise AnswerAwaited(process_id=short_id(record.process_id))
    is_answer = record.state is State.STARTED and store.is_resumed(connection, record)
    return Move.START_ANEW if is_answer else Move.START


def is_resumption(record: Record, inbound: Inbound) -> bool:
    """True if a consumer resumes a transfer and waits for a start of ours; our own kind asks when it needs a token."""
    return inbound.move is Move.START and record.side is Side.PROVIDER and ANSWERS not in inbound.document


def _take_agreement(connection: sa.Connection, record: Record, inbound: Inbound, now: datetime) -> Json:
    agreement: Json = inbound.document["agreement"]
    agreement_id = str(agreement["@id"])
    known = find_agreement(connection, record.agreement_id)
    before = _agreed_before(connection, record)
    is_signed = any(CONTRACT in document for document in (inbound.document, *before))
    is_late = any(document["agreement"]["@id"] == agreement_id for document in before)
    if is_signed or is_late or len(before) > RENEWED_MAX or not _is_same(known.policy, agreement, now):
        return {}
    if not renew_agreement(connection, record, agreement, now):
        return {}
    store.log_message(
        connection,
        direction="in",
        counterparty=record.counterparty,
        message_id=new_urn(),
        process_id=record.process_id,
        message_type=inbound.message_type,
        body_hash=text_hash(inbound.raw.decode("utf-8", "replace")),
        body=orjson.dumps(inbound.document).decode(),
        at=now,
    )
    changed = {"agreement_id": agreement_id}
    store.update_process(connection, record.process_id, changed)
    return changed


def _agreed_before(connection: sa.Connection, record: Record) -> list[Json]:
    messages = store.messages_of(connection, record.process_id)
    mine = [m for m in messages if m["direction"] == "in" and m["message_type"] == Move.AGREE.message_type]
    return [orjson.loads(message["body"]) for message in mine]


def _is_same(known: Mapping[str, Any], agreement: Json, now: datetime) -> bool:
    """True if only the id differs, and the time, which has gone on."""
    earlier, later = (read_stamp(str(policy.get("timestamp"))) for policy in (known, agreement))
    is_later = earlier is not None and later is not None and earlier <= later <= now + AGREEMENT_AHEAD_MAX
    renewed = dict(known) | {key: agreement[key] for key in ("@id", "timestamp") if key in agreement}
    return renewed == agreement and (is_later or known.get("timestamp") == agreement.get("timestamp"))

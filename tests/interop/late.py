"""Our answers come late: EDC is still sending when our next message is there already. `python -m tests.interop --late`.

EDC 0.14.1 stores what it sent when our answer has come. Until then it shows the state it sends for, and takes nothing.
Its state is in PostgreSQL here, where it locks a process meanwhile. In memory it has no such lock: a message that it
refuses then makes it send its own once more and mix up the two, so nothing could be told from it.
"""

import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from tests.interop.edc import Json, Stores, fetch_stores
from tests.interop.to_edc import fetched
from tests.interop.waiting import until
from tests.interop.world import EDC_PARTY, World, csv_rows, offered_rows, only, opened
from tests.postgres import missing, served

LATE_S = 0.7
"""Longer than until we try again for the first time, shorter than until the second."""


def main() -> int:
    """Return the exit code."""
    if reason := missing():
        raise SystemExit(f"interop: {reason}")
    os.environ["GONGSHU_INTEROP_LATE_S"] = str(LATE_S)
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="gongshu-interop-"))
    try:
        with _stores() as stores, opened(folder, stores) as world:
            print(f"late ({time.monotonic() - began:.0f} s)", flush=True)
            again = we_buy(world) | edc_buys(world)
    except AssertionError as fault:
        print(f"interop: does not hold: {fault}\n  logs: {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print(
        f"interop: EDC 0.14.1, answers late by {LATE_S} s: {len(again)} kinds of our messages came too early and went"
    )
    print(f"  again: {', '.join(sorted(again))} ({time.monotonic() - began:.0f} s)")
    return 0


@contextmanager
def _stores() -> Iterator[Stores]:
    with served(is_durable=False) as server:
        with psycopg.connect(f"{server.url.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE edc")
        yield Stores(fetch_stores(), f"jdbc:postgresql://127.0.0.1:{server.port}/edc", "postgres")


def _asked(world: World, question: str, *values: str) -> set[str]:
    """Return the first column of what the database of our node answers."""
    with closing(sqlite3.connect(f"file:{world.ours.home / 'metadata.db'}?mode=ro", uri=True)) as connection:
        return {str(row[0]) for row in connection.execute(question, values)}


def _reached(world: World, what: str, kind: str, process_id: str, state: str) -> set[str]:
    """Wait for our process to be in a state with nothing of it under way; return which messages had to go again."""
    again: set[str] = set()

    def look() -> Json | None:
        found: Json = world.ours.get(f"/share/{kind}/{process_id}")
        now = _asked(world, "SELECT move FROM share_outbox WHERE last_error <> ''")
        again.update(now)
        is_over = found["state"] == "TERMINATED" or (found["state"] == state and not now)
        return found if is_over else None

    done = until(what, look, timeout_s=20.0, pause_s=0.02)
    assert done["state"] == state, f"{what}: {done['state']} ({done['reason']})"
    world.say(f"{what}: {state}" + (f", after {', '.join(sorted(again))} went again" if again else ""))
    return again


def we_buy(world: World) -> set[str]:
    """EDC provides: a contract, its data asked for at once, suspended at once, ended at once."""
    ours = world.ours
    asked = ours.post("/share/negotiations", {"party": EDC_PARTY, "dataset_id": "readings"})["process_id"]
    again = _reached(world, "our contract with EDC", "negotiations", asked, "FINALIZED")
    assert again, "nothing came too early: the answers were not late"
    agreement = ours.get(f"/share/negotiations/{asked}")["agreement_id"]
    transfer = ours.post("/share/transfers", {"agreement_id": agreement})["process_id"]
    again |= _reached(world, "its transfer, asked for at once", "transfers", transfer, "STARTED")
    ours.post(f"/share/transfers/{transfer}/suspend", {"reason": "at once"})
    again |= _reached(world, "suspended at once", "transfers", transfer, "SUSPENDED")
    theirs = str(world.edc.transfer_of(transfer)["@id"])
    world.edc.wait("transferprocesses", theirs, "SUSPENDED")
    ours.post(f"/share/transfers/{transfer}/terminate", {"reason": "at once"})
    world.edc.ended(theirs)
    ours.wait("transfers", transfer, "TERMINATED")
    return again


def edc_buys(world: World) -> set[str]:
    """EDC consumes: a contract, its data, suspended and resumed at once by us, then by EDC, and ended by EDC."""
    ours, edc = world.ours, world.edc
    ours.post("/share/offers", {"dataset_id": "orders", "terms": {"until": "2099-12-31T00:00:00Z"}})
    offer = only(only(edc.catalogue(ours.base, ours.party)["dataset"])["hasPolicy"])
    asked = edc.negotiate(ours.base, ours.party, "orders", offer)
    again = _reached(world, "EDC's contract with us", "negotiations", _mine(world, asked), "FINALIZED")
    agreement = str(edc.wait("contractnegotiations", asked, "FINALIZED")["contractAgreementId"])
    theirs = edc.transfer(ours.base, agreement, "HttpData-PULL")
    transfer = _mine(world, theirs)
    again |= _reached(world, "its transfer", "transfers", transfer, "STARTED")
    edc.wait("transferprocesses", theirs, "STARTED")
    for step, state in (("suspend", "SUSPENDED"), ("resume", "STARTED")):
        ours.post(f"/share/transfers/{transfer}/{step}", {"reason": "at once"} if step == "suspend" else {})
        again |= _reached(world, f"{step} by us", "transfers", transfer, state)
    edc.wait("transferprocesses", theirs, "STARTED")
    until("EDC has the new address", lambda: _address(world, theirs))
    assert csv_rows(fetched(world, theirs).content) == offered_rows(), "the rows differ from ours"
    world.say("pull by EDC's user: all rows")
    before = edc.data_address(theirs)["authorization"]
    edc.act(theirs, "suspend", "at once")
    again |= _reached(world, "suspend by EDC", "transfers", transfer, "SUSPENDED")
    edc.wait("transferprocesses", theirs, "SUSPENDED")
    edc.act(theirs, "resume")
    again |= _reached(world, "resume by EDC", "transfers", transfer, "STARTED")
    until("EDC has our address", lambda: (_address(world, theirs) or {}).get("authorization", before) != before or None)
    edc.wait("transferprocesses", theirs, "STARTED")
    assert csv_rows(fetched(world, theirs).content) == offered_rows(), "the rows differ from ours"
    world.say("pull by EDC's user with the address it got: all rows")
    edc.act(theirs, "terminate", "enough seen")
    ours.wait("transfers", transfer, "TERMINATED")
    return again


def _mine(world: World, peer_pid: str) -> str:
    """Return our process of the one that EDC calls so, as soon as it is here."""
    question = "SELECT process_id FROM share_processes WHERE peer_pid = ?"
    found = until("EDC's request comes in", lambda: _asked(world, question, peer_pid) or None, pause_s=0.02)
    return found.pop()


def _address(world: World, transfer_id: str) -> Json | None:
    """Return the data address that EDC holds, None while it stores it."""
    try:
        return world.edc.data_address(transfer_id)
    except AssertionError:
        return None

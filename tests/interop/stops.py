"""Suspension, resumption and termination from either side, and what is left after a process was killed."""

from tests.interop.edc import Json
from tests.interop.to_edc import fetched
from tests.interop.waiting import until
from tests.interop.world import EDC_PARTY, World, csv_rows, offered_rows, only, publish, source_rows


def run(world: World) -> None:
    """Stop and kill. Raises: AssertionError with the first thing that does not hold."""
    world.ours.post("/share/offers", {"dataset_id": "orders", "terms": {"columns": ["part_number", "quantity"]}})
    offered = world.edc.catalogue(world.ours.base, world.ours.party)["dataset"]
    offers = only(offered)["hasPolicy"]
    offer = next(o for o in offers if len(o["permission"][0].get("constraint", [])) == 1)
    agreed = world.edc.contracted(world.ours.base, world.ours.party, "orders", offer)
    bought = world.ours.contracted(EDC_PARTY, "readings")
    edc_suspends(world, bought)
    we_suspend(world, agreed)
    we_resume(world, bought)
    we_terminate(world, bought)
    edc_resumes(world, agreed)
    edc_terminates(world, agreed)
    we_are_killed(world, agreed, offer)
    edc_is_killed(world, bought)


def edc_suspends(world: World, agreement: str) -> None:
    """The provider's EDC suspends and resumes: nothing is pulled in between, and all of it afterwards."""
    ours, edc = world.ours, world.edc
    transfer = ours.transfer(agreement)
    theirs = str(edc.transfer_of(transfer)["@id"])
    edc.act(theirs, "suspend", "the machine is serviced")
    ours.wait("transfers", transfer, "SUSPENDED")
    problem = ours.refused(f"/share/transfers/{transfer}/pull", {"name": "edc_suspended"})
    assert problem["code"] == "share.transfer_stopped", problem
    edc.act(theirs, "resume")
    ours.wait("transfers", transfer, "STARTED")
    assert ours.rows(ours.pull(transfer, "edc_resumed")) == source_rows(), "the rows differ from the source"
    world.say("EDC suspends as provider: SUSPENDED here, no pull; resumed: STARTED, pull whole")


def we_suspend(world: World, agreement: str) -> None:
    """We suspend as provider: the token that EDC holds is worth nothing until we resume, with another one."""
    ours, edc = world.ours, world.edc
    transfer, mine, address = _edc_transfer(world, agreement)
    before = address["authorization"]
    ours.post(f"/share/transfers/{mine}/suspend", {"reason": "the lake is serviced"})
    edc.wait("transferprocesses", transfer, "SUSPENDED")
    assert ours.outside(address["endpoint"], before) in (401, 403), "a suspended transfer delivers"
    ours.post(f"/share/transfers/{mine}/resume", {})
    edc.wait("transferprocesses", transfer, "STARTED")
    _renewed(world, transfer, before)
    assert csv_rows(fetched(world, transfer).content) == offered_rows(), "the rows differ from ours"
    world.say("we suspend as provider: SUSPENDED at EDC, its token void; resumed: STARTED, new token, pull whole")
    ours.post(f"/share/transfers/{mine}/terminate", {"reason": "done"})
    done = edc.ended(transfer)
    world.say(f"we terminate as provider: EDC shows {done['state']}")


def we_resume(world: World, agreement: str) -> None:
    """We suspend and resume as consumer: EDC answers our start by one of its own, with a new address."""
    ours, edc = world.ours, world.edc
    transfer = ours.transfer(agreement)
    theirs = str(edc.transfer_of(transfer)["@id"])
    ours.post(f"/share/transfers/{transfer}/suspend", {"reason": "our mill is serviced"})
    edc.wait("transferprocesses", theirs, "SUSPENDED")
    ours.post(f"/share/transfers/{transfer}/resume", {})
    edc.wait("transferprocesses", theirs, "STARTED")
    ours.wait("transfers", transfer, "STARTED")
    assert ours.rows(ours.pull(transfer, "we_resumed")) == source_rows(), "the rows differ from the source"
    world.say("we suspend and resume as consumer: STARTED on both sides, pull whole")


def edc_resumes(world: World, agreement: str) -> None:
    """EDC suspends and resumes as consumer: it waits for a start of ours, and pulls with the address in it."""
    ours, edc = world.ours, world.edc
    transfer, mine, address = _edc_transfer(world, agreement)
    before = address["authorization"]
    for _ in range(2):
        edc.act(transfer, "suspend", "the other machine is serviced")
        ours.wait("transfers", mine, "SUSPENDED")
        edc.wait("transferprocesses", transfer, "SUSPENDED")
        assert ours.outside(address["endpoint"], before) in (401, 403), "a suspended transfer delivers"
        edc.act(transfer, "resume")
        edc.wait("transferprocesses", transfer, "STARTED")
        ours.wait("transfers", mine, "STARTED")
        before = _renewed(world, transfer, before)
        assert csv_rows(fetched(world, transfer).content) == offered_rows(), "the rows differ from ours"
    world.say("EDC suspends and resumes as consumer, twice: STARTED on both sides, new token each time, pull whole")
    edc.act(transfer, "terminate", "done")
    ours.wait("transfers", mine, "TERMINATED")


def we_terminate(world: World, agreement: str) -> None:
    """We terminate as consumer: EDC's side ends too, and its data plane with it."""
    ours, edc = world.ours, world.edc
    transfer = ours.transfer(agreement)
    theirs = str(edc.transfer_of(transfer)["@id"])
    ours.post(f"/share/transfers/{transfer}/terminate", {"reason": "no longer needed"})
    done = edc.ended(theirs)
    ours.wait("transfers", transfer, "TERMINATED")
    world.say(f"we terminate as consumer: TERMINATED here, {done['state']} at EDC")


def edc_terminates(world: World, agreement: str) -> None:
    """EDC terminates as consumer: our side ends with its reason, and the token is worth nothing."""
    ours, edc = world.ours, world.edc
    transfer, mine, address = _edc_transfer(world, agreement)
    edc.act(transfer, "terminate", "enough seen")
    done = ours.wait("transfers", mine, "TERMINATED")
    assert "enough seen" in done["reason"], done
    reply = ours.outside(address["endpoint"], address["authorization"])
    assert reply == 401, reply
    world.say(f"EDC terminates as consumer: TERMINATED here ({done['reason']}), its token refused with {reply}")


def we_are_killed(world: World, agreement: str, offer: dict[str, object]) -> None:
    """Killed in the middle, we come back with everything: the transfer runs on, EDC's waiting request is answered."""
    ours, edc = world.ours, world.edc
    transfer = edc.transfer(ours.base, agreement, "HttpData-PULL")
    edc.wait("transferprocesses", transfer, "STARTED")
    ours.kill()
    negotiation = edc.negotiate(ours.base, ours.party, "orders", offer)
    until("EDC tries", lambda: edc.get(f"/contractnegotiations/{negotiation}")["state"] == "REQUESTING" or None)
    ours.start()
    assert csv_rows(fetched(world, transfer).content) == offered_rows(), "the rows differ from ours"
    mine = ours.transfer_with(agreement, EDC_PARTY)
    assert mine["state"] == "STARTED", mine
    done = edc.wait("contractnegotiations", negotiation, "FINALIZED", "TERMINATED")
    assert done["state"] == "FINALIZED", done
    world.say("our node killed and served again: transfer STARTED on both sides, the same token serves")
    world.say("EDC's request from the time in between: FINALIZED after EDC's retries")


def edc_is_killed(world: World, agreement: str) -> None:
    """Killed, an EDC with its state in memory forgets all; our side says so instead of waiting for ever."""
    ours, edc = world.ours, world.edc
    transfer = ours.transfer(agreement)
    edc.kill()
    away = ours.refused(f"/share/transfers/{transfer}/pull", {"name": "edc_away"})
    assert away["code"] == "share.peer_unreachable", away
    assert ours.get(f"/share/transfers/{transfer}")["state"] == "STARTED", "an outage ends nothing"
    edc.start()
    publish(edc, world.ends)
    back = ours.refused(f"/share/transfers/{transfer}/pull", {"name": "edc_back"})
    assert back["code"] == "share.peer_refused", back
    asked = ours.post("/share/transfers", {"agreement_id": agreement})
    refused = ours.wait("transfers", asked["process_id"], "TERMINATED")
    ours.post(f"/share/transfers/{transfer}/terminate", {"reason": "the other side lost it"})
    ended = ours.wait("transfers", transfer, "TERMINATED")
    world.say(f"EDC killed: a pull says {away['code']}, the transfer stays STARTED here")
    world.say(f"EDC back without memory: a pull says {back['code']}, a new transfer ends TERMINATED here with")
    world.say(f"  '{refused['reason'][:100]} …'")
    world.say(f"the old transfer, ended by us: TERMINATED here with '{ended['reason'][:70]} …'")
    again = ours.contracted(EDC_PARTY, "readings")
    assert ours.rows(ours.pull(ours.transfer(again), "edc_again")) == source_rows(), "the rows differ from the source"
    world.say("a new contract with the EDC that came back: FINALIZED, pull whole")


def _edc_transfer(world: World, agreement: str) -> tuple[str, str, Json]:
    """Let EDC have a transfer: its id there and here, and the data address that it holds."""
    transfer = world.edc.transfer(world.ours.base, agreement, "HttpData-PULL")
    world.edc.wait("transferprocesses", transfer, "STARTED")
    mine = str(world.ours.transfer_with(agreement, EDC_PARTY)["process_id"])
    return transfer, mine, world.edc.data_address(transfer)


def _renewed(world: World, transfer_id: str, before: str) -> str:
    """Return the token that EDC holds, as soon as it is another one."""

    def look() -> str | None:
        token = str(world.edc.data_address(transfer_id)["authorization"])
        return token if token != before else None

    return until("EDC has the new address", look)

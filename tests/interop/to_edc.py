"""We provide, an EDC consumes: catalogue, contract with our terms, pull with the cached address, push as it asks."""

import httpx

from tests.interop.edc import Json
from tests.interop.waiting import until
from tests.interop.world import EDC_PARTY, ROWS, World, csv_rows, offered_rows, only

DATASET = "orders"
TERMS: Json = {
    "parties": [EDC_PARTY],
    "until": "2099-12-31T00:00:00Z",
    "uses_max": 3,
    "columns": ["part_number", "quantity"],
}


def run(world: World) -> None:
    """Exchange in this direction. Raises: AssertionError with the first thing that does not hold."""
    agreement = contract(world)
    transfer = pull(world, agreement)
    push(world, agreement)
    used_up(world, transfer)


def contract(world: World) -> str:
    """EDC reads our catalogue and agrees to an offer with four terms."""
    world.ours.post("/share/offers", {"dataset_id": DATASET, "terms": TERMS})
    document = world.edc.catalogue(world.ours.base, world.ours.party)
    dataset = only(document["dataset"])
    offer = only(dataset["hasPolicy"])
    formats = {part["format"] for part in dataset["distribution"]}
    assert {"HttpData-PULL", "HttpData-PUSH"} <= formats, formats
    constraints = offer["permission"][0]["constraint"]
    assert len(constraints) == len(TERMS), constraints
    world.say(f"our catalogue in EDC: 1 dataset, 1 offer with {len(constraints)} constraints")
    agreement = world.edc.contracted(world.ours.base, world.ours.party, dataset["@id"], offer)
    mine = next(a for a in world.ours.get("/share/agreements") if a["agreement_id"] == agreement)
    assert (mine["status"], mine["party"]) == ("active", EDC_PARTY), mine
    world.say(f"negotiation with EDC as consumer FINALIZED, agreement {agreement}, our terms unchanged")
    world.shown += ["catalogue 1 dataset", f"contract {agreement}"]
    return agreement


def pull(world: World, agreement: str) -> str:
    """An EDC user takes the address from the cache of data addresses and fetches the rows with it."""
    transfer = world.edc.transfer(world.ours.base, agreement, "HttpData-PULL")
    world.edc.wait("transferprocesses", transfer, "STARTED")
    reply = fetched(world, transfer)
    assert reply.status_code == 200, reply.text
    assert csv_rows(reply.content) == offered_rows(), "the rows differ from ours"
    world.say(f"pull by EDC's user with the cached address: {ROWS:,} rows, only the two columns of the contract")
    world.shown.append(f"pull {ROWS:,} rows")
    return transfer


def fetched(world: World, transfer: str) -> httpx.Response:
    """Return what an EDC user gets with the cached address of a transfer: the token as it is, no scheme before it."""
    address = world.edc.data_address(transfer)
    headers = {"Authorization": address["authorization"], "Accept": "text/csv"}
    return httpx.get(address["endpoint"], headers=headers, trust_env=False, timeout=30.0)


def push(world: World, agreement: str) -> None:
    """Our data plane posts the rows to the address that EDC's transfer request names."""
    destination = {
        "type": "HttpData",
        "baseUrl": f"{world.ends.address}/landing",
        "contentType": "text/csv",
        "authKey": "Authorization",
        "authCode": "landing-token",
    }
    transfer = world.edc.transfer(world.ours.base, agreement, "HttpData-PUSH", destination)

    def landed() -> bytes | None:
        bodies = world.ends.bodies("/landing")
        return bodies[0][1] if bodies else None

    body = until("our push lands", landed)
    assert csv_rows(body) == offered_rows(), "the rows differ from ours"
    done = world.edc.ended(transfer)
    assert done["state"] != "TERMINATED", done
    world.say(f"push to EDC's destination: {ROWS:,} rows as CSV; EDC shows {done['state']}")
    world.shown.append(f"push {ROWS:,} rows")


def used_up(world: World, transfer: str) -> None:
    """The contract allows three uses; the fourth is refused, whichever way it is asked for."""
    assert fetched(world, transfer).status_code == 200, "the third use is in order"
    refusal = fetched(world, transfer)
    assert refusal.status_code == 403, (refusal.status_code, refusal.text[:300])
    world.say(f"fourth use under 'at most 3 uses': refused with {refusal.status_code} ({refusal.json()['code']})")
    world.shown.append("use 4 of 3 refused")

"""An EDC provides, we consume: catalogue, contract, pull and push; a term that we keep and one that we refuse."""

from tests.interop.waiting import until
from tests.interop.world import EDC_PARTY, IN_FORCE, ROWS, World, source_rows


def run(world: World) -> None:
    """Exchange in this direction. Raises: AssertionError with the first thing that does not hold."""
    catalogue(world)
    agreement = world.ours.contracted(EDC_PARTY, "readings")
    world.say(f"negotiation with EDC as provider FINALIZED, agreement {agreement}")
    pull(world, agreement)
    push(world, agreement)
    kept_term(world)
    strange_term(world)


def catalogue(world: World) -> None:
    """Both datasets and their offers are read, the strange one with what is strange about it."""
    found = {d["dataset_id"]: d for d in world.ours.get("/share/catalogue", party=EDC_PARTY)["datasets"]}
    assert set(found) == {"readings", "dated", "strange"}, set(found)
    assert found["readings"]["title"] == "Readings of a mill", found["readings"]
    assert found["readings"]["formats"] == ["HttpData-PULL", "HttpData-PUSH"], found["readings"]
    assert found["readings"]["offers"][0]["terms"]["unrestricted"], found["readings"]
    assert found["dated"]["offers"][0]["terms"]["until"].startswith("2099-01-01"), found["dated"]
    assert "ContractReference" in found["strange"]["offers"][0]["obstacle"], found["strange"]
    world.say(f"catalogue of EDC: {len(found)} datasets")
    world.seen.append(f"catalogue {len(found)} datasets")


def pull(world: World, agreement: str) -> None:
    """The bytes that EDC's data plane passes on become a dataset of ours, row by row the same."""
    transfer = world.ours.transfer(agreement)
    kept = world.ours.pull(transfer, "edc_readings")
    assert world.ours.rows(kept) == source_rows(), "the rows differ from the source"
    world.say(f"pull from EDC's data plane: {ROWS:,} rows of CSV, equal to the source")
    world.ours.post(f"/share/transfers/{transfer}/complete", {})
    world.ours.wait("transfers", transfer, "COMPLETED")
    theirs = world.edc.transfer_of(transfer)
    done = world.edc.ended(str(theirs["@id"]))
    assert done["state"] != "TERMINATED", done
    world.say(f"transfer completed by us; EDC shows {done['state']}")
    world.seen += [f"contract {agreement}", f"pull {ROWS:,} rows"]


def push(world: World, agreement: str) -> None:
    """EDC's data plane posts the rows to the inbox that our transfer request names."""
    asked = {"agreement_id": agreement, "format": "HttpData-PUSH", "name": "edc_pushed"}
    transfer = world.ours.post("/share/transfers", asked)["process_id"]
    done = world.ours.wait("transfers", transfer, "COMPLETED", "TERMINATED")
    assert done["state"] == "COMPLETED", done["reason"]

    def stored() -> str | None:
        lines = world.ours.get("/share/deliveries", agreement_id=agreement)
        names = [line["stored_as"] for line in lines if line["transfer_id"] == transfer and line["stored_as"]]
        return str(names[0]) if names else None

    kept = until("the pushed rows are stored", stored, timeout_s=20.0)
    assert world.ours.rows(kept) == source_rows(), "the rows differ from the source"
    world.say(f"push by EDC's data plane into our inbox: {ROWS:,} rows, equal to the source; transfer COMPLETED")
    world.seen.append(f"push {ROWS:,} rows")


def kept_term(world: World) -> None:
    """EDC's own term of time is a term of ours: it stands in the agreement and ends transfers."""
    agreement = world.ours.contracted(EDC_PARTY, "dated")
    found = next(a for a in world.ours.get("/share/agreements") if a["agreement_id"] == agreement)
    assert found["terms"]["until"].startswith("2099-01-01"), found
    world.say(f"EDC policy with {IN_FORCE.rsplit('/', 1)[-1]}: agreed, kept as 'until'")
    world.seen.append("term inForceDate kept")


def strange_term(world: World) -> None:
    """A term that nobody here can judge is no contract; EDC never hears of it."""
    before = len(world.edc.negotiations())
    problem = world.ours.refused("/share/negotiations", {"party": EDC_PARTY, "dataset_id": "strange"})
    assert problem["code"] == "share.terms_unknown", problem
    assert len(world.edc.negotiations()) == before, "EDC was asked all the same"
    world.say(f"EDC policy with an operand unknown to us: refused before anything was sent ({problem['code']})")
    world.seen.append("unknown term refused")

"""Steps 6 to 10: gate, share, apply, report, audit."""

import subprocess
import sys
from datetime import timedelta
from typing import Any

from gongshu.demo.model import Evidence
from gongshu.demo.province_members import join_and_report
from gongshu.demo.show import Show, require, wait_until

PURPOSE = "quality-analysis"
INDICATORS = ["parts_produced", "running_time", "oee"]
COLUMNS = ["time", "series", "value", "unit", "status"]
MASK_POLICY = """

@id("demo-analyst-sees-no-customer-names")
@mask("%s:hash")
permit (principal in Role::"analyst", action in [Action::"read", Action::"aggregate"], resource == Dataset::"%s")
when { principal.own_party };
"""


def gate(show: Show) -> Evidence:
    """One way out: a mask holds inside the query, a reader without the right gets nothing."""
    security, analyst, viewer = (show.enterprise[name] for name in ("security", "analyst", "viewer"))
    steward = show.enterprise["steward"]
    customers = next(d for d in steward.get("/api/v1/catalogue/datasets", limit=1000) if "customers" in d["dataset_id"])
    name = customers["dataset_id"]
    columns = [c["name"] for c in steward.get(f"/api/v1/catalogue/datasets/{name}")["column_list"]]
    secret = next(column for column in columns if "name" in column or "名称" in column)
    clear = {row[secret] for row in show.rows(steward, f'SELECT "{secret}" FROM {name}')}
    policies = security.get("/api/v1/policies")["text"]
    security.call("POST", "/api/v1/policies", {"text": policies + MASK_POLICY % (secret, name)})
    sql = f'SELECT substr("{secret}", 1, 40) AS seen FROM {name} WHERE "{secret}" IS NOT NULL'
    seen = {row["seen"] for row in show.rows(analyst, sql)}
    require(bool(seen) and not seen & clear, "names that an analyst sees", "hashes", sorted(seen)[:1])
    refusal = viewer.refused("POST", "/api/v1/sql", {"sql": f"SELECT * FROM {show.dataset_id}", "purpose": "look"})
    return Evidence(
        f"{len(seen)} customer names masked for the analyst, clear for the steward", f"a viewer [{refusal.code}]"
    )


def share(show: Show) -> Evidence:
    """A partner finds, negotiates and pulls twice; the third use and a 三级 offer are refused."""
    owner, buyer = show.enterprise["owner"], show.partner["owner"]
    place = {"party": show.party("partner"), "place": "CN-33", "basis": "demo: the partner is made up (synthetic)"}
    owner.call("POST", "/api/v1/share/places", place)
    until = (show.enterprise_now() + timedelta(days=1)).isoformat()
    terms = {
        "parties": [show.party("partner")],
        "until": until,
        "uses_max": 2,
        "purposes": [PURPOSE],
        "columns": COLUMNS,
    }
    owner.call("POST", "/api/v1/share/offers", {"dataset_id": show.dataset_id, "terms": terms})
    found = buyer.get("/api/v1/share/catalogue", party=show.party("enterprise"))
    require(any(d["dataset_id"] == show.dataset_id for d in found["datasets"]), "the offer", "found", found)
    body = {"party": show.party("enterprise"), "dataset_id": show.dataset_id}
    negotiation = buyer.call("POST", "/api/v1/share/negotiations", body)
    ended = _reach(buyer, "negotiations", negotiation["process_id"], "FINALIZED")
    show.agreement_id = ended["agreement_id"]
    document = buyer.get(f"/api/v1/share/contracts/{show.agreement_id}")
    require(document["two_sided"] and not document["problems"], "the contract", "signed by both", document["problems"])
    transfer = buyer.call("POST", "/api/v1/share/transfers", {"agreement_id": show.agreement_id})
    _reach(buyer, "transfers", transfer["process_id"], "STARTED")
    pull = f"/api/v1/share/transfers/{transfer['process_id']}/pull"
    for number in (1, 2):
        buyer.call("POST", pull, {"name": f"from_enterprise_{number}", "purpose": PURPOSE})
    third = buyer.refused("POST", pull, {"name": "from_enterprise_3", "purpose": PURPOSE})
    strict = _refuse_grade_three(show)
    pulled = buyer.call(
        "POST", "/api/v1/sql", {"sql": "SELECT count(*) AS n FROM from_enterprise_2", "purpose": PURPOSE}
    )
    rows = pulled["rows"][0]["n"]
    require(rows > 0, "rows pulled", "more than none", rows)
    resale = buyer.refused(
        "POST", "/api/v1/sql", {"sql": "SELECT count(*) AS n FROM from_enterprise_2", "purpose": "resale"}
    )
    _end_and_prove(show)
    holds = (
        f"agreement {show.agreement_id[-12:]} signed by both, 2 of 2 uses made, {rows} rows at the partner; a second "
        "contract ended: the partner's copy is shredded, the proof is here"
    )
    return Evidence(
        holds,
        f"third use [{third.code}], reading the copy for another purpose [{resale.code}], offer of 三级 [{strict}]",
    )


def _end_and_prove(show: Show) -> None:
    """A contract that the owner ends takes the partner's copy with it, and the partner proves it."""
    owner, buyer = show.enterprise["owner"], show.partner["owner"]
    terms = {"parties": [show.party("partner")], "uses_max": 9, "purposes": [PURPOSE], "no_onward": True}
    published = "urn:gongshu:demo:short-lived"
    body = {"dataset_id": show.dataset_id, "terms": terms, "published_as": published}
    owner.call("POST", "/api/v1/share/offers", body)
    wanted = {"party": show.party("enterprise"), "dataset_id": published, "purpose": PURPOSE, "name": "short_lived"}
    got = buyer.call("POST", "/api/v1/share/obtain", wanted)
    look = {"sql": "SELECT count(*) AS n FROM short_lived", "purpose": PURPOSE}
    require(buyer.call("POST", "/api/v1/sql", look)["rows"][0]["n"] > 0, "the copy", "readable", "empty")
    owner.call("POST", f"/api/v1/share/agreements/{got['agreement_id']}/retire", {"reason": "shown in the demo"})
    wait_until(lambda: _is_proved(owner, got["agreement_id"]), "the partner's deletion proof")
    buyer.refused("POST", "/api/v1/sql", look)


def _is_proved(owner: Any, agreement_id: str) -> bool:
    lines = owner.get("/api/v1/share/deletions")
    return any(line["agreement_id"] == agreement_id and line["proved_at"] for line in lines)


def apply(show: Show) -> Evidence:
    """OEE from the machines' readings, opened down to them; data that do not meet the app's needs are refused."""
    engineer, steward = show.enterprise["engineer"], show.enterprise["steward"]
    span = {"start": show.started_at.isoformat(), "end": show.enterprise_now().isoformat()}
    bindings = [b for b in engineer.get("/api/v1/apps/oee/bindings") if len(b["roles"]) >= 4]
    ready = [b for b in bindings if _meets(engineer, span, b)]
    require(bool(ready), "machines that meet the app's needs", "at least one", len(bindings))
    run = engineer.call("POST", "/api/v1/apps/oee/runs", span | {"bindings": ready, "params": {"bucket_s": 0}})
    at = f"/api/v1/apps/runs/{run['run_id']}/figure"
    opened = {b["asset"]: engineer.get(at, asset=b["asset"], figure="oee_index")["figure"]["value"] for b in ready}
    known = [asset for asset, value in opened.items() if value is not None]  # a machine that only stood has no figure
    require(bool(known), "a machine with a figure", "at least one", opened)
    asset = known[0]
    show.oee_dataset_id = next(name for name in run["outputs"] if "stops" not in name)
    wrong = {"asset": ready[0]["asset"], "roles": {**ready[0]["roles"], "ideal_cycle": ready[0]["roles"]["state"]}}
    refusal = engineer.refused("POST", "/api/v1/apps/oee/runs", span | {"bindings": [wrong]})
    steward.call("POST", "/api/v1/catalogue/confirmations", {"dataset_ids": [show.oee_dataset_id], "reason": "demo"})
    return Evidence(
        f"OEE of {len(ready)} machines, {asset.rsplit('/', 1)[-1]}: {opened[asset]:.3f}",
        f"data of the wrong unit [{refusal.code}]",
    )


def report(show: Show) -> Evidence:
    """The enterprise joins and reports; the province adds up and withholds what would betray one firm."""
    official, steward = show.province["steward"], show.enterprise["steward"]
    invitation = official.call("POST", "/api/v1/hub/invitations", {"indicators": INDICATORS})["invitation"]
    address = show.stage.nodes["province"].address
    agreement = steward.call("POST", "/api/v1/hub/join", {"address": address, "invitation": invitation})
    dataset = show.oee_dataset_id
    within = "bucket_start >= {period_start} AND bucket_start < {period_end}"
    sources = {
        "parts_produced": f"SELECT sum(parts) FROM {dataset} WHERE {within}",
        "running_time": f"SELECT round(sum(apt_s) / 3600, 2) FROM {dataset} WHERE {within}",
        "oee": f"SELECT round(avg(oee_index), 4) FROM {dataset} WHERE {within}",
    }
    for indicator, sql in sources.items():
        steward.call("PUT", f"/api/v1/hub/sources/{indicator}", {"dataset_id": dataset, "sql": sql})
    period = show.enterprise_now().strftime("%Y-%m")
    body = {"agreement_id": agreement["terms"]["agreement_id"], "period": period}
    steward.call("POST", "/api/v1/hub/outbox", body)
    wait_until(lambda: _delivered(steward), "the province's receipt")
    forged = show.province["viewer"].refused("POST", "/api/v1/hub/reports", {"document": {}, "signature": "AA"})
    members = join_and_report(show, official, period)
    publication = official.call("POST", f"/api/v1/hub/periods/{period}/publications")
    shown = [c for c in publication["cells"] if c["value"] is not None]
    withheld = [c for c in publication["cells"] if c["value"] is None]
    require(bool(shown) and bool(withheld), "totals", "some shown and some withheld", publication["cells"])
    least = publication["least_contributors"]
    totals = f"{len(shown)} totals shown, {len(withheld)} withheld (fewer than {least})"
    holds = f"signed report with receipt; {members + 1} members, {totals}"
    return Evidence(holds, f"a report without a signature [{forged.code}]")


def audit(show: Show) -> Evidence:
    """A separate program verifies the exported log, and names the first record of a copy that was altered."""
    auditor = show.enterprise["audit"]
    file = show.stage.folder / "audit.jsonl"
    file.write_bytes(auditor.download("/api/v1/audit/export"))
    good = _verify(str(file))
    require(good.returncode == 0, "the exported log", "verified", good.stdout + good.stderr)
    altered = show.stage.folder / "audit-altered.jsonl"
    altered.write_bytes(file.read_bytes().replace(b"user:viewer", b"user:nobody", 1))
    bad = _verify(str(altered))
    require(bad.returncode != 0, "the altered log", "found", bad.stdout)
    return Evidence(_short(good), _short(bad))


def _reach(person: Any, kind: str, process_id: str, state: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        record: dict[str, Any] = person.get(f"/api/v1/share/{kind}/{process_id}")
        require(record["state"] != "TERMINATED", kind, state, record["reason"])
        return record if record["state"] == state else None

    reached: dict[str, Any] = wait_until(look, f"{kind} in {state}")
    return reached


def _refuse_grade_three(show: Show) -> str:
    steward, owner = show.enterprise["steward"], show.enterprise["owner"]
    datasets = steward.get("/api/v1/catalogue/datasets", limit=1000)
    strict = next(d for d in datasets if d["kind"] == "series" and d["dataset_id"] != show.dataset_id)["dataset_id"]
    category = steward.get(f"/api/v1/catalogue/datasets/{strict}/proposal")["category"]
    decision = {"grade": 3, "importance": "important", "category": category, "reason": "demo"}
    steward.call("POST", f"/api/v1/catalogue/datasets/{strict}/confirm", decision)
    terms = {"parties": [show.party("partner")]}
    return str(owner.refused("POST", "/api/v1/share/offers", {"dataset_id": strict, "terms": terms}).code)


def _meets(person: Any, span: dict[str, Any], binding: dict[str, Any]) -> bool:
    findings = person.call("POST", "/api/v1/apps/oee/check", span | {"bindings": [binding]})
    return not any(finding["stops"] for finding in findings)


def _delivered(person: Any) -> bool:
    return any(report["state"] == "accepted" for report in person.get("/api/v1/hub/outbox"))


def _verify(file: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gongshu.audit_verifier", file]
    return subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=False)


def _short(verdict: "subprocess.CompletedProcess[str]") -> str:
    line = (verdict.stdout + verdict.stderr).strip().splitlines()[-1]
    return line.split(", up to ")[0].split(";")[0]

"""Steps 1 to 5: collect, store, catalogue, grade, quality."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import yaml

from gongshu.demo.client import Person
from gongshu.demo.model import Evidence
from gongshu.demo.show import Show, require, wait_until


def collect(show: Show) -> Evidence:
    """Connect every machine over its own protocol; a server whose certificate nobody has checked is refused."""
    engineer = show.enterprise["engineer"]
    sources = _sources(show)
    machines = next(source for source in sources if source["connector"] == "opcua")
    unchecked = machines | {"id": "unchecked", "config": {**machines["config"], "trusted_sha256": []}}
    refusal = engineer.refused("POST", "/api/v1/sources/probe", unchecked)
    for source in sources:
        engineer.call("POST", "/api/v1/sources", source)
    show.say(f"collecting from {len(sources)} sources for {show.collect_s:g} s …")
    names = [source["id"] for source in sources if source["connector"] != "files"]
    wait_until(lambda: _all_flow(show, names), "values from every source")
    show.started_at = show.enterprise_now()
    _collect_and_kill(show, machines["id"])
    wait_until(lambda: _states(engineer), "every source running", is_reached=lambda s: set(s.values()) == {"running"})
    statuses = engineer.get("/api/v1/sources")
    lost = sum((s["counters"] or {}).get("lost", 0) for s in statuses)
    kinds = ", ".join(f"{s['connector']} {(s['counters'] or {}).get('read', 0)}" for s in statuses)
    holds = f"readings since the last start: {kinds}; {lost} lost"
    return Evidence(holds, f"a server whose certificate nobody checked [{refusal.code}]")


def store(show: Show) -> Evidence:
    """What was acknowledged is stored once, although the writer and a collector were killed; SQL reaches no file."""
    engineer = show.enterprise["engineer"]
    for source in engineer.get("/api/v1/sources"):
        engineer.call("POST", f"/api/v1/sources/{source['id']}/stop")
    wait_until(lambda: not show.children("gongshu.gather.collector"), "collectors to end")
    acknowledged = int(show.metrics()["gongshu_rows_total"])
    (row,) = show.rows(
        engineer,
        "SELECT count(*) AS n, count(*) - count(DISTINCT (series_id, time, arrival_time, value, value_text)) AS twice "
        "FROM readings",
    )
    require(row["n"] == acknowledged, "readings readable", acknowledged, row["n"])
    require(row["twice"] == 0, "readings stored twice", 0, row["twice"])
    for source in _sources(show):
        engineer.call("POST", f"/api/v1/sources/{source['id']}/start")
    refusal = engineer.refused(
        "POST", "/api/v1/sql", {"sql": "SELECT * FROM read_csv('/etc/passwd')", "purpose": "demo"}
    )
    holds = f"{acknowledged} acknowledged = {row['n']} readable, none twice, after kill -9 of writer and collector"
    return Evidence(holds, f"SQL that reads a file [{refusal.code}]")


def catalogue(show: Show) -> Evidence:
    """Everything that was seen is registered; nothing that no steward confirmed can be offered."""
    steward, owner = show.enterprise["steward"], show.enterprise["owner"]
    wait_until(lambda: _tables(steward.get("/api/v1/catalogue/datasets", limit=1000)) >= 3, "tables of the ERP files")
    datasets = steward.get("/api/v1/catalogue/datasets", limit=1000)
    assets = steward.get("/api/v1/catalogue/assets")
    series = sum(d["series"] for d in datasets)
    show.dataset_id = next(d["dataset_id"] for d in datasets if d["asset"] and _is_mill(d["asset"]))
    proposal = steward.get(f"/api/v1/catalogue/datasets/{show.dataset_id}/proposal")
    require(bool(proposal["evidence"]), "reasons of a proposal", "at least one", 0)
    offer = {"dataset_id": show.dataset_id, "terms": {"parties": [show.party("partner")]}}
    refusal = owner.refused("POST", "/api/v1/share/offers", offer)
    holds = (
        f"{series} series and {_tables(datasets)} tables in {len(assets)} places, each proposed a grade with reasons"
    )
    return Evidence(holds, f"offer of unconfirmed data [{refusal.code}]")


def grade(show: Show) -> Evidence:
    """The steward confirms by both schemes; nobody else may, and no label falls below the proposal without a reason."""
    steward, engineer = show.enterprise["steward"], show.enterprise["engineer"]
    datasets = steward.get("/api/v1/catalogue/datasets", limit=1000)
    decision = {"grade": 2, "importance": "general", "reason": "demo: no customer and no recipe in it (synthetic)"}
    path = f"/api/v1/catalogue/datasets/{show.dataset_id}/confirm"
    category = steward.get(f"/api/v1/catalogue/datasets/{show.dataset_id}/proposal")["category"]
    refusal = engineer.refused("POST", path, decision | {"category": category})
    confirmed = steward.call("POST", path, decision | {"category": category})
    others = [d["dataset_id"] for d in datasets if d["dataset_id"] != show.dataset_id]
    steward.call("POST", "/api/v1/catalogue/confirmations", {"dataset_ids": others, "reason": "demo: as proposed"})
    lowered = steward.refused("POST", path, {"grade": 1, "importance": "general", "category": category, "reason": ""})
    listed = steward.get("/api/v1/catalogue/datasets", limit=1000)
    require(all(d["standing"] == "confirmed" for d in listed), "standing", "confirmed", [d["standing"] for d in listed])
    grades = {term: sum(d["grade_term"] == term for d in listed) for term in ("一级", "二级", "三级")}
    counts = ", ".join(f"{count} {term}" for term, count in grades.items())
    holds = f"{counts} confirmed until {confirmed['valid_until'][:10]}"
    return Evidence(holds, f"confirmation by an engineer [{refusal.code}], downgrade without reason [{lowered.code}]")


def quality(show: Show) -> Evidence:
    """Six dimensions from facts; sensors that the plant made lie are looked for; what has no basis is not judged."""
    steward = show.enterprise["steward"]
    lines = Path(show.stage.plant["ground_truth"]).read_text(encoding="utf-8").splitlines()
    faults = [fault for fault in map(json.loads, lines) if fault["kind"] == "sensor_fault"]
    datasets = steward.get("/api/v1/catalogue/datasets", limit=1000)
    measures: list[dict[str, Any]] = []
    found = []
    for fault in faults:
        machine = next(d["dataset_id"] for d in datasets if (d["asset"] or "").endswith(fault["machine"]))
        span = {"start": show.started_at.isoformat(), "end": show.enterprise_now().isoformat()}
        report = steward.call("POST", f"/api/v1/catalogue/datasets/{machine}/quality", span)
        require(len(report["dimensions"]) == 6, "dimensions", 6, len(report["dimensions"]))
        own = [measure for dimension in report["dimensions"] for measure in dimension["measures"]]
        measures += own
        if any(finding["where"] == fault["tag"] for measure in own for finding in measure["findings"]):
            found.append(f"{fault['fault']} of {fault['machine']}")
    judged = [measure for measure in measures if measure["b"]]
    unjudged = next(measure for measure in measures if not measure["b"])
    require(bool(judged), "measures judged", "some", 0)
    require(bool(found), "planted sensor faults found", "at least one", [fault["tag"] for fault in faults])
    holds = f"{len(judged)} of {len(measures)} measures judged; {len(found)} of {len(faults)} planted faults found"
    return Evidence(
        f"{holds} ({', '.join(found)})",
        f"a verdict on indicator {unjudged['indicator']} ({unjudged['reason_en'][:60]})",
    )


def _sources(show: Show) -> list[dict[str, Any]]:
    """Return the sources as the plant describes itself, in the form that a person would give them."""
    described = yaml.safe_load(Path(show.stage.plant["sources"]).read_text(encoding="utf-8"))
    return list(described["sources"])


def _states(engineer: Person) -> dict[str, str]:
    return {source["id"]: source["state"] for source in engineer.get("/api/v1/sources")}


def _all_flow(show: Show, names: list[str]) -> bool:
    statuses = {s["id"]: s for s in show.enterprise["engineer"].get("/api/v1/sources")}
    return all((statuses[name]["counters"] or {}).get("read", 0) > 0 for name in names)


def _collect_and_kill(show: Show, source_id: str) -> None:
    """Let it flow; half-way kill the writer and the collector of the machines, as a power cut would."""
    time.sleep(show.collect_s / 2)
    machines = show.enterprise["engineer"].get(f"/api/v1/sources/{source_id}")
    show.say("killing the writer and a collector (kill -9) …")
    os.kill(machines["counters"]["pid"], signal.SIGKILL)
    for pid in show.children("gongshu.lake.writer"):
        os.kill(pid, signal.SIGKILL)
    time.sleep(show.collect_s / 2)
    show.say("waiting until the killed collector's successor collects …")
    wait_until(lambda: _has_successor(show, source_id, machines["counters"]["pid"]), "values after the kill")


def _has_successor(show: Show, source_id: str, killed: int) -> bool:
    """Say whether values came since the kill; until then the counters are those of the process that was killed."""
    counters = show.enterprise["engineer"].get(f"/api/v1/sources/{source_id}")["counters"] or {}
    return bool(counters.get("read", 0) > 0 and counters["pid"] != killed)


def _tables(datasets: list[dict[str, Any]]) -> int:
    return sum(d["kind"] == "table" for d in datasets)


def _is_mill(asset: str) -> bool:
    return "mill" in asset.rsplit("/", 1)[-1]

"""Describes the running plant as sources, in the file that `gongshu source add --file` takes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from gongshu.simulate.credentials import Credentials
from gongshu.simulate.edge_node import GROUP
from gongshu.simulate.machines import PLANT
from gongshu.simulate.opcua import NAMESPACE
from gongshu.simulate.register_map import ASSET
from gongshu.simulate.sparkplug import Broker

ROOT = f"nsu={NAMESPACE};s={PLANT}"
"""The node below which everything of the plant stands, so that an asset's path begins with the plant's name."""


def fingerprint(certificate: Path) -> str:
    """Return the SHA-256 fingerprint by which a client trusts the server."""
    return hashlib.sha256(certificate.read_bytes()).hexdigest()


def describe_sources(
    *, endpoint: str, credentials: Credentials, register_map: Path, broker: Broker | None, erp: Path
) -> list[dict[str, Any]]:
    """Return one description a source: machines, utilities, the edge node if there is a broker, the office's tables."""
    user, password = credentials.login()
    machines = {
        "url": endpoint,
        "username": user,
        "password": password,
        "trusted_sha256": [fingerprint(credentials.certificate)],
        "roots": [ROOT],
        "publishing_interval_ms": 200.0,
        "queue_size": 100,
    }
    sources = [
        _source("plant-machines", "opcua", PLANT, "合成设备 synthetic machines", machines),
        _source(
            "plant-utilities",
            "modbus",
            ASSET,
            "合成公用设备 synthetic utilities",
            json.loads(register_map.read_text(encoding="utf-8")),
        ),
        _source("plant-erp", "files", f"{PLANT}/erp", "合成 ERP 表 synthetic ERP tables", {"folder": str(erp)}),
    ]
    if broker is not None:
        edge: dict[str, Any] = {
            "url": f"mqtt://{broker.host}:{broker.port}",
            "plaintext": True,
            "payload": "sparkplug",
            "groups": [GROUP],
        }
        edge |= {"username": broker.user, "password": broker.password} if broker.user else {"anonymous": True}
        sources.append(_source("plant-edge", "mqtt", PLANT, "合成边缘节点 synthetic edge node", edge))
    return sources


def write_sources(path: Path, sources: list[dict[str, Any]]) -> None:
    """Write the file, readable by its owner alone: it holds passwords."""
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump({"sources": sources}, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _source(name: str, connector: str, asset: str, title: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "connector": connector, "asset": asset, "title": title, "config": config}

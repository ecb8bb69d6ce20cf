"""A bulk pull under a contract, encrypted where it arrives and metered on both sides, beside a bare download."""

import os
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pyarrow as pa
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.bulk_reference import PIECE_BYTES
from bench.data import readings_by_second
from bench.folder import folder as temporary
from bench.result import Result
from bench.share import MILL, SHOP, introduce, offer, served
from gongshu.config import Home, read_config
from gongshu.main import create_app
from gongshu.model.access import Role, Subject
from gongshu.model.ids import SubjectId
from gongshu.node import Node, open_node
from gongshu.share.dsp.states import State

ROOT = Path(__file__).parent.parent
WAIT_S = 120.0


def bench_bulk_pull(seconds: int) -> list[Result]:
    """Readings pulled from a served node and kept encrypted, beside the same Arrow bytes over HTTPS into a file."""
    with temporary() as folder:
        mill, shop = Home(folder / "mill"), Home(folder / "shop")
        introduce(mill, shop)
        rows = readings_by_second(seconds)
        dataset = offer(mill, rows)
        reference_s, size = _download(folder, rows)
        with served(mill):
            kept_s = _pull(shop, dataset, len(rows))
    readings = seconds * 1000
    ratio = reference_s / kept_s
    plain = f"uvicorn to httpx into a file, HTTPS, {size / 2**20:,.0f} MiB: {readings / reference_s / 1e6:.1f} M/s"
    return [
        Result(
            f"{readings / 1e6:.0f} M readings under contract, kept encrypted",
            readings / kept_s / 1e6,
            "M readings/s",
            plain,
            ratio,
            "≥ 0.6",
            ratio >= 0.6,
        )
    ]


def _pull(home: Home, dataset: str, count: int) -> float:
    node = open_node(home)
    server = uvicorn.Server(
        uvicorn.Config(create_app(node), port=read_config(home).port, log_level="error", access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.05)
        return _kept_s(node, dataset, count)
    finally:
        server.should_exit = True
        thread.join(30)
        node.close()


def _kept_s(node: Node, dataset: str, count: int) -> float:
    actor = Subject(SubjectId("user:bench"), SHOP, frozenset({Role.PRODUCT_OWNER}))
    asked = node.share.negotiate(MILL, dataset, actor)
    agreed = node.share.wait_for(asked.process_id, {State.FINALIZED}, WAIT_S)
    transfer = node.share.transfer(agreed.agreement_id, actor)
    node.share.wait_for(transfer.process_id, {State.STARTED}, WAIT_S)
    began = time.perf_counter()
    node.share.pull_into(transfer.process_id, "orders", actor)
    took_s = time.perf_counter() - began
    rows = [delivery.rows for delivery in node.share.deliveries()]
    assert rows == [count], f"{rows} rows came instead of {count}"
    return took_s


def _download(folder: Path, rows: pa.Table) -> tuple[float, int]:
    """Return the seconds of a download onto the disk, and its bytes."""
    source, target = folder / "rows.arrows", folder / "download"
    with pa.OSFile(str(source), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    certificate, key = _certificate(folder)
    command = [sys.executable, "-m", "bench.bulk_reference", str(source), str(certificate), str(key)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "it is piped"
        try:
            address = process.stdout.readline().strip()
            trust = ssl.create_default_context(cafile=certificate)
            with httpx.Client(verify=trust, trust_env=False, timeout=WAIT_S) as client:
                client.head(address)  # the handshake
                began = time.perf_counter()
                with client.stream("GET", address) as response, target.open("wb") as file:
                    for piece in response.iter_bytes(PIECE_BYTES):
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                took_s = time.perf_counter() - began
        finally:
            process.terminate()
    assert target.stat().st_size == source.stat().st_size, "the download is cut"
    return took_s, target.stat().st_size


def _certificate(folder: Path) -> tuple[Path, Path]:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(hosts, critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "tls.pem", folder / "tls.key"
    certificate.write_bytes(built.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, private

"""A bulk pull under a contract, encrypted where it arrives and metered on both sides, beside a bare download."""

import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import psutil
import pyarrow as pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.bulk_reference import PIECE_BYTES
from bench.data import SEED, readings_by_second
from bench.folder import folder as temporary
from bench.result import Result
from bench.share import MILL, introduce, offer, served
from gongshu.config import Home
from gongshu.node import open_node

ROOT = Path(__file__).parent.parent
WAIT_S = 120.0
PART_SECONDS = 5_000
"""Seconds of data that are made, stored and forgotten at once: five million readings."""
LOOK_EVERY_S = 0.2


def bench_bulk_pull(seconds: int) -> list[Result]:
    """Readings pulled from a served node and kept encrypted, beside the same rows as Arrow over HTTPS into a file."""
    with temporary() as folder:
        mill, shop = Home(folder / "mill"), Home(folder / "shop")
        introduce(mill, shop)
        dataset = _lay_down(folder, mill, seconds)
        reference_s, size = _download(folder)
        with served(mill) as pid:
            kept_s, wire_bytes, peaks = _pull(shop, dataset, pid, seconds * 1000)
    readings = seconds * 1000
    ratio = reference_s / kept_s
    plain = f"uvicorn to httpx into a file, HTTPS, {size / 2**20:,.0f} MiB: {readings / reference_s / 1e6:.1f} M/s"
    wire = f"LZ4 on the wire, {wire_bytes / 2**20:,.0f} MiB"
    return [
        Result(
            f"{readings / 1e6:.0f} M readings under contract, kept encrypted; {wire}",
            readings / kept_s / 1e6,
            "M readings/s",
            plain,
            ratio,
            "≥ 0.6",
            ratio >= 0.6,
        ),
        Result("memory of the provider meanwhile, all its processes, at most", peaks[0], "MiB"),
        Result("memory of the consumer meanwhile, at most", peaks[1], "MiB"),
    ]


def _lay_down(folder: Path, mill: Home, seconds: int) -> str:
    """Store the readings at the mill, and beside it as Arrow, a part at a time; return the offered dataset."""
    dataset = ""
    with pa.OSFile(str(folder / "rows.arrows"), "wb") as sink:
        writer = None
        for start in range(0, seconds, PART_SECONDS):
            rows = readings_by_second(min(PART_SECONDS, seconds - start), seed=SEED + start)
            writer = writer or pa.ipc.new_stream(sink, rows.schema)
            writer.write_table(rows)
            if not dataset:
                dataset = offer(mill, rows)
                continue
            node = open_node(mill)
            node.store.write("orders", rows, title="Orders (synthetic)", origin="import:bench", mode="append")
            node.close()
        assert writer is not None, "there are seconds"
        writer.close()
    return dataset


def _pull(home: Home, dataset: str, provider: int, count: int) -> tuple[float, int, tuple[float, float]]:
    """Return the seconds of a pull by a node in its own process, its bytes, and the memory of provider and consumer."""
    command = [sys.executable, "-m", "bench.bulk_consumer", str(home.path), MILL, dataset]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as consumer,
        _watched(provider, consumer.pid) as peaks,
    ):
        told, _ = consumer.communicate()
    assert consumer.returncode == 0, "the consumer failed"
    seen = json.loads(told.splitlines()[-1])
    assert seen["rows"] == count, f"{seen['rows']} rows came instead of {count}"
    return seen["took_s"], seen["wire_bytes"], (peaks[provider] / 2**20, peaks[consumer.pid] / 2**20)


@contextmanager
def _watched(*pids: int) -> Iterator[dict[int, int]]:
    """Yield the most memory that each process and its children have taken so far (PSS), while the block runs."""
    peaks, is_over = dict.fromkeys(pids, 0), threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_EVERY_S):
            for pid in pids:
                peaks[pid] = max(peaks[pid], _memory(pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        is_over.set()
        thread.join()


def _memory(pid: int) -> int:
    try:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return sum(process.memory_full_info().pss for process in tree)
    except psutil.Error:
        return 0  # one of them has just ended


def _download(folder: Path) -> tuple[float, int]:
    """Return the seconds of a download onto the disk, and its bytes; the files are gone afterwards."""
    source, target = folder / "rows.arrows", folder / "download"
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
    size = target.stat().st_size
    source.unlink()
    target.unlink()
    return took_s, size


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

"""Run the official DCP kit against our holder and verifier: `python -m tests.tck_dcp`.

Prints the kit's own counts for each of the three packages that apply; the issuer's do not. Exits with 0 only if every
case held that the kit itself does not switch off.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.tck.__main__ import free_ports
from tests.tck_dcp.node import kit_did, served

HERE = Path(__file__).parent
RUN_S = 300.0
PACKAGE = "org.eclipse.dataspacetck.dcp.verification."
PACKAGES = ("presentation.verifier", "presentation.cs", "issuance.cs")
_COUNTS = re.compile(r"found=(\d+) started=(\d+) succeeded=(\d+) failed=(\d+) skipped=(\d+)")


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.tck_dcp")
    parser.add_argument("--verbose", action="store_true", help="Print what the kit prints")
    given = parser.parse_args()
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            print(f"dcp-tck: {tool} is not installed; Java 17 and Maven run the kit", file=sys.stderr)
            return 2
    library = fetch()
    held = [run(library, package, verbose=given.verbose) for package in PACKAGES]
    print(f"dcp-tck: {sum(held)} of {len(held)} packages hold")
    return 0 if all(held) else 1


def fetch() -> Path:
    """Return the folder with the kit's files, fetched where they are not there yet."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gongshu" / "dcp-tck"
    version = re.search(r"<kit\.version>([^<]+)<", (HERE / "pom.xml").read_text(encoding="utf-8"))
    assert version is not None, "the pom names the kit's version"
    library = root / version[1]
    if not (library / ".complete").is_file():
        print(f"dcp-tck: fetching the kit {version[1]} …", flush=True)
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={library}"]
        subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), *goal], check=True)
        (library / ".complete").touch()
    print(f"dcp-tck: kit {version[1]}", flush=True)
    return library


def run(library: Path, package: str, *, verbose: bool) -> bool:
    """Run one package against a fresh node; True if every case that applies held."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gongshu-dcp-") as folder:
        own_port, kit_port = free_ports(2)
        own = f"did:web:localhost%3A{own_port}"
        with served(Path(folder) / "node", own_port, kit_port) as address:
            role = "verifier" if package.endswith("verifier") else "holder"
            settings = {
                "dataspacetck.callback.address": f"http://localhost:{kit_port}",
                "dataspacetck.port": str(kit_port),
                f"dataspacetck.did.{role}": own,
                "dataspacetck.did.thirdparty": kit_did(kit_port, "thirdparty"),
                "dataspacetck.vpp.trigger.endpoint": f"{address}/trigger",
                "dataspacetck.credentials.correlation.id": "a-request-of-ours",
            }
            if role == "holder":
                settings["dataspacetck.sts.url"] = f"{address}/sts"
                settings["dataspacetck.sts.client.id"] = settings["dataspacetck.sts.client.secret"] = "unused"
            file = Path(folder) / "dcp.properties"
            file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
            command = ["java", "-cp", f"{library}/*", str(HERE / "RunTck.java"), str(file), PACKAGE + package]
            done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    counts = _COUNTS.search(done.stdout)
    if verbose or counts is None:
        print(done.stdout, done.stderr, sep="\n")
    if counts is None:
        print(f"{package}: the kit did not finish, status {done.returncode}")
        return False
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    print(f"{package}: {counts[0]} seconds={time.monotonic() - began:.1f}")
    print("".join(f"{package}: {line}\n" for line in failed), end="", flush=True)
    return not failed and int(counts[3]) > 0


if __name__ == "__main__":
    sys.exit(main())

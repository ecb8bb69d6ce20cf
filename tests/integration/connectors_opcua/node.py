"""Starting the node-opcua server; its packages are installed once for each machine and lock file."""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.contract.connectors_opcua.rig import key_pem, server_identity

HERE = Path(__file__).parent / "node_server"
APPLICATION = "urn:gongshu:node:server"
URI = "urn:gongshu:node"
PASSWORD = "n0de-s3cret"


def installed() -> Path:
    """Return the folder with server and packages; skip where there is no Node.js or no registry to install from."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js and npm are not installed")
    mark = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"gongshu-node-opcua-{mark}"
    if not (folder / "done").exists():
        folder.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder / name)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            subprocess.run(command, cwd=folder, capture_output=True, timeout=110, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as cause:
            pytest.skip(f"npm could not install node-opcua: {(cause.stderr or b'')[-200:].decode()}")
        (folder / "done").touch()
    shutil.copy(HERE / "server.js", folder / "server.js")
    return folder


@contextmanager
def node_server(folder: Path, *, counters: int, every_ms: int, steps: int = 0) -> Iterator[int]:
    """Run the server as long as the block lasts; gives its port."""
    packages = installed()
    identity = server_identity(("127.0.0.1",), APPLICATION)
    (folder / "server.pem").write_bytes(identity.certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(key_pem(identity))
    options = {
        "counters": counters, "everyMs": every_ms, "steps": steps, "folder": str(folder), "password": PASSWORD,
        "certificate": str(folder / "server.pem"), "key": str(folder / "server.key"), "applicationUri": APPLICATION,
    }  # fmt: skip
    with subprocess.Popen(
        ["node", "server.js", json.dumps(options)], cwd=packages, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(b"READY "):
                    yield int(line.split()[1])
                    return
            raise AssertionError("the node-opcua server did not start")
        finally:
            process.kill()

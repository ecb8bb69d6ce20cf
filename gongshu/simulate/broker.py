"""A Mosquitto of the plant's own, when one is installed and no broker was named: loopback only, with a password."""

import asyncio
import ctypes
import os
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path

from gongshu.simulate.sparkplug import Broker

READY_S = 2.0
_PLACES = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")
_PR_SET_PDEATHSIG = 1


def find_mosquitto() -> tuple[str, str] | None:
    """Return the paths of the broker and of its password tool, or None where they are not installed."""
    server = shutil.which("mosquitto") or next((place for place in _PLACES if Path(place).is_file()), None)
    tool = shutil.which("mosquitto_passwd")
    return (server, tool) if server and tool else None


class OwnBroker:
    """The running child process."""

    def __init__(self, process: asyncio.subprocess.Process, broker: Broker) -> None:
        self._process = process
        self.broker = broker

    async def stop(self) -> None:
        """End the broker."""
        if self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


async def start_broker(folder: Path) -> OwnBroker | None:
    """Return a running broker on a free port of the loopback, or None where none is installed or starts."""
    found = find_mosquitto()
    if found is None:
        return None
    server, tool = found
    password = secrets.token_urlsafe(18)
    passwords = _private_file(folder, "passwords")
    made = await asyncio.create_subprocess_exec(
        tool, "-b", passwords, "plant", password, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    if await made.wait() != 0:
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}", "persistence false"]
    if os.geteuid() == 0:
        lines.append("user root")  # Mosquitto drops to its own account otherwise, which cannot read this folder
    config = _private_file(folder, "mosquitto.conf", "\n".join(lines) + "\n")
    process = await asyncio.create_subprocess_exec(
        server,
        "-c",
        config,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=_die_with_parent,
        start_new_session=True,  # a signal to the process group ends the simulator, which then ends the broker
    )
    own = OwnBroker(process, Broker("127.0.0.1", port, "plant", password))
    if await _answers(port):
        return own
    await own.stop()
    return None


async def _answers(port: int) -> bool:
    loop = asyncio.get_running_loop()
    until = loop.time() + READY_S
    while loop.time() < until:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        await writer.wait_closed()
        return True
    return False


def _private_file(folder: Path, name: str, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def _die_with_parent() -> None:
    """In the child, before it runs: let the kernel end it when the simulator is gone, however that ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""Our node as the run drives it: started and killed as a process, asked over its own HTTP interface."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.interop.served import ACCOUNT, PARTY, PASSWORD
from tests.interop.waiting import free_ports, until

Json = dict[str, Any]

REPOSITORY = Path(__file__).parent.parent.parent


class Ours:
    """One served node."""

    def __init__(self, folder: Path) -> None:
        self.party, self._folder, self.home = PARTY, folder, folder / "ours"
        self._port = free_ports(1)[0]
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(base_url=self.address, trust_env=False, timeout=60.0)

    @property
    def base(self) -> str:
        """What an EDC is given as the counterparty's address."""
        return f"{self.address}/dsp/2025-1"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "it was started"
        return self._process.pid

    def make(self, partners: list[Json]) -> None:
        """Fill the home folder."""
        command = [*self._command("make"), "--partners", json.dumps(partners)]
        subprocess.run(command, cwd=REPOSITORY, check=True, timeout=120)

    def start(self) -> None:
        """Serve, and sign in."""
        with (self._folder / "ours.log").open("ab") as log:
            command = self._command("serve")
            self._process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT)
        until("our node answers", self._is_ready, timeout_s=90.0)
        token = self.post("/login", {"name": ACCOUNT, "password": PASSWORD})["token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def _command(self, step: str) -> list[str]:
        own = [sys.executable, "-m", "tests.interop.served", str(self.home), step]
        return [*own, "--port", str(self._port)]

    def _is_ready(self) -> bool | None:
        assert self._process is not None, "it was started"
        if self._process.poll() is not None:
            raise AssertionError((self._folder / "ours.log").read_text(encoding="utf-8")[-2000:])
        try:
            return True if self._http.get("/healthz").is_success else None
        except httpx.HTTPError:
            return None

    def kill(self) -> None:
        """End it at once, without any farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        """Kill it and close the connections to it."""
        self.kill()
        self._http.close()

    # ---- its HTTP interface -----------------------------------------------------------------------------------------

    def post(self, path: str, body: Json) -> Json:
        """Call an interface; return its answer. Raises: AssertionError with the answer that was no success."""
        return dict(self._checked(self._http.post(f"/api/v1{path}", json=body)))

    def get(self, path: str, **query: Any) -> Any:
        """Read from an interface."""
        return self._checked(self._http.get(f"/api/v1{path}", params=query))

    def refused(self, path: str, body: Json) -> Json:
        """Call an interface that has to refuse; return the problem."""
        reply = self._http.post(f"/api/v1{path}", json=body)
        assert not reply.is_success, f"{path} was not refused: {reply.text[:300]}"
        return dict(reply.json())

    def _checked(self, reply: httpx.Response) -> Any:
        assert reply.is_success, (
            f"our node answers {reply.request.url.path} with {reply.status_code}: {reply.text[:600]}"
        )
        return reply.json()

    def wait(self, kind: str, process_id: str, *states: str, timeout_s: float = 60.0) -> Json:
        """Return a process (`negotiations`, `transfers`) when it is in one of the states."""
        seen: list[Json] = [{}]

        def look() -> Json | None:
            seen[0] = self.get(f"/share/{kind}/{process_id}")
            return seen[0] if seen[0]["state"] in states else None

        try:
            return until(f"our {kind} in {states}", look, timeout_s=timeout_s)
        except AssertionError as late:
            raise AssertionError(
                f"{late}; it is {seen[0]['state']} ({seen[0]['reason'] or seen[0]['waiting']})"
            ) from None

    def contracted(self, party: str, dataset_id: str, offer_id: str = "") -> str:
        """Negotiate to the end; return the agreement's id."""
        asked = self.post("/share/negotiations", {"party": party, "dataset_id": dataset_id, "offer_id": offer_id})
        done = self.wait("negotiations", asked["process_id"], "FINALIZED", "TERMINATED")
        assert done["state"] == "FINALIZED", done["reason"]
        return str(done["agreement_id"])

    def transfer(self, agreement_id: str) -> str:
        """Ask for data under an agreement; return the transfer's id when it has started."""
        asked = self.post("/share/transfers", {"agreement_id": agreement_id})
        return str(self.wait("transfers", asked["process_id"], "STARTED")["process_id"])

    def pull(self, transfer_id: str, name: str) -> str:
        """Fetch the data of a started transfer; return the dataset they are kept as."""
        return str(self.post(f"/share/transfers/{transfer_id}/pull", {"name": name})["dataset_id"])

    def rows(self, dataset_id: str) -> list[list[Any]]:
        """Return the rows of a dataset as our own people read them, sorted."""
        answer = self.post("/sql", {"sql": f'SELECT * FROM "{dataset_id}"', "purpose": "analysis"})
        assert not answer["truncated"], dataset_id
        return sorted(list(row.values()) if isinstance(row, dict) else list(row) for row in answer["rows"])

    def outside(self, address: str, authorization: str) -> int:
        """Return the status that a stranger with this token gets at an address of ours."""
        return httpx.get(address, headers={"Authorization": authorization}, trust_env=False, timeout=30.0).status_code

    def transfer_with(self, agreement_id: str, party: str) -> Json:
        """Return the newest transfer with a party under an agreement, whoever began it."""
        found = [t for t in self.get("/share/transfers", party=party) if t["agreement_id"] == agreement_id]
        assert found, f"no transfer under {agreement_id}"
        return dict(found[0])

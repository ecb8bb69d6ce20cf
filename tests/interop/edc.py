"""Eclipse EDC from its published artifacts: fetched once, configured by a file, driven by its management interface."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.interop.waiting import free_ports, until

Json = dict[str, Any]

HERE = Path(__file__).parent
MAIN = "org.eclipse.edc.boot.system.runtime.BaseRuntime"
EDC = "https://w3id.org/edc/v0.0.1/ns/"
ODRL = "http://www.w3.org/ns/odrl.jsonld"
PROTOCOL = "dataspace-protocol-http:2025-1"
CONTEXTS = ("", "control", "management", "protocol", "version", "public")
"""EDC listens on a port for each of its interfaces; the first is the default one."""
MACHINES = ("negotiation", "transfer", "dataplane")
START_S = 90.0


def fetch() -> Path:
    """Return the folder with EDC's libraries, fetched with Maven where they are not there yet."""
    return _fetched("pom.xml", "")


def fetch_stores() -> Path:
    """Return the folder with what EDC keeps its state in PostgreSQL with, beside its libraries."""
    return _fetched("postgres.pom.xml", "-postgres", "-DexcludeTransitive=true")


def _fetched(name: str, suffix: str, *options: str) -> Path:
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise SystemExit(f"interop: {tool} is not installed; Java 17 and Maven bring the counterpart")
    pom = (HERE / name).read_text(encoding="utf-8")
    version = re.search(r"<edc\.version>([^<]+)<", pom)
    assert version is not None, "the pom names the version"
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gongshu" / "edc"
    library = root / f"{version[1]}{suffix}"
    whole = library / ".complete"
    if not whole.is_file() or whole.read_text(encoding="utf-8") != pom:
        print(f"interop: fetching EDC {version[1]}{suffix} …", flush=True)
        shutil.rmtree(library, ignore_errors=True)
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={library}"]
        subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / name), *goal, *options], check=True)
        whole.write_text(pom, encoding="utf-8")
    return library


@dataclass(frozen=True)
class Stores:
    """Where an EDC keeps its state, if not in memory alone."""

    library: Path
    """Of `fetch_stores`."""
    url: str
    """The JDBC URL of an empty database."""
    user: str


class Edc:
    """One connector in a process of its own, its state in memory alone unless it is given stores."""

    def __init__(
        self, library: Path, folder: Path, name: str, *, iteration_ms: int = 50, stores: Stores | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self._folder = name, folder
        self._libraries = [library] if stores is None else [library, stores.library]
        self._stores = stores
        self._ports = dict(zip(CONTEXTS, free_ports(len(CONTEXTS)), strict=True))
        self._file = folder / f"{name}.properties"
        self._write(iteration_ms)
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(trust_env=False, timeout=30.0)

    @property
    def root(self) -> str:
        """What a partner registers."""
        return f"{self._address('protocol')}/protocol"

    @property
    def public(self) -> str:
        """Where its data plane serves what is pulled."""
        return f"{self._address('public')}/public"

    @property
    def base(self) -> str:
        """What another EDC is given as the counterparty's address."""
        return f"{self.root}/2025-1"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "it was started"
        return self._process.pid

    def _address(self, context: str) -> str:
        return f"http://127.0.0.1:{self._ports[context]}"

    def _write(self, iteration_ms: int) -> None:
        key = generate_private_key(SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        settings = {
            "edc.participant.id": self.name,
            "edc.hostname": "127.0.0.1",
            "edc.dsp.callback.address": self.root,
            "edc.dataplane.api.public.baseurl": self.public,
            "edc.transfer.proxy.token.signer.privatekey.alias": "data-key",
            "edc.transfer.proxy.token.verifier.publickey.alias": "data-key-public",
            "data-key": private,
            "edc.iam.publickeys.data.id": "data-key-public",
            "edc.iam.publickeys.data.value": public,
            # Without this EDC refuses to publish a policy whose operands it does not know; partners' versions differ.
            "edc.policy.validation.enabled": "false",
            "web.http.port": str(self._ports[""]),
            "web.http.path": "/api",
        }
        for context in CONTEXTS[1:]:
            settings[f"web.http.{context}.port"] = str(self._ports[context])
            settings[f"web.http.{context}.path"] = f"/{context}"
        if iteration_ms:
            settings |= {f"edc.{name}.state-machine.iteration-wait-millis": str(iteration_ms) for name in MACHINES}
        if self._stores is not None:
            place = {"url": self._stores.url, "user": self._stores.user, "password": ""}
            settings |= {f"edc.datasource.default.{key}": value for key, value in place.items()}
            settings["edc.sql.schema.autocreate"] = "true"
        lines = [f"{key}={value}\n".replace("\n", "\\n")[:-2] + "\n" for key, value in settings.items()]
        self._file.write_text("".join(lines), encoding="utf-8")
        self._file.chmod(0o600)

    # ---- the process ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and return when it answers; after a kill it knows nothing of before."""
        command = [
            "java",
            "-XX:+UseSerialGC",
            "-Xmx512m",
            "-cp",
            ":".join(f"{library}/*" for library in self._libraries),
            f"-Dedc.fs.config={self._file}",
            MAIN,
        ]
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder)
        until(f"{self.name} starts", self._is_ready, timeout_s=START_S)

    def _is_ready(self) -> bool | None:
        assert self._process is not None, "it was started"
        if self._process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self._process.returncode}: {self.log()[-2000:]}")
        try:
            ready = self._http.get(f"{self._address('')}/api/check/readiness").is_success
            planes = self._http.get(f"{self._address('management')}/management/v3/dataplanes")
        except httpx.HTTPError:
            return None
        is_registered = planes.is_success and any(plane.get("state") == "AVAILABLE" for plane in planes.json())
        return True if ready and is_registered else None

    def log(self) -> str:
        """Return what it has written."""
        return (self._folder / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End it at once; nothing is left when it is gone already."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        """Kill it and close the connections to it."""
        self.kill()
        self._http.close()

    # ---- the management interface -----------------------------------------------------------------------------------

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Call the management interface; return its answer."""
        return self._call("POST", path, {"@context": {"@vocab": EDC}, **body})

    def get(self, path: str) -> Any:
        """Read from the management interface."""
        return self._call("GET", path, None)

    def _call(self, method: str, path: str, body: Json | None) -> Any:
        reply = self._http.request(method, f"{self._address('management')}/management/v3{path}", json=body)
        if not reply.is_success:
            raise AssertionError(f"{self.name} answers {method} {path} with {reply.status_code}: {reply.text[:600]}")
        return reply.json() if reply.content else None

    def publish(self, asset_id: str, title: str, source: str, *policies: tuple[str, Json]) -> None:
        """Offer what an address serves under each of the policies; everybody sees the offers."""
        address = {"@type": "DataAddress", "type": "HttpData", "baseUrl": source, "contentType": "text/csv"}
        properties = {"name": title, "contenttype": "text/csv"}
        self.post("/assets", {"@id": asset_id, "@type": "Asset", "properties": properties, "dataAddress": address})
        everybody = f"{asset_id}:everybody"
        self._policy(everybody, {})
        chosen = {"@type": "Criterion", "operandLeft": f"{EDC}id", "operator": "=", "operandRight": asset_id}
        for name, policy in policies:
            policy_id = f"{asset_id}:{name}"
            self._policy(policy_id, policy)
            definition = {"@id": policy_id, "@type": "ContractDefinition", "assetsSelector": [chosen]}
            self.post("/contractdefinitions", definition | {"accessPolicyId": everybody, "contractPolicyId": policy_id})

    def _policy(self, policy_id: str, policy: Json) -> None:
        odrl = {"@context": ODRL, "@type": "Set", **policy}
        self.post("/policydefinitions", {"@id": policy_id, "@type": "PolicyDefinition", "policy": odrl})

    def catalogue(self, address: str, party: str) -> Json:
        """Return another party's catalogue, as EDC understands it."""
        asked = {"@type": "CatalogRequest", "counterPartyAddress": address, "counterPartyId": party}
        return dict(self.post("/catalog/request", asked | {"protocol": PROTOCOL}))

    def negotiate(self, address: str, party: str, dataset_id: str, offer: Json) -> str:
        """Begin a negotiation; return EDC's id of it."""
        policy = {**offer, "@context": ODRL, "assigner": party, "target": dataset_id}
        asked = {"@type": "ContractRequest", "counterPartyAddress": address, "protocol": PROTOCOL, "policy": policy}
        return str(self.post("/contractnegotiations", asked)["@id"])

    def transfer(self, address: str, agreement_id: str, kind: str, destination: Json | None = None) -> str:
        """Begin a transfer; return EDC's id of it."""
        asked: Json = {"@type": "TransferRequest", "counterPartyAddress": address, "protocol": PROTOCOL}
        asked |= {"contractId": agreement_id, "transferType": kind}
        if destination is not None:
            asked["dataDestination"] = {"@type": "DataAddress", **destination}
        return str(self.post("/transferprocesses", asked)["@id"])

    def act(self, transfer_id: str, step: str, reason: str = "") -> None:
        """Suspend, resume or terminate a transfer."""
        kinds = {"suspend": "SuspendTransfer", "resume": "ResumeTransfer", "terminate": "TerminateTransfer"}
        self.post(f"/transferprocesses/{transfer_id}/{step}", {"@type": kinds[step], "reason": reason})

    def wait(self, kind: str, process_id: str, *states: str, timeout_s: float = 60.0) -> Json:
        """Return a negotiation or transfer (`contractnegotiations`, `transferprocesses`) when it is in a state."""
        seen: list[Json] = [{}]

        def look() -> Json | None:
            seen[0] = dict(self.get(f"/{kind}/{process_id}"))
            return seen[0] if seen[0]["state"] in states else None

        try:
            return until(f"{self.name}: {kind} in {states}", look, timeout_s=timeout_s)
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {seen[0].get('state')}: {seen[0].get('errorDetail')}") from None

    def ended(self, transfer_id: str) -> Json:
        """Return a transfer when it has ended; EDC then goes on to DEPROVISIONED, whether it was completed or not."""
        return self.wait("transferprocesses", transfer_id, "COMPLETED", "TERMINATED", "DEPROVISIONED")

    def contracted(self, address: str, party: str, dataset_id: str, offer: Json) -> str:
        """Negotiate to the end; return the agreement's id."""
        negotiation = self.negotiate(address, party, dataset_id, offer)
        done = self.wait("contractnegotiations", negotiation, "FINALIZED", "TERMINATED")
        assert done["state"] == "FINALIZED", done
        return str(done["contractAgreementId"])

    def negotiations(self) -> list[Json]:
        """Return all negotiations it knows, up to fifty."""
        return list(self.post("/contractnegotiations/request", {"@type": "QuerySpec"}))

    def transfer_of(self, peer_pid: str) -> Json:
        """Return its side of the transfer that the other side calls so."""
        chosen = {"@type": "Criterion", "operandLeft": "correlationId", "operator": "=", "operandRight": peer_pid}
        asked = {"@type": "QuerySpec", "filterExpression": [chosen]}
        return dict(self.post("/transferprocesses/request", asked)[0])

    def data_address(self, transfer_id: str) -> Json:
        """Return what its cache of data addresses holds for a transfer."""
        return dict(self.get(f"/edrs/{transfer_id}/dataaddress"))

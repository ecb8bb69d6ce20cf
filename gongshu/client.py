"""Reading data from a program: a few lines that speak to a node over HTTP, as the person whose token they carry.

    from gongshu.client import Client

    node = Client("http://127.0.0.1:6720", token)
    orders = node.obtain("urn:gongshu:party:mill", "orders", purpose="quality")
    print(orders.to_pandas().describe())

Knows nothing of the node but its public interface, and decides nothing: the gate of the node does.
"""

import os
from types import TracebackType
from typing import Any, Self

import httpx
import pyarrow as pa

from gongshu.errors import GongshuError, InvalidInput, NotAuthenticated, Refused, Retry, Unavailable

ARROW_STREAM = "application/vnd.apache.arrow.stream"
ADDRESS_VARIABLE, TOKEN_VARIABLE = "GONGSHU_ADDRESS", "GONGSHU_TOKEN"  # names, not secrets


class NodeSilent(Unavailable):
    """The node did not answer."""

    code = "client.node_silent"
    template = "Cannot reach the node at {address}: {reason}. Is `gongshu serve` running there?"


class NodeRefused(Refused):
    """The node answered with an error; its own code and words are in the fields and the message."""

    code = "client.node_refused"
    retry = Retry.AFTER_FIX
    template = "The node answered {act} with status {status_code}: {detail} [{node_code}]"


class TokenMissing(NotAuthenticated):
    """The client does not know as whom it asks."""

    code = "client.token_missing"
    template = "A client asks as a person. Give it a token, or set {variable}; `gongshu login NAME` makes one."


class LibraryMissing(InvalidInput):
    """Rows were asked for as objects of a library that is not installed."""

    code = "client.library_missing"
    template = "Rows as {library} need the package {library}, which is not installed. Install it with pip."


class Rows:
    """Rows that a node gave, in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def to_arrow(self) -> pa.Table:
        """Return them as an Arrow table; no copy is made."""
        return self._table

    def to_pandas(self) -> Any:
        """Return them as a pandas DataFrame. Raises: LibraryMissing."""
        try:
            return self._table.to_pandas()
        except ImportError as cause:
            raise LibraryMissing(library="pandas") from cause

    def to_polars(self) -> Any:
        """Return them as a Polars DataFrame. Raises: LibraryMissing."""
        try:
            import polars
        except ImportError as cause:
            raise LibraryMissing(library="polars") from cause
        return polars.from_arrow(self._table)


class Dataset:
    """A dataset of the node; each reading is asked for, judged and recorded anew."""

    def __init__(self, client: "Client", dataset_id: str, purpose: str) -> None:
        self._client = client
        self.dataset_id = dataset_id
        self.purpose = purpose

    def read(self, *columns: str) -> Rows:
        """Return its rows, of all columns or of those named. Raises: as `Client.sql`."""
        quoted = ", ".join(_quoted(column) for column in columns) or "*"
        return self._client.sql(f"SELECT {quoted} FROM {_quoted(self.dataset_id)}", purpose=self.purpose)

    def to_arrow(self) -> pa.Table:
        """Return all rows as an Arrow table. Raises: as `Client.sql`."""
        return self.read().to_arrow()

    def to_pandas(self) -> Any:
        """Return all rows as a pandas DataFrame. Raises: LibraryMissing, and as `Client.sql`."""
        return self.read().to_pandas()

    def to_polars(self) -> Any:
        """Return all rows as a Polars DataFrame. Raises: LibraryMissing, and as `Client.sql`."""
        return self.read().to_polars()


class Client:
    """One person's way to one node. Close it, or use it as a context."""

    def __init__(self, address: str = "", token: str = "", *, timeout_s: float = 120.0) -> None:
        self.address = (address or os.environ.get(ADDRESS_VARIABLE) or "http://127.0.0.1:6720").rstrip("/")
        token = token or os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            raise TokenMissing(variable=TOKEN_VARIABLE)
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=self.address, headers=headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def obtain(self, party: str, dataset: str, *, purpose: str = "", name: str = "") -> Dataset:
        """Return a partner's dataset, fetched now under a contract; one is made as offered if none stands yet.

        The provider counts one use. Raises: NodeRefused, NodeSilent.
        """
        body = {"party": party, "dataset_id": dataset, "purpose": purpose, "name": name}
        kept = self._post("/api/v1/share/obtain", body).json()["dataset_id"]
        return Dataset(self, str(kept), purpose)

    def dataset(self, dataset_id: str, *, purpose: str = "") -> Dataset:
        """Return a dataset that the node has already; nothing is asked before it is read."""
        return Dataset(self, dataset_id, purpose)

    def sql(self, text: str, *, purpose: str = "") -> Rows:
        """Return the rows of a query through the gate. Raises: NodeRefused, NodeSilent.

        Cost: all rows in memory.
        """
        answer = self._post("/api/v1/sql", {"sql": text, "purpose": purpose}, accept=ARROW_STREAM)
        with pa.ipc.open_stream(answer.content) as stream:
            return Rows(stream.read_all())

    def _post(self, path: str, body: dict[str, str], *, accept: str = "application/json") -> httpx.Response:
        try:
            answer = self._http.post(path, json=body, headers={"Accept": accept})
        except httpx.HTTPError as cause:
            raise NodeSilent(address=self.address, reason=str(cause) or type(cause).__name__) from cause
        if answer.is_success:
            return answer
        raise _refusal(path, answer)


def _refusal(path: str, answer: httpx.Response) -> GongshuError:
    try:
        said = answer.json()
    except ValueError:
        said = {}
    detail, code = str(said.get("detail", answer.text[:300])), str(said.get("code", "no code"))
    return NodeRefused(act=path, status_code=answer.status_code, detail=detail, node_code=code)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

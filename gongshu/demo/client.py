"""A person at a node, as the node sees one: HTTP calls with a token."""

from dataclasses import dataclass
from typing import Any

import httpx

from gongshu.demo.errors import CallFailed, StepFailed


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal that a step asked for and got."""

    status: int
    code: str
    detail: str

    def __str__(self) -> str:
        return f"refused {self.status} [{self.code}]"


class Person:
    """One account at one node."""

    def __init__(self, node: str, address: str, token: str = "") -> None:
        self.node = node
        self.address = address
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=60.0, trust_env=False)

    @classmethod
    def signed_in(cls, node: str, address: str, name: str, password: str) -> "Person":
        """Return the person after signing in.

        Raises: CallFailed.
        """
        with_nobody = cls(node, address)
        answer = with_nobody.call("POST", "/api/v1/login", {"name": name, "password": password})
        with_nobody.close()
        return cls(node, address, str(answer["token"]))

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON answer of a GET.

        Raises: CallFailed.
        """
        return self._answer("GET", path, self._http.get(path, params=query))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON answer of a call with a JSON body.

        Raises: CallFailed.
        """
        return self._answer(method, path, self._http.request(method, path, json=body))

    def refused(self, method: str, path: str, body: Any = None) -> Refusal:
        """Return the refusal that this call must meet.

        Raises: StepFailed if the node lets it pass.
        """
        response = self._http.request(method, path, json=body)
        if response.status_code < 400:
            raise StepFailed(what=f"{method} {path} at {self.node}", expected="a refusal", seen=response.status_code)
        problem = response.json() if "json" in response.headers.get("content-type", "") else {}
        return Refusal(
            response.status_code, str(problem.get("code", "")), str(problem.get("detail", response.text[:200]))
        )

    def download(self, path: str) -> bytes:
        """Return the bytes of a GET.

        Raises: CallFailed.
        """
        response = self._http.get(path)
        if response.status_code >= 400:
            self._answer("GET", path, response)
        return response.content

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _answer(self, method: str, path: str, response: httpx.Response) -> Any:
        if response.status_code >= 400:
            is_json = "json" in response.headers.get("content-type", "")
            detail = response.json().get("detail", "") if is_json else response.text[:200]
            raise CallFailed(node=self.node, method=method, path=path, status=response.status_code, detail=detail)
        return response.json() if response.content else None

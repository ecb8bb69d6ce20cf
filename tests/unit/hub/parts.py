"""Two or more nodes in one process, each with its own database and keys, and documents that a member would sign."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gongshu.hub.client import HubClient
from gongshu.hub.indicators import read_rules
from gongshu.hub.membership import INVITATION_PATH, MEMBERS_PATH, Memberships, Own
from gongshu.hub.model import Agreement, Signed
from gongshu.hub.province import Province
from gongshu.hub.signing import sign_document
from gongshu.hub.wire import InvitationMessage, JoinMessage
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.packs import load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from tests.metadata import new_database

STEWARD_ROLES = frozenset({Role.STEWARD})


def person(*roles: Role, party: str = "urn:gongshu:party:any") -> Subject:
    return Subject(SubjectId("user:li"), PartyId(party), frozenset(roles or STEWARD_ROLES))


class CableClient(HubClient):
    """Hands messages to the other node's services in this process, as its routes would; the cable can be cut."""

    def __init__(self, far: "HubNode") -> None:
        super().__init__()
        self._far = far
        self.tampers: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda answer: answer

    def post(self, address: str, path: str, body: Mapping[str, Any], *, what: str, authorization: str = "") -> Any:
        body = json.loads(json.dumps(body))
        if path == INVITATION_PATH:
            offered = self._far.memberships.offer(InvitationMessage.model_validate(body).code)
            return self.tampers(offered.model_dump(mode="json"))
        assert path == MEMBERS_PATH
        return self.tampers(self._far.memberships.accept(JoinMessage.model_validate(body)).model_dump(mode="json"))


class HubNode:
    """The hub's parts of one organisation, on real keys, parties, audit and database."""

    def __init__(
        self,
        folder: Path,
        name: str,
        clock: Callable[[], datetime],
        *,
        division: str = "C34",
        far: "HubNode | None" = None,
    ) -> None:
        folder.mkdir(parents=True)
        self.database = new_database(folder / "metadata.db")
        self.keys = KeyStore(folder / "keys")
        self.audit = AuditLog(self.database, self.keys, clock)
        self.parties = PartyRegistry(self.database, self.audit, clock)
        self.packs = load_packs()
        self.party_id = PartyId(f"urn:gongshu:party:{name}")
        own = Own(self.party_id, name.title(), division, lambda: f"http://127.0.0.1/{name}")
        self.cable = CableClient(far or self)
        self.memberships = Memberships(
            self.database, self.keys, self.parties, self.packs, self.audit, clock, own, self.cable
        )
        self.province = Province(
            self.database, self.keys, self.parties, self.packs, self.audit, clock, self.memberships
        )
        self.subject = Subject(SubjectId(f"partner:{self.party_id}"), self.party_id, frozenset({Role.PARTNER}))

    def join(self, province: "HubNode", **terms: Any) -> Agreement:
        self.cable._far = province
        invitation = province.memberships.invite(person(), **terms)
        return self.memberships.join("http://127.0.0.1:1", invitation.text, person())

    def report(self, agreement: Agreement, period: str = "2026-10", **changes: Any) -> Signed:
        """A report that this member signs; `changes` replace fields, `values` replace figures by indicator."""
        figures = {"parts_produced": "1200", "running_time": "310.50", "energy": "8000.0", "oee": "0.6500"}
        figures |= changes.pop("figures", {})
        indicators = {i.code: i for i in read_rules(self.packs).indicators}
        document = {
            "type": "gongshu.report/1",
            "agreement_id": agreement.terms.agreement_id,
            "province": agreement.terms.province,
            "member": self.party_id,
            "division": agreement.terms.division,
            "period": period,
            "revision": 1,
            "preliminary": False,
            "made_at": "2026-11-02T08:00:00+00:00",
            "values": [
                {
                    "indicator": code,
                    "value": figure,
                    "unit": indicators[code].unit if code in indicators else "1",
                    "formula": "f",
                    "source": "d",
                    "query_sha256": "0" * 64,
                    "reason": "",
                }
                for code, figure in figures.items()
                if figure != "absent"
            ],
        } | changes
        return sign_document(document, self.keys)

    def close(self) -> None:
        self.database.close()


def in_days(clock: Callable[[], datetime], days: float) -> datetime:
    return clock() + timedelta(days=days)

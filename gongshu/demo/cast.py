"""The people of the demo: they get their accounts as in real life, from a one-time code and an administrator."""

import secrets
from dataclasses import dataclass

from gongshu.demo.client import Person
from gongshu.demo.stage import NodeProcess

ENTERPRISE_PEOPLE = {
    "audit": ["audit_admin"],
    "security": ["security_admin"],
    "engineer": ["engineer"],
    "steward": ["steward"],
    "analyst": ["analyst"],
    "owner": ["product_owner"],
    "viewer": ["viewer"],
}
PARTNER_PEOPLE = {"owner": ["product_owner", "steward"], "analyst": ["analyst"]}
PROVINCE_PEOPLE = {"steward": ["steward"], "viewer": ["viewer"]}


@dataclass(frozen=True, slots=True)
class Cast:
    """Signed-in people by name, and the one password of this run (made for it, never stored in code)."""

    people: dict[str, Person]
    password: str

    def __getitem__(self, name: str) -> Person:
        return self.people[name]


def sign_up(node: NodeProcess, people: dict[str, list[str]]) -> Cast:
    """Spend the node's one-time code, make the accounts and sign everybody in."""
    password = f"demo-{secrets.token_urlsafe(12)}"
    anyone = Person(node.name, node.address)
    anyone.call("POST", "/api/v1/first-account", {"code": node.first_code, "name": "admin", "password": password})
    anyone.close()
    admin = Person.signed_in(node.name, node.address, "admin", password)
    for name, roles in people.items():
        body = {"name": name, "password": password, "roles": roles, "title": f"{name} (synthetic)"}
        admin.call("POST", "/api/v1/accounts", body)
    signed_in = {name: Person.signed_in(node.name, node.address, name, password) for name in people}
    return Cast({"admin": admin, **signed_in}, password)


def introduce(one: Person, other: Person) -> None:
    """Let two parties' people exchange their lines and compare the fingerprints, as they would over the phone."""
    lines = [person.get("/api/v1/share/invitation") for person in (one, other)]
    one.call("POST", "/api/v1/share/parties", lines[1])
    other.call("POST", "/api/v1/share/parties", lines[0])

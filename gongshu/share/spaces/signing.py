"""The rules of a space and the signature by which a party takes them on. Pure but for the key."""

import hashlib

from cryptography.exceptions import InvalidSignature

from gongshu.model.ids import PartyId
from gongshu.secure.errors import PartyInvalid
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party
from gongshu.share.spaces.errors import RulesNotSigned
from gongshu.share.spaces.model import Application

_DOMAIN = "gongshu space rules 1"
"""Stands in front of what is signed, so that the signature counts for nothing else."""


def rules_hash(rules: str) -> str:
    """Return the SHA-256 of the rules' text, in hex."""
    return hashlib.sha256(rules.encode()).hexdigest()


def sign_rules(keys: KeyStore, *, space_id: str, party: PartyId, roles: list[str], rules_digest: str) -> str:
    """Return our signature, in hex, under the rules as a party of these roles."""
    return keys.sign(_signed(space_id, party, roles, rules_digest)).hex()


def require_signed(application: Application, space_id: str, party: Party, rules_digest: str) -> None:
    """Return if the applicant signed these very rules with its registered key. Raises: RulesNotSigned."""
    if application.rules_hash != rules_digest:
        raise RulesNotSigned(space_id=space_id, party=party.party_id, reason="they are of another version")
    roles = [role.value for role in application.roles]
    try:
        signature = bytes.fromhex(application.signature)
        party.public_key.verify(signature, _signed(space_id, party.party_id, roles, rules_digest))
    except (InvalidSignature, ValueError) as cause:
        reason = "the signature does not belong to its registered key"
        raise RulesNotSigned(space_id=space_id, party=party.party_id, reason=reason) from cause
    except PartyInvalid as cause:
        raise RulesNotSigned(space_id=space_id, party=party.party_id, reason="it has no key to sign with") from cause


def _signed(space_id: str, party: PartyId, roles: list[str], rules_digest: str) -> bytes:
    return "\n".join([_DOMAIN, space_id, party, ",".join(sorted(roles)), rules_digest]).encode()

"""How this node's people let it know other parties: our own line, theirs, and the fingerprint that both compare."""

import dataclasses
from collections.abc import Callable, Sequence

from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.secure.errors import IdentitySchemeUnknown, PartyInvalid
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_tls import is_self_signed
from gongshu.share.addresses import is_under
from gongshu.share.errors import FingerprintDiffers, InviteInvalid
from gongshu.share.invites import read_invite, without_spaces, write_invite
from gongshu.share.rights import DEALERS, require_right


class Introductions:
    """Our invitation and the register of those whose invitations we took."""

    def __init__(
        self,
        keys: KeyStore,
        parties: PartyRegistry,
        own_party_id: PartyId,
        title: str,
        address: Callable[[], str],
        *,
        certificate: str = "",
        schemes: Sequence[str] = ("gongshu",),
    ) -> None:
        self._keys = keys
        self._parties = parties
        self._own_party_id = own_party_id
        self._title = title
        self._address = address
        self._certificate = certificate if is_self_signed(certificate) else ""
        self._schemes = tuple(schemes)

    def own(self, actor: Subject) -> tuple[str, str]:
        """Return our line, and the fingerprint to read out over another channel.

        A certificate that no authority vouches for is in the line, since nobody could take it otherwise.

        Raises: NotAllowed.
        """
        require_right(actor, DEALERS, "invite parties")
        line = write_invite(
            self._keys,
            party_id=self._own_party_id,
            title=self._title,
            address=self._address(),
            certificate=self._certificate,
        )
        return line, self._keys.fingerprint()

    def accept(
        self,
        line: str,
        fingerprint: str,
        actor: Subject,
        *,
        replace: bool = False,
        identity: str = "gongshu",
        certificate: str = "",
    ) -> Party:
        """Register the party of a line whose fingerprint was compared; `replace` lets a known party's key change.

        `identity` is the scheme that both sides agreed on; `certificate` (PEM or fingerprint) stands for one that is
        not in the line.

        Raises: NotAllowed, InviteInvalid, FingerprintDiffers, IdentitySchemeUnknown; PartyKeyDiffers unless it is
            replaced.
        """
        require_right(actor, DEALERS, "register parties")
        party = read_invite(line)
        if party.party_id == self._own_party_id:
            raise InviteInvalid(reason="it is this organisation's own")
        heard = without_spaces(fingerprint)
        if heard != party.fingerprint:
            reason = "the fingerprint read out to you is not that of its key" if heard else "no fingerprint was given"
            raise FingerprintDiffers(party=party.party_id, reason=reason)
        if identity not in self._schemes:
            raise IdentitySchemeUnknown(party_id=party.party_id, scheme=identity, known=", ".join(self._schemes))
        party = dataclasses.replace(party, identity=identity, certificate=certificate or party.certificate)
        is_known = any(party.party_id == known.party_id for known in self._parties.all())
        if replace and is_known:
            return self._parties.replace(party, actor=actor.subject_id)
        return self._parties.add(party, actor=actor.subject_id)

    def register(self, party: Party, actor: Subject, *, replace: bool = False) -> Party:
        """Register a party that proves itself by something else than a key of ours: a DID, a certificate.

        Raises: NotAllowed, PartyInvalid, IdentitySchemeUnknown; PartyKeyDiffers unless it is replaced.
        """
        require_right(actor, DEALERS, "register parties")
        if party.party_id == self._own_party_id:
            raise PartyInvalid(party_id=party.party_id, reason="it is this organisation itself")
        if party.identity not in self._schemes:
            known = ", ".join(self._schemes)
            raise IdentitySchemeUnknown(party_id=party.party_id, scheme=party.identity, known=known)
        if party.address and not is_under(party.address, party.address):
            raise PartyInvalid(party_id=party.party_id, reason="its address is no plain http or https address")
        if replace and any(party.party_id == known.party_id for known in self._parties.all()):
            return self._parties.replace(party, actor=actor.subject_id)
        return self._parties.add(party, actor=actor.subject_id)

    def forget(self, party_id: PartyId, actor: Subject) -> None:
        """Forget a party: from now on nothing of it is taken, and what flows to it ends.

        Raises: NotAllowed, PartyUnknown.
        """
        require_right(actor, DEALERS, "forget parties")
        self._parties.remove(party_id, actor=actor.subject_id)

    def parties(self, actor: Subject) -> list[Party]:
        """Return everybody we know.

        Raises: NotAllowed.
        """
        require_right(actor, DEALERS, "see parties")
        return self._parties.all()

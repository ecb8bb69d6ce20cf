"""How this node's people believe the trust lists of other spaces, and publish one of their own."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_tls import is_self_signed
from gongshu.secure.trust_documents import write_trust_list
from gongshu.secure.trust_lists import Believed, TrustLists
from gongshu.share.rights import DEALERS, require_right


class Trusting:
    """The lists we believe, and ours."""

    def __init__(
        self,
        lists: TrustLists,
        keys: KeyStore,
        parties: PartyRegistry,
        clock: Callable[[], datetime],
        own: Callable[[], Party],
        admitted: Callable[[str], Mapping[PartyId, str] | None],
    ) -> None:
        self._lists = lists
        self._keys = keys
        self._parties = parties
        self._clock = clock
        self._own = own
        self._admitted = admitted

    def add(self, source: str, fingerprint: str, actor: Subject) -> Believed:
        """Believe the list of a file or address, its operator's fingerprint compared. Raises: as `TrustLists.add`."""
        require_right(actor, DEALERS, "believe trust lists")
        return self._lists.add(source, fingerprint, actor=actor.subject_id)

    def remove(self, space_id: str, actor: Subject) -> None:
        """Believe a space's list no more. Raises: NotAllowed, TrustListUnknown."""
        require_right(actor, DEALERS, "forget trust lists")
        self._lists.remove(space_id, actor=actor.subject_id)

    def all(self, actor: Subject) -> list[Believed]:
        """Return the lists that are believed. Raises: NotAllowed."""
        require_right(actor, DEALERS, "see trust lists")
        return self._lists.all()

    def publish(self, space_id: str, actor: Subject, *, valid_days: int = 7) -> tuple[str, str]:
        """Return a list of ourselves and our members, and the fingerprint of its operator: our key.

        Of a space that this node operates those are the admitted ones; of another one, all whom our people registered.

        Units: the serial is the moment in seconds, so that a later list always follows on an earlier one.
        Raises: NotAllowed.
        """
        require_right(actor, DEALERS, "publish trust lists")
        now = self._clock()
        admitted = self._admitted(space_id)
        registered = (party for party in self._parties.all() if not party.space)
        vouched = (party for party in registered if admitted is None or admitted.get(party.party_id) == party.proof)
        members = [self._own(), *vouched]
        text = write_trust_list(
            self._keys,
            space_id=space_id,
            serial=int(now.timestamp()),
            issued_at=now,
            valid_until=now + timedelta(days=valid_days),
            members=members,
        )
        return text, self._keys.fingerprint()

    def start(self) -> None:
        """Read the lists again every half minute until `stop`."""
        self._lists.start()

    def stop(self) -> None:
        """End reading."""
        self._lists.stop()


def member_of(party_id: str, title: str, keys: KeyStore, address: str, certificate: str) -> Party:
    """Return this organisation as a list names it; only a certificate that no authority vouches for is named."""
    shown = certificate if is_self_signed(certificate) else ""
    return Party(PartyId(party_id), title, keys.public_key_pem(), address, ("operator",), "gongshu", shown)

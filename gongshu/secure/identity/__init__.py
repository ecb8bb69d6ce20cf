"""Accounts, tokens and the separation of the three administrators.

`rules` decides (pure), `passwords` hashes, `throttle` slows guessing down, `service` stores. `parties`
and `peer_tokens` of this room prove which organisation asks; they are named here too.
"""

from gongshu.secure.identity.service import Account, IdentityService
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_tokens import PeerTokens

__all__ = ["Account", "IdentityService", "Party", "PartyRegistry", "PeerTokens"]

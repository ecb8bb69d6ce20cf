"""Accounts, tokens and the separation of the three administrators.

`rules` decides (pure), `passwords` hashes, `throttle` slows guessing down, `service` stores.
"""

from gongshu.secure.identity.service import Account, IdentityService

__all__ = ["Account", "IdentityService"]

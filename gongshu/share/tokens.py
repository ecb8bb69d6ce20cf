"""Short-lived tokens for pulling data: kept as hashes, replaced by renewal, worthless when the transfer stops."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.share.errors import DataTokenInvalid
from gongshu.share.ports import Clock
from gongshu.share.tables import share_tokens

_T = share_tokens.c


@dataclass(frozen=True, slots=True)
class TokenDesk:
    """Issues and checks the tokens of our transfers."""

    database: Database
    clock: Clock
    valid_s: int

    def issue(self, transfer_id: str) -> str:
        """Return a new token; earlier ones stay valid until this one is first used, so a lost answer loses nothing."""
        token, now = secrets.token_urlsafe(32), self.clock()
        with self.database.begin() as connection:
            connection.execute(
                sa.insert(share_tokens).values(
                    token_hash=_hash(token),
                    process_id=transfer_id,
                    created_at=now,
                    expires_at=now + timedelta(seconds=self.valid_s),
                )
            )
        return token

    def require_valid(self, transfer_id: str, authorization: str) -> str:
        """Return the hash of a token that is valid for this transfer; its first use retires the earlier ones.

        The header may be `Bearer <token>` or, as some connectors send it, the token alone.

        Raises: DataTokenInvalid.
        """
        token = authorization.strip()
        if token[:7].lower() == "bearer ":
            token = token[7:].strip()
        digest, now = _hash(token), self.clock()
        with self.database.begin() as connection:
            row = connection.execute(sa.select(share_tokens).where(_T.token_hash == digest)).first()
            if not token or row is None or row.process_id != transfer_id:
                raise DataTokenInvalid(transfer_id=transfer_id[:200], why="missing or unknown")
            if row.revoked_at is not None:
                raise DataTokenInvalid(transfer_id=transfer_id, why="withdrawn")
            if row.expires_at <= now:
                raise DataTokenInvalid(transfer_id=transfer_id, why="expired")
            if row.used_at is None:
                connection.execute(sa.update(share_tokens).where(_T.token_hash == digest).values(used_at=now))
                earlier = sa.and_(_T.process_id == transfer_id, _T.created_at < row.created_at, _T.revoked_at.is_(None))
                # They end without being withdrawn: what is under way with them goes on.
                connection.execute(sa.update(share_tokens).where(earlier, _T.expires_at > now).values(expires_at=now))
                old = sa.and_(_T.process_id == transfer_id, _T.expires_at < now - timedelta(days=1))
                connection.execute(sa.delete(share_tokens).where(old))
        return digest

    def is_withdrawn(self, digest: str) -> bool | None:
        """True once the transfer was stopped, None if nobody remembers the token any more.

        Neither expiry nor a newer token stops what began in time.
        """
        with self.database.connect() as connection:
            row = connection.execute(sa.select(_T.revoked_at, _T.process_id).where(_T.token_hash == digest)).first()
        return None if row is None else row.revoked_at is not None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

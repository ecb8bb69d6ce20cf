"""Accounts and tokens in the metadata database. Every change and every sign-in is in the audit log."""

import hashlib
import math
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.access import Role, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId, SubjectId
from gongshu.prepared import Prepared
from gongshu.secure.errors import (
    AccountExists,
    AccountInvalid,
    AccountUnknown,
    CodeRejected,
    FirstAccountExists,
    LoginFailed,
    LoginThrottled,
    NotAllowed,
    PasswordTooWeak,
    RolesConflict,
    TokenLifeInvalid,
    TokenRejected,
)
from gongshu.secure.identity.passwords import Passwords
from gongshu.secure.identity.rules import ADMINISTRATORS, administrator_roles, name_fault, password_fault
from gongshu.secure.identity.throttle import read_wait, write_failure, write_success
from gongshu.secure.tables import account_tokens, accounts, one_time_codes

SESSION_VALID = timedelta(hours=12)
CODE_VALID = timedelta(hours=1)
TOKEN_VALID_MAX = timedelta(days=366)
"""A program's token is renewed at least once a year. Our choice."""
IMPOSSIBLE_NAME = "-"
"""Stands for every name that no account can have: such attempts are slowed down and recorded together."""

_T = account_tokens.c
_HOLDER = Prepared(
    sa.select(accounts)
    .join(account_tokens, _T.account == accounts.c.name)
    .where(_T.token_hash == sa.bindparam("token_hash"), _T.revoked_at.is_(None), _T.expires_at > sa.bindparam("now"))
    .where(accounts.c.disabled_at.is_(None))
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account without its secrets."""

    name: str
    title: str
    roles: frozenset[Role]
    attributes: Mapping[str, str]
    created_at: datetime
    created_by: str
    disabled_at: datetime | None

    @property
    def subject_id(self) -> SubjectId:
        """`user:<name>`."""
        return SubjectId(f"user:{self.name}")


class IdentityService:
    """Proves who asks. An actor `user:<name>` must hold the role an act needs; other actors are parts of this node."""

    def __init__(
        self,
        database: Database,
        audit: AuditSink,
        clock: Callable[[], datetime],
        *,
        own_party_id: PartyId,
        passwords: Passwords | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._own_party_id = own_party_id
        self._passwords = passwords or Passwords()

    def first_link(self, role: Role = Role.SYSTEM_ADMIN) -> str:
        """Return a one-time code, valid for an hour, with which somebody becomes the first administrator of this kind.

        Raises: FirstAccountExists if an account has the role already; NotAllowed for other than the three.
        """
        if role not in ADMINISTRATORS:
            raise NotAllowed(actor="system:init", act="make a one-time code", role=", ".join(sorted(ADMINISTRATORS)))
        code, now = secrets.token_hex(16), self._clock()
        with self._database.begin() as connection:
            if self._holders(connection, role):
                raise FirstAccountExists(role=role)
            connection.execute(
                sa.insert(one_time_codes).values(
                    code_hash=_digest(code), role=role.value, created_at=now, expires_at=now + CODE_VALID
                )
            )
            self._record("system:init", "code.issued", f"role:{role}", {"valid_s": int(CODE_VALID.total_seconds())})
        return code

    def redeem(self, code: str, name: str, password: str, *, roles: Iterable[Role] = (), title: str = "") -> Account:
        """Make the first account of the code's role; the code is spent. `roles` may add ordinary roles.

        Raises: CodeRejected, AccountInvalid, AccountExists, PasswordTooWeak, RolesConflict.
        """
        with self._database.connect() as connection:
            self._role_of_code(connection, code)  # before the dear hash, which anybody could ask for otherwise
        encoded = self._hashed(name, password)
        with self._database.begin() as connection:
            role = self._role_of_code(connection, code)
            granted = frozenset({role, *roles})
            self._insert(connection, name, encoded, granted, title, {}, actor="system:init")
            used = sa.update(one_time_codes).where(one_time_codes.c.role == role.value)
            connection.execute(used.values(used_at=self._clock()))
        return self.account(name)

    def create_account(
        self,
        name: str,
        password: str,
        roles: Iterable[Role],
        actor: SubjectId | str,
        title: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> Account:
        """Make an account. A system administrator gives ordinary roles, and an administrator role that nobody holds
        yet; after that only a security administrator gives administrator roles.

        Raises: AccountInvalid, AccountExists, PasswordTooWeak, RolesConflict, NotAllowed.
        """
        granted = frozenset(roles)
        encoded = self._hashed(name, password)
        with self._database.begin() as connection:
            self._require_may_grant(connection, str(actor), granted)
            self._insert(connection, name, encoded, granted, title, attributes or {}, actor=str(actor))
        return self.account(name)

    def set_roles(self, name: str, roles: Iterable[Role], actor: SubjectId | str) -> Account:
        """Replace an account's roles; takes effect with the next request of its tokens.

        Raises: AccountUnknown, AccountInvalid, RolesConflict, NotAllowed (also for changing one's own roles).
        """
        granted = frozenset(roles)
        _require_possible(name, granted)
        with self._database.begin() as connection:
            before = _account(self._row(connection, name))
            if str(actor) == before.subject_id:
                raise NotAllowed(actor=actor, act="change its own roles", role=Role.SECURITY_ADMIN)
            self._require_may_grant(connection, str(actor), granted ^ before.roles)
            changed = sa.update(accounts).where(accounts.c.name == name).values(roles=_join(granted))
            connection.execute(changed)
            details = {"before": _names(before.roles), "after": _names(granted)}
            self._record(str(actor), "account.roles_changed", before.subject_id, details)
        return self.account(name)

    def set_password(self, name: str, password: str, actor: SubjectId | str) -> None:
        """Replace a password and revoke every token of the account.

        Raises: AccountUnknown, PasswordTooWeak, NotAllowed unless it is one's own or the actor a system administrator.
        """
        encoded = self._hashed(name, password)
        with self._database.begin() as connection:
            account = _account(self._row(connection, name))
            if str(actor) != account.subject_id:
                self._require_may_grant(connection, str(actor), account.roles)
            connection.execute(sa.update(accounts).where(accounts.c.name == name).values(password_hash=encoded))
            self._revoke_all(connection, name)
            self._record(str(actor), "account.password_changed", account.subject_id)

    def disable(self, name: str, actor: SubjectId | str) -> None:
        """Close an account for good and revoke its tokens; its name stays taken.

        Raises: AccountUnknown, NotAllowed.
        """
        with self._database.begin() as connection:
            account = _account(self._row(connection, name))
            self._require_may_grant(connection, str(actor), account.roles)
            closed = sa.update(accounts).where(accounts.c.name == name).values(disabled_at=self._clock())
            connection.execute(closed)
            self._revoke_all(connection, name)
            self._record(str(actor), "account.disabled", account.subject_id)

    def login(self, name: str, password: str, *, address: str = "") -> str:
        """Return a session token, valid for twelve hours. An unknown name takes as long as a wrong password.

        Raises: LoginFailed, LoginThrottled.
        Cost: about 0.1 s and 64 MiB (Argon2id).
        """
        now = self._clock()
        name = name if name_fault(name) is None else IMPOSSIBLE_NAME
        account_scope, address_scope = f"account:{name}", f"address:{address[:100] or 'local'}"
        scopes = (account_scope, address_scope)
        with self._database.begin() as connection:
            wait = read_wait(connection, scopes, now)
            if not wait:
                write_failure(connection, scopes, now)
            query = sa.select(accounts).where(accounts.c.name == name, accounts.c.disabled_at.is_(None))
            row = connection.execute(query).first()
        if wait:
            self._record(f"user:{name}", "login.throttled", address_scope, outcome="denied")
            raise LoginThrottled(retry_after_s=math.ceil(wait.total_seconds()))
        matches = self._passwords.matches(password[:1024], self._passwords.absent if row is None else row.password_hash)
        if row is None or not matches:
            self._record(f"user:{name}", "login.failed", address_scope, outcome="denied")
            raise LoginFailed
        with self._database.begin() as connection:
            write_success(connection, account_scope, address_scope)
            if self._passwords.is_outdated(row.password_hash):
                fresh = self._passwords.encode(password)
                connection.execute(sa.update(accounts).where(accounts.c.name == name).values(password_hash=fresh))
            token = self._issue(connection, name, "session", SESSION_VALID)
            self._record(f"user:{name}", "login.accepted", address_scope)
        return token

    def issue_token(self, account: str, *, valid_s: float, actor: SubjectId | str) -> str:
        """Return a token for programs that use this account.

        Raises: AccountUnknown, NotAllowed unless it is one's own account or the actor a system administrator;
            TokenLifeInvalid beyond a year; AccountInvalid for a closed account.
        """
        if not 0 < valid_s <= TOKEN_VALID_MAX.total_seconds():
            raise TokenLifeInvalid(valid_s=valid_s, days=TOKEN_VALID_MAX.days)
        with self._database.begin() as connection:
            holder = _account(self._row(connection, account))
            if holder.disabled_at is not None:
                raise AccountInvalid(name=account, reason="it is closed")
            if str(actor) != holder.subject_id:
                self._require_may_grant(connection, str(actor), holder.roles)
            token = self._issue(connection, account, "token", timedelta(seconds=valid_s))
            self._record(str(actor), "token.issued", holder.subject_id, {"valid_s": valid_s})
        return token

    def subject_of(self, token: str) -> Subject:
        """Return who holds the token, with the roles of this moment.

        Raises: TokenRejected.
        """
        with self._database.connect() as connection:
            row = _HOLDER.first(connection, {"token_hash": _digest(token), "now": self._clock()})
        if row is None:
            raise TokenRejected
        return self.subject_for(_account(row))

    def subject_for(self, account: Account) -> Subject:
        """Return the account as the subject that policies see. The caller has proved that it may act as it."""
        return Subject(account.subject_id, self._own_party_id, account.roles, account.attributes)

    def revoke(self, token: str) -> None:
        """End a token; an unknown one is not an error."""
        with self._database.begin() as connection:
            query = sa.select(account_tokens.c.account).where(account_tokens.c.token_hash == _digest(token))
            name = connection.execute(query).scalar()
            if name is None:
                return
            ended = sa.update(account_tokens).where(account_tokens.c.token_hash == _digest(token))
            connection.execute(ended.values(revoked_at=self._clock()))
            self._record(f"user:{name}", "token.revoked", f"user:{name}")

    def accounts(self) -> list[Account]:
        """Return all accounts by name, closed ones too."""
        with self._database.connect() as connection:
            return [_account(row) for row in connection.execute(sa.select(accounts).order_by(accounts.c.name))]

    def account(self, name: str) -> Account:
        """Return one account.

        Raises: AccountUnknown.
        """
        with self._database.connect() as connection:
            return _account(self._row(connection, name))

    def _hashed(self, name: str, password: str) -> str:
        if fault := name_fault(name):
            raise AccountInvalid(name=name, reason=fault)
        if fault := password_fault(password, name):
            raise PasswordTooWeak(reason=fault)
        return self._passwords.encode(password)

    def _insert(
        self,
        connection: sa.Connection,
        name: str,
        encoded: str,
        roles: frozenset[Role],
        title: str,
        attributes: Mapping[str, str],
        *,
        actor: str,
    ) -> None:
        _require_possible(name, roles)
        if connection.execute(sa.select(accounts.c.name).where(accounts.c.name == name)).first():
            raise AccountExists(name=name)
        connection.execute(
            sa.insert(accounts).values(
                name=name,
                title=title,
                password_hash=encoded,
                roles=_join(roles),
                attributes=dict(attributes),
                created_at=self._clock(),
                created_by=actor,
            )
        )
        self._record(actor, "account.created", f"user:{name}", {"roles": _names(roles)})

    def _require_may_grant(self, connection: sa.Connection, actor: str, roles: frozenset[Role]) -> None:
        """Refuse unless the actor may give or take these roles."""
        if not actor.startswith("user:"):
            return
        own = _account(self._row(connection, actor.removeprefix("user:")))
        held = frozenset() if own.disabled_at else own.roles
        for role in sorted(roles):
            open_seat = role in ADMINISTRATORS and not self._holders(connection, role)
            needed = Role.SECURITY_ADMIN if role in ADMINISTRATORS and not open_seat else Role.SYSTEM_ADMIN
            if needed not in held:
                raise NotAllowed(actor=actor, act=f"manage the role {role}", role=needed)
        if not roles and not held & {Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN}:
            raise NotAllowed(actor=actor, act="manage accounts", role=Role.SYSTEM_ADMIN)

    def _role_of_code(self, connection: sa.Connection, code: str) -> Role:
        query = sa.select(one_time_codes).where(one_time_codes.c.code_hash == _digest(code)).with_for_update()
        row = connection.execute(query).first()
        usable = row is not None and row.used_at is None and row.expires_at > self._clock()
        if row is None or not usable or self._holders(connection, Role(row.role)):
            raise CodeRejected
        return Role(row.role)

    def _holders(self, connection: sa.Connection, role: Role) -> int:
        rows = connection.execute(sa.select(accounts.c.roles).where(accounts.c.disabled_at.is_(None))).scalars()
        return sum(role in _split(text) for text in rows)

    def _row(self, connection: sa.Connection, name: str) -> "sa.Row[tuple[object, ...]]":
        query = sa.select(accounts).where(accounts.c.name == name)
        row = connection.execute(query).first() if name_fault(name) is None else None
        if row is None:
            raise AccountUnknown(name=name)
        return row

    def _issue(self, connection: sa.Connection, name: str, kind: str, valid: timedelta) -> str:
        token, now = f"gs_{secrets.token_urlsafe(32)}", self._clock()
        connection.execute(
            sa.insert(account_tokens).values(
                token_hash=_digest(token), account=name, kind=kind, issued_at=now, expires_at=now + valid
            )
        )
        return token

    def _revoke_all(self, connection: sa.Connection, name: str) -> None:
        alive = account_tokens.c.revoked_at.is_(None)
        ended = sa.update(account_tokens).where(account_tokens.c.account == name, alive)
        connection.execute(ended.values(revoked_at=self._clock()))

    def _record(
        self,
        actor: str,
        action: str,
        object_: str,
        details: Mapping[str, str | int | float | bool | list[str] | None] | None = None,
        *,
        outcome: str = "ok",
    ) -> None:
        self._audit.write(AuditEvent(self._clock(), actor, action, object_, outcome, details or {}))


def _require_possible(name: str, roles: frozenset[Role]) -> None:
    """Refuse roles that no account of this organisation can hold together."""
    if not roles or Role.PARTNER in roles:
        raise AccountInvalid(name=name, reason="it needs a role, and the role partner is for other organisations")
    held = administrator_roles(roles)
    if len(held) > 1:
        raise RolesConflict(name=name, roles=" and ".join(sorted(held)))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _names(roles: Iterable[Role]) -> list[str]:
    return sorted(role.value for role in roles)


def _join(roles: Iterable[Role]) -> str:
    return ",".join(_names(roles))


def _split(text: str) -> frozenset[Role]:
    return frozenset(Role(part) for part in text.split(",") if part)


def _account(row: "sa.Row[tuple[object, ...]]") -> Account:
    return Account(
        row.name, row.title, _split(row.roles), row.attributes, row.created_at, row.created_by, row.disabled_at
    )

import time

import pytest

from gongshu.database import Database
from gongshu.model.access import Role
from gongshu.secure.audit import AuditLog
from gongshu.secure.errors import (
    AccountExists,
    AccountInvalid,
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
from gongshu.secure.identity import IdentityService
from gongshu.secure.identity.passwords import Passwords
from gongshu.secure.tables import account_tokens, accounts, one_time_codes
from tests.conftest import Clock

GOOD = "correct horse battery"
OTHER = "another long phrase"


def first(identity: IdentityService, name: str = "root") -> None:
    identity.redeem(identity.first_link(), name, GOOD)


def test_the_first_code_makes_one_system_administrator_and_is_spent(identity: IdentityService) -> None:
    code, spare = identity.first_link(), identity.first_link()
    assert identity.redeem(code, "root", GOOD).roles == {Role.SYSTEM_ADMIN}
    for used in (code, spare):
        with pytest.raises(CodeRejected):
            identity.redeem(used, "second", GOOD)
    with pytest.raises(FirstAccountExists):
        identity.first_link()
    assert [account.name for account in identity.accounts()] == ["root"]


def test_a_code_is_never_taken_for_an_option_of_a_command(identity: IdentityService) -> None:
    assert all(identity.first_link().isalnum() for _ in range(20))


def test_a_code_expires_after_an_hour(identity: IdentityService, clock: Clock) -> None:
    code = identity.first_link()
    clock.forward(hours=1)
    with pytest.raises(CodeRejected):
        identity.redeem(code, "root", GOOD)


def test_a_made_up_code_is_refused(identity: IdentityService) -> None:
    identity.first_link()
    with pytest.raises(CodeRejected):
        identity.redeem("guess", "root", GOOD)


def test_a_refused_password_does_not_spend_the_code(identity: IdentityService) -> None:
    code = identity.first_link()
    with pytest.raises(PasswordTooWeak):
        identity.redeem(code, "root", "short")
    assert identity.redeem(code, "root", GOOD).name == "root"


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "my-name-is-root!", "x" * 300])
def test_weak_passwords_are_refused(identity: IdentityService, password: str) -> None:
    with pytest.raises(PasswordTooWeak):
        identity.redeem(identity.first_link(), "root", password)


@pytest.mark.parametrize("name", ["", "Root", "a", "-x-", "user:x", "名字", "x" * 80, "a b"])
def test_odd_names_are_refused(identity: IdentityService, name: str) -> None:
    with pytest.raises(AccountInvalid):
        identity.create_account(name, GOOD, {Role.VIEWER}, actor="system:test")


def test_no_account_holds_two_of_the_three_administrators(identity: IdentityService) -> None:
    for pair in (
        {Role.SYSTEM_ADMIN, Role.AUDIT_ADMIN},
        {Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN},
        {Role.SECURITY_ADMIN, Role.AUDIT_ADMIN},
    ):
        with pytest.raises(RolesConflict):
            identity.create_account("both", GOOD, pair, actor="system:test")
    with pytest.raises(RolesConflict):
        identity.redeem(identity.first_link(), "both", GOOD, roles={Role.AUDIT_ADMIN})
    identity.create_account("one", GOOD, {Role.AUDIT_ADMIN}, actor="system:test")
    with pytest.raises(RolesConflict):
        identity.set_roles("one", {Role.AUDIT_ADMIN, Role.SECURITY_ADMIN}, actor="system:test")
    assert [account.name for account in identity.accounts()] == ["one"]


def test_a_system_administrator_fills_open_seats_only(identity: IdentityService) -> None:
    first(identity)
    identity.create_account("safe", GOOD, {Role.SECURITY_ADMIN}, actor="user:root")
    with pytest.raises(NotAllowed):
        identity.create_account("safe2", GOOD, {Role.SECURITY_ADMIN}, actor="user:root")
    identity.create_account("safe2", GOOD, {Role.SECURITY_ADMIN}, actor="user:safe")
    with pytest.raises(NotAllowed):
        identity.create_account("zhang", GOOD, {Role.VIEWER}, actor="user:safe")


def test_an_ordinary_account_administers_nobody(identity: IdentityService) -> None:
    first(identity)
    identity.create_account("li", GOOD, {Role.ENGINEER}, actor="user:root")
    for act in (
        lambda: identity.create_account("wu", GOOD, {Role.VIEWER}, actor="user:li"),
        lambda: identity.set_roles("root", {Role.VIEWER}, actor="user:li"),
        lambda: identity.set_password("root", OTHER, actor="user:li"),
        lambda: identity.issue_token("root", valid_s=60, actor="user:li"),
        lambda: identity.disable("root", actor="user:li"),
    ):
        with pytest.raises(NotAllowed):
            act()


def test_nobody_changes_their_own_roles(identity: IdentityService) -> None:
    first(identity)
    with pytest.raises(NotAllowed):
        identity.set_roles("root", {Role.SYSTEM_ADMIN, Role.ANALYST}, actor="user:root")


def test_a_closed_administrator_has_no_more_say(identity: IdentityService) -> None:
    first(identity)
    identity.create_account("two", GOOD, {Role.SYSTEM_ADMIN}, actor="system:test")
    identity.disable("two", actor="system:test")
    with pytest.raises(NotAllowed):
        identity.create_account("wu", GOOD, {Role.VIEWER}, actor="user:two")


def test_a_name_is_taken_once(identity: IdentityService) -> None:
    first(identity)
    with pytest.raises(AccountExists):
        identity.create_account("root", GOOD, {Role.VIEWER}, actor="system:test")


def test_sign_in_gives_a_token_that_names_the_subject(identity: IdentityService) -> None:
    first(identity)
    subject = identity.subject_of(identity.login("root", GOOD))
    assert subject.subject_id == "user:root"
    assert subject.roles == {Role.SYSTEM_ADMIN}
    assert subject.party_id == "urn:gongshu:party:mill"


def test_tokens_end_by_time_revocation_password_change_and_closing(identity: IdentityService, clock: Clock) -> None:
    first(identity)

    def refused(token: str) -> bool:
        try:
            identity.subject_of(token)
        except TokenRejected:
            return True
        return False

    revoked = identity.login("root", GOOD)
    identity.revoke(revoked)
    assert refused(revoked)
    aged = identity.login("root", GOOD)
    clock.forward(hours=12)
    assert refused(aged)
    session = identity.login("root", GOOD)
    program = identity.issue_token("root", valid_s=3600, actor="user:root")
    assert not refused(session)
    identity.set_password("root", OTHER, actor="user:root")
    assert refused(session)
    assert refused(program)
    with pytest.raises(LoginFailed):
        identity.login("root", GOOD)
    last = identity.login("root", OTHER)
    identity.disable("root", actor="system:test")
    assert refused(last)
    with pytest.raises(LoginFailed):
        identity.login("root", OTHER)
    assert refused("")
    assert refused("gs_\ud800")


def test_roles_follow_at_once(identity: IdentityService) -> None:
    first(identity)
    identity.create_account("li", GOOD, {Role.ENGINEER}, actor="user:root")
    token = identity.login("li", GOOD)
    identity.set_roles("li", {Role.VIEWER}, actor="user:root")
    assert identity.subject_of(token).roles == {Role.VIEWER}


def test_guessing_is_slowed_down_for_known_and_unknown_names_alike(identity: IdentityService, clock: Clock) -> None:
    first(identity)
    for name in ("root", "nobody"):
        for _ in range(4):
            with pytest.raises(LoginFailed):
                identity.login(name, "wrong wrong wrong", address=f"10.0.0.{name}")
        with pytest.raises(LoginThrottled):
            identity.login(name, GOOD, address=f"10.0.1.{name}")
        clock.forward(seconds=1)
    assert identity.login("root", GOOD)


def test_an_address_is_slowed_down_over_all_names(identity: IdentityService) -> None:
    first(identity)
    for name in ("aa", "bb", "cc", "dd"):
        with pytest.raises(LoginFailed):
            identity.login(name, "wrong wrong wrong", address="10.0.0.9")
    with pytest.raises(LoginThrottled):
        identity.login("root", GOOD, address="10.0.0.9")
    assert identity.login("root", GOOD, address="10.0.0.8")


def test_the_wait_grows_to_a_quarter_of_an_hour(identity: IdentityService, clock: Clock) -> None:
    first(identity)
    waits = []
    for _ in range(20):
        try:
            identity.login("root", "wrong wrong wrong")
        except LoginThrottled as error:
            wait = error.fields["retry_after_s"]
            assert isinstance(wait, int)
            waits.append(wait)
            clock.forward(seconds=wait)
        except LoginFailed:
            pass
    assert waits == sorted(waits)
    assert waits[:3] == [1, 2, 4]
    assert max(waits) <= 900


def test_no_secret_is_stored_or_logged(identity: IdentityService, database: Database, audit: AuditLog) -> None:
    code = identity.first_link()
    identity.redeem(code, "root", GOOD)
    token = identity.login("root", GOOD)
    with pytest.raises(LoginFailed):
        identity.login("root", OTHER)
    with database.connect() as connection:
        stored = str([connection.execute(t.select()).all() for t in (accounts, account_tokens, one_time_codes)])
    logged = str(audit.entries())
    for secret in (code, GOOD, OTHER, token, token.removeprefix("gs_")):
        assert secret not in stored
        assert secret not in logged
    assert "$argon2id$v=19$" in stored


def test_every_act_is_recorded(identity: IdentityService, audit: AuditLog) -> None:
    first(identity)
    identity.create_account("li", GOOD, {Role.ENGINEER}, actor="user:root")
    identity.revoke(identity.login("li", GOOD))
    identity.set_roles("li", {Role.VIEWER}, actor="user:root")
    identity.issue_token("li", valid_s=60, actor="user:root")
    identity.set_password("li", OTHER, actor="user:li")
    identity.disable("li", actor="user:root")
    assert [entry.action for entry in reversed(audit.entries())] == [
        "code.issued",
        "account.created",
        "account.created",
        "login.accepted",
        "token.revoked",
        "account.roles_changed",
        "token.issued",
        "account.password_changed",
        "account.disabled",
    ]


def test_the_real_parameters_are_those_stated(clock: Clock) -> None:
    real = Passwords()
    encoded = real.encode(GOOD)
    assert encoded.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert real.matches(GOOD, encoded)
    assert not real.matches(OTHER, encoded)
    assert real.is_outdated(Passwords(memory_kib=64, passes=1, lanes=1).encode(GOOD))


def test_an_absent_account_costs_a_whole_hash() -> None:
    real = Passwords()
    assert not real.is_outdated(real.absent)
    start = time.process_time()
    real.matches(GOOD, real.encode(OTHER))
    both = time.process_time() - start
    start = time.process_time()
    assert not real.matches(GOOD, real.absent)
    assert time.process_time() - start > both / 8


@pytest.mark.parametrize("roles", [[], [Role.PARTNER], [Role.PARTNER, Role.VIEWER]])
def test_no_account_is_turned_into_a_partner_or_into_nothing(identity: IdentityService, roles: list[Role]) -> None:
    first(identity)
    identity.create_account("li", GOOD, [Role.VIEWER], "user:root")
    with pytest.raises(AccountInvalid):
        identity.set_roles("li", roles, "user:root")
    assert identity.account("li").roles == {Role.VIEWER}


@pytest.mark.parametrize("valid_s", [0, -1, 367 * 86_400, 1e300, float("inf"), float("nan")])
def test_a_token_lives_for_a_year_at_most(identity: IdentityService, valid_s: float) -> None:
    first(identity)
    with pytest.raises(TokenLifeInvalid):
        identity.issue_token("root", valid_s=valid_s, actor="user:root")


def test_a_closed_account_gets_no_token(identity: IdentityService) -> None:
    first(identity)
    identity.create_account("li", GOOD, [Role.VIEWER], "user:root")
    identity.disable("li", "user:root")
    with pytest.raises(AccountInvalid):
        identity.issue_token("li", valid_s=60, actor="user:root")

"""Errors of this room.

GongshuError
├── InvalidInput      SqlInvalid, PolicyInvalid, PasswordTooWeak, AccountInvalid, TokenLifeInvalid, PartyInvalid,
│                     CertificateUnusable, ClaimsMessageInvalid, ClaimsUnsupported, TrustListInvalid
├── NotAuthenticated  TokenRejected, LoginFailed, LoginThrottled, PeerTokenRejected, CodeRejected
├── Refused           CopyNotExamined, Denied, SqlRefused, NotAllowed
├── NotFound          AccountUnknown, PartyUnknown, IdentitySchemeUnknown, TrustListUnknown
├── Conflict          AccountExists, RolesConflict, FirstAccountExists, PartyKeyDiffers
├── Unavailable       QueryFailed
└── Damaged           KeysUnsafe, KeysDamaged, AuditLogDamaged
"""

from gongshu.errors import Conflict, Damaged, InvalidInput, NotAuthenticated, NotFound, Refused, Retry, Unavailable


class KeysUnsafe(Damaged):
    """A private key can be read by others on this machine."""

    code = "secure.keys_unsafe"
    retry = Retry.AFTER_FIX
    template = "{path} has mode {mode}, but must be {expected}: others could read it. Run `chmod {expected} {path}`."


class KeysDamaged(Damaged):
    """A key file does not hold a key."""

    code = "secure.keys_damaged"
    template = "{path} does not hold a usable key. Restore the keys folder from your backup."


class AuditLogDamaged(Damaged):
    """The stored log does not agree with itself."""

    code = "secure.audit_log_damaged"
    template = "The audit log cannot be continued at record {index}: {reason}. Export and verify it."


class PasswordTooWeak(InvalidInput):
    """The password breaks a rule."""

    code = "secure.password_too_weak"
    template = "This password cannot be used: {reason}."


class AccountInvalid(InvalidInput):
    """The account cannot be made this way."""

    code = "secure.account_invalid"
    template = "The account {name!r} cannot be made: {reason}."


class PartyInvalid(InvalidInput):
    """The party's record cannot be used."""

    code = "secure.party_invalid"
    template = "The party {party_id!r} cannot be registered: {reason}."


class CertificateUnusable(InvalidInput):
    """A file of TLS cannot be used; nothing is served or called without it."""

    code = "secure.certificate_unusable"
    template = "The TLS file {path} cannot be used: {reason}. Correct tls_certificate, tls_key or tls_partner_ca."


class ClaimsMessageInvalid(InvalidInput):
    """A message of the Decentralized Claims Protocol cannot be used."""

    code = "secure.claims_message_invalid"
    template = "The {what} cannot be used: {reason}. Send it as DCP 1.0.1 has it."


class ClaimsUnsupported(InvalidInput):
    """A question in a form that the protocol allows and that this node does not answer."""

    code = "secure.claims_unsupported"
    status = 501
    retry = Retry.NEVER
    template = "This credential service does not answer {what}. Ask by scope."


class TrustListInvalid(InvalidInput):
    """A space's trust list is not believed; what was in force stays so until it ends."""

    code = "secure.trust_list_invalid"
    template = "The trust list of {space} is not believed: {reason}. Ask the space's operator."


class PolicyInvalid(InvalidInput):
    """The policies were not deployed."""

    code = "secure.policy_invalid"
    template = "The policies were not deployed, the former ones stay in force. {findings}"


class SqlInvalid(InvalidInput):
    """The statement is not SQL that can be understood."""

    code = "secure.sql_invalid"
    template = "The query cannot be read: {reason}. Write one SELECT statement over dataset names or `readings`."


class TokenLifeInvalid(InvalidInput):
    """A token would be valid for too long, or not at all."""

    code = "secure.token_life"
    template = "A token cannot be valid for {valid_s} s: give a time above zero and of at most {days} days."


class TokenRejected(NotAuthenticated):
    """The token is unknown, expired or revoked: the three are not told apart."""

    code = "secure.token_rejected"
    template = "The token is not valid, or no longer. Sign in again."


class LoginFailed(NotAuthenticated):
    """Name or password is wrong: the two are not told apart."""

    code = "secure.login_failed"
    template = "Name or password is wrong."


class LoginThrottled(NotAuthenticated):
    """Too many failures for this account or from this address."""

    code = "secure.login_throttled"
    retry = Retry.LATER
    template = "Too many failed sign-ins. Try again in {retry_after_s} seconds."


class CodeRejected(NotAuthenticated):
    """The one-time code is unknown, used or expired."""

    code = "secure.code_rejected"
    template = "The one-time code is not valid, or no longer. Make a new one with `gongshu account first-link`."


class PeerTokenRejected(NotAuthenticated):
    """The token of a partner's node cannot be accepted."""

    code = "secure.peer_token_rejected"
    template = "The partner's token is not accepted: {reason}."


class CopyNotExamined(Refused):
    """Rules of quality cannot run on what was received under a contract."""

    code = "secure.copy_not_examined"
    template = (
        "{dataset} holds data received under a contract, and rules of quality do not run on it: {reason}. "
        "Ask for figures with `gongshu sql`, or agree on other terms with the provider."
    )


class Denied(Refused):
    """The gate said no. Nothing left the lake."""

    code = "secure.denied"
    template = "{subject} may not {action} {object} for the purpose {purpose!r}: {reasons}. {ask}"


class SqlRefused(Refused):
    """The statement uses something that the gate does not let through."""

    code = "secure.sql_refused"
    template = "The query was refused: {reason}. Use SELECT over dataset names or `readings` with listed functions."


class NotAllowed(Refused):
    """The account lacks the role for an act of administration."""

    code = "secure.not_allowed"
    template = (
        "{actor} may not {act}: it needs the role {role}. Ask an account that has it, or a system administrator for it "
        "(`gongshu account roles`)."
    )


class AccountUnknown(NotFound):
    """No such account."""

    code = "secure.account_unknown"
    template = "There is no account {name!r}. See `gongshu account list`."


class PartyUnknown(NotFound):
    """No such party."""

    code = "secure.party_unknown"
    template = (
        "There is no party {party_id!r}. `gongshu share parties` lists those known here; take in its invitation "
        "first (`gongshu share join`)."
    )


class IdentitySchemeUnknown(NotFound):
    """A party is registered with a scheme of identity that is not there."""

    code = "secure.identity_scheme_unknown"
    template = (
        "{party_id!r} proves itself by {scheme!r}, which this node does not offer (it has: {known}). "
        "Set that scheme up, or register the party with another."
    )


class TrustListUnknown(NotFound):
    """No such list is believed here."""

    code = "secure.trust_list_unknown"
    template = "There is no trust list of {space!r} here. See `gongshu share trust list`."


class AccountExists(Conflict):
    """The name is taken."""

    code = "secure.account_exists"
    template = "The account {name!r} is there already. Choose another name."


class PartyKeyDiffers(Conflict):
    """The party is known, by another key, certificate or scheme of identity than the one offered now."""

    code = "secure.party_key_differs"
    template = (
        "{party_id!r} is registered with another {what} ({known}) than the one offered now ({offered}). Nothing was "
        "changed. Ask its people over another channel why; if the change is right, replace the record: "
        "`gongshu share join INVITATION --replace`."
    )


class RolesConflict(Conflict):
    """One account would hold two of the three administrator roles."""

    code = "secure.roles_conflict"
    template = "{name!r} cannot hold {roles} together: the three administrators are kept apart. Use separate accounts."


class FirstAccountExists(Conflict):
    """The first account of this kind was made already."""

    code = "secure.first_account_exists"
    template = "An account with the role {role} exists already, so no one-time code is made. Ask it to make accounts."


class QueryFailed(Unavailable):
    """The engine could not answer; its own words are withheld because they may quote protected values."""

    code = "secure.query_failed"
    retry = Retry.AFTER_FIX
    template = "The query could not be carried out ({kind}). Check column names, types and conversions."

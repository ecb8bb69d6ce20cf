"""The member's side: apply, offer entries, ask, report; and do what news from an operator demands.

Access in a space ends where it was given: the operator tells every member who is out, and each member's node ends the
agreements with it that belong to the space. The operator has no part in those agreements and sees no data.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gongshu.database import Database, settles_races
from gongshu.errors import GongshuError
from gongshu.model.access import Role, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId, SubjectId
from gongshu.secure.keys import KeyStore
from gongshu.share.dsp.reader import read_plain
from gongshu.share.dsp.states import Side
from gongshu.share.errors import MessageInvalid, PeerAnswerInvalid, PeerRefused
from gongshu.share.model import Agreement, AgreementStatus
from gongshu.share.ports import Clock
from gongshu.share.remote import STRANGER
from gongshu.share.rights import DEALERS, USERS, require_right
from gongshu.share.spaces.answers import find_fault
from gongshu.share.spaces.errors import SpaceForbids, SpaceUnknown
from gongshu.share.spaces.model import ContractReport, Notice, read_message
from gongshu.share.spaces.notices import PostWire
from gongshu.share.spaces.signing import rules_hash, sign_rules
from gongshu.share.spaces.states import Standing
from gongshu.share.spaces.tables import space_links, space_received, space_standings
from gongshu.share.tables import share_agreements, share_processes

Json = dict[str, Any]
_L, _R, _T = space_links.c, space_received.c, space_standings.c

_IS_ID = re.compile(r"(?!\.)[\w:.-]{1,200}")
"""An id or number of a space: it becomes part of an address."""
_IN_ANOTHER_STATE = 409
OUT = frozenset({Standing.EXPELLED, Standing.LEFT, Standing.ENDED, Standing.DISSOLVED})
"""States of a member or a space that end every access under it."""


class Contracts(Protocol):
    """Our agreements, as far as a space concerns them."""

    def agreement(self, agreement_id: str) -> Agreement:
        """Return one agreement."""
        ...

    def retire(self, agreement_id: str, actor: Subject, reason: str) -> Agreement:
        """End an agreement for good; its data stop at once."""
        ...


class SpaceMembership:
    """This node in the spaces of others. Threads may share it."""

    def __init__(
        self,
        database: Database,
        wire: PostWire,
        address_of: Callable[[PartyId], str],
        keys: KeyStore,
        contracts: Contracts,
        audit: AuditSink,
        clock: Clock,
        own_party_id: PartyId,
    ) -> None:
        self._database = database
        self._wire = wire
        self._address_of = address_of
        self._keys = keys
        self._contracts = contracts
        self._audit = audit
        self._clock = clock
        self._own = own_party_id

    # ---- asking -----------------------------------------------------------------------------------------------------

    def request_space(self, operator: PartyId, title: str, rules: str, actor: Subject) -> Json:
        """Ask an operator for a logical space. Raises: NotAllowed, PartyUnknown, and the wire's errors."""
        require_right(actor, DEALERS, "request spaces")
        answer = self._ask(operator, "/share/spaces/requests", {"title": title, "rules": rules})
        self._stand(operator, _named_by(operator, answer, ""), str(answer.get("state", "")), "", title=title)
        return answer

    def rules(self, operator: PartyId, space_id: str, actor: Subject) -> Json:
        """Return a space's title and rules, to be read before applying. Raises: as `request_space`."""
        require_right(actor, USERS, "look at spaces")
        return self._ask_space(operator, space_id, "rules", {})

    def apply(
        self, operator: PartyId, space_id: str, roles: Sequence[str], actor: Subject, *, area: str, organisation: str,
        rules: str,
    ) -> Json:  # fmt: skip
        """Sign the rules, given as they were read, and apply for admission in these roles.

        Raises: NotAllowed, PartyUnknown, PeerRefused, and the wire's errors.
        """
        require_right(actor, DEALERS, "apply to spaces")
        digest, wanted = rules_hash(rules), sorted(set(roles))
        about = self._ask_space(operator, space_id, "rules", {})
        named, title = _named_by(operator, about, space_id), str(about.get("title", ""))
        signature = sign_rules(self._keys, space_id=named, party=self._own, roles=wanted, rules_digest=digest)
        sent = {"roles": wanted, "area": area, "organisation": organisation}
        sent |= {"rules_hash": digest, "signature": signature}
        with self._undone_if_refused(operator, named):
            # Written first: its news has to be obeyed also where the answer to this message is lost.
            self._stand(operator, named, Standing.APPLIED, ",".join(wanted), title=title)
            answer = self._ask_space(operator, named, "apply", sent)
        self._stand(operator, named, str(answer.get("state", "")), ",".join(wanted), title=title)
        self._write(actor.subject_id, "space.applied", named, {"operator": operator, "rules_hash": digest})
        return answer

    def leave(self, operator: PartyId, space_id: str, actor: Subject, reason: str = "") -> Json:
        """Leave a space; our agreements under it end. Raises: NotAllowed, PeerRefused, and the wire's errors."""
        require_right(actor, DEALERS, "leave spaces")
        answer = self._ask_space(operator, space_id, "leave", {"reason": reason})
        named = _named_by(operator, answer, space_id)
        self._stand(operator, named, Standing.LEFT, "", reason=reason)
        self._end(operator, named, None, f"we left the space {self._title(operator, named)}")
        return answer

    def submit(self, operator: PartyId, space_id: str, entry: Mapping[str, Any], actor: Subject) -> Json:
        """Send a resource or product to the operator for audit. Raises: as `leave`."""
        require_right(actor, DEALERS, "offer entries in spaces")
        if offer_id := str(entry.get("offer_id") or ""):
            named = self._id_of(operator, space_id)
            with self._linked(operator, named, "offer", offer_id):
                answer = self._ask_space(operator, named, "entry", dict(entry))
        else:
            answer = self._ask_space(operator, space_id, "entry", dict(entry))
        self._write(actor.subject_id, "space.entry_submitted", str(answer.get("entry_id", "")), {"operator": operator})
        return answer

    def publish(self, operator: PartyId, space_id: str, entry_id: str, actor: Subject) -> Json:
        """Make a registered entry visible in the space. Raises: as `leave`."""
        require_right(actor, DEALERS, "offer entries in spaces")
        return self._ask_space(operator, space_id, "publish", {"entry_id": entry_id})

    def withdraw(self, operator: PartyId, space_id: str, entry_id: str, actor: Subject, reason: str = "") -> Json:
        """Take an entry out of the space. Raises: as `leave`."""
        require_right(actor, DEALERS, "offer entries in spaces")
        return self._ask_space(operator, space_id, "withdraw", {"entry_id": entry_id, "reason": reason})

    def report(self, operator: PartyId, space_id: str, agreement_id: str, actor: Subject) -> Json:
        """Report the facts of one of our agreements, which belongs to the space from now on.

        Raises: AgreementUnknown, and as `leave`.
        """
        require_right(actor, DEALERS, "report contracts")
        found = self._contracts.agreement(agreement_id)
        pair = (self._own, found.counterparty)
        provider, consumer = pair if found.side is Side.PROVIDER else pair[::-1]
        fact = ContractReport(
            agreement_id=agreement_id,
            provider=provider,
            consumer=consumer,
            status=found.status,
            policy_hash=found.policy_hash,
            agreed_at=found.agreed_at,
        )
        named = self._id_of(operator, space_id)
        with self._linked(operator, named, "agreement", agreement_id):
            return self._ask_space(operator, named, "contract", fact.model_dump(mode="json"))

    def look(self, operator: PartyId, space_id: str, what: str, actor: Subject, *, words: str = "") -> Json:
        """Return what the operator shows us: standing, catalogue, members, contracts or history. Raises: as `leave`.

        A standing that differs from what we were told last counts like news of it.
        """
        require_right(actor, USERS, "look at spaces")
        answer = self._question(operator, space_id, what, words)
        if what == "standing":
            self._learn(operator, answer)
        return answer

    def standings(self, actor: Subject) -> list[Json]:
        """Return where this node stands in the spaces of others, as far as it was told. Raises: NotAllowed."""
        require_right(actor, USERS, "look at spaces")
        with self._database.connect() as connection:
            rows = connection.execute(sa.select(space_standings).order_by(_T.operator, _T.space_id))
            return [{**row._mapping, "updated_at": row.updated_at.isoformat()} for row in rows]

    # ---- news -------------------------------------------------------------------------------------------------------

    def receive(self, operator: PartyId, document: Json) -> None:
        """Take news from an operator and do what it demands; the same news again is done if it was not.

        Raises: ApplicationInvalid; SpaceForbids for news of a space that we have nothing to do with at this operator.
        """
        notice = read_message(Notice, document)
        if self._keep(operator, notice, document):
            self._obey(operator, notice)
            with self._database.begin() as connection:
                change = sa.update(space_received).where(_R.operator == operator, _R.notice_id == notice.notice_id)
                connection.execute(change.values(done_at=self._clock()))

    @settles_races
    def _keep(self, operator: PartyId, notice: Notice, document: Json) -> bool:
        """Keep news that is new; return whether what it demands is still to be done."""
        with self._database.begin() as connection:
            known = connection.execute(
                sa.select(_T.state).where(_T.operator == operator, _T.space_id == notice.space_id)
            ).scalar()
            if known is None:
                raise SpaceForbids(
                    party=operator,
                    act="bring news",
                    space_id=notice.space_id,
                    reason="we never asked for anything there",
                )
            key = {"operator": operator, "notice_id": notice.notice_id}
            kept = connection.execute(sa.select(_R.done_at).filter_by(**key)).first()
            if kept is None:
                fresh = {**key, "space_id": notice.space_id, "content": document, "received_at": self._clock()}
                connection.execute(sa.insert(space_received).values(**fresh))
            return kept is None or kept.done_at is None

    def _obey(self, operator: PartyId, notice: Notice) -> None:
        title, why = self._title(operator, notice.space_id), notice.reason
        if notice.about == "space" and notice.state == Standing.DISSOLVED:
            self._stand(operator, notice.space_id, Standing.ENDED, None, reason=why)
            self._end(operator, notice.space_id, None, f"the space {title} was dissolved")
        elif notice.about == "space":
            self._stand(operator, notice.space_id, notice.state, None, reason=why)
        elif notice.about == "member" and notice.name == self._own:
            self._stand(operator, notice.space_id, notice.state, None, reason=why)
            if notice.state in OUT:
                self._end(operator, notice.space_id, None, f"we are {notice.state} in the space {title}")
        elif notice.about == "member" and notice.state in OUT:
            reason = f"{notice.name} is {notice.state} in the space {title}"
            self._end(operator, notice.space_id, PartyId(notice.name), reason)
        details: dict[str, str | int | float | bool | list[str] | None] = {
            "operator": operator, "about": notice.about, "name": notice.name, "state": notice.state,
        }  # fmt: skip
        self._audit.write(
            AuditEvent(self._clock(), f"partner:{operator}", "space.news_received", notice.space_id, "ok", details)
        )

    def _end(self, operator: PartyId, space_id: str, party: PartyId | None, reason: str) -> None:
        """End our agreements under the space: with one party, or all."""
        system = Subject(SubjectId("system:spaces"), self._own, frozenset({Role.APP}))
        for agreement_id in self._agreements(operator, space_id, party):
            self._contracts.retire(agreement_id, system, reason)

    def _agreements(self, operator: PartyId, space_id: str, party: PartyId | None) -> list[str]:
        agreed, process = share_agreements.c, share_processes.c
        linked = sa.select(_L.name).where(_L.operator == operator, _L.space_id == space_id)
        from_offers = sa.select(process.process_id).where(
            process.offer_id.in_(linked.where(_L.kind == "offer")), process.side == Side.PROVIDER
        )
        query = sa.select(agreed.agreement_id).where(
            agreed.status != AgreementStatus.RETIRED,
            sa.or_(
                agreed.agreement_id.in_(linked.where(_L.kind == "agreement")), agreed.negotiation_id.in_(from_offers)
            ),
        )
        if party is not None:
            query = query.where(agreed.counterparty == party)
        with self._database.connect() as connection:
            return list(connection.execute(query.order_by(agreed.agreement_id)).scalars())

    def _learn(self, operator: PartyId, answer: Json) -> None:
        """Take a standing that the operator named, as if its news had arrived: the end of a membership ends access."""
        space_id, state = str(answer.get("space_id", "")), str(answer.get("state", ""))
        if not _IS_ID.fullmatch(space_id) or state not in set(Standing):
            return
        known = self._told(operator, space_id)
        if known is not None and known.state == state:
            return
        roles = ",".join(str(role) for role in answer.get("roles") or ())
        self._stand(operator, space_id, state, roles[:100], title=str(answer.get("title", "")))
        if state in OUT:
            self._end(operator, space_id, None, f"we are {state} in the space {self._title(operator, space_id)}")

    # ---- private ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _undone_if_refused(self, operator: PartyId, space_id: str) -> Iterator[None]:
        """Put back where we stood if the operator says no; where it knows another standing, take that."""
        before = self._told(operator, space_id)
        try:
            yield
        except PeerRefused as refused:
            with self._database.begin() as connection:
                mine = (_T.operator == operator, _T.space_id == space_id)
                connection.execute(sa.delete(space_standings).where(*mine))
                if before is not None:
                    connection.execute(sa.insert(space_standings).values(**before._mapping))
            if refused.fields["status_code"] == _IN_ANOTHER_STATE:
                with suppress(GongshuError):
                    self._learn(operator, self._question(operator, space_id, "standing"))
            raise

    def _told(self, operator: PartyId, space_id: str) -> Any | None:
        """Return where we stand as far as we know, None if we have nothing to do with the space."""
        query = sa.select(space_standings).where(_T.operator == operator, _T.space_id == space_id)
        with self._database.connect() as connection:
            return connection.execute(query).first()

    def _stand(
        self, operator: PartyId, space_id: str, state: str, roles: str | None, *, title: str = "", reason: str = ""
    ) -> None:
        values: Json = {"state": state[:20], "updated_at": self._clock(), "reason": reason}
        values |= ({} if roles is None else {"roles": roles}) | ({"title": title[:400]} if title else {})
        with self._database.begin() as connection:
            change = sa.update(space_standings).where(_T.operator == operator, _T.space_id == space_id)
            if not connection.execute(change.values(**values)).rowcount:
                fresh = {"operator": operator, "space_id": space_id, "roles": roles or "", **values}
                connection.execute(sa.insert(space_standings).values(**fresh))

    def _title(self, operator: PartyId, space_id: str) -> str:
        """Return the space's title with its id behind it; the id alone where we never read a title."""
        told = self._told(operator, space_id)
        return f"{told.title} ({space_id})" if told is not None and told.title else space_id

    @contextmanager
    def _linked(self, operator: PartyId, space_id: str, kind: str, name: str) -> Iterator[None]:
        """Make an offer or agreement part of the space before the operator is told, so that no lost answer undoes it.

        A refusal does, unless it belonged to the space before.
        """
        row = {"operator": operator, "space_id": space_id, "kind": kind, "name": name}
        is_new = self._link(row)
        try:
            yield
        except PeerRefused:
            if is_new:
                with self._database.begin() as connection:
                    mine = (space_links.c[column] == value for column, value in row.items())
                    connection.execute(sa.delete(space_links).where(*mine))
            raise

    def _link(self, row: Json) -> bool:
        """Return whether it did not belong to the space yet."""
        try:
            with self._database.begin() as connection:
                connection.execute(sa.insert(space_links).values(**row))
        except IntegrityError:
            return False
        return True

    def _id_of(self, operator: PartyId, space_id: str) -> str:
        """Return the id of a space that may be named by its number."""
        return _named_by(operator, self._ask_space(operator, space_id, "rules", {}), space_id)

    def _question(self, operator: PartyId, space_id: str, what: str, words: str = "") -> Json:
        answer = self._ask_space(operator, space_id, "question", {"what": what, "words": words})
        if fault := find_fault(what, answer):
            raise PeerAnswerInvalid(party=operator, what=f"the question for the {what} of a space", reason=fault)
        return answer

    def _ask_space(self, operator: PartyId, space_id: str, message: str, document: Json) -> Json:
        if not _IS_ID.fullmatch(space_id):
            raise SpaceUnknown(space_id=repr(space_id[:200]))
        return self._ask(operator, f"/share/spaces/{space_id}/{message}", document)

    def _ask(self, operator: PartyId, path: str, document: Json) -> Json:
        reply = self._wire.post(operator, self._address_of(operator), path, orjson.dumps(document))
        what = f"the message {path.rsplit('/', 1)[-1]}"
        try:
            answer = read_plain(reply.body)
        except MessageInvalid as cause:
            raise PeerAnswerInvalid(party=operator, what=what, reason=str(cause)) from cause
        if not reply.is_ok:
            code = str(answer.get("code") or f"status {reply.status_code}")
            said = f"{code}; {STRANGER}" if code == "share.not_authorised" else code
            reason = str(answer.get("detail") or said)[:500]
            raise PeerRefused(party=operator, what=what, status_code=reply.status_code, reason=reason)
        return answer

    def _write(self, actor: str, action: str, what: str, details: dict[str, Any]) -> None:
        self._audit.write(AuditEvent(self._clock(), actor, action, what, "ok", details))


def _named_by(operator: PartyId, answer: Json, asked: str) -> str:
    """Return the id that the operator gives the space asked for. Raises: PeerAnswerInvalid if it is none."""
    named = answer.get("space_id", asked)
    if not isinstance(named, str) or not _IS_ID.fullmatch(named):
        reason = "an operator names its space by letters, digits and . : - alone"
        raise PeerAnswerInvalid(party=operator, what="the id of a space", reason=reason)
    return named

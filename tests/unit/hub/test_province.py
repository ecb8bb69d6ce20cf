"""The province accepts what is right once, and nothing else."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from gongshu.errors import GongshuError
from gongshu.hub import tables
from gongshu.hub.canonical import digest_of
from gongshu.hub.errors import (
    AgreementNotInForce,
    AgreementUnknown,
    DocumentMalformed,
    NotYetReleasable,
    NotYourReport,
    ReportWrong,
    RevisionTaken,
    RoleMissing,
    SignatureInvalid,
    TotalsUnknown,
)
from gongshu.hub.model import Signed, Standing
from gongshu.hub.period import Period
from gongshu.hub.signing import require_signature
from gongshu.model.access import Role
from gongshu.model.audit import AuditEvent
from tests.conftest import Clock
from tests.unit.hub.conftest import NewMember
from tests.unit.hub.parts import HubNode, person

OCTOBER = Period(2026, 10)


def stored(province: HubNode) -> int:
    with province.database.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(tables.received_reports)).scalar_one()


def test_an_accepted_report_gets_a_receipt_signed_by_the_province(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    report = mill.report(agreement)
    receipt = province.province.receive(report, mill.subject)
    require_signature(receipt, province.keys.public_key_pem(), what="receipt", party="province")
    assert receipt.document["report_sha256"] == digest_of(report.document)


def test_the_same_report_again_gets_the_same_receipt(province: HubNode, new_member: NewMember, clock: Clock) -> None:
    mill, agreement = new_member()
    report = mill.report(agreement)
    first = province.province.receive(report, mill.subject)
    clock.forward(days=400)
    assert province.province.receive(report, mill.subject) == first
    assert stored(province) == 1


def test_a_correction_is_a_new_revision_and_the_first_stays(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    province.province.receive(mill.report(agreement), mill.subject)
    province.province.receive(mill.report(agreement, revision=2, figures={"energy": "9.0"}), mill.subject)
    assert stored(province) == 2


@pytest.mark.parametrize("revision", [1, 3])
def test_a_used_revision_or_a_gap_is_refused(province: HubNode, new_member: NewMember, revision: int) -> None:
    mill, agreement = new_member()
    province.province.receive(mill.report(agreement), mill.subject)
    with pytest.raises(RevisionTaken):
        province.province.receive(mill.report(agreement, revision=revision, figures={"energy": "1.0"}), mill.subject)


def test_a_forged_signature_is_refused(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    report = mill.report(agreement)
    changed = ("B" if report.signature[0] == "A" else "A") + report.signature[1:]
    for forged in ("", "AAAA", "§", changed, mill.report(agreement, revision=2).signature):
        with pytest.raises(SignatureInvalid):
            province.province.receive(Signed(report.document, forged), mill.subject)
    altered = Signed({**report.document, "made_at": "2026-11-02T09:00:00+00:00"}, report.signature)
    with pytest.raises(SignatureInvalid):
        province.province.receive(altered, mill.subject)
    assert stored(province) == 0


def test_a_signature_under_another_kind_of_document_does_not_fit(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    report = mill.report(agreement)
    other = mill.keys.sign(b"gongshu.receipt/1\n" + b"{}")
    with pytest.raises(SignatureInvalid):
        province.province.receive(Signed(report.document, other.hex()), mill.subject)


def test_a_report_in_anothers_name_is_refused_and_written_down(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    rival, _ = new_member("rival")
    with pytest.raises(NotYourReport):
        province.province.receive(mill.report(agreement), rival.subject)
    (entry,) = province.audit.entries(action="report.received")
    assert (entry.outcome, entry.actor) == ("denied", rival.subject.subject_id)


def test_a_report_under_anothers_agreement_is_refused(province: HubNode, new_member: NewMember) -> None:
    _, agreement = new_member()
    rival, _ = new_member("rival")
    with pytest.raises(AgreementUnknown):
        province.province.receive(rival.report(agreement), rival.subject)


def test_an_expired_or_ended_agreement_takes_no_report(province: HubNode, new_member: NewMember, clock: Clock) -> None:
    mill, agreement = new_member()
    other, ended = new_member("other")
    province.memberships.end(ended.terms.agreement_id, person())
    with pytest.raises(AgreementNotInForce):
        province.province.receive(other.report(ended), other.subject)
    clock.forward(days=301)
    with pytest.raises(AgreementNotInForce):
        province.province.receive(mill.report(agreement), mill.subject)


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("2026-12", {}, "has not begun"),
    ("2026-11", {}, "is not over"),
    ("2026-07", {}, "does not cover"),
    ("2028-01", {}, "does not cover"),
    ("2026-10", {"division": "C35"}, "division"),
    ("2026-10", {"province": "urn:gongshu:party:elsewhere"}, "another province"),
    ("2026-10", {"figures": {"energy": "absent"}}, "missing: energy"),
    ("2026-10", {"figures": {"gold": "1"}}, "not agreed: gold"),
    ("2026-10", {"figures": {"oee": "1.5"}}, "oee is outside 0 to 1"),
    ("2026-10", {"figures": {"energy": "-1"}}, "energy is outside"),
    ("2026-10", {"figures": {"energy": "999999999999999"}}, "energy is outside"),
    ("2026-10", {"figures": {"parts_produced": "1.5"}}, "more than 0 decimals"),
]


def test_what_breaks_a_rule_is_named(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    for period, changes, finding in BROKEN:
        with pytest.raises(ReportWrong, match=finding):
            province.province.receive(mill.report(agreement, period, **deepcopy(changes)), mill.subject)
    assert stored(province) == 0


UNREADABLE: list[dict[str, Any]] = [
    {"figures": {"energy": "NaN"}},
    {"figures": {"energy": "Infinity"}},
    {"figures": {"energy": "1e9"}},
    {"figures": {"energy": "1" * 16}},
    {"figures": {"energy": "0x10"}},
    {"figures": {"energy": ""}},
    {"period": "2026-13"},
    {"period": "2026-1"},
    {"revision": 0},
    {"preliminary": 1},
    {"division": "34"},
    {"values": []},
    {"surprise": "field"},
    {"type": "gongshu.receipt/1"},
]


def test_what_cannot_be_read_is_refused_before_its_signature_counts(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    for changes in UNREADABLE:
        with pytest.raises(GongshuError) as caught:
            province.province.receive(mill.report(agreement, **deepcopy(changes)), mill.subject)
        assert caught.value.status == 400, changes


def test_a_float_in_a_report_is_refused(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    report = mill.report(agreement)
    for wrong in (1.5, float("nan"), 10**400, True):
        document = {**report.document, "values": [{**report.document["values"][0], "value": wrong}]}
        with pytest.raises(DocumentMalformed):
            province.province.receive(Signed(document, report.signature), mill.subject)
    with pytest.raises(DocumentMalformed):
        province.province.receive(Signed({**report.document, "made_at": 1.5}, report.signature), mill.subject)


def test_a_running_month_is_reported_as_preliminary_and_replaced_by_a_final(
    province: HubNode, new_member: NewMember, clock: Clock
) -> None:
    mill, agreement = new_member()
    province.province.receive(mill.report(agreement, "2026-11", preliminary=True), mill.subject)
    (row,) = province.province.standing(Period(2026, 11), person())
    assert row.standing is Standing.PRELIMINARY
    clock.forward(days=40)
    province.province.receive(mill.report(agreement, "2026-11", revision=2), mill.subject)
    with pytest.raises(ReportWrong, match="final report is here"):
        province.province.receive(mill.report(agreement, "2026-11", revision=3, preliminary=True), mill.subject)


def test_the_late_are_listed_first_and_no_value_is_shown(
    province: HubNode, new_member: NewMember, clock: Clock
) -> None:
    mill, agreement = new_member()
    new_member("absent", "C35")
    province.province.receive(mill.report(agreement, figures={"energy": "77777.7"}), mill.subject)
    assert [row.standing for row in province.province.standing(OCTOBER, person())] == [
        Standing.MISSING,
        Standing.REPORTED,
    ]
    clock.forward(days=20)
    rows = province.province.standing(OCTOBER, person())
    assert [(row.title, row.standing) for row in rows] == [("Absent", Standing.LATE), ("Mill", Standing.REPORTED)]
    assert "77777" not in repr(rows)


def test_a_report_after_its_day_is_marked_late(province: HubNode, new_member: NewMember, clock: Clock) -> None:
    mill, agreement = new_member()
    clock.forward(days=30)
    province.province.receive(mill.report(agreement), mill.subject)
    (row,) = province.province.standing(OCTOBER, person())
    assert (row.standing, row.was_late) == (Standing.REPORTED, True)


def four_reports(province: HubNode, new_member: NewMember) -> None:
    for i, (name, division) in enumerate([("a", "C34"), ("b", "C34"), ("c", "C34"), ("d", "C35")]):
        node, agreement = new_member(name, division)
        figures = {"energy": f"{1000 + i}.1", "oee": f"0.{6 + i % 3}000", "running_time": "100.00"}
        province.province.receive(node.report(agreement, figures=figures), node.subject)


def test_totals_add_up_exactly_and_withhold_small_cells(province: HubNode, new_member: NewMember) -> None:
    four_reports(province, new_member)
    publication = province.province.release(OCTOBER, person())
    cells = {(c.indicator, c.key): c for c in publication.cells}
    assert cells["energy", ""].value == Decimal("4006.4")
    assert cells["energy", "C35"].value is None
    assert cells["energy", "C34"].value is None, "it would betray C35 by subtraction from the total"
    assert cells["energy", "C34"].contributors == 3
    assert cells["oee", "C"].value == Decimal("0.6750")
    assert province.province.publication(OCTOBER, person(Role.VIEWER)) == publication


def test_a_section_is_the_sum_of_its_divisions(province: HubNode, new_member: NewMember) -> None:
    for i in range(9):
        node, agreement = new_member(f"m{i}", ("C34", "C35", "D44")[i % 3])
        province.province.receive(node.report(agreement, figures={"energy": f"{i}.{i}"}), node.subject)
    cells = {(c.indicator, c.key): c.value for c in province.province.release(OCTOBER, person()).cells}
    total, c, c34, c35, d, d44 = (cells["energy", key] for key in ("", "C", "C34", "C35", "D", "D44"))
    assert None not in (total, c, c34, c35, d, d44)
    assert (c34 or 0) + (c35 or 0) == c
    assert (c or 0) + (d or 0) == total
    assert d44 == d


def test_too_few_reports_are_not_published(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    province.province.receive(mill.report(agreement), mill.subject)
    with pytest.raises(NotYetReleasable):
        province.province.release(OCTOBER, person())
    with pytest.raises(TotalsUnknown):
        province.province.publication(OCTOBER, person())


def test_one_late_correction_does_not_move_the_next_publication(province: HubNode, new_member: NewMember) -> None:
    nodes = [new_member(f"m{i}") for i in range(4)]
    for node, agreement in nodes:
        province.province.receive(node.report(agreement), node.subject)
    first = province.province.release(OCTOBER, person())
    node, agreement = nodes[0]
    province.province.receive(node.report(agreement, revision=2, figures={"energy": "1.0"}), node.subject)
    second = province.province.release(OCTOBER, person())
    assert (second.number, second.held_back) == (2, 1)
    assert second.cells == first.cells
    assert province.province.publication(OCTOBER, person(), number=1) == first


@pytest.mark.parametrize("role", [Role.PARTNER, Role.APP])
def test_partners_and_apps_read_no_totals(province: HubNode, role: Role) -> None:
    with pytest.raises(RoleMissing, match="security administrator"):
        province.province.publication(OCTOBER, person(role))


@pytest.mark.parametrize("role", [Role.ANALYST, Role.VIEWER, Role.SYSTEM_ADMIN])
def test_only_a_steward_releases(province: HubNode, role: Role) -> None:
    with pytest.raises(RoleMissing):
        province.province.release(OCTOBER, person(role))
    if role is Role.VIEWER:
        with pytest.raises(RoleMissing):
            province.province.standing(OCTOBER, person(role))


def test_every_refusal_of_a_report_is_on_record_without_its_figures(province: HubNode, new_member: NewMember) -> None:
    mill, agreement = new_member()
    report = mill.report(agreement, figures={"energy": "13.5"})
    province.province.receive(report, mill.subject)
    refused: list[tuple[Signed, type[GongshuError]]] = [
        (Signed(report.document, "AAAA"), SignatureInvalid),
        (mill.report(agreement, figures={"energy": "14.5"}), RevisionTaken),
        (Signed({"nonsense": "13.5"}, ""), DocumentMalformed),
    ]
    for signed, error in refused:
        with pytest.raises(error):
            province.province.receive(signed, mill.subject)
        entry = province.audit.entries(limit=1)[0]
        assert (entry.action, entry.outcome, entry.details["because"]) == ("report.received", "denied", error.code)
        assert entry.actor == mill.subject.subject_id
        assert not [figure for figure in ("13.5", "14.5") if figure in repr(entry)]


def test_nothing_is_received_or_released_without_its_record(
    province: HubNode, new_member: NewMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [new_member(name) for name in ("a", "b", "c")]
    for mill, agreement in members:
        province.province.receive(mill.report(agreement), mill.subject)

    def refuse(event: AuditEvent) -> int:
        raise OSError(event.action)

    monkeypatch.setattr(province.audit, "write", refuse)
    mill, agreement = members[0]
    with pytest.raises(OSError, match=r"report\.received"):
        province.province.receive(mill.report(agreement, revision=2, figures={"energy": "9.0"}), mill.subject)
    with pytest.raises(OSError, match=r"totals\.released"):
        province.province.release(OCTOBER, person())
    with pytest.raises(OSError, match=r"invitation\.made"):
        province.memberships.invite(person())
    with pytest.raises(OSError, match=r"agreement\.ended"):
        province.memberships.end(agreement.terms.agreement_id, person())
    monkeypatch.undo()
    assert stored(province) == 3
    assert province.province.published_periods() == []
    assert province.memberships.agreement(agreement.terms.agreement_id).ended_at is None

"""The pure rules of spaces: the role matrix in full, the three lives, identifiers with check digits."""

from itertools import pairwise

import pytest

from gongshu.packs import load_packs
from gongshu.secure.parties import is_party_id
from gongshu.share.spaces.errors import IdentifierInvalid
from gongshu.share.spaces.identifiers import NUMBER_MAX, front_code, make_identifier, require_identifier
from gongshu.share.spaces.register import index_name
from gongshu.share.spaces.roles import MATRIX, Act, SpaceRole, may, why_not_together
from gongshu.share.spaces.states import BEGINNING, TABLE, Hand, Life, Standing, Step, decide, possible

EXPECTED = """
                operator provider user service regulator
SEE_CATALOGUE      x        x      x      x        x
SEE_MEMBERS        x        x      x      x        x
SEE_CONTRACTS      x        .      .      .        x
SEE_HISTORY        x        .      .      .        x
SUBMIT             .        x      .      x        .
PUBLISH            .        x      .      x        .
WITHDRAW           x        x      .      x        .
REPORT             .        x      x      x        .
LEAVE              .        x      x      x        x
AUDIT              x        .      .      .        .
ADMIT              x        .      .      .        .
DISSOLVE           x        .      .      .        .
"""


def test_the_matrix_is_what_it_is_written_to_be() -> None:
    head, *lines = EXPECTED.strip().splitlines()
    roles = [SpaceRole(name) for name in head.split()]
    written: dict[tuple[Act, SpaceRole], bool] = {}
    for line in lines:
        name, *marks = line.split()
        written |= {(Act[name], role): mark == "x" for role, mark in zip(roles, marks, strict=True)}
    assert {(act, role): may([role], act) for act in Act for role in SpaceRole} == written
    assert set(MATRIX) == set(SpaceRole)
    assert not any(may([], act) for act in Act)


def test_several_roles_add_up_but_who_supervises_takes_no_part() -> None:
    assert may([SpaceRole.USER, SpaceRole.PROVIDER], Act.SUBMIT)
    assert why_not_together([SpaceRole.USER, SpaceRole.PROVIDER]) is None
    assert why_not_together([SpaceRole.REGULATOR]) is None
    for roles in ([], [SpaceRole.OPERATOR], [SpaceRole.REGULATOR, SpaceRole.USER]):
        assert why_not_together(roles)
    assert {role.term for role in SpaceRole} == {"运营者", "数据提供方", "数据使用方", "数据服务方", "监管方"}


def states_of(life: Life) -> set[Standing]:
    return {BEGINNING[life]} | {state for row in TABLE if row.life is life for state in (row.before, row.after)}


@pytest.mark.parametrize("life", list(Life))
def test_every_state_is_reached_and_none_is_left_by_chance(life: Life) -> None:
    reached, waiting = {BEGINNING[life]}, [BEGINNING[life]]
    while waiting:
        state = waiting.pop()
        after = {row.after for row in TABLE if row.life is life and row.before is state} - reached
        reached |= after
        waiting += after
    assert reached == states_of(life)
    keys = [(row.before, row.step) for row in TABLE if row.life is life]
    assert len(keys) == len(set(keys)), "one step from one state leads to two places"


def test_what_the_table_does_not_hold_is_refused() -> None:
    allowed = {(row.life, row.before, row.step, hand): row.after for row in TABLE for hand in row.hands}
    for life in Life:
        for state in Standing:
            for step in Step:
                for hand in Hand:
                    assert decide(life, state, step, hand) == allowed.get((life, state, step, hand))


@pytest.mark.parametrize(
    "life, final",
    [
        (Life.SPACE, {Standing.REFUSED, Standing.DISSOLVED}),
        (Life.MEMBER, {Standing.EXPELLED, Standing.ENDED}),
        (Life.ENTRY, {Standing.REFUSED, Standing.WITHDRAWN}),
    ],
)
def test_ends_are_ends(life: Life, final: set[Standing]) -> None:
    assert {state for state in states_of(life) if not any(possible(life, state, hand) for hand in Hand)} == final


def test_nobody_audits_or_admits_itself() -> None:
    mine = {row.step for row in TABLE if Hand.PARTY in row.hands}
    assert mine == {Step.APPLY, Step.LEAVE, Step.PUBLISH, Step.WITHDRAW}


def test_an_entry_goes_through_four_states() -> None:
    state, seen = BEGINNING[Life.ENTRY], [BEGINNING[Life.ENTRY]]
    for step, hand in ((Step.AUDIT, Hand.OPERATOR), (Step.REGISTER, Hand.OPERATOR), (Step.PUBLISH, Hand.PARTY)):
        after = decide(Life.ENTRY, state, step, hand)
        assert after is not None
        seen.append(after)
        state = after
    assert [each.value for each in seen] == ["pending", "audited", "registered", "active"]


CODES = load_packs().get("ndi-catalogue")
GOOD = make_identifier("31010091310000MA1K000000", "2", 7)


def test_identifiers_are_made_and_recognised() -> None:
    assert front_code("310100", "91310000MA1K000000", CODES) == "31010091310000MA1K000000"
    for number in (1, 42, NUMBER_MAX):
        made = make_identifier("310100123456789", "1", number)
        assert require_identifier(made) == made


def is_good(text: str) -> bool:
    try:
        return require_identifier(text) == text
    except IdentifierInvalid:
        return False


def test_every_wrong_digit_every_wrong_letter_and_every_swap_of_digits_is_found() -> None:
    for place, right in enumerate(GOOD):
        for alike in ("0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
            if right in alike:
                wrong = [GOOD[:place] + sign + GOOD[place + 1 :] for sign in alike.replace(right, "")]
                assert not any(map(is_good, wrong))
    for place, (left, right) in enumerate(pairwise(GOOD)):
        if left != right and (left + right).isdigit():
            assert not is_good(GOOD[:place] + right + left + GOOD[place + 2 :])


def test_nearly_every_digit_taken_for_a_letter_is_found() -> None:
    signs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    wrong = [GOOD[:n] + sign + GOOD[n + 1 :] for n, right in enumerate(GOOD) for sign in signs if sign != right]
    assert sum(map(is_good, wrong)) / len(wrong) < 0.02


@pytest.mark.parametrize("text", ["", "a/b", GOOD.lower(), GOOD + "0", GOOD[:-1], f" {GOOD}", GOOD + "\n", "9" * 4000])
def test_other_texts_are_no_identifiers(text: str) -> None:
    with pytest.raises(IdentifierInvalid):
        require_identifier(text)


@pytest.mark.parametrize(
    "area, organisation",
    [("990000", "123456789"), ("3101", "123456789"), ("31010０", "123456789"), ("310100", "abc"), ("310100", "1" * 12)],
)
def test_fronts_are_checked(area: str, organisation: str) -> None:
    with pytest.raises(IdentifierInvalid):
        front_code(area, organisation, CODES)


@pytest.mark.parametrize("number", [0, -1, NUMBER_MAX + 1])
def test_numbers_have_an_end(number: int) -> None:
    with pytest.raises(IdentifierInvalid):
        make_identifier("310100123456789", "1", number)


def test_no_party_can_be_named_as_the_catalogue_of_a_space() -> None:
    assert not is_party_id(index_name("urn:gongshu:space:one"))

"""What the pages of sharing say: terms in words with who keeps them, what is possible, what is left."""

import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gongshu.cli.share_kept import said_of
from gongshu.console import theme
from gongshu.console.column_words import describe_column, describe_columns
from gongshu.console.copy_looks import figure_of, gives_figures, group_min_of, purposes_of, uses_of
from gongshu.console.frame import View
from gongshu.console.pages.agreements import LIMIT, contract_path, read_lists
from gongshu.console.pages.clearance_form import _Form
from gongshu.console.pages.clearances import trace_rows
from gongshu.console.pages.contract_evidence import _line, figures_text, operation_text
from gongshu.console.pages.offer import obstacle_of
from gongshu.console.pages.partners import fingerprint_html
from gongshu.console.pages.process import acts_of
from gongshu.console.pages.process_forms import can_counter, can_keep
from gongshu.console.pages.records import next_text
from gongshu.console.pages.space_desk import _about_html, steps_for
from gongshu.console.pages.terms_form import operations_of
from gongshu.console.pages.terms_words import clauses_html, sentences, terms_html
from gongshu.console.pages.transfers import rate_of
from gongshu.console.session import Taste
from gongshu.console.texts import Language, read_texts
from gongshu.model.dataset import Column
from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import PartyId
from gongshu.packs import load_packs
from gongshu.share.automation import Action
from gongshu.share.clearances.marks import Trace
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.enforcement import CLASSES, enforcement_of
from gongshu.share.evidence.disputes import Standing as Counted
from gongshu.share.evidence.model import Figures, Metered
from gongshu.share.invites import without_spaces
from gongshu.share.keeping.chain import NOBODY, NOTHING_READ, ROWS_UNKNOWN
from gongshu.share.keeping.judging import FIGURES
from gongshu.share.spaces.states import Life, Standing, Step
from gongshu.share.terms import Comparison, Operation, Payment, RowCondition, Terms

SHOP = PartyId("urn:gongshu:party:shop")
NAMES = {str(SHOP): "<Shop & Co>"}
EVERY_TERM = Terms(
    parties=frozenset({SHOP}),
    groups=frozenset({"suppliers"}),
    until=datetime(2027, 1, 1, tzinfo=UTC),
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    duration_s=86_400,
    uses_max=5,
    places=frozenset({"CN-33"}),
    connectors=frozenset({"sha256:" + "a" * 64}),
    purposes=frozenset({"quality"}),
    columns=frozenset({"<b>"}),
    rows_max=10,
    rows_where=frozenset({RowCondition("part", Comparison.EQUAL, frozenset({"P-1"}))}),
    operations=frozenset({Operation.AGGREGATE}),
    aggregate_min=10,
    delete_after_s=3600,
    notify=frozenset({SHOP}),
    no_onward=True,
    payment=Payment("12.00", "CNY"),
    legal_only=frozenset({"no_onward"}),
)


def view(language: Language = Language.EN) -> View:
    return View(SimpleNamespace(), SimpleNamespace(), SimpleNamespace(), Taste(language, is_dark=False), read_texts())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("description", "zh", "en"),
    [
        ("part VARCHAR, count BIGINT", "part (文本)、count (整数)", "part (text), count (whole number)"),
        ("at TIMESTAMP WITH TIME ZONE", "at (日期与时刻)", "at (date and time)"),
        (
            "a b DECIMAL(10,2), x DATE[]",
            "a b (小数)、x (一组日期)",
            "a b (decimal number), x (list of date)",
        ),
        ("ok BOOLEAN, spindle_te", "ok (是或否)、spindle_te", "ok (yes or no), spindle_te"),
        ("Rows of DOUBLE precision, made by hand, daily", None, None),
        ("主轴温度", None, None),
        ("", None, None),
        ("<b> VARCHAR", "<b> (文本)", "<b> (text)"),
    ],
)
def test_types_of_columns_are_said_in_words(description: str, zh: str | None, en: str | None) -> None:
    assert describe_columns(view(Language.ZH), description) == (description if zh is None else zh)
    assert describe_columns(view(Language.EN), description) == (description if en is None else en)


def test_units_stand_as_people_write_them_and_hostile_words_cost_no_time() -> None:
    shown = SimpleNamespace(packs=load_packs())
    spoken = View(shown, SimpleNamespace(), SimpleNamespace(), Taste(Language.EN, is_dark=False), read_texts())  # type: ignore[arg-type]
    assert describe_columns(spoken, "temperature DOUBLE [Cel], load DOUBLE") == (
        "temperature (decimal number °C), load (decimal number)"
    )
    begun = time.process_time()
    describe_columns(spoken, "a DOUBLE " * 20_000 + ", " + "x [" * 20_000)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("language", list(Language))
def test_every_operation_of_a_receipt_is_said_in_words(language: Language) -> None:
    told = [operation_text(view(language), each) for each in (*Operation, NOTHING_READ)]
    assert len(set(told)) == len(told)
    assert NOTHING_READ not in told
    row = {"operation": NOTHING_READ, "role": NOBODY, "rows": ROWS_UNKNOWN}
    assert said_of(row) == {"operation": "nothing was read", "role": "", "rows": "unknown"}
    assert said_of({"operation": "export", "role": "analyst", "rows": 0})["operation"] == "export"


@pytest.mark.parametrize("language", list(Language))
def test_every_term_has_a_sentence_and_a_class(language: Language) -> None:
    said = sentences(view(language), EVERY_TERM, NAMES)
    assert set(said) == set(CLASSES)
    shown = clauses_html(view(language), EVERY_TERM, NAMES, copies=True)
    assert shown.count("<tr>") == len(CLASSES) + 1
    for clause in enforcement_of(EVERY_TERM):
        assert read_texts().get(f"enforcement.{clause.enforcement.value}", language) in shown


def test_parties_are_named_and_nothing_of_a_term_is_markup() -> None:
    said = sentences(view(), EVERY_TERM, NAMES)
    assert "&lt;Shop &amp; Co&gt;" in said["parties"]
    assert SHOP not in said["parties"] + said["notify"]
    assert "<b>" not in said["columns"]
    assert 'datetime="2027-01-01T00:00:00+00:00"' in said["until"]


def test_terms_that_restrict_nothing_say_so() -> None:
    assert terms_html(view(), Terms(unrestricted=True)) == "declared unrestricted"
    assert "declared unrestricted" in clauses_html(view(), Terms(unrestricted=True), NAMES)
    assert terms_html(view(), None) == ""


@pytest.mark.parametrize(
    ("grade", "importance", "standing", "obstacle"),
    [
        (Grade.ONE, Importance.GENERAL, GradeStanding.CONFIRMED, ""),
        (Grade.TWO, Importance.GENERAL, GradeStanding.CONFIRMED, ""),
        (Grade.THREE, Importance.GENERAL, GradeStanding.CONFIRMED, ""),
        (Grade.ONE, Importance.IMPORTANT, GradeStanding.CONFIRMED, ""),
        (Grade.ONE, Importance.CORE, GradeStanding.CONFIRMED, "core"),
        (Grade.ONE, Importance.GENERAL, GradeStanding.PROPOSED, "proposed"),
        (Grade.ONE, Importance.GENERAL, GradeStanding.EXPIRED, "expired"),
    ],
)
def test_why_a_grade_cannot_be_offered(
    grade: Grade, importance: Importance, standing: GradeStanding, obstacle: str
) -> None:
    assert obstacle_of(GradeLabel(grade, importance, "x", standing, None)) == obstacle


def test_figures_only_leaves_no_reading() -> None:
    assert Operation.READ not in operations_of(figures=True, derive=True, export=True)
    assert operations_of(figures=False, derive=True, export=True) == frozenset()


def test_a_fingerprint_is_the_same_however_it_is_read_out() -> None:
    key = "sha256:" + "0a1b" * 16
    shown = fingerprint_html(key).removeprefix('<code class="gs-print">').removesuffix("</code>")
    assert shown != key
    assert without_spaces(shown.upper()) == key


def record(kind: Kind, side: Side, state: State, pending: str | None = None) -> Any:
    return SimpleNamespace(kind=kind, side=side, state=state, pending=pending)


@pytest.mark.parametrize(
    ("kind", "side", "state", "said"),
    [
        (Kind.NEGOTIATION, Side.CONSUMER, State.REQUESTED, "waits for the other side"),
        (Kind.NEGOTIATION, Side.PROVIDER, State.OFFERED, "waits for the other side"),
        (Kind.TRANSFER, Side.CONSUMER, State.REQUESTED, "waits for the other side"),
        (Kind.TRANSFER, Side.CONSUMER, State.STARTED, ""),
        (Kind.NEGOTIATION, Side.CONSUMER, State.FINALIZED, ""),
    ],
)
def test_who_asked_reads_that_the_other_side_has_to_answer(kind: Kind, side: Side, state: State, said: str) -> None:
    asked = record(kind, side, state)
    asked.reason = asked.waiting = ""
    assert next_text(view(), asked) == said


def test_only_the_side_whose_turn_it_is_can_counter() -> None:
    asked = record(Kind.NEGOTIATION, Side.PROVIDER, State.REQUESTED)
    assert can_counter(asked, "")
    assert can_counter(record(Kind.NEGOTIATION, Side.CONSUMER, State.OFFERED), "")
    assert not can_counter(record(Kind.NEGOTIATION, Side.CONSUMER, State.REQUESTED), "")
    assert not can_counter(record(Kind.NEGOTIATION, Side.PROVIDER, State.REQUESTED, "offer"), "")
    assert not can_counter(record(Kind.TRANSFER, Side.PROVIDER, State.REQUESTED), "")
    assert not can_counter(asked, Action.TERMINATE), "it was declined a moment ago"


def test_what_is_decided_is_not_asked_again_while_it_is_carried_out() -> None:
    asked = record(Kind.NEGOTIATION, Side.PROVIDER, State.REQUESTED)
    asked.waiting = "a person has to approve"
    both = {"deals": True, "uses": True}
    assert acts_of(asked, "", **both) == ["approve", "decline"]
    asked.waiting = ""
    assert acts_of(asked, "", **both) == ["terminate"]
    assert acts_of(asked, Action.AGREE, **both) == ["terminate"]
    assert acts_of(asked, Action.TERMINATE, **both) == []
    assert acts_of(asked, Action.AGREE, deals=False, uses=False) == []
    runs = record(Kind.TRANSFER, Side.CONSUMER, State.STARTED)
    runs.waiting = ""
    assert acts_of(runs, "", **both) == ["suspend", "complete", "terminate"]
    assert acts_of(runs, Action.SUSPEND, **both) == ["terminate"]


def test_only_who_receives_keeps_and_only_while_it_runs() -> None:
    assert can_keep(record(Kind.TRANSFER, Side.CONSUMER, State.STARTED))
    assert not can_keep(record(Kind.TRANSFER, Side.PROVIDER, State.STARTED))
    assert not can_keep(record(Kind.TRANSFER, Side.CONSUMER, State.SUSPENDED))


def test_a_rate_needs_two_looks_and_time_between_them() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert rate_of(None, now, 5) is None
    assert rate_of((now, 5), now, 9) is None


def test_what_one_side_has_not_counted_is_a_dash() -> None:
    assert figures_text(view(), None) == "–"
    assert figures_text(view(), Figures(1200, 3_200_000, "")) == "1,200 rows · 3.2\u00a0MB"


def test_what_a_settlement_was_said_for_stands_beside_it() -> None:
    now, figures = datetime(2027, 1, 31, tzinfo=UTC), Figures(3, 9, "")
    fields: Any = {"agreement_id": "7", "counterparty": "urn:p", "side": Side.PROVIDER, "delivery": "1"}
    fields |= {
        "is_one_sided": False,
        "ours": figures,
        "theirs": figures,
        "our_choice": "consumer",
        "their_choice": "consumer",
    }
    settled = Metered(**fields, standing=Counted.SETTLED, reason="<b>a batch was lost</b>", since=now, due_at=None)
    assert "the figures of the consumer: &lt;b&gt;a batch was lost" in _line(view(), settled)["standing"]


def test_the_address_of_a_contract_keeps_odd_ids_whole() -> None:
    assert contract_path("https://a/b?c#d") == "/sharing/contract/https%3A%2F%2Fa%2Fb%3Fc%23d"


def test_a_description_of_any_length_scrolls_in_its_cell() -> None:
    shown = _about_html(view(), {"description": "<b>\n" * 5000}, {}, {})
    assert shown.startswith('<div class="gs-tall">&lt;b&gt;')
    assert ".gs-tall { max-height" in (Path(str(theme.__file__)).parent / "theme.css").read_text(encoding="utf-8")
    assert _about_html(view(), {"description": ""}, {}, {}) == "–"


def test_how_surely_a_leaked_copy_was_recognised_is_shown_as_it_is() -> None:
    found = Trace("recipes", str(SHOP), None, None, seen=68, hits=68, chance=1e-20, is_named=True)
    (row,) = trace_rows(view(), [found], NAMES)
    assert (row["chance"], row["party"]) == ("< 1 : 10¹⁵", "<Shop & Co>"), "a table's text is no markup"


def test_the_buttons_of_a_space_are_the_operators_steps() -> None:
    assert Step.PUBLISH not in steps_for(Life.ENTRY, [Standing.REGISTERED])
    assert steps_for(Life.SPACE, [Standing.DISSOLVED]) == []
    both = steps_for(Life.MEMBER, [Standing.APPLIED, Standing.SUSPENDED])
    assert {Step.ADMIT, Step.RESUME, Step.EXPEL} <= set(both)


def kept(*terms: Terms, reads: int = 0, kind: str = "rows") -> Any:
    return SimpleNamespace(
        agreements=[SimpleNamespace(terms=each) for each in terms], version=SimpleNamespace(reads=reads, kind=kind)
    )


def test_the_strictest_contract_says_what_a_look_is_for_and_what_it_costs() -> None:
    some, other = Terms(purposes=frozenset({"quality", "energy"}), uses_max=5), Terms(purposes=frozenset({"quality"}))
    assert purposes_of(kept(Terms())) is None
    assert purposes_of(kept(some, other, Terms())) == frozenset({"quality"})
    assert purposes_of(kept(other, Terms(purposes=frozenset({"energy"})))) == frozenset()
    assert uses_of(kept(other)) is None
    assert uses_of(kept(some, Terms(uses_max=3), reads=2)) == (3, 1)
    assert uses_of(kept(some, reads=9)) == (5, 0)
    assert gives_figures(kept(Terms(), Terms(aggregate_min=3)))
    assert not gives_figures(kept(Terms(aggregate_min=3), kind=FIGURES))
    assert group_min_of(kept(Terms(), Terms(operations=frozenset({Operation.AGGREGATE})))) == 2


def test_a_figure_is_named_by_its_column_and_a_column_is_never_a_figure() -> None:
    columns = [Column("avg(x)", "DOUBLE"), Column("x", "DOUBLE", unit="Cel")]
    assert figure_of("avg(x)", columns) == ("avg", columns[1])
    assert figure_of("count(*)", columns) == ("count", None)
    assert figure_of("x", columns) is None
    assert describe_column(view(), Column("a b", "STRUCT(x INTEGER)")) == "a b"


def test_what_asks_a_person_is_on_the_page_however_many_negotiations_began_after_it() -> None:
    old: Any = SimpleNamespace(waiting="a person has to approve")
    records: list[Any] = [SimpleNamespace(waiting="") for _ in range(LIMIT)] + [old]

    def negotiations(*, waiting: bool = False, limit: int) -> list[Any]:
        return [each for each in records if each.waiting or not waiting][:limit]

    share: Any = SimpleNamespace(negotiations=negotiations, agreements=lambda limit: [])
    assert read_lists(share) == ([], [old], records[:LIMIT])


def test_a_form_left_open_over_midnight_takes_the_day_that_has_begun() -> None:
    days = iter([datetime(2026, 11, 2, 8, tzinfo=UTC), datetime(2026, 11, 3, 8, tzinfo=UTC)])
    node = SimpleNamespace(clock=lambda: next(days), config=SimpleNamespace(zone=UTC))
    form = _Form(cast(Any, SimpleNamespace(node=node)), *cast(Any, (None, None, None)))
    assert form._today.isoformat() == "2026-11-02"
    assert form._past_day("", cast(Any, SimpleNamespace(value="2026-11-03"))) == "2026-11-03"

"""What every database has to hold for the catalogue: run on SQLite by the unit tests, on PostgreSQL by the others."""

from collections.abc import Sequence
from datetime import timedelta

import pyarrow as pa
import pytest

from gongshu.database import Database
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.errors import (
    CategoryUnknown,
    DatasetUnknown,
    GradeBelowParts,
    PartUnknown,
    ReasonMissing,
    SchemaUnusable,
    StateSecretDeclared,
    TableTaken,
)
from gongshu.govern.model import ChangeKind
from gongshu.model.dataset import SERIES_COLUMNS
from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import AssetId, DatasetId
from gongshu.model.reading import ValueType
from tests.conftest import Clock
from tests.unit.govern.parts import STEWARD, Remembered, make_catalogue, sighting

MILL = DatasetId("plant_1_line_1_mill_01")
WORKING = "production.working_condition"
ORDERS = pa.table({"order_id": ["SO-1", "SO-2"], "customer_name": ["A", "B"], "quantity": [1, 2]})


class CatalogueSuite:
    """Needs the fixtures `database` and `clock`."""

    def test_a_series_keeps_its_id_and_is_registered_once(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        first = catalogue.register_series([sighting(), sighting("vibration", unit="mm/s")])
        version = catalogue.version()
        again = make_catalogue(database, clock).register_series([sighting("vibration", unit="mm/s"), sighting()])
        assert again == first
        assert catalogue.version() == version
        assert sorted(first.values()) == [1, 2]
        assert [s.sighting.name for s in catalogue.series_of(MILL)] == ["spindle_load", "vibration"]
        assert catalogue.dataset_ids_of(list(first.values())) == dict.fromkeys(first.values(), MILL)

    def test_first_sight_makes_a_dataset_that_waits_for_the_steward(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting()])
        dataset = catalogue.dataset(MILL)
        assert dataset.label.standing is GradeStanding.PROPOSED
        assert dataset.label.category == WORKING
        assert dataset.label.valid_until is None
        assert dataset.columns == SERIES_COLUMNS
        assert dataset.origin == "source:opc"
        assert catalogue.proposal(MILL).evidence
        assert catalogue.assets() == [
            (AssetId("plant-1"), "site"),
            (AssetId("plant-1/line-1"), "line"),
            (AssetId("plant-1/line-1/mill-01"), "machine"),
        ]

    def test_the_strictest_part_grades_the_whole(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting(), sighting("emergency_stop_reset", unit="", writable=True)])
        dataset = catalogue.dataset(MILL)
        assert (dataset.label.grade, dataset.label.importance) == (Grade.THREE, Importance.IMPORTANT)
        grades = {part.name: part.label.grade for part in catalogue.parts(MILL)}
        assert grades == {"spindle_load": Grade.ONE, "emergency_stop_reset": Grade.THREE}

    @pytest.mark.parametrize(
        "change",
        [{"unit": "A"}, {"value_type": ValueType.INT64}, {"writable": True}, {"name": "renamed"}],
    )
    def test_a_changed_series_is_recorded_and_proposed_anew(
        self, database: Database, clock: Clock, change: dict[str, object]
    ) -> None:
        catalogue = make_catalogue(database, clock)
        before = catalogue.register_series([sighting(address="ns=2;s=1")])
        self._confirm(catalogue, MILL)
        after = catalogue.register_series([sighting(**{"address": "ns=2;s=1"} | change)])  # type: ignore[arg-type]
        assert after == before
        assert catalogue.dataset(MILL).label.standing is GradeStanding.PROPOSED
        changed = [c for c in catalogue.history(MILL) if c.kind is ChangeKind.SERIES_CHANGED]
        assert len(changed) == 1
        assert next(iter(change)) in changed[0].after

    def test_a_new_title_is_recorded_and_the_confirmation_stays(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting()])
        self._confirm(catalogue, MILL)
        catalogue.register_series([sighting(title="主轴负载")])
        assert catalogue.dataset(MILL).label.standing is GradeStanding.CONFIRMED
        assert catalogue.history(MILL)[0].after["title"] == "主轴负载"

    def test_a_new_series_puts_a_confirmed_dataset_back(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting()])
        self._confirm(catalogue, MILL, grade=Grade.TWO)
        catalogue.register_series([sighting("recipe_id", unit="")])
        label = catalogue.dataset(MILL).label
        assert label.standing is GradeStanding.PROPOSED
        assert label.grade is Grade.TWO

    def test_a_series_that_moves_changes_both_datasets(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting(address="a"), sighting("power", address="b", unit="kW")])
        catalogue.register_series([sighting(address="a", asset="plant-1/line-1/mill-02")])
        assert [s.sighting.name for s in catalogue.series_of(MILL)] == ["power"]
        moved = catalogue.series_of(DatasetId("plant_1_line_1_mill_02"))
        assert [s.sighting.name for s in moved] == ["spindle_load"]

    def test_search_takes_chinese_english_pinyin_and_initials(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting(title="主轴负载"), sighting("level", asset="plant-1/tank-7", unit="m")])
        for query in ("主轴", "spindle", "zhuzhou", "zzfz", "mill-01 SPINDLE"):
            assert [d.dataset_id for d in catalogue.datasets(search=query)] == [MILL], query
        assert catalogue.datasets(search="100%_") == []
        assert len(catalogue.datasets(search="plant")) == 2
        assert len(catalogue.datasets(limit=1, offset=1)) == 1

    def test_a_place_in_a_script_nobody_can_spell_does_not_stop_the_others(
        self, database: Database, clock: Clock
    ) -> None:
        catalogue = make_catalogue(database, clock)
        odd = [sighting(asset="станок"), sighting(asset="—"), sighting(asset="x" * 300), sighting(unit="u" * 300)]
        assert len(set(catalogue.register_series([*odd, sighting()]).values())) == 4
        assert len({dataset.dataset_id for dataset in catalogue.datasets()}) == 4

    def test_a_confirmation_lasts_a_year_by_the_clock(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting()])
        label = self._confirm(catalogue, MILL)
        assert label.valid_until is not None
        assert label.valid_until.isoformat() == "2027-11-02T08:00:00+00:00"
        clock.forward(days=364)
        assert catalogue.dataset(MILL).label.standing is GradeStanding.CONFIRMED
        assert [r.why for r in catalogue.reviews_due(clock(), timedelta(days=30))] == ["due_soon"]
        assert catalogue.reviews_due(clock()) == []
        clock.forward(days=1)
        assert catalogue.dataset(MILL).label.standing is GradeStanding.EXPIRED
        assert [d.dataset_id for d in catalogue.datasets(standing=GradeStanding.EXPIRED)] == [MILL]
        assert catalogue.datasets(standing=GradeStanding.CONFIRMED) == []
        assert [r.why for r in catalogue.reviews_due(clock())] == ["expired"]

    def test_a_downgrade_needs_a_reason(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting("recipe_id", unit="")])
        assert catalogue.proposal(MILL).grade is Grade.TWO
        with pytest.raises(ReasonMissing, match="propose"):
            self._confirm(catalogue, MILL, grade=Grade.ONE, reason="  ")
        assert self._confirm(catalogue, MILL, grade=Grade.ONE, reason="public recipe").grade is Grade.ONE
        assert "below" in catalogue.history(MILL)[0].after

    def test_an_upgrade_needs_none_and_lowering_it_again_does(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting()])
        self._confirm(catalogue, MILL, grade=Grade.THREE, importance=Importance.CORE, reason="")
        with pytest.raises(ReasonMissing, match="confirmed before"):
            self._confirm(catalogue, MILL, grade=Grade.TWO, importance=Importance.GENERAL, reason="")

    def test_a_category_outside_the_pack_is_refused(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting()])
        with pytest.raises(CategoryUnknown):
            self._confirm(catalogue, MILL, category="production.secrets")

    def test_a_whole_is_not_graded_below_a_part_graded_alone(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting(), sighting("vibration", unit="mm/s")])
        self._confirm(catalogue, MILL)
        label = catalogue.confirm_part(
            MILL,
            "vibration",
            grade=Grade.THREE,
            importance=Importance.IMPORTANT,
            category=WORKING,
            actor=STEWARD,
            reason="",
        ).label
        assert (label.grade, label.standing) == (Grade.THREE, GradeStanding.PROPOSED)
        with pytest.raises(GradeBelowParts, match="vibration"):
            self._confirm(catalogue, MILL, grade=Grade.TWO, reason="whatever the reason")
        self._confirm(catalogue, MILL, grade=Grade.THREE, importance=Importance.IMPORTANT)
        with pytest.raises(PartUnknown):
            catalogue.confirm_part(
                MILL,
                "nothing",
                grade=Grade.ONE,
                importance=Importance.GENERAL,
                category=WORKING,
                actor=STEWARD,
                reason="",
            )

    def test_a_confirmed_whole_caps_the_parts_nobody_graded(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting(), sighting("recipe_id", unit="")])
        self._confirm(catalogue, MILL, grade=Grade.ONE, reason="a training machine")
        assert {part.label.grade for part in catalogue.parts(MILL)} == {Grade.ONE}
        assert {part.label.standing for part in catalogue.parts(MILL)} == {GradeStanding.CONFIRMED}

    def test_every_change_is_audited_and_knows_its_record(self, database: Database, clock: Clock) -> None:
        audit = Remembered()
        catalogue = make_catalogue(database, clock, audit)
        catalogue.register_series([sighting()])
        self._confirm(catalogue, MILL)
        catalogue.set_owner(MILL, "wang", actor=STEWARD)
        history = catalogue.history(MILL)
        assert [c.audit_index for c in history] == sorted((c.audit_index for c in history), reverse=True)  # type: ignore[type-var]
        assert {e.action for e in audit.events} >= {"dataset.extended", "grade.confirmed", "owner.changed"}
        confirmed = next(e for e in audit.events if e.action == "grade.confirmed")
        assert (confirmed.actor, confirmed.object) == (STEWARD, MILL)
        assert confirmed.details["after.grade"] == 1

    def test_a_change_left_without_audit_by_a_killed_process_is_audited_later(
        self, database: Database, clock: Clock
    ) -> None:
        class Broken(Remembered):
            def write(self, event: object) -> int:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_catalogue(database, clock, Broken()).register_series([sighting()])
        audit = Remembered()
        catalogue = make_catalogue(database, clock, audit)
        assert catalogue.history(MILL)[0].audit_index is None
        clock.forward(minutes=1)
        catalogue.set_owner(MILL, "wang", actor=STEWARD)
        assert [e.action for e in audit.events] == ["dataset.extended", "owner.changed"]
        assert all(c.audit_index is not None for c in catalogue.history(MILL))

    def test_a_state_secret_is_blocked_for_good(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting()])
        catalogue.declare_state_secret(MILL, actor=STEWARD, reason="found by review")
        assert catalogue.datasets() == []
        assert [d.dataset_id for d in catalogue.datasets(blocked=True)] == [MILL]
        with pytest.raises(StateSecretDeclared):
            catalogue.dataset(MILL)
        with pytest.raises(StateSecretDeclared):
            self._confirm(catalogue, MILL)

    def test_a_table_becomes_a_dataset_with_columns(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        dataset_id = self._table(catalogue)
        dataset = catalogue.dataset(dataset_id)
        assert [(c.name, c.type) for c in dataset.columns] == [
            ("order_id", "VARCHAR"),
            ("customer_name", "VARCHAR"),
            ("quantity", "BIGINT"),
        ]
        assert dataset.table == "orders"
        assert dataset.label.grade is Grade.TWO
        assert "business.partner" in catalogue.proposal(dataset_id).markers

    def test_the_same_table_again_changes_nothing(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        dataset_id = self._table(catalogue)
        self._confirm(catalogue, dataset_id, grade=Grade.TWO, category="management.supply_chain")
        version = catalogue.version()
        assert self._table(catalogue) == dataset_id
        assert catalogue.version() == version
        assert catalogue.dataset(dataset_id).label.standing is GradeStanding.CONFIRMED

    def test_columns_that_come_go_or_change_type_reopen_a_table(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        dataset_id = self._table(catalogue)
        self._confirm(catalogue, dataset_id, grade=Grade.TWO, category="management.supply_chain")
        self._table(catalogue, ORDERS.drop_columns(["customer_name"]).append_column("due", pa.array(["a", "b"])))
        assert catalogue.dataset(dataset_id).label.standing is GradeStanding.PROPOSED
        altered = next(c for c in catalogue.history(dataset_id) if c.kind is ChangeKind.COLUMNS_CHANGED)
        assert altered.after == {"customer_name": "removed", "due": "added VARCHAR"}

    def test_a_later_sample_may_make_a_proposal_stricter_and_never_milder(
        self, database: Database, clock: Clock
    ) -> None:
        catalogue = make_catalogue(database, clock)
        innocent = pa.table({"remark": [f"text {i}" for i in range(9)]})
        codes = pa.table({"remark": ["91350100M000100Y43"] * 9})
        dataset_id = self._table(catalogue, innocent)
        assert catalogue.proposal(dataset_id).markers == ()
        for sample in (codes, innocent):
            self._table(catalogue, sample)
            assert catalogue.proposal(dataset_id).markers == ("business.partner",)

    def test_what_is_derived_is_proposed_not_below_its_sources(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting("emergency_stop_reset", unit="", writable=True)])
        counts = pa.table({"hour": [1], "speed": [2.0]})
        child = self._table(catalogue, counts, name="summary", parents=[MILL])
        assert catalogue.dataset(child).label.grade is Grade.THREE
        assert catalogue.lineage(child).parents == (MILL,)
        assert catalogue.lineage(MILL).children == (child,)
        with pytest.raises(ReasonMissing, match=MILL):
            self._confirm(catalogue, child, grade=Grade.ONE, category="management.statistics", reason="")
        self._confirm(catalogue, child, grade=Grade.ONE, category="management.statistics", reason="only counts")

    def test_a_source_that_gets_stricter_reopens_what_was_derived(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting()])
        self._confirm(catalogue, MILL)
        child = self._table(catalogue, pa.table({"speed": [2.0]}), name="summary", parents=[MILL])
        self._confirm(catalogue, child, grade=Grade.TWO)
        self._confirm(catalogue, MILL, grade=Grade.THREE, importance=Importance.IMPORTANT)
        label = catalogue.dataset(child).label
        assert (label.grade, label.standing) == (Grade.THREE, GradeStanding.PROPOSED)

    def test_a_circle_of_sources_is_not_made(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        one = self._table(catalogue, name="one")
        two = self._table(catalogue, name="two", parents=[one])
        self._table(catalogue, name="one", parents=[two])
        assert catalogue.lineage(one).parents == ()
        self._table(catalogue, name="one", parents=[one])
        assert catalogue.lineage(one).parents == ()

    def test_unknown_parents_and_taken_names_are_refused(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        with pytest.raises(DatasetUnknown, match="nowhere"):
            self._table(catalogue, parents=[DatasetId("nowhere")])
        catalogue.register_series([sighting(asset="orders")])
        with pytest.raises(TableTaken):
            self._table(catalogue)
        with pytest.raises(DatasetUnknown):
            catalogue.dataset(DatasetId("nowhere"))

    def test_a_table_without_columns_or_with_two_of_one_name_is_refused(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
        for odd in (pa.table({}), twice):
            with pytest.raises(SchemaUnusable):
                self._table(catalogue, odd)
        assert catalogue.datasets() == []

    def test_several_are_confirmed_as_proposed(self, database: Database, clock: Clock) -> None:
        catalogue = make_catalogue(database, clock)
        catalogue.register_series([sighting(asset=f"plant-1/mill-{i}") for i in range(3)])
        waiting = [review.dataset_id for review in catalogue.reviews_due(clock())]
        assert len(waiting) == 3
        confirmed = catalogue.confirm_proposals(waiting, actor=STEWARD, reason="looked through")
        assert {dataset.label.standing for dataset in confirmed} == {GradeStanding.CONFIRMED}
        assert catalogue.reviews_due(clock()) == []

    def _confirm(
        self,
        catalogue: CatalogueService,
        dataset_id: DatasetId,
        *,
        grade: Grade = Grade.ONE,
        importance: Importance = Importance.GENERAL,
        category: str = WORKING,
        reason: str = "seen",
    ) -> GradeLabel:
        return catalogue.confirm(
            dataset_id, grade=grade, importance=importance, category=category, actor=STEWARD, reason=reason
        ).label

    def _table(
        self,
        catalogue: CatalogueService,
        data: pa.Table = ORDERS,
        *,
        name: str = "orders",
        parents: Sequence[DatasetId] = (),
    ) -> DatasetId:
        return catalogue.register_table(
            table=name, title="Orders", schema=data.schema, sample=data, origin="import:orders.csv", parents=parents
        )

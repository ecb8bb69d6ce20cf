"""The pure parts of the pages: what is due, lines and values, units, sessions, trees."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from starlette.requests import Request

from gongshu.config import NodeRole
from gongshu.console.charts import grouped_bars, pareto, time_lines
from gongshu.console.due import Facts, Weight, list_due
from gongshu.console.live import latest_sql, lines_sql, read_latest, read_lines
from gongshu.console.pages.assets import build_tree
from gongshu.console.pages.decisions import read_asks
from gongshu.console.places import AREAS
from gongshu.console.received import provider_of, title_text
from gongshu.console.session import sign_in_address, taste_of
from gongshu.console.texts import Language
from gongshu.console.theme import DARK, LIGHT, head_html
from gongshu.console.units import unit_text
from gongshu.console.widgets import size_text
from gongshu.model.access import Role
from gongshu.model.dataset import Dataset, DatasetKind
from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import DatasetId
from gongshu.packs import load_packs

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)


def request(path: str = "/", query: str = "", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "query_string": query.encode(), "headers": raw, "server": ("x", 80)}
    return Request(scope | {"scheme": "http", "method": "GET"})


def test_everyone_is_told_what_they_can_do_something_about() -> None:
    facts = Facts(sources=1, sources_failing=("mill",), unconfirmed=3, denied=2, reports_refused=1, accounts=1)
    texts = {role: [due.text for due in list_due(facts, frozenset({role}))] for role in Role}
    assert texts[Role.ENGINEER] == ["due.sources_failing"]
    assert texts[Role.STEWARD] == ["due.sources_failing", "due.reports_refused", "due.unconfirmed"]
    assert texts[Role.SECURITY_ADMIN] == ["due.denied"]
    assert texts[Role.SYSTEM_ADMIN] == ["due.accounts"]
    assert texts[Role.VIEWER] == []


def test_what_is_wrong_comes_before_what_is_due() -> None:
    facts = Facts(sources=1, losses=1, unconfirmed=1, negotiations=1)
    weights = [due.weight for due in list_due(facts, frozenset({Role.STEWARD}))]
    assert weights == [Weight.WRONG, Weight.DUE, Weight.OPEN]


def test_a_node_without_a_source_says_how_to_begin() -> None:
    (due,) = list_due(Facts(), frozenset({Role.ENGINEER}))
    assert (due.text, due.path) == ("due.no_source", "/sources/add")


def dataset(dataset_id: str, title: str, origin: str) -> Dataset:
    label = GradeLabel(Grade.ONE, Importance.GENERAL, "", GradeStanding.PROPOSED, None)
    return Dataset(DatasetId(dataset_id), DatasetKind.TABLE, title, None, dataset_id, (), (), label, "", NOW, origin)


def test_what_was_received_is_named_after_its_provider() -> None:
    from_mill = dataset("mill_orders", "orders (urn:x:mill)", "partner:urn:x:mill")
    assert provider_of(from_mill) == "urn:x:mill"
    assert title_text(from_mill, {"urn:x:mill": "Mill"}) == "orders (Mill) · mill_orders", "two copies are told apart"
    own = dataset("orders", "", "import:orders.csv")
    assert (provider_of(own), title_text(own, {})) == ("", "orders")


def test_latest_values_keep_every_digit() -> None:
    columns = {
        "series": ["count", "state"],
        "unit": ["", None],
        "newest": ["9007199254740993", "RUNNING"],
        "status": pa.array([0, 0x80000000], pa.uint32()),
        "time": [NOW, NOW],
    }
    first, second = read_latest(pa.table(columns))
    assert (first.value, first.quality) == ("9007199254740993", "good")
    assert (second.value, second.quality, second.unit) == ("RUNNING", "bad", "")


def test_lines_are_cut_into_a_bounded_number_of_steps() -> None:
    sql = lines_sql(DatasetId("mill_1"), datetime(2026, 11, 1, tzinfo=UTC), NOW)
    step_s = int(sql.split("INTERVAL ")[1].split(" ")[0])
    assert (NOW - datetime(2026, 11, 1, tzinfo=UTC)).total_seconds() / step_s <= 450
    assert "FROM mill_1" in latest_sql(DatasetId("mill_1"), NOW)


def test_lines_are_grouped_by_series() -> None:
    columns = {"series": ["a", "a", "b"], "unit": ["%", "%", None], "at": [1, 2, 1], "mean": [1.0, 2.0, 3.0]}
    a, b = read_lines(pa.table(columns))
    assert (a.series, a.points, b.unit) == ("a", ((1, 1.0), (2, 2.0)), "")


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_charts_take_their_colours_from_the_theme(palette: object) -> None:
    assert isinstance(palette, type(LIGHT))
    lines = time_lines(palette, {"load": [(1, 2.0)]}, unit="%")
    bars = grouped_bars(palette, ["m"], {"A": [None]}, unit="%")
    stops = pareto(palette, ["x"], [1.0], [100.0], unit="min", share="%")
    assert lines["color"] == bars["color"] == stops["color"] == list(palette.series)
    assert bars["series"][0]["data"] == [None]


def test_light_and_dark_differ_in_every_colour() -> None:
    for name in ("text", "muted", "line", "panel", "accent", "good", "warn", "bad"):
        assert getattr(LIGHT, name) != getattr(DARK, name)


def test_the_style_sheet_names_no_other_origin() -> None:
    assert "://" not in head_html()
    assert "url(" not in head_html()


@pytest.mark.parametrize(
    ("code", "sign"),
    [("Cel", "°C"), ("kW.h", "kWh"), ("%", "%"), ("{piece}", "piece"), ("1", ""), ("", ""), ("furlong", "furlong")],
)
def test_units_are_written_as_people_write_them(code: str, sign: str) -> None:
    assert unit_text(code, load_packs()) == sign


def test_the_tree_fills_in_missing_steps() -> None:
    (site,) = build_tree(["a/b/c", "a/d"])
    assert [child["id"] for child in site["children"]] == ["a/b", "a/d"]
    assert site["children"][0]["children"][0]["label"] == "c"


def test_asks_are_read_from_the_policies() -> None:
    text = '@id("a")\n@ask("A steward.")\nforbid (principal, action, resource);\n@id("b")\npermit (principal);'
    assert read_asks(text) == {"a": "A steward."}


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "zh-CN,zh;q=0.9", Language.ZH),
        ("", "en-GB", Language.EN),
        ("", "fr", Language.ZH),
        ("gongshu_language=en", "zh", Language.EN),
        ("gongshu_language=xx", "en", Language.EN),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers(cookie: str, accepted: str, language: Language) -> None:
    assert taste_of(request(cookie=cookie, accept_language=accepted)).language is language


def test_the_theme_is_light_unless_chosen() -> None:
    assert not taste_of(request()).is_dark
    assert taste_of(request(cookie="gongshu_theme=dark")).is_dark


def test_signing_in_leads_back() -> None:
    assert sign_in_address(request("/catalogue/a", "x=1&y=2")) == "/sign-in?to=/catalogue/a%3Fx%3D1%26y%3D2"


def test_the_navigation_has_the_policys_six_areas_in_order() -> None:
    assert [area for area in AREAS if area] == ["gather", "share", "apply", "govern", "secure", "industry"]
    paths = [place.path for places in AREAS.values() for place in places]
    assert len(set(paths)) == len(paths)
    assert all(place.is_for(role) for places in AREAS.values() for place in places for role in NodeRole)


def test_sizes_have_a_unit() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 10**15)] == [
        ("0", "B"),
        ("999", "B"),
        ("1.0", "kB"),
        ("1,000.0", "TB"),
    ]

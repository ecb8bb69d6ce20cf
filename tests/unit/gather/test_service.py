"""Sources: added, changed, seen; secrets never in the database, errors that name the field."""

import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from gongshu.config import Home
from gongshu.database import Database
from gongshu.gather import tables as t
from gongshu.gather.connector import Can, ConnectorConfig, ConnectorSpec, Loss, setting
from gongshu.gather.counters import Counters, State, read_counters, write_counters
from gongshu.gather.definitions import read_definitions
from gongshu.gather.errors import AbilityMissing, ConfigWrong, ConnectorUnknown, SourceExists, SourceUnknown
from gongshu.gather.losses import LossBook, add_up
from gongshu.gather.model import Desired, SourceDefinition, asset_path
from gongshu.gather.secret_files import join_secrets, read_secrets, split_secrets
from gongshu.gather.service import SourceService, status_file
from gongshu.model.audit import AuditEvent
from gongshu.model.ids import SourceId
from gongshu.model.series import Series
from tests.conftest import Clock

TAGS = [{"name": "load", "address": 40}]
MILL = SourceDefinition(SourceId("mill-3"), "modbus", asset_path("plant-1/mill-03"), {"host": "10.0.0.5", "tags": TAGS})


class Audit:
    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def write(self, event: AuditEvent) -> int:
        self.events.append(event)
        return len(self.events)


class NoSeries:
    def series(self) -> list[Series]:
        return []


class Rooms:
    def __init__(self, database: Database, clock: Clock, home: Home) -> None:
        self.audit = Audit()
        self.home = home
        self.database = database
        self.sources = SourceService(database, NoSeries(), self.audit, clock, home)


@pytest.fixture
def rooms(database: Database, clock: Clock, tmp_path: Path) -> Rooms:
    return Rooms(database, clock, Home(tmp_path))


def test_a_source_is_added_seen_and_removed(rooms: Rooms) -> None:
    rooms.sources.add(MILL)
    (source,) = rooms.sources.sources()
    assert source.definition.config == {"host": "10.0.0.5", "tags": TAGS}
    assert source.definition.desired is Desired.RUNNING
    rooms.sources.remove(SourceId("mill-3"))
    assert rooms.sources.sources() == []
    assert [event.action for event in rooms.audit.events] == ["source.added", "source.removed"]


def test_no_source_changes_without_its_record(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms.sources.add(MILL)
    before = rooms.sources.sources()

    def refuse(event: AuditEvent) -> int:
        raise OSError(event.action)

    monkeypatch.setattr(rooms.audit, "write", refuse)
    for act in (
        lambda: rooms.sources.add(replace(MILL, source_id=SourceId("other"))),
        lambda: rooms.sources.change(replace(MILL, title="changed")),
        lambda: rooms.sources.stop(MILL.source_id),
        lambda: rooms.sources.remove(MILL.source_id),
    ):
        with pytest.raises(OSError, match="source"):
            act()
        assert rooms.sources.sources() == before


def test_the_same_name_twice_is_refused(rooms: Rooms) -> None:
    rooms.sources.add(MILL)
    with pytest.raises(SourceExists):
        rooms.sources.add(MILL)


def test_what_is_not_there_is_said_by_name(rooms: Rooms) -> None:
    for call in (rooms.sources.remove, rooms.sources.start, rooms.sources.stop, rooms.sources.source):
        with pytest.raises(SourceUnknown, match="'nobody'"):
            call(SourceId("nobody"))
    with pytest.raises(SourceUnknown):
        rooms.sources.change(MILL)
    with pytest.raises(ConnectorUnknown, match=r"Installed are: .*modbus"):
        rooms.sources.add(replace(MILL, connector="telepathy"))


@pytest.mark.parametrize("name", ["", "Mill", "a/b", "../x", "-a", "a" * 64])
def test_a_name_that_could_be_a_path_is_refused(rooms: Rooms, name: str) -> None:
    with pytest.raises(ConfigWrong, match="source_id"):
        rooms.sources.add(replace(MILL, source_id=SourceId(name)))


def test_a_wrong_field_is_named(rooms: Rooms) -> None:
    with pytest.raises(ConfigWrong, match="'mill-3' \\(modbus\\) is wrong at 'port'"):
        rooms.sources.add(replace(MILL, config={"host": "h", "port": 99_999, "tags": TAGS}))
    assert rooms.sources.sources() == []


def test_a_change_raises_the_revision(rooms: Rooms) -> None:
    rooms.sources.add(MILL)
    changed = rooms.sources.change(replace(MILL, config={"host": "10.0.0.6", "tags": TAGS}))
    assert changed.revision == 2
    assert changed.definition.config["host"] == "10.0.0.6"


def test_starting_and_stopping_change_what_is_wanted(rooms: Rooms) -> None:
    rooms.sources.add(replace(MILL, desired=Desired.STOPPED))
    assert rooms.sources.status(SourceId("mill-3")).state is State.STOPPED
    rooms.sources.start(SourceId("mill-3"))
    assert rooms.sources.status(SourceId("mill-3")).state is State.STARTING


def test_a_collector_that_says_nothing_is_lost(rooms: Rooms, clock: Clock) -> None:
    rooms.sources.add(MILL)
    file = status_file(rooms.home, SourceId("mill-3"))
    file.parent.mkdir(parents=True)
    last = clock.now - timedelta(seconds=3)
    write_counters(file, Counters(state=State.RUNNING, read=7, updated_at=clock.now, last_value_at=last))
    status = rooms.sources.status(SourceId("mill-3"))
    assert (status.state, status.value_age_s) == (State.RUNNING, 3.0)
    clock.forward(seconds=60)
    assert rooms.sources.status(SourceId("mill-3")).state is State.LOST


def test_half_a_counters_file_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"state": "runn')
    assert read_counters(tmp_path / "c.json") is None
    (tmp_path / "d.json").write_text('{"state": "running", "read": 3, "future": 1}')
    assert read_counters(tmp_path / "d.json") == Counters(state=State.RUNNING, read=3)


async def test_a_connector_that_cannot_browse_says_what_it_can(rooms: Rooms) -> None:
    with pytest.raises(AbilityMissing, match="cannot browse; it can: poll, read"):
        await rooms.sources.browse(MILL)


def test_the_schema_has_all_that_a_form_needs(rooms: Rooms) -> None:
    schema = rooms.sources.config_schema("modbus")
    assert schema["properties"]["host"]["title_zh"] == "主机"
    assert schema["properties"]["timeout_s"] | {"unit": "s", "secret": False} == schema["properties"]["timeout_s"]


class Login(ConnectorConfig):
    user: str = setting(zh="用户", en="User", example="u")
    password: SecretStr = setting(zh="密码", en="Password", example="p", secret=True)
    more: dict[str, SecretStr] = setting({}, zh="其他", en="More", example={}, secret=True)

    @property
    def endpoint(self) -> str:
        return "login:"


def test_secrets_are_taken_out_and_put_back() -> None:
    given: dict[str, Any] = {"user": "u", "password": "s3cret", "more": {"token": "t0ken"}}
    plain, secrets = split_secrets(Login.model_validate(given))
    assert "s3cret" not in str(plain)
    assert "t0ken" not in str(plain)
    assert Login.model_validate(join_secrets(plain, secrets)) == Login.model_validate(given)


def test_secrets_lie_in_a_file_of_their_own(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ConnectorSpec("login", "登录", "Login", "x:y", f"{__name__}:Login", frozenset({Can.POLL}), ())
    monkeypatch.setattr("gongshu.gather.service.connector_named", lambda name: spec)
    definition = replace(MILL, connector="login", config={"user": "u", "password": "s3cret"})
    source = rooms.sources.add(definition)
    assert source.definition.config == {"user": "u"}
    with rooms.database.connect() as connection:
        assert "s3cret" not in str(connection.execute(sa.select(t.sources)).all())
    file = rooms.home.keys / "sources" / "mill-3.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert rooms.sources.definition_with_secrets(SourceId("mill-3")).config["password"] == "s3cret"
    assert "s3cret" not in str(rooms.audit.events)
    rooms.sources.remove(SourceId("mill-3"))
    assert read_secrets(rooms.home, SourceId("mill-3")) == {}


def test_a_wrong_secret_is_never_in_the_message(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ConnectorSpec("login", "登录", "Login", "x:y", f"{__name__}:Login", frozenset({Can.POLL}), ())
    monkeypatch.setattr("gongshu.gather.service.connector_named", lambda name: spec)
    with pytest.raises(ConfigWrong) as caught:
        rooms.sources.add(replace(MILL, connector="login", config={"user": "u", "password": ["s3cret"]}))
    assert "s3cret" not in f"{caught.value} {caught.value.fields} {caught.value.__cause__}"


def test_losses_are_added_up_and_a_recovered_outage_is_marked(database: Database, clock: Clock, rooms: Rooms) -> None:
    book = LossBook(database, SourceId("mill-3"), clock)
    book.write([Loss("queue full", 3), Loss("queue full", 4), Loss("outage", None, clock.now, clock.now)])
    book.write([], recovered=True)
    found = {loss.reason: loss for loss in rooms.sources.losses(SourceId("mill-3"))}
    assert (found["queue full"].readings, found["queue full"].times) == (7, 2)
    assert found["outage"].recovered
    assert not found["queue full"].recovered


def test_a_storm_of_losses_stays_small() -> None:
    sums = add_up([Loss("sequence gap", 1, address=str(number)) for number in range(10_000)], rows_max=50)
    assert len(sums) == 51
    assert sum(one.loss.readings or 0 for one in sums) == 10_000
    unknown = add_up([Loss("x", 1), Loss("x", None)])
    assert unknown[0].loss.readings is None


TOML = """
[[sources]]
id = "mill-3"
connector = "modbus"
asset = "plant-1/mill-03"
[sources.config]
host = "10.0.0.5"
tags = [{ name = "load", address = 40 }]
[sources.assets]
"press_*" = "plant-1/press-9"
"""
YAML = """
sources:
  - id: mill-3
    connector: modbus
    asset: plant-1/mill-03
    config: {host: 10.0.0.5, tags: [{name: load, address: 40}]}
    assets: {"press_*": plant-1/press-9}
"""


@pytest.mark.parametrize(("name", "text"), [("s.toml", TOML), ("s.yaml", YAML)])
def test_files_describe_sources_as_commands_do(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    (found,) = read_definitions(tmp_path / name)
    assert found == replace(MILL, assets={"press_*": asset_path("plant-1/press-9")})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sources = 3", "'sources'"),
        ("[[sources]]\nid = 'a'\nconnector = 'modbus'", "source 1 is wrong at 'asset'"),
        ("[[sources]]\nid = 'a'\nconnector = 'modbus'\nasset = 'x'\ncolour = 1", "'colour'"),
        ("[[sources", "Could not read"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    from gongshu.errors import InvalidInput

    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=says) as caught:
        read_definitions(tmp_path / "s.toml")
    assert "\n" not in str(caught.value)

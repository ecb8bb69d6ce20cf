"""A connector's schema becomes a form, and what is typed becomes its config."""

from typing import Any

import pytest
from pydantic import SecretStr

from gongshu.console.forms import FieldWrong, FormField, Kind, read_config, read_fields
from gongshu.gather.connector import ConnectorConfig, QueueFull, installed_connectors, setting


class PressConfig(ConnectorConfig):
    """A connector of a press."""

    host: str = setting(zh="主机", en="Host", example="192.0.2.1")
    port: int = setting(502, zh="端口", en="Port", example=502, unit="")
    password: SecretStr = setting(SecretStr(""), zh="密码", en="Password", example="hidden", secret=True)
    encrypted: bool = setting(True, zh="加密", en="Encrypted", example=True)
    tags: tuple[str, ...] = setting((), zh="点", en="Tags", example=["a"])
    mode: QueueFull = setting(QueueFull.BLOCK, zh="模式", en="Mode", example="block")


@pytest.fixture
def fields() -> dict[str, FormField]:
    return {field.name: field for field in read_fields(PressConfig.model_json_schema())}


def test_kinds_follow_the_schema(fields: dict[str, FormField]) -> None:
    kinds = {name: fields[name].kind for name in ("host", "port", "password", "encrypted", "tags", "mode")}
    assert kinds == {
        "host": Kind.TEXT,
        "port": Kind.NUMBER,
        "password": Kind.SECRET,
        "encrypted": Kind.FLAG,
        "tags": Kind.JSON,
        "mode": Kind.CHOICE,
    }
    assert fields["mode"].choices == ("block", "drop_oldest")


def test_what_is_needed_comes_first_and_shared_settings_are_folded_away(fields: dict[str, FormField]) -> None:
    assert next(iter(fields)) == "host"
    assert not any(fields[name].is_basic for name in ConnectorConfig.model_fields)
    assert not fields["port"].is_basic, "a good default need not be seen"


def test_a_secret_has_no_example(fields: dict[str, FormField]) -> None:
    assert fields["password"].example == ""


def test_only_what_differs_from_the_default_is_written(fields: dict[str, FormField]) -> None:
    typed: dict[str, Any] = {
        "host": " 10.0.0.1 ",
        "port": "502",
        "encrypted": True,
        "tags": '["a", "b"]',
        "mode": "block",
    }
    assert read_config(tuple(fields.values()), typed) == {"host": "10.0.0.1", "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("typed", "field"),
    [({}, "host"), ({"host": "x", "port": "many"}, "port"), ({"host": "x", "tags": "[a"}, "tags")],
)
def test_a_wrong_entry_names_its_field(fields: dict[str, FormField], typed: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldWrong) as caught:
        read_config(tuple(fields.values()), typed)
    assert caught.value.fields["field"] == field


def test_a_secret_is_not_repeated_in_a_message(fields: dict[str, FormField]) -> None:
    with pytest.raises(FieldWrong) as caught:
        read_config(tuple(fields.values()), {"password": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(installed_connectors()))
def test_every_connector_has_a_form(name: str) -> None:
    fields = read_fields(installed_connectors()[name].config_type().model_json_schema())
    assert all(field.title_zh and field.title_en for field in fields)
    assert any(field.is_basic for field in fields)

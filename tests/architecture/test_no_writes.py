"""Invariant I4: collection cannot write to a device. No connector calls anything that could."""

import ast
from pathlib import Path

import pytest

GATHER = Path(__file__).resolve().parents[2] / "gongshu" / "gather"
WRITING = {
    # pymodbus: function codes 5, 6, 15, 16, 21, 22, 23
    "write_coil",
    "write_coils",
    "write_register",
    "write_registers",
    "write_file_record",
    "mask_write_register",
    "readwrite_registers",
    # asyncua: the services Write, Call, AddNodes, DeleteNodes and HistoryUpdate, and what uses them
    "write_value",
    "write_values",
    "write_attribute",
    "write_attribute_value",
    "write_data_value",
    "set_value",
    "set_writable",
    "call_method",
    "add_nodes",
    "delete_nodes",
    "history_update",
}
REQUESTS = {"WriteRequest", "CallRequest", "AddNodesRequest", "DeleteNodesRequest", "HistoryUpdateRequest"}


def writing_calls(source: str) -> list[str]:
    """Return the names of calls in a module that could change something at a device."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITING:
            found.append(f"line {node.lineno}: .{node.func.attr}()")
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            if name in REQUESTS:
                found.append(f"line {node.lineno}: {name}")
    return found


def modules() -> list[Path]:
    """Every module of a connector, except that of folders: at its far end there is no device."""
    return sorted(p for p in (GATHER / "connectors").rglob("*.py") if "files" not in p.relative_to(GATHER).parts)


@pytest.mark.parametrize("module", modules(), ids=lambda p: str(p.relative_to(GATHER)))
def test_a_connector_calls_nothing_that_writes_to_a_device(module: Path) -> None:
    assert writing_calls(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted", ["client.write_register(1, 2)", "await node.write_value(3)", "ua.WriteRequest()", "x = CallRequest"]
)
def test_a_planted_write_is_found(planted: str) -> None:
    assert writing_calls(f"async def f(client, node, ua):\n    {planted}\n")

"""A province and one member, in one process."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gongshu.hub.model import Agreement
from tests.conftest import Clock
from tests.unit.hub.parts import HubNode

NewMember = Callable[..., tuple[HubNode, Agreement]]


@pytest.fixture
def province(tmp_path: Path, clock: Clock) -> Iterator[HubNode]:
    node = HubNode(tmp_path / "province", "province", clock)
    yield node
    node.close()


@pytest.fixture
def new_member(tmp_path: Path, clock: Clock, province: HubNode) -> Iterator[NewMember]:
    """Make a node that joins the province; its agreement has run for two months."""
    nodes: list[HubNode] = []

    def make(name: str = "mill", division: str = "C34") -> tuple[HubNode, Agreement]:
        node = HubNode(tmp_path / name, name, clock, division=division)
        nodes.append(node)
        now = clock.now
        clock.now = now - timedelta(days=62)
        agreement = node.join(province, valid_until=now + timedelta(days=300))
        clock.now = now
        return node, agreement

    yield make
    for node in nodes:
        node.close()

"""What the clauses of the connector contract share: the rig, strict gaps, what is left behind, what was logged."""

import asyncio
import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
import pytest_asyncio

from gongshu.gather.batch import NATIVE_SCHEMA
from gongshu.gather.connector import Can, Connector, ConnectorSpec, Reads
from gongshu.testing.rig import Native, Rig
from gongshu.testing.run import Run, Seen, arrived, collecting, heard

Test = TypeVar("Test", bound=Callable[..., Any])
STREAMS = frozenset({Can.SUBSCRIBE, Can.POLL, Can.TABLES})
PATIENCE_S = 8.0
"""How long a value may take that should come at once; long only because test machines are slow."""
SLACK_S = 1.8
"""What a slow machine may add to a timeout; less than a rig's timeout, so that one waited for twice is found."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A clause that a connector does not hold, said openly."""

    whose: str
    """`ours`: we will close it. `upstream`: the library must. `never`: the protocol has no such thing."""
    why: str
    raises: type[BaseException] | tuple[type[BaseException], ...] = (AssertionError, NotImplementedError)
    """How the clause fails; another failure is not this gap."""


def needs(*abilities: Can) -> Callable[[Test], Test]:
    """Mark a clause that is collected only for connectors with one of these abilities."""

    def mark(test: Test) -> Test:
        test.needs = frozenset(abilities)  # type: ignore[attr-defined]
        return test

    return mark


class ConnectorContractBase(ABC):
    """What all clauses use: the rig, the declared gaps, and what the connector delivers."""

    spec: ClassVar[ConnectorSpec]
    gaps: ClassVar[dict[str, Gap]] = {}
    pages: ClassVar[Path] = Path(__file__).parents[2] / "docs" / "connectors"
    """The folder of the doc page `<name>.md`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "spec"):
            return
        for name, test in inspect.getmembers(cls, inspect.isfunction):
            if name.startswith("test_") and not getattr(test, "needs", cls.spec.can) & cls.spec.can:
                setattr(cls, name, None)
        stale = [name for name in cls.gaps if getattr(cls, name, None) is None]
        if stale:
            raise TypeError(f"{cls.__name__} declares gaps for clauses that do not apply: {stale}")

    @abstractmethod
    def make_rig(self) -> Rig:
        """Return a fresh rig, not yet started."""

    @pytest_asyncio.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        """The far end, started."""
        async with self.make_rig() as rig:
            yield rig

    @pytest.fixture(autouse=True)
    def _declared_gap(self, request: pytest.FixtureRequest) -> None:
        if gap := self.gaps.get(request.node.originalname):
            mark = pytest.mark.xfail(strict=True, reason=f"{gap.whose}: {gap.why}", raises=gap.raises)
            request.applymarker(mark)

    def running(self, rig: Rig, **overrides: object) -> AbstractAsyncContextManager[Run]:
        """Run the rig's connector in the platform's own loop."""
        config = rig.config(**overrides)
        return collecting(self.spec, config, rig.connector(config))

    async def observed(self, rig: Rig, address: str, expected: Native | None = None) -> Seen:
        """Return one reading of the address, by reading where the connector can, else the newest of the stream, which
        is waited for until the expected value has come."""
        if Can.READ in self.spec.can:
            async with rig.connector() as connector:
                return (await read_all(connector, [address]))[0]
        async with self.running(rig) as run:
            await run.until(arrived(expected) if expected else heard(address), PATIENCE_S)
            return run.of(address)[-1]

    async def observed_all(self, rig: Rig, addresses: list[str]) -> list[Seen]:
        """Return one reading of each address, all of one connection: what a stream brings once does not come again."""
        if Can.READ in self.spec.can:
            async with rig.connector() as connector:
                return await read_all(connector, addresses)
        async with self.running(rig) as run:
            await run.until(lambda r: all(heard(address)(r) for address in addresses), PATIENCE_S)
            return [run.of(address)[-1] for address in addresses]


async def read_all(connector: Connector, addresses: list[str]) -> list[Seen]:
    """Return what `read` answers, after checking its shape: one row for each address, in order."""
    assert isinstance(connector, Reads)
    batch = await connector.read(addresses)
    assert batch.schema == NATIVE_SCHEMA
    assert batch.column("tag").to_pylist() == list(range(len(addresses))), "one row for each address, in order"
    return [
        Seen(
            addresses[row["tag"]],
            row["source_time"],
            row["arrival_time"],
            (row["value_double"], row["value_int"], row["value_text"]),
            row["status"],
        )
        for row in batch.to_pylist()
    ]


async def bound_of(rig: Rig) -> int:
    """A queue that one round of all tags nearly fills."""
    try:
        return len(await rig.natives()) + 3
    except NotImplementedError:
        return 8


def log_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, by anybody but asyncio itself, as `logger: message`."""
    return [f"{record.name}: {record.getMessage()}" for record in caplog.records if record.name != "asyncio"]


def leftovers() -> tuple[int, int, int]:
    """(tasks, threads, sockets) of this process; pool threads of asyncio itself are not a connector's."""
    tasks = len([task for task in asyncio.all_tasks() if not task.done()])
    threads = len([thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")])
    sockets = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            sockets += str(entry.readlink()).startswith("socket:")
    return tasks, threads, sockets


async def settled() -> tuple[int, int, int]:
    """Return (tasks, threads, sockets) once they no longer change."""
    last = leftovers()
    for _ in range(20):
        await asyncio.sleep(0.02)
        if (now := leftovers()) == last:
            return now
        last = now
    return last


async def until_settled(before: tuple[int, int, int], within_s: float = 6.0) -> None:
    """Return when no more tasks, threads and sockets are left than before. Raises: AssertionError if some stay."""
    deadline = asyncio.get_running_loop().time() + within_s
    while any(now > then for now, then in zip(leftovers(), before, strict=True)):
        assert asyncio.get_running_loop().time() < deadline, f"(tasks, threads, sockets) {before} -> {leftovers()}"
        await asyncio.sleep(0.02)

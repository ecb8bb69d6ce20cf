"""What the verifier says, in two languages, and one side's evidence with what is wrong with it."""

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

AGREES, UNCHECKED, ONLY, DIFFERS, FORGED = "agrees", "not checked", "only here", "differs", "forged"
RIGHT = frozenset({AGREES, UNCHECKED})
"""What is no disagreement: a key is not checked where nobody gave its fingerprint."""
CHINESE = {AGREES: "一致", UNCHECKED: "未核对", ONLY: "仅此方有", DIFFERS: "不一致", FORGED: "伪造或篡改"}
KINDS = {
    "agreement": "协议",
    "contract": "数字合约",
    "process": "过程",
    "message": "消息",
    "entry": "计量与争议条目",
    "meter": "计量",
    "receipt": "使用回执",
    "deletion": "删除证明",
    "notice": "通知",
    "audit": "审计记录",
    "file": "文件",
    "key": "密钥",
}
RESENT = {"TransferStartMessage", "TransferRequestMessage"}
"""They carry an address with a token of its own in each attempt; the address is not exported."""
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError)
"""What odd content makes of a check; it becomes a finding."""


class Unreadable(Exception):
    """The file cannot be read as evidence at all."""


@dataclass(frozen=True)
class Finding:
    """What was found about one item."""

    kind: str
    item: str
    verdict: str
    detail: str = ""

    def __str__(self) -> str:
        kind = f"{KINDS[self.kind]} {self.kind}"
        detail = f"  ({self.detail})" if self.detail else ""
        return shown(f"{CHINESE[self.verdict]} {self.verdict}: {kind} {self.item}{detail}")


@dataclass
class Bundle:
    """One side's evidence, and what is wrong with it."""

    name: str
    header: dict[str, Any]
    keys: dict[str, Ed25519PublicKey]
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)

    def of(self, kind: str, direction: str = "") -> list[dict[str, Any]]:
        """Return the records of a kind that are what was written."""
        every = self.records.get(kind, [])
        return [each for each in every if not direction or each.get("direction") == direction]

    def say(self, kind: str, item: str, verdict: str, detail: str = "") -> None:
        """Note a finding."""
        self.found.append(Finding(kind, item, verdict, f"{self.name}: {detail}" if detail else self.name))


def shown(text: str) -> str:
    """Return what a terminal may print: a hostile file must not steer it, so what cannot be printed is a number."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)

"""What was verified, in a few lines: who, which contract, how much of each kind, what both have, which keys."""

from collections import Counter
from collections.abc import Iterator, Sequence

from .findings import AGREES, KINDS, UNCHECKED, Bundle, Finding, shown
from .matching import BOTH, SETTLED
from .primitives import fingerprint_of

SIDES = {"provider": "提供方", "consumer": "需求方"}


def summarise(bundles: Sequence[Bundle], findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines."""
    head = bundles[0].header
    yield shown(f"合同 contract {head['agreement']}")
    for bundle in bundles:
        side = bundle.header["side"]
        counts = Counter({kind: len(records) for kind, records in bundle.records.items()})
        said = ", ".join(f"{KINDS[kind]} {kind} {counts[kind]}" for kind in KINDS if counts[kind])
        yield shown(f"{SIDES.get(side, '')} {side} {bundle.header['party']} ({bundle.name}): {said}")
    deliveries = [each for each in findings if each.kind == "meter"]
    settled = [each for each in deliveries if each.verdict == AGREES and each.detail.startswith(SETTLED)]
    counted = sum(each.verdict == AGREES for each in deliveries) - len(settled)
    yield f"计量一致的交付 deliveries counted alike: {counted} / {len(deliveries)}"
    for each in settled:
        yield shown(f"双方了结的交付 delivery {each.item}: {each.detail}")
    if len(bundles) == 2:
        yield f"双方都有 on both sides: {sum(each.detail == BOTH for each in findings)}"
    alone = sum(each.verdict == AGREES and each.kind != "key" for bundle in bundles for each in bundle.found)
    yield f"签名、编号和摘要已核验 signatures, numbers and hashes verified: {alone}"
    yield from _keys(bundles, findings)


def _keys(bundles: Sequence[Bundle], findings: Sequence[Finding]) -> Iterator[str]:
    held = {party: fingerprint_of(key) for bundle in bundles for party, key in bundle.keys.items()}
    for party, own in sorted(held.items()):
        said = {each.verdict for each in findings if each.kind == "key" and each.item == party}
        if said == {AGREES}:
            yield shown(f"密钥 key {party}: 已核对 compared, {own}")
        elif said == {UNCHECKED}:
            yield shown(f"密钥 key {party}: 未核对 not checked: give --fingerprint {own} if it is theirs")

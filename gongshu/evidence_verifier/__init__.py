"""Verifies the exported evidence of a contract, of one side or of both. Standard library and `cryptography` only.

    python -m gongshu.evidence_verifier FILE [OTHER_FILE] [--fingerprint sha256:… …] [--verbose] [--problems] [--json]
    python -m evidence_verifier FILE …       the same, beside a copy of this one folder

Each side alone: every line's signature and number, the contract's text and signatures, both chains of signed entries,
receipts, deletion proofs, notices, and that each audit record stands in the log that a signed checkpoint covers. Both
together: what one sent is what the other received. Each item is said to agree, to be here only, to differ, or to be
forged; a key whose fingerprint was not given is not checked. What does not agree is printed, then a summary; with
`--verbose` every item. Exit status: 0 all agree, 1 something does not, 2 a file cannot be read as evidence.

What it cannot tell: whether something happened that neither side wrote down; and, without `--fingerprint` of both
sides, whether a key is really theirs.

Sources: RFC 6962 §2.1 (audit records), C2SP signed-note (checkpoints), RFC 8785 (contract), RFC 7515 (notices).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .checking import check
from .comparing import check_keys
from .findings import AGREES, RIGHT, Bundle, Finding, Unreadable
from .matching import match, meter
from .reading import read_bundle
from .summary import summarise


def verify(files: Sequence[Path], fingerprints: Sequence[str] = ()) -> list[Finding]:
    """Return what is found in one or two bundles. Raises: Unreadable."""
    return _examine(files, fingerprints)[1]


def _examine(files: Sequence[Path], fingerprints: Sequence[str]) -> tuple[list[Bundle], list[Finding]]:
    bundles = []
    for path in files:
        with path.open("rb") as file:
            bundles.append(read_bundle(file, path.name))
    check_keys(bundles, fingerprints)
    for bundle in bundles:
        check(bundle)
    own = [each for bundle in bundles for each in bundle.found]
    return bundles, [*own, *(match(*bundles) if len(bundles) == 2 else meter(bundles))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    parser = argparse.ArgumentParser(prog="evidence_verifier", description="Verify the evidence of a contract.")
    parser.add_argument("file", type=Path)
    parser.add_argument("other", type=Path, nargs="?", help="the other side's evidence of the same contract")
    parser.add_argument("--fingerprint", action="append", default=[], help="sha256:<hex> of a key; once for each side")
    parser.add_argument("--verbose", action="store_true", help="print every item")
    parser.add_argument("--problems", action="store_true", help="print only what does not agree, no summary")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    files = [options.file, *([options.other] if options.other else [])]
    try:
        bundles, findings = _examine(files, options.fingerprint)
    except (Unreadable, OSError) as cause:
        reason = f"无法读取 cannot be read as evidence: {cause}"
        sys.stderr.write(json.dumps({"agrees": None, "reason": reason}) + "\n" if options.json else reason + "\n")
        return 2
    wrong = [each for each in findings if each.verdict not in RIGHT]
    compared = {each.verdict == AGREES for each in findings if each.kind == "key"}
    if options.json:
        items = [vars(each) for each in (wrong if options.problems else findings)]
        answer = {"agrees": not wrong, "items": items, "keys_compared": compared == {True}}
        sys.stdout.write(json.dumps(answer) + "\n")
        return 1 if wrong else 0
    sys.stdout.writelines(f"{each}\n" for each in (findings if options.verbose else wrong))
    if not options.problems:
        sys.stdout.writelines(f"{line}\n" for line in summarise(bundles, findings))
    keys = {
        frozenset({True}): "密钥已核对 keys compared",
        frozenset({True, False}): "部分密钥未核对 one key NOT compared",
    }
    said = keys.get(frozenset(compared), "密钥未核对 keys NOT compared")
    total = f"{len(findings)} 项 items, {len(wrong)} 项不一致 not agreeing; {said}"
    sys.stdout.write(f"{'全部一致 all agree' if not wrong else '不全一致 NOT all agree'}: {total}\n")
    return 1 if wrong else 0

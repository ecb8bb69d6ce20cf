"""Two real nodes that also meter, settle and export; and what a hand with or without a key can do to a bundle."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from gongshu.share.addresses import join
from gongshu.share.evidence.api import create_entries_router, create_evidence_router
from gongshu.share.evidence.bundle import write_bundle
from gongshu.share.evidence.exporting import Exporter
from gongshu.share.evidence.ledger import SovereigntyLedger
from gongshu.share.evidence.service import EvidenceService, end_transfers_with
from gongshu.share.ports import Reply
from tests.integration.share.site import Site

Line = dict[str, Any]


class Witness(Site):
    """A site with evidence."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self.evidence = EvidenceService(
            database=self.database,
            keys=self.keys,
            parties=self.parties,
            audit=self.audit,
            clock=self.clock,
            own_party_id=self.party,
            end_transfers=end_transfers_with(self.database, self.share.engine),
            post=self.post,
        )
        self.exporter = Exporter(self.database, self.keys, self.parties, self.audit, self.clock, self.party)
        self.ledger = SovereigntyLedger(self.database, self.keeping, self.catalogue, self.clock)

    def post(self, party: Any, path: str, body: bytes) -> Reply:
        return self.share._wire.post_to(party, join(self.parties.get(party).address, path), body)

    def app(self) -> FastAPI:
        app = super().app()
        app.include_router(create_entries_router(self.share, self.evidence))
        return app

    def own_app(self) -> FastAPI:
        app = super().own_app()
        app.include_router(create_evidence_router(self.evidence, self.exporter, self.ledger, lambda: self.li))
        return app

    def export(self, agreement_id: str, file: Path) -> Path:
        self.exporter.export(agreement_id, file, self.li)
        return file


def meet(*sites: Witness, times: int = 3) -> None:
    for _ in range(times):
        for site in sites:
            site.evidence.step()


def lines_of(file: Path) -> list[Line]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def write_lines(file: Path, lines: list[Line]) -> Path:
    """Write lines as they are, by a hand that has no key."""
    texts = [json.dumps(line, sort_keys=True, separators=(",", ":")) for line in lines]
    file.write_text("".join(f"{text}\n" for text in texts))
    return file


def forge(source: Path, file: Path, sign: Callable[[bytes], bytes], change: Callable[[Line, list[Any]], None]) -> Path:
    """Write a bundle anew, by a hand that has its exporter's key: header and every line are signed again."""
    lines = lines_of(source)
    header = lines[0]["header"]
    records: list[Any] = [(line["kind"], line["record"]) for line in lines[1:-1]]
    change(header, records)
    write_bundle(file, header, [(kind, record) for kind, record in records], sign)
    return file

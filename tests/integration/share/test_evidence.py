"""Two nodes deliver, meter, end a contract and export it; a verifier without any of their code finds every change."""

import ast
import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from gongshu import evidence_verifier
from gongshu.console.reasons import error_in_chinese
from gongshu.evidence_verifier import main, verify
from gongshu.evidence_verifier.findings import Finding, Unreadable
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId
from gongshu.secure.errors import NotAllowed
from gongshu.secure.gate import SqlQuery
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.share.dsp.messages import FORMAT_PUSH
from gongshu.share.dsp.states import Side, State
from gongshu.share.encoding import Encoding
from gongshu.share.errors import AgreementUnknown, ContractFrozen, PeerRefused
from gongshu.share.evidence.entries import ENTRY_DOMAIN
from gongshu.share.evidence.errors import BundleUnwritable, SettlementUnexplained
from gongshu.share.evidence.exporting import Exporter
from gongshu.share.keeping.chain import canonical, hash_of, sign
from gongshu.share.receiving import Opening
from gongshu.share.tables import share_deliveries
from gongshu.share.terms import Terms
from tests.integration.share.test_end_to_end import contract
from tests.integration.share.witness import Line, Witness, forge, lines_of, meet, write_lines

FORGED, DIFFERS, ONLY = "forged", "differs", "only here"


@dataclass(frozen=True)
class Case:
    """Both nodes after the contract has ended, and what they exported."""

    mill: Witness
    shop: Witness
    agreement_id: str
    folder: Path

    @property
    def files(self) -> list[Path]:
        return [self.folder / "mill.jsonl", self.folder / "shop.jsonl"]

    @property
    def fingerprints(self) -> list[str]:
        return [self.mill.keys.fingerprint(), self.shop.keys.fingerprint()]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("evidence")
    mill, shop = Witness(folder / "mill", "mill"), Witness(folder / "shop", "shop")
    try:
        mill.knows(shop)
        shop.knows(mill)
        mill.serve()
        shop.serve()
        yield live(mill, shop, folder)
    finally:
        mill.close()
        shop.close()


def live(mill: Witness, shop: Witness, folder: Path) -> Case:
    """A contract's whole life: pulled, pushed, read, ended, deleted; then a second contract, for borrowing from."""
    terms = Terms(uses_max=5, purposes=frozenset({"quality"}), notify=frozenset({shop.party}))
    dataset = mill.publish()
    agreement = contract((mill, shop), terms, dataset)
    transfer = shop.share.transfer(agreement.agreement_id, shop.li)
    shop.share.wait_for(transfer.process_id, {State.STARTED}, 20)
    shop.share.pull_into(transfer.process_id, "pulled", shop.li, purpose="quality")
    wanted = Opening("pushed", "", "quality", (), Encoding.CSV)
    push = shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_PUSH, opening=wanted)
    shop.share.wait_for(push.process_id, {State.COMPLETED}, 30)
    mill.share.wait_for(mill.share.transfers()[0].process_id, {State.COMPLETED}, 30)
    shop.gate.read(shop.li, SqlQuery("SELECT count(*) AS n FROM pulled"), purpose="quality").read_all()
    meet(mill, shop)
    other = contract((mill, shop), Terms(unrestricted=True), mill.publish("parts"))
    mill.share.retire(agreement.agreement_id, mill.li, "the project is over")
    meet(mill, shop)
    for _ in range(4):
        shop.keeping.step(shop.post)
        mill.keeping.step(mill.post)
    mill.share.notices.send_due(mill.share._wire)
    meet(mill, shop)
    mill.share.step()
    shop.share.step()
    for site in (mill, shop):
        site.export(agreement.agreement_id, folder / f"{site.name}.jsonl")
        site.export(other.agreement_id, folder / f"{site.name}-other.jsonl")
    return Case(mill, shop, agreement.agreement_id, folder)


def wrong(findings: list[Finding]) -> list[Finding]:
    return [each for each in findings if each.verdict not in {"agrees", "not checked"}]


def test_the_evidence_of_both_sides_agrees_in_every_item(case: Case) -> None:
    findings = verify(case.files, case.fingerprints)
    assert wrong(findings) == []
    kinds = {each.kind for each in findings}
    assert {"key", "agreement", "contract", "message", "entry", "meter", "receipt", "deletion", "notice"} < kinds
    assert len([each for each in findings if each.kind == "meter"]) == 2
    assert len([each for each in findings if each.kind == "audit"]) > 10
    assert wrong(verify(case.files[:1], case.fingerprints[:1])) == [], "each side alone, too"
    assert (
        main([*map(str, case.files), "--fingerprint", case.fingerprints[0], "--fingerprint", case.fingerprints[1]]) == 0
    )


def test_no_value_no_token_and_no_private_key_stands_in_a_bundle(case: Case) -> None:
    for file in case.files:
        text = file.read_text()
        assert "Bearer" not in text
        assert "authorization" not in text.lower()
        assert "dataAddress" not in text
        assert "P-3" not in text, "a value of the delivered rows"
        assert "PRIVATE" not in text


def test_revoking_is_seen_to_take_effect_at_the_holder(case: Case) -> None:
    given = next(h for h in case.mill.ledger.holdings(case.mill.li) if h.agreement_id == case.agreement_id)
    assert (given.direction, given.party, given.standing) == ("given", case.shop.party, "deleted")
    assert given.ended_there_at is not None
    assert given.deleted_at is not None
    received = [h for h in case.shop.ledger.holdings(case.shop.li) if h.agreement_id == case.agreement_id]
    assert {(h.dataset_id, h.party, h.standing) for h in received} == {
        ("pulled", case.mill.party, "deleted"),
        ("pushed", case.mill.party, "deleted"),
    }
    assert received[0].purposes == ("quality",)
    assert "the project is over" in received[0].reason


# ---- a hand without a key --------------------------------------------------------------------------------------------


def found(case: Case, lines: list[Line], side: int = 0) -> list[Finding]:
    """What is found when one side's file consists of these lines."""
    changed = write_lines(case.folder / "changed.jsonl", lines)
    files = [changed, case.files[1]] if side == 0 else [case.files[0], changed]
    return wrong(verify(files, case.fingerprints))


@pytest.mark.parametrize("side", [0, 1])
def test_every_record_that_is_changed_dropped_moved_or_repeated_is_found_and_placed(case: Case, side: int) -> None:
    lines = lines_of(case.files[side])
    kinds = [line.get("kind") for line in lines]
    chosen = {kinds.index(kind) for kind in set(kinds[1:])} | {*range(1, len(lines), 17), len(lines) - 1}
    for number in sorted(chosen):
        altered = json.loads(json.dumps(lines))
        altered[number]["record"]["x"] = 1
        assert any(
            f"record {number - 1}" in each.item and each.verdict == FORGED for each in found(case, altered, side)
        )
        dropped = lines[:number] + lines[number + 1 :]
        named = [each.item for each in found(case, dropped, side) if each.kind == "file"]
        assert any(str(number - 1) in item or "after record" in item for item in named), (number, named)
        twice = [*lines[: number + 1], lines[number], *lines[number + 1 :]]
        assert any("repeated" in each.detail for each in found(case, twice, side))
    moved = [*lines[:5], lines[6], lines[5], *lines[7:]]
    assert any("repeated, moved or added" in each.detail for each in found(case, moved, side))


@pytest.mark.parametrize("side", [0, 1])
def test_a_file_that_was_cut_is_found_wherever_it_was_cut(case: Case, side: int) -> None:
    lines, raw = lines_of(case.files[side]), case.files[side].read_bytes()
    for number in range(1, len(lines), 5):
        assert any(each.detail.endswith("the file was cut") for each in found(case, lines[:number], side))
    for size in (1, len(raw) // 3, len(raw) - 1):
        cut = case.folder / "cut.jsonl"
        cut.write_bytes(raw[:size])
        status = main([str(cut), str(case.files[1 - side]), "--problems"])
        assert status in (1, 2)


def test_a_header_that_was_altered_and_a_record_of_another_contract_are_found(case: Case) -> None:
    lines = lines_of(case.files[0])
    header = json.loads(json.dumps(lines))
    header[0]["header"]["counterparty"] = "urn:gongshu:party:spy"
    assert any(each.item == "header" for each in found(case, header))
    other = lines_of(case.folder / "mill-other.jsonl")
    borrowed = [*lines[:3], {**other[3], "n": 2}, *lines[4:]]
    assert any("comes from another file" in each.detail for each in found(case, borrowed))
    both = [case.files[0], case.folder / "shop-other.jsonl"]
    assert [each.verdict for each in wrong(verify(both, case.fingerprints))] == [DIFFERS]


# ---- a hand with the exporter's own key ------------------------------------------------------------------------------


def refound(case: Case, change: Callable[[Line, list[Any]], None], keys: KeyStore | None = None) -> list[Finding]:
    """What is found when the mill itself bends its evidence and signs it again."""
    file = forge(case.files[0], case.folder / "bent.jsonl", (keys or case.mill.keys).sign, change)
    return wrong(verify([file, case.files[1]], case.fingerprints))


def position(records: list[Any], kind: str, **fields: Any) -> int:
    return next(
        n for n, (k, record) in enumerate(records) if k == kind and all(record.get(f) == v for f, v in fields.items())
    )


def test_what_one_side_leaves_out_shows_at_the_other(case: Case) -> None:
    for kind, fields in (
        ("message", {"direction": "out"}),
        ("message", {"direction": "in"}),
        ("receipt", {"direction": "in"}),
        ("deletion", {"direction": "in"}),
        ("notice", {"direction": "out"}),
        ("entry", {"direction": "in"}),
        ("entry", {"direction": "out"}),
    ):
        bent = refound(case, lambda _, records, k=kind, f=fields: records.pop(position(records, k, **f)))  # type: ignore[misc]
        assert any(each.kind == kind and each.verdict in (ONLY, FORGED, DIFFERS) for each in bent), (kind, fields, bent)


def test_a_line_that_its_author_signs_anew_with_other_figures_differs_from_what_it_sent(case: Case) -> None:
    def change(_: Line, records: list[Any]) -> None:
        at = next(
            n
            for n, (k, r) in enumerate(records)
            if k == "entry" and r["direction"] == "out" and '"rows":1000' in r["body"]
        )
        body = json.loads(records[at][1]["body"]) | {"rows": 2000}
        text = canonical(body)
        signature = sign(ENTRY_DOMAIN, text, case.mill.keys.sign)
        records[at] = ("entry", {"direction": "out", "body": text, "signature": signature})

    bent = refound(case, change)
    assert any(each.kind == "entry" and each.verdict == DIFFERS and "2000" in each.detail for each in bent)
    assert any(each.kind == "meter" or "does not follow" in each.detail for each in bent)


def test_a_partners_signature_cannot_be_replaced(case: Case) -> None:
    def change(_: Line, records: list[Any]) -> None:
        for kind, direction in (("entry", "in"), ("receipt", "in"), ("deletion", "in")):
            at = position(records, kind, direction=direction)
            signature = case.mill.keys.sign(b"something else").hex()
            records[at] = (kind, {**records[at][1], "signature": signature})
        at = position(records, "contract")
        contract = json.loads(json.dumps(records[at][1]))
        contract["signatures"][1]["signature"] = base64.b64encode(case.mill.keys.sign(b"x")).decode()
        records[at] = ("contract", contract)

    forged = {each.kind for each in refound(case, change) if each.verdict == FORGED}
    assert forged >= {"entry", "receipt", "deletion", "contract"}


def test_audit_records_stand_in_the_log_or_are_named(case: Case) -> None:
    def alter(_: Line, records: list[Any]) -> None:
        at = position(records, "audit")
        leaf = json.loads(records[at][1]["leaf"]) | {"actor": "user:somebody"}
        records[at] = ("audit", {**records[at][1], "leaf": json.dumps(leaf, sort_keys=True, separators=(",", ":"))})

    def misplace(_: Line, records: list[Any]) -> None:
        at = position(records, "audit")
        records[at] = ("audit", {**records[at][1], "path": records[at][1]["path"][:-1]})

    def rewrite(header: Line, _: list[Any]) -> None:
        header["checkpoint"] = header["checkpoint"].replace("\nnumber ", "\nnumber 9")

    for change in (alter, misplace, rewrite):
        assert any(each.kind == "audit" and each.verdict == FORGED for each in refound(case, change))


def test_keys_that_were_exchanged_are_found(case: Case, tmp_path: Path) -> None:
    stranger = KeyStore(tmp_path / "keys")

    def own(header: Line, _: list[Any]) -> None:
        header["keys"][case.mill.party] = stranger.public_key_raw().hex()

    def partner(header: Line, _: list[Any]) -> None:
        header["keys"][case.shop.party] = stranger.public_key_raw().hex()

    for change, keys in ((own, stranger), (partner, case.mill.keys)):
        bent = refound(case, change, keys)
        assert {"key", "contract", "entry"} <= {each.kind for each in bent if each.verdict in (FORGED, DIFFERS)}
    file = forge(case.files[0], case.folder / "own.jsonl", stranger.sign, own)
    assert any(each.kind == "contract" for each in wrong(verify([file]))), "also alone and without a fingerprint"


def test_another_text_of_the_contract_is_found(case: Case) -> None:
    def change(_: Line, records: list[Any]) -> None:
        at = position(records, "agreement")
        policy = records[at][1]["policy"].replace("quality", "anything")
        records[at] = ("agreement", {**records[at][1], "policy": policy})

    assert any(each.kind == "agreement" and each.verdict == FORGED for each in refound(case, change))


def test_odd_content_that_its_exporter_signed_is_named_and_never_crashes(case: Case) -> None:
    odd: list[Any] = [None, 1, "x", [], {}, "\ud800", {"a": {"b": [1]}}, "[" * 5000, 10**400, True, -1, "a.b.c"]
    names = (
        "body",
        "signature",
        "direction",
        "policy",
        "document",
        "leaf",
        "path",
        "index",
        "signatures",
        "sha256",
        "id",
    )
    records = lines_of(case.files[0])[1:-1]
    seen: dict[str, Line] = {}
    for line in records:
        seen.setdefault(line["kind"], line["record"])
    for kind, record in seen.items():
        for name in names:
            if name not in record:
                continue

            def change(_: Line, entries: list[Any], kind: str = kind, record: Line = record, name: str = name) -> None:
                entries += [(kind, {**record, name: value}) for value in odd]

            assert refound(case, change), (kind, name)
    assert refound(case, lambda _, entries: entries.append(("gift", {"a": 1})))


@pytest.mark.parametrize("field", ["round", "delivery", "figures", "line", "rows", "contract_hash"])
def test_odd_entries_in_a_chain_that_its_author_signed_are_named(case: Case, field: str) -> None:
    def change(_: Line, records: list[Any]) -> None:
        own = [record for kind, record in records if kind == "entry" and record["direction"] == "out"]
        body = json.loads(own[-1]["body"])
        head = {name: body[name] for name in ("contract", "contract_hash", "author", "at")}
        link = {"sequence": body["sequence"] + 1, "previous": hash_of(own[-1]["body"])}
        settle = {"delivery": "x", "figures": "provider", "line": "", "own": "", "round": 1, "reason": "", "by": ""}
        text = canonical(head | link | settle | {"kind": "settle", field: [{"a": []}]})
        entry = {"direction": "out", "body": text, "signature": sign(ENTRY_DOMAIN, text, case.mill.keys.sign)}
        records.insert(position(records, "audit"), ("entry", entry))

    assert any(each.kind == "entry" and each.verdict == ONLY for each in refound(case, change))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{}\n",
        b"\x00" * 4096,
        b"[" * 200_000,
        b'{"header":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001 + b"\n",
        b"x" * (17 * 1024 * 1024),
        b'{"header":{"format":"gongshu-evidence-1"}}\n',
        b'{"header":{"format":"gongshu-evidence-1","agreement":1},"signature":2}\n',
    ],
)
def test_what_is_no_evidence_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.jsonl"
    file.write_bytes(content)
    with pytest.raises(Unreadable):
        verify([file])
    assert main([str(file)]) == 2
    assert main([str(tmp_path / "missing.jsonl"), "--json"]) == 2


@pytest.mark.parametrize("program", ["mail", "editor"])
def test_a_file_that_a_program_rewrote_as_text_is_asked_for_again(case: Case, tmp_path: Path, program: str) -> None:
    whole, file = case.files[0].read_bytes(), tmp_path / "rewritten.jsonl"
    file.write_bytes(whole.replace(b"\n", b"\r\n") if program == "mail" else b"\xef\xbb\xbf" + whole)
    with pytest.raises(Unreadable, match="rewrote it as text"):
        verify([file])


def test_long_lines_and_deep_lines_behind_a_true_header_are_named(case: Case) -> None:
    head, *rest = case.files[0].read_bytes().splitlines(keepends=True)
    for bad in (b"x" * (17 * 1024 * 1024) + b"\n", b"[" * 100_000 + b"\n", b'{"n":' + b"9" * 10_000 + b"}\n"):
        file = case.folder / "odd.jsonl"
        file.write_bytes(head + bad + b"".join(rest))
        assert any(each.item == "line 2" and each.verdict == FORGED for each in verify([file]))


# ---- the program -----------------------------------------------------------------------------------------------------


def test_the_verifier_imports_nothing_of_this_package(tmp_path: Path) -> None:
    folder = Path(evidence_verifier.__file__).parent
    allowed = set(sys.stdlib_module_names) | {"cryptography"}
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            assert all(name.split(".")[0] in allowed for name in names), (file, names)
            assert not isinstance(node, ast.ImportFrom) or node.level < 2, file
    (tmp_path / "evidence_verifier").symlink_to(folder)
    run = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import evidence_verifier as e;",
    ]
    run[-1] += "print(sorted(m for m in sys.modules if m.startswith('gongshu'))); sys.exit(e.main(['none']))"
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr


def test_people_read_the_outcome_in_two_languages_and_programs_in_one(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of(case.files[0])
    altered = write_lines(case.folder / "shown.jsonl", [*lines[:4], *lines[5:]])
    assert main([str(altered), str(case.files[1]), "--problems"]) == 1
    said = capsys.readouterr().out
    assert "伪造或篡改 forged: 文件 file records 3 to 3" in said
    assert "不全一致 NOT all agree" in said
    assert "keys NOT compared" in said
    assert main([str(altered), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["agrees"] is False


def test_success_is_a_summary_and_every_item_is_there_for_who_asks(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    files, mill = [*map(str, case.files)], ["--fingerprint", case.fingerprints[0]]
    assert main([*files, *mill, "--fingerprint", case.fingerprints[1]]) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) < 12
    for part in (
        case.agreement_id,
        case.mill.party,
        case.shop.party,
        "entry ",
        "counted alike: 2 / 2",
        "on both sides",
    ):
        assert part in said
    assert said.count("已核对 compared, sha256:") == 2
    assert main([*files, *mill, "--verbose"]) == 0
    every = capsys.readouterr().out
    assert len(every.splitlines()) > 50
    assert said.splitlines()[0] in every


def test_a_key_whose_fingerprint_was_not_given_is_not_checked(case: Case, tmp_path: Path) -> None:
    def keys(files: list[Path], *given: str) -> set[tuple[str, str]]:
        return {(each.item, each.verdict) for each in verify(files, given) if each.kind == "key"}

    mill, shop = case.fingerprints
    ours, theirs = case.mill.party, case.shop.party
    assert keys(case.files) == {(ours, "not checked"), (theirs, "not checked")}
    assert keys(case.files, mill) == {(ours, "agrees"), (theirs, "not checked")}
    assert keys(case.files[:1], shop) == {(ours, "not checked"), (theirs, "agrees")}
    assert keys(case.files, mill, shop) == {(ours, "agrees"), (theirs, "agrees")}
    assert (ours, FORGED) in keys(case.files, mill, "sha256:" + "0" * 64) | keys(case.files, "sha256:" + "0" * 64)
    stranger = KeyStore(tmp_path / "keys")

    def own(header: Line, _: list[Any]) -> None:
        header["keys"][ours] = stranger.public_key_raw().hex()

    bent = forge(case.files[0], case.folder / "stranger.jsonl", stranger.sign, own)
    assert (ours, FORGED) in keys([bent, case.files[1]], mill), "by the other file the fingerprint is this party's"
    assert (ours, FORGED) in keys([bent], mill)


def test_a_fingerprint_that_is_not_the_exporters_is_told(case: Case) -> None:
    other = "sha256:" + "0" * 64
    assert [each.kind for each in wrong(verify(case.files[:1], [other]))] == ["key"]


# ---- a dispute, over the wire ----------------------------------------------------------------------------------------


def test_a_dispute_stops_deliveries_until_a_person_of_each_side_settles_it(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    mill, shop = case.mill, case.shop
    active = next(a for a in shop.share.agreements() if a.agreement_id != case.agreement_id)
    transfer = shop.share.transfer(active.agreement_id, shop.li)
    shop.share.wait_for(transfer.process_id, {State.STARTED}, 20)
    shop.share.pull_into(transfer.process_id, "parts_here", shop.li)
    with shop.database.begin() as connection:
        lost = sa.update(share_deliveries).where(share_deliveries.c.process_id == transfer.process_id)
        connection.execute(lost.values(rows=999))
    meet(mill, shop)
    assert mill.share.agreement(active.agreement_id).status == shop.share.agreement(active.agreement_id).status
    with pytest.raises(PeerRefused, match=r"the agreement is disputed.*`gongshu evidence settle`"):
        shop.share.pull_into(transfer.process_id, "parts_here", shop.li)
    with pytest.raises(ContractFrozen) as frozen:
        shop.share.transfer(active.agreement_id, shop.li)
    assert "`gongshu evidence settle`" in error_in_chinese(frozen.value)
    (open_one,) = httpx.get(f"{mill.address}/api/v1/share/metered", params={"disputed": True}).json()
    assert (open_one["ours"]["rows"], open_one["theirs"]["rows"]) == (1000, 999)
    for file, site in zip(("d1.jsonl", "d2.jsonl"), (mill, shop), strict=True):
        site.export(active.agreement_id, case.folder / file)
    disputed = wrong(verify([case.folder / "d1.jsonl", case.folder / "d2.jsonl"], case.fingerprints))
    assert [(each.kind, each.verdict) for each in disputed] == [("meter", DIFFERS)]
    assert "1000 rows" in disputed[0].detail
    assert "999 rows" in disputed[0].detail
    answer = {"agreement_id": active.agreement_id, "delivery": open_one["delivery"], "figures": "provider"}
    for site in (shop, mill):
        url = f"{site.address}/api/v1/share/metered/settle"
        unexplained = httpx.post(url, json={**answer, "reason": " "})
        assert (unexplained.status_code, unexplained.json()["code"]) == (400, "share.settlement_unexplained")
        with pytest.raises(SettlementUnexplained, match="1 to 2000 characters"):
            site.evidence.settle(active.agreement_id, open_one["delivery"], Side.PROVIDER, site.li, reason="x" * 2001)
        assert httpx.post(url, json={**answer, "reason": "counted again"}).status_code == 200
        meet(mill, shop)
    assert shop.share.pull_into(transfer.process_id, "parts_here", shop.li) == "parts_here"
    meet(mill, shop)
    for file, site in zip(("d1.jsonl", "d2.jsonl"), (mill, shop), strict=True):
        site.export(active.agreement_id, case.folder / file)
    findings = verify([case.folder / "d1.jsonl", case.folder / "d2.jsonl"], case.fingerprints)
    assert wrong([each for each in findings if each.kind not in ("message", "receipt")]) == []
    assert any("settled by both, the provider's figures count" in each.detail for each in findings)
    assert main([str(case.folder / "d1.jsonl"), str(case.folder / "d2.jsonl")]) in (0, 1)
    said = capsys.readouterr().out
    assert f"counted alike: 1 / 2\n双方了结的交付 delivery {open_one['delivery']}: settled by both" in said


# ---- export and HTTP -------------------------------------------------------------------------------------------------


def test_exporting_needs_a_right_a_contract_and_a_place(case: Case, tmp_path: Path) -> None:
    viewer = Subject(case.mill.li.subject_id, case.mill.party, frozenset({Role.VIEWER}))
    with pytest.raises(NotAllowed):
        case.mill.exporter.export(case.agreement_id, tmp_path / "e.jsonl", viewer)
    with pytest.raises(AgreementUnknown):
        case.mill.exporter.export("urn:uuid:none", tmp_path / "e.jsonl", case.mill.li)
    with pytest.raises(BundleUnwritable):
        case.mill.exporter.export(case.agreement_id, tmp_path / "none" / "e.jsonl", case.mill.li)
    assert list(tmp_path.iterdir()) == []


def test_people_and_programs_see_it_over_http_and_strangers_see_nothing(case: Case) -> None:
    base = f"{case.mill.address}/api/v1/share"
    metered = httpx.get(f"{base}/metered", params={"agreement_id": case.agreement_id}).json()
    assert {each["standing"] for each in metered} == {"agreed"}
    assert metered[0]["ours"] == metered[0]["theirs"]
    assert httpx.get(f"{base}/metered", params={"disputed": True}).json() == []
    entries = httpx.get(f"{base}/entries", params={"agreement_id": case.agreement_id}).json()
    assert {each["kind"] for each in entries} == {"line", "agree", "end"}
    bundle = httpx.get(f"{base}/evidence", params={"agreement_id": case.agreement_id}).content
    assert bundle.startswith(b'{"header"')
    assert any(each["direction"] == "given" for each in httpx.get(f"{base}/ledger").json())
    body = {"agreement_id": case.agreement_id, "delivery": "none", "figures": "provider", "reason": "x"}
    assert httpx.post(f"{base}/metered/settle", json=body).status_code == 409
    assert httpx.post(f"{case.mill.address}/share/evidence", json={"entries": [1]}).status_code in (401, 404)


def test_a_partner_that_is_forgotten_leaves_an_export_that_says_so(case: Case) -> None:
    class Nobody(PartyRegistry):
        def get(self, party_id: PartyId) -> Any:
            raise AgreementUnknown(agreement_id=party_id)

    mill = case.mill
    registry = Nobody(mill.database, mill.audit, mill.clock)
    file = case.folder / "alone.jsonl"
    Exporter(mill.database, mill.keys, registry, mill.audit, mill.clock, mill.party).export(
        case.agreement_id, file, mill.li
    )
    assert {each.kind for each in wrong(verify([file]))} >= {"entry", "contract"}, (
        "what cannot be checked is not said to agree"
    )

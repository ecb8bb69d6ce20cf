"""Packs: what loads, what is refused with file and line, which version counts when."""

import re
from datetime import date
from pathlib import Path

import pytest

from gongshu.packs import Confidence, Packs, load_packs
from gongshu.packs.errors import PackBroken, PackItemUnknown, PackUnknown
from gongshu.packs.loader import decode_pack

ITEM = "  - {key: limit.a, value: 7, title_zh: 限值, title_en: Limit, clause: §1, confidence: confirmed}\n"
HEAD = 'pack: probe\nversion: "{version}"\ntitle_zh: 试验\ntitle_en: Probe\nsource: Test\n'


def text_of(version: str = "1", *, extra: str = "", items: str = ITEM) -> str:
    return HEAD.format(version=version) + extra + "items:\n" + items


def write(folder: Path, version: str, extra: str) -> None:
    (folder / f"probe-{version}.yaml").write_text(text_of(version, extra=extra), encoding="utf-8")


def test_every_shipped_item_says_where_it_comes_from() -> None:
    for item in load_packs().items():
        assert item.source, item.key
        assert item.title_zh, item.key
        assert item.title_en, item.key
        assert item.clause or item.confidence is not Confidence.CONFIRMED, (item.pack, item.key)
        assert isinstance(item.confidence, Confidence)


def test_platform_numbers_never_claim_a_standard_as_their_source() -> None:
    for item in load_packs().items():
        if item.confidence is Confidence.PLATFORM:
            assert not re.search(r"GB/?T? ?\d|工信|国务院", item.source), (item.pack, item.key)


def test_the_counts_of_the_standards_are_right() -> None:
    packs = load_packs()
    guide, quality, industry = packs.get("industrial-data-grading"), packs.get("gbt-36344"), packs.get("gbt-4754")
    assert len(guide.under("domain")) == 7
    assert len(guide.under("condition")) == 9
    assert len(quality.under("dimension")) == 6
    assert len(quality.under("indicator")) == 20
    manufacturing = [item for item in industry.under("division") if item.key.startswith("division.C")]
    count = industry.value("count.C")
    assert len(manufacturing) == count["divisions"] == 31
    assert sum(item.value["groups"] for item in manufacturing) == count["groups"]
    assert sum(item.value["classes"] for item in manufacturing) == count["classes"]
    assert {f"division.B{number:02d}" for number in range(6, 13)} <= industry.items.keys()
    assert {"division.D44", "division.D45", "division.D46"} <= industry.items.keys()


def test_only_the_two_named_indicators_are_better_when_low() -> None:
    low = {item.key for item in load_packs().get("gbt-36344").under("indicator") if item.value["better"] == "low"}
    assert low == {"indicator.0303", "indicator.0305"}


def test_the_newest_version_in_force_counts_and_older_ones_stay(tmp_path: Path) -> None:
    write(tmp_path, "2018", "effective_from: 2018-10-01\neffective_to: 2026-06-30\n")
    write(tmp_path, "2025", "effective_from: 2026-07-01\n")
    packs = load_packs([tmp_path], today=lambda: date(2026, 6, 30))
    assert packs.get("probe").version == "2018"
    assert packs.get("probe", on=date(2026, 7, 1)).version == "2025"
    assert packs.get("probe", version="2018").value("limit.a") == 7
    with pytest.raises(PackUnknown, match="in force on 2018-09-30"):
        packs.get("probe", on=date(2018, 9, 30))


def test_the_reference_follows_the_content_and_not_the_layout() -> None:
    one = decode_pack(text_of(), file_name="probe-1.yaml")
    same = decode_pack("# a comment\n" + text_of(), file_name="probe-1.yaml")
    other = decode_pack(text_of().replace("value: 7", "value: 8"), file_name="probe-1.yaml")
    assert one.reference == same.reference
    assert one.reference != other.reference


@pytest.mark.parametrize(
    "text, line, reason",
    [
        (text_of(items=ITEM + "  - {key: b\n"), 9, "expected"),
        (text_of(items=ITEM.replace("confirmed", "certain")), 7, "certain"),
        (text_of(items=ITEM + ITEM), 8, "stands twice"),
        (text_of(extra="effective_from: 2026-13-01\n"), 6, "month"),
        (text_of(items=ITEM.replace("clause: §1, ", "")), 7, "clause"),
        (text_of(extra="colour: red\n"), 1, "colour"),
        ("- just\n- a list\n", 1, "object"),
        (text_of("2"), 1, "probe-2.yaml"),
    ],
)
def test_a_broken_pack_is_named_by_file_and_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(PackBroken) as caught:
        decode_pack(text, file_name="probe-1.yaml")
    assert caught.value.fields["file"] == "probe-1.yaml"
    assert caught.value.fields["line"] == line
    assert reason in str(caught.value)


def test_one_version_in_two_folders_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "1", "")
    with pytest.raises(PackBroken, match="there already"):
        load_packs([tmp_path / "a", tmp_path / "b"])


def test_an_unknown_item_or_pack_says_what_there_is() -> None:
    packs: Packs = load_packs()
    with pytest.raises(PackItemUnknown, match=r"limit\.none"):
        packs.get("gbt-36344").value("limit.none")
    with pytest.raises(PackUnknown, match="gbt-36344 2018"):
        packs.get("gbt-0000")

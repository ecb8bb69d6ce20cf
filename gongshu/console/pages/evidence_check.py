"""Verifying exported evidence on a page: one side's file, or both, by the verifier that needs no node."""

import html
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from nicegui import ui
from nicegui.events import UploadEventArguments

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import View
from gongshu.console.pages.clearances import safe_name
from gongshu.console.widgets import chip_html, notice, size_words, table, text
from gongshu.errors import InvalidInput
from gongshu.evidence_verifier import verify
from gongshu.evidence_verifier.findings import (
    AGREES,
    DIFFERS,
    FORGED,
    KINDS,
    ONLY,
    RIGHT,
    UNCHECKED,
    Finding,
    Unreadable,
)

BUNDLE_BYTES_MAX = 64_000_000
"""Largest file that is verified on a page; the command takes any. Ours."""
SHOWN_MAX = 2_000
VERDICT_KIND = {AGREES: "good", UNCHECKED: "plain", ONLY: "warn", DIFFERS: "bad", FORGED: "bad"}
_PRINT = re.compile(r"sha256:[0-9a-f]{64}")


class EvidenceUnreadable(InvalidInput):
    """An uploaded file is not evidence."""

    code = "console.evidence_unreadable"
    template = "It cannot be read as evidence: {reason}. Upload the file that `gongshu evidence export` wrote."


async def show_check(view: View) -> None:
    """Show where to upload one or two files, the fingerprints to compare, and what the verifier finds."""
    files: dict[str, bytes] = {}
    text(view.t("proof.text")).classes("gs-muted")
    upload_place, listed = ui.element("div"), ui.element("div").classes("gs-stack")
    known = [view.node.exporter.fingerprint()]
    known += [party.fingerprint for party in await view.ask(view.node.parties.all) if party.fingerprint]
    prints = ui.textarea(view.t("proof.fingerprints"), value="\n".join(dict.fromkeys(known)))
    prints.props("outlined dense autogrow data-test=prints").classes("gs-full gs-mono")
    prints.props(f'hint="{view.t("proof.fingerprints_hint")}"')
    result = ui.element("div").classes("gs-stack")

    async def take(event: UploadEventArguments) -> None:
        name = safe_name(event.file.name)
        files[name if name not in files else f"2-{name}"] = await event.file.read()
        show_files()

    def forget() -> None:
        files.clear()
        upload.reset()
        result.clear()
        show_files()

    def rejected() -> None:
        result.clear()
        with result:
            notice(view.t("error.input"), view.t("proof.too_large", limit=size_words(BUNDLE_BYTES_MAX)))

    def show_files() -> None:
        listed.clear()
        with listed:
            for name, content in files.items():
                text(f"{name} · {size_words(len(content))}")

    async def check() -> None:
        with view.trying(result):
            if not 1 <= len(files) <= 2:
                raise FieldWrong(field=view.t("proof.choose"), expected="one or two files")
            found = await view.ask(check_files, dict(files), read_prints(view, prints.value or ""))
            with result:
                _show_found(view, found, is_both=len(files) == 2)

    with upload_place:
        upload = ui.upload(
            label=view.t("proof.choose"),
            multiple=True,
            auto_upload=True,
            max_files=2,
            max_file_size=BUNDLE_BYTES_MAX,
            on_upload=take,
            on_rejected=rejected,
        )
        upload.props("flat bordered color=primary data-test=bundles accept=.jsonl").classes("gs-upload")
    with ui.element("div").classes("gs-row"):
        ui.button(view.t("proof.go"), on_click=check).props("unelevated color=primary data-test=verify")
        ui.button(view.t("proof.forget"), on_click=forget).props("flat color=primary")
    result.move(target_index=-1)


def read_prints(view: View, typed: str) -> list[str]:
    """Return the fingerprints that were typed, one a line or after commas. Raises: FieldWrong."""
    found = [word.lower() for word in re.split(r"[\s,，、]+", typed) if word]
    for word in found:
        if not _PRINT.fullmatch(word):
            raise FieldWrong(field=view.t("proof.fingerprints"), expected="sha256: and 64 hexadecimal digits")
    return found


def check_files(files: Mapping[str, bytes], fingerprints: Sequence[str]) -> list[Finding]:
    """Return what the verifier finds in one or two files. Raises: EvidenceUnreadable."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in files]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        try:
            return verify(paths, fingerprints)
        except Unreadable as cause:
            raise EvidenceUnreadable(reason=str(cause)[:500]) from cause


def _show_found(view: View, found: list[Finding], *, is_both: bool) -> None:
    count = Counter(each.verdict for each in found)
    wrong = [each for each in found if each.verdict not in RIGHT]
    if not wrong:
        key = "proof.all_agree" if is_both else "proof.one_agrees"
        notice(view.t(key, count=len(found)), view.t("proof.agree_text"), kind="good")
    else:
        kind = "bad" if count[FORGED] or count[DIFFERS] else "warn"
        heading = view.t("proof.wrong", wrong=len(wrong), count=len(found))
        notice(heading, view.t("proof.wrong_text"), kind=kind)
    unchecked = [each for each in found if each.verdict == UNCHECKED]
    ordered = [*wrong, *unchecked, *(each for each in found if each.verdict == AGREES)][:SHOWN_MAX]
    rows = [
        {
            "key": number,
            "verdict": chip_html(view.t(f"verdict.{each.verdict.replace(' ', '_')}"), VERDICT_KIND[each.verdict]),
            "kind": view.t(f"proof_kind.{each.kind}") if each.kind in KINDS else each.kind,
            "item": f"<code>{html.escape(each.item)}</code>",
            "detail": each.detail,
        }
        for number, each in enumerate(ordered)
    ]
    columns = [(n, view.t(f"proof.{n}")) for n in ("verdict", "kind", "item", "detail")]
    shown = table(view, columns, rows, key="key", markup=("verdict", "item"), wrap=("item", "detail"), page_size=10)
    shown.props("wrap-cells")

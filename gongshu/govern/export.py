"""The enterprise's classification list (企业工业数据分类清单) as a file: CSV or Excel, with a signature beside it.

The signature is made by whoever exports (the node's key is not this room's business) over the file's bytes and stands
in `<file>.sig.json` with what is needed to check it.
"""

import base64
import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gongshu.govern.catalogue import ALL, CatalogueService
from gongshu.govern.errors import FileUnreadable
from gongshu.govern.views import LIST_COLUMNS, classification_rows

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so would be run as a formula by a spreadsheet; it gets an apostrophe."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs an export."""

    sign: Callable[[bytes], bytes]
    public_key_pem: str


def read_classification_list(catalogue: CatalogueService) -> list[dict[str, Any]]:
    """Return the list, one row a dataset, in order of title."""
    entries = [(dataset, catalogue.proposal(dataset.dataset_id)) for dataset in catalogue.datasets(limit=ALL)]
    return classification_rows(entries, catalogue.classifier.guide, catalogue.classifier.measures)


def encode_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the list as CSV in UTF-8 with a byte-order mark, so that spreadsheets read the Chinese."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([heading for _, heading in LIST_COLUMNS])
    writer.writerows([[_safe(row[key]) for key, _ in LIST_COLUMNS] for row in rows])
    return stream.getvalue().encode("utf-8-sig")


def encode_xlsx(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the list as an Excel workbook."""
    from openpyxl import Workbook  # takes a tenth of a second, and only this needs it

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "工业数据分类清单"
    sheet.append([heading for _, heading in LIST_COLUMNS])
    for row in rows:
        sheet.append([_safe(row[key]) for key, _ in LIST_COLUMNS])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def write_list(
    path: Path, rows: Sequence[Mapping[str, Any]], *, now: datetime, signer: Signer | None = None
) -> tuple[Path, ...]:
    """Write the list as `.csv` or `.xlsx`, by the path's ending, and its signature; return the files written.

    Raises: FileUnreadable for another ending.
    """
    encoders = {".csv": encode_csv, ".xlsx": encode_xlsx}
    if path.suffix.lower() not in encoders:
        raise FileUnreadable(file=path, kind="a list", reason="its name ends neither in .csv nor in .xlsx")
    content = encoders[path.suffix.lower()](rows)
    path.write_bytes(content)
    if signer is None:
        return (path,)
    signature = path.with_name(f"{path.name}.sig.json")
    signature.write_text(json.dumps(sign_content(path.name, content, now, signer), indent=2), encoding="utf-8")
    return path, signature


def sign_content(name: str, content: bytes, now: datetime, signer: Signer) -> dict[str, str]:
    """Return what a checker needs: the signature is over name, SHA-256 in hex and time, a line each, in UTF-8."""
    digest, at = hashlib.sha256(content).hexdigest(), now.isoformat()
    signed = f"{name}\n{digest}\n{at}"
    return {
        "file": name,
        "sha256": digest,
        "signed_at": at,
        "signature_base64": base64.b64encode(signer.sign(signed.encode())).decode(),
        "public_key_pem": signer.public_key_pem,
    }


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value

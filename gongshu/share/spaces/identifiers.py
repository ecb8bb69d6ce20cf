"""Identifiers of catalogue entries in the manner of NDI: `FrontCode/BackCode`, with check digits. Pure.

The front names the owner (area and organisation), the back the entry (kind, number, two check digits). The check digits
of the national documents are not public; ours are ISO 7064 MOD 97-10 over both parts, which finds every wrong digit or
letter and every swap of two digits, and nearly every digit that was taken for a letter. See decision 0080.
"""

import re

from gongshu.packs import Pack
from gongshu.share.spaces.errors import IdentifierInvalid

NUMBER_MAX = 999_999
_FORM = re.compile(r"[0-9]{6}(?:[0-9A-Z]{9}|[0-9A-Z]{18})/[0-9]{9}")
_ORGANISATION = re.compile(r"[0-9A-Z]{9}|[0-9A-Z]{18}")


def front_code(area: str, organisation: str, codes: Pack) -> str:
    """Return area and organisation code as the front of an identifier.

    Raises: IdentifierInvalid for an area outside the divisions of the pack, or an organisation code of another form.
    """
    known = {item.key.removeprefix("area.") for item in codes.under("area")}
    if not re.fullmatch(r"[0-9]{6}", area) or area[:2] not in known:
        raise IdentifierInvalid(text=area[:40], reason="the area is no six-digit code of a division (GB/T 2260)")
    if not _ORGANISATION.fullmatch(organisation):
        raise IdentifierInvalid(
            text=organisation[:40], reason="an organisation code has 9 or 18 digits and capital letters"
        )
    return f"{area}{organisation}"


def make_identifier(front: str, kind: str, number: int) -> str:
    """Return the identifier of the number-th entry of a kind of an owner.

    >>> make_identifier("31010091310000MA1K000000", "2", 7)
    '31010091310000MA1K000000/200000744'

    Raises: IdentifierInvalid after the last number.
    """
    if not 0 < number <= NUMBER_MAX:
        raise IdentifierInvalid(text=str(number), reason=f"an owner numbers its entries from 1 to {NUMBER_MAX}")
    body = f"{front}/{kind}{number:06d}"
    return f"{body}{_check_digits(body)}"


def require_identifier(text: str) -> str:
    """Return the identifier if it has the form and its check digits are right. Raises: IdentifierInvalid."""
    if not _FORM.fullmatch(text):
        raise IdentifierInvalid(text=text[:60], reason="it has not the form area, organisation / kind, number, check")
    if _check_digits(text[:-2]) != text[-2:]:
        raise IdentifierInvalid(text=text[:60], reason="its check digits are wrong")
    return text


def _check_digits(body: str) -> str:
    """Return the two digits that make the whole leave 1 when divided by 97; letters count from A = 10.

    Source: ISO/IEC 7064:2003 MOD 97-10.
    """
    digits = "".join(str(int(sign, 36)) for sign in body if sign != "/")
    return f"{98 - int(digits) * 100 % 97:02d}"

"""Which addresses a message of another party may make us call: only its own registered one, or below it."""

from urllib.parse import SplitResult, unquote, urlsplit

ADDRESS_MAX = 800
_PORTS = {"http": 80, "https": 443}


def is_under(address: str, registered: str, *, query_allowed: bool = False) -> bool:
    """True if the address equals the registered one or extends its path.

    Scheme, host and port have to be the same; user names, fragments, dot segments, characters that programs read
    differently, and queries (but for links that are only followed) are refused: what is checked is what is called.

    >>> is_under("http://a.example:1/dsp/2025-1", "http://a.example:1"), is_under("http://a:1@b/", "http://a:1")
    (True, False)
    """
    asked, known = _split(address, query_allowed=query_allowed), _split(registered)
    if asked is None or known is None:
        return False
    if (asked.scheme, asked.hostname, _port(asked)) != (known.scheme, known.hostname, _port(known)):
        return False
    root = known.path.rstrip("/")
    return asked.path.rstrip("/") == root or asked.path.startswith(f"{root}/")


def join(base: str, path: str) -> str:
    """Return the address of a path below a base, with one slash between them.

    >>> join("http://a/dsp/", "/catalog/request")
    'http://a/dsp/catalog/request'
    """
    return f"{base.removesuffix('/')}/{path.lstrip('/')}"


def _split(address: str, *, query_allowed: bool = False) -> SplitResult | None:
    if not address or len(address) > ADDRESS_MAX or not address.isascii() or not address.isprintable():
        return None
    if any(character in address for character in ' \\"<>^`{|}'):
        return None
    try:
        parts = urlsplit(address)
        _port(parts)
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.fragment or "@" in parts.netloc:
        return None
    if parts.query and not query_allowed:
        return None
    segments = unquote(parts.path).split("/")
    return None if {".", ".."} & set(segments) or "%" in parts.netloc else parts


def _port(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else _PORTS.get(parts.scheme, 0)

"""Chinese spelled in pinyin, phrase by phrase: 重量 is zhong liang, 重复 is chong fu.

The dictionary behind it takes 60 MB and half a second, so it is loaded with the first word that is spelled: a process
that meets nothing new never pays for it, and one that runs for weeks can give it back.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARY = "pypinyin"
_USING = threading.Lock()
_used_at_s = 0.0


def spell(text: str) -> list[str]:
    """Return one syllable without tone for each Chinese sign; other runs of signs stay as they are.

    >>> spell("主轴A1")
    ['zhu', 'zhou', 'A1']
    """
    with _in_use():
        from pypinyin import lazy_pinyin

        return list(lazy_pinyin(text))


def initials(text: str) -> str:
    """Return the first letter of each syllable, by which people search.

    >>> initials("主轴负载")
    'zzfz'
    """
    with _in_use():
        from pypinyin import Style, lazy_pinyin

        return "".join(lazy_pinyin(text, style=Style.FIRST_LETTER))


def forget_when_idle(idle_s: float = 10.0) -> bool:
    """Drop the dictionary if nothing was spelled for so long, and return whether it was dropped just now.

    The memory is free after the next garbage collection; the next word loads the dictionary again. Never waits.
    """
    if _LIBRARY not in sys.modules or not _USING.acquire(blocking=False):
        return False
    try:
        if time.monotonic() - _used_at_s < idle_s:
            return False
        for name in [name for name in sys.modules if name.partition(".")[0] == _LIBRARY]:
            del sys.modules[name]
        return True
    finally:
        _USING.release()


@contextmanager
def _in_use() -> Iterator[None]:
    global _used_at_s
    with _USING:
        yield
        _used_at_s = time.monotonic()

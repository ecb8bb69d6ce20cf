"""Chinese spelled in pinyin, phrase by phrase: 重量 is zhong liang, 重复 is chong fu.

The dictionary behind it takes 60 MB and half a second, so it is loaded with the first word that is spelled: a process
that meets nothing new never pays for it.
"""


def spell(text: str) -> list[str]:
    """Return one syllable without tone for each Chinese sign; other runs of signs stay as they are.

    >>> spell("主轴A1")
    ['zhu', 'zhou', 'A1']
    """
    from pypinyin import lazy_pinyin

    return list(lazy_pinyin(text))


def initials(text: str) -> str:
    """Return the first letter of each syllable, by which people search.

    >>> initials("主轴负载")
    'zzfz'
    """
    from pypinyin import Style, lazy_pinyin

    return "".join(lazy_pinyin(text, style=Style.FIRST_LETTER))

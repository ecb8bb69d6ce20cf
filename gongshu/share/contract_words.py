"""Every term in plain words, Chinese and English: what it says, and who makes it come true. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from gongshu.share.enforcement import Clause, Enforcement, enforcement_of
from gongshu.share.terms import Comparison, Operation, RowCondition, Terms

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

_NAMES: Mapping[str, tuple[str, str]] = {
    "parties": ("仅限以下参与方：{}", "Only these parties: {}."),
    "groups": ("仅限以下参与方组的成员：{}", "Only members of these groups of the provider: {}."),
    "until": ("使用截止于 {}", "Use ends at {}."),
    "not_before": ("自 {} 起方可使用", "Use begins at {}."),
    "duration_s": ("自合约订立起 {} 内可使用", "Use ends {} after the contract was made."),
    "uses_max": ("最多使用 {} 次", "At most {} uses."),
    "places": ("仅限在以下地域内使用：{}", "Use only within: {}."),
    "connectors": ("仅限以下密钥的连接器：{}", "Only through connectors with these keys: {}."),
    "purposes": ("仅限以下用途：{}", "Only for: {}."),
    "columns": ("仅提供以下字段：{}", "Only these columns: {}."),
    "rows_max": ("每次请求最多 {} 行", "At most {} rows each time."),
    "rows_where": ("仅提供满足以下条件的行：{}", "Only rows where {}."),
    "operations": ("仅允许以下操作：{}", "Only to {}."),
    "aggregate_min": (
        "仅提供聚合结果，每组不少于 {} 行",
        "Only figures over groups of at least {} rows; no row as it is.",
    ),
    "delete_after_s": ("收到后 {} 内删除", "What was received is deleted within {}."),
    "notify": ("每次使用前向以下参与方发送通知：{}", "Each use is told to: {}."),
    "no_onward": ("禁止再分发", "What was received is not handed on."),
    "payment": ("确认收到 {} 后方可传输", "Nothing is delivered before {} is confirmed as paid."),
}
_CLASSES: Mapping[Enforcement, tuple[str, str]] = {
    Enforcement.HARD: ("由提供方节点强制执行", "enforced by the provider's node"),
    Enforcement.HARD_BOTH: ("由双方节点强制执行", "enforced because both nodes do"),
    Enforcement.ATTESTED: ("依据声明或证明判断", "judged by what somebody states"),
    Enforcement.LEGAL: ("仅具法律约束", "a promise; no program keeps it"),
}
_OPERATIONS = {
    Operation.READ: ("读取", "read"),
    Operation.AGGREGATE: ("聚合", "aggregate"),
    Operation.DERIVE: ("加工", "derive"),
    Operation.EXPORT: ("导出", "export"),
}
_COMPARISONS = {
    Comparison.EQUAL: ("等于", "is"),
    Comparison.UNEQUAL: ("不等于", "is not"),
    Comparison.BELOW: ("小于", "is below"),
    Comparison.AT_MOST: ("不大于", "is at most"),
    Comparison.ABOVE: ("大于", "is above"),
    Comparison.AT_LEAST: ("不小于", "is at least"),
    Comparison.AMONG: ("属于", "is one of"),
}
_SPANS = ((86_400, "天", "days", "day"), (3600, "小时", "hours", "hour"), (60, "分钟", "minutes", "minute"))
_NOTHING = ("未声明限制", "Nothing is restricted.")


def describe_terms(terms: Terms, language: Language) -> list[str]:
    """Return one sentence for each term that restricts; nothing that restricts is left out.

    >>> describe_terms(Terms(uses_max=2, no_onward=True), "en")
    ['At most 2 uses.', 'What was received is not handed on.']
    """
    said = [describe_term(terms, clause.term, language) for clause in enforcement_of(terms)]
    return said or [_pick(_NOTHING, language)]


def describe_term(terms: Terms, name: str, language: Language) -> str:
    """Return the sentence for one field of the terms."""
    return _pick(_NAMES[name], language).format(_value(name, getattr(terms, name), language))


def describe_class(clause: Clause, language: Language) -> str:
    """Return how a term comes true, in a few words."""
    return _pick(_CLASSES[clause.enforcement], language)


def length_text(seconds: int, language: Language) -> str:
    """Return a length of time in its largest whole unit.

    >>> length_text(172_800, "en"), length_text(90, "zh")
    ('2 days', '90 秒')
    """
    for size, chinese, many, one in _SPANS:
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {chinese if language == 'zh' else one if count == 1 else many}"
    return f"{seconds} {'秒' if language == 'zh' else 'seconds' if seconds != 1 else 'second'}"


def _value(name: str, value: Any, language: Language) -> str:
    comma = "、" if language == "zh" else ", "
    if name in ("duration_s", "delete_after_s"):
        return length_text(value, language)
    if name == "operations":
        return comma.join(_pick(_OPERATIONS[operation], language) for operation in Operation if operation in value)
    if name == "rows_where":
        rows = sorted(value, key=lambda c: (c.column, c.comparison, sorted(c.values)))
        return ("且" if language == "zh" else " and ").join(_condition(row, language) for row in rows)
    if name == "payment":
        return f"{value.amount} {value.currency}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return comma.join(sorted(value)) if isinstance(value, frozenset) else str(value)


def _condition(row: RowCondition, language: Language) -> str:
    comma = "、" if language == "zh" else ", "
    word = _pick(_COMPARISONS[row.comparison], language)
    return f"{row.column} {word} {comma.join(sorted(row.values))}"


def _pick(pair: tuple[str, str], language: Language) -> str:
    return pair[0] if language == "zh" else pair[1]

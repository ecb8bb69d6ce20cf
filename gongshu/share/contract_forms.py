"""A signed contract in the forms that others read: 数字合约 with its five elements, and text. Pure.

The text of 数字合约技术要求 was not at hand: names and elements follow what is public about it, and say 未约定 where
nothing was agreed. ODRL is the form in which the agreement itself is kept.
"""

from datetime import datetime
from typing import Any

from gongshu.share.contract import Contract, Json, contract_document
from gongshu.share.contract_book import SignedContract
from gongshu.share.contract_words import Language, describe_class, describe_term, describe_terms
from gongshu.share.enforcement import enforcement_of
from gongshu.share.judging import end_of
from gongshu.share.terms import Terms

OPEN = "未约定"
_ELEMENTS = frozenset({"uses_max", "until", "not_before", "duration_s", "purposes", "places", "no_onward"})


def digital_contract(signed: SignedContract) -> Json:
    """Return the contract as 数字合约: parties, object, the five elements, what else was agreed, evidence.

    Source: decision 0070.
    """
    contract, terms = signed.contract, signed.contract.terms
    replaced = contract.replaces
    others = [clause for clause in enforcement_of(terms) if clause.term not in _ELEMENTS]
    return {
        "合约编号": contract.agreement_id,
        "版本": contract.version,
        "替代": "无" if replaced is None else {"合约编号": replaced.agreement_id, "哈希": replaced.document_hash},
        "合约哈希": signed.document_hash,
        "数据提供方": {"标识": contract.provider.party_id, "公钥指纹": contract.provider.key},
        "数据使用方": {"标识": contract.consumer.party_id, "公钥指纹": contract.consumer.key},
        "标的": {"数据产品": contract.dataset, "结构哈希": contract.columns_hash},
        "使用控制": five_elements(terms, contract.agreed_at),
        "其他约定": [describe_term(terms, clause.term, "zh") for clause in others],
        "执行方式": {
            describe_term(terms, clause.term, "zh"): describe_class(clause, "zh") for clause in enforcement_of(terms)
        },
        "运行环境": {"both_nodes": "双方节点", "provider_only": "提供方节点"}.get(contract.environment, OPEN),
        "存证": list(contract.evidence),
        "附件": contract_document(contract)["attachments"],
        "签订时间": contract_document(contract)["agreed_at"],
        "签名": [dict(statement) for statement in signed.signatures],
        "双方签名": signed.is_two_sided,
    }


def five_elements(terms: Terms, agreed_at: datetime) -> Json:
    """Return 次数, 期限, 用途, 域内, 禁止再分发, each with a value or 未约定, and 未声明限制."""
    end = end_of(terms, agreed_at)
    term: Any = OPEN
    if end is not None or terms.not_before is not None:
        begins = terms.not_before.isoformat() if terms.not_before else OPEN
        term = {"起": begins, "止": end.isoformat() if end else OPEN}
    return {
        "次数": OPEN if terms.uses_max is None else terms.uses_max,
        "期限": term,
        "用途": sorted(terms.purposes) or OPEN,
        "域内": sorted(terms.places) or OPEN,
        "禁止再分发": "是" if terms.no_onward else OPEN,
        "未声明限制": terms.is_empty,
    }


def contract_text(signed: SignedContract, language: Language) -> str:
    """Return the contract as lines for people."""
    contract = signed.contract
    is_zh = language == "zh"
    head = _head_zh(contract) if is_zh else _head_en(contract)
    classes = {clause.term: describe_class(clause, language) for clause in enforcement_of(contract.terms)}
    said = [
        f"- {describe_term(contract.terms, name, language)}（{words}）"
        if is_zh
        else f"- {describe_term(contract.terms, name, language)} ({words})"
        for name, words in classes.items()
    ]
    said = said or [f"- {line}" for line in describe_terms(contract.terms, language)]
    files = [f"- {a.name}, {a.media_type}, SHA-256 {a.sha256}" for a in contract.attachments]
    signatures = [f"- {s['party']} {s['signed_at']} {s['key']}" for s in signed.signatures]
    problems = [f"- {problem}" for problem in signed.problems]
    if is_zh:
        blocks = [head, ["条款：", *said], ["附件：", *(files or ["- 无"])], ["签名：", *signatures]]
        blocks.append(
            ["核验：", *(problems or ["- 双方签名有效" if signed.is_two_sided else "- 仅一方签名，签名有效"])]
        )
    else:
        blocks = [head, ["Terms:", *said], ["Attachments:", *(files or ["- none"])], ["Signatures:", *signatures]]
        valid = "- both signatures hold" if signed.is_two_sided else "- one side signed, and its signature holds"
        blocks.append(["Checked:", *(problems or [valid])])
    return "\n".join(line for block in blocks for line in block)


def _head_zh(contract: Contract) -> list[str]:
    return [
        f"数字合约 {contract.agreement_id}，第 {contract.version} 版",
        f"数据提供方：{contract.provider.party_id}",
        f"数据使用方：{contract.consumer.party_id}",
        f"标的：{contract.dataset}",
        f"签订时间：{contract.agreed_at:%Y-%m-%d %H:%M:%S} UTC",
    ]


def _head_en(contract: Contract) -> list[str]:
    return [
        f"Contract {contract.agreement_id}, version {contract.version}",
        f"Provider: {contract.provider.party_id}",
        f"Consumer: {contract.consumer.party_id}",
        f"Dataset: {contract.dataset}",
        f"Made at: {contract.agreed_at:%Y-%m-%d %H:%M:%S} UTC",
    ]

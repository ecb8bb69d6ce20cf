"""The values of the desk as plain fields, for programs and tables."""

from typing import Any, Literal

from gongshu.share.contract_book import SignedContract
from gongshu.share.contract_forms import contract_text, digital_contract
from gongshu.share.contract_words import Language, describe_class, describe_term
from gongshu.share.enforcement import enforcement_of
from gongshu.share.model import Agreement
from gongshu.share.notices import Notice
from gongshu.share.partners import Group, RegisteredPlace
from gongshu.share.terms import Terms

View = dict[str, Any]
Form = Literal["document", "odrl", "digital-contract", "text"]


def clauses_view(terms: Terms) -> list[View]:
    """Return each term that restricts with its class and its words."""
    return [
        {
            "term": clause.term,
            "enforcement": clause.enforcement.value,
            "copies": clause.copies.value if clause.copies else None,
            "zh": describe_term(terms, clause.term, "zh"),
            "en": describe_term(terms, clause.term, "en"),
            "class_zh": describe_class(clause, "zh"),
            "class_en": describe_class(clause, "en"),
        }
        for clause in enforcement_of(terms)
    ]


def contract_view(signed: SignedContract, agreement: Agreement, form: Form, language: Language) -> View:
    """Return a contract in one form."""
    if form == "odrl":
        return dict(agreement.policy)
    if form == "digital-contract":
        return digital_contract(signed)
    if form == "text":
        return {"text": contract_text(signed, language)}
    return {
        "document": signed.document,
        "document_hash": signed.document_hash,
        "signatures": list(signed.signatures),
        "two_sided": signed.is_two_sided,
        "problems": list(signed.problems),
    }


def group_view(group: Group) -> View:
    """Return who is in a group of parties."""
    return {"group_id": group.group_id, "title": group.title, "members": list(group.members)}


def place_view(entry: RegisteredPlace) -> View:
    """Return where a party is, and who vouches for it."""
    return {
        "party": entry.party_id,
        "place": entry.place,
        "basis": entry.basis,
        "registered_at": entry.registered_at.isoformat(),
        "registered_by": entry.registered_by,
    }


def notice_view(notice: Notice) -> View:
    """Return a notice of use."""
    return {
        "notice_id": notice.notice_id,
        "party": notice.party_id,
        "agreement_id": notice.agreement_id,
        "user": notice.claims.get("user"),
        "purpose": notice.claims.get("purpose"),
        "at": notice.at.isoformat(),
        "sent_at": notice.sent_at.isoformat() if notice.sent_at else None,
        "last_error": notice.last_error,
    }

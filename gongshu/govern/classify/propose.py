"""Proposals: category by weighing what speaks for each, grade by the nine conditions on assumed facts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gongshu.govern.classify.profile import CheckRules, Profile
from gongshu.govern.classify.words import Match, dictionary_of
from gongshu.govern.grading import Facts, grade_facts, importance_of
from gongshu.govern.model import Evidence, Proposal
from gongshu.model.series import SeriesSighting
from gongshu.packs import Pack, PackItem, Packs

CONTROL = "production.control"
WORKING = "production.working_condition"
FIELD_PROTOCOLS = frozenset({"opcua", "modbus", "mqtt", "sparkplug", "s7", "ethernetip", "mtconnect", "nclink"})
NOT_PHYSICAL = frozenset({"count", "ratio", "time"})


@dataclass(frozen=True, slots=True)
class SubjectMatter:
    """What the rules may look at, of one column or series."""

    name: str
    title: str
    unit: str
    protocol: str
    writable: bool
    is_series: bool
    context: str = ""
    """The table's name and title; speaks more softly for each of its columns."""
    profile: Profile | None = None


class Classifier:
    """The rules with the packs in force; one instance serves a process."""

    def __init__(self, packs: Packs) -> None:
        self.guide = packs.get("industrial-data-grading")
        self.measures = packs.get("miit-data-security")
        self._platform = packs.get("platform-grading")
        terms, units = packs.get("industrial-terms"), packs.get("ucum")
        self._terms = terms
        self.check_rules = CheckRules.of(packs)
        self._dictionary = dictionary_of(terms)
        self._units = unit_items(units)
        self._references = tuple(p.reference for p in (self.guide, self.measures, self._platform, terms, units))

    def propose_series(self, sighting: SeriesSighting) -> Proposal:
        """Return the proposal for one series, from its names, unit, protocol and access."""
        return self.propose(
            SubjectMatter(
                sighting.name, sighting.title, sighting.unit, sighting.protocol, sighting.writable, is_series=True
            )
        )

    def propose_column(
        self, name: str, *, context: str = "", unit: str = "", profile: Profile | None = None
    ) -> Proposal:
        """Return the proposal for one column, from its name, its table's name, its unit and its values' profile."""
        return self.propose(SubjectMatter(name, "", unit, "", False, is_series=False, context=context, profile=profile))

    def is_believed(self, proposal: Proposal) -> bool:
        """Return whether the category's confidence is high enough not to be treated as unknown."""
        return proposal.confidence >= float(self._platform.value("plausible.confidence_min"))

    def propose(self, matter: SubjectMatter) -> Proposal:
        """Return category, grade, importance and the reasons; pure."""
        votes: dict[str, float] = defaultdict(float)
        evidence: list[Evidence] = []
        markers = self._read_names(matter, votes, evidence)
        self._read_access(matter, votes, evidence)
        if matter.profile:
            markers |= self._read_values(matter.profile, votes, evidence)
        if not votes:
            self._read_nothing(matter, evidence)
        category, confidence = _decide_category(votes, is_series=matter.is_series)
        if category != CONTROL and not matter.writable:
            markers.discard("safety.function")
        facts = self._assume_facts(votes, category, confidence, markers)
        grade = grade_facts(facts, self.guide)
        importance, crosswalk = importance_of(grade, facts, self.measures)
        for fired in grade.fired:
            if fired.grade == grade.grade:
                evidence.append(_cite(fired.item, fired.item.key, ", ".join(fired.facts)))
        evidence.append(_cite(crosswalk, crosswalk.key, grade.grade.term))
        return Proposal(
            category=category,
            category_2022=str(self.measures.value(f"crosswalk.class.{category.split('.')[0]}")[0]),
            grade=grade.grade,
            importance=importance,
            confidence=confidence,
            evidence=tuple(evidence),
            markers=tuple(sorted(markers)),
            packs=self._references,
        )

    def _read_names(self, matter: SubjectMatter, votes: dict[str, float], evidence: list[Evidence]) -> set[str]:
        markers: set[str] = set()
        soft = float(self._platform.value("weight.context"))
        head = float(self._platform.value("weight.head"))
        seen: set[tuple[str, str]] = set()
        for text, factor in ((matter.name, 1.0), (matter.title, 1.0), (matter.context, soft)):
            for match in self._dictionary.find(text) if text else ():
                category, marker = match.term.category, match.term.marker
                if category is None or (match.term.key, match.surface) in seen:
                    continue
                seen.add((match.term.key, match.surface))
                is_personal = (marker or "").startswith("personal.")
                if is_personal and not self._is_personal(match, matter.profile, in_name=factor == 1.0):
                    continue
                if marker and factor == 1.0:
                    markers.add(marker)
                votes[category] = max(votes[category], match.term.weight * factor * (head if match.is_head else 1.0))
                evidence.append(self._cite_term(match, is_context=factor < 1.0))
        return markers

    def _is_personal(self, match: Match, profile: Profile | None, *, in_name: bool) -> bool:
        """Return whether a word for personal information is believed: names suggest, values may contradict.

        Where the name only speaks about the thing (`phone_count`), the whole column's values must say it.
        """
        marker = match.term.marker or ""
        if not in_name:
            return False
        judged = profile is not None and profile.values >= int(self._platform.value("profile.values_min"))
        if match.about:
            return (
                judged
                and profile is not None
                and profile.supports(marker, float(self._platform.value("profile.share_min")))
            )
        return not judged or profile is None or profile.allows(marker)

    def _read_access(self, matter: SubjectMatter, votes: dict[str, float], evidence: list[Evidence]) -> None:
        if matter.writable:
            item = self._platform.item("weight.writable")
            votes[CONTROL] += float(item.value)
            text = ("设备允许客户端写入该变量：属控制信息", "The device lets a client write it: control information")
            evidence.append(Evidence("access.writable", "writable", item.citation, *text))
        if set(votes) - {WORKING}:
            return  # the name or the access says more than a unit or a protocol, which set points have too
        unit = self._units.get(matter.unit)
        if unit and unit.value["dimension"] not in NOT_PHYSICAL and matter.is_series:
            votes[WORKING] += float(self._platform.value("weight.unit"))
            text = (f"单位“{unit.title_zh}”是物理量", f"The unit {unit.title_en} is of a physical quantity")
            evidence.append(Evidence("unit.physical", matter.unit, unit.citation, *text))
        if matter.protocol.split("-")[0].lower() in FIELD_PROTOCOLS:
            item = self._platform.item("weight.protocol")
            votes[WORKING] += float(item.value)
            text = (f"经现场协议 {matter.protocol} 采集", f"Collected over the field protocol {matter.protocol}")
            evidence.append(Evidence("protocol.field", matter.protocol, item.citation, *text))

    def _read_values(self, profile: Profile, votes: dict[str, float], evidence: list[Evidence]) -> set[str]:
        """Values speak on their own only where a check digit does: identity cards and credit codes."""
        share_min = float(self._platform.value("profile.share_min"))
        if profile.values < int(self._platform.value("profile.values_min")):
            return set()
        citation = self._platform.item("profile.share_min").citation
        markers: set[str] = set()
        if profile.id_card_ratio >= share_min:
            markers.add("personal.id_card")
            votes["management.personnel_finance"] += 1.0
            seen = f"{profile.id_card_ratio:.0%} of {profile.values} values"
            text = ("取值为校验位正确的公民身份号码", "The values are identity numbers with a right check digit")
            evidence.append(Evidence("value.id_card", seen, citation, *text))
        if profile.uscc_ratio >= share_min:
            markers.add("business.partner")
            votes["management.customer_product"] += 0.5
            seen = f"{profile.uscc_ratio:.0%} of {profile.values} values"
            text = (
                "取值为校验位正确的统一社会信用代码",
                "The values are unified social credit codes with a right check",
            )
            evidence.append(Evidence("value.uscc", seen, citation, *text))
        return markers

    def _read_nothing(self, matter: SubjectMatter, evidence: list[Evidence]) -> None:
        item = self._platform.item("facts.unknown")
        text = ("没有规则识别出含义，按未知数据从严", "No rule recognised what it means; treated strictly as unknown")
        evidence.append(Evidence("default.unknown", matter.name, item.citation, *text))

    def _assume_facts(self, votes: Mapping[str, float], category: str, confidence: float, markers: set[str]) -> Facts:
        """Join the assumed facts of every category that is plausible, and of every marker, each at its worst."""
        top = votes.get(category, 0.0)
        least = float(self._platform.value("plausible.share_min")) * top
        plausible = {name for name, vote in votes.items() if vote >= least and vote > 0} | {category}
        keys = [f"facts.{name}" for name in sorted(plausible) if f"facts.{name}" in self._platform.items]
        if confidence < float(self._platform.value("plausible.confidence_min")):
            keys.append("facts.unknown")
        keys += [f"marker.{marker.split('.')[0]}" for marker in sorted(markers)]
        return Facts.worst_of([Facts.of(self._platform.value(key)) for key in keys])

    def _cite_term(self, match: Match, *, is_context: bool) -> Evidence:
        item = self._terms.item(match.term.key)
        category = self.guide.item(f"category.{match.term.category}")
        where = ("所在表的名称含", "The table's name has") if is_context else ("名称含", "The name has")
        return Evidence(
            "name.context" if is_context else "name.term",
            match.surface,
            category.citation,
            f"{where[0]}“{match.surface}”（{item.title_zh}），指向{category.title_zh}",
            f"{where[1]} '{match.surface}' ({item.title_en}), which speaks for {category.title_en.lower()}",
        )


def unit_items(pack: Pack) -> dict[str, PackItem]:
    """Return the units by code and by every alias."""
    return {name: item for item in pack.under("unit") for name in (item.value["code"], *item.value["aliases"])}


def _decide_category(votes: Mapping[str, float], *, is_series: bool) -> tuple[str, float]:
    """Return the category with most votes, and how sure that is: its lead over the next, and its own weight."""
    if not votes:
        return (WORKING if is_series else "management.statistics"), 0.1
    category = max(votes, key=lambda name: (votes[name], name))
    second = max((vote for name, vote in votes.items() if name != category), default=0.0)
    return category, round(min(1.0, votes[category]) * votes[category] / (votes[category] + second), 2)


def _cite(item: PackItem, rule_id: str, seen: str) -> Evidence:
    return Evidence(rule_id, seen, item.citation, item.title_zh, item.title_en)


def propose_columns(
    classifier: Classifier, columns: Sequence[tuple[str, str, Profile | None]], *, context: str
) -> list[Proposal]:
    """Return the proposals for a table's columns, given as (name, unit, profile)."""
    return [
        classifier.propose_column(name, context=context, unit=unit, profile=profile) for name, unit, profile in columns
    ]

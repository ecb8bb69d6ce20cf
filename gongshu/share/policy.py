"""May this be shared, with this party, at this moment? Terms, grade and the agreement's standing, judged together.

Asked in every phase; the gate is asked beside it, where an offer is made and where rows leave. Reads the catalogue and
the facts about the partner, so it is called before a transaction is opened, never inside one.
"""

from collections.abc import Collection

from gongshu.errors import NotFound
from gongshu.model.dataset import Dataset
from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.clearances.book import Clearances, NoClearances
from gongshu.share.clearances.judging import judge_grade
from gongshu.share.errors import SelectionInvalid
from gongshu.share.judging import end_of, judge_terms
from gongshu.share.model import Agreement, AgreementStatus
from gongshu.share.partners import Facts, NoFacts
from gongshu.share.ports import CatalogueReader, Clock
from gongshu.share.selection import read_selection
from gongshu.share.terms import Circumstances, Phase, Terms


class SharePolicy:
    """The judgements of one provider."""

    def __init__(
        self,
        catalogue: CatalogueReader,
        clock: Clock,
        facts: Facts | None = None,
        clearances: Clearances | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._facts = facts or NoFacts()
        self._clearances = clearances or NoClearances()

    def why_not_offer(
        self, dataset_id: str, terms: Terms, party: PartyId, phase: Phase, *, dataset: Dataset | None = None
    ) -> str | None:
        """Return why this party may not see or negotiate an offer now, None if it may.

        `dataset` is the one of this id, where the caller has read it for this very judgement.
        """
        known = self._facts.facts_of(party, terms)
        case = Circumstances(
            self._clock(),
            party,
            phase,
            groups=known.groups,
            place=known.place,
            connector=known.connector,
            keeps_terms=known.keeps_terms,
        )
        return judge_terms(terms, case) or self.why_not_grade(dataset_id, terms, [party], dataset=dataset)

    def why_not_use(
        self, agreement: Agreement, phase: Phase, *, purpose: str = "", columns: frozenset[str] = frozenset()
    ) -> str | None:
        """Return why nothing may be delivered under the agreement now, None if it may.

        `columns` are the names of a data request: columns, or figures over them.
        """
        if agreement.status is not AgreementStatus.ACTIVE:
            return f"the agreement is {agreement.status}"
        if agreement.why_unbound:
            return f"{agreement.why_unbound}; the provider's people can retire it or confirm the change"
        try:
            dataset = self.dataset(agreement.dataset_id)
            selection = read_selection(sorted(columns), [column.name for column in dataset.columns])
        except NotFound:
            return "the dataset is gone"
        except SelectionInvalid as invalid:
            return str(invalid)
        terms = agreement.terms
        known = self._facts.facts_of(agreement.counterparty, terms)
        case = Circumstances(
            self._clock(),
            agreement.counterparty,
            phase,
            agreement.uses,
            purpose,
            selection.touched,
            agreed_at=agreement.agreed_at,
            groups=known.groups,
            place=known.place,
            connector=known.connector,
            operation=selection.operation,
            keeps_terms=known.keeps_terms,
            is_paid=terms.payment is not None and self._facts.is_paid(agreement.agreement_id),
        )
        return judge_terms(terms, case) or self.why_not_grade(agreement.dataset_id, terms, [agreement.counterparty])

    def known_groups(self) -> frozenset[str]:
        """Return the groups of parties that terms can name."""
        return self._facts.known_groups()

    def awaits_payment(self, agreement: Agreement) -> bool:
        """True while the terms name a payment that nobody has confirmed."""
        return agreement.terms.payment is not None and not self._facts.is_paid(agreement.agreement_id)

    def is_alive(self, agreement: Agreement) -> bool:
        """True while rows may go on flowing that were started in time: the count is not judged again."""
        end = end_of(agreement.terms, agreement.agreed_at)
        return agreement.status is AgreementStatus.ACTIVE and (end is None or self._clock() <= end)

    def why_not_grade(
        self, dataset_id: str, terms: Terms, parties: Collection[PartyId], *, dataset: Dataset | None = None
    ) -> str | None:
        """Return why the grade keeps the dataset from one of these parties now, None if it may go to all of them."""
        try:
            dataset = dataset or self.dataset(dataset_id)
        except NotFound:
            return "the dataset is gone"
        now = self._clock()
        standings = [self._clearances.standing(dataset, party, now) for party in sorted(parties)]
        return judge_grade(dataset.label, terms, standings)

    def dataset(self, dataset_id: str) -> Dataset:
        """Return the dataset as the catalogue has it now. Raises: NotFound."""
        return self._catalogue.dataset(DatasetId(dataset_id))

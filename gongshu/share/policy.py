"""May this be shared, with this party, at this moment? Terms, grade and the agreement's standing, judged together.

Asked in every phase; the gate is asked beside it, where an offer is made and where rows leave. Reads the catalogue, so
it is called before a transaction is opened, never inside one.
"""

from gongshu.errors import NotFound
from gongshu.model.dataset import Dataset
from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.judging import end_of, judge_terms
from gongshu.share.model import Agreement, AgreementStatus
from gongshu.share.ports import CatalogueReader, Clock
from gongshu.share.terms import Circumstances, Phase, Terms, judge_grade


class SharePolicy:
    """The judgements of one provider."""

    def __init__(self, catalogue: CatalogueReader, clock: Clock) -> None:
        self._catalogue = catalogue
        self._clock = clock

    def why_not_offer(self, dataset_id: str, terms: Terms, party: PartyId, phase: Phase) -> str | None:
        """Return why this party may not see or negotiate an offer now, None if it may."""
        case = Circumstances(self._clock(), party, phase)
        return judge_terms(terms, case) or self._why_not_grade(dataset_id, terms)

    def why_not_use(
        self, agreement: Agreement, phase: Phase, *, purpose: str = "", columns: frozenset[str] = frozenset()
    ) -> str | None:
        """Return why nothing may be delivered under the agreement now, None if it may."""
        if agreement.status is not AgreementStatus.ACTIVE:
            return f"the agreement is {agreement.status}"
        case = Circumstances(
            self._clock(),
            agreement.counterparty,
            phase,
            agreement.uses,
            purpose,
            columns,
            agreed_at=agreement.agreed_at,
        )
        return judge_terms(agreement.terms, case) or self._why_not_grade(agreement.dataset_id, agreement.terms)

    def is_alive(self, agreement: Agreement) -> bool:
        """True while rows may go on flowing that were started in time: the count is not judged again."""
        end = end_of(agreement.terms, agreement.agreed_at)
        return agreement.status is AgreementStatus.ACTIVE and (end is None or self._clock() <= end)

    def _why_not_grade(self, dataset_id: str, terms: Terms) -> str | None:
        try:
            return judge_grade(self.dataset(dataset_id).label, terms)
        except NotFound:
            return "the dataset is gone"

    def dataset(self, dataset_id: str) -> Dataset:
        """Return the dataset as the catalogue has it now. Raises: NotFound."""
        return self._catalogue.dataset(DatasetId(dataset_id))

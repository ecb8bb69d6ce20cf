"""What the pages of clearances share: words for what is missing, and what a dataset lacks for each party."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from gongshu.console.frame import View
from gongshu.model.dataset import Dataset
from gongshu.model.ids import PartyId
from gongshu.secure.parties import Party
from gongshu.share.clearances.judging import needed_kinds
from gongshu.share.clearances.model import APPROVERS, Clearance, Kind, PartyStanding, State

STATE_KIND = {
    State.REQUESTED: "accent",
    State.IN_FORCE: "good",
    State.REFUSED: "bad",
    State.REVOKED: "bad",
    State.EXPIRED: "plain",
    State.OUTDATED: "warn",
}


def kind_heading(view: View, kind: Kind) -> str:
    """Return the name of a procedure as a heading; in a list it begins small."""
    name = view.t(f"clearance_kind.{kind.value}")
    return name[:1].upper() + name[1:]


@dataclass(frozen=True, slots=True)
class Need:
    """Where one party stands before it may get a dataset."""

    party: PartyId
    place: str
    missing: tuple[Kind, ...]
    in_force: tuple[Kind, ...]

    @property
    def is_met(self) -> bool:
        """True if nothing is missing."""
        return not self.missing


def clearance_path(clearance_id: str) -> str:
    """Return the address of a clearance's page.

    >>> clearance_path("urn:uuid:1")
    '/sharing/clearance/urn%3Auuid%3A1'
    """
    return f"/sharing/clearance/{quote(clearance_id, safe='')}"


def request_path(dataset_id: str, party: str, kind: Kind) -> str:
    """Return the address of the form that asks for a clearance."""
    return f"/sharing/clearances/new?dataset={quote(dataset_id)}&party={quote(party)}&kind={kind.value}"


def need_of(dataset: Dataset, standing: PartyStanding) -> Need:
    """Return what a party has and what it lacks for a dataset. Pure."""
    needed = needed_kinds(dataset.label, standing)
    missing = tuple(kind for kind in Kind if kind in needed and kind not in standing.in_force)
    met = tuple(kind for kind in Kind if kind in needed and kind in standing.in_force)
    return Need(standing.party, standing.place, missing, met)


async def needs_of(view: View, dataset: Dataset, parties: Sequence[Party]) -> list[Need]:
    """Return where each party stands for a dataset, those that lack least first."""
    standing, now = view.node.share.clearances.standing, view.node.clock()
    found = [need_of(dataset, await view.ask(standing, dataset, party.party_id, now)) for party in parties]
    return sorted(found, key=lambda need: (len(need.missing), need.party))


def lacking(view: View, clearance: Clearance, state: State) -> str:
    """Return in words what a clearance lacks before it opens anything, or what would help."""
    if state is State.REQUESTED:
        done = {approval.role for approval in clearance.approvals}
        return view.t("clearance.needs", roles=view.join(view.t(f"role.{r}") for r in APPROVERS if r not in done))
    if state is State.IN_FORCE:
        return "–"
    return view.t(f"clearance_lacks.{state.value}")

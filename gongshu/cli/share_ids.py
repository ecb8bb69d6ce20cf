"""Ids at the command line: their beginning will do where nothing else begins so."""

from typing import TYPE_CHECKING

from gongshu.cli.output import complain
from gongshu.cli.session import current_subject
from gongshu.share.short_ids import Named, choose_id, find_ids, is_short

if TYPE_CHECKING:
    from gongshu.node import Node

DATASETS_MAX = 1_000


def whole_id(node: "Node", named: Named, typed: str) -> str:
    """Return the id that was meant by its beginning, and say on standard error which one that is.

    What is no beginning of an id comes back as it was typed; the command then says that there is no such thing.

    Raises: IdAmbiguous; NotSignedIn; NotAllowed where the person may not see what there is.
    """
    if not is_short(typed):
        return typed
    node.share.require_onlooker(current_subject(node))
    found = choose_id(named, typed, _dataset_ids(node, typed) if named is Named.DATASET else _ids(node, named, typed))
    if found != typed:
        complain(f"{typed} is the {named.value} {found}.")
    return found


def _ids(node: "Node", named: Named, typed: str) -> list[str]:
    with node.database.connect() as connection:
        return find_ids(connection, named, typed)


def _dataset_ids(node: "Node", typed: str) -> list[str]:
    """The catalogue is asked, not its tables: it leaves out what must not be named."""
    found = node.catalogue.datasets(search=typed, limit=DATASETS_MAX)
    return sorted(d.dataset_id for d in found if d.dataset_id.startswith(typed))

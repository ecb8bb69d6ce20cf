"""Which series could play an app's roles: proposals by name, kind and unit. Pure; a person or a caller decides."""

import re
from collections.abc import Iterable, Sequence

from gongshu.apply.model import AssetBinding
from gongshu.apply.spec import AppSpec, InputSpec
from gongshu.apply.units import Units
from gongshu.model.ids import AssetId, SeriesId
from gongshu.model.series import Series


def suggest_bindings(spec: AppSpec, series: Iterable[Series], units: Units) -> list[AssetBinding]:
    """Return a binding for each asset that has a series for every required role, in order of asset.

    A role goes to the series whose name stands first among the role's usual names; then to the one whose title holds
    such a name; a series of the wrong kind, or of a unit that cannot be converted, is no candidate.
    """
    by_asset: dict[AssetId, list[Series]] = {}
    for one in series:
        by_asset.setdefault(one.sighting.asset, []).append(one)
    found = []
    for asset in sorted(by_asset):
        roles = _roles(spec.inputs, by_asset[asset], units)
        if all(wanted.role in roles for wanted in spec.inputs if wanted.required):
            found.append(AssetBinding(asset, roles))
    return found


def _roles(inputs: Sequence[InputSpec], series: Sequence[Series], units: Units) -> dict[str, SeriesId]:
    roles: dict[str, SeriesId] = {}
    for wanted in inputs:
        ranked = [(rank, s.series_id) for s in series if (rank := _rank(wanted, s, units)) is not None]
        if ranked:
            roles[wanted.role] = min(ranked)[1]
    return roles


def _rank(wanted: InputSpec, series: Series, units: Units) -> int | None:
    """How well it fits, 0 best; None if it does not."""
    seen = series.sighting
    if not wanted.kind.takes(seen.value_type):
        return None
    if wanted.unit and seen.unit and units.convert(seen.unit, wanted.unit) is None:
        return None
    own, title = _plain(seen.name), _plain(seen.title)
    for place, name in enumerate(map(_plain, wanted.names)):
        if own == name:
            return place
    for place, name in enumerate(map(_plain, wanted.names)):
        if len(name) > 3 and name in title:
            return len(wanted.names) + place
    return None


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-./]+", "", text).lower()

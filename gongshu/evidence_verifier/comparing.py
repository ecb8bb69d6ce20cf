"""Compares the keys in evidence with the fingerprints that people read out to each other."""

from collections.abc import Sequence

from .findings import AGREES, FORGED, UNCHECKED, Bundle
from .primitives import fingerprint_of


def check_keys(bundles: Sequence[Bundle], fingerprints: Sequence[str]) -> None:
    """Say of each key whether it is one that was given.

    A key for which no fingerprint was given is not checked. It is forged only where a given one contradicts it: where
    both sides' were given, where the one that was given belongs to this party by the other file, or to nobody here.
    """
    wanted = {each.strip().lower() for each in fingerprints}
    named = {(party, fingerprint_of(key)) for bundle in bundles for party, key in bundle.keys.items()}
    owners = {party for party, own in named if own in wanted}
    for bundle in bundles:
        for party, key in sorted(bundle.keys.items()):
            own = fingerprint_of(key)
            is_contradicted = len(wanted) > 1 or party in owners or (not owners and party == bundle.header["party"])
            if own in wanted:
                bundle.say("key", party, AGREES, own)
            elif wanted and is_contradicted:
                bundle.say("key", party, FORGED, f"{own} is none of the fingerprints given")
            else:
                bundle.say(
                    "key",
                    party,
                    UNCHECKED,
                    f"its fingerprint was not given; compare it with what its people say: {own}",
                )

"""The Merkle tree of RFC 6962: hashes, the frontier that makes an append cheap, and the two proofs.

A *frontier* of a tree with n leaves is the tuple of roots of its perfect subtrees, largest first: one for each bit that
is set in n. All functions are pure.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_SIZE_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of one leaf. Source: RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node. Source: RFC 6962 §2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def append_leaf(frontier: Sequence[bytes], size: int, leaf: bytes) -> tuple[bytes, ...]:
    """Return the frontier of the tree with one more leaf (given by its hash).

    Cost: at most log2(size) hashes.
    """
    assert len(frontier) == size.bit_count(), "frontier does not belong to this size"
    hashes = [*frontier, leaf]
    while size & 1:
        right = hashes.pop()
        hashes.append(node_hash(hashes.pop(), right))
        size >>= 1
    return tuple(hashes)


def root_of_frontier(frontier: Sequence[bytes]) -> bytes:
    """Return the tree's root.

    >>> root_of_frontier(()) == EMPTY_ROOT
    True
    """
    if not frontier:
        return EMPTY_ROOT
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = node_hash(left, root)
    return root


def root_of_leaves(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes. Cost: one hash a leaf."""
    frontier: tuple[bytes, ...] = ()
    for size, leaf in enumerate(leaves):
        frontier = append_leaf(frontier, size, leaf)
    return root_of_frontier(frontier)


def plan_inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of the leaf at `index` in the tree over these leaf hashes, from the leaf upwards.

    Raises: IndexError if there is no such leaf.
    Source: RFC 6962 §2.1.1.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*plan_inclusion_proof(leaves[:split], index), root_of_leaves(leaves[split:])]
    return [*plan_inclusion_proof(leaves[split:], index - split), root_of_leaves(leaves[:split])]


def plan_inclusion_proofs(leaves: Sequence[bytes], indexes: Iterable[int]) -> dict[int, list[bytes]]:
    """Return the audit paths of several leaves, by index, as `plan_inclusion_proof` makes each.

    Raises: IndexError if there is no such leaf.
    Cost: one hash a leaf for all of them together.
    Source: RFC 6962 §2.1.1; an odd last node of a level goes up unchanged.
    """
    places = {index: index for index in indexes}
    if any(not 0 <= index < len(leaves) for index in places):
        raise IndexError(max(places))
    paths: dict[int, list[bytes]] = {index: [] for index in places}
    level = list(leaves)
    while len(level) > 1:
        for index, place in places.items():
            if place ^ 1 < len(level):
                paths[index].append(level[place ^ 1])
            places[index] = place // 2
        above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = [*above, level[-1]] if len(level) % 2 else above
    return paths


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """True if the path proves that the leaf hash stands at `index` in the tree of this size and root.

    Source: RFC 9162 §2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    position, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            while position & 1 == 0 and position != 0:
                position, last = position >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and current == root


def plan_consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the tree over the first `old_size` leaf hashes is a prefix of the tree over all of them.

    Raises: IndexError if `old_size` is not within 1 and the number of leaves.
    Source: RFC 6962 §2.1.2.
    """
    if not 1 <= old_size <= len(leaves):
        raise IndexError(old_size)
    return _consistency(leaves, old_size, whole=True)


def _consistency(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if whole else [root_of_leaves(leaves)]
    split = _split(len(leaves))
    if old_size <= split:
        return [*_consistency(leaves[:split], old_size, whole=whole), root_of_leaves(leaves[split:])]
    return [*_consistency(leaves[split:], old_size - split, whole=False), root_of_leaves(leaves[:split])]


def is_consistent(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """True if the proof shows that the old tree is a prefix of the new one.

    Source: RFC 9162 §2.1.4.2.
    """
    if not 1 <= old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while position & 1 == 0 and position != 0:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def _split(size: int) -> int:
    """The largest power of two below size."""
    return 1 << ((size - 1).bit_length() - 1)

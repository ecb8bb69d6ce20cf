import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.secure.audit import merkle

KNOWN_LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
KNOWN_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
}
"""The reference vectors of Certificate Transparency (certificate-transparency-go, testdata for RFC 6962 trees)."""


@pytest.mark.parametrize("size", KNOWN_ROOTS)
def test_roots_are_those_of_the_reference(size: int) -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in KNOWN_LEAVES[:size]]
    assert merkle.root_of_leaves(leaves).hex() == KNOWN_ROOTS[size]


def test_the_empty_root_is_the_hash_of_nothing() -> None:
    assert merkle.root_of_leaves([]) == hashlib.sha256(b"").digest()


def recursive_root(leaves: list[bytes]) -> bytes:
    if len(leaves) <= 1:
        return leaves[0] if leaves else merkle.EMPTY_ROOT
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return merkle.node_hash(recursive_root(leaves[:split]), recursive_root(leaves[split:]))


@given(st.integers(0, 130))
def test_the_frontier_gives_the_recursive_definition(size: int) -> None:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(size)]
    assert merkle.root_of_leaves(leaves) == recursive_root(leaves)


@given(st.integers(1, 70), st.data())
def test_an_inclusion_proof_proves_its_leaf_and_no_other(size: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(size)]
    root, index = merkle.root_of_leaves(leaves), data.draw(st.integers(0, size - 1))
    path = merkle.plan_inclusion_proof(leaves, index)
    assert merkle.is_included(leaves[index], index, size, path, root)
    assert not merkle.is_included(merkle.leaf_hash(b"other"), index, size, path, root)
    assert not merkle.is_included(leaves[index], index, size, [*path, root], root)
    if path:
        assert not merkle.is_included(leaves[index], index, size, path[:-1], root)
        assert not merkle.is_included(leaves[index], (index + 1) % size, size, path, root)


@given(st.integers(1, 70), st.data())
def test_a_consistency_proof_proves_a_prefix_and_nothing_else(size: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(size)]
    old = data.draw(st.integers(1, size))
    old_root, root = merkle.root_of_leaves(leaves[:old]), merkle.root_of_leaves(leaves)
    proof = merkle.plan_consistency_proof(leaves, old)
    assert merkle.is_consistent(old, old_root, size, root, proof)
    rewritten = merkle.root_of_leaves([merkle.leaf_hash(b"other"), *leaves[1:old]])
    assert not merkle.is_consistent(old, rewritten, size, root, proof)
    assert not merkle.is_consistent(old, old_root, size, rewritten, proof)


def test_proofs_of_what_is_not_there_are_refused() -> None:
    with pytest.raises(IndexError):
        merkle.plan_inclusion_proof([], 0)
    with pytest.raises(IndexError):
        merkle.plan_consistency_proof([b"x" * 32], 2)

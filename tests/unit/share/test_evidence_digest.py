"""The hash beside the way is the hash of the bytes, however they are cut, and leaves no thread behind."""

import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.share.evidence.digest import AT_ONCE_BYTES, Digest


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_small_parts_are_hashed_in_order(parts: list[bytes]) -> None:
    digest = Digest()
    for part in parts:
        digest.update(part)
    assert digest.hexdigest() == digest.hexdigest() == hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("size", [AT_ONCE_BYTES // 3, AT_ONCE_BYTES, 3 * AT_ONCE_BYTES])
def test_large_parts_are_hashed_in_order_by_a_helper_that_ends(size: int) -> None:
    before = set(threading.enumerate())
    digest, whole = Digest(), hashlib.sha256()
    for number in range(20):
        part = bytes([number]) * size
        digest.update(part)
        whole.update(part)
    assert digest.hexdigest() == whole.hexdigest()
    assert not [each for each in set(threading.enumerate()) - before if each.name.startswith("share-hash")]

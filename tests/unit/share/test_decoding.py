"""What a partner delivers is read or refused; nothing that it can write gets past the one error."""

import io

import pytest

from gongshu.share.decoding import Undecodable, decoded
from gongshu.share.encoding import Encoding

BYTES_MAX = 1 << 30


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (Encoding.JSON, b'[{"a": 18446744073709551615}]'),
        (Encoding.JSON, b'[{"a": 1}, {"a": 18446744073709551615}]'),
        (Encoding.JSON, b'[{"a": 1}, {"a": "x"}]'),
        (Encoding.JSON, b'[{"a": "\\ud800"}]'),
        (Encoding.JSON, b'{"a": ' + b"[" * 100_000),
        (Encoding.JSON, b'[{"a": NaN}]'),
        (Encoding.JSON, b"[1, 2]"),
        (Encoding.CSV, b"a,b\n1,2\n3\n"),
        (Encoding.PARQUET, b"PAR1"),
        (Encoding.ARROW, b""),
        (Encoding.ARROW, b"\xff\xff\xff\xff\x00\x00\x00\x00"),
        (Encoding.ARROW, b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\x00" * 16 + b"\xff\xff\xff\xff\x00\x00\x00\x00"),
    ],
)
def test_what_is_no_table_is_refused_as_such(encoding: Encoding, body: bytes) -> None:
    with pytest.raises(Undecodable), decoded(io.BytesIO(body), encoding, BYTES_MAX) as rows:
        list(rows.batches)

"""A small message that would be gigabytes in memory is none, and costs nothing."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
import zstandard

from core.errors import WireError
from sync.envelope import QUESTION, open_envelope
from sync.form import decode
from sync.table import unpack_row

_BYTES_MAX = 8_000_000


def _array(count: int, members: bytes) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big") + members


def _lists(empty: bytes) -> bytes:
    """Return three million empty lists or maps, ten thousand in each list: 180 MB in memory."""
    return _array(300, _array(10_000, empty * 10_000) * 300)


@pytest.mark.parametrize("empty", [b"\x90", b"\x80"], ids=["lists", "maps"])
@pytest.mark.parametrize(
    "read",
    [
        lambda packed: decode(zstandard.ZstdCompressor().compress(packed)),
        lambda packed: open_envelope(QUESTION, packed),
        unpack_row,
    ],
    ids=["message", "envelope", "row"],
)
def test_many_empty_lists_are_not_made(read: Callable[[bytes], object], empty: bytes) -> None:
    """The octets themselves take 3 MB, compressed or not."""
    packed = _lists(empty)
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            read(packed)
        assert tracemalloc.get_traced_memory()[1] < _BYTES_MAX
    finally:
        tracemalloc.stop()

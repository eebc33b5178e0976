"""Messages as octets: every kind goes there and back, anything else is a WireError, and little takes little memory."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import suppress
from typing import Any, get_type_hints

import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from sync import messages
from sync.form import decode, encode
from sync.table import unpack_row

_NUMBERS = st.integers(0, 2**63 - 1)
_TEXTS, _OCTETS = st.text(max_size=9), st.binary(max_size=9)
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20), bytes: st.binary(max_size=40), int: _NUMBERS, bool: st.booleans(),
    bytes | None: st.none() | st.binary(max_size=40),
    tuple[str, ...]: st.lists(st.text(max_size=9), max_size=4).map(tuple),
    tuple[int, ...]: st.lists(_NUMBERS, max_size=4).map(tuple),
    tuple[tuple[bytes, bytes], ...]: st.lists(st.tuples(_OCTETS, _OCTETS), max_size=4).map(tuple),
    tuple[tuple[str, str], ...]: st.lists(st.tuples(_TEXTS, _TEXTS), max_size=4).map(tuple),
}  # fmt: skip


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Return what a message, or a record of one, may be."""
    return st.builds(kind, **{name: _of(hint) for name, hint in get_type_hints(kind).items()})


def _of(hint: Any) -> st.SearchStrategy[Any]:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if hint is messages.Holding:
        return of(hint)
    return st.lists(of(hint.__args__[0]), max_size=3).map(tuple)


MESSAGES = st.one_of(*(of(kind) for kind in messages.Message.__args__))


def packed(*members: Any) -> bytes:
    """Return octets with these members, whatever they are."""
    return squeezed(msgpack.packb(members))


def squeezed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


@given(message=MESSAGES)
def test_round_trip(message: messages.Message) -> None:
    again = decode(encode(message))
    assert (again, type(again)) == (message, type(message))


@given(data=st.binary(max_size=200) | st.binary(max_size=200).map(squeezed))
def test_total(data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | _TEXTS | _OCTETS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)  # fmt: skip


@given(name=st.sampled_from([kind.__name__ for kind in messages.Message.__args__]), members=st.lists(_ANY, max_size=6))
def test_total_for_what_is_nearly_a_message(name: str, members: list[Any]) -> None:
    """Whatever is read has the types that its class says, and goes there and back."""
    try:
        message = decode(packed(name, *members))
    except WireError:
        return
    assert decode(encode(message)) == message


@given(message=MESSAGES, data=st.data())
def test_total_for_what_was_cut_or_altered(message: messages.Message, data: st.DataObject) -> None:
    octets = encode(message)
    for cut in range(len(octets)):
        with pytest.raises(WireError):
            decode(octets[:cut])
    place = data.draw(st.integers(0, len(octets) - 1))
    altered = bytearray(octets)
    altered[place] ^= data.draw(st.integers(1, 255))
    with suppress(WireError):
        decode(bytes(altered))
    with pytest.raises(WireError):
        decode(octets + b"\0")


@pytest.mark.parametrize("number", [-1, 2**63, 2**64 - 1, 1.0, True, None, "1", b"1"])
def test_numbers_have_bounds(number: Any) -> None:
    members = ["T9", number, 1, b"", []]
    with pytest.raises(WireError):
        decode(packed("Delta", *members))
    with pytest.raises(WireError):
        decode(packed("Delta", "T9", 0, 1, b"", [[number, 1, b"k", None]]))


def test_members_are_those_of_the_class() -> None:
    for members in ([], ["T9", 0, 1, b""], ["T9", 0, 1, b"", [], 0], ["T9", 0, 1, b"", [[1, 1, b"k"]]]):
        with pytest.raises(WireError):
            decode(packed("Delta", *members))
    for name in ("Item", "Range", "Message", "delta", "", b"Delta", 1, None, []):
        with pytest.raises(WireError):
            decode(packed(name, "T9", 0, 1, b"", []))


# --- little that would be much
def _frame(octets: int, blocks: int, *, last: bool = True) -> bytes:
    """Return a zstd frame that says it has so many octets, and has blocks of 128 KiB each."""
    block = b"\0" * 1
    heads = [struct.pack("<I", 131_072 << 3 | 1 << 1 | (last and at == blocks - 1))[:3] + block for at in range(blocks)]
    return b"\x28\xb5\x2f\xfd" + bytes([0xA0]) + struct.pack("<I", octets) + b"".join(heads)


def most(data: bytes) -> int:
    """Return how many octets of Python's memory the reading of a message took at most."""
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            decode(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_frame_that_says_how_long_it_is_and_lies() -> None:
    """4 octets of each block stand for 128 KiB: 100 000 of them would be 13 GB."""
    assert most(_frame(10, 100_000)) < 8 << 20
    assert most(_frame(limits.UPSTREAM_MESSAGE_BYTES_MAX, 100_000)) < 3 * limits.UPSTREAM_MESSAGE_BYTES_MAX
    assert most(_frame(limits.UPSTREAM_MESSAGE_BYTES_MAX + 1, 100_000)) < 1 << 20
    assert most(_frame(131_073, 1)) < 1 << 20
    assert most(_frame(131_072, 1, last=False)) < 1 << 20


def test_a_frame_says_how_long_it_is() -> None:
    octets = msgpack.packb(["Delta", "T9", 0, 1, b"", []])
    with pytest.raises(WireError):
        decode(zstandard.ZstdCompressor(write_content_size=False).compress(octets))
    with pytest.raises(WireError):
        decode(squeezed(octets) + squeezed(octets))
    assert decode(squeezed(octets)) == messages.Delta("T9", 0, 1, b"", ())


@pytest.mark.parametrize("fill", [b"\x90", b"\x80", b"\xa2\xc3\xa9", b"\xd6\xff\0\0\0\1", b"\xcd\xff\xff"])
def test_many_small_members_take_little_memory(fill: bytes) -> None:
    """33 MB of empty lists, a message of 3 KB, would be 2.6 GB; of a row and of an envelope see the next ones."""
    count = limits.UPSTREAM_MESSAGE_BYTES_MAX // len(fill) // 10_000 - 1
    lists = b"\xdc" + struct.pack(">H", 10_000) + fill * 10_000
    octets = squeezed(b"\x92\xa5Delta\xdc" + struct.pack(">H", min(count, 10_000)) + lists * count)
    assert most(octets) < 4 * limits.UPSTREAM_MESSAGE_BYTES_MAX


def test_deep_nesting() -> None:
    for head in (b"\x91", b"\x81\xa0", b"\xdc\x27\x10"):
        assert most(squeezed(head * 100_000)) < 100 << 20
        with pytest.raises(WireError):
            unpack_row(head * 100_000)


def test_a_row_of_many_small_members() -> None:
    lists = b"\xdd" + struct.pack(">I", 1_000_000) + b"\x90" * 1_000_000
    tracemalloc.start()
    with pytest.raises(WireError):
        unpack_row(b"\x98" + lists * 8)
    assert tracemalloc.get_traced_memory()[1] < 90 << 20
    tracemalloc.stop()
    addresses = [["192.0.2.1", 1]] * limits.UPSTREAM_SOURCES_MAX
    assert unpack_row(msgpack.packb(["88.118", "2026-11-22", 0, 0, 0, 0, addresses, 0]))[6] == addresses


def test_the_longest_lists_that_there_are() -> None:
    refused = (messages.Refused(1, b"k", "rule", "因", "why"),) * limits.UPSTREAM_ITEMS_MAX
    receipt = messages.Receipt("applied", messages.Holding("T9", 1, 0, b"", 1), refused)
    assert decode(encode(receipt)) == receipt
    with pytest.raises(WireError):
        decode(encode(receipt._replace(refused=(*refused, refused[0], refused[0]))))


def test_the_octets_stay_as_they_are() -> None:
    """Pinned: what another version of this node, or another top node, has to read."""
    item = messages.Item(7, 1, b"88.118/S1", b"\x93\x01\xa1x\xc0")
    message = messages.Delta("T9", 6, 7, bytes(range(32)), (item,))
    assert zstandard.decompress(encode(message)).hex() == PINNED
    assert decode(squeezed(bytes.fromhex(PINNED))) == message


PINNED = (
    "96a544656c7461a254390607c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "91940701c40938382e3131382f5331c4059301a178c0"
)

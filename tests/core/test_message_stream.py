"""A stream comes apart into the messages that went in, however it is cut, and holds no more than came."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.wire.codepoints import VERSION
from core.wire.envelope import ENVELOPE_BYTES, Envelope, encode_envelope
from core.wire.stream import MessageStream


def message(payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return encode_envelope(Envelope(VERSION, VERSION, 0, 7, size)) + payload


@given(st.lists(st.binary(max_size=90), max_size=12), st.lists(st.integers(0, 1_500), max_size=20), st.randoms())
def test_messages_come_out_as_they_went_in(payloads: list[bytes], cuts: list[int], chance: object) -> None:
    """Whatever the pieces, and whenever it is asked; half a message stays."""
    messages = [message(payload) for payload in payloads]
    octets = b"".join(messages)
    places = sorted({min(cut, len(octets)) for cut in cuts} | {0, len(octets)})
    stream, found = MessageStream(), []
    for start, end in itertools.pairwise(places):
        stream.add(octets[start:end])
        if chance.random() < 0.7:  # type: ignore[attr-defined]
            while (each := stream.next()) is not None:
                found.append(each)
        assert stream.waiting == end - sum(map(len, found))
    while (each := stream.next()) is not None:
        found.append(each)
    assert found == messages
    assert stream.waiting == 0


def test_octet_by_octet_and_nothing_is_kept() -> None:
    """Each message is there with its last octet, not before; then the stream is as new."""
    stream = MessageStream()
    for payload in (b"", b"first", b"second" * 99):
        whole = message(payload)
        for place in range(len(whole)):
            assert stream.next() is None
            stream.add(whole[place : place + 1])
        assert stream.next() == whole
        assert (stream.waiting, stream._piece, len(stream._behind)) == (0, b"", 0)


def test_what_was_taken_is_not_kept_by_what_follows() -> None:
    """One octet of the next message must not hold a quarter of a megabyte."""
    stream = MessageStream()
    stream.add(message(bytes(200_000)) + b"\x02")
    assert stream.next() is not None
    assert stream.next() is None
    assert len(stream._piece) + len(stream._behind) == stream.waiting == 1
    stream.add(message(b"")[1:19])
    assert stream.next() is None
    assert len(stream._piece) + len(stream._behind) == stream.waiting == 19


def test_what_announces_too_much_is_refused_by_its_envelope() -> None:
    """Before it is whole, behind good messages too; the longest one that is taken is not."""
    stream = MessageStream()
    longest = message(bytes(limits.MESSAGE_BYTES_MAX))
    stream.add(message(b"good") + longest + message(b"", limits.MESSAGE_BYTES_MAX + 1))
    assert stream.next() == message(b"good")
    assert stream.next() == longest
    with pytest.raises(WireError, match=str(limits.MESSAGE_BYTES_MAX + 1)):
        stream.next()
    assert stream.envelope().request_id == 7
    assert stream.waiting == ENVELOPE_BYTES


@given(st.lists(st.binary(max_size=60), max_size=9))
def test_total_on_any_octets(pieces: list[bytes]) -> None:
    """A message, nothing yet, or the one error."""
    stream = MessageStream()
    for piece in pieces:
        stream.add(piece)
        try:
            while stream.next() is not None:
                pass
        except WireError:
            break

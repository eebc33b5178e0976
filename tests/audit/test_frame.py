"""Frames of the spool: what goes in comes out, and nothing else is taken for one."""

from __future__ import annotations

import contextlib
import struct
import zlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.frame import Entry, Row, decode_frame, encode_frame
from core import limits
from core.clock import Millis
from core.errors import Outcome, WireError
from core.events import Via

ROWS = st.lists(
    st.tuples(
        st.sampled_from([int(via) for via in Via]),
        st.sampled_from([outcome.value for outcome in Outcome]),
        st.one_of(st.just(b""), st.binary(min_size=6, max_size=6), st.binary(min_size=18, max_size=18)),
        st.binary(max_size=60),
        st.text(max_size=20),
    ),
    max_size=20,
)
TIMES = st.integers(0, 2**32 * 1_000 - 1)
ONE: Row = (1, "ok", bytes(6), b"88.1/X", "")


def entries(at_ms: int, rows: list[Row]) -> list[Entry]:
    return [Entry(Millis(at_ms), Via(row[0]), Outcome(row[1]), row[2], row[3], row[4]) for row in rows]


def framed(payload: bytes) -> bytes:
    return struct.pack(">II", len(payload), zlib.crc32(payload)) + payload


@given(TIMES, ROWS, st.binary(max_size=40))
def test_a_frame_makes_the_round_trip(at_ms: int, rows: list[Row], before: bytes) -> None:
    """Wherever it begins; and it says where the next one does."""
    frame = encode_frame(at_ms, rows)
    assert decode_frame(before + frame + b"more", len(before)) == (entries(at_ms, rows), len(before) + len(frame))


@given(TIMES, ROWS, st.data())
def test_a_torn_frame_is_none(at_ms: int, rows: list[Row], data: st.DataObject) -> None:
    """At whatever octet it is cut: it ends the segment, and is no error."""
    frame = encode_frame(at_ms, rows)
    assert decode_frame(frame[: data.draw(st.integers(0, len(frame) - 1))]) is None


@given(TIMES, ROWS, st.data())
def test_a_changed_octet_is_found(at_ms: int, rows: list[Row], data: st.DataObject) -> None:
    """In the payload or the checksum: WireError. In the length: that, or the frame seems cut."""
    frame = bytearray(encode_frame(at_ms, rows))
    place = data.draw(st.integers(0, len(frame) - 1))
    frame[place] ^= data.draw(st.integers(1, 255))
    try:
        assert decode_frame(bytes(frame)) is None
        assert place < 4
    except WireError:
        pass


@given(st.binary(max_size=200), st.booleans())
def test_decoding_is_total_on_any_bytes(octets: bytes, as_payload: bool) -> None:
    """Entries, nothing, or WireError; also behind a right checksum."""
    with contextlib.suppress(WireError):
        decode_frame(framed(octets) if as_payload else octets)


@pytest.mark.parametrize(
    "content",
    [
        None, [], [1], [1, 2], [-1, []], ["x", []], [True, []], [1, [[]]], [1, [[1, "ok", b"", b""]]],
        [1, [[99, "ok", b"", b"", ""]]], [1, [[1, "fine", b"", b"", ""]]], [1, [[1, "ok", "", b"", ""]]],
        [1, [[1, "ok", b"", "", ""]]], [1, [[1, "ok", b"", b"", b""]]], [1, [[1.0, "ok", b"", b"", ""]]],
        [1, [ONE], 3],
    ],
)  # fmt: skip
def test_what_is_no_entry_is_refused(content: object) -> None:
    """Each field has its kind, and there are neither more nor fewer."""
    with pytest.raises(WireError):
        decode_frame(framed(msgpack.packb(content)))


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    """A length that is nonsense does not ask for memory."""
    with pytest.raises(WireError, match=str(limits.LOG_FRAME_BYTES_MAX + 1)):
        decode_frame(struct.pack(">II", limits.LOG_FRAME_BYTES_MAX + 1, 0))


def test_the_longest_frame_that_is_written_can_be_read() -> None:
    """LOG_FRAME_ROWS_MAX rows, each as long as may be."""
    row: Row = (1, "session-key-invalid", bytes(18), bytes(limits.LOGGED_IDENTIFIER_BYTES), "9" * 11 + "x" * 2_048)
    frame = encode_frame(2**32 * 1_000 - 1, [row] * limits.LOG_FRAME_ROWS_MAX)
    assert len(frame) <= limits.LOG_FRAME_BYTES_MAX
    found = decode_frame(frame)
    assert found is not None and len(found[0]) == limits.LOG_FRAME_ROWS_MAX

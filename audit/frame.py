"""One turn of a worker's event loop, as octets of the spool.

| octets | what |
|---|---|
| 4 | length of the payload, big-endian, at most LOG_FRAME_BYTES_MAX |
| 4 | CRC-32 of the payload (ISO 3309), big-endian |
| n | payload: msgpack ``[at_ms, [[via, outcome, peer, identifier, who], …]]`` |

``at_ms``: Unix milliseconds of the whole turn, below 2**32 s. ``via``: number of ``core.events.Via``.
``outcome``: value of ``Outcome``, text. ``peer``: octets as in ``core/peer.py``.
``identifier``: as asked, octets, at most LOGGED_IDENTIFIER_BYTES. ``who``: the proven
identity as INDEX:HANDLE, empty for nobody.

The first nine octets of the payload stand in no UTF-8: who searches for a frame finds none that somebody asked for.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgpack
import msgspec

from core import limits
from core.clock import Millis, read_millis
from core.errors import Outcome, WireError
from core.events import Via

Row = tuple[int, str, bytes, bytes, str]
"""An entry as it is packed: via, outcome, peer, identifier, who."""

_HEAD: Final = struct.Struct(">II")
HEAD_BYTES: Final = _HEAD.size
_PAYLOAD_BEGIN: Final = b"\x92\xcf"  # two members, the first one a number of eight octets: a time of our days
_UNPACK: Final = msgspec.msgpack.Decoder(tuple[int, list[Row]]).decode
_PEER_BYTES: Final = {0, 6, 18}
_PACK: Final = msgpack.Packer().pack
_CAUSES: Final = (ValueError, msgspec.MsgspecError, RecursionError)


class Entry(NamedTuple):
    """One resolution."""

    at_ms: Millis
    via: Via
    outcome: Outcome
    peer: bytes
    identifier: bytes
    who: str


def encode_frame(at_ms: int, rows: Sequence[Row]) -> bytes:
    """Return the frame of a turn. Bounds: LOG_FRAME_ROWS_MAX rows."""
    payload: bytes = _PACK((at_ms, rows))
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def read_frame(data: bytes, start: int = 0) -> tuple[int, Sequence[Row], int] | None:
    """Read the frame that begins there; return its time, its rows and where the next one begins.

    None where the data ends before the frame does. Errors: WireError for what is no frame. Cost: 0.3 µs a row.
    """
    if len(data) - start < HEAD_BYTES:
        return None
    length, checksum = _HEAD.unpack_from(data, start)
    if length > limits.LOG_FRAME_BYTES_MAX:
        raise WireError(f"A frame of {length} octets; at most {limits.LOG_FRAME_BYTES_MAX} are written")
    begin = start + HEAD_BYTES
    end = begin + length
    if len(data) < end:
        return None
    payload = data[begin:end]
    if zlib.crc32(payload) != checksum:
        raise WireError("The checksum of a frame is wrong")
    at_ms, rows = _payload(payload)
    return at_ms, rows, end


def decode_frame(data: bytes, start: int = 0) -> tuple[list[Entry], int] | None:
    """Read a frame as ``read_frame`` does; return its entries and where the next one begins. Errors: WireError."""
    found = read_frame(data, start)
    if found is None:
        return None
    at_ms, rows, end = found
    return [_entry(Millis(at_ms), row) for row in rows], end


def find_frame(data: bytes, start: int) -> int | None:
    """Return where the first whole frame behind an offset begins, None if there is none."""
    at = start
    while (at := data.find(_PAYLOAD_BEGIN, at + HEAD_BYTES)) >= 0:
        at -= HEAD_BYTES
        try:
            if read_frame(data, at) is not None:
                return at
        except WireError:
            pass
        at += 1
    return None


def _payload(payload: bytes) -> tuple[int, Sequence[Row]]:
    """Errors: WireError."""
    try:
        at_ms, rows = _UNPACK(payload)
        read_millis(at_ms)
        if not _PEER_BYTES.issuperset({len(row[2]) for row in rows}):
            raise ValueError("no peer")
        if max([len(row[3]) for row in rows], default=0) > limits.LOGGED_IDENTIFIER_BYTES:
            raise ValueError("an identifier is too long")
        for via in {row[0] for row in rows}:
            Via(via)
        for outcome in {row[1] for row in rows}:
            Outcome(outcome)
    except _CAUSES as error:
        raise WireError(f"A frame cannot be read: {error}") from None
    return at_ms, rows


def _entry(at_ms: Millis, row: Row) -> Entry:
    via, outcome, peer, identifier, who = row
    return Entry(at_ms, Via(via), Outcome(outcome), peer, identifier, who)

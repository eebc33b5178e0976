"""The sequencer's write-ahead record: what one round publishes, and how far it has read then.

The file ``log.pending`` in the data folder, mode 0600 since it has addresses of clients: replaced as a whole in each
round, before anything of the round is published.

| octets | what |
|---|---|
| 16 | ``saltern pending`` and a line feed |
| 4 | CRC-32 of what follows (ISO 3309), big-endian |
| n | msgpack of Pending, its members in order |

Whoever starts publishes it once more: each file that is there already is left as it is, and has the same octets.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, NamedTuple

import msgpack

from core.clock import parse_month
from core.streams import Stream

MAGIC: Final = b"saltern pending\n"
_CHECKSUM_BYTES: Final = 4


class PendingError(ValueError):
    """The record cannot be read."""


class Append(NamedTuple):
    """Leaves that a log gets. ``first``: index of the first one, the log's size before."""

    stream: str
    month: str
    first: int
    leaves: list[bytes]


class Side(NamedTuple):
    """What a side table gets (``audit/side.py``), from an offset on."""

    stream: str
    month: str
    offset: int
    data: bytes


class Pending(NamedTuple):
    """One round. ``host``: begins the names of the month's logs; ``newest_ms``: newest entry of all so far.

    ``queue``: number of the last row that was read; ``segments``: how far each segment was. ``sizes``: entries of each
    log of the month, with this round. ``marks``: what the keeper remembers from one start to the next.
    """

    month: str
    host: str
    newest_ms: int
    queue: int
    segments: dict[str, int]
    sizes: dict[str, int]
    marks: dict[str, str]
    appends: list[Append]
    sides: list[Side]


def pack_pending(pending: Pending) -> bytes:
    """Return the file."""
    body: bytes = msgpack.packb(pending)
    return MAGIC + zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "big") + body


def unpack_pending(data: bytes) -> Pending:
    """Read the file. Errors: PendingError."""
    body = data[len(MAGIC) + _CHECKSUM_BYTES :]
    if data[: len(MAGIC)] != MAGIC or zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "big") != data[len(MAGIC) :][:4]:
        raise PendingError("log.pending 已损坏。log.pending is damaged")
    try:
        members: list[Any] = msgpack.unpackb(body)
        pending = Pending(*members)
        if parse_month(pending.month) is None:
            raise ValueError(f"no month {pending.month!r}")
        appends = [Append(*each) for each in pending.appends]
        for each in appends:
            Stream(each.stream)
        return pending._replace(appends=appends, sides=[Side(*each) for each in pending.sides])
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise PendingError(f"log.pending 无法读取。log.pending cannot be read: {error}") from None

"""Rows of the table LOG_QUEUE: entries of the statutory logs on their way to the sequencer.

LOG_QUEUE  key: number of the row, eight octets, big-endian, 1 for the first; gap-free
           0  1  version (1)
           1     msgpack [at_ms, who, protocol, peer, entries]; see LogRow
META       key "log_queue": number of the last row, eight octets, big-endian

A row is what one request did, or was refused: written in the transaction of the act (design §4, §6). The keeper
takes rows away once the log that holds them is published.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgpack

from core.clock import Millis, read_millis
from core.errors import StoreError
from core.streams import Stream
from core.who import Who, unpack_who

LAST_LOG_KEY: Final = b"log_queue"
NUMBER_BYTES: Final = 8
_VERSION: Final = b"\x01"
DIGEST_BYTES: Final = 32
_ENTRY_MEMBERS: Final = 9


class LogEntry(NamedTuple):
    """One act, or one refusal, as the log will have it.

    ``stream``: value of Stream. ``action``: ``record.create``, ``record.change``, ``record.delete`` or a call of
    ``registry/roles.py``. ``object``: what it is about. ``before``, ``after``: SHA-256, empty where there is nothing.
    ``outcome``: value of Outcome. ``rule``: what refused it, empty for what was done. ``reason``: as somebody gave
    it, or was told it. ``evidence``: SHA-256, empty without.
    """

    stream: str
    action: str
    object: str
    before: bytes = b""
    after: bytes = b""
    outcome: str = "ok"
    rule: str = ""
    reason: str = ""
    evidence: bytes = b""


class LogRow(NamedTuple):
    """What one request did. ``protocol``: as ``core.events.PROTOCOLS`` names it; ``peer``: as ``core/peer.py``."""

    at_ms: Millis
    who: Who
    protocol: str
    peer: bytes
    entries: tuple[LogEntry, ...]


def log_key(number: int) -> bytes:
    """Return the key of a row."""
    return number.to_bytes(NUMBER_BYTES, "big")


def pack_log_row(row: LogRow) -> bytes:
    """Return the row."""
    packed: bytes = msgpack.packb(row)
    return _VERSION + packed


def unpack_log_row(row: bytes) -> LogRow:
    """Read a row. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        at_ms, who, protocol, peer, entries = msgpack.unpackb(row[1:])
        if not (isinstance(protocol, str) and isinstance(peer, bytes) and isinstance(entries, list)):
            raise ValueError("a member is of the wrong kind")
        return LogRow(read_millis(at_ms), unpack_who(who), protocol, peer, tuple(_entry(each) for each in entries))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of the log queue cannot be read: {error}") from None


def _entry(packed: object) -> LogEntry:
    """Errors: ValueError, TypeError."""
    if not isinstance(packed, list) or len(packed) != _ENTRY_MEMBERS:
        raise ValueError("no entry")
    entry = LogEntry(*packed)
    texts = (entry.stream, entry.action, entry.object, entry.outcome, entry.rule, entry.reason)
    digests = (entry.before, entry.after, entry.evidence)
    if not all(isinstance(each, str) for each in texts):
        raise ValueError("a member is no text")
    if not all(isinstance(each, bytes) and len(each) in (0, DIGEST_BYTES) for each in digests):
        raise ValueError("a member is no digest")
    Stream(entry.stream)
    return entry

"""Rows of the tables TRANSFERS and HISTORY: prefixes that came from other nodes.

TRANSFERS  key: the folded prefix
           0  1  version (1)
           1     msgpack map: key_id, digest, chain, total, done, link, begun_ms, ended_ms, before,
                 replaced
HISTORY    key: folded prefix, 00 (which no prefix holds), number of the line, eight octets, big-endian
           0  1  version (1)
           1     msgpack [origin, number, "change" or "entry", row of CHANGES or JOURNAL]

What happened to a prefix elsewhere is kept as it was told; it is no change and no entry of this node.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgpack

from core.changes import Change, pack_change, unpack_change
from core.clock import Millis, read_millis
from core.errors import StoreError
from core.store.application_rows import unpack_application
from core.store.journal_rows import Entry, pack_entry, unpack_entry
from core.store.prefix_rows import HOSTINGS

_VERSION: Final = b"\x01"
_DIGEST_BYTES: Final = 32
_NUMBER_BYTES: Final = 8


class Transfer(NamedTuple):
    """An import. ``key_id``: who signed it. ``digest``: SHA-256 of the file before its last line, as signed.

    ``chain``: the last link, as signed; ``link``: the last one so far. ``total``, ``done``: lines of the
    body. ``ended_ms``: 0 while it is under way. ``before``: how the prefix was hosted if it was homed.
    ``replaced``: row of APPLICATIONS in whose place it is while it is under way; empty for none.
    """

    key_id: str
    digest: bytes
    chain: bytes
    total: int
    done: int
    link: bytes
    begun_ms: Millis
    ended_ms: Millis = Millis(0)
    before: str = ""
    replaced: bytes = b""


class Past(NamedTuple):
    """What happened elsewhere. ``origin``: key id of the node there. ``number``: serial, or number of the entry."""

    origin: str
    number: int
    what: Change | Entry


def pack_transfer(transfer: Transfer) -> bytes:
    """Return the row of an import."""
    row: bytes = msgpack.packb(transfer._asdict())
    return _VERSION + row


def unpack_transfer(row: bytes) -> Transfer:
    """Read the row of an import. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        transfer = Transfer(**msgpack.unpackb(row[1:]))
        digests = (transfer.digest, transfer.chain, transfer.link)
        if not all(isinstance(each, bytes) and len(each) == _DIGEST_BYTES for each in digests):
            raise ValueError("a digest")
        if type(transfer.total) is not int or type(transfer.done) is not int or not isinstance(transfer.key_id, str):
            raise ValueError("total, done or key_id")
        if not 0 <= transfer.done <= transfer.total or transfer.before not in ("", *HOSTINGS):
            raise ValueError("done or before")
        if not isinstance(transfer.replaced, bytes):
            raise ValueError("replaced")
        if transfer.replaced:
            unpack_application(transfer.replaced)
        return transfer._replace(begun_ms=read_millis(transfer.begun_ms), ended_ms=read_millis(transfer.ended_ms))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of transfers cannot be read: {error}") from None


def history_key(prefix: bytes, number: int) -> bytes:
    """Return the key of a line of history."""
    return prefix + b"\0" + number.to_bytes(_NUMBER_BYTES, "big")


def history_range(prefix: bytes) -> tuple[bytes, bytes]:
    """Return start and stop of the keys of all history of a prefix."""
    return prefix + b"\0", prefix + b"\x01"


def history_number(key: bytes) -> int:
    """Return the number of a line of history."""
    return int.from_bytes(key[-_NUMBER_BYTES:], "big")


def prefix_of_history(key: bytes) -> bytes:
    """Return the prefix of a key of HISTORY. Errors: StoreError for what is no such key."""
    prefix, zero = key[: -_NUMBER_BYTES - 1], key[-_NUMBER_BYTES - 1 : -_NUMBER_BYTES]
    if not prefix or zero != b"\0":
        raise StoreError("a key of history cannot be read")
    return prefix


def pack_past(past: Past) -> bytes:
    """Return the row of what happened elsewhere."""
    if isinstance(past.what, Change):
        change = past.what
        kind, inner = "change", pack_change(change.kind, change.identifier.encode(), change.at_ms)
    else:
        kind, inner = "entry", pack_entry(past.what)
    row: bytes = msgpack.packb((past.origin, past.number, kind, inner))
    return _VERSION + row


def unpack_past(row: bytes) -> Past:
    """Read the row of what happened elsewhere. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        origin, number, kind, inner = msgpack.unpackb(row[1:])
        if not (isinstance(origin, str) and type(number) is int and number >= 0 and isinstance(inner, bytes)):
            raise ValueError("a member")
        what: Change | Entry
        if kind == "change":
            change = unpack_change(inner)
            what = change._replace(at_ms=read_millis(change.at_ms))
        elif kind == "entry":
            what = unpack_entry(inner)
        else:
            raise ValueError(f"kind {kind!r}")
        return Past(origin, number, what)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of history cannot be read: {error}") from None

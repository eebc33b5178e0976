"""Rows of the tables PREFIXES and COUNTERS, both keyed by the folded prefix.

PREFIXES  0  1  version (1)
          1     msgpack map: hosting ("hosted" or "delegated"), homed_ms, and suspended (true) where it is
COUNTERS  0  1  version (1)
          1  8  number of records under the prefix, big-endian
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import msgpack

from core.clock import Millis, read_millis
from core.errors import StoreError
from core.ident.handle import PrefixKey, ancestors
from core.store.engine import Table

_VERSION: Final = b"\x01"
HOSTED: Final = "hosted"
DELEGATED: Final = "delegated"
HOSTINGS: Final = (HOSTED, DELEGATED)


class HomedPrefix(NamedTuple):
    """A homed prefix. ``hosting``: hosted, the records live here; delegated, at another node.

    ``suspended``: nothing below it is answered until it is resumed, however it is hosted.
    """

    hosting: str
    homed_ms: Millis
    suspended: bool = False


def pack_prefix(prefix: HomedPrefix) -> bytes:
    """Return the row of a homed prefix."""
    members = prefix._asdict()
    if not prefix.suspended:
        del members["suspended"]
    row: bytes = msgpack.packb(members)
    return _VERSION + row


@lru_cache(maxsize=1_024)
def unpack_prefix(row: bytes) -> HomedPrefix:
    """Read the row of a homed prefix. Errors: StoreError if it cannot be read.

    Cached: every request reads the row of its prefix.
    """
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        members = msgpack.unpackb(row[1:])
        if members["hosting"] not in HOSTINGS:
            raise ValueError(f"hosting {members['hosting']!r}")
        suspended = members.get("suspended", False)
        if not isinstance(suspended, bool):
            raise ValueError(f"suspended {suspended!r}")
        return HomedPrefix(members["hosting"], read_millis(members["homed_ms"]), suspended)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of prefixes cannot be read: {error}") from None


def pack_count(count: int) -> bytes:
    """Return the row of a counter."""
    return _VERSION + count.to_bytes(8, "big")


def unpack_count(row: bytes | None) -> int:
    """Read the row of a counter; no row is zero. Errors: StoreError if it cannot be read."""
    if row is None:
        return 0
    if len(row) != 9 or row[:1] != _VERSION:
        raise StoreError("a row of counters cannot be read")
    return int.from_bytes(row[1:], "big")


class Rows(Protocol):
    """A snapshot, or what is staged over one."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return a row, None if there is none."""


def nearest_homed(rows: Rows, prefix: bytes) -> PrefixKey | None:
    """Return the prefix itself or the nearest one above it that is homed, None where none is."""
    return next((each for each in ancestors(prefix) if each and rows.get(Table.PREFIXES, each) is not None), None)

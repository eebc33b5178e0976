"""Rows of the table LOG_HOLDS: months of the logs that are on legal hold, and by which orders.

LOG_HOLDS  key: name of the log, ASCII: ``registration/2026-03``
           row: as of HOLDS (``hold_rows.py``); its target is the key, and no reason is public

A row without orders is none, as there.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import StoreError
from core.store.engine import Snapshot, Table
from core.store.hold_rows import Hold, unpack_hold
from core.streams import parse_log


def unpack_log_hold(key: bytes, row: bytes) -> Hold:
    """Read a row. Errors: StoreError if it cannot be read, or is not of this key."""
    hold = unpack_hold(row)
    if hold.target != key or parse_log(key.decode(errors="replace")) is None:
        raise StoreError(f"a row of log_holds cannot be read: {key!r} holds {hold.target!r}")
    return hold


def log_holds(snapshot: Snapshot) -> Iterator[tuple[str, Hold]]:
    """Yield the name of each log that is on hold, and its orders. Errors: StoreError."""
    for key, row in snapshot.scan(Table.LOG_HOLDS, b""):
        yield key.decode(), unpack_log_hold(key, row)

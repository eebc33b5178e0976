"""Are the rows of what is owed to top nodes what they should be? A part of ``fsck.py``; reads only through a Snapshot.

Checked: every row of UPSTREAMS, SYNC_TABLES, SYNC_REFUSED, SYNC_DAYS, DEPOSITS and HANDED_BACK can be read, under a
key of its form; an upstream is under the id of its key; a state and a refused row are of a table that there is (of a
top node that is not connected, too: connected again it goes on where it was); a row of a day begins with the prefix
and the day of its key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Final

import msgpack

from core.errors import StoreError
from core.signature import KEY_ID_DIGITS, key_id
from core.store.deposit_rows import unpack_deposit
from core.store.engine import Snapshot, Table
from core.store.handed_rows import check_handed
from core.store.upstream_rows import (
    TABLES,
    day_of,
    refused_of,
    unpack_day,
    unpack_link_state,
    unpack_logs,
    unpack_mark,
    unpack_refused,
    unpack_table_state,
    unpack_upstream,
)

_STATES: Final[Mapping[str, Callable[[bytes], Any]]] = {
    **dict.fromkeys(TABLES, unpack_table_state),
    "link": unpack_link_state,
    "logs": unpack_logs,
}
"""What a row of SYNC_TABLES is, by what stands behind the upstream in its key."""


_ID = re.compile(rb"[0-9a-f]{%d}" % KEY_ID_DIGITS)


def check_upstream(snapshot: Snapshot) -> Iterator[str]:
    """Yield a sentence for each fault. Cost: reads all rows of the five tables."""
    for key, row in snapshot.scan(Table.UPSTREAMS, b""):
        try:
            public = unpack_upstream(row).public_key
        except StoreError as error:
            yield f"upstreams {key!r}: {error.message}"
            continue
        if key_id(public).encode() != key:
            yield f"upstreams {key!r}: its key has another id"
    yield from _states(snapshot)
    yield from _refused(snapshot)
    yield from _days(snapshot)
    for key, row in snapshot.scan(Table.DEPOSITS, b""):
        try:
            unpack_deposit(row)
        except StoreError as error:
            yield f"deposits {key!r}: {error.message}"
    for key, row in snapshot.scan(Table.HANDED_BACK, b""):
        fault = check_handed(key, row, _ID.fullmatch)
        if fault:
            yield f"handed_back {key!r}: {fault}"


def _states(snapshot: Snapshot) -> Iterator[str]:
    for key, row in snapshot.scan(Table.SYNC_TABLES, b""):
        fault = _misplaced(key, _STATES.keys())
        try:
            _STATES.get(_table_in(key), unpack_table_state)(row)
        except StoreError as error:
            fault = fault or error.message
        if fault:
            yield f"sync_tables {key!r}: {fault}"


def _refused(snapshot: Snapshot) -> Iterator[str]:
    for key, row in snapshot.scan(Table.SYNC_REFUSED, b""):
        try:
            refused_of(key)
            unpack_refused(row)
        except StoreError as error:
            yield f"sync_refused {key!r}: {error.message}"
            continue
        fault = _misplaced(key.partition(b"\0")[0], TABLES)
        if fault:
            yield f"sync_refused {key!r}: {fault}"


def _misplaced(key: bytes, tables: Set[str]) -> str:
    """Return what is wrong with upstream and table of a key, or nothing."""
    if not _ID.fullmatch(key.partition(b"/")[0]):
        return "it is under no id of a key"
    return "" if _table_in(key) in tables else "there is no such table"


def _table_in(key: bytes) -> str:
    return key.partition(b"/")[2].decode(errors="replace")


def _days(snapshot: Snapshot) -> Iterator[str]:
    for key, row in snapshot.scan(Table.SYNC_DAYS, b""):
        try:
            _, day, prefix = day_of(key)
            if prefix:
                _require_row(unpack_day(row), prefix, day)
            else:
                unpack_mark(row)
        except StoreError as error:
            yield f"sync_days {key!r}: {error.message}"


def _require_row(row: bytes, prefix: bytes, day: str) -> None:
    """Errors: StoreError; what the row holds is not told, for it has addresses."""
    try:
        values = msgpack.unpackb(row)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        raise StoreError("a row of sync_days cannot be read") from None
    if not isinstance(values, list) or values[:2] != [prefix.decode(errors="replace"), day]:
        raise StoreError("it is the row of another prefix or day")

"""What lives between two connections: challenges, sessions, log-ins.

A second LMDB environment in ``run/``, shared by all workers, so that the next message
may reach another one; written without sync, since the supervisor empties the folder
when the node starts (design §5). A row lives until its time is over or, when its kind
has too many rows or octets, until those that end before it are gone: nobody can fill
it, and a flood must be faster than an honest client's next message.

    rows     kind, id             -> 8 when it ends (ms), payload
    ends     kind, 8 ends, id     -> nothing; the order in which rows go
    totals   kind                 -> 8 rows, 8 octets

Octets count as the pages take them: half-full at worst, whole where a row is long.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import lmdb

from core import limits
from core.clock import Millis
from core.errors import StoreError

T = TypeVar("T")

_TIME: Final = 8
_LOCK_BYTES: Final = 32_768
_PAGE: Final = 4_096
_LONG: Final = 1_900  # rows of half a page and more get pages of their own
_OVERHEAD: Final = 128  # key, header, the row of the order


class Kind(NamedTuple):
    """One kind of row. ``tag``: one octet, stored."""

    tag: bytes
    rows_max: int
    bytes_max: int


CHALLENGE: Final = Kind(b"c", limits.CHALLENGES_MAX, limits.CHALLENGES_BYTES_MAX)
SESSION: Final = Kind(b"s", limits.SESSIONS_MAX, limits.SESSIONS_BYTES_MAX)
LOGIN: Final = Kind(b"l", limits.LOGINS_MAX, limits.LOGINS_BYTES_MAX)
KINDS: Final = (CHALLENGE, SESSION, LOGIN)


class Row(NamedTuple):
    """One row, and when it ends."""

    payload: bytes
    ends_ms: int


class RunStore:
    """The open environment. Errors: every method raises StoreError where it cannot be used."""

    def __init__(self, folder: Path) -> None:
        """Open it, and make it if it is not there yet. Open it after any fork."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _take_room(folder / "lock.mdb")
            self._environment: Any = lmdb.open(
                str(folder), map_size=limits.RUN_STORE_BYTES, max_dbs=3, max_readers=limits.RUN_STORE_READERS,
                sync=False, metasync=False, mode=0o600,
            )  # fmt: skip
            self._rows, self._ends, self._totals = (
                self._environment.open_db(name) for name in (b"rows", b"ends", b"totals")
            )
        except (OSError, lmdb.Error) as error:
            raise StoreError(f"cannot open {folder}: {error}") from None

    def get(self, kind: Kind, identifier: bytes, now_ms: Millis) -> Row | None:
        """Return a row, None if there is none or its time is over."""
        try:
            with self._environment.begin() as transaction:
                return _living(transaction.get(kind.tag + identifier, None, self._rows), now_ms)
        except lmdb.Error as error:
            raise _unusable(error) from None

    def add(self, kind: Kind, identifier: bytes, row: Row, now_ms: Millis) -> bool:
        """Write a row; False if one of that id lives already."""

        def change(known: Row | None) -> tuple[Row | None, bool]:
            return (row, True) if known is None else (known, False)

        return self.update(kind, identifier, now_ms, change)

    def take(self, kind: Kind, identifier: bytes, now_ms: Millis) -> Row | None:
        """Remove a row and return it: of several who ask only one gets it."""
        return self.update(kind, identifier, now_ms, lambda known: (None, known))

    def update(
        self, kind: Kind, identifier: bytes, now_ms: Millis, change: Callable[[Row | None], tuple[Row | None, T]]
    ) -> T:
        """Replace a row by what ``change`` makes of it (None: remove it); return its second result.

        No other process reads or writes the row between.
        """
        key = kind.tag + identifier
        try:
            with self._environment.begin(write=True) as transaction:
                old = transaction.get(key, None, self._rows)
                new, result = change(_living(old, now_ms))
                if old is not None:
                    self._remove(transaction, key, old)
                if new is not None:
                    self._make_room(transaction, kind, taken(_TIME + len(new.payload)))
                    self._put(transaction, key, new)
        except lmdb.Error as error:
            raise _unusable(error) from None
        return result

    def sweep(self, now_ms: Millis) -> int:
        """Remove rows whose time is over, at most RUN_SWEEP_ROWS; return how many."""
        removed = 0
        try:
            with self._environment.begin(write=True) as transaction:
                for kind in KINDS:
                    while removed < limits.RUN_SWEEP_ROWS and self._remove_first(transaction, kind, now_ms):
                        removed += 1
        except lmdb.Error as error:
            raise _unusable(error) from None
        return removed

    def count(self, kind: Kind) -> int:
        """Return how many rows of a kind there are, those whose time is over included."""
        try:
            with self._environment.begin() as transaction:
                return self._total(transaction, kind.tag)[0]
        except lmdb.Error as error:
            raise _unusable(error) from None

    def check_readers(self) -> int:
        """Free the slots of readers that were killed; return how many."""
        freed: int = self._environment.reader_check()
        return freed

    def close(self) -> None:
        """Close it."""
        self._environment.close()

    # --- pieces ---
    def _put(self, transaction: Any, key: bytes, row: Row) -> None:
        ends = row.ends_ms.to_bytes(_TIME, "big")
        transaction.put(key, ends + row.payload, db=self._rows)
        transaction.put(key[:1] + ends + key[1:], b"", db=self._ends)
        self._count(transaction, key[:1], 1, taken(_TIME + len(row.payload)))

    def _remove(self, transaction: Any, key: bytes, stored: bytes) -> None:
        transaction.delete(key, db=self._rows)
        transaction.delete(key[:1] + stored[:_TIME] + key[1:], db=self._ends)
        self._count(transaction, key[:1], -1, -taken(len(stored)))

    def _make_room(self, transaction: Any, kind: Kind, size: int) -> None:
        while True:
            rows, octets = self._total(transaction, kind.tag)
            if rows < kind.rows_max and octets + size <= kind.bytes_max:
                return
            if not self._remove_first(transaction, kind, None):
                return

    def _remove_first(self, transaction: Any, kind: Kind, now_ms: int | None) -> bool:
        """Remove the row that ends first; with a time, only if it has ended by then."""
        cursor = transaction.cursor(self._ends)
        if not cursor.set_range(kind.tag):
            return False
        place: bytes = cursor.key()
        if place[:1] != kind.tag or (now_ms is not None and int.from_bytes(place[1 : 1 + _TIME], "big") > now_ms):
            return False
        key = place[:1] + place[1 + _TIME :]
        self._remove(transaction, key, transaction.get(key, None, self._rows))
        return True

    def _total(self, transaction: Any, tag: bytes) -> tuple[int, int]:
        row = transaction.get(tag, bytes(16), self._totals)
        return int.from_bytes(row[:8], "big"), int.from_bytes(row[8:], "big")

    def _count(self, transaction: Any, tag: bytes, rows: int, octets: int) -> None:
        before = self._total(transaction, tag)
        total = (before[0] + rows).to_bytes(8, "big") + (before[1] + octets).to_bytes(8, "big")
        transaction.put(tag, total, db=self._totals)


def taken(octets: int) -> int:
    """Return what a row of that many octets, its time included, takes in the file at worst."""
    if octets < _LONG:
        return 2 * (octets + _OVERHEAD)
    return _PAGE * -(-(octets + _OVERHEAD) // _PAGE) + _OVERHEAD


def _living(stored: bytes | None, now_ms: int) -> Row | None:
    if stored is None:
        return None
    ends_ms = int.from_bytes(stored[:_TIME], "big")
    return Row(stored[_TIME:], ends_ms) if ends_ms > now_ms else None


def _take_room(path: Path) -> None:
    """Make the lock file whole before LMDB does so sparsely: a slot that a full disk cannot hold is a SIGBUS."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        os.posix_fallocate(descriptor, 0, _LOCK_BYTES)
    finally:
        os.close(descriptor)


def _unusable(error: Exception) -> StoreError:
    return StoreError(f"Challenges and sessions cannot be kept just now ({error}); try again")

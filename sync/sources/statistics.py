"""The rows of T3, T8 and T12: the figures of days, as ``sync/days.py`` and ``sync/monitor/days.py`` made them.

Key: ``2026-11-22/88.118.7``. A day that is not whole yet has no rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core.changes import ChangeKind
from core.store.engine import Snapshot, Table
from core.store.upstream_rows import day_key, day_of, days_range, unpack_day
from sync.days import newest_day
from sync.feeding import day_number
from sync.table import Operation, TableKind

_DAY_CHARS: Final = 10


class StatisticsSource:
    """See Source. ``table``: T3, T8 or T12."""

    kinds: Final = frozenset[ChangeKind]()

    def __init__(self, table: TableKind) -> None:
        self._table = table
        self._start, self._stop = days_range(table.name)

    @property
    def table(self) -> TableKind:
        """Return the table."""
        return self._table

    def touched(self, kind: ChangeKind, identifier: bytes) -> tuple[bytes, Operation] | None:
        """No change touches a row."""
        return None

    def row(self, snapshot: Snapshot, key: bytes) -> bytes | None:
        """Return the row of a key, None if there is none."""
        if len(key) <= _DAY_CHARS + 1:
            return None  # the mark of a day
        packed = snapshot.get(Table.SYNC_DAYS, self._start + key)
        if packed is None or snapshot.get(Table.SYNC_DAYS, self._start + key[: _DAY_CHARS + 1]) is None:
            return None
        return unpack_day(packed)

    def rows(self, snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and rows of a range, in order. Errors: StoreError."""
        end = self._stop if stop is None else self._start + stop
        asked, whole = "", False
        for key, packed in snapshot.scan(Table.SYNC_DAYS, self._start + start, end):
            _, day, prefix = day_of(key)
            if day != asked:
                asked = day
                whole = snapshot.get(Table.SYNC_DAYS, day_key(self._table.name, day)) is not None
            if whole and prefix:
                yield key[len(self._start) :], unpack_day(packed)

    def context(self, snapshot: Snapshot) -> bytes:
        """Rows rest on nothing else."""
        return b""

    def latest(self, snapshot: Snapshot) -> int:
        """Return the number of the newest day that is whole, with rows or without; 0 for none."""
        day = newest_day(snapshot, self._table.name)
        return 0 if day is None else day_number(day.isoformat())

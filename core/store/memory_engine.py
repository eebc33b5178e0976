"""The engine that keeps everything in memory: for tests, and for the shape of the contract.

Snapshots share sorted dictionaries that a commit replaces and never changes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from core.changes import Serial
from core.errors import StoreError
from core.limits import STORE_KEY_BYTES_MAX
from core.store.engine import Batch, ExpectationError, Statistics, Table


class _State:
    """One committed state; never changed once it is published."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.tables: dict[Table, dict[bytes, bytes]] = {table: {} for table in Table}
        self.keys: dict[Table, list[bytes]] = {table: [] for table in Table}
        self.feed: list[bytes] = []


class MemorySnapshot:
    """See Snapshot."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def get(self, table: Table, key: bytes) -> bytes | None:
        return self._state.tables[table].get(key)

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        rows = self._state.tables[table]
        return [rows.get(key) for key in keys]

    def scan(self, table: Table, start: bytes, stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        keys, rows = self._state.keys[table], self._state.tables[table]
        end = len(keys) if stop is None else bisect_left(keys, stop)
        for place in range(bisect_left(keys, start), end):
            yield keys[place], rows[keys[place]]

    def floor(self, table: Table, key: bytes) -> tuple[bytes, bytes] | None:
        keys = self._state.keys[table]
        position = bisect_right(keys, key)
        if not position:
            return None
        found = keys[position - 1]
        return found, self._state.tables[table][found]

    def feed(self, after: Serial, count: int) -> list[tuple[Serial, bytes]]:
        rows = self._state.feed[after : after + max(0, count)]
        return [(Serial(after + 1 + position), row) for position, row in enumerate(rows)]

    def serial(self) -> Serial:
        return Serial(len(self._state.feed))

    def state(self) -> int:
        return self._state.number

    def close(self) -> None:
        """Nothing to end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemoryEngine:
    """See Engine."""

    def __init__(self) -> None:
        self._state = _State()

    def snapshot(self) -> MemorySnapshot:
        return MemorySnapshot(self._state)

    def commit(self, batch: Batch) -> Serial:
        for table, rows in batch.expected.items():
            for key, row in rows.items():
                if self._state.tables[table].get(key) != row:
                    raise ExpectationError(f"a row of {table.value} was written by another process")
        new = _State(self._state.number + 1)
        new.tables = dict(self._state.tables)
        new.keys = dict(self._state.keys)
        for table, rows in batch.rows.items():
            kept = dict(new.tables[table])
            for key, row in rows.items():
                if not 0 < len(key) <= STORE_KEY_BYTES_MAX:
                    raise StoreError(f"a key of {len(key)} octets; 1 … {STORE_KEY_BYTES_MAX} fit", table=table.value)
                if row is None:
                    kept.pop(key, None)
                else:
                    kept[key] = row
            new.tables[table] = kept
            new.keys[table] = sorted(kept)
        last = len(self._state.feed)
        for key, place in batch.serials.items():
            new.tables[Table.META] = new.tables[Table.META] | {key: (last + 1 + place).to_bytes(8, "big")}
            new.keys[Table.META] = sorted(new.tables[Table.META])
        new.feed = self._state.feed + batch.changes
        self._state = new
        return Serial(len(new.feed))

    def statistics(self) -> Statistics:
        rows = {table.value: len(kept) for table, kept in self._state.tables.items()}
        return Statistics(rows | {"changes": len(self._state.feed)}, 0, 0)

    def check_readers(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to close."""

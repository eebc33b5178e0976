"""What is true of one index of a lot, by the rows of LOT_RUNS and LOT_CONTENTS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from core.lots import GONE
from core.store.engine import Table
from core.store.lot_rows import (
    Run,
    contents_key,
    index_in,
    indexed_key,
    unpack_contents,
    unpack_run,
)


class OrderedRows(Protocol):
    """Rows that can be read in order, and from below."""

    def scan(self, table: Table, start: bytes, stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and row from ``start`` (included) to ``stop`` (not included), in order."""

    def floor(self, table: Table, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that is not above ``key``."""


def run_at(rows: OrderedRows, lot: bytes, index: int) -> Run | None:
    """Return the run that an index lies in, None if it lies in none. ``lot``: key of its handle."""
    found = rows.floor(Table.LOT_RUNS, indexed_key(lot, index))
    if found is None or not found[0].startswith(lot + b"\0"):
        return None
    run = unpack_run(found[1])
    return run if index < run.stop else None


def run_start(rows: OrderedRows, lot: bytes, index: int) -> int:
    """Return the first index of the run that an index lies in."""
    found = rows.floor(Table.LOT_RUNS, indexed_key(lot, index))
    assert found is not None, "the caller has found the run"
    return index_in(found[0])


def runs_over(rows: OrderedRows, lot: bytes, indexes: range) -> Iterator[tuple[int, Run]]:
    """Yield the runs that have any of the indexes, each with its first index, in order."""
    if not indexes:
        return
    below = rows.floor(Table.LOT_RUNS, indexed_key(lot, indexes.start))
    if below is not None and below[0].startswith(lot + b"\0") and below[0] != indexed_key(lot, indexes.start):
        run = unpack_run(below[1])
        if run.stop > indexes.start:
            yield index_in(below[0]), run
    for key, row in rows.scan(Table.LOT_RUNS, indexed_key(lot, indexes.start), indexed_key(lot, indexes.stop)):
        yield index_in(key), unpack_run(row)


def children_of(rows: OrderedRows, lot: bytes, parent: int, by_rule: range) -> list[int]:
    """Return the indexes of what is in a case or on a pallet: by rule, and by what was re-packed; nothing that is GONE.

    ``by_rule``: what would be in it if nothing had happened.
    """
    left = set(by_rule)
    for start, run in runs_over(rows, lot, by_rule):
        if run.state in GONE or (run.parent is not None and run.parent != parent):
            left.difference_update(range(start, run.stop))
    start_key, stop_key = contents_key(lot, parent), contents_key(lot, parent + 1)
    for key, row in rows.scan(Table.LOT_CONTENTS, start_key, stop_key):
        moved = range(index_in(key), unpack_contents(row))
        left.update(moved)
        for start, run in runs_over(rows, lot, moved):
            if run.state in GONE:
                left.difference_update(range(start, run.stop))
    return sorted(left)

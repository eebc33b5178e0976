"""The runs of a lot while a batch of events is decided: read once, changed in memory, written where they differ.

Runs never overlap. Two that meet become one where state, place and parent are the same and time goes on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from core.clock import Millis
from core.lots import UnitState
from core.store.engine import Table
from core.store.lot_rows import (
    Run,
    contents_key,
    index_in,
    indexed_key,
    pack_contents,
    pack_run,
    unpack_contents,
)
from core.store.run_reading import runs_over
from registry.staging import Staging

_SPANS_MAX: Final = 32
_GAP_MAX: Final = 1_000  # indexes


class Piece(NamedTuple):
    """Some indexes of one run, or of none: what nothing happened to."""

    indexes: range
    run: Run | None

    @property
    def state(self) -> UnitState:
        """Their state."""
        return UnitState.ALLOCATED if self.run is None else self.run.state

    @property
    def parent(self) -> int | None:
        """What they were put in, None by rule."""
        return None if self.run is None else self.run.parent


class LotRuns:
    """The runs that have any of some indexes, and those next to them. ``ranges``: of indexes, not empty, in any order.

    Cost: reads what lies between them, too, but for the widest gaps: of units and their case a few.
    """

    def __init__(self, staging: Staging, lot: bytes, ranges: Iterable[range]) -> None:
        self._staging = staging
        self._lot = lot
        self._stored: dict[int, Run] = {}
        for span in _spans(ranges):
            self._stored.update(runs_over(staging, lot, range(max(0, span.start - 1), span.stop + 1)))
        self._starts = sorted(self._stored)
        self._runs = [self._stored[start] for start in self._starts]

    def pieces(self, indexes: range) -> Iterator[Piece]:
        """Yield what the indexes are made of, in order."""
        at = indexes.start
        place = max(0, bisect_right(self._starts, at) - 1)
        while at < indexes.stop:
            if place >= len(self._starts) or self._starts[place] >= indexes.stop:
                yield Piece(range(at, indexes.stop), None)
                return
            start, run = self._starts[place], self._runs[place]
            if start > at:
                yield Piece(range(at, start), None)
                at = start
            if run.stop > at:
                yield Piece(range(at, min(run.stop, indexes.stop)), run)
                at = min(run.stop, indexes.stop)
            place += 1

    def put(
        self, indexes: range, state: UnitState, times: tuple[Millis, Millis], place: str, parent: int | None
    ) -> None:
        """Give the indexes one state. ``indexes``: of one piece."""
        self._cut(indexes.start)
        self._cut(indexes.stop)
        low = bisect_right(self._starts, indexes.start - 1)
        high = bisect_right(self._starts, indexes.stop - 1)
        run = Run(indexes.stop, state, *times, place, parent)
        self._starts[low:high] = [indexes.start]
        self._runs[low:high] = [run]
        if low + 1 < len(self._starts) and run.last_ms <= self._runs[low + 1].first_ms:
            self._join(low + 1)
        self._join(low)

    def write(self) -> None:
        """Stage what differs from what is stored."""
        now = dict(zip(self._starts, self._runs, strict=True))
        for start in self._stored.keys() - now.keys():
            self._staging.put(Table.LOT_RUNS, indexed_key(self._lot, start), None)
        for start, run in now.items():
            if self._stored.get(start) != run:
                self._staging.put(Table.LOT_RUNS, indexed_key(self._lot, start), pack_run(run))
        self._stored = now

    def _cut(self, at: int) -> None:
        """Divide the run that goes over an index into two."""
        place = bisect_right(self._starts, at) - 1
        if place >= 0 and self._starts[place] < at < self._runs[place].stop:
            run = self._runs[place]
            self._runs[place] = run._replace(stop=at)
            self._starts.insert(place + 1, at)
            self._runs.insert(place + 1, run)

    def _join(self, place: int) -> None:
        """Make one run of those at a place and before it, if they are alike."""
        if not 0 < place < len(self._starts):
            return
        before, after = self._runs[place - 1], self._runs[place]
        if before.stop == self._starts[place] and _alike(before, after):
            self._runs[place - 1] = before._replace(stop=after.stop, last_ms=max(before.last_ms, after.last_ms))
            del self._starts[place], self._runs[place]


def _spans(ranges: Iterable[range]) -> Iterator[range]:
    """Yield spans in order that hold all ranges, and no gap but narrow ones. Bounds: _SPANS_MAX."""
    low = high = -1
    gaps: list[tuple[int, int]] = []
    for each in sorted(ranges, key=lambda each: each.start):
        if low < 0:
            low, high = each.start, each.stop
        if each.start - high > _GAP_MAX:
            gaps.append((high, each.start))
        high = max(high, each.stop)
    widest = sorted(gaps, key=lambda gap: gap[0] - gap[1])[: _SPANS_MAX - 1]
    for start, stop in sorted(widest):
        yield range(low, start)
        low = stop
    yield range(low, high)


def _alike(before: Run, after: Run) -> bool:
    same = (before.state, before.place, before.parent) == (after.state, after.place, after.parent)
    return same and before.first_ms <= after.first_ms


class LotContents:
    """What is listed with cases and pallets, not being there by rule: read once each, changed in memory."""

    def __init__(self, staging: Staging, lot: bytes) -> None:
        self._staging = staging
        self._lot = lot
        self._now: dict[int, dict[int, int]] = {}  # by parent: where each range begins and ends
        self._stored: dict[int, dict[int, int]] = {}

    def size(self, parent: int) -> int:
        """Return how many indexes are listed with a parent."""
        return sum(stop - start for start, stop in self._of(parent).items())

    def move(self, indexes: range, old: int | None, new: int | None) -> None:
        """List indexes with another parent. ``old``, ``new``: None by rule, or NO_PARENT: listed nowhere.

        Bounds: LOT_PACKED_MAX indexes of a parent, which the caller sees to.
        """
        if old is not None and old >= 0:
            ranges = self._of(old)
            for start, stop in list(ranges.items()):
                if start < indexes.stop and indexes.start < stop:
                    del ranges[start]
                    for low, high in ((start, min(stop, indexes.start)), (max(start, indexes.stop), stop)):
                        if low < high:
                            ranges[low] = high
        if new is not None and new >= 0:
            self._of(new)[indexes.start] = indexes.stop

    def write(self) -> None:
        """Stage what differs from what is stored."""
        for parent, ranges in self._now.items():
            stored = self._stored[parent]
            for start in stored.keys() - ranges.keys():
                self._staging.put(Table.LOT_CONTENTS, contents_key(self._lot, parent, start), None)
            for start, stop in ranges.items():
                if stored.get(start) != stop:
                    self._staging.put(Table.LOT_CONTENTS, contents_key(self._lot, parent, start), pack_contents(stop))
            self._stored[parent] = dict(ranges)

    def _of(self, parent: int) -> dict[int, int]:
        if parent not in self._now:
            rows = self._staging.scan(
                Table.LOT_CONTENTS, contents_key(self._lot, parent), contents_key(self._lot, parent + 1)
            )
            self._stored[parent] = {index_in(key): unpack_contents(row) for key, row in rows}
            self._now[parent] = dict(self._stored[parent])
        return self._now[parent]

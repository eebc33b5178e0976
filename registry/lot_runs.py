"""The runs of a lot while a batch of events is decided: read as they are needed, changed in memory, written at its end.

Runs never overlap. Two that meet become one where state, place and parent are the same and time goes on.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
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
    unpack_run,
)
from registry.lot_work import READ_STEPS, SEEK_STEPS, Work
from registry.staging import Staging

_AHEAD: Final = 4  # runs that are read beyond what was asked for: about what it costs to begin anew
_END: Final = 2**32 - 1  # above all indexes


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


class Change(NamedTuple):
    """What some indexes become. ``indexes``: of one piece. ``times``: since when the first and the last of them."""

    indexes: range
    state: UnitState
    times: tuple[Millis, Millis]
    place: str
    parent: int | None


class LotRuns:
    """The runs of a lot, as far as it was asked for them."""

    def __init__(self, staging: Staging, lot: bytes, work: Work) -> None:
        self._staging = staging
        self._lot = lot
        self._work = work
        self._stored: dict[int, Run] = {}
        self._starts: list[int] = []
        self._runs: list[Run] = []
        self._known: tuple[list[int], list[int]] = [], []  # where what is known begins and ends; nothing cuts a run

    def load(self, indexes: range) -> None:
        """Read the runs that have any of the indexes, and those next to them, and perhaps a few more.

        Errors: NodeError(TOO_LARGE) where they are too many; then nothing is changed.
        """
        starts, stops = self._known
        at = max(0, indexes.start - 1)
        while at <= indexes.stop:
            place = bisect_right(starts, at)
            if place and stops[place - 1] > at:
                at = stops[place - 1]
                continue
            at = self._read(at, indexes.stop, place)

    def _read(self, at: int, last: int, place: int) -> int:
        """Read from an index that is not known to the last one, or to what is known; return up to where it is now.

        ``place``: of what is known next.
        """
        starts, stops = self._known
        low = stops[place - 1] if place else 0
        high = starts[place] if place < len(starts) else _END
        found: list[tuple[int, Run]] = []
        if low < at:
            low = self._descend(low, at, found)
        ahead = 0
        self._work.spend(SEEK_STEPS)
        for key, row in self._staging.ascend(Table.LOT_RUNS, indexed_key(self._lot, at), indexed_key(self._lot, high)):
            self._work.spend(READ_STEPS)
            start = index_in(key)
            ahead += start > last
            if row is not None:
                found.append((start, unpack_run(row)))
            if ahead > _AHEAD:
                high = max(start + 1, found[-1][1].stop if found else 0)
                break
        self._work.move(len(self._starts))
        into = bisect_right(self._starts, at)
        self._starts[into:into] = [start for start, _ in found]
        self._runs[into:into] = [run for _, run in found]
        self._stored.update(found)
        self._know(low, high, place)
        return high

    def _descend(self, low: int, at: int, found: list[tuple[int, Run]]) -> int:
        """Look below an index for the run that goes over it; return from where it is known now, ``low`` at least."""
        for key, row in self._staging.descend(Table.LOT_RUNS, indexed_key(self._lot, at - 1)):
            self._work.spend(SEEK_STEPS)
            if key < indexed_key(self._lot, low):
                break
            if row is not None:
                start, run = index_in(key), unpack_run(row)
                if run.stop <= at:
                    return run.stop
                found.append((start, run))
                return start
        return low

    def _know(self, low: int, high: int, place: int) -> None:
        """Know a stretch more, before that at a place."""
        starts, stops = self._known
        self._work.move(len(starts))
        first = place - 1 if place and stops[place - 1] == low else place
        last = place + 1 if place < len(starts) and starts[place] == high else place
        begin = starts[first] if first < place else low
        end = stops[place] if last > place else high
        starts[first:last] = [begin]
        stops[first:last] = [end]

    def count(self, indexes: range) -> int:
        """Return how many runs have any of the indexes, one more at most."""
        return bisect_left(self._starts, indexes.stop) - max(0, bisect_right(self._starts, indexes.start) - 1)

    def pieces(self, indexes: range) -> Iterator[Piece]:
        """Yield what the indexes are made of, in order. They are loaded."""
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

    def change(self, changes: Sequence[Change]) -> None:
        """Change pieces of what is loaded, in the order of their indexes: as if one after the other."""
        low = max(0, bisect_left(self._starts, changes[0].indexes.start) - 1)
        high = bisect_right(self._starts, changes[-1].indexes.stop)
        done: list[tuple[int, Run]] = []
        rest = list(zip(self._starts[low:high], self._runs[low:high], strict=True))[::-1]  # the next one is the last
        for indexes, state, times, place, parent in changes:
            _move_below(indexes.start, rest, done)
            _drop_below(indexes.stop, rest)
            start, run = indexes.start, Run(indexes.stop, state, *times, place, parent)
            if rest and rest[-1][0] == run.stop and run.last_ms <= rest[-1][1].first_ms and _alike(run, rest[-1][1]):
                run = _joined(run, rest.pop()[1])
            if done and done[-1][1].stop == start and _alike(done[-1][1], run):
                start, before = done.pop()
                run = _joined(before, run)
            rest.append((start, run))
        done += reversed(rest)
        self._work.move(len(self._starts))
        self._starts[low:high] = [start for start, _ in done]
        self._runs[low:high] = [run for _, run in done]

    def write(self) -> None:
        """Stage what differs from what is stored."""
        now = dict(zip(self._starts, self._runs, strict=True))
        for start in self._stored.keys() - now.keys():
            self._staging.put(Table.LOT_RUNS, indexed_key(self._lot, start), None)
        for start, run in now.items():
            if self._stored.get(start) != run:
                self._staging.put(Table.LOT_RUNS, indexed_key(self._lot, start), pack_run(run))


def _move_below(at: int, rest: list[tuple[int, Run]], done: list[tuple[int, Run]]) -> None:
    """Move what begins below an index from what is left to what is done; cut the run that goes over it."""
    while rest and rest[-1][0] < at:
        start, run = rest.pop()
        if run.stop > at:
            done.append((start, run._replace(stop=at)))
            rest.append((at, run))
        else:
            done.append((start, run))


def _drop_below(at: int, rest: list[tuple[int, Run]]) -> None:
    while rest and rest[-1][0] < at:
        _, run = rest.pop()
        if run.stop > at:
            rest.append((at, run))


def _joined(before: Run, after: Run) -> Run:
    return before._replace(stop=after.stop, last_ms=max(before.last_ms, after.last_ms))


def _alike(before: Run, after: Run) -> bool:
    same = (before.state, before.place, before.parent) == (after.state, after.place, after.parent)
    return same and before.first_ms <= after.first_ms


class _Listed:
    """Ranges of indexes that do not overlap, in order."""

    def __init__(self, ranges: list[tuple[int, int]]) -> None:
        self.starts = [start for start, _ in ranges]
        self.stops = [stop for _, stop in ranges]
        self.size = sum(self.stops) - sum(self.starts)

    def add(self, indexes: range) -> None:
        """Add indexes, none of which is listed."""
        place = bisect_right(self.starts, indexes.start)
        self.starts.insert(place, indexes.start)
        self.stops.insert(place, indexes.stop)
        self.size += len(indexes)

    def remove(self, indexes: range) -> None:
        """Remove those of the indexes that are listed."""
        low, high = bisect_right(self.stops, indexes.start), bisect_left(self.starts, indexes.stop)
        if low >= high:
            return
        ends = (self.starts[low], indexes.start), (indexes.stop, self.stops[high - 1])
        left = [(start, stop) for start, stop in ends if start < stop]
        self.size -= sum(self.stops[low:high]) - sum(self.starts[low:high])
        self.size += sum(stop - start for start, stop in left)
        self.starts[low:high] = [start for start, _ in left]
        self.stops[low:high] = [stop for _, stop in left]

    def rows(self) -> dict[int, int]:
        """Return where each begins and ends."""
        return dict(zip(self.starts, self.stops, strict=True))


class LotContents:
    """What is listed with cases and pallets, not being there by rule: read once each, changed in memory."""

    def __init__(self, staging: Staging, lot: bytes, work: Work) -> None:
        self._staging = staging
        self._lot = lot
        self._work = work
        self._now: dict[int, _Listed] = {}
        self._stored: dict[int, dict[int, int]] = {}

    def size(self, parent: int) -> int:
        """Return how many indexes are listed with a parent. Errors: NodeError(TOO_LARGE)."""
        return self._of(parent).size

    def ranges(self, parent: int) -> list[range]:
        """Return the indexes that are listed with a parent. Errors: NodeError(TOO_LARGE)."""
        return [range(start, stop) for start, stop in self._of(parent).rows().items()]

    def load(self, parents: Iterable[int | None]) -> None:
        """Read what is listed with some parents: None by rule, or NO_PARENT: listed nowhere. Errors: TOO_LARGE."""
        for parent in parents:
            if parent is not None and parent >= 0:
                self._of(parent)

    def move(self, indexes: range, old: int | None, new: int | None) -> None:
        """List indexes with another parent, both loaded.

        Bounds: LOT_PACKED_MAX indexes of a parent, which the caller sees to.
        """
        if old is not None and old >= 0:
            self._of(old).remove(indexes)
        if new is not None and new >= 0:
            self._of(new).add(indexes)

    def write(self) -> None:
        """Stage what differs from what is stored."""
        for parent, listed in self._now.items():
            stored, ranges = self._stored[parent], listed.rows()
            for start in stored.keys() - ranges.keys():
                self._staging.put(Table.LOT_CONTENTS, contents_key(self._lot, parent, start), None)
            for start, stop in ranges.items():
                if stored.get(start) != stop:
                    self._staging.put(Table.LOT_CONTENTS, contents_key(self._lot, parent, start), pack_contents(stop))

    def _of(self, parent: int) -> _Listed:
        if parent not in self._now:
            self._work.spend(SEEK_STEPS)
            start, stop = contents_key(self._lot, parent), contents_key(self._lot, parent + 1)
            stored: dict[int, int] = {}
            for key, row in self._staging.ascend(Table.LOT_CONTENTS, start, stop):
                self._work.spend(READ_STEPS)
                if row is not None:
                    stored[index_in(key)] = unpack_contents(row)
            self._stored[parent] = stored
            self._now[parent] = _Listed(list(stored.items()))
        return self._now[parent]

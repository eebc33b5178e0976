"""Reading the change feed: all of it, or what is left when changes of identifiers are passed over.

After an outage a million of these may lie before each table. They are read once for all tables that have nothing to do
with them, and not once for each: the feed only grows, so what was found of a span of it stays true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from core import limits
from core.changes import KIND_AT, ChangeKind, Serial
from core.ident.handle import PREFIX_HANDLES
from core.store.engine import Snapshot
from core.store.record_rows import prefix_range

_CHUNK: Final = limits.UPSTREAM_BATCH_ITEMS  # a batch of T9 is one, as a rule
_RECORDS: Final = (ChangeKind.RECORD_CREATED, ChangeKind.RECORD_CHANGED, ChangeKind.RECORD_DELETED)
_PREFIX_HANDLES: Final = prefix_range(PREFIX_HANDLES)[0]


class Seen(NamedTuple):
    """Changes, and up to where there are no others. ``trimmed``: those that follow are gone."""

    rows: list[tuple[Serial, bytes]]
    looked: int
    trimmed: bool = False


Look = Callable[[Snapshot, int, int], Seen]
"""Reads the changes behind a serial, up to another one at most; at least one step further, unless it is trimmed."""


def read_feed(snapshot: Snapshot, after: int, to: int) -> Seen:
    """Return all changes. See Look."""
    rows = snapshot.feed(Serial(after), min(_CHUNK, to - after))
    if not rows or rows[0][0] != after + 1:
        return Seen([], after, trimmed=True)
    return Seen(rows, rows[-1][0])


class Skim:
    """Remembers a span of the feed, and its changes of ``kinds``, without records of other than prefix handles.

    Bounds: the span ends where UPSTREAM_BATCH_ITEMS of them are found; then the next one begins.
    """

    def __init__(self, kinds: Iterable[ChangeKind]) -> None:
        self._others = frozenset(map(int, kinds)) - frozenset(map(int, _RECORDS))
        self._after = self._to = 0
        self._found: list[tuple[Serial, bytes]] = []

    def look(self, snapshot: Snapshot, after: int, to: int) -> Seen:
        """Return such changes. See Look. Cost: UPSTREAM_LOOKED_AT changes at most."""
        if not self._after <= after <= self._to or (after == self._to and self._is_full()):
            self._begin(after)
        while self._to < to and self._to - after < limits.UPSTREAM_LOOKED_AT and not self._is_full():
            seen = read_feed(snapshot, self._to, to)
            if seen.trimmed:
                return Seen([], after, trimmed=True)
            others, records = self._others, _PREFIX_HANDLES
            self._found += [each for each in seen.rows if each[1][KIND_AT] in others or records in each[1]]
            self._to = seen.looked
        looked = min(self._to, to)
        return Seen([each for each in self._found if after < each[0] <= looked], looked)

    def _begin(self, after: int) -> None:
        self._after = self._to = after
        self._found = []

    def _is_full(self) -> bool:
        return len(self._found) >= limits.UPSTREAM_BATCH_ITEMS

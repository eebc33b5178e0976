"""Counts the resolutions of some time: what was received, what was answered, and which addresses asked.

From the published log of resolutions alone, and its side table of addresses beside it. An entry lies in the log of its
month, or in a later one if it came late: so the months are read from that of the first time to the newest. Of a block
outside the time only the head is read. Blocks are counted by columns.

Where the side table has no record of a block, or none that fits it, its addresses are unknown: it is counted all the
same. Whoever counts gives each prefix its rows; an identifier may count in several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Final, NamedTuple

from audit.block import NOBODY, BlockError, Columns, is_block, read_columns, read_head
from audit.clients import ADDRESS_BYTES
from audit.reading import LogReadError, MonthLog, open_months
from audit.side import SideError, month_folder, read_side
from audit.source_tally import SourceTally
from core import limits
from core.clock import shanghai_month
from core.errors import Outcome
from core.events import Via
from core.ident.handle import PREFIX_HANDLES
from core.streams import Stream

ANSWERED: Final = frozenset({Outcome.OK.value})
"""Outcomes of what was found and answered here; a referral is neither."""

_NAMED: Final = -1  # a prefix handle: its suffix says which prefix it is about
_NOWHERE: Final = 0


class Place(NamedTuple):
    """A leaf of the log of a month."""

    month: str
    leaf: int


class DayQueries(NamedTuple):
    """What was counted, a number a row. ``behind``: the first leaf with an entry of a later time."""

    received: list[int]
    answered: list[int]
    behind: Place


RowsOf = Callable[[bytes], tuple[int, ...]]
"""Returns the numbers of the rows in which a folded prefix counts. It may be any octets."""


def day_queries(
    data: Path, since_ms: int, until_ms: int, tally: SourceTally, *, rows_of: RowsOf, rows: int,
    begin: Place | None = None,
) -> DayQueries:  # fmt: skip
    """Count the resolutions from ``since_ms`` to ``until_ms``, not included; addresses are added to ``tally``.

    ``rows``: how many there are. ``begin``: a leaf before which nothing is of this time.
    Cost: about 1 µs an entry; memory: one bundle. Errors: LogReadError; OSError of the tally.
    """
    counting = _Counting(since_ms, until_ms, rows_of, rows, tally)
    first, behind, last = shanghai_month(since_ms), None, Place("", 0)
    if begin is not None and begin.month > first:
        first = begin.month
    for log in open_months(data / "log", Stream.RESOLUTION, first):
        start = begin.leaf if begin is not None and begin.month == log.month else 0
        found = counting.read(log, start, _Side(month_folder(data, log.month) / Stream.RESOLUTION.value))
        behind = behind or (None if found is None else Place(log.month, found))
        last = Place(log.month, log.size)
    return DayQueries(counting.received, counting.answered, behind or last)


class _Counting:
    """The counts so far."""

    def __init__(self, since_ms: int, until_ms: int, rows_of: RowsOf, rows: int, tally: SourceTally) -> None:
        self._since_ms, self._until_ms = since_ms, until_ms
        self._groups = _Groups(rows_of)
        self._tally = tally
        self.received = [0] * rows
        self.answered = [0] * rows

    def read(self, log: MonthLog, start: int, side: _Side) -> int | None:
        """Count the leaves of a month; return the first one with an entry of a later time. Errors: LogReadError."""
        later = None
        for index, leaf in log.leaves(start):
            if not is_block(leaf):
                continue  # the first entry of a month
            try:
                head = read_head(leaf)
                if later is None and head.latest_ms >= self._until_ms:
                    later = index
                if head.latest_ms < self._since_ms or head.earliest_ms >= self._until_ms:
                    continue
                columns = read_columns(leaf)
            except BlockError as error:
                raise LogReadError(
                    f"{log.month} 第 {index} 叶无法读取。Leaf {index} of {log.month} cannot be read: {error}"
                ) from None
            if head.earliest_ms < self._since_ms or head.latest_ms >= self._until_ms:
                columns = _within(columns, self._since_ms - head.earliest_ms, self._until_ms - head.earliest_ms)
            self._count(columns, side.addresses(index, columns.clients))
        return later

    def _count(self, columns: Columns, addresses: Sequence[bytes]) -> None:
        groups = self._groups.of(columns.identifiers, columns.vias)
        answers = bytes(name in ANSWERED for name in columns.names[:256]).ljust(256, b"\0")
        for group, count in Counter(compress(groups, columns.codes.translate(answers))).items():
            for row in self._groups.rows[group]:
                self.answered[row] += count
        rows, received, add = self._groups.rows, self.received, self._tally.add
        for (group, client), count in Counter(zip(groups, columns.which, strict=True)).items():
            for row in rows[group]:
                received[row] += count
                if client != NOBODY and addresses:
                    add(row, addresses[client], count)


class _Groups(dict[bytes, int]):
    """Which rows a prefix as asked counts in, as a number: the place of these rows in ``rows``."""

    def __init__(self, rows_of: RowsOf) -> None:
        super().__init__()
        self._rows_of = rows_of
        self._numbers: dict[tuple[int, ...], int] = {(): _NOWHERE}
        self.rows: list[tuple[int, ...]] = [()]

    def __missing__(self, prefix: bytes) -> int:
        """Find it out, and remember it."""
        if len(self) >= limits.STATISTICS_PREFIXES_KEPT:
            self.clear()
        folded = prefix.upper()
        group = self[prefix] = _NAMED if folded == PREFIX_HANDLES else self._group(self._rows_of(folded))
        return group

    def _group(self, rows: tuple[int, ...]) -> int:
        number = self._numbers.setdefault(rows, len(self.rows))
        if number == len(self.rows):
            self.rows.append(rows)
        return number

    def of(self, identifiers: Sequence[bytes], vias: bytes) -> list[int]:
        """Return the group of each. Without "/" it is a prefix, and counts for that; a GS1 key has no prefix."""
        groups = [self[each.partition(b"/")[0]] for each in identifiers]
        if _NAMED in groups:
            for at, group in enumerate(groups):
                if group == _NAMED:
                    groups[at] = max(self[identifiers[at].partition(b"/")[2]], _NOWHERE)
        if Via.DIGITAL_LINK in vias:
            groups = [_NOWHERE if via == Via.DIGITAL_LINK else group for group, via in zip(groups, vias, strict=True)]
        return groups


class _Side:
    """The addresses of a month, asked for in the order of the leaves."""

    def __init__(self, path: Path) -> None:
        self._records = self._read(path)
        self._leaf = -1
        self._addresses: list[bytes] = []

    @staticmethod
    def _read(path: Path) -> Iterator[tuple[int, list[bytes]]]:
        try:
            for leaf, addresses in read_side(path):
                if type(leaf) is not int or type(addresses) is not list:
                    return
                yield leaf, addresses
        except (OSError, SideError):
            return  # erased, or damaged: the rest is unknown

    def addresses(self, leaf: int, clients: int) -> Sequence[bytes]:
        """Return the addresses of a block's clients, nothing where they are unknown."""
        while self._leaf < leaf:
            self._leaf, self._addresses = next(self._records, (leaf + 1, []))
        fits = self._leaf == leaf and len(self._addresses) == clients
        return self._addresses if fits and all(map(_is_address, self._addresses)) else ()


def _is_address(octets: object) -> bool:
    return isinstance(octets, bytes) and len(octets) in ADDRESS_BYTES


def _within(columns: Columns, since: int, until: int) -> Columns:
    """Return the entries of some time, in milliseconds since the earliest of the block."""
    inside = [since <= at < until for at, count in columns.runs for _ in range(count)]
    return columns._replace(
        vias=bytes(compress(columns.vias, inside)),
        codes=bytes(compress(columns.codes, inside)),
        which=tuple(compress(columns.which, inside)),
        identifiers=list(compress(columns.identifiers, inside)),
    )

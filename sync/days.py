"""The rows of T3 and T8, made once a day and kept: from the log of resolutions, the feed and the prefixes.

1. A day of Asia/Shanghai is made once it is over and all its resolutions are published; the oldest that is missing
   first, at most STATISTICS_DAYS_MAX back. Before the log begins there is no day.
2. A day is whole when its mark is there (``core/store/upstream_rows.py``), which is written last; it is never made
   again. What an interrupted making left is replaced.
3. T8 has a row for each prefix that was homed at the end of the day: of a delegated one only if it was asked for. T3
   has a row for each of the operator's own prefixes: enterprise prefixes below it, and queries for all below it that
   is not below another own prefix.
4. Rows hold addresses of clients. They go with the month of their log (``drop_days``), and are told to nobody but the
   upstream: no error and no log has any of them.

Used by whoever holds ``data/sync.lock``.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from audit.day_queries import DayQueries, Place, day_queries
from audit.reached import is_published
from audit.reading import months, open_month
from audit.retention import Clocks
from audit.source_tally import Source, SourceTally
from core import limits
from core.clock import (
    DAY_MS,
    Millis,
    month_after,
    month_start,
    parse_instant,
    shanghai_date,
    shanghai_midnight,
    shanghai_month,
)
from core.errors import StoreError
from core.ident.handle import PrefixKey
from core.store.engine import Batch, Engine, Snapshot, Table
from core.store.upstream_rows import (
    DAY_TABLES,
    STATISTICS_TABLES,
    DayMark,
    day_key,
    day_of,
    days_range,
    pack_day,
    pack_mark,
    unpack_mark,
)
from core.streams import Stream
from sync.day_figures import Figures, Time, day_figures
from sync.table import pack_row

_DAY: Final = datetime.timedelta(days=1)
_PREFIX_BYTES_MAX: Final = 4 * limits.PREFIX_CHARS_MAX
_DELETED_AT_ONCE: Final = 10_000
_T3, _T8 = STATISTICS_TABLES


class _Row(NamedTuple):
    """A row that is to be made: all but its queries. ``asked``: only if there was a query."""

    table: str
    prefix: PrefixKey
    added: int
    total: int
    asked: bool = False


def make_days(data: Path, engine: Engine, now_ms: Millis, sources_max: int = limits.UPSTREAM_SOURCES_MAX) -> int:
    """Make the oldest day that is missing; return how many were made, 0 or 1: then there may be more.

    ``data``: the data folder; ``sources_max``: addresses of one row. Cost: reads the day's log.
    Errors: StoreError; LogReadError where the log is damaged; OSError.
    """
    day = next(missing_days(data, engine, now_ms), None)
    if day is None or not is_published(data, shanghai_midnight(day + _DAY)):
        return 0
    make_day(data, engine, day, sources_max)
    return 1


def missing_days(data: Path, engine: Engine, now_ms: Millis) -> Iterator[datetime.date]:
    """Yield the days that are over and not made, in order. Errors: LogReadError."""
    over = shanghai_date(now_ms - limits.STATISTICS_GRACE_MS)
    first = _first_day(data)
    if first is None:
        return
    with engine.snapshot() as snapshot:
        begun = max(first, over - limits.STATISTICS_DAYS_MAX * _DAY)
        days = [begun + number * _DAY for number in range((over - begun).days)]
        yield from [day for day in days if not is_whole(snapshot, day)]


def is_whole(snapshot: Snapshot, day: datetime.date) -> bool:
    """Whether a day is made, of both tables."""
    return all(
        snapshot.get(Table.SYNC_DAYS, day_key(table, day.isoformat())) is not None for table in STATISTICS_TABLES
    )


def _first_day(data: Path) -> datetime.date | None:
    """Return the day on which the log of resolutions begins, None if there is none. Errors: LogReadError."""
    for month in months(data / "log", Stream.RESOLUTION):
        log = open_month(data / "log", Stream.RESOLUTION, month)
        if log is not None:
            begin = next((leaf for _, leaf in log.leaves(0, 1)), b"")
            return shanghai_date(_begun_ms(begin) or month_start(month))
    return None


def _begun_ms(leaf: bytes) -> Millis | None:
    """Return the time of the entry that begins the first log of a node; None for what else begins a month."""
    try:
        entry: Any = json.loads(leaf)
        return parse_instant(entry["t"])
    except (ValueError, TypeError, KeyError):
        return None


def make_day(data: Path, engine: Engine, day: datetime.date, sources_max: int = limits.UPSTREAM_SOURCES_MAX) -> None:
    """Make the rows of a day that is over and published, as they were at its end. Errors: as of ``make_days``."""
    begin_ms = shanghai_midnight(day)
    time = Time(begin_ms, begin_ms + DAY_MS)
    figures = day_figures(engine, time)
    rows = [*_own_rows(figures), *_prefix_rows(figures)]
    tally = SourceTally(data)
    try:
        queries = day_queries(
            data, time.begin_ms, time.end_ms, tally,
            rows_of=_Finder(figures, rows).rows_of, rows=len(rows), begin=_begin(engine, day),
        )  # fmt: skip
        _write(engine, day.isoformat(), rows, queries, tally.top(sources_max))
    finally:
        tally.close()


def _begin(engine: Engine, day: datetime.date) -> Place | None:
    """Return where the log of a day begins, as the making of the one before saw it."""
    with engine.snapshot() as snapshot:
        row = snapshot.get(Table.SYNC_DAYS, day_key(_T8, (day - _DAY).isoformat()))
    return None if row is None else Place(*unpack_mark(row))


# --- which rows ---
def _own_rows(figures: Figures) -> list[_Row]:
    """Return the rows of T3."""
    added, total = Counter[PrefixKey](), Counter[PrefixKey]()
    for prefix, standing in figures.prefixes.items():
        own = figures.own_above(prefix) if standing.given or standing.added else None
        if own is not None:
            added[own] += standing.added
            total[own] += standing.given
    return [
        _Row(_T3, prefix, added[prefix], total[prefix])
        for prefix, standing in sorted(figures.prefixes.items()) if standing.homed and standing.own
    ]  # fmt: skip


def _prefix_rows(figures: Figures) -> list[_Row]:
    """Return the rows of T8."""
    return [
        _Row(_T8, prefix, figures.added[prefix], figures.total[prefix], asked=not standing.hosted)
        for prefix, standing in sorted(figures.prefixes.items()) if standing.homed
    ]  # fmt: skip


class _Finder:
    """Finds the rows in which a query counts."""

    def __init__(self, figures: Figures, rows: list[_Row]) -> None:
        self._figures = figures
        self._numbers = {(row.table, row.prefix): number for number, row in enumerate(rows)}

    def rows_of(self, prefix: bytes) -> tuple[int, ...]:
        """Return the numbers of the rows of a folded prefix, which may be any octets."""
        if not prefix or len(prefix) > _PREFIX_BYTES_MAX or b"/" in prefix:
            return ()
        own = self._figures.own_above(prefix)
        wanted = (None if own is None else self._numbers[_T3, own], self._numbers.get((_T8, PrefixKey(prefix))))
        return tuple(number for number in wanted if number is not None)


# --- writing ---
def _write(
    engine: Engine, day: str, rows: list[_Row], queries: DayQueries, top: Iterator[tuple[int, list[Source]]]
) -> None:
    """Write a day, its mark last. Commits: one, or more where the rows are many. Errors: StoreError, OSError."""
    batch, octets = Batch(), 0
    with engine.snapshot() as snapshot:
        for table in STATISTICS_TABLES:  # of a making that was interrupted
            for key, _ in snapshot.scan(Table.SYNC_DAYS, day_key(table, day), day_key(table, day)[:-1] + b"0"):
                batch.put(Table.SYNC_DAYS, key, None)
    number, sources = next(top, (-1, []))
    for at, row in enumerate(rows):
        told: list[Source] = []
        if number == at:
            told = sources
            number, sources = next(top, (-1, []))
        if row.asked and not queries.received[at]:
            continue
        packed = pack_day(_pack(row, day, queries.received[at], queries.answered[at], told))
        batch.put(Table.SYNC_DAYS, day_key(row.table, day, row.prefix), packed)
        octets += len(packed)
        if octets >= limits.STATISTICS_COMMIT_BYTES:
            engine.commit(batch)
            batch, octets = Batch(), 0
    mark = pack_mark(DayMark(*queries.behind))
    for table in STATISTICS_TABLES:
        batch.put(Table.SYNC_DAYS, day_key(table, day), mark)
    engine.commit(batch)


def _pack(row: _Row, day: str, received: int, answered: int, sources: list[Source]) -> bytes:
    """Return a row of T3 or T8: prefix, day, added, total, received, answered, sources, others."""
    told = [(ipaddress.ip_address(address).compressed, count) for address, count in sources]
    others = received - sum(count for _, count in sources)
    return pack_row((row.prefix.decode(), day, row.added, row.total, received, answered, told, others))


# --- the end of a row ---
def first_month_kept(clocks: Clocks, retention_months: int) -> str:
    """Return the oldest month whose log of resolutions is kept, as ``audit/retention.py`` has it; by both clocks."""
    return month_after(shanghai_month(min(clocks)), -retention_months)


def drop_days(engine: Engine, first_month: str) -> int:
    """Delete the rows of days before a month; return how many. Errors: StoreError."""
    dropped = 0
    for table in DAY_TABLES:
        start, stop = days_range(table)[0], day_key(table, f"{first_month}-01")
        while True:
            with engine.snapshot() as snapshot:
                scanned = snapshot.scan(Table.SYNC_DAYS, start, stop)
                keys = [key for (key, _), _ in zip(scanned, range(_DELETED_AT_ONCE), strict=False)]
            if not keys:
                break
            batch = Batch()
            for key in keys:
                batch.put(Table.SYNC_DAYS, key, None)
            engine.commit(batch)
            dropped += len(keys)
    return dropped


def newest_day(snapshot: Snapshot, table: str) -> datetime.date | None:
    """Return the newest day of a table that is whole, None where there is none. Errors: StoreError."""
    start, below = days_range(table)
    while True:
        found = snapshot.floor(Table.SYNC_DAYS, below)
        if found is None or found[0] < start:
            return None
        if not found[0].startswith(start):
            raise StoreError(f"a key of sync_days cannot be read: {found[0]!r}")
        _, day, _ = day_of(found[0])
        if snapshot.get(Table.SYNC_DAYS, day_key(table, day)) is not None:
            return datetime.date.fromisoformat(day)
        below = day_key(table, day)[:-1]  # sorts behind the days before it

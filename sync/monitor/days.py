"""The rows of T12: the figures of a day and subject, made once from its hours and kept in SYNC_DAYS.

1. A day of Asia/Shanghai is made once it is over and all its hours are closed; the oldest that is missing first, at
   most STATISTICS_DAYS_MAX back. Before the first hour that was measured there is no day.
2. Days that are marked ahead of now were made by a clock that was ahead: they are taken back, and made in their time.
3. Each subject that has an hour of the day has a row, and the day its mark, in one commit; it is never made again.

Used by whoever holds ``data/sync.lock``.
"""

from __future__ import annotations

import datetime
from functools import reduce
from typing import Any, Final

from core import limits
from core.clock import Millis, shanghai_date
from core.store.engine import Batch, Engine, Snapshot, Table
from core.store.monitor_rows import subjects
from core.store.upstream_rows import FIGURES_TABLE, DayMark, day_key, days_range, pack_day, pack_mark
from sync.monitor.figures import Hour, Latency, join
from sync.monitor.storing import day_hours, first_day
from sync.table import pack_row

_DAY: Final = datetime.timedelta(days=1)


def make_figures(engine: Engine, now_ms: Millis) -> int:
    """Make the oldest day that is missing; return how many were made, 0 or 1: then there may be more.

    Errors: StoreError.
    """
    _take_back(engine, now_ms)
    with engine.snapshot() as snapshot:
        day = _missing_day(snapshot, now_ms)
        rows = None if day is None else _rows(snapshot, day)
    if day is None or rows is None:
        return 0
    batch = Batch()
    for subject, row in rows.items():
        batch.put(Table.SYNC_DAYS, day_key(FIGURES_TABLE, day, subject.encode()), pack_day(row))
    batch.put(Table.SYNC_DAYS, day_key(FIGURES_TABLE, day), pack_mark(DayMark(day[:7], 0)))
    engine.commit(batch)
    return 1


def _take_back(engine: Engine, now_ms: Millis) -> None:
    today = day_key(FIGURES_TABLE, shanghai_date(now_ms).isoformat())
    with engine.snapshot() as snapshot:
        newest = snapshot.floor(Table.SYNC_DAYS, days_range(FIGURES_TABLE)[1])
        if newest is None or newest[0] < today:
            return
        keys = [key for key, _ in snapshot.scan(Table.SYNC_DAYS, today, days_range(FIGURES_TABLE)[1])]
    batch = Batch()
    for key in keys:
        batch.put(Table.SYNC_DAYS, key, None)
    engine.commit(batch)


def _missing_day(snapshot: Snapshot, now_ms: Millis) -> str | None:
    first = first_day(snapshot)
    if first is None:
        return None
    over = shanghai_date(now_ms - limits.MONITOR_DAY_GRACE_MS)
    day = max(datetime.date.fromisoformat(first), over - limits.STATISTICS_DAYS_MAX * _DAY)
    while day < over:
        if snapshot.get(Table.SYNC_DAYS, day_key(FIGURES_TABLE, day.isoformat())) is None:
            return day.isoformat()
        day += _DAY
    return None


def _rows(snapshot: Snapshot, day: str) -> dict[str, bytes] | None:
    """Return the rows of a day by subject; None while an hour of it is open: the monitor closes it when it runs."""
    rows: dict[str, bytes] = {}
    for subject in subjects(snapshot):
        found = day_hours(snapshot, subject, day)
        if not all(closed for _, closed in found):
            return None
        if found:
            rows[subject] = pack_row((subject, day, *_figures([hour for hour, _ in found])))
    return rows


def _figures(hours: list[Hour]) -> list[Any]:
    """Return what follows subject and day: of resolution, then of registration."""
    return [
        *latency_figures(reduce(join, (hour.resolution for hour in hours))),
        *latency_figures(reduce(join, (hour.registration for hour in hours))),
    ]


def latency_figures(latency: Latency) -> tuple[int | None, ...]:
    """Return answers, mean, most and its second, least and its second, peak and its second; None for what is not known.

    The mean is rounded to the nearest microsecond.
    """
    if not latency.answers:
        return (0, *([None] * 7))
    mean = (2 * latency.sum_us + latency.answers) // (2 * latency.answers)
    peak = (latency.peak, latency.peak_s) if latency.peak else (None, None)
    return (latency.answers, mean, latency.max_us, latency.max_s, latency.min_us, latency.min_s, *peak)

"""What is measured, in the store: hours, anomalies and recoveries, and how each gets its entry in the maintenance log.

The process ``monitor`` alone calls what writes. Each act is one commit, which rests on the number of the log's queue:
the registrar writes there, too, so that a commit is tried again when that was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from core import limits
from core.changes import ChangeKind, pack_change
from core.clock import DAY_MS, Millis, format_shanghai, month_after, month_start, shanghai_month
from core.errors import StoreError
from core.store.engine import Batch, Engine, ExpectationError, Snapshot, Table
from core.store.log_queue import append
from core.store.log_rows import LogEntry, LogRow
from core.store.monitor_rows import (
    EventRow,
    HourRow,
    hour_in,
    hour_key,
    hours_between,
    newest_hours,
    open_anomalies,
    pack_event,
    pack_hour,
    subjects,
    unpack_event,
    unpack_hour,
)
from core.streams import Stream
from core.who import NODE as BY_ITSELF
from sync.monitor.adding import hour_of
from sync.monitor.figures import HOUR_ACT, NODE, Hour, Latency, Probes, dump_hour
from sync.monitor.happening import ANOMALY_ACT, RECOVERED_ACT, Happening, Kind, Status, dump_happening

_OPEN_AT_ONCE: Final = 2
_TIMES_AT: Final = {Status.ANOMALY: ANOMALY_ACT, Status.RECOVERED: RECOVERED_ACT}


class Left(NamedTuple):
    """How an earlier process left the hours. ``hours``: those that are open. ``closed``: the newest closed one, or
    empty. ``counted_s``: Unix second up to which seconds are in them, 0 where nothing was counted.
    """

    hours: list[Hour]
    closed: str
    counted_s: int


def hour_from(subject: str, hour: str, row: HourRow) -> Hour:
    """Return an hour as it is stored."""
    return Hour(subject, hour, Latency(*row.resolution), Latency(*row.registration), Probes(*row.probes))


def happening_from(number: str, row: EventRow) -> Happening:
    """Return an anomaly or a recovery as it is stored."""
    status, subject, condition, kind, at_ms, ends, cause = row
    return Happening(number, Status(status), subject, condition, Kind(kind), at_ms, ends, cause)


def read_left(snapshot: Snapshot, now_ms: Millis) -> Left:
    """Return how the hours were left. Cost: some look-ups a subject. Errors: StoreError.

    Hours that lie ahead of now are passed over: a clock that was ahead once does not keep the real ones from counting.
    """
    hours: list[Hour] = []
    closed, counted_s, now = "", 0, hour_of(now_ms)
    for subject in subjects(snapshot):
        for hour, row in newest_hours(snapshot, subject, _OPEN_AT_ONCE, now):
            counted_s = max(counted_s, row.counted_s)
            if row.closed:
                closed = max(closed, hour)
            else:
                hours.append(hour_from(subject, hour, row))
    return Left(hours, closed, counted_s)


def write_hours(engine: Engine, hours: Iterable[Hour], counted_s: int) -> None:
    """Write the open hours as they are now. ``counted_s``: see HourRow. Errors: StoreError."""
    batch = Batch()
    for hour in hours:
        batch.put(Table.MONITOR_HOURS, hour_key(hour.subject, hour.hour), _hour_row(hour, counted_s, closed=False))
    if batch.rows:
        engine.commit(batch)


def close_hours(
    engine: Engine, hours: list[Hour], still_open: list[Hour], counted_s: int, now_ms: Millis
) -> None:  # fmt: skip
    """Write hours that are over, and their entries, each one once; and those that are open still, for all of them are
    counted up to the same second. Commits: one for MONITOR_CLOSED_AT_ONCE.

    Errors: StoreError; then some may be closed, and the same call goes on.
    """
    for start in range(0, len(hours), limits.MONITOR_CLOSED_AT_ONCE):
        piece = hours[start : start + limits.MONITOR_CLOSED_AT_ONCE]
        _retried(engine, partial(_close, _Closing(piece, still_open, counted_s, now_ms)))


class _Closing(NamedTuple):
    hours: list[Hour]
    still_open: list[Hour]
    counted_s: int
    now_ms: Millis


def _close(closing: _Closing, batch: Batch, snapshot: Snapshot) -> None:
    entries = []
    for hour in closing.hours:
        key = hour_key(hour.subject, hour.hour)
        known = snapshot.get(Table.MONITOR_HOURS, key)
        if known is not None and unpack_hour(known).closed:
            continue
        batch.expect(Table.MONITOR_HOURS, key, known)
        batch.put(Table.MONITOR_HOURS, key, _hour_row(hour, closing.counted_s, closed=True))
        reason = dump_hour(hour)
        entries.append(LogEntry(Stream.MAINTENANCE.value, HOUR_ACT, f"{hour.subject} {hour.hour}", reason=reason))
    if entries:
        append(batch, snapshot, LogRow(closing.now_ms, BY_ITSELF, "", b"", tuple(entries)))
    for hour in closing.still_open:
        batch.put(
            Table.MONITOR_HOURS, hour_key(hour.subject, hour.hour), _hour_row(hour, closing.counted_s, closed=False)
        )


def _hour_row(hour: Hour, counted_s: int, *, closed: bool) -> bytes:
    counted_s = counted_s if hour.subject == NODE else 0
    return pack_hour(HourRow(closed, counted_s, hour.resolution, hour.registration, hour.probes))


def write_happening(engine: Engine, happening: Happening, now_ms: Millis) -> None:
    """Write an anomaly or a recovery: its row, its change of the feed and its entry, in one commit.

    One that is there already, as it is, is not written again. Errors: StoreError, also where another one has its
    number.
    """
    row = pack_event(EventRow(int(happening.status), *_members(happening)))
    key, act = happening.number.encode(), _TIMES_AT[happening.status]

    def stage(batch: Batch, snapshot: Snapshot) -> None:
        known = snapshot.get(Table.MONITOR_EVENTS, key)
        if known == row:
            return
        if known is not None:
            raise StoreError(f"{happening.number} is the number of another event")
        batch.expect(Table.MONITOR_EVENTS, key, None)
        batch.put(Table.MONITOR_EVENTS, key, row)
        batch.changes.append(pack_change(ChangeKind.MONITOR_EVENT, key, happening.at_ms))
        entry = LogEntry(Stream.MAINTENANCE.value, act, happening.number, reason=dump_happening(happening))
        append(batch, snapshot, LogRow(now_ms, BY_ITSELF, "", b"", (entry,)))

    _retried(engine, stage)


def _members(happening: Happening) -> tuple[str, str, int, Millis, str, str]:
    most = limits.MONITOR_TEXT_CHARS_MAX
    return (
        happening.subject, happening.condition[:most], int(happening.kind), happening.at_ms, happening.ends,
        happening.cause[:most],
    )  # fmt: skip


def _retried(engine: Engine, stage: Callable[[Batch, Snapshot], None]) -> None:
    """Commit what is staged over a state of the store. Errors: StoreError."""
    for _ in range(limits.COMMIT_TRIES_MAX):
        batch = Batch()
        with engine.snapshot() as snapshot:
            stage(batch, snapshot)
        if not batch.rows:
            return
        try:
            engine.commit(batch)
        except ExpectationError:
            continue
        return
    raise StoreError("其他进程写入更快，稍后重试。Other writers were faster; it is tried again")


# --- the end of a row ---
def drop_old(engine: Engine, now_ms: Millis) -> int:
    """Delete what is older than MONITOR_HOURS_DAYS or MONITOR_EVENTS_MONTHS; return how many rows.

    At most MONITOR_DELETED_AT_ONCE: then there may be more. What is still open, and the newest event, stay.
    Errors: StoreError.
    """
    batch = Batch()
    with engine.snapshot() as snapshot:
        keys = _old_hours(snapshot, now_ms)
        for key in keys:
            batch.put(Table.MONITOR_HOURS, key, None)
        for key in _old_events(snapshot, now_ms, limits.MONITOR_DELETED_AT_ONCE - len(keys)):
            batch.put(Table.MONITOR_EVENTS, key, None)
    deleted = sum(len(rows) for rows in batch.rows.values())
    if deleted:
        engine.commit(batch)
    return deleted


def _old_hours(snapshot: Snapshot, now_ms: Millis) -> list[bytes]:
    first = hour_of(max(0, now_ms - limits.MONITOR_HOURS_DAYS * DAY_MS))
    found: list[bytes] = []
    for subject in subjects(snapshot):
        for hour, row in hours_between(snapshot, subject, "", first):
            if len(found) == limits.MONITOR_DELETED_AT_ONCE:
                return found
            if row.closed:
                found.append(hour_key(subject, hour))
    return found


def _old_events(snapshot: Snapshot, now_ms: Millis, most: int) -> list[bytes]:
    before_ms = month_start(month_after(shanghai_month(now_ms), -limits.MONITOR_EVENTS_MONTHS))
    found: list[bytes] = []
    kept: dict[str, EventRow] | None = None
    newest = snapshot.floor(Table.MONITOR_EVENTS, b"F")
    for key, row in snapshot.scan(Table.MONITOR_EVENTS, b""):
        if len(found) >= most or unpack_event(row).at_ms >= before_ms or (newest is not None and key == newest[0]):
            break
        kept = open_anomalies(snapshot) if kept is None else kept
        if key.decode() not in kept:
            found.append(key)
    return found


def day_hours(snapshot: Snapshot, subject: str, day: str) -> list[tuple[Hour, bool]]:
    """Return the hours of a subject and day, and whether each is closed. Errors: StoreError."""
    found = hours_between(snapshot, subject, f"{day}T", f"{day}U")
    return [(hour_from(subject, hour, row), row.closed) for hour, row in found]


def first_day(snapshot: Snapshot) -> str | None:
    """Return the first day that has an hour of this node, None for none. Errors: StoreError."""
    found = next(snapshot.scan(Table.MONITOR_HOURS, hour_key(NODE, ""), hour_key(NODE, "~")), None)
    return None if found is None else hour_in(found[0])[1].partition("T")[0]


def today(now_ms: Millis) -> str:
    """Return the day of Asia/Shanghai."""
    return format_shanghai(now_ms).partition("T")[0]

"""Are the rows of what is measured what they should be? A part of ``fsck.py``; reads only through a Snapshot.

Checked: every row of MONITOR_HOURS and MONITOR_EVENTS can be read, under a key of its form; of a subject none is open
where the same day has two later ones (a clock that was ahead leaves later days); no latency has a least above its most;
a recovery ends an earlier anomaly of the same subject and condition, once. Of an anomaly that is not there any more
nothing is said: its time was over.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import StoreError
from core.store.engine import Snapshot, Table
from core.store.monitor_rows import (
    EventRow,
    hour_in,
    is_event_number,
    newest_hours,
    unpack_event,
    unpack_hour,
)

_OPEN_AT_ONCE = 2
_ANSWERS, _MOST, _LEAST = 0, 2, 4


def check_monitor(snapshot: Snapshot) -> Iterator[str]:
    """Yield a sentence for each fault. Cost: reads all rows of both tables."""
    yield from _hours(snapshot)
    yield from _events(snapshot)


def _hours(snapshot: Snapshot) -> Iterator[str]:
    newest: dict[tuple[str, str], set[str]] = {}
    for key, row in snapshot.scan(Table.MONITOR_HOURS, b""):
        try:
            subject, hour = hour_in(key)
            found = unpack_hour(row)
            day = subject, hour.partition("T")[0]
            if day not in newest:
                newest[day] = {each for each, _ in newest_hours(snapshot, subject, _OPEN_AT_ONCE, day[1] + "U")}
        except StoreError as error:
            yield f"monitor_hours {key!r}: {error.message}"
            continue
        if not found.closed and hour not in newest[day]:
            yield f"monitor_hours {key!r}: it is open, and later hours are there"
        for latency in (found.resolution, found.registration):
            if latency[_LEAST] > latency[_MOST] or (not latency[_ANSWERS] and any(latency)):
                yield f"monitor_hours {key!r}: its latencies contradict one another"


def _events(snapshot: Snapshot) -> Iterator[str]:
    anomalies: dict[str, EventRow] = {}
    ended: set[str] = set()
    for key, row in snapshot.scan(Table.MONITOR_EVENTS, b""):
        try:
            event = unpack_event(row)
        except StoreError as error:
            yield f"monitor_events {key!r}: {error.message}"
            continue
        if not is_event_number(key):
            yield f"monitor_events {key!r}: it is under no number"
        elif not event.ends:
            anomalies[key.decode()] = event
        else:
            if event.ends in ended:
                yield f"monitor_events {key!r}: {event.ends} was ended before"
            ended.add(event.ends)
            begun = anomalies.get(event.ends)
            of = (event.subject, event.condition)
            if event.ends >= key.decode() or (begun is not None and (begun.subject, begun.condition) != of):
                yield f"monitor_events {key!r}: {event.ends} is not what it ends"

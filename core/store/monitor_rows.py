"""Rows of the tables MONITOR_HOURS and MONITOR_EVENTS: what was measured, and which anomalies there were (annex 2).

MONITOR_HOURS   key: subject, "/", hour of Asia/Shanghai (``node/2026-11-22T08``)
                row: 1, then msgpack, the members of HourRow
MONITOR_EVENTS  key: number (``E00000001``)
                row: 1, then msgpack, the members of EventRow
META            key "monitor_events": number that the next event lies behind, eight octets, big-endian; of a node that
                was put back

Written by the process ``monitor`` alone. What the numbers mean: ``sync/monitor/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

from core import limits
from core.clock import Millis, parse_day, read_millis
from core.errors import StoreError
from core.store.engine import Snapshot, Table
from core.store.versioned import pack_versioned, read_versioned

T = TypeVar("T")

LATENCY_MEMBERS: Final = 8
PROBE_MEMBERS: Final = 5
LAST_EVENT_KEY: Final = b"monitor_events"
_HOUR: Final = re.compile(r"(\d{4}-\d\d-\d\d)T([01]\d|2[0-3])", re.ASCII)
_NUMBER: Final = re.compile(rb"E\d{8,%d}" % (limits.MONITOR_NUMBER_CHARS_MAX - 1))
_INTEGER_MAX: Final = 2**63 - 1


class HourRow(NamedTuple):
    """An hour of one subject. ``closed``: it is over, and its entry is in the queue of the log: it never changes.

    ``counted_s``: Unix second up to which seconds of this node are in it, or in an earlier hour; 0 of other subjects.
    ``resolution``, ``registration``, ``probes``: the members of Latency and Probes (``sync/monitor/figures.py``).
    """

    closed: bool
    counted_s: int
    resolution: tuple[int, ...]
    registration: tuple[int, ...]
    probes: tuple[int, ...]


class EventRow(NamedTuple):
    """An anomaly or a recovery: the members of Happening (``sync/monitor/happening.py``) but its number."""

    status: int
    subject: str
    condition: str
    kind: int
    at_ms: Millis
    ends: str
    cause: str


def hour_key(subject: str, hour: str) -> bytes:
    """Return the key of an hour."""
    return f"{subject}/{hour}".encode()


def hour_in(key: bytes) -> tuple[str, str]:
    """Return subject and hour of a key. Errors: StoreError."""
    try:
        subject, slash, hour = key.decode().partition("/")
    except UnicodeDecodeError:
        subject = slash = hour = ""
    match = _HOUR.fullmatch(hour)
    if not (subject and slash and match and parse_day(match[1])) or len(subject) > limits.MONITOR_SUBJECT_CHARS_MAX:
        raise StoreError(f"a key of monitor_hours cannot be read: {key!r}")
    return subject, hour


def pack_hour(row: HourRow) -> bytes:
    """Return the row of an hour."""
    return pack_versioned(row)


def unpack_hour(row: bytes) -> HourRow:
    """Read the row of an hour. Errors: StoreError."""
    return _read(row, _hour)


def _hour(packed: Any) -> HourRow:
    closed, counted_s, *lists = packed
    if type(closed) is not bool or len(lists) != 3:
        raise ValueError("members")
    resolution, registration, probes = (tuple(each) for each in lists)
    if not len(resolution) == len(registration) == LATENCY_MEMBERS or len(probes) != PROBE_MEMBERS:
        raise ValueError("members")
    for each in (counted_s, *resolution, *registration, *probes):
        if type(each) is not int or not 0 <= each <= _INTEGER_MAX:
            raise ValueError("a number")
    return HourRow(closed, counted_s, resolution, registration, probes)


def subjects(snapshot: Snapshot) -> Iterator[str]:
    """Yield each subject that has hours, in order. Cost: a look-up each. Errors: StoreError."""
    start = b"\0"
    while (found := next(snapshot.scan(Table.MONITOR_HOURS, start), None)) is not None:
        subject, _ = hour_in(found[0])
        yield subject
        start = f"{subject}0".encode()  # "0" follows "/"


def hours_between(snapshot: Snapshot, subject: str, first: str, behind: str) -> Iterator[tuple[str, HourRow]]:
    """Yield hours of a subject from ``first`` (included) to ``behind`` (not included), in order. Both may be a part of
    an hour's name, as a day. Errors: StoreError.
    """
    start, stop = hour_key(subject, first), hour_key(subject, behind)
    for key, row in snapshot.scan(Table.MONITOR_HOURS, start, stop):
        yield hour_in(key)[1], unpack_hour(row)


def newest_hours(snapshot: Snapshot, subject: str, count: int, last: str = "") -> list[tuple[str, HourRow]]:
    """Return the newest hours of a subject, the newest one first; none behind ``last``. Errors: StoreError."""
    found: list[tuple[str, HourRow]] = []
    below = f"{subject}/{last}~".encode()
    while len(found) < count:
        row = snapshot.floor(Table.MONITOR_HOURS, below)
        if row is None or not row[0].startswith(f"{subject}/".encode()):
            break
        found.append((hour_in(row[0])[1], unpack_hour(row[1])))
        below = row[0][:-1] + bytes((row[0][-1] - 1,)) + b"~"
    return found


def is_event_number(number: bytes) -> bool:
    """Whether it is the number of an event: E and at least eight digits."""
    return _NUMBER.fullmatch(number) is not None


def pack_event(row: EventRow) -> bytes:
    """Return the row of an event."""
    return pack_versioned(row)


def unpack_event(row: bytes) -> EventRow:
    """Read the row of an event. Errors: StoreError."""
    return _read(row, _event)


def _event(packed: Any) -> EventRow:
    status, subject, condition, kind, at_ms, ends, cause = packed
    if type(status) is not int or status not in (1, 2) or type(kind) is not int or kind not in (1, 2, 3, 4):
        raise ValueError("status or kind")
    if not all(isinstance(each, str) for each in (subject, condition, ends, cause)):
        raise ValueError("a member is no text")
    if (ends != "") != (status == 2) or (ends and not is_event_number(ends.encode(errors="replace"))):
        raise ValueError("a recovery ends an anomaly, and nothing else does")
    return EventRow(status, subject, condition, kind, read_millis(at_ms), ends, cause)


def last_event(snapshot: Snapshot) -> int:
    """Return the number that the next event lies behind, 0 for none: that of the newest, which is never deleted."""
    found = snapshot.floor(Table.MONITOR_EVENTS, b"F")
    known = int(found[0][1:]) if found is not None and is_event_number(found[0]) else 0
    return max(known, int.from_bytes(snapshot.get(Table.META, LAST_EVENT_KEY) or b"", "big"))


def pack_last_event(number: int) -> bytes:
    """Return the row LAST_EVENT_KEY."""
    return number.to_bytes(8, "big")


def events(snapshot: Snapshot) -> Iterator[tuple[str, EventRow]]:
    """Yield number and row of each event, in order. Errors: StoreError."""
    for key, row in snapshot.scan(Table.MONITOR_EVENTS, b""):
        yield key.decode(), unpack_event(row)


def open_anomalies(snapshot: Snapshot) -> dict[str, EventRow]:
    """Return the anomalies that no recovery has ended yet, by number. Cost: reads all events. Errors: StoreError."""
    found: dict[str, EventRow] = {}
    for number, row in events(snapshot):
        if row.ends:
            found.pop(row.ends, None)
        else:
            found[number] = row
    return found


# --- pieces ---
def _read(row: bytes, read: Callable[[Any], T]) -> T:
    return read_versioned(row, "a row of what is measured", read)

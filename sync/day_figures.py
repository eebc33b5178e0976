"""What T3 and T8 say of a day besides its queries: which prefixes there were, what was added, how much there was.

All of it is told as it was at the end of the day, so that a day that is made late gets the same rows: prefixes by the
steps of their applications, identifiers by what is there now and the changes of the feed since.

1. A prefix is told from the end of the day on which it was homed, or its import was whole. It is the operator's own if
   no party holds it. How it is hosted is told as it is now.
2. Identifiers: stored ones, and the units of lots; cases and pallets are packaging, and no identifiers of goods.
3. Times of the feed rise, but for a clock that was put right: what lies STATISTICS_SKEW_MS on both sides is looked at.
4. A lot whose import was given up is gone with its count: a day before that and made later does not know of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from core import limits
from core.changes import Change, ChangeKind, Serial, unpack_change
from core.ident.handle import PrefixKey, ancestors
from core.lifecycle import Event, State
from core.store.application_rows import Application, Step, unpack_application
from core.store.engine import Engine, Snapshot, Table
from core.store.lot_rows import unpack_lot
from core.store.prefix_rows import HOSTED, unpack_count, unpack_prefix

_CHUNK: Final = 10_000
_HOMED: Final = frozenset({State.HOMED.value, State.SUSPENDED.value})
_ALLOCATED: Final = _HOMED | {State.ALLOCATED.value}
_GIVEN: Final = frozenset({Event.ALLOCATE.value, Event.IMPORTED.value})
_RECORDS: Final = {ChangeKind.RECORD_CREATED: 1, ChangeKind.RECORD_DELETED: -1}
_LOTS: Final = {ChangeKind.LOT_CREATED: 1, ChangeKind.LOT_ABANDONED: -1}


class Time(NamedTuple):
    """A day, in Unix milliseconds; ``end_ms`` is not in it."""

    begin_ms: int
    end_ms: int


class Standing(NamedTuple):
    """A prefix at the end of a day. ``homed``: it is answered or suspended; ``own``: no party holds it.

    ``given``: a party has it, homed or not yet; ``added``: since that day.
    """

    homed: bool
    hosted: bool
    own: bool
    given: bool
    added: bool


class Figures(NamedTuple):
    """Of a day: prefixes, and identifiers by prefix, those that were added and those that there were at its end."""

    prefixes: dict[PrefixKey, Standing]
    added: Counter[bytes]
    total: Counter[bytes]

    def own_above(self, prefix: bytes) -> PrefixKey | None:
        """Return the nearest own prefix that was homed, the prefix itself or above it; None where there is none."""
        for each in ancestors(prefix):
            standing = self.prefixes.get(each)
            if standing is not None and standing.homed and standing.own:
                return each
        return None


def day_figures(engine: Engine, time: Time) -> Figures:
    """Return the figures of a day that is over.

    Cost: reads the feed since the begin of the day, all applications and all lots; at most _CHUNK changes under one
    snapshot, but for the rest at the end. Errors: StoreError.
    """
    changes = _Changes(time)
    with engine.snapshot() as snapshot:
        after, end = _serial_before(snapshot, time.begin_ms - limits.STATISTICS_SKEW_MS), snapshot.serial()
    while end - after > _CHUNK:
        with engine.snapshot() as snapshot:
            after, end = changes.read(snapshot, after), snapshot.serial()
    with engine.snapshot() as snapshot:
        while after < snapshot.serial():
            after = changes.read(snapshot, after)
        added, since = changes.identifiers(snapshot)
        total = _identifiers(snapshot)
        total.subtract(since)
        return Figures(_prefixes(snapshot, time), added, total)


class _Changes:
    """What the feed says of a day, and of what came later."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._records = (Counter[bytes](), Counter[bytes]())
        self._lots = (Counter[bytes](), Counter[bytes]())

    def read(self, snapshot: Snapshot, after: Serial) -> Serial:
        """Take the next changes; return the serial of the last one."""
        rows = snapshot.feed(after, _CHUNK)
        for _, row in rows:
            self._take(unpack_change(row))
        return rows[-1][0]

    def _take(self, change: Change) -> None:
        later = change.at_ms >= self._time.end_ms
        if change.at_ms < self._time.begin_ms:
            return
        key = change.identifier.encode()
        by = _RECORDS.get(change.kind)
        if by is not None and (later or by > 0):
            self._records[later][key.partition(b"/")[0]] += by
        by = _LOTS.get(change.kind)
        if by is not None:
            self._lots[later][key] += by

    def identifiers(self, snapshot: Snapshot) -> tuple[Counter[bytes], Counter[bytes]]:
        """Return by prefix how many were added that day, and how many more there are since."""
        for counts, lots in zip(self._records, self._lots, strict=True):
            rows = snapshot.get_many(Table.LOTS, list(lots))
            for (key, by), row in zip(lots.items(), rows, strict=True):
                if row is not None:
                    counts[key.partition(b"/")[0]] += by * unpack_lot(row).packaging.units
        return self._records


def _identifiers(snapshot: Snapshot) -> Counter[bytes]:
    """Return how many identifiers there are by prefix."""
    found = Counter({prefix: unpack_count(row) for prefix, row in snapshot.scan(Table.COUNTERS, b"")})
    for key, row in snapshot.scan(Table.LOTS, b""):
        found[key.partition(b"/")[0]] += unpack_lot(row).packaging.units
    return found


def _serial_before(snapshot: Snapshot, at_ms: int) -> Serial:
    """Return the serial of the last change before a time, as if times rose; 0 for none. Cost: 64 reads of the feed."""
    first = snapshot.feed(Serial(0), 1)
    if not first:
        return snapshot.serial()
    low, high = first[0][0] - 1, int(snapshot.serial())
    while low < high:  # what is up to low lies before it, what is behind high does not
        middle = (low + high) // 2
        if unpack_change(snapshot.feed(Serial(middle), 1)[0][1]).at_ms < at_ms:
            low = middle + 1
        else:
            high = middle
    return Serial(low)


# --- prefixes ---
def _prefixes(snapshot: Snapshot, time: Time) -> dict[PrefixKey, Standing]:
    found: dict[PrefixKey, Standing] = {}
    for key, row in snapshot.scan(Table.APPLICATIONS, b""):
        homed = snapshot.get(Table.PREFIXES, key)
        application = unpack_application(row)
        hosting = application.hosting if homed is None else unpack_prefix(homed).hosting
        found[PrefixKey(key)] = _standing(application, hosting, time)
    for key, row in snapshot.scan(Table.PREFIXES, b""):
        if key not in found:  # homed by a version without applications
            prefix = unpack_prefix(row)
            homed_then = prefix.homed_ms < time.end_ms
            found[PrefixKey(key)] = Standing(homed_then, prefix.hosting == HOSTED, True, False, False)
    return found


def _standing(application: Application, hosting: str, time: Time) -> Standing:
    steps = list(_own_steps(application))
    before = [step.state for step in steps if step.at_ms < time.end_ms]
    state = before[-1] if before else ""
    if not before and len(application.steps) >= limits.APPLICATION_STEPS:
        state = application.state  # what it was is cut off: it had more steps since than are kept
    party = not application.own
    given = [step for step in steps if step.event in _GIVEN and time.begin_ms <= step.at_ms < time.end_ms]
    return Standing(state in _HOMED, hosting == HOSTED, not party, party and state in _ALLOCATED, party and bool(given))


def _own_steps(application: Application) -> Iterator[Step]:
    """Yield the steps that were taken on this node: those before an import came with it."""
    events = [step.event for step in application.steps]
    first = len(events) - 1 - events[::-1].index(Event.IMPORT.value) if Event.IMPORT.value in events else 0
    yield from application.steps[first:]

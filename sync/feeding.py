"""From the change feed to the items of a message: which rows of a table did changes touch, and what are they now?

Of most tables a row travels once a message, however often it changed; of T9 each change travels (an identifier's
history is its rows), with the state of the row as it is now.
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from core import limits
from core.changes import KIND_AT, identifier_of
from core.store.engine import Snapshot
from sync.messages import Item
from sync.skim import Look, read_feed
from sync.source import Source
from sync.table import Basis, Operation

_DAY_CHARS: Final = len("2026-11-22")
_EPOCH: Final = datetime.date(1970, 1, 1)
DAY_SERIALS: Final = 1_000_000


class Gathered(NamedTuple):
    """Items, and the serial up to which the feed was looked through. ``trimmed``: changes before it are gone."""

    items: tuple[Item, ...]
    looked: int
    trimmed: bool = False


class _Touched(NamedTuple):
    serial: int
    operation: Operation
    key: bytes


def gather(snapshot: Snapshot, source: Source, after: int, to: int, look: Look = read_feed) -> Gathered:
    """Return the items of the changes behind ``after`` up to ``to``, as far as one message holds them.

    ``look``: reads the feed; of T9 all of it is read.

    Bounds: UPSTREAM_BATCH_ITEMS, UPSTREAM_BATCH_BYTES (the last one may lie beyond), UPSTREAM_LOOKED_AT.
    """
    touched, looked, trimmed = _touched(snapshot, source, (after, to), read_feed if _has_history(source) else look)
    if trimmed:
        return Gathered((), after, trimmed=True)
    items, cut = _items(snapshot, source, touched)
    return Gathered(items, looked if cut is None else cut)


def _touched(snapshot: Snapshot, source: Source, span: tuple[int, int], look: Look) -> tuple[list[_Touched], int, bool]:
    """Return what was touched, up to where, and whether changes are missing."""
    kinds = {int(kind): kind for kind in source.kinds}
    history = _has_history(source)
    found: list[_Touched] = []
    at: dict[bytes, int] = {}
    after, to = span
    looked = after
    while looked < to and looked - after < limits.UPSTREAM_LOOKED_AT and len(found) < limits.UPSTREAM_BATCH_ITEMS:
        rows, looked, trimmed = look(snapshot, looked, to)
        if trimmed:
            return found, looked, True
        for serial, row in rows:
            kind = row[KIND_AT]
            if kind not in kinds:
                continue
            touch = source.touched(kinds[kind], identifier_of(row))
            if touch is None:
                continue
            key, operation = touch
            if not history and key in at:
                found[at[key]] = _Touched(0, operation, key)  # only the last change of a row travels
            at[key] = len(found)
            found.append(_Touched(serial, operation, key))
            if len(found) == limits.UPSTREAM_BATCH_ITEMS:
                looked = serial
                break
    return [each for each in found if each.serial], looked, False


def _items(snapshot: Snapshot, source: Source, touched: list[_Touched]) -> tuple[tuple[Item, ...], int | None]:
    """Return the items, and the serial of the last one where not all of them fit."""
    items: list[Item] = []
    octets = 0
    for serial, operation, key in touched:
        row = source.row(snapshot, key)
        items.append(Item(serial, operation, key, row))
        octets += len(key) + len(row or b"")
        if octets >= limits.UPSTREAM_BATCH_BYTES and len(items) < len(touched):
            return tuple(items), serial
    return tuple(items), None


def gather_days(snapshot: Snapshot, source: Source, after: int, to: int) -> tuple[Item, ...]:
    """Return the rows behind ``after`` (up to ``to``, where it is not 0), as far as one message holds them.

    The serial of a row of the basis DAYS is the number of its day times DAY_SERIALS, and its place in the day from 1:
    a day's rows are made once, and all of them.
    """
    items: list[Item] = []
    octets = place = number = 0
    for key, row in source.rows(snapshot, day_text(after // DAY_SERIALS).encode(), None):
        day = day_number(key[:_DAY_CHARS].decode()) * DAY_SERIALS
        place = place + 1 if day == number else 1
        number = day
        serial = day + place
        if serial <= after:
            continue
        if (to and serial > to) or len(items) == limits.UPSTREAM_BATCH_ITEMS or octets >= limits.UPSTREAM_BATCH_BYTES:
            break
        items.append(Item(serial, Operation.NONE, key, row))
        octets += len(key) + len(row)
    return tuple(items)


def last_serial(snapshot: Snapshot, source: Source) -> int:
    """Return the newest serial of a table with the basis FEED or DAYS, 0 where there is none."""
    newest = source.latest(snapshot)
    if source.table.basis is not Basis.DAYS or not newest:
        return newest
    start, stop = (day_text(newest + each).encode() for each in (0, 1))
    rows = sum(1 for _ in source.rows(snapshot, start, stop))
    return newest * DAY_SERIALS + rows


def day_number(day: str) -> int:
    """Return the number of a day (``2026-11-22``): days since 1970-01-01. Errors: ValueError."""
    return (datetime.date.fromisoformat(day) - _EPOCH).days


def day_text(number: int) -> str:
    """Return the day of a number."""
    return (_EPOCH + datetime.timedelta(days=number)).isoformat()


def _has_history(source: Source) -> bool:
    return source.table.name == "T9"

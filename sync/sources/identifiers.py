"""T9: one row an identifier, of the tables RECORDS and LOTS merged in the order of their keys.

1. Everything but prefix handles (``0.NA/…``), which T2 and T7 tell. A lot is one row, however many units it has; what
   becomes of its units is not in it. Which prefix an identifier is of, and whether that is answered, does not count.
2. A field is the data of the first value of one of its types (``TYPES``) that everybody may read and that is a text of
   UTF-8 with at most T9_TEXT_CHARS_MAX characters; it is taken as it is or not at all.
3. ``created`` of a record is the day of its oldest value: the store keeps no other, so it is a later one when every
   value was changed. A record whose values have no time has none.

A record of three values costs some 3 µs: its values are read as they lie in the row. What is unusual there (references,
a shortened key, a type that is not ASCII) is read by the codec of the Handle protocol, which gives the same row.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from core import limits
from core.changes import ChangeKind
from core.clock import DAY_MS, shanghai_date
from core.ident.handle import PREFIX_HANDLES
from core.ident.unitcode import SERIAL_CHARS
from core.records import ValuePermission, Values
from core.store.engine import Snapshot, Table
from core.store.lot_rows import unpack_lot
from core.store.record_rows import PLAIN_HEADS, prefix_range, record_key, unpack_handle, unpack_values
from core.wire.metadata import parse_binding
from core.wire.values import decode_values
from core.wire.valuetypes import METADATA_TEMPLATE
from sync.table import Operation, TableKind, pack_row

(
    _IDENTIFIER, _CREATED, _TEMPLATE, _CATEGORY, _BRAND, _NAME, _MANUFACTURER, _PRODUCED, _VALID_UNTIL,
    _TERMINAL_TYPE, _OWNER, _PURPOSE, _SERIAL, _LICENCE_NUMBER, _LICENCE_CODE, _LICENCE_SERIAL,
    _PRODUCT, _SERIAL_LENGTH, _COUNT, _FIELDS,
) = range(20)  # fmt: skip
"""Places of the fields in a row; the last is their number."""

TYPES: Final[dict[int, tuple[str, ...]]] = {
    _TEMPLATE: (METADATA_TEMPLATE,),
    _CATEGORY: ("CATEGORY",),
    _BRAND: ("BRAND",),
    _NAME: ("NAME", "PRODUCT_NAME", "DESC"),
    _MANUFACTURER: ("MANUFACTURER",),
    _PRODUCED: ("PRODUCED",),
    _VALID_UNTIL: ("VALID_UNTIL",),
    _TERMINAL_TYPE: ("TERMINAL_TYPE",),
    _OWNER: ("OWNER",),
    _PURPOSE: ("PURPOSE",),
    _SERIAL: ("SERIAL", "IMEI"),
    _LICENCE_NUMBER: ("LICENCE_NUMBER",),
    _LICENCE_CODE: ("LICENCE_CODE",),
    _LICENCE_SERIAL: ("LICENCE_SERIAL",),
}
"""Which types of values a field is taken from, the first that there is; ASCII letters compare without case."""

_SECOND: Final = [(place, name) for place, names in TYPES.items() for name in names[1:]]
_PLACES: Final = {names[0].encode(): place for place, names in TYPES.items()} | {
    name.encode(): _FIELDS + at for at, (_, name) in enumerate(_SECOND)
}
_INSTEAD: Final = tuple((place, _FIELDS + at) for at, (place, _) in enumerate(_SECOND))
"""Fields, and the places behind the row where what is taken in their stead waits, in the order of ``TYPES``."""

_EMPTY: Final[list[Any]] = [None] * (_FIELDS + len(_SECOND))

_OPERATIONS: Final = {
    ChangeKind.RECORD_CREATED: Operation.ADD,
    ChangeKind.RECORD_CHANGED: Operation.MODIFY,
    ChangeKind.RECORD_DELETED: Operation.DELETE,
    ChangeKind.LOT_CREATED: Operation.ADD,
    ChangeKind.LOT_ABANDONED: Operation.DELETE,
}
_KINDS: Final = frozenset(_OPERATIONS)

_NOT_HERE: Final = prefix_range(PREFIX_HANDLES)
_PUBLIC: Final = int(ValuePermission.PUBLIC_READ)
_TEXT_BYTES_MAX: Final = 4 * limits.T9_TEXT_CHARS_MAX
_NEVER: Final = 2**32  # Unix seconds of a value lie before it
_UNUSUAL: Final = -1
_SHANGHAI_S: Final = 28_800
_DAY_S: Final = DAY_MS // 1_000

_HEAD: Final = struct.Struct(">4xIB4xBI")  # of a value: timestamp, TTL type, permissions, octets of its type
_HEAD_BYTES: Final = _HEAD.size
_NUMBER: Final = struct.Struct(">I")
_NO_REFERENCES: Final = bytes(4)
_read_head, _read_number, _place_of = _HEAD.unpack_from, _NUMBER.unpack_from, _PLACES.get


class IdentifierSource:
    """See Source."""

    def __init__(self, table: TableKind) -> None:
        """Take T9 as it is defined (``sync/tables.py``)."""
        self.table = table
        self.kinds = _KINDS

    def touched(self, kind: ChangeKind, identifier: bytes) -> tuple[bytes, Operation] | None:
        return None if identifier.startswith(_NOT_HERE[0]) else (record_key(identifier), _OPERATIONS[kind])

    def row(self, snapshot: Snapshot, key: bytes) -> bytes | None:
        if not 0 < len(key) <= limits.STORE_KEY_BYTES_MAX or key.startswith(_NOT_HERE[0]):
            return None
        record = snapshot.get(Table.RECORDS, key)
        if record is not None:
            return record_row(key, record)
        lot = snapshot.get(Table.LOTS, key)
        return None if lot is None else lot_row(key, lot)

    def rows(self, snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        below, behind = _NOT_HERE
        if start < below:
            yield from _between(snapshot, start, below if stop is None else min(stop, below))
        if stop is None or stop > behind:
            yield from _between(snapshot, max(start, behind), stop)

    def context(self, snapshot: Snapshot) -> bytes:
        return b""

    def latest(self, snapshot: Snapshot) -> int:
        return snapshot.serial()


def _between(snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and rows of records and lots; nothing is both, and of what were both the record would count."""
    lots = snapshot.scan(Table.LOTS, start, stop)
    lot = next(lots, None)
    for key, row in snapshot.scan(Table.RECORDS, start, stop):
        while lot is not None and lot[0] <= key:
            if lot[0] != key:
                yield lot[0], lot_row(*lot)
            lot = next(lots, None)
        yield key, record_row(key, row)
    while lot is not None:
        yield lot[0], lot_row(*lot)
        lot = next(lots, None)


def record_row(key: bytes, record: bytes) -> bytes:
    """Return the row of a record. ``record``: its row of RECORDS. Errors: StoreError if that cannot be read."""
    if record[:2] in PLAIN_HEADS:
        values = _EMPTY.copy()
        oldest_s = _read_quickly(record, 2, values)
        if oldest_s != _UNUSUAL:
            values[_IDENTIFIER] = key.decode()
            return _packed(values, oldest_s)
    return exact_record_row(key, record)


def exact_record_row(key: bytes, record: bytes) -> bytes:
    """Return the same, by the codec of the Handle protocol. Cost: six times as much."""
    values = _EMPTY.copy()
    values[_IDENTIFIER] = unpack_handle(key, record).decode()
    return _packed(values, _read_values(unpack_values(record), values))


def lot_row(key: bytes, lot: bytes) -> bytes:
    """Return the row of a lot. ``lot``: its row of LOTS. Errors: NodeError if that cannot be read."""
    found = unpack_lot(lot)
    values = _EMPTY.copy()
    _read_values(decode_values(found.values), values)
    values[_IDENTIFIER] = key.decode()
    values[_CREATED] = shanghai_date(found.created_ms).isoformat()
    values[_PRODUCED] = found.produced or values[_PRODUCED]
    values[_VALID_UNTIL] = found.valid_until or values[_VALID_UNTIL]
    values[_PRODUCT] = found.product
    values[_SERIAL_LENGTH] = SERIAL_CHARS
    values[_COUNT] = found.packaging.units
    return _packed(values, 0)


def _packed(values: list[Any], oldest_s: int) -> bytes:
    """Return the row. ``values``: the fields, and behind them what is taken instead. ``oldest_s``: 0 for none."""
    for place, instead in _INSTEAD:
        if values[place] is None:
            values[place] = values[instead]
    del values[_FIELDS:]
    if oldest_s:
        values[_CREATED] = _day((oldest_s + _SHANGHAI_S) // _DAY_S)
    return pack_row(values)


def _read_quickly(wire: bytes, at: int, into: list[Any]) -> int:
    """Fill in the fields from values on the wire, their count at ``at``; return the oldest time in Unix seconds,
    0 if there is none, _UNUSUAL for what is left to the codec.
    """
    oldest = _NEVER
    try:
        (count,) = _read_number(wire, at)
        if count > limits.VALUES_PER_RECORD_MAX:
            return _UNUSUAL
        at += 4
        for _ in range(count):
            timestamp, ttl_type, permissions, octets = _read_head(wire, at)
            at += _HEAD_BYTES
            stop = at + octets
            kind = wire[at:stop]
            start = stop + 4
            at = start + _read_number(wire, stop)[0]
            if wire[at : at + 4] != _NO_REFERENCES or ttl_type > 1:
                return _UNUSUAL
            if 0 < timestamp < oldest:
                oldest = timestamp
            place = _place_of(kind.upper())
            if place is None:
                if not kind.isascii():
                    return _UNUSUAL
            elif permissions & _PUBLIC and into[place] is None:
                into[place] = _taken(place, wire[start:at])
            at += 4
    except struct.error:
        return _UNUSUAL
    if at != len(wire):
        return _UNUSUAL
    return 0 if oldest == _NEVER else oldest


def _read_values(values: Values, into: list[Any]) -> int:
    """Fill in the fields from values; return the oldest time in Unix seconds, 0 if there is none."""
    for value in values:
        place = _place_of(value.type.encode().upper())
        if place is not None and value.public_read and into[place] is None:
            into[place] = _taken(place, value.data)
    return min((value.timestamp for value in values if value.timestamp), default=0)


def _taken(place: int, data: bytes) -> str | None:
    """Return the data of a value as a field has it, None for what it does not take."""
    if place == _TEMPLATE:
        return _code(data)
    if not 0 < len(data) <= _TEXT_BYTES_MAX:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if len(text) <= limits.T9_TEXT_CHARS_MAX else None


@lru_cache(maxsize=1_024)
def _code(data: bytes) -> str | None:
    """Return the code of the metadata template that a record is bound to."""
    binding = parse_binding(data)
    return None if binding is None else binding.code


@lru_cache(maxsize=1_024)
def _day(number: int) -> str:
    """Return a day of Asia/Shanghai by its number since 1970-01-01."""
    return shanghai_date(number * DAY_MS).isoformat()

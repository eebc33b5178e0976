"""Rows of the table HOLDS: what the regulator has stopped, and by which orders.

HOLDS  key: kind (1 octet), then the target as its own table has it
            i  key of the record of an identifier      p  folded prefix      y  id of a party
       0  1  version (1)
       1     msgpack array: target, and the orders in force, oldest first: [number, reason, public, placed_ms, who]
META   key "holds": how many targets of each kind, three numbers of four octets, big-endian

A row without orders is none: whoever lifts the last one deletes it. What was lifted stands in the
journal and in the change feed.
"""

from __future__ import annotations

import struct
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgpack

from core.clock import Millis, read_millis
from core.errors import StoreError
from core.store.record_rows import record_key
from core.who import Who, unpack_who

HOLDS_KEY: Final = b"holds"
_VERSION: Final = b"\x01"
_COUNTS: Final = struct.Struct(">III")


class HoldKind(Enum):
    """What is held. The value begins the key: never rename one."""

    IDENTIFIER = b"i"
    PREFIX = b"p"  # and all below it
    PARTY = b"y"  # and all prefixes that it holds

    __hash__ = object.__hash__  # members are singletons


class Order(NamedTuple):
    """One order of the regulator that is in force. ``public``: whether it says that its reason may be told."""

    number: str
    reason: str
    public: bool
    placed_ms: Millis
    who: Who


class Hold(NamedTuple):
    """What is on hold. ``target``: whole key of a handle, folded prefix, or id of a party. ``orders``: one or more."""

    target: bytes
    orders: tuple[Order, ...]


class HoldCounts(NamedTuple):
    """How many targets are held; most nodes have none, and need not look further."""

    identifiers: int = 0
    prefixes: int = 0
    parties: int = 0


def hold_key(kind: HoldKind, target: bytes) -> bytes:
    """Return the key of a target: key of a handle, folded prefix, or id of a party."""
    return kind.value + (record_key(target) if kind is HoldKind.IDENTIFIER else target)


def hold_kind(key: bytes) -> HoldKind:
    """Return the kind of a key. Errors: StoreError."""
    try:
        return HoldKind(key[:1])
    except ValueError:
        raise StoreError(f"a key of holds cannot be read: {key!r}") from None


def pack_hold(hold: Hold) -> bytes:
    """Return the row of a target."""
    row: bytes = msgpack.packb((hold.target, hold.orders))
    return _VERSION + row


@lru_cache(maxsize=1_024)
def unpack_hold(row: bytes) -> Hold:
    """Read the row of a target. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        target, packed = msgpack.unpackb(row[1:])
        orders = tuple(map(_order, packed))
        if not (orders and isinstance(target, bytes)):
            raise ValueError("no target, or no order")
        return Hold(target, orders)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of holds cannot be read: {error}") from None


def _order(packed: Any) -> Order:
    number, reason, public, placed_ms, who = packed
    if not (isinstance(number, str) and isinstance(reason, str) and isinstance(public, bool)):
        raise ValueError("an order is not of this form")
    return Order(number, reason, public, read_millis(placed_ms), unpack_who(who))


def pack_hold_counts(counts: HoldCounts) -> bytes:
    """Return the row of the counts."""
    return _COUNTS.pack(*counts)


@lru_cache(maxsize=16)
def unpack_hold_counts(row: bytes | None) -> HoldCounts:
    """Read the row of the counts; no row is none. Errors: StoreError if it cannot be read."""
    if row is None:
        return HoldCounts()
    try:
        return HoldCounts(*_COUNTS.unpack(row))
    except struct.error:
        raise StoreError("the counts of holds cannot be read") from None

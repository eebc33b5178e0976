"""What is on hold by order of the regulator: one look at the state of the store, for whoever answers or writes.

Looked for in this order: the identifier, its lot, the lot's product, its prefix and every prefix above it, the party
that holds the prefix. Where nothing is on hold, which ``META holds`` says, that is one look-up (design §4).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from core.ident.handle import PREFIX_HANDLES, PrefixKey, ancestors, named_by, prefix_handle_of, prefix_of
from core.store.application_rows import unpack_application
from core.store.engine import Table
from core.store.hold_rows import HOLDS_KEY, Hold, HoldCounts, HoldKind, Order, hold_key, unpack_hold, unpack_hold_counts
from core.store.lot_rows import lot_of_unit, unpack_lot
from core.store.prefix_rows import Rows, nearest_homed
from core.store.record_rows import prefix_handles_below, prefix_range

_PREFIX_HANDLE: Final = PREFIX_HANDLES + b"/"


class Scannable(Rows, Protocol):
    """One whose rows can be read in order, too."""

    def scan(self, table: Table, start: bytes, stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and row from ``start`` (included) to ``stop`` (not included), in order."""


def hold_counts(rows: Rows) -> HoldCounts:
    """Return how many targets are on hold."""
    return unpack_hold_counts(rows.get(Table.META, HOLDS_KEY))


def orders_on(rows: Rows, handle: bytes) -> tuple[Order, ...]:
    """Return the orders that stop a handle's key, by the nearest target; none if it is not on hold."""
    hold = hold_on(rows, handle)
    return () if hold is None else hold.orders


def hold_on(rows: Rows, handle: bytes) -> Hold | None:
    """Return what stops a handle's key, the nearest target; None if it is not on hold.

    A prefix handle is stopped by its own key, and by what stops the prefix that it names.
    """
    packed = rows.get(Table.META, HOLDS_KEY)
    if packed is None:
        return None
    counts = unpack_hold_counts(packed)
    if counts.identifiers:
        for each in _identifiers(rows, handle):
            row = rows.get(Table.HOLDS, hold_key(HoldKind.IDENTIFIER, each))
            if row is not None:
                return unpack_hold(row)
    prefix = prefix_of(handle)
    named = named_by(handle) if prefix == PREFIX_HANDLES else prefix
    return _on_prefix(rows, named, counts)


def hold_on_prefix(rows: Rows, prefix: PrefixKey) -> Hold | None:
    """Return what stops a prefix as a whole; None if nothing does."""
    return _on_prefix(rows, prefix, hold_counts(rows))


def hold_on_party(rows: Rows, party: str) -> Hold | None:
    """Return the hold on a party itself; None if there is none."""
    row = rows.get(Table.HOLDS, hold_key(HoldKind.PARTY, party.encode()))
    return None if row is None else unpack_hold(row)


def hold_within(rows: Scannable, prefix: PrefixKey) -> Hold | None:
    """Return what stops a prefix, or anything that is answered for it, also by the product of a lot; None if nothing.

    Such a prefix does not end and goes to no other node: what is on hold stays where it is.
    """
    counts = hold_counts(rows)
    if counts == HoldCounts():
        return None
    hold = hold_on(rows, prefix_handle_of(prefix))
    if hold is not None:
        return hold
    for kind, (start, stop) in (
        (HoldKind.IDENTIFIER, prefix_range(prefix)),
        (HoldKind.IDENTIFIER, prefix_handles_below(prefix)),
        (HoldKind.PREFIX, (prefix + b".", prefix + b"/")),
    ):
        for _, row in rows.scan(Table.HOLDS, hold_key(kind, start), hold_key(kind, stop)):
            hold = unpack_hold(row)
            below = hold.target.startswith(prefix + b"/")
            if below or nearest_homed(rows, hold.target.removeprefix(_PREFIX_HANDLE)) == prefix:
                return hold
    for _, row in rows.scan(Table.LOTS, *prefix_range(prefix)) if counts.identifiers else ():
        product = rows.get(Table.HOLDS, hold_key(HoldKind.IDENTIFIER, unpack_lot(row).product_key))
        if product is not None:
            return unpack_hold(product)
    return None


def _identifiers(rows: Rows, handle: bytes) -> Iterator[bytes]:
    """Yield the handle's key, and, of a lot or what has the form of its unit codes, those of lot and product."""
    yield handle
    lot = lot_of_unit(handle)
    row = rows.get(Table.LOTS, lot) if lot else None
    if row is not None:
        if lot != handle:
            yield lot
        yield unpack_lot(row).product_key


def _on_prefix(rows: Rows, prefix: PrefixKey, counts: HoldCounts) -> Hold | None:
    if counts.prefixes:
        for each in ancestors(prefix):
            row = rows.get(Table.HOLDS, hold_key(HoldKind.PREFIX, each))
            if row is not None:
                return unpack_hold(row)
    if counts.parties:
        party = _holder(rows, prefix)
        return hold_on_party(rows, party) if party else None
    return None


def _holder(rows: Rows, prefix: PrefixKey) -> str:
    """Return the party that holds a prefix, or the nearest homed one above it; empty for none."""
    homed = nearest_homed(rows, prefix)
    row = None if homed is None else rows.get(Table.APPLICATIONS, homed)
    return "" if row is None else unpack_application(row).party

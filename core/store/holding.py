"""What is on hold by order of the regulator: one look at the state of the store, for whoever answers or writes.

Looked for in this order: the identifier, its prefix and every prefix above it, the party that holds the
prefix. Where nothing is on hold, which ``META holds`` says, that is one look-up (design §4).
"""

from __future__ import annotations

from typing import Protocol

from core.ident.handle import PREFIX_HANDLES, PrefixKey, ancestors, prefix_of
from core.store.application_rows import unpack_application
from core.store.engine import Table
from core.store.hold_rows import HOLDS_KEY, HoldCounts, HoldKind, Order, hold_key, unpack_hold, unpack_hold_counts


class Rows(Protocol):
    """A snapshot, or what is staged over one."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return a row, None if there is none."""


def hold_counts(rows: Rows) -> HoldCounts:
    """Return how many targets are on hold."""
    return unpack_hold_counts(rows.get(Table.META, HOLDS_KEY))


def orders_on(rows: Rows, handle: bytes) -> tuple[Order, ...]:
    """Return the orders that stop a handle's key, by the nearest target; none if it is not on hold.

    A prefix handle is stopped by its own key, and by what stops the prefix that it names.
    """
    packed = rows.get(Table.META, HOLDS_KEY)
    if packed is None:
        return ()
    counts = unpack_hold_counts(packed)
    if counts.identifiers:
        row = rows.get(Table.HOLDS, hold_key(HoldKind.IDENTIFIER, handle))
        if row is not None:
            return unpack_hold(row)
    prefix = prefix_of(handle)
    named = PrefixKey(handle[len(prefix) + 1 :]) if prefix == PREFIX_HANDLES else prefix
    return _on_prefix(rows, named, counts)


def orders_on_prefix(rows: Rows, prefix: PrefixKey) -> tuple[Order, ...]:
    """Return the orders that stop a prefix as a whole; none if there are none."""
    return _on_prefix(rows, prefix, hold_counts(rows))


def is_identifier_held(rows: Rows, handle: bytes) -> bool:
    """Whether an order names this very handle."""
    return rows.get(Table.HOLDS, hold_key(HoldKind.IDENTIFIER, handle)) is not None


def _on_prefix(rows: Rows, prefix: PrefixKey, counts: HoldCounts) -> tuple[Order, ...]:
    if counts.prefixes:
        for each in ancestors(prefix):
            row = rows.get(Table.HOLDS, hold_key(HoldKind.PREFIX, each))
            if row is not None:
                return unpack_hold(row)
    if counts.parties:
        party = _holder(rows, prefix)
        row = rows.get(Table.HOLDS, hold_key(HoldKind.PARTY, party)) if party else None
        if row is not None:
            return unpack_hold(row)
    return ()


def _holder(rows: Rows, prefix: PrefixKey) -> bytes:
    """Return the party that holds a prefix, or the nearest homed one above it; empty for none."""
    for each in ancestors(prefix):
        if each and rows.get(Table.PREFIXES, each) is not None:
            row = rows.get(Table.APPLICATIONS, each)
            return b"" if row is None else unpack_application(row).party.encode()
    return b""

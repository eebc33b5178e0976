"""Which handles this node is responsible for.

Homed is an exact row in PREFIXES; a prefix below a homed one is not covered by
it. For a homed P, and for any prefix below it, the node also answers ``0.NA/P``;
every ``0.NA/…`` only with ``handle.root`` (design §2).
"""

from __future__ import annotations

from typing import Protocol

from core.errors import ResponsibilityError
from core.ident.handle import PREFIX_HANDLES, HandleKey, ancestors, prefix_of
from core.records import Values
from core.store.engine import Table
from core.store.record_rows import record_key, unpack_values


class Rows(Protocol):
    """A snapshot, or what is staged over one."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return a row, None if there is none."""


def serves(rows: Rows, handle: bytes, *, root: bool) -> bool:
    """Whether the node is responsible for this folded handle."""
    prefix = prefix_of(handle)
    if prefix != PREFIX_HANDLES:
        return rows.get(Table.PREFIXES, prefix) is not None
    if root:
        return True
    named = handle[len(prefix) + 1 :]
    return any(rows.get(Table.PREFIXES, each) is not None for each in ancestors(named) if each)


def require_served(rows: Rows, handle: bytes, *, root: bool) -> None:
    """Errors: ResponsibilityError, in the reference server's words, if it is not ours."""
    if not serves(rows, handle, root=root):
        raise ResponsibilityError("That prefix doesn't live here")


def load_values(rows: Rows, handle: HandleKey, *, root: bool) -> Values | None:
    """Return all values of a record that lives here, None for any other."""
    if not serves(rows, handle, root=root):
        return None
    row = rows.get(Table.RECORDS, record_key(handle))
    return None if row is None else unpack_values(row)

"""The row ``bounds`` of the table META: how long handles may be at this node (handle.prefix_length_max, length_max).

    0  2  characters of the longest prefix, big-endian
    2  2  characters of the longest handle

No row: the usual bounds. Kept by whoever writes, so that a deposit tells what the node answers to a longer one.
"""

from __future__ import annotations

import struct
from typing import Final

from core import limits
from core.errors import StoreError
from core.ident.handle import HandleRules
from core.store.case_row import stored_case
from core.store.engine import Batch, Engine, Snapshot, Table

BOUNDS_KEY: Final = b"bounds"
_ROW: Final = struct.Struct(">HH")
_USUAL: Final = (limits.PREFIX_CHARS, limits.HANDLE_CHARS)


def unpack_bounds(row: bytes | None) -> tuple[int, int]:
    """Read the row. Errors: StoreError."""
    if row is None:
        return _USUAL
    if len(row) != _ROW.size:
        raise StoreError(f"meta {BOUNDS_KEY!r}: {row!r} are no bounds")
    prefix, handle = _ROW.unpack(row)
    if not (1 <= prefix <= limits.PREFIX_CHARS_MAX and 3 <= handle <= limits.HANDLE_CHARS_MAX):
        raise StoreError(f"meta {BOUNDS_KEY!r}: {row!r} are no bounds")
    return prefix, handle


def stored_rules(snapshot: Snapshot) -> HandleRules:
    """Return bounds and case as the store's node has them. Errors: StoreError."""
    prefix, handle = unpack_bounds(snapshot.get(Table.META, BOUNDS_KEY))
    return HandleRules(prefix, handle, stored_case(snapshot))


def adopt_bounds(store: Engine, prefix: int, handle: int) -> None:
    """Keep the bounds in the store, for whoever writes. Errors: StoreError."""
    with store.snapshot() as snapshot:
        row = snapshot.get(Table.META, BOUNDS_KEY)
    wanted = None if (prefix, handle) == _USUAL else _ROW.pack(prefix, handle)
    if row != wanted:
        batch = Batch()
        batch.expect(Table.META, BOUNDS_KEY, row)
        batch.put(Table.META, BOUNDS_KEY, wanted)
        store.commit(batch)

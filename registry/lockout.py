"""Whether the server administrators would be locked out: their records served no longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from core.ident.handle import HandleKey, PrefixKey, prefix_handle_of
from core.store.engine import Table
from core.store.homing import serves
from core.store.prefix_rows import Rows


def locked_out(
    operators: Sequence[tuple[HandleKey, int]], rows: Rows, prefix: PrefixKey, row: bytes | None, *, root: bool
) -> tuple[HandleKey, int] | None:
    """Return a server administrator whose record is no longer served once the prefix has this row, None without.

    An administrator in the prefix's own handle counts wherever else it is served from.
    """
    after = _Instead(rows, prefix, row)
    for key, index in operators:
        own = row is None and key == prefix_handle_of(prefix)
        if own or (serves(rows, key, root=root) and not serves(after, key, root=root)):
            return key, index
    return None


class _Instead(NamedTuple):
    """See Rows. One prefix has another row, or none."""

    rows: Rows
    prefix: PrefixKey
    row: bytes | None

    def get(self, table: Table, key: bytes) -> bytes | None:
        return self.row if table is Table.PREFIXES and key == self.prefix else self.rows.get(table, key)

"""T4 and T11: metadata templates, a row a version that was published. T4 has those of the node, T11 those of parties.

What a version says never changes once it is published; it may be withdrawn, and keeps its row then. A draft has none.
Key: that of the store, folded code ``@`` version.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core import limits
from core.changes import ChangeKind
from core.store.engine import Snapshot, Table
from core.store.template_rows import TemplateState, unpack_template
from sync.table import Operation, TableKind, pack_row

_KINDS: Final = frozenset((ChangeKind.TEMPLATE_PUBLISHED, ChangeKind.TEMPLATE_WITHDRAWN))


class TemplateSource:
    """See Source."""

    def __init__(self, table: TableKind, *, own: bool) -> None:
        """Take T4 (``own``) or T11."""
        self.table = table
        self.kinds = _KINDS
        self._own = own

    def touched(self, kind: ChangeKind, identifier: bytes) -> tuple[bytes, Operation] | None:
        return identifier, Operation.NONE

    def row(self, snapshot: Snapshot, key: bytes) -> bytes | None:
        if not 0 < len(key) <= limits.STORE_KEY_BYTES_MAX:
            return None
        stored = snapshot.get(Table.TEMPLATES, key)
        return None if stored is None else self._row(stored)

    def rows(self, snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        for key, stored in snapshot.scan(Table.TEMPLATES, start, stop):
            row = self._row(stored)
            if row is not None:
                yield key, row

    def context(self, snapshot: Snapshot) -> bytes:
        return b""

    def latest(self, snapshot: Snapshot) -> int:
        return snapshot.serial()

    def _row(self, stored: bytes) -> bytes | None:
        found = unpack_template(stored)
        template = found.template
        if found.state is TemplateState.DRAFT or bool(template.party) is self._own:
            return None
        items = [(each.name, each.alias, each.type, each.length, each.required, each.unit) for each in template.items]
        industry = (level or None for level in template.industry)
        party = (template.party,) if template.party else ()  # T4 has no such field
        return pack_row((
            template.code, template.version, template.name or None, *industry, template.active, items,
            found.state.value, *party,
        ))  # fmt: skip

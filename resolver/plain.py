"""Records as they are stored, and units as if they were, for the quick ways: what a plain question needs, and no more.

1. One state of the store at a time: ``begin`` opens it, ``end`` lets it go, and nothing waits
   in between. What came before ``begin`` sees all that was acknowledged before it came.
2. The prefixes that are served here, and whether any handle is on hold by itself, are remembered
   as long as that state is the last one.
3. A row that is found proves that the handle follows the grammar, for nothing else is ever
   stored. Whatever is not found is left to ``Resolver``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from core import limits
from core.errors import NodeError
from core.ident.handle import HandleRules
from core.store.engine import Snapshot, Table
from core.store.holding import hold_counts, hold_on
from core.store.homing import hosting_of
from core.store.prefix_rows import HOSTED
from core.store.record_rows import KEY_RAW_MAX
from resolver.units import Units


class Store(Protocol):
    """Where the rows lie."""

    def snapshot(self) -> Snapshot:
        """Begin to read one committed state. Errors: StoreError."""


class PlainReads:
    """The rows of hosted records, by the octets of a handle as asked."""

    def __init__(
        self, store: Store, rules: HandleRules, *, root: bool = False, units: Units | None = None
    ) -> None:  # fmt: skip
        self._store = store
        self._units = units or Units(root=root)
        self._rules = rules
        self._root = root
        self._server = rules.server
        self._fold: Callable[[bytes], bytes] = rules.fold if rules.case_sensitive else bytes.upper
        # A character has at least one octet; a key of KEY_RAW_MAX may be a shortened one, of no handle.
        self._bytes_max = min(rules.length_max, KEY_RAW_MAX - 1)
        self._snapshot: Snapshot | None = None
        self._state = -1
        self._hosted: set[bytes] = set()
        self._identifiers_held = False

    def begin(self) -> bool:
        """Begin to read the last committed state; False where the store cannot be read just now."""
        try:
            snapshot = self._store.snapshot()
        except NodeError:
            return False
        self._snapshot = snapshot
        state = snapshot.state()
        if state != self._state:
            self._state = state
            self._hosted.clear()
        self._units.begin(state)
        return True

    def end(self) -> None:
        """Let go what ``begin`` opened."""
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    @property
    def snapshot(self) -> Snapshot:
        """What ``begin`` opened, for whoever looks closer."""
        assert self._snapshot is not None
        return self._snapshot

    def row(self, table: Table, handle: bytes) -> bytes | None:
        """Return the row of a record that is served here; None where a closer look is needed.

        ``table``: RECORDS or ANSWERS. ``handle``: octets as asked, of any kind.
        """
        key = self._fold(handle)
        prefix, slash, _ = key.partition(b"/")
        if not slash or len(key) > self._bytes_max:
            return None
        snapshot = self._snapshot
        if snapshot is None:
            return None
        if prefix not in self._hosted and not self._hosts(snapshot, prefix, key):
            return None
        if self._identifiers_held and hold_on(snapshot, key) is not None:
            return None
        row = self._units.quick_row(table, key) or snapshot.get(table, key)
        if row is None:
            row = self._units.any_row(snapshot, table, key)
        if row is not None and self._server is not None and not self._server.takes(handle.decode()):
            return None
        return row

    def shared(self, key: bytes) -> object | None:
        """Return what a unit shares with others of its lot (``Units.shared``); None where a closer look is needed.

        ``key``: of a handle, folded.
        """
        prefix, slash, _ = key.partition(b"/")
        snapshot = self._snapshot
        if not slash or snapshot is None or self._server is not None:
            return None
        if prefix not in self._hosted and not self._hosts(snapshot, prefix, key):
            return None
        if self._identifiers_held and hold_on(snapshot, key) is not None:
            return None
        return self._units.shared(key)

    def _hosts(self, snapshot: Snapshot, prefix: bytes, key: bytes) -> bool:
        """Whether records of this prefix are served here; if so it is remembered. Bounds: QUICK_PREFIXES_MAX."""
        if prefix.startswith(b"0.") or len(prefix) > self._rules.prefix_length_max:
            return False
        if hosting_of(snapshot, key, root=self._root) != HOSTED:
            return False
        self._identifiers_held = hold_counts(snapshot).identifiers > 0
        if len(self._hosted) >= limits.QUICK_PREFIXES_MAX:
            self._hosted.clear()
        self._hosted.add(prefix)
        return True

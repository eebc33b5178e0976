"""The rows of T13: anomalies and recoveries, a row each, which never changes. Key: its number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core import limits
from core.changes import ChangeKind
from core.store.engine import Snapshot, Table
from core.store.monitor_rows import unpack_event
from sync.table import Operation, TableKind, pack_row
from sync.tables import TABLES


class EventSource:
    """See Source."""

    table: Final[TableKind] = TABLES["T13"]
    kinds: Final = frozenset((ChangeKind.MONITOR_EVENT,))

    def touched(self, kind: ChangeKind, identifier: bytes) -> tuple[bytes, Operation] | None:
        return identifier, Operation.NONE

    def row(self, snapshot: Snapshot, key: bytes) -> bytes | None:
        if not 0 < len(key) <= limits.STORE_KEY_BYTES_MAX:
            return None
        stored = snapshot.get(Table.MONITOR_EVENTS, key)
        return None if stored is None else _row(key, stored)

    def rows(self, snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        for key, stored in snapshot.scan(Table.MONITOR_EVENTS, start, stop):
            yield key, _row(key, stored)

    def context(self, snapshot: Snapshot) -> bytes:
        return b""

    def latest(self, snapshot: Snapshot) -> int:
        return snapshot.serial()


def _row(key: bytes, stored: bytes) -> bytes:
    event = unpack_event(stored)
    return pack_row((
        event.status, key.decode(), event.ends or None, event.at_ms // 1_000, event.cause or None, event.kind,
        event.subject, event.condition,
    ))  # fmt: skip

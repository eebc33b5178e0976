"""Resolution logs for tests: one that forgets, and one in memory that can be made to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from audit.frame import Row
from core.admission import Identity
from core.errors import NodeError, Outcome
from core.events import Via
from core.store.engine import Snapshot, Table
from core.store.log_rows import LAST_LOG_KEY, LogRow, log_key, unpack_log_row
from node.turn import Turn


class NoLog:
    """Takes everything and keeps nothing."""

    writable = True

    def resolved(self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes) -> None:
        pass

    def record(self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes, who: Identity | None) -> None:
        pass


class NoNotes:
    """Takes every note of a log-in and keeps none."""

    async def failed(self, error: NodeError, origin: object) -> None:
        pass

    async def logged_in(self, identity: Identity, origin: object) -> None:
        pass


class MemorySpool:
    """What was written; nothing is while ``full``."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.writes = 0
        self.full = False

    def write(self, rows: Sequence[Row]) -> bool:
        if self.full:
            return False
        self.rows += rows
        self.writes += 1
        return True


def log_rows(snapshot: Snapshot) -> list[LogRow]:
    """Return the queue of the log; its numbers have no gap."""
    rows = list(snapshot.scan(Table.LOG_QUEUE, b""))
    assert [key for key, _ in rows] == [log_key(number) for number in range(1, len(rows) + 1)]
    assert snapshot.get(Table.META, LAST_LOG_KEY) == (log_key(len(rows)) if rows else None)
    return [unpack_log_row(row) for _, row in rows]


def at_once(spool: MemorySpool | None = None, now_s: Callable[[], float] = lambda: 0.0) -> Turn:
    """Return a turn that ends as soon as something is to leave; its log is in memory."""
    return Turn(spool or MemorySpool(), lambda *_: None, lambda: None, now_s, lambda end: end())


def everyone(_: bytes) -> bool:
    """Admit every source, as a limit that is switched off."""
    return True

"""Where the rows of one table come from, as whoever sends them sees it. The sources: ``sync/sources/``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from core.changes import ChangeKind
from core.store.engine import Snapshot
from sync.table import Operation, TableKind


class Source(Protocol):
    """The rows of one table in one state of the store. Keys: octets, at most UPSTREAM_KEY_BYTES_MAX, in their order."""

    @property
    def table(self) -> TableKind:
        """Return the table."""

    @property
    def kinds(self) -> frozenset[ChangeKind]:
        """Return the kinds of changes that may touch a row; empty but for the basis FEED."""

    def touched(self, kind: ChangeKind, identifier: bytes) -> tuple[bytes, Operation] | None:
        """Return the key of the row that a change of one of ``kinds`` touches, and what happened; None for no row.

        ``identifier``: of the change, as the feed has it.
        """

    def row(self, snapshot: Snapshot, key: bytes) -> bytes | None:
        """Return the row of a key, None if there is none. Rests on ``snapshot`` and ``context`` alone."""

    def rows(self, snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and rows from ``start`` (included) to ``stop`` (not included; None: to the end), in order.

        They are those that ``row`` returns.
        """

    def context(self, snapshot: Snapshot) -> bytes:
        """Return a digest of what the rows rest on besides changes that the feed tells; when it is another, the whole
        table is sent. Of the basis WHOLE: of all rows. Shape: 32 octets, or empty where there is no such thing.
        """

    def latest(self, snapshot: Snapshot) -> int:
        """Return the newest serial: of FEED that of the store, of DAYS the newest day with rows, of WHOLE 1."""

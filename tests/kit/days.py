"""A node in this process whose days are counted: a registrar, workers that log, a sequencer. Time is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audit.frame import encode_frame
from core.clock import Millis, parse_instant
from core.events import Via
from core.peer import pack_peer
from core.records import HandleValue
from core.store.engine import Batch, Table
from core.store.upstream_rows import day_of, unpack_day
from registry.commands import OPERATOR, Command, CreateLot, Delete, Put
from sync.table import unpack_row
from tests.kit.governance import Office
from tests.kit.sequencing import Rows, Segment, run_out, sequencer_of

Query = tuple[str, str, bytes]
"""Identifier as asked, outcome, address octets (empty: unknown)."""

VALUES = (HandleValue(1, "URL", b"https://salt.example"),)


def shanghai(text: str) -> Millis:
    """Return Unix milliseconds of a time in Shanghai."""
    found = parse_instant(f"{text}+08:00")
    assert found is not None
    return found


class CountedNode:
    """A node that holds 88.118 since 2023-11-15 06:13:20 in Shanghai, and logs since ``begun``."""

    def __init__(self, data: Path, begun: str = "2023-11-15T06:13:20") -> None:
        self.data = data
        self.office = Office()
        self.store = self.office.store
        self.sequencer = sequencer_of(data, Rows())
        self._segment = Segment(data, "worker-0", 0)
        self.publish(begun)

    # --- what happens
    def ask(self, at: str | int, *queries: Query, via: Via = Via.HANDLE_UDP) -> None:
        """Have a worker log one turn."""
        at_ms = shanghai(at) if isinstance(at, str) else at
        rows = [
            (via, outcome, pack_peer(address, 40_001) if address else b"", name.encode(), "")
            for name, outcome, address in queries
        ]
        self._segment.file.write(encode_frame(at_ms, rows))

    def publish(self, now: str | int) -> None:
        """Have the sequencer publish what waits."""
        run_out(self.sequencer, shanghai(now) if isinstance(now, str) else now)

    def act(self, at: str, *commands: Command) -> None:
        """Have the operator do something."""
        self.office.now = Millis(shanghai(at) - 1_000)
        for result in self.office.run(*commands, actor=OPERATOR):
            assert result.done, result

    def put(self, at: str, *handles: str) -> None:
        """Register identifiers."""
        self.act(at, *(Put(handle, VALUES) for handle in handles))

    def delete(self, at: str, *handles: str) -> None:
        """Delete identifiers."""
        self.act(at, *(Delete(handle) for handle in handles))

    def lot(self, at: str, handle: str, units: int) -> None:
        """Register a lot, ten units in a case."""
        form = {"lot": handle, "product": f"{handle.partition('/')[0]}/P", "count": units, "units_per_case": 10}
        self.act(at, CreateLot(json.dumps(form).encode()))

    def allocated(self, at: str, prefix: str, number: int = 0) -> None:
        """Allocate a hosted prefix to a party."""
        self.office.now = shanghai(at)
        self.office.allocated(prefix, number)

    # --- what is kept
    def kept(self, table: str, day: str = "") -> dict[str, list[Any]]:
        """Return the rows of a table, by day and prefix; without marks."""
        found = {}
        with self.store.snapshot() as snapshot:
            for key, row in snapshot.scan(Table.SYNC_DAYS, f"{table}/{day}".encode(), f"{table}0".encode()):
                _, of, prefix = day_of(key)
                if prefix and of.startswith(day):
                    found[f"{of}/{prefix.decode()}"] = unpack_row(unpack_day(row))
        return found

    def dump(self) -> dict[bytes, bytes]:
        """Return all of SYNC_DAYS."""
        with self.store.snapshot() as snapshot:
            return dict(snapshot.scan(Table.SYNC_DAYS, b""))

    def forget(self) -> None:
        """Take all of SYNC_DAYS away, as if no day had been made yet."""
        batch = Batch()
        for key in self.dump():
            batch.put(Table.SYNC_DAYS, key, None)
        self.store.commit(batch)

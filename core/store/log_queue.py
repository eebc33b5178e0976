"""The queue of the statutory logs: rows of LOG_QUEUE in their order, as the sequencer reads them; and one more."""

from __future__ import annotations

from core.clock import Millis
from core.errors import StoreError
from core.store.engine import Batch, Engine, Snapshot, Table
from core.store.log_rows import LAST_LOG_KEY, LogEntry, LogRow, log_key, pack_log_row, unpack_log_row
from core.streams import Stream
from core.who import NODE


def append(batch: Batch, snapshot: Snapshot, row: LogRow) -> None:
    """Put a row behind the last one, once a batch. The commit rests on its number: another writer may be faster."""
    last = snapshot.get(Table.META, LAST_LOG_KEY)
    number = int.from_bytes(last or b"", "big") + 1
    batch.expect(Table.META, LAST_LOG_KEY, last)
    batch.put(Table.META, LAST_LOG_KEY, log_key(number))
    batch.put(Table.LOG_QUEUE, log_key(number), pack_log_row(row))


class LogQueue:
    """The rows that wait."""

    def __init__(self, store: Engine) -> None:
        self._store = store

    def read(self, after: int, count: int) -> list[tuple[int, LogRow]]:
        """Return rows with numbers above ``after``, in order, until they have ``count`` entries or more.

        One that cannot be read is told as an entry of maintenance: nothing behind it waits for it.
        """
        found: list[tuple[int, LogRow]] = []
        entries = 0
        with self._store.snapshot() as snapshot:
            for key, packed in snapshot.scan(Table.LOG_QUEUE, log_key(after + 1)):
                if entries >= count:
                    break
                row = _read(key, packed)
                entries += len(row.entries)
                found.append((int.from_bytes(key, "big"), row))
        return found

    def go_on_behind(self, number: int) -> int:
        """Have the next row be numbered above ``number``; return how many numbers were passed over, 0 as a rule.

        A store that was put back from a copy would give numbers anew that the logs have already: such rows would be
        taken for published. Errors: StoreError.
        """
        with self._store.snapshot() as snapshot:
            row = snapshot.get(Table.META, LAST_LOG_KEY)
        last = int.from_bytes(row or b"", "big")
        if last >= number:
            return 0
        batch = Batch()
        batch.expect(Table.META, LAST_LOG_KEY, row)
        batch.put(Table.META, LAST_LOG_KEY, log_key(number))
        self._store.commit(batch)
        return number - last

    def remove(self, number: int) -> None:
        """Take away all rows up to this one. Errors: StoreError."""
        with self._store.snapshot() as snapshot:
            keys = [key for key, _ in snapshot.scan(Table.LOG_QUEUE, log_key(0), log_key(number + 1))]
        if keys:
            batch = Batch()
            for key in keys:
                batch.put(Table.LOG_QUEUE, key, None)
            self._store.commit(batch)


def _read(key: bytes, row: bytes) -> LogRow:
    try:
        return unpack_log_row(row)
    except StoreError as error:
        number = str(int.from_bytes(key, "big"))
        entry = LogEntry(Stream.MAINTENANCE.value, "queue.damaged", number, outcome="internal", reason=error.message)
        return LogRow(Millis(0), NODE, "", b"", (entry,))

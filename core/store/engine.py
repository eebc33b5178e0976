"""The Protocol of a store engine: eight verbs, everything above is written against it.

Rules, the same for every engine (tests/store/test_engine_contract.py):

1. Keys are octets in binary order, at most STORE_KEY_BYTES_MAX, never empty.
2. A snapshot sees one committed state, whatever is written meanwhile.
3. A batch is applied whole or not at all. It is applied only if every row named
   in ``expected`` still holds exactly those octets (None: no such row); else
   ``ExpectationError``. So a service may read a snapshot, decide, and commit.
4. The changes of a batch get the next serials, in order, in the same commit:
   gap-free, strictly increasing, one row each. So do the rows of META that are to hold such a serial.
5. When ``commit`` returns, the batch is on the disk. When it raises StoreError,
   nothing of it is there; when it raises StorePanicError the process must end,
   and whether the batch is there is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from core.changes import Serial
from core.errors import Outcome, StoreError


class Table(Enum):
    """The tables. The value is the stored name: never reuse one."""

    META = "meta"
    PREFIXES = "prefixes"
    RECORDS = "records"
    ANSWERS = "answers"
    COUNTERS = "counters"
    PARTIES = "parties"
    PARTY_NUMBERS = "party_numbers"
    APPLICATIONS = "applications"
    BEARERS = "bearers"
    COMPLAINTS = "complaints"
    WAITING_COMPLAINTS = "waiting_complaints"
    TRANSFERS = "transfers"
    HISTORY = "history"
    JOURNAL = "journal"
    LOG_QUEUE = "log_queue"
    LOG_HOLDS = "log_holds"
    LOTS = "lots"
    LOT_TALLIES = "lot_tallies"
    LOT_BLOCKS = "lot_blocks"
    LOT_RUNS = "lot_runs"
    LOT_EVENTS = "lot_events"
    LOT_CONTENTS = "lot_contents"
    HOLDS = "holds"
    TEMPLATES = "templates"
    INCIDENTS = "incidents"
    INCIDENT_REPORTS = "incident_reports"
    UPSTREAMS = "upstreams"
    SYNC_TABLES = "sync_tables"
    SYNC_REFUSED = "sync_refused"
    SYNC_DAYS = "sync_days"
    MONITOR_HOURS = "monitor_hours"
    MONITOR_EVENTS = "monitor_events"
    DEPOSITS = "deposits"
    HANDED_BACK = "handed_back"
    ALIASES = "aliases"
    ALIASES_OF = "aliases_of"
    TOKENS = "tokens"
    TOKEN_TIMES = "token_times"  # noqa: S105 - a table's name

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is computed in Python


class ExpectationError(StoreError):
    """Another process wrote a row that the batch was built on; read again and retry."""

    outcome = Outcome.CONFLICT


class StorePanicError(Exception):
    """The store cannot be used any more by this process, which must end (design §3)."""


class Batch:
    """What one commit changes. ``None`` as a row deletes the key.

    ``serials``: rows of META that are to hold the serial of one of the changes, eight octets, big-endian: by key its
    place in ``changes``. Nobody but the commit knows that serial.
    """

    __slots__ = ("changes", "expected", "rows", "serials")

    def __init__(self) -> None:
        self.rows: dict[Table, dict[bytes, bytes | None]] = {}
        self.expected: dict[Table, dict[bytes, bytes | None]] = {}
        self.changes: list[bytes] = []
        self.serials: dict[bytes, int] = {}

    def forget_changes(self) -> None:
        """Have no change, nor the serial of one: for a store whose feed is another's."""
        self.changes.clear()
        self.serials.clear()

    def put(self, table: Table, key: bytes, row: bytes | None) -> None:
        """Write or, with None, delete one row."""
        self.rows.setdefault(table, {})[key] = row

    def expect(self, table: Table, key: bytes, row: bytes | None) -> None:
        """Demand that the row is exactly this when the batch is applied."""
        self.expected.setdefault(table, {})[key] = row


class Statistics(NamedTuple):
    """Size of the store. ``file_bytes`` is what lies on the disk, 0 in memory."""

    rows: dict[str, int]
    file_bytes: int
    readers: int


class Snapshot(Protocol):
    """One committed state, to be closed soon: it keeps old pages from being reused."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the row, None if there is none."""

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the rows in the order of the keys."""

    def scan(self, table: Table, start: bytes, stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and row from ``start`` (included) to ``stop`` (not included), in order."""

    def floor(self, table: Table, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that is not above ``key``."""

    def feed(self, after: Serial, count: int) -> list[tuple[Serial, bytes]]:
        """Return at most ``count`` changes with serials above ``after``, in order."""

    def serial(self) -> Serial:
        """Return the serial of the last change, 0 if there is none."""

    def state(self) -> int:
        """Return the number of the committed state: snapshots of one engine with equal numbers see the same rows."""

    def close(self) -> None:
        """End it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Engine(Protocol):
    """An open store."""

    def snapshot(self) -> Snapshot:
        """Begin to read one committed state."""

    def commit(self, batch: Batch) -> Serial:
        """Apply a batch, durably; return the serial of the last change.

        Errors: ExpectationError, StoreError (nothing applied), StorePanicError.
        """

    def statistics(self) -> Statistics:
        """Count rows and octets."""

    def check_readers(self) -> int:
        """Free the slots of readers that were killed; return how many."""

    def close(self) -> None:
        """Close it. Snapshots must be closed before."""

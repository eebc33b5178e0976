"""The embedded engine: LMDB, one file, many processes.

Rules, each learnt by measurement (design §3):

1. Every process opens the environment once, after any fork, with the same
   address space; nobody grows it: the disk, never the map, is the limit.
2. Never ``writemap``: a stray write would corrupt the file.
3. Data and meta page are synced at every commit.
4. Rows of one table go in key order, and by appending where they all lie behind
   the last key: pages are then filled instead of split in halves.
5. A failed write of the meta page leaves the environment unusable
   (StorePanicError); a failed commit is never tried again with the same pages.

Tables are named databases; the change feed is one more, with the serial as an
eight-octet big-endian key. META holds ``serial``, so that serials go on when old
changes are removed.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import lmdb

from core import limits
from core.changes import Serial
from core.errors import Outcome, StoreError
from core.store.engine import Batch, ExpectationError, Statistics, StorePanicError, Table
from core.store.restart import RESTARTED_KEY

_LOG: Final = logging.getLogger("saltern.store")
_FEED: Final = b"changes"
_FORMAT_KEY: Final = b"format"
_FORMAT: Final = b"\x01"
_SERIAL_KEY: Final = b"serial"
_DATA_FILE: Final = "data.mdb"
_LOCK_FILE: Final = "lock.mdb"

_LATER: Final = frozenset((
    Table.PARTIES, Table.PARTY_NUMBERS, Table.APPLICATIONS, Table.BEARERS, Table.JOURNAL,
    Table.HOLDS,
    Table.LOG_QUEUE, Table.LOG_HOLDS,
    Table.TEMPLATES,
    Table.INCIDENTS, Table.INCIDENT_REPORTS,
    Table.COMPLAINTS, Table.WAITING_COMPLAINTS,
    Table.TRANSFERS, Table.HISTORY,
    Table.UPSTREAMS, Table.SYNC_TABLES, Table.SYNC_REFUSED, Table.SYNC_DAYS,
    Table.MONITOR_HOURS, Table.MONITOR_EVENTS, Table.DEPOSITS, Table.HANDED_BACK,
    Table.ALIASES, Table.ALIASES_OF,
    Table.LOTS, Table.LOT_TALLIES, Table.LOT_BLOCKS, Table.LOT_RUNS, Table.LOT_EVENTS, Table.LOT_CONTENTS,
))  # fmt: skip
"""Tables that a store of an earlier version lacks: whoever may write makes them, empty."""

_Tables = dict[Table, Any]


class EarlierStoreError(StoreError):
    """The store was made by an earlier version: opened for writing, once, it gets the tables that it lacks."""


class LmdbSnapshot:
    """See Snapshot."""

    __slots__ = ("_feed", "_tables", "_transaction")

    def __init__(self, transaction: Any, tables: _Tables, feed: Any) -> None:
        self._transaction = transaction
        self._tables = tables
        self._feed = feed

    def get(self, table: Table, key: bytes) -> bytes | None:
        if not key:  # LMDB refuses to look for it
            return None
        row: bytes | None = self._transaction.get(key, None, self._tables[table])
        return row

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        get, handle = self._transaction.get, self._tables[table]
        return [get(key, None, handle) if key else None for key in keys]

    def scan(self, table: Table, start: bytes, stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        cursor = self._transaction.cursor(self._tables[table])
        found = cursor.set_range(start) if start else cursor.first()
        if not found:
            return
        for key, row in cursor:
            if stop is not None and key >= stop:
                return
            yield key, row

    def floor(self, table: Table, key: bytes) -> tuple[bytes, bytes] | None:
        cursor = self._transaction.cursor(self._tables[table])
        found = cursor.set_range(key) if key else False
        if found and cursor.key() == key:
            return cursor.key(), cursor.value()
        if not (cursor.prev() if found else key and cursor.last()):
            return None
        return cursor.key(), cursor.value()

    def feed(self, after: Serial, count: int) -> list[tuple[Serial, bytes]]:
        cursor = self._transaction.cursor(self._feed)
        if count <= 0 or not cursor.set_range(_serial_key(after + 1)):
            return []
        number = int.from_bytes
        return [(Serial(number(key, "big")), row) for key, row in islice(cursor, count)]

    def serial(self) -> Serial:
        return _read_serial(self._transaction, self._tables[Table.META])

    def state(self) -> int:
        number: int = self._transaction.id()
        return number

    def close(self) -> None:
        self._transaction.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LmdbEngine:
    """See Engine. ``create`` makes the tables; without it the store must exist.

    Errors: EarlierStoreError where tables of ``_LATER`` alone are missing and it is opened for reading.
    """

    def __init__(
        self,
        folder: Path,
        *,
        map_size_bytes: int = limits.MAP_SIZE_BYTES,
        read_only: bool = False,
        create: bool = False,
    ) -> None:
        self._folder = folder
        if create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not (folder / _DATA_FILE).exists():
            raise StoreError(f"no store in {folder}; `saltern init` makes one")
        self._environment = _open(folder, map_size_bytes, read_only)
        try:
            self._open_tables(create=create, create_later=not read_only)
        except lmdb.Error as error:
            self._environment.close()
            raise _failed(folder, error) from None
        except StoreError:
            self._environment.close()
            raise
        self._check_format(create)

    def _open_tables(self, *, create: bool, create_later: bool) -> None:
        self._tables: _Tables = {}
        missing = {table for table in Table if not self._open_table(table, create=create)}
        try:
            self._feed = self._environment.open_db(_FEED, create=create)
            complete = missing <= _LATER
        except lmdb.NotFoundError:
            complete = False
        if not complete:
            raise StoreError(f"the store in {self._folder} is incomplete; restore it from a backup")
        if missing and not create_later:
            raise EarlierStoreError(f"the store in {self._folder} was made by an earlier version")
        for table in missing:
            self._open_table(table, create=True)

    def _open_table(self, table: Table, *, create: bool) -> bool:
        """Return False where there is none."""
        try:
            self._tables[table] = self._environment.open_db(table.value.encode(), create=create)
        except lmdb.NotFoundError:
            return False
        return True

    def _check_format(self, create: bool) -> None:
        meta = self._tables[Table.META]
        with self._environment.begin() as transaction:
            found = transaction.get(_FORMAT_KEY, None, meta)
        if found is None and create:
            with self._environment.begin(write=True) as transaction:
                transaction.put(_FORMAT_KEY, _FORMAT, db=meta)
        elif found != _FORMAT:
            self.close()
            raise StoreError(
                f"the store in {self._folder} has format {found!r}, this version reads {_FORMAT!r}; "
                "use the version of Saltern that wrote it"
            )

    def snapshot(self) -> LmdbSnapshot:
        try:
            transaction = self._environment.begin()
        except lmdb.ReadersFullError:
            raise StoreError(f"more than {limits.READERS_MAX} readers of the store at once") from None
        except lmdb.PanicError as error:
            raise StorePanicError(str(error)) from error
        except lmdb.Error as error:
            _LOG.error("the store cannot be read: %s", error)
            raise StoreError("The store cannot be read just now; try again") from None
        return LmdbSnapshot(transaction, self._tables, self._feed)

    def commit(self, batch: Batch) -> Serial:
        try:
            with self._environment.begin(write=True) as transaction:
                self._check_expected(transaction, batch)
                for table, rows in batch.rows.items():
                    self._write(transaction, table, rows, batch.expected.get(table, {}))
                serial = self._append(transaction, batch)
        except lmdb.PanicError as error:
            raise StorePanicError(str(error)) from error
        except lmdb.BadValsizeError:
            raise StoreError(f"a key is empty or longer than {limits.STORE_KEY_BYTES_MAX} octets") from None
        except lmdb.Error as error:
            self._require_usable(error)
            raise _failed(self._folder, error) from None
        return serial

    def _require_usable(self, error: Exception) -> None:
        """Tell a write that was undone from a failed meta page, which LMDB reports as an I/O error first.

        Errors: StorePanicError if the environment cannot be used any more.
        """
        try:
            self._environment.begin().abort()
        except lmdb.Error:
            raise StorePanicError(str(error)) from error

    def _check_expected(self, transaction: Any, batch: Batch) -> None:
        for table, rows in batch.expected.items():
            handle = self._tables[table]
            written = batch.rows.get(table, {})
            for key, row in rows.items():
                if row is None and written.get(key) is not None:
                    continue  # _write() finds out by not overwriting
                if transaction.get(key, None, handle) != row:
                    raise _other_writer(table)

    def _write(
        self, transaction: Any, table: Table, rows: dict[bytes, bytes | None], expected: dict[bytes, bytes | None]
    ) -> None:
        handle = self._tables[table]
        puts = sorted([item for item in rows.items() if item[1] is not None])
        for key, row in rows.items():
            if row is None:
                transaction.delete(key, db=handle)
        if not puts:
            return
        with transaction.cursor(handle) as cursor:
            behind = not cursor.last() or cursor.key() < puts[0][0]
            fresh = [item for item in puts if expected.get(item[0], b"") is None] if expected else []
            others = puts if not fresh else [item for item in puts if expected.get(item[0], b"") is not None]
            one_kind = not fresh or not others  # two runs would not be in key order together
            if others:
                cursor.putmulti(others, append=behind and one_kind)
            if fresh and cursor.putmulti(fresh, overwrite=False, append=behind and one_kind)[1] != len(fresh):
                raise _other_writer(table)

    def _append(self, transaction: Any, batch: Batch) -> Serial:
        meta, changes = self._tables[Table.META], batch.changes
        serial = _read_serial(transaction, meta)
        for key, place in batch.serials.items():
            transaction.put(key, _serial_key(serial + 1 + place), db=meta)
        if changes:
            with transaction.cursor(self._feed) as cursor:
                cursor.putmulti(
                    [(_serial_key(serial + 1 + position), row) for position, row in enumerate(changes)],
                    append=True,
                )
            serial = Serial(serial + len(changes))
            transaction.put(_SERIAL_KEY, _serial_key(serial), db=meta)
        return serial

    def copy(self, folder: Path) -> None:
        """Write one committed state into an empty folder, compacted; whoever reads or writes goes on meanwhile.

        Errors: StoreError, with STORE_FULL where there is no room.
        """
        try:
            self._environment.copy(str(folder), compact=True)
        except lmdb.Error as error:
            named = any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
            full = named or _no_room(folder)  # the rest of a write that was cut short is told as EINVAL
            raise StoreError(
                f"存储未能复制到 {folder}。The store cannot be copied to {folder}: {error}",
                outcome=Outcome.STORE_FULL if full else Outcome.INTERNAL,
            ) from None

    def restart(self, serial: Serial, forget: Iterable[Table] = ()) -> None:
        """Forget the change feed, and all rows of some tables: the next change is the one behind ``serial``.

        For a node that is put back (``core/store/restart.py``). Errors: StoreError; ValueError for a serial that was
        given already.
        """
        meta = self._tables[Table.META]
        try:
            with self._environment.begin(write=True) as transaction:
                if serial < _read_serial(transaction, meta):
                    raise ValueError(f"serial {serial} was given already")
                transaction.drop(self._feed, delete=False)
                for table in forget:
                    transaction.drop(self._tables[table], delete=False)
                transaction.put(_SERIAL_KEY, _serial_key(serial), db=meta)
                transaction.put(RESTARTED_KEY, _serial_key(serial), db=meta)
        except lmdb.PanicError as error:
            raise StorePanicError(str(error)) from error
        except lmdb.Error as error:
            self._require_usable(error)
            raise _failed(self._folder, error) from None

    def statistics(self) -> Statistics:
        with self._environment.begin() as transaction:
            rows = {table.value: transaction.stat(handle)["entries"] for table, handle in self._tables.items()}
            rows["changes"] = transaction.stat(self._feed)["entries"]
        size = (self._folder / _DATA_FILE).stat().st_blocks * 512
        return Statistics(rows, size, self._environment.info()["num_readers"])

    def check_readers(self) -> int:
        freed: int = self._environment.reader_check()
        return freed

    def close(self) -> None:
        self._environment.close()


def _open(folder: Path, map_size_bytes: int, read_only: bool) -> Any:
    """Open the environment; halve the address space where the system does not give that much."""
    _take_room(folder)
    size = map_size_bytes
    while True:
        try:
            environment = lmdb.open(
                str(folder), map_size=size, max_dbs=len(Table) + 1, max_readers=limits.READERS_MAX,
                readonly=read_only, mode=0o600, max_spare_txns=4, create=not read_only,
            )  # fmt: skip
        except (lmdb.MemoryError, lmdb.Error, MemoryError) as error:
            if not _no_address_space(error) or size // 2 < limits.MAP_SIZE_BYTES_MIN:
                raise StoreError(f"cannot open the store in {folder}: {error}") from None
            size //= 2
            continue
        if size != map_size_bytes:
            _LOG.warning(
                "address space is limited: the store may grow to %d MiB (store.map_size wants %d MiB)",
                size >> 20, map_size_bytes >> 20,
            )  # fmt: skip
        return environment


def _take_room(folder: Path) -> None:
    """Fill the lock file, which LMDB leaves sparse: a reader's slot that a full disk cannot hold is a SIGBUS.

    Before the environment is opened, never after: closing a descriptor of this file lets go
    the lock by which LMDB knows that this process lives (POSIX), and its slots would be freed.
    """
    try:
        descriptor = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
    except OSError as error:
        _LOG.warning("no room for the store's lock file: %s", error.strerror)
    finally:
        os.close(descriptor)


def _no_address_space(error: BaseException) -> bool:
    return isinstance(error, MemoryError | lmdb.MemoryError) or os.strerror(errno.ENOMEM) in str(error)


def _read_serial(transaction: Any, meta: Any) -> Serial:
    return Serial(int.from_bytes(transaction.get(_SERIAL_KEY, b"", meta), "big"))


def _other_writer(table: Table) -> ExpectationError:
    return ExpectationError(f"a row of {table.value} was written by another process")


def _serial_key(serial: int) -> bytes:
    return serial.to_bytes(8, "big")


def _failed(folder: Path, error: Exception) -> StoreError:
    """A failed write: the transaction was aborted, so nothing of it is there.

    LMDB reports a write that was cut short for want of room as EIO, so the room is looked at.
    """
    if isinstance(error, lmdb.MapFullError | lmdb.DiskError) or _no_room(folder):
        _LOG.error("the disk of the store is full, nothing was written: %s", error)
        what = "store.map_size is reached" if isinstance(error, lmdb.MapFullError) else "The node's disk is full"
        return StoreError(f"{what}; nothing was written", outcome=Outcome.STORE_FULL)
    _LOG.error("a write to the store failed, nothing was written: %s", error)
    return StoreError("The store could not write; nothing was written")


def _no_room(folder: Path) -> bool:
    """Whether the data file cannot grow by STORE_ROOM_BYTES: the disk, or the system's limit on file size."""
    try:
        free = shutil.disk_usage(folder).free
        size = (folder / _DATA_FILE).stat().st_size
    except OSError:
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY:
        free = min(free, limit - size)
    return free < limits.STORE_ROOM_BYTES

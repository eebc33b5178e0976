"""What a group of requests has decided so far, before its one commit.

Reads go through what is staged to the snapshot, so that each request sees what
those before it did; every row read is expected unchanged by the commit.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from core.changes import ChangeKind, pack_change
from core.clock import Millis
from core.ident.alias import Alias
from core.ident.handle import PREFIX_HANDLES, HandleKey, PrefixKey, prefix_of
from core.limits import STORE_KEY_BYTES_MAX
from core.records import Values
from core.store.alias_rows import (
    AliasRow,
    NamesRow,
    alias_key,
    alias_of,
    names_of,
    pack_alias,
    pack_names,
)
from core.store.engine import Batch, Snapshot, Table
from core.store.holding import hold_counts
from core.store.journal_rows import LAST_ENTRY_KEY, Entry, entry_key, pack_entry
from core.store.log_rows import LAST_LOG_KEY, LogRow, log_key, pack_log_row
from core.store.prefix_rows import pack_count, unpack_count
from core.store.record_rows import RecordRows, logged_row, pack_record, prefix_range, record_key, unpack_values
from core.store.zone_row import TOUCHING, ZONE_KEY
from core.wire.valuetypes import HS_VLIST
from registry.streams import ALIAS_REMOVE, LOT_CREATE, RECORD_CHANGE, RECORD_CREATE, RECORD_DELETE, STREAMS

_CREATED = int(ChangeKind.RECORD_CREATED)
_SERIAL_BYTES = 8  # the key of a change
_SERIAL_ROW_BYTES = len(b"serial") + 8
_KEY_END = b"\xff" * STORE_KEY_BYTES_MAX
_sha256 = hashlib.sha256
_REGISTRATION: Final = STREAMS[RECORD_CREATE].value
_CHANGE: Final = (STREAMS[RECORD_CHANGE].value, RECORD_CHANGE)
_DELETE: Final = (STREAMS[RECORD_DELETE].value, RECORD_DELETE)
_ALIAS: Final = (STREAMS[ALIAS_REMOVE].value, ALIAS_REMOVE)
_LOT: Final = (STREAMS[LOT_CREATE].value, LOT_CREATE)
_DONE: Final = ("ok", "", "", b"")  # outcome, rule, reason and evidence of a LogEntry
_NOT_LOGGED: Final = frozenset((
    Table.META, Table.JOURNAL, Table.LOG_QUEUE, Table.TOKENS, Table.TOKEN_TIMES, Table.ANSWERS, Table.COUNTERS,
    Table.ALIASES_OF,
))  # fmt: skip

Noted = tuple[str, str, str, bytes, bytes, str, str, str, bytes]
"""A LogEntry as a plain tuple: made for each record of a batch, it costs a sixth of the named one."""


class Staging:
    """One group's writes over one snapshot.

    ``rights`` and ``served`` remember decisions that hold until a record is
    written that they may rest on, a prefix is homed or unhomed, or a hold is placed or lifted.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._counts: dict[PrefixKey, int] = {}
        self._batch = Batch()
        self._records = self._batch.rows.setdefault(Table.RECORDS, {})
        self._answers = self._batch.rows.setdefault(Table.ANSWERS, {})
        self._expected = self._batch.expected.setdefault(Table.RECORDS, {})
        self._orders: dict[Table, list[bytes]] = {}
        self.rights: dict[object, bool] = {}
        self.served: dict[PrefixKey, bool] = {}
        self._identifiers_held: bool | None = None
        self._noted: list[Noted] = []
        self._before_act: dict[Table, dict[bytes, bytes | None]] = {}

    # --- any row ---
    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return a row, staged or stored."""
        staged = self._batch.rows.get(table)
        if staged is not None and key in staged:
            return staged[key]
        if not 0 < len(key) <= STORE_KEY_BYTES_MAX:  # of no row; an engine may refuse to look for it
            return None
        row = self._snapshot.get(table, key)
        self._batch.expect(table, key, row)
        return row

    def put(self, table: Table, key: bytes, row: bytes | None) -> None:
        """Stage a row."""
        self._batch.put(table, key, row)

    def scan(self, table: Table, start: bytes = b"", stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows from ``start`` (included) to ``stop`` (not included) in order, staged or stored.

        Cost: reads them all at once.
        """
        for key, row in list(self.ascend(table, start, stop)):
            if row is not None:
                yield key, row

    def ascend(
        self, table: Table, start: bytes = b"", stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the same one by one, None as the row of what is staged as deleted: each costs about the same."""
        rows, order = self._batch.rows.get(table, {}), self._order(table)
        at = bisect_left(order, start)
        end = len(order) if stop is None else bisect_left(order, stop)
        for key, row in self._snapshot.scan(table, start, stop):
            while at < end and order[at] < key:
                yield order[at], rows[order[at]]
                at += 1
            if at < end and order[at] == key:
                yield key, rows[key]
                at += 1
            else:
                yield key, row
        for key in order[at:end]:
            yield key, rows[key]

    def descend(self, table: Table, key: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the rows from the greatest key that is not above ``key`` downwards, None for what is deleted."""
        rows, order = self._batch.rows.get(table, {}), self._order(table)
        at = bisect_right(order, key)
        stored = self._snapshot.floor(table, key)
        while stored is not None or at:
            if stored is not None and (not at or stored[0] > order[at - 1]):
                yield stored
                stored = self._snapshot.floor(table, _before(stored[0]))
                continue
            staged = order[at - 1]
            yield staged, rows[staged]
            at -= 1
            if stored is not None and stored[0] == staged:
                stored = self._snapshot.floor(table, _before(staged))

    def floor(self, table: Table, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that is not above ``key``, staged or stored.

        Cost: goes over what is staged as deleted right below the key.
        """
        return next(((place, row) for place, row in self.descend(table, key) if row is not None), None)

    def _order(self, table: Table) -> list[bytes]:
        """Return the keys of a table that are staged, in order; no list is changed once it was returned."""
        rows, order = self._batch.rows.get(table, {}), self._orders.get(table, [])
        if len(order) != len(rows):  # keys are only added, behind the others
            order = self._orders[table] = sorted([*order, *islice(rows, len(order), None)])
        return order

    def written(self, before: int = 0) -> int:
        """Return the octets of keys and rows that are staged, of changes and the serial too, but for those before."""
        rows = sum(len(key) + len(row) for staged in self._batch.rows.values() for key, row in staged.items() if row)
        changes = sum(_SERIAL_BYTES + len(change) for change in self._batch.changes)
        return rows + changes + (_SERIAL_ROW_BYTES if changes else 0) - before

    @property
    def snapshot(self) -> Snapshot:
        """The state before the group, for scans."""
        return self._snapshot

    # --- records ---
    def record(self, key: HandleKey) -> Values | None:
        """Return the values of a record, None if there is none."""
        row = self.record_row(key)
        return None if row is None else unpack_values(row)

    def record_row(self, key: HandleKey) -> bytes | None:
        """Return the RECORDS row of a record, None if there is none."""
        place = record_key(key)
        if place in self._records:
            return self._records[place]
        row = self._expected[place] = self._snapshot.get(Table.RECORDS, place)
        return row

    def put_record(self, key: HandleKey, old: Values | None, values: Values, now_ms: Millis) -> None:
        """Stage both rows of a record, its change and its count."""
        if old is None:
            self.put_new_rows(prefix_of(key), key, pack_record(key, values), now_ms)
        else:
            place, rows = record_key(key), pack_record(key, values)
            before = _digest(self.record_row(key) or b"")
            self._noted.append((*_CHANGE, key.decode(), before, _digest(rows.record), *_DONE))
            self._records[place], self._answers[place] = rows
            self._batch.changes.append(pack_change(ChangeKind.RECORD_CHANGED, key, now_ms))
        self._forget_rights(key, old, values)

    def put_new_rows(self, prefix: PrefixKey, key: HandleKey, rows: RecordRows, now_ms: Millis) -> None:
        """Stage the rows of a new record; the caller forgets rights where any rest on it."""
        place = record_key(key)
        self._records[place], self._answers[place] = rows
        self._batch.changes.append(pack_change(_CREATED, key, now_ms))
        digest = _sha256(logged_row(rows.record)).digest()
        self._noted.append((_REGISTRATION, RECORD_CREATE, key.decode(), b"", digest, "ok", "", "", b""))
        self._counts[prefix] = self._counts.get(prefix, 0) + 1

    def delete_record(self, key: HandleKey, old: Values, now_ms: Millis) -> None:
        """Stage the end of a record, and of its aliases, each an entry of the log."""
        place = record_key(key)
        self.remove_aliases(key, now_ms)
        self._noted.append((*_DELETE, key.decode(), _digest(self.record_row(key) or b""), b"", *_DONE))
        self._records[place] = None
        self._answers[place] = None
        self._batch.changes.append(pack_change(ChangeKind.RECORD_DELETED, key, now_ms))
        prefix = prefix_of(key)
        self._counts[prefix] = self._counts.get(prefix, 0) - 1
        self._forget_rights(key, old, ())

    def home(self, prefix: PrefixKey, row: bytes | None, now_ms: Millis) -> None:
        """Stage the row of a homed prefix, or with None its end."""
        kind = ChangeKind.PREFIX_UNHOMED if row is None else ChangeKind.PREFIX_HOMED
        self._batch.put(Table.PREFIXES, prefix, row)
        self.change(kind, prefix, now_ms)
        self.forget_decisions()

    def rehome(self, prefix: PrefixKey, row: bytes) -> None:
        """Stage another row of a prefix that is homed; its change is the caller's."""
        self._batch.put(Table.PREFIXES, prefix, row)
        self.forget_decisions()

    def forget_decisions(self) -> None:
        """Forget what rests on prefixes and holds: one of them has another row now."""
        self.served.clear()
        self.rights.clear()
        self._identifiers_held = None

    @property
    def identifiers_held(self) -> bool:
        """Whether any identifier is on hold by itself."""
        if self._identifiers_held is None:
            self._identifiers_held = hold_counts(self).identifiers > 0
        return self._identifiers_held

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Stage all of what is done inside, or, where an error leaves it, nothing."""
        rows = {table: dict(staged) for table, staged in self._batch.rows.items()}
        counts, changes, noted = dict(self._counts), len(self._batch.changes), len(self._noted)
        serials = dict(self._batch.serials)
        try:
            yield
            self._before_act = rows
        except BaseException:
            for table, staged in self._batch.rows.items():
                staged.clear()
                staged.update(rows.get(table, {}))
            self._orders.clear()
            self._counts = counts
            del self._batch.changes[changes:]
            self._batch.serials = serials
            del self._noted[noted:]
            self.forget_decisions()
            raise

    def change(self, kind: ChangeKind, identifier: bytes, now_ms: Millis) -> None:
        """Stage a change of the feed; one that may touch a zone of DNS gives that its serial."""
        if kind in TOUCHING:
            self._batch.serials[ZONE_KEY] = len(self._batch.changes)
        self._batch.changes.append(pack_change(kind, identifier, now_ms))

    # --- aliases ---
    def names(self, target: HandleKey) -> tuple[bytes, ...]:
        """Return the keys of the aliases of a handle, sorted."""
        return names_of(self, target)

    def add_alias(self, alias: Alias, row: AliasRow, now_ms: Millis) -> None:
        """Stage both rows of an alias that is new, and its change."""
        key = alias_key(alias)
        self.put(Table.ALIASES, key, pack_alias(row))
        self._put_names(row.target, tuple(sorted((*self.names(row.target), key))))
        self.change(ChangeKind.ALIAS_ADDED, str(alias).encode(), now_ms)

    def remove_alias(self, alias: Alias, target: HandleKey, now_ms: Millis) -> None:
        """Stage the end of an alias."""
        key = alias_key(alias)
        self.put(Table.ALIASES, key, None)
        self._put_names(target, tuple(each for each in self.names(target) if each != key))
        self.change(ChangeKind.ALIAS_REMOVED, str(alias).encode(), now_ms)

    def _put_names(self, target: HandleKey, names: tuple[bytes, ...]) -> None:
        self.put(Table.ALIASES_OF, record_key(target), pack_names(NamesRow(target, names)) if names else None)

    def remove_aliases(self, target: HandleKey, now_ms: Millis) -> None:
        """Stage the end of all aliases of a handle, each an entry of the log that names it."""
        for key in self.names(target):
            row = self.get(Table.ALIASES, key) or b""
            alias = alias_of(key)
            self.remove_alias(alias, target, now_ms)
            before = hashlib.sha256(row).digest()
            self._noted.append((*_ALIAS, str(alias), before, b"", "ok", "", target.decode(), b""))

    def enter(self, entry: Entry) -> None:
        """Stage an entry of the journal."""
        number = int.from_bytes(self.get(Table.META, LAST_ENTRY_KEY) or b"", "big") + 1
        self.put(Table.META, LAST_ENTRY_KEY, entry_key(number))
        self.put(Table.JOURNAL, entry_key(number), pack_entry(entry))

    # --- the statutory log
    def noted(self) -> list[Noted]:
        """Return what was noted of records, and of lots of an import, since it was asked for last."""
        noted, self._noted = self._noted, []
        return noted

    def note_lot(self, lot: bytes, row: bytes) -> None:
        """Note a lot that came with an import: as a record, each is an entry."""
        self._noted.append((*_LOT, lot.decode(), b"", hashlib.sha256(row).digest(), *_DONE))

    def act_digests(self) -> tuple[bytes, bytes]:
        """Return the digests of all rows that the last act changed, as they were before it and as they are behind it.

        Shape: SHA-256 over the rows in the order of table and key, each as name of the table, key and row, every
        one of them behind its length of four octets, big-endian; empty where there is no row. Of META, JOURNAL,
        LOG_QUEUE, TOKENS, TOKEN_TIMES, ANSWERS, COUNTERS, ALIASES_OF and the feed none counts, of RECORDS
        ``logged_row``.
        """
        before: list[bytes] = []
        after: list[bytes] = []
        for table in sorted(self._batch.rows.keys() - _NOT_LOGGED, key=lambda table: table.value):
            known = self._before_act.get(table, {})
            for key, row in sorted(self._batch.rows[table].items()):
                old = known[key] if key in known else self._snapshot.get(table, key)
                if old == row:
                    continue
                for rows, each in ((before, old), (after, row)):
                    if each is not None:
                        rows += [table.value.encode(), key, logged_row(each) if table is Table.RECORDS else each]
        return _digest_all(before), _digest_all(after)

    def log(self, row: LogRow) -> None:
        """Stage a row of the log's queue."""
        number = int.from_bytes(self.get(Table.META, LAST_LOG_KEY) or b"", "big") + 1
        self.put(Table.META, LAST_LOG_KEY, log_key(number))
        self.put(Table.LOG_QUEUE, log_key(number), pack_log_row(row))

    def _forget_rights(self, key: HandleKey, old: Values | None, new: Values) -> None:
        if not self.rights:
            return
        if prefix_of(key) == PREFIX_HANDLES:
            self.rights.clear()
            return
        for values in (old or (), new):
            for value in values:
                if value.type == HS_VLIST:
                    self.rights.clear()
                    return

    def batch(self) -> Batch:
        """Return what is to be committed."""
        for prefix, by in self._counts.items():
            count = unpack_count(self.get(Table.COUNTERS, prefix)) + by
            self._batch.put(Table.COUNTERS, prefix, pack_count(count))
        self._counts.clear()
        return self._batch


def is_used(staging: Staging, prefix: PrefixKey) -> bool:
    """Whether records, lots or aliases are registered below a prefix."""
    start, stop = prefix_range(prefix)
    last = (staging.floor(table, stop) for table in (Table.LOTS, Table.ALIASES_OF))
    below = any(found is not None and found[0].startswith(start) for found in last)
    return below or unpack_count(staging.get(Table.COUNTERS, prefix)) > 0


def _digest(record: bytes) -> bytes:
    """Return the digest of a RECORDS row, empty of none."""
    return hashlib.sha256(logged_row(record)).digest() if record else b""


def _digest_all(parts: list[bytes]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest() if parts else b""


def _before(key: bytes) -> bytes:
    """Return a key that every key below this one is not above, and this one is."""
    if key[-1] == 0:
        return key[:-1]
    return (key[:-1] + bytes((key[-1] - 1,)) + _KEY_END)[:STORE_KEY_BYTES_MAX]

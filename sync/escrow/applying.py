"""Deposits into a store: a FULL into an empty one, then its DIFFs in order.

Each row is read before it is written, and nothing is taken that cannot be. Identity is sealed anew under the ring that
is given, lots' keys under its newest master key; a secret key that was withheld is replaced by one that nobody knows,
so that its record answers as it did and lets nobody in. Answers, counters, indexes and counts are made anew, octet for
octet as the registrar makes them.

Who applies must be alone on the store. A DIFF that was cut off may be applied again; a FULL needs an empty store.
The serial of the store is that of the deposit, and its change feed is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from core import limits
from core.changes import Serial
from core.complaints import WAITING
from core.complaints import State as ComplaintState
from core.errors import NodeError, SealError, StoreError
from core.ident.handle import HandleKey, prefix_of
from core.ident.unitcode import LOT_KEY_BYTES, UnitCodes
from core.keyring import KEY_BYTES, KeyRing
from core.lotkeys import CurrentKeys, seal_lot_key
from core.party.seal import seal, unseal
from core.store.alias_rows import NamesRow, names_of, pack_names, unpack_alias
from core.store.complaint_rows import (
    COUNTS_KEY,
    WAITING_ROW,
    pack_complaint,
    pack_counts,
    unpack_complaint,
    waiting_key,
)
from core.store.engine import Batch, Engine, Snapshot, Table
from core.store.hold_rows import HOLDS_KEY, HoldCounts, HoldKind, hold_kind, pack_hold_counts
from core.store.incident_rows import (
    LAST_INCIDENT_KEY,
    OPEN_INCIDENTS_KEY,
    incident_number,
    pack_last,
    pack_open,
    unpack_incident,
)
from core.store.lot_rows import lot_in, lot_range, pack_lot, unpack_lot
from core.store.party_rows import number_key, pack_number, pack_party, unpack_party
from core.store.prefix_rows import pack_count, unpack_count
from core.store.record_rows import has_private, pack_record, record_key, unpack_handle, unpack_values
from core.store.template_rows import TEMPLATES_KEY, pack_template_counts, unpack_template
from sync.escrow.content import (
    ESCROWED,
    HEAD,
    IDENTITY_KEY,
    LOT_KEY,
    LOT_TABLES,
    WHOLE_TABLES,
    WITHHELD,
    Start,
    Way,
    is_secret,
    unpack_start,
)
from sync.escrow.faults import DepositError
from sync.escrow.head import FULL
from sync.escrow.item import Item

_TABLES: Final = {table.value: table for table in Table}
_AFTER: Final = b"\0"


class NewKeys(NamedTuple):
    """What the rows are sealed with from now on. ``make_nonce``: as of ``core/party/seal.py``, also for lots.

    ``make_secret``: returns octets that nobody can guess, as a secret key that nobody knows.
    """

    ring: KeyRing
    lots: CurrentKeys
    make_nonce: Callable[[], bytes]
    make_secret: Callable[[], bytes]


class Restartable(Engine, Protocol):
    """A store whose change feed can be begun anew."""

    def restart(self, serial: Serial, forget: Iterable[Table] = ()) -> None:
        """Forget the change feed: the next change is the one behind ``serial``."""


class Applied(NamedTuple):
    """What was applied. ``rows``: of the deposit; ``withheld``: secret keys that are not in it."""

    kind: str
    watermark: int
    rows: int
    withheld: int


def apply_items(engine: Restartable, items: Iterable[Item], keys: NewKeys) -> Applied:
    """Apply a deposit.

    Errors: DepositError not-empty, not-next, row, those of ``items``; SealError, ConfigError of the new keys;
    StoreError. The store is of no use after an error in a FULL.
    """
    start, rest = _start(items)
    with engine.snapshot() as snapshot:
        _require_place(snapshot, start)
    applying = _Applying(engine, keys, start)
    for item in rest:
        applying.take(item)
    applying.end()
    _remake(engine)
    engine.restart(Serial(start.watermark))
    return Applied(start.kind, start.watermark, applying.rows, applying.withheld)


def _start(items: Iterable[Item]) -> tuple[Start, Iterator[Item]]:
    rest = iter(items)
    first = next(rest, None)
    if first is None or first.table != HEAD or first.row is None:
        raise DepositError("content", "its first item is no head")
    try:
        return unpack_start(first.row), rest
    except StoreError as error:
        raise DepositError("content", error.message) from None


def _require_place(snapshot: Snapshot, start: Start) -> None:
    serial = snapshot.serial()
    if start.kind != FULL:
        if serial != start.since:
            raise DepositError("not-next", f"{start.since} → {start.watermark}, {serial}")
    elif serial or any(next(snapshot.scan(table, b""), None) for table in Table if table is not Table.META):
        raise DepositError("not-empty", f"{serial}")


class _Applying:
    """A deposit while it is applied: rows are gathered, and written as one commit when they are many."""

    def __init__(self, engine: Engine, keys: NewKeys, start: Start) -> None:
        self.rows = 0
        self.withheld = 0
        self._engine = engine
        self._keys = keys
        self._full = start.kind == FULL
        self._ring: KeyRing | None = None
        self._lot_key: tuple[bytes, bytes] | None = None
        self._batch = Batch()
        self._gathered = self._octets = 0
        self._reached: tuple[Table, bytes] | None = None  # in the small table that is being replaced
        self._replaced: set[Table] = set()

    def take(self, item: Item) -> None:
        """Take an item. Errors: DepositError, SealError, ConfigError, StoreError."""
        table = _TABLES.get(item.table)
        try:
            if table is None:
                self._take_part(item)
                return
            escrowed = ESCROWED[table]
            if item.row is not None:
                if escrowed.read is None:
                    raise StoreError("no such rows are in a deposit")
                escrowed.read(item.key, item.row)
            elif table not in (Table.RECORDS, Table.LOTS, Table.ALIASES) or self._full:
                raise StoreError("no such row can be gone")
            self._put(table, item.key, item.row)
        except (StoreError, SealError, ValueError) as error:
            why = error.message if isinstance(error, NodeError) else str(error)
            raise DepositError("row", f"{item.table} {item.key!r:.200}: {why}") from None
        self.rows += 1
        if self._gathered >= limits.ESCROW_APPLY_ROWS or self._octets >= limits.ESCROW_APPLY_BYTES:
            self._write()

    def end(self) -> None:
        """Write what is left."""
        self._leave()
        for table in WHOLE_TABLES:
            if table not in self._replaced:
                self._clear(table, b"", None)
        self._write()

    def _take_part(self, item: Item) -> None:
        row = item.row or b""
        if item.table == IDENTITY_KEY and len(row) == KEY_BYTES:
            self._ring = KeyRing(1, {1: row})
        elif item.table == LOT_KEY and len(row) == LOT_KEY_BYTES:
            self._lot_key = item.key, row
        elif item.table == WITHHELD:
            self.withheld += 1
        else:
            raise StoreError("there is no such item")

    def _put(self, table: Table, key: bytes, row: bytes | None) -> None:
        way = ESCROWED[table].way
        if way in (Way.WHOLE, Way.RESEALED):
            self._replace(table, key)
        if row is None:
            self._gone(table, key)
        elif table is Table.RECORDS:
            self._record(key, row)
        elif table is Table.LOTS:
            self._gone_below(key)
            self._set(table, key, self._lot(key, row))
        elif way is Way.RESEALED:
            self._set(table, key, self._resealed(table, key, row))
        else:
            if way is Way.TOUCHED and table is not Table.ALIASES:
                self._require_lot(table, key)
            self._set(table, key, row)

    def _require_lot(self, table: Table, key: bytes) -> None:
        lot = key if table is Table.LOT_TALLIES else lot_in(key)
        if self._lot_key is None or self._lot_key[0] != lot:
            raise StoreError("its lot does not come before it")

    def _set(self, table: Table, key: bytes, row: bytes | None) -> None:
        self._batch.put(table, key, row)
        self._gathered += 1
        self._octets += len(key) + len(row or b"")

    # --- small tables: what is between two rows of the deposit goes
    def _replace(self, table: Table, key: bytes) -> None:
        if self._reached is None or self._reached[0] is not table:
            self._leave()
            if table in self._replaced:
                raise StoreError("the rows of a table are not together")
            self._replaced.add(table)
            self._reached = table, b""
        before = self._reached[1]
        if key <= before:
            raise StoreError("rows are not in order")
        self._clear(table, before, key)
        self._reached = table, key

    def _leave(self) -> None:
        if self._reached is not None:
            self._clear(*self._reached, None)
            self._reached = None

    def _clear(self, table: Table, after: bytes, stop: bytes | None) -> None:
        """Take away the rows between two keys."""
        if self._full:
            return
        with self._engine.snapshot() as snapshot:
            for key, _ in snapshot.scan(table, after + _AFTER if after else b"", stop):
                self._set(table, key, None)

    # --- records
    def _record(self, key: bytes, row: bytes) -> None:
        handle, values = unpack_handle(key, row), unpack_values(row)
        if has_private(row):
            values = tuple(
                value._replace(data=self._keys.make_secret()) if is_secret(value) and not value.data else value
                for value in values
            )
        rows = pack_record(handle, values)
        self._set(Table.RECORDS, key, rows.record)
        self._set(Table.ANSWERS, key, rows.answer)

    # --- lots
    def _lot(self, key: bytes, packed: bytes) -> bytes:
        if self._lot_key is None or self._lot_key[0] != key:
            raise StoreError("the key of the lot does not come before it")
        row, lot_key = unpack_lot(packed), self._lot_key[1]
        if UnitCodes(lot_key).check_value() != row.check:
            raise StoreError("the key is that of another lot")
        key_id = self._keys.lots.current()
        sealed = seal_lot_key(self._keys.lots.master(key_id), self._keys.lots.make_nonce(), key, lot_key)
        return pack_lot(row._replace(key_id=key_id, sealed_key=sealed))

    def _gone(self, table: Table, key: bytes) -> None:
        self._set(table, key, None)
        if table is Table.RECORDS:
            self._set(Table.ANSWERS, key, None)
        elif table is Table.LOTS:
            self._gone_below(key)

    def _gone_below(self, lot: bytes) -> None:
        if self._full:
            return
        self._set(Table.LOT_TALLIES, lot, None)
        with self._engine.snapshot() as snapshot:
            for table in LOT_TABLES:
                for key, _ in snapshot.scan(table, *lot_range(lot)):
                    self._set(table, key, None)

    # --- identity
    def _resealed(self, table: Table, key: bytes, row: bytes) -> bytes:
        name = key.decode()
        if table is Table.PARTIES:
            party = unpack_party(row)
            return pack_party(party._replace(sealed=self._fields(name, party.sealed)))
        complaint = unpack_complaint(row)
        return pack_complaint(complaint._replace(contact=self._fields(name, complaint.contact)))

    def _fields(self, name: str, sealed: Mapping[str, bytes]) -> dict[str, bytes]:
        if sealed and self._ring is None:
            raise StoreError("the key of identity does not come before it")
        ring, new = self._ring or self._keys.ring, self._keys.ring
        opened = {field: unseal(ring, octets, name, field) for field, octets in sealed.items()}
        return {field: seal(new, self._keys.make_nonce(), name, field, text) for field, text in opened.items()}

    def _write(self) -> None:
        if not self._gathered:
            return
        self._count()
        self._name()
        self._engine.commit(self._batch)
        self._batch = Batch()
        self._gathered = self._octets = 0

    def _count(self) -> None:
        """Stage the counters of what is gathered."""
        rows = self._batch.rows.get(Table.RECORDS, {})
        keys = list(rows)
        counts: Counter[bytes] = Counter()
        with self._engine.snapshot() as snapshot:
            for key, before in zip(keys, snapshot.get_many(Table.RECORDS, keys), strict=True):
                after = rows[key]
                if (before is None) is not (after is None):
                    counts[prefix_of(HandleKey(unpack_handle(key, after or before or b"")))] += 1 if after else -1
            for prefix, more in counts.items():
                count = unpack_count(snapshot.get(Table.COUNTERS, prefix)) + more
                self._batch.put(Table.COUNTERS, prefix, pack_count(count))

    def _name(self) -> None:
        """Stage the aliases of what is named by those that are gathered."""
        rows = self._batch.rows.get(Table.ALIASES, {})
        names: dict[HandleKey, set[bytes]] = {}
        with self._engine.snapshot() as snapshot:

            def of(row: bytes) -> set[bytes]:
                target = unpack_alias(row).target
                if target not in names:
                    names[target] = set(names_of(snapshot, target))
                return names[target]

            for key, row in rows.items():
                before = snapshot.get(Table.ALIASES, key)
                if before is not None:
                    of(before).discard(key)
                if row is not None:
                    of(row).add(key)
        for target, keys in names.items():
            named = pack_names(NamesRow(target, tuple(sorted(keys)))) if keys else None
            self._batch.put(Table.ALIASES_OF, record_key(target), named)


# --- what is made of other tables ---
def _remake(engine: Engine) -> None:
    """Make indexes and counts anew. Memory: the indexes of parties and complaints."""
    batch = Batch()
    with engine.snapshot() as snapshot:
        numbers, waiting, counts = _numbers(snapshot), *_complaints(snapshot)
        for table, wanted in ((Table.PARTY_NUMBERS, numbers), (Table.WAITING_COMPLAINTS, waiting)):
            for key, row in snapshot.scan(table, b""):
                if wanted.get(key) == row:
                    del wanted[key]
                else:
                    batch.put(table, key, wanted.pop(key, None))
            for key, row in wanted.items():
                batch.put(table, key, row)
        batch.put(Table.META, COUNTS_KEY, pack_counts(counts) if counts else None)
        for key, meta in (*_incidents(snapshot), _holds(snapshot), _templates(snapshot)):
            batch.put(Table.META, key, meta)
    engine.commit(batch)


def _numbers(snapshot: Snapshot) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for key, row in snapshot.scan(Table.PARTIES, b""):
        party = unpack_party(row)
        if not party.person:
            number = number_key(str(party.plain.get("cert_type")), str(party.plain.get("uscc")))
            found[number] = pack_number(key.decode())
    return found


def _complaints(snapshot: Snapshot) -> tuple[dict[bytes, bytes], Counter[ComplaintState]]:
    waiting: dict[bytes, bytes] = {}
    counts: Counter[ComplaintState] = Counter()
    for key, row in snapshot.scan(Table.COMPLAINTS, b""):
        complaint = unpack_complaint(row)
        counts[complaint.state] += 1
        if complaint.state in WAITING:
            waiting[waiting_key(complaint.deadline, key.decode())] = WAITING_ROW
    return waiting, counts


def _incidents(snapshot: Snapshot) -> Iterator[tuple[bytes, bytes | None]]:
    last, opened = 0, []
    for key, row in snapshot.scan(Table.INCIDENTS, b""):
        last = max(last, incident_number(key))
        if not unpack_incident(row).is_closed:
            opened.append(key.decode())
    yield LAST_INCIDENT_KEY, pack_last(last) if last else None
    yield OPEN_INCIDENTS_KEY, pack_open(opened) if last else None


def _holds(snapshot: Snapshot) -> tuple[bytes, bytes | None]:
    counts = Counter(hold_kind(key) for key, _ in snapshot.scan(Table.HOLDS, b""))
    return HOLDS_KEY, pack_hold_counts(HoldCounts(*(counts[kind] for kind in HoldKind))) if counts else None


def _templates(snapshot: Snapshot) -> tuple[bytes, bytes | None]:
    counts = Counter(unpack_template(row).template.party for _, row in snapshot.scan(Table.TEMPLATES, b""))
    return TEMPLATES_KEY, pack_template_counts(counts) if counts else None

"""The items of a deposit, read from one state of the store.

A FULL has everything; a DIFF the records, lots and aliases that the change feed names behind a serial, each as it is
now or as gone, and the small tables whole: whoever applies it takes away what is not in them. A lot that was touched
goes whole.
What an import writes of lots stands in no change: as long as one is under way, or has ended since, all lots below its
prefix are taken for touched.

Order: head, key of identity, small tables, records, lots, aliases; each by key. Memory: one row, and of a DIFF the
keys that were touched, ESCROW_TOUCHED_MAX of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from core import limits
from core.changes import KIND_AT, ChangeKind, Serial, identifier_of
from core.errors import IdentifierError, SealError, StoreError
from core.ident.alias import parse_alias
from core.ident.unitcode import UnitCodes
from core.keyring import KeyRing
from core.lotkeys import MasterKeys, key_of_lot
from core.party.seal import seal, unseal
from core.store.alias_rows import alias_key
from core.store.complaint_rows import pack_complaint, unpack_complaint
from core.store.engine import Snapshot, Table
from core.store.lot_rows import lot_range, pack_lot, unpack_lot
from core.store.party_rows import pack_party, unpack_party
from core.store.record_rows import has_private, pack_record, prefix_range, record_key, unpack_handle, unpack_values
from core.store.restart import restarted_at
from core.store.transfer_rows import unpack_transfer
from sync.escrow.content import (
    HEAD,
    IDENTITY_KEY,
    LOT_KEY,
    LOT_TABLES,
    META_KEYS,
    WHOLE_TABLES,
    WITHHELD,
    Start,
    is_secret,
    pack_start,
)
from sync.escrow.faults import DepositError
from sync.escrow.head import DIFF, FULL
from sync.escrow.item import Item

_CHUNK: Final = 10_000
_INDEX_BYTES: Final = 4
_RECORDS: Final = frozenset((ChangeKind.RECORD_CREATED, ChangeKind.RECORD_CHANGED, ChangeKind.RECORD_DELETED))
_LOTS: Final = frozenset((ChangeKind.LOT_CREATED, ChangeKind.LOT_CHANGED, ChangeKind.LOT_ABANDONED))
_ALIASES: Final = frozenset((ChangeKind.ALIAS_ADDED, ChangeKind.ALIAS_REMOVED))
_IMPORTS: Final = frozenset((ChangeKind.PREFIX_IMPORTING, ChangeKind.PREFIX_IMPORTED, ChangeKind.PREFIX_ABANDONED))


class Keys(NamedTuple):
    """What opens the store's own seals, and what identity is sealed with instead.

    ``load_ring``: reads the keys of identity, asked where any is sealed. ``identity_key``: 32 random octets, for one
    deposit alone. ``make_nonce``: as of ``core/party/seal.py``.
    """

    load_ring: Callable[[], KeyRing]
    lots: MasterKeys
    identity_key: bytes
    make_nonce: Callable[[], bytes]


def require_feed(snapshot: Snapshot, since: int) -> None:
    """Errors: DepositError too-old unless the store has all changes behind a serial, or knows no such serial."""
    serial = snapshot.serial()
    rows = snapshot.feed(Serial(since), 1)
    whole = rows[0][0] == since + 1 if rows else since == serial
    if not whole or since < restarted_at(snapshot) or since > serial:
        raise DepositError("too-old", f"{since} … {serial}")


def items(snapshot: Snapshot, keys: Keys, since: Serial | None = None) -> Iterator[Item]:
    """Yield the items of a FULL, or with ``since`` of a DIFF. The watermark is the serial of the state.

    Errors: DepositError too-old, too-many; SealError where a key is not there; ConfigError; StoreError.
    """
    touched = None if since is None else _touched(snapshot, since)
    kind = FULL if since is None else DIFF
    yield Item(HEAD, b"", pack_start(Start(kind, snapshot.serial(), since or 0)))
    yield Item(IDENTITY_KEY, b"", keys.identity_key)
    for key in META_KEYS:
        row = snapshot.get(Table.META, key)
        if row is not None:
            yield Item(Table.META.value, key, row)
    resealing = _Resealing(keys)
    for table in WHOLE_TABLES:
        for key, row in snapshot.scan(table, b""):
            yield Item(table.value, key, resealing.row(table, key, row))
    yield from _records(snapshot, None if touched is None else sorted(touched.records))
    yield from _lots(snapshot, keys.lots, None if touched is None else sorted(touched.lots))
    yield from _aliases(snapshot, None if touched is None else sorted(touched.aliases))


class _Touched(NamedTuple):
    records: set[bytes]
    lots: set[bytes]
    aliases: set[bytes]


def _touched(snapshot: Snapshot, since: Serial) -> _Touched:
    """Return the keys of what was touched. Errors: DepositError."""
    require_feed(snapshot, since)
    touched, imports = _Touched(set(), set(), set()), set()
    while rows := snapshot.feed(since, _CHUNK):
        for _, row in rows:
            kind = row[KIND_AT]
            if kind in _RECORDS:
                touched.records.add(record_key(identifier_of(row)))
            elif kind in _LOTS:
                touched.lots.add(identifier_of(row))
            elif kind in _ALIASES:
                touched.aliases.add(_alias_key(identifier_of(row)))
            elif kind in _IMPORTS:
                imports.add(identifier_of(row))
        since = rows[-1][0]
        _require_few(touched)
    imports |= {key for key, row in snapshot.scan(Table.TRANSFERS, b"") if not unpack_transfer(row).ended_ms}
    for prefix in imports:
        for lot, _ in snapshot.scan(Table.LOTS, *prefix_range(prefix)):
            touched.lots.add(lot)
        _require_few(touched)
    return touched


def _require_few(touched: _Touched) -> None:
    count = sum(map(len, touched))
    if count > limits.ESCROW_TOUCHED_MAX:
        raise DepositError("too-many", f"{count} > {limits.ESCROW_TOUCHED_MAX}")


class _Resealing:
    """Identity as it travels."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._ring: KeyRing | None = None
        self._new = KeyRing(1, {1: keys.identity_key})

    def row(self, table: Table, key: bytes, row: bytes) -> bytes:
        """Return a row as it goes in. Errors: SealError, ConfigError, StoreError."""
        if table is Table.PARTIES:
            party = unpack_party(row)
            return pack_party(party._replace(sealed=self._fields(key.decode(), party.sealed.items())))
        if table is Table.COMPLAINTS:
            complaint = unpack_complaint(row)
            return pack_complaint(complaint._replace(contact=self._fields(key.decode(), complaint.contact.items())))
        return row

    def _fields(self, name: str, sealed: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for field, octets in sealed:
            if self._ring is None:
                self._ring = self._keys.load_ring()
            text = unseal(self._ring, octets, name, field)
            found[field] = seal(self._new, self._keys.make_nonce(), name, field, text)
        return found


def _records(snapshot: Snapshot, touched: list[bytes] | None) -> Iterator[Item]:
    if touched is None:
        for key, row in snapshot.scan(Table.RECORDS, b""):
            yield from _record(key, row)
        return
    for at in range(0, len(touched), _CHUNK):
        keys = touched[at : at + _CHUNK]
        for key, found in zip(keys, snapshot.get_many(Table.RECORDS, keys), strict=True):
            if found is None:
                yield Item(Table.RECORDS.value, key, None)
            else:
                yield from _record(key, found)


def _record(key: bytes, row: bytes) -> Iterator[Item]:
    """Yield a record without its secret keys, and of each that it had where it was."""
    if not has_private(row):
        yield Item(Table.RECORDS.value, key, row)
        return
    values = unpack_values(row)
    kept = tuple(value._replace(data=b"") if is_secret(value) else value for value in values)
    if kept != values:
        row = pack_record(unpack_handle(key, row), kept).record
    yield Item(Table.RECORDS.value, key, row)
    for value in values:
        if is_secret(value) and value.data:
            yield Item(WITHHELD, key, value.value_index.to_bytes(_INDEX_BYTES, "big"))


def _lots(snapshot: Snapshot, keys: MasterKeys, touched: list[bytes] | None) -> Iterator[Item]:
    if touched is None:
        for lot, row in snapshot.scan(Table.LOTS, b""):
            yield from _lot(snapshot, keys, lot, row)
        return
    for lot in touched:
        found = snapshot.get(Table.LOTS, lot)
        if found is None:
            yield Item(Table.LOTS.value, lot, None)
        else:
            yield from _lot(snapshot, keys, lot, found)


def _aliases(snapshot: Snapshot, touched: list[bytes] | None) -> Iterator[Item]:
    if touched is None:
        for key, row in snapshot.scan(Table.ALIASES, b""):
            yield Item(Table.ALIASES.value, key, row)
        return
    for key in touched:
        yield Item(Table.ALIASES.value, key, snapshot.get(Table.ALIASES, key))


def _alias_key(identifier: bytes) -> bytes:
    """Return the key in ALIASES of what a change of an alias names. Errors: StoreError."""
    try:
        return alias_key(parse_alias(identifier.decode()))
    except (IdentifierError, UnicodeDecodeError):
        raise StoreError(f"a change names {identifier!r:.200}, which is no alias") from None


def _lot(snapshot: Snapshot, keys: MasterKeys, lot: bytes, packed: bytes) -> Iterator[Item]:
    """Yield a lot whole: its key, its row without a master key's id, and what belongs to it. Errors: SealError."""
    row = unpack_lot(packed)
    lot_key = key_of_lot(keys, lot, row)
    if UnitCodes(lot_key).check_value() != row.check:
        raise SealError(
            f"lots.keys: 第 {row.key_id} 号主密钥不是批次 {lot.decode()} 所用的那一个，请恢复原密钥文件。"
            f"Master key {row.key_id} is not the one that {lot.decode()} was made with: put the former file back"
        )
    yield Item(LOT_KEY, lot, lot_key)
    yield Item(Table.LOTS.value, lot, pack_lot(row._replace(key_id=0, sealed_key=b"")))
    tally = snapshot.get(Table.LOT_TALLIES, lot)
    if tally is not None:
        yield Item(Table.LOT_TALLIES.value, lot, tally)
    for table in LOT_TABLES:
        for key, row_below in snapshot.scan(table, *lot_range(lot)):
            yield Item(table.value, key, row_below)

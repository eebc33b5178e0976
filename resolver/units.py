"""Lots and their units as if they were stored: the rows of records that no row is kept of.

1. The values of a lot's own handle and of each of its units are, by index: those of the lot, then the public ones of
   the product as it is now, then what the node says itself (UNIT_VALUES, on indexes that nothing else has).
2. A code that was never made is NOT_ISSUED, whatever is wrong with it; one of a unit that is scrapped, returned or
   destroyed is GONE. An exact record wins over all of this; the caller has looked for it.
3. What a lot's units share is put together once. It is looked up again as soon as the store has another state.

Source: design §2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from core import limits
from core.errors import Outcome
from core.ident.unitcode import SERIAL_CHARS, UnitCodes, case_of
from core.lotkeys import NO_MASTER_KEYS, MasterKeys, codes_of_lot
from core.lots import GONE, Level, UnitState, UnitValue
from core.records import HandleValue, Values
from core.store.engine import Snapshot, Table
from core.store.homing import serves
from core.store.lot_rows import LotRow, lot_of_unit, lot_range, unpack_lot
from core.store.record_rows import RecordRows, pack_record, record_key, unpack_values
from core.store.run_reading import NO_PARENT, Run, children_of, run_at
from core.wire.values import decode_values
from core.wire.valuetypes import HS_ALIAS, HS_NAMESPACE, HS_SECKEY

LOT_ITSELF: Final = -1
"""Instead of an index: the lot's own handle."""


_V = UnitValue
_ANSWERS: Final = Table.ANSWERS
_ITS_OWN: Final = frozenset((HS_ALIAS, HS_NAMESPACE, HS_SECKEY))  # of the product's record and of nothing else
_PLACE: Final = b"O" * SERIAL_CHARS  # no serial: it has no O
_NO_KEY: Final = b"\xff" * 4


class Found(NamedTuple):
    """What a handle's key stands for. ``outcome``: OK, NOT_ISSUED or GONE. ``run``: None while nothing happened."""

    outcome: Outcome
    lot: Known
    at: int
    run: Run | None = None


class _Shape(NamedTuple):
    """Both rows of a unit, cut where the serial of its parent stands; whole in ``before`` where it has none."""

    before: RecordRows
    after: RecordRows


class _Quick(NamedTuple):
    """What is needed of a lot to which nothing happened, for its units that are packed in cases."""

    encrypt: Callable[[bytes], bytes]
    units: int
    per_case: int
    answer: bytes
    answer_end: bytes
    record: bytes
    record_end: bytes


class Known:
    """A lot, as far as it is the same in several states of the store."""

    __slots__ = ("codes", "key", "lot", "name", "own", "product", "row", "shapes", "shared", "total", "touched")

    def __init__(self, key: bytes, row: bytes, product: bytes | None, lot: LotRow, codes: UnitCodes) -> None:
        self.key = key
        self.name = key.decode()
        self.row = row
        self.product = product
        self.lot = lot
        self.codes = codes
        self.total = lot.packaging.total
        self.touched = False
        self.shared: Values = ()
        self.shapes: dict[tuple[UnitState, int, bool], _Shape] = {}
        self.own: RecordRows | None = None

    def handle(self, index: int) -> str:
        """Return the handle of a unit, case or pallet."""
        return self.name + self.codes.serial(index).decode()


class Units:
    """What stands behind the handles of lots and units, in one state of the store after another."""

    def __init__(self, keys: MasterKeys = NO_MASTER_KEYS, *, root: bool = False) -> None:
        self._keys = keys
        self._root = root
        self._state = -1
        self._fresh: dict[bytes, Known] = {}
        self._quick: dict[bytes, _Quick] = {}
        self._kept: dict[bytes, Known] = {}

    def begin(self, state: int) -> None:
        """Forget what may be otherwise in this state of the store."""
        if state != self._state:
            self._state = state
            self._fresh.clear()
            self._quick.clear()

    def quick_row(self, snapshot: Snapshot, table: Table, key: bytes) -> bytes | None:
        """Return the row of a lot or unit as if it were stored, None where there is none.

        ``begin`` was called with the state of the snapshot. Errors: StoreError, SealError.
        """
        quick = self._quick.get(key[:-SERIAL_CHARS])
        if quick is not None:
            encrypt, units, per_case, answer, answer_end, record, record_end = quick
            case = case_of(encrypt, key[-SERIAL_CHARS:], units, per_case)
            if case is not None:
                whole = (answer, case, answer_end) if table is _ANSWERS else (record, case, record_end)
                return b"".join(whole)
        found = self.find(snapshot, key)
        if found is None or found.outcome is not Outcome.OK:
            return None
        return self.row(snapshot, table, found)

    def find(self, snapshot: Snapshot, key: bytes) -> Found | None:
        """Return what a handle's key stands for, None if there is no such lot.

        Cost: a microsecond, and one look-up for a lot to which something happened. Errors: StoreError, SealError.
        """
        lot_key = lot_of_unit(key)
        if not lot_key:
            return None
        self.begin(snapshot.state())
        known = self._fresh.get(lot_key) or self._known(snapshot, lot_key)
        if known is None:
            return None
        if len(lot_key) == len(key):
            return Found(Outcome.OK, known, LOT_ITSELF)
        index = known.codes.index(key[-SERIAL_CHARS:])
        if index is None or index >= known.total:
            return Found(Outcome.NOT_ISSUED, known, 0)
        run = run_at(snapshot, lot_key, index) if known.touched else None
        outcome = Outcome.GONE if run is not None and run.state in GONE else Outcome.OK
        return Found(outcome, known, index, run)

    def row(self, snapshot: Snapshot, table: Table, found: Found) -> bytes:
        """Return the row of RECORDS or ANSWERS as if it were stored. ``found``: in the same state, and OK."""
        known, index, run = found.lot, found.at, found.run
        if index < 0:
            if known.own is None:
                known.own = pack_record(known.key, self._values(known, "lot"))
            return _of(known.own, table)
        if index >= known.lot.packaging.units:
            return _of(self._packed(snapshot, found), table)
        parent = parent_of(found)
        if run is None:
            state, stamp_ms = UnitState.ALLOCATED, known.lot.created_ms
        else:
            state, stamp_ms = run.state, run.last_ms
        place = (state, stamp_ms // 1_000, parent is not None)
        shape = known.shapes.get(place) or self._shape(known, place)
        if parent is None:
            return _of(shape.before, table)
        if not known.touched:
            packaging = known.lot.packaging
            self._quick[known.key] = _Quick(
                known.codes.encrypt, packaging.units, packaging.units_per_case, shape.before.answer,
                shape.after.answer, shape.before.record, shape.after.record,
            )  # fmt: skip
        return _of(shape.before, table) + known.codes.serial(parent) + _of(shape.after, table)

    def _known(self, snapshot: Snapshot, lot_key: bytes) -> Known | None:
        """Return a lot as it is in this state of the store, and remember it. Bounds: LOTS_KEPT_MAX."""
        row = snapshot.get(Table.LOTS, lot_key)
        if row is None:
            return None
        known = self._kept.get(lot_key)
        lot = known.lot if known is not None and known.row == row else unpack_lot(row)
        product = self._product(snapshot, lot)
        if known is None or known.row != row or known.product != product:
            codes = known.codes if known is not None and known.row == row else codes_of_lot(self._keys, lot_key, lot)
            known = Known(lot_key, row, product, lot, codes)
            known.shared = _shared(known)
            self._keep(lot_key, known)
        known.touched = _is_touched(snapshot, lot_key)
        self._fresh[lot_key] = known
        return known

    def _keep(self, lot_key: bytes, known: Known) -> None:
        if len(self._kept) >= limits.LOTS_KEPT_MAX and lot_key not in self._kept:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._fresh.pop(oldest, None)
            self._quick.pop(oldest, None)
        self._kept[lot_key] = known

    def _product(self, snapshot: Snapshot, lot: LotRow) -> bytes | None:
        """Return the RECORDS row of the product, None where it is not served here."""
        key = lot.product_key
        if not serves(snapshot, key, root=self._root):
            return None
        return snapshot.get(Table.RECORDS, record_key(key))

    def _shape(self, known: Known, place: tuple[UnitState, int, bool]) -> _Shape:
        """Make the form of answer of all units in one state, and remember it. Bounds: LOT_SHAPES_MAX."""
        state, stamp_s, packed = place
        parent = (known.name + _PLACE.decode()) if packed else None
        values = self._values(known, Level.UNIT.word, (state, stamp_s), parent)
        rows = pack_record(known.key, values)
        if parent is None:
            shape = _Shape(rows, RecordRows(b"", b""))
        else:
            (record, _, record_end), (answer, _, answer_end) = (each.rpartition(_PLACE) for each in rows)
            shape = _Shape(RecordRows(record, answer), RecordRows(record_end, answer_end))
        if len(known.shapes) >= limits.LOT_SHAPES_MAX:
            known.shapes.clear()
        known.shapes[place] = shape
        return shape

    def _packed(self, snapshot: Snapshot, found: Found) -> RecordRows:
        """Return both rows of a case or pallet."""
        known, run = found.lot, found.run
        state = (UnitState.ALLOCATED, known.lot.created_ms) if run is None else (run.state, run.last_ms)
        parent = parent_of(found)
        children = children_in(snapshot, found)
        values = self._values(
            known,
            known.lot.packaging.level(found.at).word,
            (state[0], state[1] // 1_000),
            None if parent is None else known.handle(parent),
            "\n".join(map(known.handle, children)),
        )
        return pack_record(known.key, values)

    def _values(
        self, known: Known, level: str, state: tuple[UnitState, int] | None = None, parent: str | None = None,
        children: str = "",
    ) -> Values:  # fmt: skip
        """Return all values, those that the node says itself last. ``state``: with its time in seconds."""
        created_s = known.lot.created_ms // 1_000
        said = [_said(_V.LEVEL, level, created_s)]
        if state is not None:
            said.append(_said(_V.STATE, state[0].value, state[1]))
        if children:
            said.append(_said(_V.CHILDREN, children, created_s))
        if parent is not None:  # the last one: what differs between units is near the end of the row
            said.append(_said(_V.PARENT, parent, created_s))
        return (*known.shared, *said)


def parent_of(found: Found) -> int | None:
    """Return the index of the case or pallet that something is in, None if it is in none."""
    run, packaging = found.run, found.lot.lot.packaging
    if run is None or run.parent is None:
        return packaging.parent(found.at)
    return None if run.parent == NO_PARENT else run.parent


def children_in(snapshot: Snapshot, found: Found) -> list[int]:
    """Return the indexes of what is in a case or on a pallet. Bounds: LOT_PACKED_MAX each by rule and besides."""
    known = found.lot
    by_rule = known.lot.packaging.children(found.at)
    return list(by_rule) if not known.touched else children_of(snapshot, known.key, found.at, by_rule)


def _shared(known: Known) -> Values:
    """Return the values that all units of a lot share: the lot's over the product's, and what the node says."""
    lot = known.lot
    values: dict[int, HandleValue] = {}
    for value in unpack_values(known.product) if known.product is not None else ():
        if value.public_read and value.type.upper() not in _ITS_OWN:
            values[value.value_index] = value
    for value in decode_values(lot.values):
        values[value.value_index] = value
    for index in _V:
        values.pop(index, None)
    created_s = lot.created_ms // 1_000
    said = [
        _said(index, text, created_s)
        for index, text in (
            (_V.LOT, known.name), (_V.PRODUCT, lot.product), (_V.PRODUCED, lot.produced),
            (_V.VALID_UNTIL, lot.valid_until), (_V.LINE, lot.line),
        )
        if text
    ]  # fmt: skip
    return (*(values[index] for index in sorted(values)), *said)


def _said(index: UnitValue, text: str, at_s: int) -> HandleValue:
    return HandleValue(int(index), index.name, text.encode(), timestamp=at_s)


def _of(rows: RecordRows, table: Table) -> bytes:
    return rows.answer if table is Table.ANSWERS else rows.record


def _is_touched(snapshot: Snapshot, lot_key: bytes) -> bool:
    """Whether anything happened to a unit of the lot."""
    last = snapshot.floor(Table.LOT_RUNS, lot_range(lot_key)[0] + _NO_KEY)
    return last is not None and last[0].startswith(lot_range(lot_key)[0])

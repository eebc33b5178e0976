"""Lots and their units as if they were stored: the rows of records that no row is kept of.

1. The values of a lot's own handle and of each of its units are the public ones of the product as it is now, but for
   those whose index the lot has, too; then those of the lot; then what the node says itself (UnitValue).
2. A code that was never made is NOT_ISSUED, whatever is wrong with it; one of a unit that is scrapped, returned or
   destroyed is GONE. An exact record wins over all of this; the caller has looked for it.
3. What the units of a lot share is put together once, and what those of a product share is kept once. Both are looked
   at again as soon as the store has another state.

Source: design §2.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple

from core import limits
from core.errors import Outcome
from core.ident.unitcode import SERIAL_CHARS, UnitCodes, case_of
from core.lotkeys import NO_MASTER_KEYS, MasterKeys, codes_of_lot
from core.lots import GONE, Level, UnitState, UnitValue
from core.records import HandleValue, Values
from core.store.engine import Snapshot, Table
from core.store.homing import serves
from core.store.lot_rows import NO_PARENT, LotRow, Run, lot_of_unit, lot_range, unpack_lot
from core.store.record_rows import RecordRows, pack_record, record_key, unpack_values
from core.store.run_reading import children_of, run_at, run_start
from core.wire.values import decode_values
from core.wire.valuetypes import HS_ALIAS, HS_NAMESPACE, HS_SECKEY

LOT_ITSELF: Final = -1
"""Instead of an index: the lot's own handle."""

_V: Final = UnitValue
_ANSWERS: Final = Table.ANSWERS
_ITS_OWN: Final = frozenset((HS_ALIAS, HS_NAMESPACE, HS_SECKEY))  # of the product's record and of nothing else
_PLACE: Final = b"O" * SERIAL_CHARS  # no serial: it has no O
_PRODUCT_COPIES: Final = 6  # its row, its values, and what rows of its units begin with
_LOOKED_AT: Final = 8
_LAST_KEY: Final = b"\xff" * 4


class Found(NamedTuple):
    """What a handle's key stands for. ``outcome``: OK, NOT_ISSUED or GONE. ``run``: None while nothing happened."""

    outcome: Outcome
    lot: Known
    at: int
    run: Run | None = None


class _Shape(NamedTuple):
    """A row of a unit, cut where the serial of its parent stands. ``head``: what units of the product share."""

    head: bytes
    before: bytes
    after: bytes


class _Quick(NamedTuple):
    """What is needed of a lot whose units have no records, for those from ``low`` up to ``high``: all in one state,
    and packed in cases by rule.
    """

    encrypt: Callable[[bytes], bytes]
    low: int
    high: int
    cases: tuple[int, int]
    answer: _Shape
    record: _Shape


class _Product(NamedTuple):
    """A product in one state of the store. ``row``: of RECORDS, None where it is not served here.

    ``heads``: what rows of its units begin with, each kept once.
    """

    row: bytes | None
    values: Values
    heads: dict[bytes, bytes]


class Known:
    """A lot, as far as it is the same in several states of the store.

    ``touched``: whether anything happened to a unit. ``plain``: no unit has a record.
    """

    __slots__ = ("codes", "key", "lot", "name", "plain", "product", "row", "shapes", "total", "touched")

    def __init__(self, key: bytes, row: bytes, product: _Product, lot: LotRow, codes: UnitCodes) -> None:
        self.key = key
        self.name = key.decode()
        self.row = row
        self.product = product
        self.lot = lot
        self.codes = codes
        self.total = lot.packaging.total
        self.touched = False
        self.plain = False
        self.shapes: dict[tuple[UnitState, int, bool], tuple[_Shape, _Shape]] = {}

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
        self._products: dict[bytes, _Product] = {}
        self._fresh_products: set[bytes] = set()
        self._bytes = 0

    def begin(self, state: int) -> None:
        """Forget what may be otherwise in this state of the store."""
        if state != self._state:
            self._state = state
            self._fresh.clear()
            self._quick.clear()
            self._fresh_products.clear()

    def quick_row(self, table: Table, key: bytes) -> bytes | None:
        """Return the row of a unit that has no record, as if it were stored; None where a closer look is needed.

        ``begin`` was called with the state of the store, which is asked for nothing: what is known is that no unit of
        the lot has a record, and which of them share a state.
        """
        quick = self._quick.get(key[:-SERIAL_CHARS])
        if quick is None:
            return None
        encrypt, low, high, cases, answer, record = quick
        case = case_of(encrypt, key[-SERIAL_CHARS:], low, high, cases)
        if case is None:
            return None
        head, before, after = answer if table is _ANSWERS else record
        return b"".join((head, before, case, after))

    def shared(self, key: bytes) -> object | None:
        """Return an object that is the same one for all units of a lot that are answered alike but for their case.

        None where a closer look is needed. As for ``quick_row``, the store is asked for nothing.
        """
        quick = self._quick.get(key[:-SERIAL_CHARS])
        if quick is None:
            return None
        case = case_of(quick.encrypt, key[-SERIAL_CHARS:], quick.low, quick.high, quick.cases)
        return None if case is None else quick

    def any_row(self, snapshot: Snapshot, table: Table, key: bytes) -> bytes | None:
        """Return the row of a lot or unit as if it were stored, None where there is none.

        Errors: StoreError, SealError.
        """
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
        known = found.lot
        if found.at < 0:
            own = pack_record(known.key, _values(known, "lot"))
            return own.answer if table is _ANSWERS else own.record
        if found.at >= known.lot.packaging.units:
            packed = _packed(snapshot, found)
            return packed.answer if table is _ANSWERS else packed.record
        run, parent = found.run, parent_of(found)
        state, stamp_ms = _state_of(found)
        place = (state, stamp_ms // 1_000, parent is not None)
        answer, record = known.shapes.get(place) or self._shape(known, place)
        head, before, after = answer if table is _ANSWERS else record
        if parent is None:
            return head + before
        if known.plain and (run is None or run.parent is None):
            self._remember(snapshot, found, answer, record)
        return b"".join((head, before, known.codes.serial(parent), after))

    def _remember(self, snapshot: Snapshot, found: Found, answer: _Shape, record: _Shape) -> None:
        """Remember the widest range of units of a lot that are answered alike."""
        known, packaging = found.lot, found.lot.lot.packaging
        if found.run is not None:
            low, high = run_start(snapshot, known.key, found.at), min(found.run.stop, packaging.units)
        elif not known.touched:
            low, high = 0, packaging.units
        else:
            return
        before = self._quick.get(known.key)
        if before is None or high - low > before.high - before.low:
            cases = packaging.units, packaging.units_per_case
            self._quick[known.key] = _Quick(known.codes.encrypt, low, high, cases, answer, record)

    def _known(self, snapshot: Snapshot, lot_key: bytes) -> Known | None:
        """Return a lot as it is in this state of the store, and remember it. Bounds: LOTS_KEPT_MAX."""
        row = snapshot.get(Table.LOTS, lot_key)
        if row is None:
            return None
        known = self._kept.get(lot_key)
        same = known is not None and known.row == row
        lot = known.lot if known is not None and same else unpack_lot(row)
        product = self._product(snapshot, lot.product_key)
        if known is None or not same or known.product is not product:
            codes = known.codes if known is not None and same else codes_of_lot(self._keys, lot_key, lot)
            known = Known(lot_key, row, product, lot, codes)
            self._keep(lot_key, known)
        known.touched = _is_touched(snapshot, lot_key)
        known.plain = _is_without_records(snapshot, lot_key)
        self._fresh[lot_key] = known
        return known

    def _keep(self, lot_key: bytes, known: Known) -> None:
        if len(self._kept) >= limits.LOTS_KEPT_MAX and lot_key not in self._kept:
            oldest = next(iter(self._kept))
            for kept in (self._kept, self._fresh, self._quick):
                kept.pop(oldest, None)
        self._kept[lot_key] = known

    def _product(self, snapshot: Snapshot, key: bytes) -> _Product:
        """Return a product as it is in this state of the store. Bounds: LOTS_KEPT_BYTES."""
        known = self._products.get(key)
        if known is not None and key in self._fresh_products:
            return known
        served = serves(snapshot, key, root=self._root)
        row = snapshot.get(Table.RECORDS, record_key(key)) if served else None
        if known is None or known.row != row:
            self._account(0 if row is None else _PRODUCT_COPIES * len(row))
            known = self._products[key] = _Product(row, _inherited(row), {})
        self._fresh_products.add(key)
        return known

    def _shape(self, known: Known, place: tuple[UnitState, int, bool]) -> tuple[_Shape, _Shape]:
        """Make the form of answer of all units in one state, and remember it. Bounds: LOT_SHAPES_MAX."""
        state, stamp_s, packed = place
        parent = (known.name + _PLACE.decode()) if packed else None
        rows = pack_record(known.key, _values(known, Level.UNIT.word, (state, stamp_s), parent))
        product = pack_record(known.key, _of_product(known)[0])
        heads = known.product.heads
        shapes = (
            self._cut(heads, rows.answer, len(product.answer) - len(b"]"), packed=packed),
            self._cut(heads, rows.record, len(product.record), packed=packed),
        )
        self._account(sum(len(shape.before) + len(shape.after) for shape in shapes))
        if len(known.shapes) >= limits.LOT_SHAPES_MAX:
            known.shapes.clear()
        known.shapes[place] = shapes
        return shapes

    def _cut(self, heads: dict[bytes, bytes], row: bytes, head_bytes: int, *, packed: bool) -> _Shape:
        """Cut a row behind the values of the product, and where the serial of the parent stands."""
        head, rest = row[:head_bytes], row[head_bytes:]
        before, _, after = rest.rpartition(_PLACE) if packed else (rest, b"", b"")
        if head not in heads:
            heads[head] = head
            self._account(len(head))
        return _Shape(heads[head], before, after)

    def _account(self, octets: int) -> None:
        """Count octets that are kept; beyond LOTS_KEPT_BYTES begin anew."""
        self._bytes += octets
        if self._bytes > limits.LOTS_KEPT_BYTES:
            self._bytes = octets
            for kept in (self._kept, self._fresh, self._quick, self._products):
                kept.clear()
            self._fresh_products.clear()


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


def _packed(snapshot: Snapshot, found: Found) -> RecordRows:
    """Return both rows of a case or pallet."""
    known = found.lot
    state, stamp_ms = _state_of(found)
    parent = parent_of(found)
    values = _values(
        known,
        known.lot.packaging.level(found.at).word,
        (state, stamp_ms // 1_000),
        None if parent is None else known.handle(parent),
        "\n".join(map(known.handle, children_in(snapshot, found))),
    )
    return pack_record(known.key, values)


def _state_of(found: Found) -> tuple[UnitState, int]:
    """Return the state of a unit and since when, in milliseconds."""
    run = found.run
    return (UnitState.ALLOCATED, found.lot.lot.created_ms) if run is None else (run.state, run.last_ms)


def _values(
    known: Known, level: str, state: tuple[UnitState, int] | None = None, parent: str | None = None, children: str = ""
) -> Values:
    """Return all values: what differs between the units of a lot is last. ``state``: with its time in seconds."""
    inherited, own = _of_product(known)
    lot, created_s = known.lot, known.lot.created_ms // 1_000
    said = [
        (_V.LOT, known.name), (_V.PRODUCT, lot.product), (_V.LEVEL, level), (_V.PRODUCED, lot.produced),
        (_V.VALID_UNTIL, lot.valid_until), (_V.LINE, lot.line),
    ]  # fmt: skip
    values = [_said(index, text, created_s) for index, text in said if text]
    if state is not None:
        values.append(_said(_V.STATE, state[0].value, state[1]))
    if children:
        values.append(_said(_V.CHILDREN, children, created_s))
    if parent is not None:
        values.append(_said(_V.PARENT, parent, created_s))
    return (*inherited, *own, *values)


def _of_product(known: Known) -> tuple[Values, Values]:
    """Return the values that a lot has of its product, and its own."""
    own = decode_values(known.lot.values)
    taken = {value.value_index for value in own}
    return tuple(value for value in known.product.values if value.value_index not in taken), own


def _inherited(row: bytes | None) -> Values:
    """Return the values of a product that its units have, too. Bounds: none of one beyond LOT_PRODUCT_BYTES_MAX."""
    if row is None or len(row) > limits.LOT_PRODUCT_BYTES_MAX:
        return ()
    return tuple(
        value
        for value in unpack_values(row)
        if value.public_read and value.type.upper() not in _ITS_OWN and value.value_index not in _V.__members__.values()
    )


def _said(index: UnitValue, text: str, at_s: int) -> HandleValue:
    return HandleValue(int(index), index.name, text.encode(), timestamp=at_s)


def _is_without_records(snapshot: Snapshot, lot_key: bytes) -> bool:
    """Whether no unit of the lot has a record, as far as _LOOKED_AT records show it."""
    size = len(lot_key) + SERIAL_CHARS
    near = list(islice(snapshot.scan(Table.RECORDS, lot_key, lot_key + b"\xff"), _LOOKED_AT))
    return len(near) < _LOOKED_AT and not any(len(key) == size for key, _ in near)


def _is_touched(snapshot: Snapshot, lot_key: bytes) -> bool:
    """Whether anything happened to a unit of the lot."""
    start, _ = lot_range(lot_key)
    last = snapshot.floor(Table.LOT_RUNS, start + _LAST_KEY)
    return last is not None and last[0].startswith(start)

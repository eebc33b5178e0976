"""Rows of the tables of lots: one row a lot, however many units it has.

LOTS         key: folded handle of the lot, ``PREFIX/CODE``
             row: 1, then msgpack [product, its key where that is another, count, units per case, cases per pallet,
                  line, produced, valid until, scheme, key id, check, sealed key, created_ms, values as on the wire]
LOT_TALLIES  key: the same; there is one as soon as anything happened to the lot
             row: 1, then msgpack [number of the last event, {state: [units, cases, pallets]}], without
                  allocated
LOT_BLOCKS   key: the lot's, 00, first index (4)                row: 1, then msgpack [count, line, token, at_ms]
LOT_RUNS     key: the lot's, 00, first index (4)                row: 1, then msgpack
                  [stop, state, first_ms, last_ms, place, parent: null by rule, -1 none, or its index]
LOT_EVENTS   key: the lot's, 00, number (8)                     row: 1, then msgpack
                  [first index, count, event, first_ms, last_ms, place, grade, parent as above, received_ms]
LOT_CONTENTS key: the lot's, 00, parent (4), first index (4)    row: 1, stop (4): what is there, and not by rule

Numbers are big-endian. A run is a range of indexes that share state, time and place; runs never overlap, and what
is in none of them is allocated and packed by rule. Indexes: ``core/lots.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from core.clock import Millis, read_millis
from core.errors import StoreError
from core.ident.unitcode import CHECK_BYTES, INDEXES_MAX, LOT_CODE_CHARS_MAX, SCHEME, SERIAL_CHARS
from core.lots import GRADES, Level, Packaging, UnitState
from core.store.versioned import pack_versioned, read_versioned

T = TypeVar("T")

NO_PARENT: Final = -1
"""What was taken out of its case or off its pallet is in none."""

PACKED: Final = "packed"
"""The event that changes what something is in, and not its state."""

_VERSION: Final = b"\x01"
_INDEX: Final = struct.Struct(">I")
_NUMBER: Final = struct.Struct(">Q")
_STATES: Final = {state.value: state for state in UnitState}
_EVENTS: Final = (*_STATES, PACKED)


class LotRow(NamedTuple):
    """A lot. ``product``: a handle, as written; ``folded``: its key if that is another, else empty. ``produced``,
    ``valid_until``: days (``2026-11-21``), or empty.

    ``sealed_key``: of a lot that came from another node, its key under the master key ``key_id``; else empty, and the
    key is derived. ``check``: CHECK_BYTES octets by which the key is known again. ``values``: what all its units share,
    as on the Handle wire, with their count.
    """

    product: str
    folded: bytes
    packaging: Packaging
    line: str
    produced: str
    valid_until: str
    scheme: int
    key_id: int
    check: bytes
    sealed_key: bytes
    created_ms: Millis
    values: bytes

    @property
    def product_key(self) -> bytes:
        """The key of the product's handle."""
        return self.folded or self.product.encode()


class Tally(NamedTuple):
    """How many of each level are in each state but allocated, and the number of the last event."""

    events: int
    states: Mapping[UnitState, tuple[int, int, int]]

    def allocated(self, packaging: Packaging) -> tuple[int, int, int]:
        """Return how many are still allocated."""
        units, cases, pallets = (
            len(packaging.span(level)) - sum(counts[level] for counts in self.states.values()) for level in Level
        )
        return units, cases, pallets


NO_TALLY: Final = Tally(0, {})


class Block(NamedTuple):
    """Units that were given to a line: its first index is in the key. ``token``: by which it was asked for."""

    size: int
    line: str
    token: str
    at_ms: Millis


class Run(NamedTuple):
    """A range of indexes in one state: from the key's index up to ``stop``, not included.

    ``first_ms``, ``last_ms``: when the first and the last of them came into it. ``parent``: None by rule.
    """

    stop: int
    state: UnitState
    first_ms: Millis
    last_ms: Millis
    place: str
    parent: int | None = None


class LotEvent(NamedTuple):
    """What happened to a range of indexes. ``event``: a state, or PACKED. ``grade``: the worst of them, or empty."""

    start: int
    size: int
    event: str
    first_ms: Millis
    last_ms: Millis
    place: str
    grade: str
    parent: int | None
    received_ms: Millis


# --- keys ---
def lot_of_unit(handle: bytes) -> bytes:
    """Return the key of the lot that a handle's key names by its form, itself or one of its units.

    Empty where it cannot: a lot code has at most LOT_CODE_CHARS_MAX octets, so nothing can be both.
    """
    suffix_bytes = len(handle) - handle.find(b"/") - 1
    if suffix_bytes <= LOT_CODE_CHARS_MAX:
        return handle
    return handle[:-SERIAL_CHARS] if suffix_bytes <= LOT_CODE_CHARS_MAX + SERIAL_CHARS else b""


def indexed_key(lot: bytes, index: int) -> bytes:
    """Return the key of a block or a run."""
    return lot + b"\0" + _INDEX.pack(index)


def event_key(lot: bytes, number: int) -> bytes:
    """Return the key of an event."""
    return lot + b"\0" + _NUMBER.pack(number)


def contents_key(lot: bytes, parent: int, start: int = 0) -> bytes:
    """Return the key of contents."""
    return lot + b"\0" + _INDEX.pack(parent) + _INDEX.pack(start)


def lot_range(lot: bytes) -> tuple[bytes, bytes]:
    """Return start and stop of the keys of what belongs to a lot in each of its tables but LOTS and LOT_TALLIES."""
    return lot + b"\0", lot + b"\1"


def index_in(key: bytes) -> int:
    """Return the last index in a key: of a block, a run or contents. Errors: StoreError."""
    return _last(key, _INDEX)


def number_in(key: bytes) -> int:
    """Return the number of an event. Errors: StoreError."""
    return _last(key, _NUMBER)


def parent_in(key: bytes) -> int:
    """Return the index of the parent in a key of contents. Errors: StoreError."""
    return _last(key[:-4], _INDEX)


def lot_in(key: bytes) -> bytes:
    """Return the lot's key in the key of a block, run, event or contents. Errors: StoreError."""
    lot, zero, _ = key.partition(b"\0")
    if not zero:
        raise StoreError(f"a key of a lot's table cannot be read: {key!r}")
    return lot


def _last(key: bytes, form: struct.Struct) -> int:
    if len(key) <= form.size:
        raise StoreError(f"a key of a lot's table cannot be read: {key!r}")
    number: int = form.unpack_from(key, len(key) - form.size)[0]
    return number


# --- rows ---
def pack_lot(row: LotRow) -> bytes:
    """Return the row of a lot."""
    return pack_versioned((row.product, row.folded, *row.packaging, *row[3:]))


def unpack_lot(row: bytes) -> LotRow:
    """Read the row of a lot. Errors: StoreError."""
    return _read(row, _lot)


def _lot(packed: Any) -> LotRow:
    (
        product, folded, count, per_case, per_pallet, line, produced, until, scheme, key_id, check, sealed,
        created_ms, values,
    ) = packed  # fmt: skip
    packaging = Packaging(_int(count), _int(per_case), _int(per_pallet))
    if not packaging.fits or _int(scheme) != SCHEME:
        raise ValueError("no lot of this scheme")
    texts = [_text(text) for text in (product, line, produced, until)]
    octets = [_octets(each) for each in (folded, check, sealed, values)]
    if len(check) != CHECK_BYTES:
        raise ValueError("no check value")
    return LotRow(
        texts[0], octets[0], packaging, texts[1], texts[2], texts[3], scheme, _int(key_id), octets[1],
        octets[2], read_millis(created_ms), octets[3],
    )  # fmt: skip


def pack_tally(row: Tally) -> bytes:
    """Return the row of a tally."""
    return pack_versioned((row.events, {state.value: counts for state, counts in row.states.items() if any(counts)}))


def unpack_tally(row: bytes | None) -> Tally:
    """Read the row of a tally; no row is none. Errors: StoreError."""
    return NO_TALLY if row is None else _read(row, _tally)


def _tally(packed: Any) -> Tally:
    events, states = packed
    return Tally(_int(events), {_STATES[name]: _counts(counts) for name, counts in states.items()})


def _counts(packed: Any) -> tuple[int, int, int]:
    units, cases, pallets = map(_int, packed)
    return units, cases, pallets


def pack_block(row: Block) -> bytes:
    """Return the row of a block."""
    return pack_versioned(tuple(row))


def unpack_block(row: bytes) -> Block:
    """Read the row of a block. Errors: StoreError."""
    return _read(row, _block)


def _block(packed: Any) -> Block:
    count, line, token, at_ms = packed
    return Block(_int(count), _text(line), _text(token), read_millis(at_ms))


def pack_run(row: Run) -> bytes:
    """Return the row of a run."""
    return pack_versioned((row.stop, row.state.value, *row[2:]))


@lru_cache(maxsize=4_096)
def unpack_run(row: bytes) -> Run:
    """Read the row of a run. Errors: StoreError."""
    return _read(row, _run)


def _run(packed: Any) -> Run:
    stop, state, first_ms, last_ms, place, parent = packed
    return Run(
        _int(stop), _STATES[state], read_millis(first_ms), read_millis(last_ms), _text(place), _parent(parent)
    )  # fmt: skip


def pack_event(row: LotEvent) -> bytes:
    """Return the row of an event."""
    return pack_versioned(tuple(row))


def unpack_event(row: bytes) -> LotEvent:
    """Read the row of an event. Errors: StoreError."""
    return _read(row, _event)


def _event(packed: Any) -> LotEvent:
    start, count, event, first_ms, last_ms, place, grade, parent, received_ms = packed
    if event not in _EVENTS or grade not in ("", *GRADES):
        raise ValueError("no event, or no grade")
    return LotEvent(
        _int(start), _int(count), event, read_millis(first_ms), read_millis(last_ms), _text(place), grade,
        _parent(parent), read_millis(received_ms),
    )  # fmt: skip


def pack_contents(stop: int) -> bytes:
    """Return the row of contents: where the range of children ends."""
    return _VERSION + _INDEX.pack(stop)


def unpack_contents(row: bytes) -> int:
    """Read the row of contents. Errors: StoreError."""
    if row[:1] != _VERSION or len(row) != 1 + _INDEX.size:
        raise StoreError("a row of contents cannot be read")
    stop: int = _INDEX.unpack_from(row, 1)[0]
    return stop


# --- pieces ---
def _read(row: bytes, read: Callable[[Any], T]) -> T:
    return read_versioned(row, "a row of a lot", read)


def _int(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("no count")
    return value


def _parent(value: Any) -> int | None:
    if value is None or value == NO_PARENT:
        return value  # type: ignore[no-any-return]
    if _int(value) >= INDEXES_MAX:
        raise ValueError("no index")
    return value  # type: ignore[no-any-return]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _octets(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("no octets")
    return value

"""Rows of lots: round trip, total on any octets, keys in the order of what they name; and runs as they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.errors import StoreError
from core.ident.unitcode import CHECK_BYTES, INDEXES_MAX, LOT_CODE_CHARS_MAX, SERIAL_CHARS
from core.lots import GONE, GRADES, Level, Packaging, UnitState
from core.store.engine import Batch, Table
from core.store.lot_rows import (
    NO_PARENT,
    PACKED,
    Block,
    LotEvent,
    LotRow,
    Run,
    Tally,
    contents_key,
    event_key,
    index_in,
    indexed_key,
    lot_in,
    lot_of_unit,
    lot_range,
    number_in,
    pack_block,
    pack_contents,
    pack_event,
    pack_lot,
    pack_run,
    pack_tally,
    parent_in,
    unpack_block,
    unpack_contents,
    unpack_event,
    unpack_lot,
    unpack_run,
    unpack_tally,
)
from core.store.memory_engine import MemoryEngine
from core.store.run_reading import children_of, run_at, runs_over

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
OCTETS = st.binary(max_size=40)
TIME = st.integers(0, 2**32 * 1_000 - 1).map(Millis)
COUNT = st.integers(0, 2**63 - 1)
INDEX = st.integers(0, INDEXES_MAX - 1)
PARENT = st.none() | st.just(NO_PARENT) | INDEX
PACKAGING = st.builds(Packaging, st.integers(1, INDEXES_MAX), st.integers(0, 1_000), st.integers(0, 1_000)).filter(
    lambda packaging: packaging.fits
)
CHECK = st.binary(min_size=CHECK_BYTES, max_size=CHECK_BYTES)
LOT = st.builds(LotRow, TEXT, OCTETS, PACKAGING, TEXT, TEXT, TEXT, st.just(1), COUNT, CHECK, OCTETS, TIME, OCTETS)
COUNTS = st.tuples(COUNT, COUNT, COUNT).filter(any)
EVENTS = [*(state.value for state in UnitState), PACKED]
KINDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "lot": (LOT, pack_lot, unpack_lot),
    "tally": (
        st.builds(Tally, COUNT, st.dictionaries(st.sampled_from(UnitState), COUNTS)), pack_tally, unpack_tally,
    ),
    "block": (st.builds(Block, COUNT, TEXT, TEXT, TIME), pack_block, unpack_block),
    "run": (st.builds(Run, COUNT, st.sampled_from(UnitState), TIME, TIME, TEXT, PARENT), pack_run, unpack_run),
    "event": (
        st.builds(
            LotEvent, COUNT, COUNT, st.sampled_from(EVENTS), TIME, TIME, TEXT, st.sampled_from(["", *GRADES]), PARENT,
            TIME,
        ),
        pack_event, unpack_event,
    ),
    "contents": (st.integers(0, 2**32 - 1), pack_contents, unpack_contents),
}  # fmt: skip
every_kind = pytest.mark.parametrize("kind", KINDS)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=4) | TEXT,
    lambda inner: st.lists(inner, max_size=14) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=16,
)


# --- rows ---
@every_kind
@given(data=st.data())
def test_round_trip(kind: str, data: st.DataObject) -> None:
    """What is packed is what is unpacked."""
    values, pack, unpack = KINDS[kind]
    value = data.draw(values)
    assert unpack(pack(value)) == value


@every_kind
@given(data=st.data(), octets=OCTETS)
def test_total_on_any_octets(kind: str, data: st.DataObject, octets: bytes) -> None:
    """A value or StoreError: of any octets, of a row that was cut, and of one with other octets in it."""
    values, pack, unpack = KINDS[kind]
    row = pack(data.draw(values))
    at = data.draw(st.integers(0, len(row)))
    for damaged in (octets, b"\x01" + octets, row[:at], row[:at] + octets, row[:at] + octets + row[at + len(octets) :]):
        read(unpack, damaged)


@every_kind
@given(data=st.data())
def test_total_on_any_members(kind: str, data: st.DataObject) -> None:
    """The same where one member is anything, and where the row is."""
    values, pack, unpack = KINDS[kind]
    anything = data.draw(ANYTHING)
    read(unpack, b"\x01" + msgpack.packb(anything))
    if kind != "contents":
        members = msgpack.unpackb(pack(data.draw(values))[1:])
        members[data.draw(st.integers(0, len(members) - 1))] = anything
        read(unpack, b"\x01" + msgpack.packb(members))


def read(unpack: Callable[[bytes], Any], row: bytes) -> None:
    try:
        unpack(row)
    except StoreError as error:
        assert "cannot be read" in error.message


def test_no_tally_is_that_of_a_lot_to_which_nothing_happened() -> None:
    """All of it is allocated."""
    assert unpack_tally(None).allocated(Packaging(12, 4, 2)) == (12, 3, 2)


# --- keys ---
CODE = st.text("ABCXYZ019-", min_size=1, max_size=LOT_CODE_CHARS_MAX)
LOTS = CODE.map(lambda code: b"88.118.7/" + code.encode())


@given(st.lists(st.tuples(LOTS, INDEX, INDEX), max_size=8))
def test_keys_name_what_they_are_of_and_are_in_its_order(places: list[tuple[bytes, int, int]]) -> None:
    """All of one lot stand together, whatever its code begins with."""
    for lot, index, other in places:
        key = indexed_key(lot, index)
        assert (lot_in(key), index_in(key)) == (lot, index)
        key = contents_key(lot, index, other)
        assert (lot_in(key), parent_in(key), index_in(key)) == (lot, index, other)
        key = event_key(lot, index)
        assert (lot_in(key), number_in(key)) == (lot, index)
        start, stop = lot_range(lot)
        for make in (indexed_key, event_key, contents_key):
            assert all((start <= make(each, at) < stop) == (each == lot) for each, at, _ in places)
    assert sorted(places) == sorted(places, key=lambda place: contents_key(*place))


@given(st.binary(max_size=12))
def test_any_key_is_read_or_refused(key: bytes) -> None:
    """Total."""
    for named in (lot_in, index_in, number_in, parent_in):
        try:
            named(key)
        except StoreError as error:
            assert "key" in error.message


@given(LOTS, st.text("23456789ABCXYZ", min_size=SERIAL_CHARS, max_size=SERIAL_CHARS))
def test_a_handle_names_its_lot_by_its_length(lot: bytes, serial: str) -> None:
    """Itself, or a unit of it; what is longer is of no lot."""
    assert lot_of_unit(lot) == lot
    assert lot_of_unit(lot + serial.encode()) == lot
    assert lot_of_unit(b"88.118.7/" + b"X" * (LOT_CODE_CHARS_MAX + SERIAL_CHARS + 1)) == b""


# --- runs, against a model: a state and a parent for each index ---
LOT_KEY, NEAR = b"88.118.7/L1", (b"88.118.7/L", b"88.118.7/L1-")
SMALL = Packaging(12, 4, 2)
CELL = st.none() | st.tuples(
    st.sampled_from([UnitState.ENCODED, UnitState.SCRAPPED]), st.sampled_from([None, NO_PARENT, 0, 1, 2])
)
"""What became of an index: nothing, or a state and what it was put in, by its place among the level above."""


def parent_index(index: int, place: int | None) -> int | None:
    """Return the index of a parent by its place; None where it is there by rule."""
    level = SMALL.level(index)
    if place is None or place == NO_PARENT or level is Level.PALLET:
        return place if level is not Level.PALLET else None
    above = SMALL.span(Level(level + 1))
    parent = above[place % len(above)]
    return None if index in SMALL.children(parent) else parent


def stored(cells: list[tuple[UnitState, int | None] | None], cuts: set[int]) -> MemoryEngine:
    """Return a store with the runs and contents of some cells; neighbours that are alike are one run but at cuts."""
    batch = Batch()
    start = 0
    for index in range(1, len(cells) + 1):
        if index < len(cells) and cells[index] == cells[start] and index not in cuts:
            continue
        cell = cells[start]
        if cell is not None:
            row = pack_run(Run(index, cell[0], Millis(1), Millis(2), "", cell[1]))
            for lot in (LOT_KEY, *NEAR):
                batch.put(Table.LOT_RUNS, indexed_key(lot, start), row)
            if cell[1] is not None and cell[1] != NO_PARENT:
                batch.put(Table.LOT_CONTENTS, contents_key(LOT_KEY, cell[1], start), pack_contents(index))
        start = index
    store = MemoryEngine()
    store.commit(batch)
    return store


@given(
    st.lists(CELL, min_size=SMALL.total, max_size=SMALL.total),
    st.sets(st.integers(0, SMALL.total)),
    st.integers(0, SMALL.total),
    st.integers(0, SMALL.total),
)
def test_runs_are_read_as_the_model_says(cells: list[Any], cuts: set[int], low: int, high: int) -> None:
    """Of an index, over a range, and what is in each case and on each pallet; never of a lot beside it."""
    model = [None if cell is None else (cell[0], parent_index(at, cell[1])) for at, cell in enumerate(cells)]
    model.append(None)  # beyond the lot
    with stored(model, cuts).snapshot() as snapshot:
        for index, cell in enumerate(model):
            run = run_at(snapshot, LOT_KEY, index)
            assert (None if run is None else (run.state, run.parent)) == cell
        found = list(runs_over(snapshot, LOT_KEY, range(low, high)))
        assert [start for start, _ in found] == sorted({start for start, _ in found})
        over = {index: (run.state, run.parent) for start, run in found for index in range(start, run.stop)}
        asked = {index: cell for index, cell in enumerate(model) if low <= index < high and cell is not None}
        assert asked.items() <= over.items() <= {at: cell for at, cell in enumerate(model) if cell}.items()
        assert all(start < high and run.stop > low for start, run in found)
        for parent in range(SMALL.units, SMALL.total):
            inside = [
                index
                for index, cell in enumerate(model[:-1])
                if (cell is None or cell[0] not in GONE)
                and parent == (SMALL.parent(index) if cell is None or cell[1] is None else cell[1])
            ]
            assert children_of(snapshot, LOT_KEY, parent, SMALL.children(parent)) == inside
        assert not list(runs_over(snapshot, b"88.118.7/L1-2", range(SMALL.total)))
        assert run_at(snapshot, b"88.118.7/L1-2", 0) is None


def test_an_empty_range_has_no_runs() -> None:
    """Also one whose end lies before its start."""
    with stored([(UnitState.ENCODED, None)] * 3, set()).snapshot() as snapshot:
        assert not list(runs_over(snapshot, LOT_KEY, range(2, 2)))
        assert not list(runs_over(snapshot, LOT_KEY, range(2, 1)))
        assert [start for start, _ in runs_over(snapshot, LOT_KEY, range(2, 3))] == [0]

"""Are the rows of lots what the others say they are? A part of ``fsck.py``; reads only through a Snapshot.

Checked: every row of every table of lots can be read, under a key of its form, and belongs to a lot that is there;
a lot's key is PREFIX/CODE, and what it names and shares can be read; blocks lie within its units and runs within
its indexes, and none over another; events are numbered from 1 without a gap; the tally is what the runs say, and
its number that of the last event; what runs say to be in a case or on a pallet is listed there, nothing else is,
and it is of the level below it.

A lot of a prefix that is being imported, or whose import is given up, is not whole: there only each row is checked.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator
from typing import Final

from core.clock import parse_day
from core.errors import NodeError, StoreError
from core.ident.handle import HandleKey, HandleRules, check_prefix, prefix_of
from core.ident.unitcode import LOT_KEY_BYTES, is_lot_code
from core.lotkeys import SEALED_BYTES
from core.lots import Level, Packaging, UnitState
from core.store.case_row import stored_case
from core.store.engine import Snapshot, Table
from core.store.lot_rows import (
    NO_PARENT,
    LotRow,
    Run,
    contents_key,
    event_key,
    index_in,
    indexed_key,
    lot_in,
    lot_range,
    number_in,
    parent_in,
    unpack_block,
    unpack_contents,
    unpack_event,
    unpack_lot,
    unpack_run,
    unpack_tally,
)
from core.store.transfer_rows import unpack_transfer
from core.wire.values import decode_values

_BELOW: Final = (Table.LOT_BLOCKS, Table.LOT_RUNS, Table.LOT_EVENTS, Table.LOT_CONTENTS)
_NOWHERE: Final = -1
_NO_KEY: Final = "a key of a lot's table cannot be read"

_Counts = dict[UnitState, tuple[int, int, int]]


def check_lots(snapshot: Snapshot) -> Iterator[str]:
    """Yield a sentence for each fault. Cost: reads all rows of lots, their keys twice; 4 octets an index of one lot."""
    try:
        rules = HandleRules(case_sensitive=stored_case(snapshot))
    except StoreError:
        return  # which is said of the records
    for key, packed in snapshot.scan(Table.LOTS, b""):
        try:
            row = unpack_lot(packed)
            fault = _named(key, row, rules)
        except (NodeError, ValueError) as error:
            yield f"lots {key!r}: {error}"
            continue
        if fault:
            yield f"lots {key!r}: {fault}"
        yield from _lot(snapshot, key, row.packaging)
    yield from _strays(snapshot)


def _named(key: bytes, row: LotRow, rules: HandleRules) -> str:
    """Return what is wrong with a lot itself, or nothing. Errors: NodeError, ValueError."""
    handle = key.decode()
    prefix, _, code = key.partition(b"/")
    if rules.key(handle) != key or check_prefix(prefix.decode(), rules) != prefix or not is_lot_code(code):
        return "is no key of a lot"
    if rules.key(row.product) != row.product_key or row.folded == row.product.encode():
        return f"its product {row.product!r} is not what its key says"
    if len(row.sealed_key) not in (0, SEALED_BYTES):
        return f"its sealed key is none of {LOT_KEY_BYTES} octets"
    if not all(not day or parse_day(day) for day in (row.produced, row.valid_until)):
        return "a day of it is none"
    decode_values(row.values)
    return ""


def _lot(snapshot: Snapshot, lot: bytes, packaging: Packaging) -> Iterator[str]:
    whole = not _is_coming(snapshot, lot)
    yield from _blocks(snapshot, lot, packaging)
    listed = yield from _contents(snapshot, lot, packaging)
    counts = yield from _runs(snapshot, lot, packaging, listed if whole else None)
    last = yield from _events(snapshot, lot, packaging, whole=whole)
    try:
        tally = unpack_tally(snapshot.get(Table.LOT_TALLIES, lot))
    except StoreError as error:
        yield f"lot_tallies {lot!r}: {error.message}"
        return
    if whole and dict(tally.states) != counts:
        yield f"lot_tallies {lot!r}: not what the runs say"
    if whole and tally.events != last:
        yield f"lot_tallies {lot!r}: the last event is {last}, the number is {tally.events}"


def _blocks(snapshot: Snapshot, lot: bytes, packaging: Packaging) -> Iterator[str]:
    free = 0
    for key, row in snapshot.scan(Table.LOT_BLOCKS, *lot_range(lot)):
        try:
            start, block = _index(lot, key), unpack_block(row)
        except StoreError as error:
            yield f"lot_blocks {key!r}: {error.message}"
            continue
        stop = start + block.size
        fault = _misplaced(start, stop, free, packaging.units)
        if fault:
            yield f"lot_blocks {key!r}: {fault}"
        free = max(free, stop)


def _contents(snapshot: Snapshot, lot: bytes, packaging: Packaging) -> Generator[str, None, array[int]]:
    """Return for each index the parent that lists it, or _NOWHERE; empty if nothing is listed."""
    listed: array[int] = array("i")
    for key, row in snapshot.scan(Table.LOT_CONTENTS, *lot_range(lot)):
        try:
            start, parent, stop = index_in(key), parent_in(key), unpack_contents(row)
            if contents_key(lot, parent, start) != key:
                raise StoreError(_NO_KEY)
        except StoreError as error:
            yield f"lot_contents {key!r}: {error.message}"
            continue
        fault = _misplaced(start, stop, 0, packaging.total) or _misplaced_in(packaging, parent, start, stop)
        if fault:
            yield f"lot_contents {key!r}: {fault}"
            continue
        if not listed:
            listed = array("i", (_NOWHERE,)) * packaging.total
        nowhere = array("i", (_NOWHERE,)) * (stop - start)
        if listed[start:stop] != nowhere:
            yield f"lot_contents {key!r}: some of it is listed elsewhere, too"
        listed[start:stop] = array("i", (parent,)) * (stop - start)
    return listed


def _runs(
    snapshot: Snapshot, lot: bytes, packaging: Packaging, listed: array[int] | None
) -> Generator[str, None, _Counts]:
    """Return how many of each level are in each state. ``listed``: as _contents() returns it, None to look at none."""
    tallied: dict[UnitState, list[int]] = {}
    free = 0
    for key, row in snapshot.scan(Table.LOT_RUNS, *lot_range(lot)):
        try:
            start, run = _index(lot, key), unpack_run(row)
        except StoreError as error:
            yield f"lot_runs {key!r}: {error.message}"
            continue
        fault = _misplaced(start, run.stop, free, packaging.total)
        if not fault and run.first_ms > run.last_ms:
            fault = "ends before it begins"
        if not fault:
            free = run.stop
            _count(tallied, packaging, start, run)
            fault = _misplaced_run(packaging, start, run, listed)
        if fault:
            yield f"lot_runs {key!r}: {fault}"
    at = next((index for index, parent in enumerate(listed or ()) if parent != _NOWHERE), None)
    if listed and at is not None:
        yield f"lot_contents {lot!r}: {listed[at]} lists {at}, which is not in it"
    return {state: (units, cases, pallets) for state, (units, cases, pallets) in tallied.items()}


def _count(tallied: dict[UnitState, list[int]], packaging: Packaging, start: int, run: Run) -> None:
    """Add the indexes of a run to those that are in its state, by their level; of allocated ones nothing is told."""
    if run.state is UnitState.ALLOCATED:
        return
    of_state = tallied.setdefault(run.state, [0, 0, 0])
    for level in Level:
        span = packaging.span(level)
        of_state[level] += max(0, min(run.stop, span.stop) - max(start, span.start))


def _misplaced_run(packaging: Packaging, start: int, run: Run, listed: array[int] | None) -> str:
    """Return why a run cannot be in its parent, or nothing; what is listed rightly is struck off."""
    if run.parent is None or run.parent == NO_PARENT:
        return ""
    fault = _misplaced_in(packaging, run.parent, start, run.stop)
    if fault or listed is None:
        return fault
    if listed[start : run.stop] != array("i", (run.parent,)) * (run.stop - start):
        return f"{run.parent} does not list it"
    listed[start : run.stop] = array("i", (_NOWHERE,)) * (run.stop - start)
    return ""


def _events(snapshot: Snapshot, lot: bytes, packaging: Packaging, *, whole: bool) -> Generator[str, None, int]:
    """Return the number of the last event, 0 for none."""
    last = 0
    for key, row in snapshot.scan(Table.LOT_EVENTS, *lot_range(lot)):
        try:
            number, event = number_in(key), unpack_event(row)
            if event_key(lot, number) != key:
                raise StoreError(_NO_KEY)
        except StoreError as error:
            yield f"lot_events {key!r}: {error.message}"
            continue
        if whole and number != last + 1:
            yield f"lot_events {key!r}: {number} follows {last}"
        last = number
        stop = event.start + event.size
        fault = _misplaced(event.start, stop, 0, packaging.total)
        if not fault and event.first_ms > event.last_ms:
            fault = "ends before it begins"
        inside = event.parent is not None and event.parent != NO_PARENT
        if not fault and inside and not packaging.fits_in(event.parent or 0, event.start, stop):
            fault = f"cannot be in {event.parent}"
        if fault:
            yield f"lot_events {key!r}: {fault}"
    return last


def _strays(snapshot: Snapshot) -> Iterator[str]:
    """Yield a sentence for each table of each lot that is not there."""
    for key, _ in snapshot.scan(Table.LOT_TALLIES, b""):
        if snapshot.get(Table.LOTS, key) is None:
            yield f"lot_tallies {key!r}: its lot is not there"
    for table in _BELOW:
        known: bytes | None = None
        for key, _ in snapshot.scan(table, b""):
            if known is not None and key.startswith(known):
                continue
            try:
                lot = lot_in(key)
            except StoreError as error:
                yield f"{table.value} {key!r}: {error.message}"
                continue
            known = lot + b"\0"
            if snapshot.get(Table.LOTS, lot) is None:
                yield f"{table.value} {key!r}: its lot is not there"


def _index(lot: bytes, key: bytes) -> int:
    index = index_in(key)
    if indexed_key(lot, index) != key:
        raise StoreError(_NO_KEY)
    return index


def _misplaced(start: int, stop: int, free: int, end: int) -> str:
    """Return why a range cannot lie there, or nothing. ``free``: where what is before it ends; ``end``: of all."""
    if start >= stop:
        return "holds nothing"
    if stop > end:
        return f"goes up to {stop}, and the lot up to {end}"
    return "lies over the one before it" if start < free else ""


def _misplaced_in(packaging: Packaging, parent: int, start: int, stop: int) -> str:
    if not packaging.fits_in(parent, start, stop):
        return f"cannot be in {parent}"
    by_rule = packaging.children(parent)
    return f"is in {parent} by rule" if start < by_rule.stop and by_rule.start < stop else ""


def _is_coming(snapshot: Snapshot, lot: bytes) -> bool:
    """Whether the prefix of a lot is being imported."""
    row = snapshot.get(Table.TRANSFERS, prefix_of(HandleKey(lot))) if b"/" in lot else None
    try:
        return row is not None and not unpack_transfer(row).ended_ms
    except StoreError:
        return False  # which is said of the row itself

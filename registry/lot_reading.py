"""What is read of lots: lists, codes, blocks, and where a unit stands and how it came there."""

from __future__ import annotations

from collections import deque
from itertools import islice

from core import limits
from core.clock import format_instant
from core.errors import Outcome, SealError
from core.ident.handle import check_handle, check_prefix
from core.ident.unitcode import SERIAL_CHARS, UnitCodes, is_lot_code
from core.lotcodes import LotCodes
from core.lotkeys import codes_of_lot
from core.lots import UnitState
from core.store.engine import Table
from core.store.holding import orders_on
from core.store.homing import require_served
from core.store.lot_rows import (
    NO_PARENT,
    LotEvent,
    LotRow,
    event_key,
    index_in,
    indexed_key,
    lot_of_unit,
    lot_range,
    unpack_block,
    unpack_event,
    unpack_lot,
    unpack_tally,
)
from core.store.record_rows import prefix_range
from core.store.run_reading import children_of, run_at
from core.who import Role
from registry.lot_forms import check_lot
from registry.lots import (
    block_document,
    blocks_of,
    holds_prefix,
    key_refused,
    lot_document,
    require_own_prefix,
    states_document,
)
from registry.reading import COUNT, Document, Page, View
from registry.refusals import refusal


def list_lots(view: View) -> Page:
    """Return a page of lots, of one prefix or of all; of an enterprise those below its own prefixes."""
    after = view.members.get("after")
    start, stop = b"", None
    if "prefix" in view.members:
        start, stop = prefix_range(check_prefix(view.members["prefix"], view.rules))
    if after is not None:
        start = max(start, after.encode() + b"\0")
    rows: list[Document] = []
    last = b""
    for read, (key, row) in enumerate(view.snapshot.scan(Table.LOTS, start, stop)):
        if len(rows) == view.rows_max or read == limits.PAGE_CHUNK:
            return Page(rows, last.decode())
        last = key
        if view.role is not Role.ENTERPRISE or holds_prefix(view.snapshot, view.standing.party, key):
            rows.append(lot_document(key, unpack_lot(row)))
    return Page(rows, None)


def show_lot(view: View) -> Document:
    """Return a lot, how many of its units are given to lines, and how many are in each state. Errors: NodeError."""
    key, row = _lot(view)
    tally = unpack_tally(view.snapshot.get(Table.LOT_TALLIES, key))
    given = sum(block.size for _, block in blocks_of(view.snapshot, key))
    held = bool(orders_on(view.snapshot, key))
    return lot_document(key, row) | {"held": held, "allocated": given, "states": states_document(row, tally)}


def list_blocks(view: View) -> Page:
    """Return a page of a lot's blocks."""
    key, _ = _lot(view)
    after = view.members.get("after", -1)
    start = indexed_key(key, after + 1) if after < 2**32 - 1 else lot_range(key)[1]
    rows: list[Document] = []
    for place, row in islice(view.snapshot.scan(Table.LOT_BLOCKS, start, lot_range(key)[1]), view.rows_max + 1):
        if len(rows) == view.rows_max:
            return Page(rows, rows[-1]["from"])
        rows.append(block_document(key, index_in(place), unpack_block(row)))
    return Page(rows, None)


def list_codes(view: View) -> Document:
    """Return codes of a lot, in the order of their indexes. Errors: NodeError, also where the lot is on hold."""
    key, row = _lot(view)
    require_served(view.snapshot, key, root=False)
    start, count, total = view.members.get("from", 0), view.members.get("count", COUNT), row.packaging.total
    stop = min(start + count, total)
    codes = LotCodes(key.decode(), row.packaging, _codes(view, key, row))
    found = [code.document() for code in codes.over(range(start, stop))]
    return {"lot": key.decode(), "codes": found, "next": stop if found and stop < total else None}


def show_unit(view: View) -> Document:
    """Return where a unit, case or pallet stands, and its history. Errors: NodeError."""
    handle = check_handle(view.members["unit"], view.rules)
    key = lot_of_unit(handle)
    if key == handle or not is_lot_code(key.partition(b"/")[2]):
        raise refusal("unit-unknown", Outcome.NOT_ISSUED)
    key, row = _row(view, key)
    codes = _codes(view, key, row)
    index = codes.index(handle[-SERIAL_CHARS:])
    if index is None or index >= row.packaging.total:
        raise refusal("unit-unknown", Outcome.NOT_ISSUED)

    def named(parent: int | None) -> str | None:
        return None if parent in (None, NO_PARENT) else key.decode() + codes.serial(parent or 0).decode()

    run = run_at(view.snapshot, key, index)
    by_rule = row.packaging.parent(index)
    history, complete = _history(view, key, index)
    children = children_of(view.snapshot, key, index, row.packaging.children(index))
    first_ms, last_ms = (row.created_ms, row.created_ms) if run is None else (run.first_ms, run.last_ms)
    return {
        "identifier": handle.decode(),
        "lot": key.decode(),
        "product": row.product,
        "index": index,
        "kind": row.packaging.level(index).word,
        "state": (UnitState.ALLOCATED if run is None else run.state).value,
        "since": format_instant(first_ms),
        "until": format_instant(last_ms),
        "place": (run.place or None) if run else None,
        "parent": named(by_rule if run is None or run.parent is None else run.parent),
        "children": [named(child) for child in children],
        "history": [
            {
                "event": event.event,
                "time": format_instant(event.first_ms),
                "until": format_instant(event.last_ms),
                "place": event.place or None,
                "grade": event.grade or None,
                "parent": named(event.parent),
            }
            for event in history
        ],
        "history_complete": complete,
    }


def _history(view: View, lot: bytes, index: int) -> tuple[list[LotEvent], bool]:
    """Return the newest events of an index, and whether these are all.

    Bounds: LOT_HISTORY_ROWS of the lot's events are looked at, LISTED_MAX are told.
    """
    last = unpack_tally(view.snapshot.get(Table.LOT_TALLIES, lot)).events
    first = max(0, last - limits.LOT_HISTORY_ROWS) + 1
    found = deque[LotEvent](maxlen=limits.LISTED_MAX)
    more = first > 1
    for _, row in view.snapshot.scan(Table.LOT_EVENTS, event_key(lot, first), lot_range(lot)[1]):
        event = unpack_event(row)
        if event.start <= index < event.start + event.size:
            more = more or len(found) == limits.LISTED_MAX
            found.append(event)
    return list(found), not more


def _lot(view: View) -> tuple[bytes, LotRow]:
    """Return key and row of the lot that is asked for. Errors: NodeError."""
    return _row(view, check_lot(view.members["lot"], view.rules))


def _row(view: View, key: bytes) -> tuple[bytes, LotRow]:
    require_own_prefix(view.snapshot, view.role, view.standing.party, key)
    row = view.snapshot.get(Table.LOTS, key)
    if row is None:
        raise refusal("lot-not-found", Outcome.NOT_FOUND, lot=key.decode())
    return key, unpack_lot(row)


def _codes(view: View, key: bytes, row: LotRow) -> UnitCodes:
    try:
        return codes_of_lot(view.keys, key, row)
    except SealError as error:
        raise key_refused(error.message) from None

"""Events of a lot in bulk: what happened to its units, cases and pallets, each item ending on its own and whole.

1. An item names one code, or a range of indexes. Neighbours that say the same are decided as one, and stored as one
   run; where they do not end alike, each half of them is. So a batch ends as its items do one by one.
2. A state that a unit has already since that time is ``unchanged``: whoever sends a batch again doubles nothing.
3. What is on hold is not changed.
4. A batch makes so much work and no more (``registry/lot_work.py``): what is left of it then is refused, nothing half.

The answer is ``{"results": [{"outcome", ["rule", "message"]}, …], "counts": {…}}``, in the order of the items.
Source: reference "GS1 and serials" §2.2; states and transitions: ``core/lots.py``.
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from core import limits
from core.changes import ChangeKind
from core.clock import Millis, format_instant, parse_instant
from core.errors import NodeError, Outcome, SealError, StoreError
from core.ident.handle import HandleRules
from core.ident.unitcode import SERIAL_CHARS, UnitCodes
from core.lotkeys import codes_of_lot
from core.lots import GONE, GRADES, TRANSITIONS, Level, Packaging, UnitState
from core.party.readers import is_visible
from core.store.engine import Table
from core.store.hold_rows import HoldKind, hold_key
from core.store.lot_rows import (
    NO_PARENT,
    PACKED,
    LotEvent,
    LotRow,
    Tally,
    event_key,
    pack_event,
    pack_tally,
    unpack_tally,
)
from registry.commands import RecordEvents, Result
from registry.desk import Desk, told
from registry.event_batch import EventForm, split
from registry.lot_runs import Change, LotContents, LotRuns, Piece
from registry.lot_work import CHANGE_STEPS, LOOK_STEPS, Work, too_much
from registry.lots import key_refused, require_lot
from registry.refusals import refusal
from registry.staging import Staging

_STATES: Final = {state.value: state for state in UnitState}
_EVENTS: Final = tuple(name for name in (*_STATES, PACKED) if name != UnitState.ALLOCATED.value)


class _Item(NamedTuple):
    """One item, read: what happened to which indexes. ``parent``: index, NO_PARENT; None where it says nothing."""

    indexes: range
    event: str
    first_ms: Millis
    last_ms: Millis
    place: str
    grade: str
    parent: int | None

    def goes_on(self, other: _Item) -> bool:
        """Whether the other one says the same of what follows these indexes, and no earlier."""
        alike = (self.event, self.place, self.parent) == (other.event, other.place, other.parent)
        return alike and other.indexes.start == self.indexes.stop and other.first_ms >= self.last_ms


class _Ended(NamedTuple):
    """How an item ended."""

    outcome: str
    rule: str = ""
    message: str = ""


_ITEM: Final = msgspec.json.Decoder(EventForm)
_COMPARED: Final = 64  # indexes that are compared with what is inside, for one step of work
_OK: Final = _Ended("ok")
_UNCHANGED: Final = _Ended("unchanged")
_MIXED: Final = _Ended("")


def record_events(desk: Desk, command: RecordEvents) -> Result:
    """Run a batch. Bounds: BATCH_ITEMS_MAX."""
    lot, row = require_lot(desk, command.lot)
    if command.digest and not hmac.compare_digest(hashlib.sha256(command.body).digest(), command.digest):
        raise refusal("event-digest", Outcome.MALFORMED)
    forms = split(command.body, lines=command.lines)
    if desk.lot_keys is None:
        raise key_refused("lots.keys: 未指定密钥文件。No key file is named")
    try:
        codes = codes_of_lot(desk.lot_keys, lot, row)
    except SealError as error:
        raise key_refused(error.message) from None
    reader = _Reader(lot, row.packaging, codes, desk.rules, desk.now_ms)
    read = [reader.read(form) for form in forms]
    ended = _Book(desk, lot, row, codes).enter(read)
    counts = Counter(each.outcome for each in ended)
    results = [
        {"outcome": each.outcome} | ({"rule": each.rule, "message": each.message} if each.rule else {})
        for each in ended
    ]
    if counts[_OK.outcome]:
        desk.staging.change(ChangeKind.LOT_CHANGED, lot, desk.now_ms)
    return told(lot.decode(), Outcome.OK, {"lot": lot.decode(), "results": results, "counts": dict(counts)})


class _Reader:
    """Reads items of one lot."""

    def __init__(self, lot: bytes, packaging: Packaging, codes: UnitCodes, rules: HandleRules, now_ms: Millis) -> None:
        self._lot = lot
        self._packaging = packaging
        self._codes = codes
        self._rules = rules
        self._latest_ms = now_ms + limits.LOT_EVENT_FUTURE_MS

    def read(self, item: EventForm | bytes) -> _Item | _Ended:
        """Return an item, or what is wrong with it."""
        try:
            form = item if isinstance(item, EventForm) else _decoded(item)
            return self._item(form)
        except NodeError as error:
            return _refused(error)

    def _item(self, form: EventForm) -> _Item:
        if form.event not in _EVENTS:
            raise refusal("event-name", Outcome.INVALID_VALUE, choices=", ".join(_EVENTS))
        if form.grade not in ("", *GRADES):
            raise refusal("event-grade", Outcome.INVALID_VALUE, choices=", ".join(GRADES))
        if len(form.place) > limits.LOT_LINE_CHARS_MAX or not (not form.place or is_visible(form.place)):
            raise refusal("event-place", Outcome.INVALID_VALUE, chars=limits.LOT_LINE_CHARS_MAX)
        indexes = self._indexes(form)
        first_ms, last_ms = self._times(form)
        parent = self._parent(form, indexes)
        return _Item(indexes, form.event, first_ms, last_ms, form.place, form.grade, parent)

    def _indexes(self, form: EventForm) -> range:
        if form.identifier is not None:
            if form.start is not None or form.count is not None:
                raise refusal("event-which", Outcome.INVALID_VALUE)
            index = self._index(form.identifier)
            return range(index, index + 1)
        if form.start is None or form.count is None:
            raise refusal("event-which", Outcome.INVALID_VALUE)
        total = self._packaging.total
        if form.start < 0 or form.count < 1 or form.start > total - form.count:
            raise refusal("event-range", Outcome.INVALID_VALUE, start=form.start, size=form.count, total=total)
        span = self._packaging.span(self._packaging.level(form.start))
        if form.start + form.count > span.stop:  # a number too many must not close a case
            raise refusal("event-levels", Outcome.INVALID_VALUE, start=form.start, size=form.count, last=span.stop - 1)
        return range(form.start, form.start + form.count)

    def _index(self, identifier: str) -> int:
        """Return the index of a code of this lot. Errors: NodeError."""
        try:
            key = self._rules.key(identifier)
        except UnicodeEncodeError:
            raise refusal("event-unit", Outcome.NOT_ISSUED) from None
        index = self._codes.index(key[-SERIAL_CHARS:]) if key[:-SERIAL_CHARS] == self._lot else None
        if index is None or index >= self._packaging.total:
            raise refusal("event-unit", Outcome.NOT_ISSUED)
        return index

    def _times(self, form: EventForm) -> tuple[Millis, Millis]:
        first = parse_instant(form.time)
        last = first if form.until is None else parse_instant(form.until)
        if first is None or last is None:
            raise refusal("event-time", Outcome.INVALID_VALUE)
        if last < first:
            raise refusal("event-times", Outcome.INVALID_VALUE)
        if last > self._latest_ms:
            raise refusal("event-future", Outcome.INVALID_VALUE)
        return first, last

    def _parent(self, form: EventForm, indexes: range) -> int | None:
        if form.parent is None:
            if form.event == PACKED:
                raise refusal("event-packed", Outcome.INVALID_VALUE)
            return None
        if not form.parent:
            return NO_PARENT
        parent = self._index(form.parent)
        if self._packaging.level(indexes[0]) != self._packaging.level(parent) - 1:
            raise refusal("event-parent", Outcome.INVALID_VALUE)
        return parent


class _Book:
    """Enters the items of one batch into the rows of a lot."""

    def __init__(self, desk: Desk, lot: bytes, row: LotRow, codes: UnitCodes) -> None:
        self._staging = desk.staging
        self._now_ms = desk.now_ms
        self._lot = lot
        self._packaging = row.packaging
        self._created_ms = row.created_ms
        tally = unpack_tally(self._staging.get(Table.LOT_TALLIES, lot))
        self._events = tally.events
        self._states = {state: list(counts) for state, counts in tally.states.items()}
        self._held = sorted(_held_indexes(self._staging, lot, codes))
        self._work = Work()
        self._runs = LotRuns(self._staging, lot, self._work)
        self._contents = LotContents(self._staging, lot, self._work)
        self._inside: dict[int, set[int]] = {}  # what is in cases and on pallets that are almost full
        self._first: _Item | None = None
        self._ends = False  # no work is left

    def enter(self, items: Sequence[_Item | _Ended]) -> list[_Ended]:
        """Decide the items in order; return how each ended."""
        self._first = next((item for item in items if isinstance(item, _Item)), None)
        ended: list[_Ended] = []
        for group in _grouped(items):
            ended += [group] if isinstance(group, _Ended) else self._group(group)
        if _OK in ended:
            self._runs.write()
            self._contents.write()
            self._staging.put(Table.LOT_TALLIES, self._lot, pack_tally(self._tally()))
        return ended

    def _group(self, items: Sequence[_Item]) -> list[_Ended]:
        """Decide items that go on from one another as one; where they do not end alike, each half by itself."""
        if self._ends:
            return [_refused(too_much())] * len(items)
        if len(items) == 1:
            return [self._enter(items[0])]
        whole = items[0]._replace(
            indexes=range(items[0].indexes.start, items[-1].indexes.stop), last_ms=items[-1].last_ms,
            grade=max(item.grade for item in items),
        )  # fmt: skip
        ended = self._enter(whole, several=True)
        if ended is _OK or ended is _UNCHANGED:
            return [ended] * len(items)
        half = len(items) // 2
        return self._group(items[:half]) + self._group(items[half:])

    def _enter(self, item: _Item, *, several: bool = False) -> _Ended:
        """Decide one item: all of its indexes, or none.

        ``several``: it stands for some that are alike; _MIXED, and nothing done, where they do not end alike.
        """
        self._work.allow(first=item is self._first)
        try:
            pieces = self._looked_at(item, several=several)
            if pieces is None:
                return _MIXED
            self._check_room(pieces, item)
            self._contents.load({piece.parent for piece in pieces} | {item.parent})
        except StoreError:
            raise
        except NodeError as error:
            self._ends = error.ended is Outcome.TOO_LARGE and not several
            return _refused(error)
        if not pieces:
            return _UNCHANGED
        self._apply(pieces, item)
        for indexes in _spans(pieces):
            self._log(item, indexes)
        return _OK

    def _looked_at(self, item: _Item, *, several: bool) -> list[Piece] | None:
        """Return the pieces that an item changes, None for several that do not end alike. Errors: NodeError."""
        held = bisect_left(self._held, item.indexes.start)
        if held < len(self._held) and self._held[held] in item.indexes:
            raise refusal("unit-held", Outcome.HELD)
        self._runs.load(item.indexes)
        gone = self._gone(item.parent)
        self._work.foresee(self._runs.count(item.indexes) * (LOOK_STEPS + CHANGE_STEPS))
        changed: list[Piece] = []
        parents: set[int | None] = set()
        for seen, piece in enumerate(self._pieces(item), 1):
            self._work.spend(LOOK_STEPS)
            if not _is_so(piece, item, self._packaging):
                self._check(piece, item)
                if gone is not None and item.parent is not None and not _is_in(piece, item.parent, self._packaging):
                    raise refusal("event-parent-gone", Outcome.CONFLICT, state=gone.value)
                changed.append(piece)
                parents.add(self._parent(piece, item))
            if several and ((changed and len(changed) < seen) or (len(parents) > 1 and item.first_ms < item.last_ms)):
                return None
        return changed

    def _gone(self, parent: int | None) -> UnitState | None:
        """Return the state of what something is put in, if that is a final one."""
        if parent is None or parent == NO_PARENT:
            return None
        self._runs.load(range(parent, parent + 1))
        (piece,) = self._runs.pieces(range(parent, parent + 1))
        return piece.state if piece.state in GONE else None

    def _pieces(self, item: _Item) -> Iterator[Piece]:
        """Yield what the indexes of an item are made of, cut where those begin and end that are there by rule."""
        pieces = self._runs.pieces(item.indexes)
        if item.parent is None or item.parent == NO_PARENT:
            yield from pieces
            return
        by_rule = self._packaging.children(item.parent)
        for indexes, run in pieces:
            low, high = (max(indexes.start, min(at, indexes.stop)) for at in (by_rule.start, by_rule.stop))
            parts = range(indexes.start, low), range(low, high), range(high, indexes.stop)
            yield from (Piece(part, run) for part in parts if part)

    def _parent(self, piece: Piece, item: _Item) -> int | None:
        """Return what a piece is in from now on."""
        if item.parent is None:
            return piece.parent
        if item.parent != NO_PARENT and piece.indexes[0] in self._packaging.children(item.parent):
            return None
        return item.parent

    def _check(self, piece: Piece, item: _Item) -> None:
        """Errors: NodeError for what the units of a piece cannot become."""
        run = piece.run
        since_ms = self._created_ms if run is None else run.last_ms
        since = format_instant(since_ms)
        if item.event == PACKED:
            if piece.state in GONE:
                raise refusal("event-state", Outcome.CONFLICT, state=piece.state.value, event=PACKED)
            return
        state = _STATES[item.event]
        if piece.state is state:
            raise refusal("event-duplicate", Outcome.CONFLICT, state=state.value, since=since)
        if state not in TRANSITIONS[piece.state]:
            raise refusal("event-state", Outcome.CONFLICT, state=piece.state.value, event=item.event)
        if run is not None and run.state is not UnitState.ALLOCATED and item.first_ms < run.first_ms:
            raise refusal("event-order", Outcome.CONFLICT, state=piece.state.value, since=since)

    def _check_room(self, pieces: list[Piece], item: _Item) -> None:
        """Errors: NodeError where more is put into a case, or onto a pallet, than it may hold."""
        if item.parent is None or item.parent == NO_PARENT or not pieces:
            return
        by_rule = self._packaging.children(item.parent)
        new = sum(len(piece.indexes) for piece in pieces)
        if len(by_rule) + self._contents.size(item.parent) + new <= limits.LOT_PACKED_MAX:
            return  # some of these may have left
        if new <= limits.LOT_PACKED_MAX:
            inside = self._inside.get(item.parent)
            if inside is None:
                inside = self._inside[item.parent] = self._children(item.parent, by_rule)
            self._work.spend((new + len(inside)) // _COMPARED)
            new = sum(index not in inside for piece in pieces for index in piece.indexes) + len(inside)
        if new > limits.LOT_PACKED_MAX:
            raise refusal("event-full", Outcome.CONFLICT, packed=limits.LOT_PACKED_MAX)

    def _children(self, parent: int, by_rule: range) -> set[int]:
        """Return what is in a case or on a pallet: as ``run_reading.children_of()``, of what is not written yet."""
        found: set[int] = set()
        for indexes in (by_rule, *self._contents.ranges(parent)):
            if not indexes:
                continue
            self._runs.load(indexes)
            for piece in self._runs.pieces(indexes):
                self._work.spend(LOOK_STEPS)
                if piece.state not in GONE and piece.parent in (None, parent):
                    found.update(piece.indexes)
        return found

    def _apply(self, pieces: list[Piece], item: _Item) -> None:
        changes = []
        for piece in pieces:
            run, parent = piece.run, self._parent(piece, item)
            if item.event == PACKED:
                state = piece.state
                since = (self._created_ms, self._created_ms) if run is None else (run.first_ms, run.last_ms)
                place = "" if run is None else run.place
            else:
                state, since, place = _STATES[item.event], (item.first_ms, item.last_ms), item.place
            changes.append(Change(piece.indexes, state, since, place, parent))
            if self._inside:
                self._note_moved(piece, state, item.parent)
            if parent != piece.parent:
                self._contents.move(piece.indexes, piece.parent, parent)
            self._tell_counts(piece, state)
        self._runs.change(changes)
        self._work.spent += CHANGE_STEPS * len(changes)

    def _note_moved(self, piece: Piece, state: UnitState, into: int | None) -> None:
        """Keep what is known of what is inside. ``into``: what the item says."""
        indexes = piece.indexes
        if state in GONE or into is not None:
            for parent in self._were_in(piece):
                if len(indexes) == 1:
                    self._inside[parent].discard(indexes.start)
                elif parent != into or state in GONE:
                    del self._inside[parent]  # so that what this costs was paid when it was found out
        if into in self._inside and state not in GONE:
            self._inside[into].update(indexes)

    def _were_in(self, piece: Piece) -> list[int]:
        """Return those whose inside is known that a piece has been in."""
        if piece.parent is not None:
            return [piece.parent] if piece.parent in self._inside else []
        low, high = self._packaging.parent(piece.indexes[0]), self._packaging.parent(piece.indexes[-1])
        if low is None:
            return []
        last = self._packaging.total if high is None else high
        between = range(low, last + 1)
        if len(between) < len(self._inside):
            return [parent for parent in between if parent in self._inside]
        return [parent for parent in self._inside if parent in between]

    def _tell_counts(self, piece: Piece, state: UnitState) -> None:
        for level in Level:
            span = self._packaging.span(level)
            size = len(range(max(span.start, piece.indexes.start), min(span.stop, piece.indexes.stop)))
            if size:
                self._count(piece.state, level, -size)
                self._count(state, level, size)

    def _count(self, state: UnitState, level: Level, by: int) -> None:
        if state is not UnitState.ALLOCATED:
            self._states.setdefault(state, [0, 0, 0])[level] += by

    def _log(self, item: _Item, indexes: range) -> None:
        self._events += 1
        event = LotEvent(
            indexes.start, len(indexes), item.event, item.first_ms, item.last_ms, item.place, item.grade,
            item.parent, self._now_ms,
        )  # fmt: skip
        self._staging.put(Table.LOT_EVENTS, event_key(self._lot, self._events), pack_event(event))

    def _tally(self) -> Tally:
        return Tally(self._events, {state: (counts[0], counts[1], counts[2]) for state, counts in self._states.items()})


def _grouped(items: Sequence[_Item | _Ended]) -> Iterator[list[_Item] | _Ended]:
    """Yield the items in order, those that go on from one another together."""
    group: list[_Item] = []
    for item in items:
        if group and (isinstance(item, _Ended) or not group[-1].goes_on(item)):
            yield group
            group = []
        if isinstance(item, _Ended):
            yield item
        else:
            group.append(item)
    if group:
        yield group


def _spans(pieces: list[Piece]) -> Iterator[range]:
    """Yield the ranges that the pieces are without their bounds."""
    start, stop = pieces[0].indexes.start, pieces[0].indexes.stop
    for indexes, _ in pieces[1:]:
        if indexes.start != stop:
            yield range(start, stop)
            start = indexes.start
        stop = indexes.stop
    yield range(start, stop)


def _is_so(piece: Piece, item: _Item, packaging: Packaging) -> bool:
    """Whether the units of a piece are already what an item says, since when it says so."""
    if item.parent is not None and not _is_in(piece, item.parent, packaging):
        return False
    if item.event == PACKED:
        return True
    run = piece.run
    if run is None or run.state.value != item.event:
        return False
    return run.first_ms <= item.first_ms and item.last_ms <= run.last_ms


def _is_in(piece: Piece, parent: int, packaging: Packaging) -> bool:
    if piece.parent is not None or parent == NO_PARENT:
        return piece.parent == parent
    return piece.indexes[0] in packaging.children(parent)


def _held_indexes(staging: Staging, lot: bytes, codes: UnitCodes) -> set[int]:
    """Return the indexes of units that are on hold by themselves. Cost: reads them all; a lot has few."""
    if not staging.identifiers_held:
        return set()
    start = hold_key(HoldKind.IDENTIFIER, lot)
    found = {codes.index(key[len(start) :]) for key, _ in staging.scan(Table.HOLDS, start, start + b"\xff")}
    return {index for index in found if index is not None}


def _decoded(item: bytes) -> EventForm:
    try:
        return _ITEM.decode(item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(str(error)[:200]) from None


def _wrong(error: str) -> NodeError:
    return refusal("event-form", Outcome.INVALID_VALUE, error=error)


def _refused(error: NodeError) -> _Ended:
    return _Ended(error.ended.value, str(error.fields.get("rule", error.ended.value)), error.message)

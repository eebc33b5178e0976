"""Events of a lot in bulk: what happened to its units, cases and pallets, each item ending on its own and whole.

1. An item names one code, or a range of indexes. Neighbours that say the same are decided as one, and stored as one
   run; where they do not end alike, each half of them is. So a batch ends as its items do one by one.
2. A state that a unit has already since that time is ``unchanged``: whoever sends a batch again doubles nothing.
3. What is on hold is not changed.

The answer is ``{"results": [{"outcome", ["rule", "message"]}, …], "counts": {…}}``, in the order of the items.
Source: reference "GS1 and serials" §2.2; states and transitions: ``core/lots.py``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from core import limits
from core.changes import ChangeKind
from core.clock import Millis, format_instant, parse_instant
from core.errors import LimitError, NodeError, Outcome, SealError, StoreError
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
from core.store.run_reading import children_of
from core.wire.jsontext import parse
from registry.commands import RecordEvents, Result
from registry.desk import Desk, told
from registry.lot_runs import LotContents, LotRuns, Piece
from registry.lots import key_refused, require_lot
from registry.refusals import refusal
from registry.staging import Staging

_STATES: Final = {state.value: state for state in UnitState}
_EVENTS: Final = tuple(name for name in (*_STATES, PACKED) if name != UnitState.ALLOCATED.value)


_Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # a longer one would be told back


class EventForm(msgspec.Struct, forbid_unknown_fields=True, rename={"start": "from"}):
    """One item as it is sent: ``identifier``, or ``from`` and ``count``."""

    event: str
    time: str
    identifier: str | None = None
    start: _Number | None = None
    count: _Number | None = None
    until: str | None = None
    place: str = ""
    grade: str = ""
    parent: str | None = None


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
_ARRAY: Final = msgspec.json.Decoder(list[EventForm])
_OK: Final = _Ended("ok")
_UNCHANGED: Final = _Ended("unchanged")
_MIXED: Final = _Ended("")


def record_events(desk: Desk, command: RecordEvents) -> Result:
    """Run a batch. Bounds: BATCH_ITEMS_MAX."""
    lot, row = require_lot(desk, command.lot)
    if command.digest and not hmac.compare_digest(hashlib.sha256(command.body).digest(), command.digest):
        raise refusal("event-digest", Outcome.MALFORMED)
    forms = _split(command)
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


def _split(command: RecordEvents) -> Sequence[EventForm | bytes]:
    """Return the items: the lines, or an array read at once where all is right, else the octets of each."""
    items: Sequence[EventForm | bytes]
    if command.lines:
        items = [line for line in command.body.split(b"\n") if line.strip()]
    else:
        try:
            items = _ARRAY.decode(command.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            items = [bytes(item) for item in parse(command.body, list[msgspec.Raw])]
    if len(items) > limits.BATCH_ITEMS_MAX:
        raise LimitError(
            f"一批最多 {limits.BATCH_ITEMS_MAX} 个事件，此批有 {len(items)} 个。"
            f"A batch has at most {limits.BATCH_ITEMS_MAX} events, this has {len(items)}"
        )
    return items


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
        self._contents = LotContents(self._staging, lot)
        self._inside: dict[int, set[int]] = {}  # what is in cases and on pallets that are almost full

    def enter(self, items: Sequence[_Item | _Ended]) -> list[_Ended]:
        """Decide the items in order; return how each ended."""
        known = [item.indexes for item in items if isinstance(item, _Item)]
        if not known:
            return [item for item in items if isinstance(item, _Ended)]
        runs = LotRuns(self._staging, self._lot, known)
        ended: list[_Ended] = []
        for group in _grouped(items):
            ended += [group] if isinstance(group, _Ended) else self._group(runs, group)
        if _OK in ended:
            runs.write()
            self._contents.write()
            self._staging.put(Table.LOT_TALLIES, self._lot, pack_tally(self._tally()))
        return ended

    def _group(self, runs: LotRuns, items: Sequence[_Item]) -> list[_Ended]:
        """Decide items that go on from one another as one; where they do not end alike, each half by itself."""
        if len(items) == 1:
            return [self._enter(runs, items[0])]
        whole = items[0]._replace(
            indexes=range(items[0].indexes.start, items[-1].indexes.stop), last_ms=items[-1].last_ms,
            grade=max(item.grade for item in items),
        )  # fmt: skip
        ended = self._enter(runs, whole, several=True)
        if ended is _OK or ended is _UNCHANGED:
            return [ended] * len(items)
        half = len(items) // 2
        return self._group(runs, items[:half]) + self._group(runs, items[half:])

    def _enter(self, runs: LotRuns, item: _Item, *, several: bool = False) -> _Ended:
        """Decide one item: all of its indexes, or none.

        ``several``: it stands for some that are alike; _MIXED, and nothing done, where they do not end alike.
        """
        try:
            if any(index in item.indexes for index in self._held):
                raise refusal("unit-held", Outcome.HELD)
            pieces = self._pieces(runs, item)
            changed = [piece for piece in pieces if not _is_so(piece, item, self._packaging)]
            for piece in changed:
                self._check(piece, item)
            self._check_room(runs, changed, item)
        except StoreError:
            raise
        except NodeError as error:
            return _refused(error)
        if not changed:
            return _UNCHANGED
        parents = {self._parent(piece, item) for piece in changed}
        if several and (len(changed) < len(pieces) or (len(parents) > 1 and item.first_ms < item.last_ms)):
            return _MIXED
        for piece in changed:
            self._apply(runs, piece, item)
        for indexes in _spans(changed):
            self._log(item, indexes)
        return _OK

    def _pieces(self, runs: LotRuns, item: _Item) -> list[Piece]:
        """Return what the indexes of an item are made of, cut where those begin and end that are there by rule."""
        pieces = list(runs.pieces(item.indexes))
        if item.parent is None or item.parent == NO_PARENT:
            return pieces
        by_rule = self._packaging.children(item.parent)
        cut: list[Piece] = []
        for indexes, run in pieces:
            low, high = (max(indexes.start, min(at, indexes.stop)) for at in (by_rule.start, by_rule.stop))
            parts = range(indexes.start, low), range(low, high), range(high, indexes.stop)
            cut += [Piece(part, run) for part in parts if part]
        return cut

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

    def _check_room(self, runs: LotRuns, pieces: list[Piece], item: _Item) -> None:
        """Errors: NodeError where more is put into a case, or onto a pallet, than it may hold."""
        if item.parent is None or item.parent == NO_PARENT or not pieces:
            return
        by_rule = self._packaging.children(item.parent)
        new = sum(len(piece.indexes) for piece in pieces)
        if len(by_rule) + self._contents.size(item.parent) + new <= limits.LOT_PACKED_MAX:
            return  # some of these may have left
        inside = self._inside.get(item.parent)
        if inside is None:
            runs.write()
            self._contents.write()
            inside = self._inside[item.parent] = set(children_of(self._staging, self._lot, item.parent, by_rule))
        if len(inside.union(*(piece.indexes for piece in pieces))) > limits.LOT_PACKED_MAX:
            raise refusal("event-full", Outcome.CONFLICT, packed=limits.LOT_PACKED_MAX)

    def _apply(self, runs: LotRuns, piece: Piece, item: _Item) -> None:
        run, parent = piece.run, self._parent(piece, item)
        if item.event == PACKED:
            state = piece.state
            since = self._created_ms if run is None else run.first_ms, self._created_ms if run is None else run.last_ms
            place = "" if run is None else run.place
        else:
            state, since, place = _STATES[item.event], (item.first_ms, item.last_ms), item.place
        if parent != piece.parent:
            self._contents.move(piece.indexes, piece.parent, parent)
        runs.put(piece.indexes, state, since, place, parent)
        for case, inside in self._inside.items():
            if state in GONE or (item.parent is not None and item.parent != case):
                inside.difference_update(piece.indexes)
            elif item.parent == case:
                inside.update(piece.indexes)
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

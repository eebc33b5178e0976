"""What happened to each code of a run, and what may happen next. No file, no clock: facts in, facts out.

1. ``read`` decides about one line of the camera and changes nothing; ``apply`` changes, and takes the same facts
   when they are read from the run's file again: what a crash left is what the file says.
2. Time never runs back for a code. From one code to the next it may: a camera's clock is set, or was wrong once.
3. A line that comes again after a crash, with the same code, event and time, is what is there already: neither
   a fact nor an alarm. The same code at another time is a second bag with it.
4. A code that stands in a line that was refused was seen: there may be a bag with it. It is not returned as unused,
   but stays open, also after the end, until a line says what became of it.
5. Memory: 20 octets an index of the lot, whatever happens.

allocated → commissioned | scrapped | sampled | returned; commissioned → scrapped | sampled. A reject is scrapped.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from core import limits
from core.errors import StoreError
from node.line.camera import Reading, What
from node.line.codes import Codes
from node.line.facts import COMMISSIONED, LOOSE, RETURNED, SAMPLED, SCRAPPED, Alarm, End, Entry, Fact
from node.line.shape import Kind, Lot, Span, join
from node.line.sightings import serials_in


class State(IntEnum):
    """Where a code stands. OTHERS: it is not of this run."""

    OTHERS = 0
    ALLOCATED = 1
    COMMISSIONED = 2
    SCRAPPED = 3
    SAMPLED = 4
    RETURNED = 5


_AFTER: Final = {
    COMMISSIONED: (State.COMMISSIONED, (State.ALLOCATED,)),
    SCRAPPED: (State.SCRAPPED, (State.ALLOCATED, State.COMMISSIONED)),
    SAMPLED: (State.SAMPLED, (State.ALLOCATED, State.COMMISSIONED)),
    RETURNED: (State.RETURNED, (State.ALLOCATED,)),
}
_EQUAL: Final = [re.compile(b"%c%c*" % (state, state), re.DOTALL) for state in State]
_KINDS: Final = {What.BAG: Kind.UNIT, What.CASE: Kind.CASE, What.PALLET: Kind.PALLET}
_INNER: Final = {Kind.CASE: Kind.UNIT, Kind.PALLET: Kind.CASE}

ALARMS: Final = {
    "no-read": ("没有读到标识", "no code was read"),
    "malformed": ("无法读取的行", "a line that cannot be read"),
    "unknown": ("标识不属于本班次", "a code that is not of this run"),
    "kind": ("标识的种类不符", "a code of another kind"),
    "duplicate": ("重复标识", "a code that was there before"),
    "state": ("标识已报废、抽样或退回", "a code that is scrapped, sampled or returned"),
    "order": ("时间早于该标识的上一事件", "a time before that of the code's last event"),
    "future": ("时间在未来", "a time in the future"),
    "child": ("子项不是已确认的标识", "a child that is no confirmed code of this run"),
    "children": ("没有或过多子项", "no children, or too many"),
    "ended": ("班次已结束", "the run has ended"),
}
"""Why a line of the camera is not taken, in Chinese and English."""


class Tally:
    """The state of a run. ``alarms``: how many of each rule; ``last_ms``: of the newest fact."""

    def __init__(self, lot: Lot, codes: Codes, units: list[Span]) -> None:
        """``units``: the blocks of the run; the cases and pallets that begin in them belong to it, too."""
        self.lot = lot
        self.codes = codes
        self.spans = join([span for block in units for span in lot.owned(block)])
        self.last_ms = 0
        self.ended = False
        self.alarms: dict[str, int] = {}
        self._known: set[bytes] = set()
        self._states = bytearray(lot.size)
        self._seen = bytearray(lot.size)  # in a line that was refused
        self._loose = bytearray(lot.size)
        self._moved = bytearray(lot.size)  # what the node was told another parent of than that of the rule
        self._first = array("q", [0]) * lot.size
        self._later = array("q", [0]) * lot.size
        for span in self.spans:
            self._states[span.first : span.end] = bytes([State.ALLOCATED]) * span.size

    # --- what the camera says ---
    def read(self, reading: Reading, now_ms: int) -> Fact | str | None:
        """Return the fact that a line tells, None for what is known already, or the rule of an alarm."""
        if not reading.code:
            return "no-read"
        index = self.codes.find(reading.code)
        if index is None or self._states[index] == State.OTHERS:
            return "unknown"
        kind = self.lot.kind(index)
        if reading.what in _KINDS and _KINDS[reading.what] is not kind:
            return "kind"
        event = _event(reading)
        if self._is_known(index, reading.what, event, reading.at_ms):
            return None
        state = State(self._states[index])
        if state not in _AFTER[event][1] or (reading.what in _KINDS and state is not State.ALLOCATED):
            return "duplicate" if reading.what in _KINDS else "state"
        if self.ended and state is not State.ALLOCATED:  # what is open after the end was seen and refused
            return "ended"
        if reading.at_ms < (self._later[index] or self._first[index]):
            return "order"
        if reading.at_ms > now_ms + limits.LINE_FUTURE_MS:
            return "future"
        fact = Fact(event, Span(index, 1), reading.at_ms, reading.grade)
        return fact if event != COMMISSIONED or kind is Kind.UNIT else self._closed(fact, kind, reading.children)

    def _is_known(self, index: int, what: What, event: str, at_ms: int) -> bool:
        state, first, later = self._states[index], self._first[index], self._later[index]
        if what not in _KINDS:
            return state == _AFTER[event][0] and at_ms == (later or first)
        if event == SCRAPPED:
            return state == State.SCRAPPED and not later and at_ms == first
        return at_ms == first and (state == State.COMMISSIONED or later != 0)

    def _closed(self, fact: Fact, kind: Kind, listed: tuple[str, ...] | None) -> Fact | str:
        """Return the fact with its children, or the rule of an alarm."""
        if listed is None:
            children = list(self.loose(_INNER[kind]))
        else:
            found = [self.codes.find(code) for code in listed]
            if any(index is None or not self._may_be_child(index, kind) for index in found):
                return "child"
            children = join([Span(index, 1) for index in set(found) if index is not None])
        if not 0 < sum(span.size for span in children) <= limits.LINE_CHILDREN_MAX:
            return "children"
        rule = self.lot.children(fact.codes.first)
        by_rule = children == [rule] and not any(self._moved[rule.first : rule.end])
        return fact if by_rule else fact._replace(children=tuple(children))

    def _may_be_child(self, index: int, kind: Kind) -> bool:
        return self._states[index] == State.COMMISSIONED and self.lot.kind(index) is _INNER[kind]

    def alarm(self, rule: str, line: bytes, now_ms: int) -> Alarm | None:
        """Return the alarm of a line, None for a line that raised one already; a blank one is another bag each time."""
        text = line[: limits.LINE_ALARM_CHARS_MAX].decode("utf-8", "replace").rstrip("\r\n")
        alarm = Alarm(rule, now_ms, text, serials_in(line, self.lot.handle))
        return None if alarm.line.strip() and _mark(alarm) in self._known else alarm

    # --- what happened ---
    def apply(self, entry: Entry) -> None:
        """Enter what is on the disk. Errors: StoreError for what cannot have happened."""
        if isinstance(entry, End):
            self.ended = True
        elif isinstance(entry, Alarm):
            self.alarms[entry.rule] = self.alarms.get(entry.rule, 0) + 1
            if len(self._known) < limits.LINE_ALARMS_KEPT:
                self._known.add(_mark(entry))
            for serial in entry.seen:
                index = self.codes.find(self.lot.handle + serial)
                if index is not None:
                    self._seen[index] = 1
        elif entry.event == LOOSE:
            self._mark_loose(entry.codes, 0)
            self._moved[entry.codes.first : entry.codes.end] = b"\1" * entry.codes.size
        else:
            self._enter(entry)
        if not isinstance(entry, Alarm):
            self.last_ms = max(self.last_ms, entry.at_ms)

    def _enter(self, fact: Fact) -> None:
        state, before = _AFTER[fact.event]
        span = fact.codes
        there = self._states[span.first : span.end]
        if span.end > self.lot.size or not set(there) <= set(before):
            raise StoreError(
                f"班次记录中 {span.first} + {span.size} 的事件不可能发生。"
                f"The run's file says of codes {span.first} + {span.size} what cannot be: {fact.event}"
            )
        times = self._later if there[0] == State.COMMISSIONED else self._first
        self._states[span.first : span.end] = bytes([state]) * span.size
        times[span.first : span.end] = array("q", [fact.at_ms]) * span.size
        self._mark_loose(span, fact.event == COMMISSIONED)
        kind = self.lot.kind(span.first)
        if fact.event == COMMISSIONED and kind is not Kind.UNIT:
            for child in fact.children or (self.lot.children(span.first),):
                self._mark_loose(child, 0)
            for child in fact.children:
                self._moved[child.first : child.end] = b"\1" * child.size

    def _mark_loose(self, span: Span, loose: int) -> None:
        self._loose[span.first : span.end] = bytes([loose]) * span.size

    def loose(self, kind: Kind) -> Iterator[Span]:
        """Yield what was confirmed and is in no case, or no pallet, yet."""
        yield from _runs(self._loose, self.lot.space(kind), 1)

    def end(self, now_ms: int) -> list[Entry]:
        """Return what ends the run: what is loose, what was neither used nor seen and goes back, and the end."""
        at_ms = max(now_ms, self.last_ms)
        kinds = [inner for outer, inner in _INNER.items() if self.lot.space(outer).size]
        loose = [Fact(LOOSE, span, at_ms) for kind in kinds for span in self.loose(kind)]
        unused = [Fact(RETURNED, span, at_ms) for span in self.unused()]
        return [*loose, *unused, End(at_ms)]

    # --- what there is ---
    def unused(self) -> Iterator[Span]:
        """Yield the codes that nobody said anything of, and that the camera did not see."""
        return self._open(seen=0)

    def refused(self) -> Iterator[Span]:
        """Yield the codes that the camera saw in lines that were refused, and of which no other line was taken."""
        return self._open(seen=1)

    def _open(self, seen: int) -> Iterator[Span]:
        for span in self.those(State.ALLOCATED):
            yield from _runs(self._seen, span, seen)

    def those(self, state: State) -> Iterator[Span]:
        """Yield the codes in a state: units, cases, pallets, in the order of their indexes."""
        for kind in Kind:
            yield from _runs(self._states, self.lot.space(kind), state)

    def state(self, index: int) -> State:
        """Return where a code stands."""
        return State(self._states[index])

    def counts(self, kind: Kind) -> dict[str, int]:
        """Return how many codes of a kind are in each state; ``issued`` are all of them."""
        space = self.lot.space(kind)
        there = self._states[space.first : space.end]
        counts = {state.name.lower(): there.count(state) for state in State if state is not State.OTHERS}
        return {"issued": sum(counts.values())} | counts


def _event(reading: Reading) -> str:
    if reading.what is What.SAMPLE:
        return SAMPLED
    return SCRAPPED if reading.what is What.SCRAP or reading.reject or reading.grade == "F" else COMMISSIONED


def _mark(alarm: Alarm) -> bytes:
    return hashlib.blake2b(
        repr((alarm.rule, alarm.line, alarm.seen)).encode("utf-8", "replace"), digest_size=8
    ).digest()


def _runs(octets: bytearray, space: Span, value: int) -> Iterator[Span]:
    """Yield the spans of equal octets within a space. Cost: O(n) of C, and one step a span."""
    for match in _EQUAL[value].finditer(octets, space.first, space.end):
        yield Span(match.start(), match.end() - match.start())

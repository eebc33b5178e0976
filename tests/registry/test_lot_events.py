"""Events of a lot: a slow model that keeps every index by itself, against runs that are kept together.

A run knows since when the first and the last of its indexes are what they are, and not each of them. Where a time
lies between, the model takes either answer; it takes no other liberty.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import limits
from core.errors import LimitError, NodeError, Outcome
from core.lots import GONE, TRANSITIONS, Packaging, UnitState
from core.store.engine import Table
from core.store.fsck_lots import check_lots
from core.store.lot_rows import NO_PARENT, PACKED
from registry.commands import LiftHold, PlaceHold, RecordEvents
from registry.event_batch import split
from registry.lot_work import Work
from tests.kit.governance import NOW
from tests.kit.lot_desk import LOT, Found, LotDesk, at, counted

PACKAGING = Packaging(60, 7, 3)  # 60 units, 9 cases, 3 pallets
TOTAL = PACKAGING.total
CASES = list(PACKAGING.span(PACKAGING.level(60)))
PALLETS = list(PACKAGING.span(PACKAGING.level(TOTAL - 1)))
ROOM = 9  # that a case or pallet may hold in these tests
EVENTS = [state.value for state in UnitState if state is not UnitState.ALLOCATED]
DESK = LotDesk(PACKAGING)


@dataclass
class Item:
    """One item: indexes from ``start``, so many; ``parent``: an index, NO_PARENT, or None for nothing said."""

    event: str
    start: int
    size: int
    time: int
    until: int
    place: str
    parent: int | None
    code: bool

    @property
    def indexes(self) -> range:
        return range(self.start, self.start + self.size)

    def sent(self) -> dict[str, object]:
        """Return it as JSON has it."""
        sent: dict[str, object] = {"event": self.event, "time": at(self.time)}
        if self.code:
            sent["identifier"] = DESK.name(self.start)
        else:
            sent |= {"from": self.start, "count": self.size}
        if self.until != self.time:
            sent["until"] = at(self.until)
        if self.place:
            sent["place"] = self.place
        if self.parent is not None:
            sent["parent"] = "" if self.parent == NO_PARENT else DESK.name(self.parent)
        return sent


@st.composite
def an_item(draw: st.DrawFn, low: int = 0, high: int = TOTAL) -> Item:
    """Make an item that may well be refused, though not for its form."""
    event = draw(st.sampled_from([*EVENTS, "commissioned", "encoded", "commissioned", PACKED, PACKED]))
    start = draw(st.integers(low, high - 1))
    level = PACKAGING.level(start)
    code = draw(st.booleans())
    span = PACKAGING.span(level)
    size = 1 if code else draw(st.integers(1, min(12, span.stop - start)))
    above: list[int | None] = [NO_PARENT]
    if PACKAGING.level(start + size - 1) == level and level.value < 2:
        above += CASES if level.value == 0 else PALLETS
    parent = draw(st.sampled_from(above)) if event == PACKED or draw(st.integers(0, 4)) == 0 else None
    time = draw(st.integers(0, 12))
    until = time if code or draw(st.booleans()) else time + draw(st.integers(0, 5))
    return Item(event, start, size, time, until, draw(st.sampled_from(["", "", "L4"])), parent, code)


@st.composite
def neighbours(draw: st.DrawFn) -> list[Item]:
    """Make codes in the order of their indexes that mostly say the same: what is decided as one."""
    first = draw(an_item(0, 50))
    items = []
    time, low = first.time, 0
    for index in range(first.start, min(first.start + draw(st.integers(2, 12)), 60)):
        if draw(st.integers(0, 9)):
            time += draw(st.sampled_from([0, 0, 1, 1, -1]))
            time = max(time, low)
            parent = first.parent if first.parent is None or first.parent in (NO_PARENT, *CASES) else None
            items.append(Item(first.event, index, 1, time, time, first.place, parent, code=True))
    return items if first.event != PACKED or first.parent is not None else []


BATCH = st.lists(st.one_of(an_item().map(lambda item: [item]), neighbours()), max_size=6).map(
    lambda parts: [item for part in parts for item in part]
)


@dataclass
class Unit:
    """One index of the model. ``first``, ``last``: what was said of when; ``put``: what it was put in, None by rule."""

    state: UnitState = UnitState.ALLOCATED
    first: int = 0
    last: int = 0
    place: str = ""
    put: int | None = None
    history: list[str] = field(default_factory=list)


class Model:
    """What is true of each index by itself."""

    def __init__(self) -> None:
        self.units = [Unit() for _ in range(TOTAL)]

    def parent(self, index: int) -> int | None:
        put = self.units[index].put
        return PACKAGING.parent(index) if put is None else None if put == NO_PARENT else put

    def inside(self, parent: int) -> set[int]:
        return {
            index
            for index in range(TOTAL)
            if self.parent(index) == parent and self.units[index].state not in GONE
        }  # fmt: skip

    def verdicts(self, index: int, item: Item) -> set[str]:
        """Return how one index may end."""
        unit = self.units[index]
        if item.parent is None:
            is_in = True
        elif item.parent == NO_PARENT:
            is_in = unit.put == NO_PARENT
        else:
            is_in = self.parent(index) == item.parent
        if item.event == PACKED:
            return {"unchanged"} if is_in else {"event-state"} if unit.state in GONE else {self.put(item, is_in)}
        state = UnitState(item.event)
        if unit.state is state:
            if is_in and unit.first <= item.time and item.until <= unit.last:
                return {"unchanged"}
            return {"unchanged", "event-duplicate"} if is_in else {"event-duplicate"}
        if state not in TRANSITIONS[unit.state]:
            return {"event-state"}
        late = unit.state is not UnitState.ALLOCATED and item.time < unit.first
        return {self.put(item, is_in), "event-order"} if late else {self.put(item, is_in)}

    def put(self, item: Item, is_in: bool) -> str:
        """Return how it ends that something is put where an item says."""
        if is_in or item.parent is None or item.parent == NO_PARENT:
            return "ok"
        return "event-parent-gone" if self.units[item.parent].state in GONE else "ok"

    def check(self, item: Item, ended: str) -> None:
        """See that an item may end so."""
        each = [self.verdicts(index, item) for index in item.indexes]
        if ended == "unchanged":
            assert all("unchanged" in verdicts for verdicts in each), (item, each)
            return
        if ended in ("ok", "event-full"):
            assert all(verdicts & {"ok", "unchanged"} for verdicts in each), (item, each)
            changed = {index for index, verdicts in zip(item.indexes, each, strict=True) if "ok" in verdicts}
            assert changed
            if item.parent is not None and item.parent != NO_PARENT:
                full = len(self.inside(item.parent) | changed) > ROOM
                assert full == (ended == "event-full"), (item, self.inside(item.parent))
            else:
                assert ended == "ok"
            return
        place = next(at for at, verdicts in enumerate(each) if ended in verdicts)
        assert all(verdicts & {"ok", "unchanged"} for verdicts in each[:place]), (item, ended, each)
        assert not all(verdicts <= {"ok", "unchanged"} for verdicts in each)

    def apply(self, item: Item, ended: str) -> None:
        """Do what was decided."""
        self.check(item, ended)
        if ended != "ok":
            return
        changed = [index for index in item.indexes if "ok" in self.verdicts(index, item)]
        for index in changed:
            unit = self.units[index]
            unit.history.append(item.event)
            if item.event != PACKED:
                unit.state, unit.first, unit.last = UnitState(item.event), item.time, item.until
                unit.place = item.place
            if item.parent is not None:
                unit.put = None if item.parent == PACKAGING.parent(index) else item.parent

    def found(self) -> list[Found]:
        return [
            Found(unit.state, self.parent(index), tuple(sorted(self.inside(index))))
            for index, unit in enumerate(self.units)
        ]

    def compare(self, desk: LotDesk) -> None:
        """See that the node has the same of every index, and the same counts."""
        assert desk.found() == self.found()
        assert desk.tally() == counted(self.found(), PACKAGING)
        for unit, times, place in zip(self.units, desk.times(), desk.places(), strict=True):
            if unit.state is UnitState.ALLOCATED:
                continue
            assert times is not None
            assert times[0] <= NOW + unit.first * 1_000 <= NOW + unit.last * 1_000 <= times[1]
            assert place == unit.place
        histories: list[list[str]] = [[] for _ in range(TOTAL)]
        for event in desk.events():
            for index in range(event.start, event.start + event.size):
                histories[index].append(event.event)
        assert histories == [unit.history for unit in self.units]
        desk.runs()


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    with (
        mock.patch.object(limits, "LOT_PACKED_MAX", ROOM),
        mock.patch("registry.lot_runs._AHEAD", 0),
    ):
        yield


def state_of(desk: LotDesk) -> object:
    """Return all that is true of a lot: of every index state, parents, times, place, history; the counts."""
    histories = [
        [(event.event, event.parent) for event in desk.events() if event.start <= index < event.start + event.size]
        for index in range(TOTAL)
    ]
    desk.runs()
    return desk.found(), desk.tally(), desk.times(), desk.places(), histories


@settings(max_examples=200)
@given(st.lists(BATCH, min_size=1, max_size=3))
def test_batches_end_as_the_model_says(batches: list[list[Item]]) -> None:
    """Each item its outcome and its rule, and every index what came of it."""
    desk, model = DESK.fork(), Model()
    for batch in batches:
        for item, ended in zip(batch, desk.rules(*(item.sent() for item in batch)), strict=True):
            model.apply(item, ended)
        model.compare(desk)


@settings(max_examples=200)
@given(BATCH, st.lists(an_item(), max_size=4), st.data())
def test_a_batch_is_its_items_one_by_one(batch: list[Item], before: list[Item], data: st.DataObject) -> None:
    """However it is cut: the same outcomes, states, times, parents, counts and histories."""
    begun = DESK.fork()
    begun.send(*(item.sent() for item in before))
    whole, single, halves = begun.fork(), begun.fork(), begun.fork()
    sent = [item.sent() for item in batch]
    ended = whole.send(*sent)
    assert [single.send(item)[0] for item in sent] == ended
    cut = data.draw(st.integers(0, len(sent)))
    assert halves.send(*sent[:cut]) + halves.send(*sent[cut:]) == ended
    assert state_of(whole) == state_of(single) == state_of(halves)


@settings(max_examples=100)
@given(BATCH, st.lists(an_item(), max_size=4))
def test_a_batch_that_comes_again_changes_nothing(batch: list[Item], before: list[Item]) -> None:
    """Of what was done the first time: whole, in part or twice; nothing is doubled where a code is named once."""
    desk = DESK.fork()
    desk.send(*(item.sent() for item in before))
    named: set[int] = set()
    once = []
    for item, ended in zip(batch, desk.fork().rules(*(item.sent() for item in batch)), strict=True):
        if ended in ("ok", "unchanged") and not named & set(item.indexes):
            named |= set(item.indexes)
            once.append(item.sent())
    first = desk.rules(*once)
    once = [item for item, ended in zip(once, first, strict=True) if ended in ("ok", "unchanged")]
    after = state_of(desk)
    for again in (once, once[: len(once) // 2], once * 2):
        assert set(desk.rules(*again)) <= {"unchanged"}
        assert state_of(desk) == after


# --- single cases -----------------------------------------------------------


def event(name: str, index: int, time: float = 1, **more: object) -> dict[str, object]:
    return {"event": name, "identifier": DESK.name(index), "time": at(time)} | more


def ranged(name: str, start: int, size: int, time: float = 1, **more: object) -> dict[str, object]:
    return {"event": name, "from": start, "count": size, "time": at(time)} | more


@pytest.fixture
def desk() -> LotDesk:
    return DESK.fork()


def test_the_life_of_a_unit(desk: LotDesk) -> None:
    """Each state from the one before; a final one ends it."""
    assert desk.rules(
        event("encoded", 0, 1), event("commissioned", 0, 2), event("inactive", 0, 3), event("commissioned", 0, 4),
        event("destroyed", 0, 5), event("commissioned", 0, 6), event("packed", 0, 7, parent=desk.name(CASES[3])),
    ) == ["ok", "ok", "ok", "ok", "ok", "event-state", "event-state"]  # fmt: skip
    assert desk.found()[0].state is UnitState.DESTROYED


def test_one_code_twice_is_told_and_the_first_one_stays(desk: LotDesk) -> None:
    assert desk.rules(event("commissioned", 0, 1), event("commissioned", 0, 1)) == ["ok", "unchanged"]
    (ended,) = desk.send(event("commissioned", 0, 5))
    assert (ended["outcome"], ended["rule"]) == ("conflict", "event-duplicate")
    assert at(1) in ended["message"]
    assert len(desk.events()) == 1


def test_a_range_is_whole_or_nothing(desk: LotDesk) -> None:
    """One scrapped unit in it refuses all of it; ranges that overlap each end on their own."""
    assert desk.rules(event("scrapped", 5)) == ["ok"]
    before = desk.found()
    assert desk.rules(ranged("commissioned", 0, 10, 2)) == ["event-state"]
    assert desk.found() == before
    overlapping = ranged("commissioned", 6, 10, 2), ranged("commissioned", 10, 10, 2), ranged("commissioned", 12, 9, 3)
    assert desk.rules(*overlapping) == ["ok", "ok", "event-duplicate"]
    assert desk.tally()["unit"] == {"allocated": 45, "scrapped": 1, "commissioned": 14}
    assert [event.size for event in desk.events()] == [1, 10, 4]  # what was so already is not entered again


def test_cases_and_pallets_have_states_too(desk: LotDesk) -> None:
    """A range is of one level: a number too many closes no case."""
    assert desk.rules(ranged("commissioned", 55, 10)) == ["event-levels"]
    assert desk.rules(ranged("commissioned", 55, 5), ranged("commissioned", 60, 5)) == ["ok", "ok"]
    assert desk.tally() == {
        "unit": {"allocated": 55, "commissioned": 5}, "case": {"allocated": 4, "commissioned": 5},
        "pallet": {"allocated": 3},
    }  # fmt: skip


def test_what_is_packed_as_the_rule_has_it_is_nothing_new(desk: LotDesk) -> None:
    assert desk.rules(ranged("packed", 0, 7, parent=desk.name(CASES[0]))) == ["unchanged"]
    assert (desk.runs(), desk.events()) == ([], [])


def test_an_event_of_before_the_lot_was_registered_is_taken(desk: LotDesk) -> None:
    """A line may have printed while the node was away; also of what was packed already."""
    packed = event("packed", 0, 9, parent=desk.name(CASES[3]))
    assert desk.rules(packed, event("commissioned", 0, -86_400)) == ["ok", "ok"]


def test_a_full_case_takes_one_as_soon_as_one_is_out(desk: LotDesk) -> None:
    """In one batch as in two; what was scrapped takes no room."""
    case = desk.name(CASES[0])
    one_by_one = [event("packed", 7 + each, parent=case) for each in range(3)]
    assert desk.fork().rules(*one_by_one) == ["ok", "ok", "event-full"]
    assert desk.fork().rules(ranged("packed", 7, 3, parent=case)) == ["event-full"]
    for leaving in (
        event("packed", 0, parent=""),
        event("scrapped", 0),
        event("packed", 0, parent=desk.name(CASES[5])),
    ):
        other = desk.fork()
        assert other.rules(*one_by_one[:2], leaving, one_by_one[2], event("packed", 10, parent=case)) == [
            "ok", "ok", "ok", "ok", "event-full",
        ]  # fmt: skip
        assert len(other.found()[CASES[0]].children) == ROOM


def test_a_parent_is_one_level_above(desk: LotDesk) -> None:
    unit, case, pallet = 0, CASES[0], PALLETS[0]
    wrong = [(unit, pallet), (unit, unit), (unit, 1), (case, case), (case, unit), (pallet, pallet), (pallet, case)]
    for index, parent in wrong:
        assert desk.rules(event("packed", index, parent=desk.name(parent))) == ["event-parent"]
    assert desk.rules(ranged("packed", 58, 4, parent=desk.name(CASES[0]))) == ["event-levels"]
    assert desk.rules(event("packed", unit)) == ["event-packed"]
    assert desk.rules(event("commissioned", unit, parent=LOT + "2222222222")) == ["event-unit"]


def test_what_is_on_hold_is_not_changed(desk: LotDesk) -> None:
    """One unit of a range, and of a group of codes: that one alone."""
    desk.office.do(PlaceHold(desk.name(3), "1", "because"))
    codes = [event("commissioned", index) for index in range(6)]
    assert desk.fork().rules(*codes) == ["ok", "ok", "ok", "unit-held", "ok", "ok"]
    assert desk.rules(ranged("commissioned", 0, 6), ranged("commissioned", 4, 2)) == ["unit-held", "ok"]
    desk.office.do(LiftHold(desk.name(3), "1"))
    assert desk.rules(ranged("commissioned", 0, 6)) == ["ok"]


def test_a_dry_run_writes_nothing(desk: LotDesk) -> None:
    before = desk.office.dump()
    body = json.dumps([event("commissioned", 0)]).encode()
    (result,) = desk.office.run(RecordEvents(LOT, body, lines=False), dry_run=True)
    assert json.loads(result.body)["counts"] == {"ok": 1}
    assert desk.office.dump() == before


def test_neighbours_know_their_times_however_they_came(desk: LotDesk) -> None:
    """Two codes before one that is there: only what goes on from the last of them is one run with it."""
    desk.send(event("commissioned", 2, 3))
    single = desk.fork()
    items = [event("commissioned", 0, 0), event("commissioned", 1, 5)]
    desk.send(*items)
    for item in items:
        single.send(item)
    assert desk.times() == single.times()
    assert desk.times()[2] == (NOW + 3_000, NOW + 3_000)


# --- how much work a batch may make -----------------------------------------


def striped(runs: int) -> LotDesk:
    """Return a lot of so many runs: every second unit out of its case."""
    desk = LotDesk(Packaging(2_000, 10))
    desk.send(ranged("commissioned", 0, 2_000))
    desk.send(*(ranged("packed", 2 * each, 1, parent="") for each in range(runs // 2)))
    return desk


def counted_work(desk: LotDesk, *items: object) -> tuple[list[str], int]:
    """Return how the items end, and how many steps that took."""
    made: list[Work] = []

    class Counted(Work):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    with mock.patch("registry.lot_events.Work", Counted):
        ended = desk.rules(*items)
    return ended, made[0].spent


def test_a_batch_ends_where_its_work_is_used_up() -> None:
    """What came before is done, what comes after is not, nothing is done by half; the first event has more room."""
    desk = striped(400)
    flips = [ranged(("inactive", "commissioned")[each % 2], 0, 2_000, 2 + each) for each in range(40)]
    with mock.patch.object(limits, "LOT_BATCH_STEPS", 20_000):
        assert desk.fork().send(*flips)[-1]["outcome"] == "too-large"
        ended, spent = counted_work(desk, *flips)
        done = ended.count("ok")
        assert 1 < done < 10
        assert ended == ["ok"] * done + ["batch-work"] * (40 - done)
        assert spent <= 20_000
        states = {state for state, count in desk.tally()["unit"].items() if count}
        assert states == {("commissioned", "inactive")[done % 2]}
        rest = desk.rules(*flips[done:])
        assert rest[0] == "ok"
    again = striped(400)
    with mock.patch.object(limits, "LOT_BATCH_STEPS", 100):
        assert again.rules(*flips[:3]) == ["ok", "batch-work", "batch-work"]
        with mock.patch.object(limits, "LOT_EVENT_STEPS", 3_000):
            before = again.office.dump(Table.JOURNAL, Table.META)
            assert again.rules(*flips[1:3]) == ["batch-work", "batch-work"]
            assert again.office.dump(Table.JOURNAL, Table.META) == before
            assert again.rules(ranged("commissioned", 0, 100, 9)) == ["ok"]


def test_neighbours_are_done_as_far_as_the_work_goes() -> None:
    """Ranges that go on from one another are decided as one, and still each ends on its own."""
    desk = striped(2_000)
    with mock.patch.object(limits, "LOT_BATCH_STEPS", 9_000):
        ended, spent = counted_work(desk, *(ranged("inactive", 100 * each, 100, 2) for each in range(20)))
    done = ended.count("ok")
    assert 2 < done < 20
    assert ended == ["ok"] * done + ["batch-work"] * (20 - done)
    assert spent <= 9_000
    assert desk.tally()["unit"] == {"commissioned": 2_000 - 100 * done, "inactive": 100 * done}


def test_an_event_costs_what_it_touches_and_not_the_lot() -> None:
    """Nor what else was in the batch: cases that are almost full, events at both ends."""
    few, many = striped(20), striped(2_000)
    ends = ranged("inactive", 0, 1, 2), ranged("inactive", 1_999, 1, 2)
    assert counted_work(many, *ends)[1] <= counted_work(few, *ends)[1] + 100
    with mock.patch.object(limits, "LOT_PACKED_MAX", 10):
        desk = LotDesk(Packaging(2_000, 10))
        out = [ranged("packed", 10 * each, 1, parent="") for each in range(199)]
        into = [ranged("packed", 10 * each, 1, parent=desk.name(2_001 + each)) for each in range(198)]
        flips = [ranged(("commissioned", "inactive")[each % 2], 0, 2_000, 2 + each, parent="") for each in range(9)]
        _, before = counted_work(desk.fork(), *out, *into)
        ended, spent = counted_work(desk, *out, *into, *flips)
        assert set(ended) == {"ok"}
        assert (spent - before) / len(flips) < 10_000  # of 400 runs
        assert list(check_lots_of(desk)) == []


def check_lots_of(desk: LotDesk) -> list[str]:
    with desk.office.store.snapshot() as snapshot:
        return list(check_lots(snapshot))


def test_an_honest_batch_is_far_from_its_bound() -> None:
    """10 000 codes at random on a lot with some thousands of runs, and a whole shift as ranges."""
    desk = LotDesk(Packaging(100_000, 50, 40))
    shift = [ranged("commissioned", 0, 100_000, 1), ranged("commissioned", 100_000, 2_000, 2)]
    codes = random.Random(5).sample(range(100_000), 15_000)
    assert counted_work(desk, *shift)[1] < 100
    desk.send(*(ranged("scrapped", index, 1, 2) for index in codes[:5_000]))
    ended, spent = counted_work(desk, *(ranged("inactive", index, 1, 3) for index in codes[5_000:]))
    assert set(ended) == {"ok"}
    assert spent < limits.LOT_BATCH_STEPS * 2 // 3


def test_nothing_is_put_into_what_is_gone(desk: LotDesk) -> None:
    """What is in it already stays, however it came there, and may be told again."""
    case, pallet = desk.name(CASES[3]), desk.name(PALLETS[0])
    assert desk.rules(event("packed", 0, parent=case), event("scrapped", CASES[3], 2)) == ["ok", "ok"]
    assert desk.rules(
        event("packed", 1, 3, parent=case), event("commissioned", 2, 3, parent=case),
        event("packed", 0, 3, parent=case), event("commissioned", 0, 3, parent=case),
        event("commissioned", 21, 3, parent=case),
        ranged("packed", 20, 3, 3, parent=case),
    ) == ["event-parent-gone", "event-parent-gone", "unchanged", "ok", "ok", "event-parent-gone"]  # fmt: skip
    assert desk.rules(event("destroyed", PALLETS[0])) == ["event-state"]
    assert desk.rules(event("returned", PALLETS[0]), event("packed", CASES[4], parent=pallet)) == [
        "ok", "event-parent-gone",
    ]  # fmt: skip
    (told,) = desk.send(event("packed", 1, 3, parent=case))
    assert told["outcome"] == "conflict"
    assert "scrapped" in told["message"]


@pytest.mark.parametrize(
    ("item", "between", "lines"),
    [(b"1", b",", False), (b"{}", b",", False), (b'"a,\\",[b"', b" , ", False), (b'[1,{"a":[2,3]}]', b",", False),
     (b'{"event":"{,"}', b",", False), (b"{}", b"\n", True), (b"x", b"\r\n\n \n", True)],
)  # fmt: skip
def test_a_batch_of_too_many_is_refused_before_its_items_are_made(item: bytes, between: bytes, lines: bool) -> None:
    """Exactly so many are taken, whatever is in them."""

    def body(items: int) -> bytes:
        inner = between.join([item] * items)
        return inner if lines else b"[" + inner + b"]"

    with mock.patch.object(limits, "BATCH_ITEMS_MAX", 7):
        assert list(split(body(7), lines=lines)) == [
            item + b"\r" * (between[:1] == b"\r" and at < 6) for at in range(7)
        ]
        with mock.patch("registry.event_batch.parse", side_effect=AssertionError), pytest.raises(LimitError):
            split(body(8), lines=lines)


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[1", b"[1,", b"]" * 99, b"[]]", b'["', b'["\\', b'["' + b'\\"' * 99, b"[" * 99, b"{}", b"1,1"]
)
def test_what_is_no_array_is_told_so(body: bytes) -> None:
    with mock.patch.object(limits, "BATCH_ITEMS_MAX", 7), pytest.raises(NodeError) as caught:
        split(body, lines=False)
    assert caught.value.ended in (Outcome.MALFORMED, Outcome.TOO_LARGE)

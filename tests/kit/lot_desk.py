"""A lot at a registrar in memory: its codes, what is sent about them, and what became of each index."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from core.clock import Millis, format_instant
from core.ident.unitcode import UnitCodes, derive_lot_key
from core.lots import Level, Packaging, UnitState
from core.store.engine import Table
from core.store.fsck_lots import check_lots
from core.store.lot_rows import NO_PARENT, index_in, lot_range, unpack_event, unpack_lot, unpack_run, unpack_tally
from core.store.run_reading import children_of, run_at
from registry.commands import CreateLot, RecordEvents, TakeBlock
from tests.kit.governance import LOT_RING, NOW, OWN, Office

LOT = f"{OWN}/L1"
KEY = LOT.encode()
PRODUCT = f"{OWN}/SKU01"


class Found(NamedTuple):
    """What is true of one index. ``parent``: the index of what it is in, by rule or not; None for nothing."""

    state: UnitState
    parent: int | None
    children: tuple[int, ...]


def lot_form(**members: object) -> bytes:
    """Return the form of a lot."""
    return json.dumps({"lot": LOT, "product": PRODUCT, "count": 60} | members).encode()


def codes(name: str = LOT) -> UnitCodes:
    """Return the serials of a lot."""
    prefix, _, code = name.encode().partition(b"/")
    return UnitCodes(derive_lot_key(LOT_RING.keys[1], prefix, code, 1))


def at(seconds: float) -> str:
    """Return a time, so long after the node was made; before that, where it is less than nothing."""
    return format_instant(NOW + int(seconds * 1_000))


class LotDesk:
    """An office with one lot."""

    def __init__(self, packaging: Packaging, office: Office | None = None) -> None:
        self.office = Office() if office is None else office
        self.packaging = packaging
        self.codes = codes()
        if office is None:
            self.office.do(CreateLot(lot_form(**members_of(packaging))))
            self.office.now = Millis(NOW + 86_400_000)

    def fork(self) -> LotDesk:
        """Return another one that begins with what this one has."""
        return LotDesk(self.packaging, self.office.fork())

    def name(self, index: int) -> str:
        """Return the handle of an index."""
        return LOT + self.codes.serial(index).decode()

    def send(self, *items: object, **given: Any) -> list[dict[str, str]]:
        """Send one batch; return how each item ended."""
        told = self.office.do(RecordEvents(LOT, json.dumps(items).encode(), lines=False, **given))
        counts: dict[str, int] = {}
        for each in told["results"]:
            counts[each["outcome"]] = counts.get(each["outcome"], 0) + 1
        assert told["counts"] == counts
        assert len(told["results"]) == len(items)
        return [each | {"rule": each.get("rule", "")} for each in told["results"]]

    def rules(self, *items: object) -> list[str]:
        """Send one batch; return the outcome of each item, or the rule that refused it."""
        return [each["rule"] or each["outcome"] for each in self.send(*items)]

    def take(self, line: str, size: int, start: int = -1, token: str = "") -> Any:
        """Ask for a block; return the rule that refused it, or what was given."""
        result = self.office.ask(TakeBlock(LOT, line, size, start, token))
        return json.loads(result.body) if result.done else result.rule

    def found(self) -> list[Found]:
        """Return what is true of every index, as the node reads it."""
        with self.office.store.snapshot() as snapshot:
            rows = [run_at(snapshot, KEY, index) for index in range(self.packaging.total)]
            inside = [
                tuple(children_of(snapshot, KEY, index, self.packaging.children(index)))
                for index in range(self.packaging.total)
            ]
        found = []
        for index, run in enumerate(rows):
            parent = self.packaging.parent(index) if run is None or run.parent is None else run.parent
            state = UnitState.ALLOCATED if run is None else run.state
            found.append(Found(state, None if parent == NO_PARENT else parent, inside[index]))
        return found

    def times(self) -> list[tuple[int, int] | None]:
        """Return since when each index is what it is: the bounds that the node knows."""
        with self.office.store.snapshot() as snapshot:
            rows = [run_at(snapshot, KEY, index) for index in range(self.packaging.total)]
        return [None if run is None else (run.first_ms, run.last_ms) for run in rows]

    def places(self) -> list[str]:
        """Return where each index came into its state."""
        with self.office.store.snapshot() as snapshot:
            rows = [run_at(snapshot, KEY, index) for index in range(self.packaging.total)]
        return ["" if run is None else run.place for run in rows]

    def tally(self) -> dict[str, dict[str, int]]:
        """Return how many of each level are in each state, as the node counts them."""
        with self.office.store.snapshot() as snapshot:
            row = snapshot.get(Table.LOTS, KEY)
            assert row is not None
            packaging = unpack_lot(row).packaging
            tally = unpack_tally(snapshot.get(Table.LOT_TALLIES, KEY))
        counts = {UnitState.ALLOCATED: tally.allocated(packaging)} | dict(tally.states)
        return {
            level.word: {state.value: each[level] for state, each in counts.items() if each[level]} for level in Level
        }

    def runs(self) -> list[tuple[int, Any]]:
        """Return the stored runs; none overlaps another or goes beyond the lot, and fsck finds no fault in any row."""
        with self.office.store.snapshot() as snapshot:
            rows = [(index_in(key), unpack_run(row)) for key, row in snapshot.scan(Table.LOT_RUNS, *lot_range(KEY))]
            assert list(check_lots(snapshot)) == []
        at_ = 0
        for start, run in rows:
            assert at_ <= start < run.stop <= self.packaging.total
            assert run.first_ms <= run.last_ms
            at_ = run.stop
        return rows

    def events(self) -> list[Any]:
        """Return the stored events, numbered without a gap."""
        with self.office.store.snapshot() as snapshot:
            rows = list(snapshot.scan(Table.LOT_EVENTS, *lot_range(KEY)))
            last = unpack_tally(snapshot.get(Table.LOT_TALLIES, KEY)).events
        assert [int.from_bytes(key[-8:], "big") for key, _ in rows] == list(range(1, last + 1))
        return [unpack_event(row) for _, row in rows]


def counted(found: list[Found], packaging: Packaging) -> dict[str, dict[str, int]]:
    """Return how many of each level are in each state, counted one by one."""
    counts: dict[str, dict[str, int]] = {level.word: {} for level in Level}
    for index, each in enumerate(found):
        states = counts[packaging.level(index).word]
        states[each.state.value] = states.get(each.state.value, 0) + 1
    return counts


def members_of(packaging: Packaging) -> dict[str, int]:
    """Return the members of a form."""
    found = {"count": packaging.units}
    if packaging.units_per_case:
        found["units_per_case"] = packaging.units_per_case
    if packaging.cases_per_pallet:
        found["cases_per_pallet"] = packaging.cases_per_pallet
    return found

"""The check of the rows of lots: silent on right ones, and it finds every kind of damage."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import Millis
from core.ident.unitcode import CHECK_BYTES
from core.lots import Packaging, UnitState
from core.records import HandleValue
from core.store.application_rows import Application, pack_application
from core.store.engine import Batch, Table
from core.store.fsck import check_store
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
    indexed_key,
    pack_block,
    pack_contents,
    pack_event,
    pack_lot,
    pack_run,
    pack_tally,
)
from core.store.memory_engine import MemoryEngine
from core.store.prefix_rows import HomedPrefix, pack_prefix
from core.store.transfer_rows import Transfer, pack_transfer
from core.who import Who
from core.wire.values import encode_values

AT = Millis(1_700_000_000_000)
LOT, NEXT = b"88.118.7/L1", b"88.118.7/L1-2"
ROW = LotRow(
    "88.118.7/salt", b"88.118.7/SALT", Packaging(12, 4, 2), "L4", "2026-11-21", "", 1, 1, bytes(CHECK_BYTES), b"",
    AT,
    encode_values((HandleValue(1, "URL", b"u"),)),
)  # fmt: skip
_S = UnitState
RUNS = {
    0: Run(3, _S.COMMISSIONED, AT, Millis(AT + 9), "L4"),
    3: Run(4, _S.COMMISSIONED, AT, AT, "L4", 13),  # by rule in 12
    4: Run(6, _S.SCRAPPED, AT, AT, ""),
    7: Run(8, _S.ALLOCATED, AT, AT, "", NO_PARENT),
    11: Run(13, _S.COMMISSIONED, AT, AT, ""),  # the last unit and the first case
    13: Run(14, _S.INACTIVE, AT, AT, "", 16),  # by rule on 15
}
TALLY = Tally(3, {_S.COMMISSIONED: (5, 1, 0), _S.SCRAPPED: (2, 0, 0), _S.INACTIVE: (0, 1, 0)})
EVENT = LotEvent(0, 4, "commissioned", AT, Millis(AT + 9), "L4", "A", None, AT)


def clean(lot: bytes = LOT) -> Batch:
    """Return all rows of a lot: 12 units, cases 12 to 14, pallets 15 and 16."""
    batch = Batch()
    batch.put(Table.LOTS, lot, pack_lot(ROW))
    batch.put(Table.LOT_TALLIES, lot, pack_tally(TALLY))
    for start, size in ((0, 6), (6, 1), (11, 1)):
        batch.put(Table.LOT_BLOCKS, indexed_key(lot, start), pack_block(Block(size, "L4", "t", AT)))
    for start, run in RUNS.items():
        batch.put(Table.LOT_RUNS, indexed_key(lot, start), pack_run(run))
    batch.put(Table.LOT_CONTENTS, contents_key(lot, 13, 3), pack_contents(4))
    batch.put(Table.LOT_CONTENTS, contents_key(lot, 16, 13), pack_contents(14))
    for number, event in enumerate((EVENT, EVENT._replace(event=PACKED, start=3, size=1, parent=13), EVENT), 1):
        batch.put(Table.LOT_EVENTS, event_key(lot, number), pack_event(event))
    return batch


@pytest.fixture
def store() -> MemoryEngine:
    """A store with two lots, the code of one of which begins with that of the other."""
    made = MemoryEngine()
    made.commit(clean())
    made.commit(clean(NEXT))
    return made


def put(store: MemoryEngine, table: Table, key: bytes, row: bytes | None) -> list[str]:
    """Write one row, or with None take it away; return what the check says."""
    batch = Batch()
    batch.put(table, key, row)
    store.commit(batch)
    return faults(store)


def faults(store: MemoryEngine) -> list[str]:
    with store.snapshot() as snapshot:
        return list(check_store(snapshot))


def run(start: int, **changes: object) -> bytes:
    return pack_run(RUNS[start]._replace(**changes))  # type: ignore[arg-type] # members of a Run


def lot(**changes: object) -> bytes:
    return pack_lot(ROW._replace(**changes))  # type: ignore[arg-type] # members of a LotRow


def test_right_rows_have_no_faults(store: MemoryEngine) -> None:
    """Nor has a lot to which nothing happened."""
    assert faults(store) == []
    assert put(store, Table.LOTS, b"88.118.7/NEW", pack_lot(ROW)) == []


def test_a_lot_of_another_mode_of_case_is_found(store: MemoryEngine) -> None:
    """Its product has another key there."""
    found = put(store, Table.META, b"case", b"\x01")
    assert found[0] == f"lots {LOT!r}: its product '88.118.7/salt' is not what its key says"


UNREAD = "a row of a lot cannot be read"
NO_KEY = "a key of a lot's table cannot be read"
DAMAGE: dict[str, tuple[Table, bytes, bytes | None, str]] = {
    "garbage lot": (Table.LOTS, LOT, b"\x01\xc1", f"lots {LOT!r}: {UNREAD}"),
    "lot of another scheme": (Table.LOTS, LOT, lot(scheme=2), f"lots {LOT!r}: {UNREAD}"),
    "lot beyond the index space": (Table.LOTS, LOT, lot(packaging=Packaging(1 << 20, 4)), f"lots {LOT!r}: {UNREAD}"),
    "lot without a slash": (Table.LOTS, b"L1", pack_lot(ROW), "lots b'L1': "),
    "lot whose code is too long": (Table.LOTS, b"88.118.7/ABCDEFGHIJK", pack_lot(ROW), "is no key of a lot"),
    "lot whose code has other characters": (Table.LOTS, b"88.118.7/L_1", pack_lot(ROW), "is no key of a lot"),
    "lot that is not folded": (Table.LOTS, b"88.118.7A/l1", pack_lot(ROW), "is no key of a lot"),
    "lot of no prefix": (Table.LOTS, b"88..7/L1", pack_lot(ROW), "empty segment"),
    "lot of no characters": (Table.LOTS, b"\xff/L1", pack_lot(ROW), "lots b'\\xff/L1': "),
    "lot with another product's key": (Table.LOTS, LOT, lot(folded=b"88.118.7/S"), f"lots {LOT!r}: its product"),
    "lot with its product's key twice": (Table.LOTS, LOT, lot(product="88.118.7/SALT"), "its product"),
    "lot with a key that was cut": (Table.LOTS, LOT, lot(sealed_key=bytes(43)), f"lots {LOT!r}: its sealed key"),
    "lot made on no day": (Table.LOTS, LOT, lot(produced="2026-02-30"), f"lots {LOT!r}: a day"),
    "lot with values that cannot be read": (Table.LOTS, LOT, lot(values=b"\0\0\0\1"), f"lots {LOT!r}: "),
    "missing lot": (Table.LOTS, LOT, None, f"lot_tallies {LOT!r}: its lot is not there"),
    "garbage tally": (Table.LOT_TALLIES, LOT, b"\x01\xc1", f"lot_tallies {LOT!r}: {UNREAD}"),
    "missing tally": (Table.LOT_TALLIES, LOT, None, f"lot_tallies {LOT!r}: not what the runs say"),
    "tally of no lot": (Table.LOT_TALLIES, b"88.118.7/NO", pack_tally(TALLY), "lot_tallies b'88.118.7/NO': its lot"),
    "tally that is another": (
        Table.LOT_TALLIES, LOT, pack_tally(TALLY._replace(states={_S.SCRAPPED: (2, 0, 0)})), "not what the runs say",
    ),
    "tally with another number": (
        Table.LOT_TALLIES, LOT, pack_tally(TALLY._replace(events=4)), "the last event is 3, the number is 4",
    ),
    "tally that counts what is allocated": (
        Table.LOT_TALLIES, LOT, pack_tally(TALLY._replace(states={**TALLY.states, _S.ALLOCATED: (1, 0, 0)})),
        "not what the runs say",
    ),
    "garbage block": (Table.LOT_BLOCKS, indexed_key(LOT, 0), b"\x01\xc1", f"{indexed_key(LOT, 0)!r}: {UNREAD}"),
    "block over another one": (
        Table.LOT_BLOCKS, indexed_key(LOT, 5), pack_block(Block(1, "L5", "", AT)), "lies over the one before it",
    ),
    "block of cases": (
        Table.LOT_BLOCKS, indexed_key(LOT, 11), pack_block(Block(2, "L5", "", AT)), "goes up to 13, and the lot up to",
    ),
    "block of nothing": (Table.LOT_BLOCKS, indexed_key(LOT, 11), pack_block(Block(0, "L5", "", AT)), "holds nothing"),
    "block under no index": (Table.LOT_BLOCKS, LOT + b"\0\0\0\0\0\0", pack_block(Block(1, "L5", "", AT)), NO_KEY),
    "block under a key without an index": (Table.LOT_BLOCKS, LOT, b"", f"lot_blocks {LOT!r}: {NO_KEY}"),
    "block of no lot": (
        Table.LOT_BLOCKS, indexed_key(b"88.118.7/L", 0), b"", f"lot_blocks {indexed_key(b'88.118.7/L', 0)!r}: its lot",
    ),
    "garbage run": (Table.LOT_RUNS, indexed_key(LOT, 0), b"\x01\xc1", f"{indexed_key(LOT, 0)!r}: {UNREAD}"),
    "missing run": (Table.LOT_RUNS, indexed_key(LOT, 4), None, f"lot_tallies {LOT!r}: not what the runs say"),
    "run of another state": (Table.LOT_RUNS, indexed_key(LOT, 4), run(4, state=_S.SAMPLED), "not what the runs say"),
    "run over the next one": (Table.LOT_RUNS, indexed_key(LOT, 4), run(4, stop=8), "lies over the one before it"),
    "run beyond the lot": (Table.LOT_RUNS, indexed_key(LOT, 13), run(13, stop=18), "goes up to 18"),
    "run of nothing": (Table.LOT_RUNS, indexed_key(LOT, 4), run(4, stop=4), "holds nothing"),
    "run that ends before it begins": (Table.LOT_RUNS, indexed_key(LOT, 4), run(4, last_ms=AT - 1), "ends before"),
    "run under no index": (Table.LOT_RUNS, LOT + b"\0\0\0\0\0\0", run(4), NO_KEY),
    "run of no lot": (Table.LOT_RUNS, indexed_key(b"88.118.8/L1", 0), run(0), "its lot is not there"),
    "run that is in what does not list it": (Table.LOT_RUNS, indexed_key(LOT, 4), run(4, parent=14), "does not list"),
    "run that is in another one": (Table.LOT_RUNS, indexed_key(LOT, 3), run(3, parent=14), "14 does not list it"),
    "run that is in nothing, and listed": (
        Table.LOT_RUNS, indexed_key(LOT, 3), run(3, parent=None), f"lot_contents {LOT!r}: 13 lists 3",
    ),
    "run that is taken out, and listed": (Table.LOT_RUNS, indexed_key(LOT, 3), run(3, parent=-1), "13 lists 3"),
    "run in itself": (Table.LOT_RUNS, indexed_key(LOT, 3), run(3, parent=3), "cannot be in 3"),
    "unit on a pallet": (Table.LOT_RUNS, indexed_key(LOT, 3), run(3, parent=16), "cannot be in 16"),
    "case in a case": (Table.LOT_RUNS, indexed_key(LOT, 13), run(13, parent=12), "cannot be in 12"),
    "run in what is beyond the lot": (Table.LOT_RUNS, indexed_key(LOT, 3), run(3, parent=17), "cannot be in 17"),
    "run of two levels in a case": (Table.LOT_RUNS, indexed_key(LOT, 11), run(11, parent=13), "cannot be in 13"),
    "run that is there by rule": (Table.LOT_RUNS, indexed_key(LOT, 3), run(3, parent=12), "is in 12 by rule"),
    "garbage contents": (
        Table.LOT_CONTENTS, contents_key(LOT, 13, 3), b"\x01", "a row of contents cannot be read",
    ),
    "missing contents": (Table.LOT_CONTENTS, contents_key(LOT, 13, 3), None, "13 does not list it"),
    "contents that nothing is in": (Table.LOT_CONTENTS, contents_key(LOT, 13, 1), pack_contents(2), "13 lists 1"),
    "contents of two": (Table.LOT_CONTENTS, contents_key(LOT, 14, 3), pack_contents(4), "is listed elsewhere, too"),
    "contents twice": (Table.LOT_CONTENTS, contents_key(LOT, 13, 2), pack_contents(4), "is listed elsewhere, too"),
    "contents of nothing": (Table.LOT_CONTENTS, contents_key(LOT, 13, 3), pack_contents(3), "holds nothing"),
    "contents beyond the lot": (Table.LOT_CONTENTS, contents_key(LOT, 16, 13), pack_contents(18), "goes up to 18"),
    "contents of a unit": (Table.LOT_CONTENTS, contents_key(LOT, 5, 3), pack_contents(4), "cannot be in 5"),
    "contents by rule": (Table.LOT_CONTENTS, contents_key(LOT, 12, 0), pack_contents(1), "is in 12 by rule"),
    "contents under no index": (Table.LOT_CONTENTS, LOT + b"\0" + bytes(7), pack_contents(4), NO_KEY),
    "contents of no lot": (Table.LOT_CONTENTS, contents_key(b"88.118.8/L1", 12), pack_contents(1), "its lot is not"),
    "garbage event": (Table.LOT_EVENTS, event_key(LOT, 2), b"\x01\xc1", f"{event_key(LOT, 2)!r}: {UNREAD}"),
    "missing event": (Table.LOT_EVENTS, event_key(LOT, 2), None, "3 follows 1"),
    "missing first event": (Table.LOT_EVENTS, event_key(LOT, 1), None, "2 follows 0"),
    "missing last event": (Table.LOT_EVENTS, event_key(LOT, 3), None, "the last event is 2, the number is 3"),
    "event too many": (Table.LOT_EVENTS, event_key(LOT, 4), pack_event(EVENT), "the last event is 4, the number is 3"),
    "event beyond the lot": (Table.LOT_EVENTS, event_key(LOT, 2), pack_event(EVENT._replace(size=18)), "goes up to"),
    "event of nothing": (Table.LOT_EVENTS, event_key(LOT, 2), pack_event(EVENT._replace(size=0)), "holds nothing"),
    "event that ends before it begins": (
        Table.LOT_EVENTS, event_key(LOT, 2), pack_event(EVENT._replace(last_ms=Millis(AT - 1))), "ends before it",
    ),
    "event on another level": (
        Table.LOT_EVENTS, event_key(LOT, 2), pack_event(EVENT._replace(parent=15)), "cannot be in 15",
    ),
    "event under no number": (Table.LOT_EVENTS, LOT + b"\0" + bytes(9), pack_event(EVENT), NO_KEY),
    "event of no lot": (Table.LOT_EVENTS, event_key(b"88.118.8/L1", 1), pack_event(EVENT), "its lot is not there"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "key", "row", "fault"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_named(
    store: MemoryEngine, table: Table, key: bytes, row: bytes | None, fault: str
) -> None:
    """One row wrong: a sentence says so; nothing is said of the other lot."""
    found = put(store, table, key, row)
    assert any(fault in sentence for sentence in found), found
    assert not any(repr(NEXT)[:-1] in sentence for sentence in found), found


def test_a_lot_that_is_coming_need_not_be_whole(store: MemoryEngine) -> None:
    """While its prefix is imported, or the import is given up, rows of it are missing; each that is there is right."""
    coming = Application("importing", "", "hosted", b"", AT, Who())
    transfer = Transfer("0" * 32, bytes(32), bytes(32), 2, 1, bytes(32), AT)
    batch = Batch()
    batch.put(Table.APPLICATIONS, b"88.118.7", pack_application(coming))
    batch.put(Table.PREFIXES, b"88.118.7", pack_prefix(HomedPrefix("hosted", AT, suspended=True)))
    batch.put(Table.TRANSFERS, b"88.118.7", pack_transfer(transfer))
    for table, key in (
        (Table.LOT_EVENTS, event_key(LOT, 1)), (Table.LOT_RUNS, indexed_key(LOT, 4)),
        (Table.LOT_CONTENTS, contents_key(LOT, 13, 3)),
    ):  # fmt: skip
        batch.put(table, key, None)
    store.commit(batch)
    assert faults(store) == []
    assert "lies over" in put(store, Table.LOT_RUNS, indexed_key(LOT, 2), run(4))[0]


KEYS = [LOT, indexed_key(LOT, 3), event_key(LOT, 2), contents_key(LOT, 13, 3)]
ROWS = [row for rows in clean().rows.values() for row in rows.values() if row is not None]
TABLES = [table for table in Table if table.value.startswith("lot")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.sampled_from(TABLES),
    key=st.sampled_from(KEYS) | st.binary(min_size=1, max_size=20) | st.binary(max_size=9).map(lambda end: LOT + end),
    row=st.binary(max_size=40)
    | st.sampled_from(ROWS)
    | st.recursive(
        st.none() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=5) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=14) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    ).map(lambda value: b"\x01" + msgpack.packb(value)),
    at=st.integers(0, 40),
    octets=st.binary(max_size=4),
)
def test_total_on_any_octets_in_any_row(table: Table, key: bytes, row: bytes, at: int, octets: bytes) -> None:
    """Whatever one row holds, also one that is nearly right, the check ends with sentences."""
    for each in (row, row[:at] + octets + row[at + len(octets) :]):
        store = MemoryEngine()
        store.commit(clean())
        assert all(isinstance(sentence, str) for sentence in put(store, table, key, each))

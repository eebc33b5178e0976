"""What a group has staged: all of an act or nothing of it, and rows as they will be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.changes import ChangeKind
from core.errors import RecordError
from core.ident.handle import PrefixKey
from core.records import HandleValue
from core.store.engine import Batch, Table
from core.store.memory_engine import MemoryEngine
from registry.staging import Staging, is_used
from tests.kit.governance import NOW, RULES

KEY = RULES.key("88.118/A")
VALUES = (HandleValue(1, "URL", b"u"),)


def test_what_an_error_leaves_is_not_staged() -> None:
    """No row, no change and no count of it; what was staged before stays as it was."""
    with MemoryEngine().snapshot() as snapshot:
        staging = Staging(snapshot)
        staging.put_record(KEY, None, VALUES, NOW)
        staging.put(Table.META, b"before", b"1")
        with pytest.raises(RecordError), staging.whole():
            staging.put(Table.META, b"before", b"2")
            staging.put(Table.PARTIES, b"P000001", b"row")
            staging.change(ChangeKind.PARTY_ADDED, b"P000001", NOW)
            staging.put_record(RULES.key("88.118/B"), None, VALUES, NOW)
            staging.delete_record(KEY, VALUES, NOW)
            raise RecordError("")
        with staging.whole():
            staging.put(Table.META, b"after", b"1")
        batch = staging.batch()
    assert len(batch.changes) == 1
    assert batch.rows[Table.META] == {b"before": b"1", b"after": b"1"}
    assert not batch.rows.get(Table.PARTIES)
    assert set(batch.rows[Table.RECORDS]) == set(batch.rows[Table.ANSWERS]) == {KEY}
    assert batch.rows[Table.COUNTERS][b"88.118"] == b"\x01" + (1).to_bytes(8, "big")


def test_a_scan_sees_what_is_staged() -> None:
    """New rows and changed ones in order, deleted ones not."""
    store, stored = MemoryEngine(), Batch()
    for key in (b"a", b"c", b"e"):
        stored.put(Table.META, key, b"old")
    store.commit(stored)
    with store.snapshot() as snapshot:
        staging = Staging(snapshot)
        staging.put(Table.META, b"b", b"new")
        staging.put(Table.META, b"c", b"new")
        staging.put(Table.META, b"e", None)
        assert list(staging.scan(Table.META)) == [(b"a", b"old"), (b"b", b"new"), (b"c", b"new")]
        assert list(staging.scan(Table.PARTIES)) == []


KEYS = st.binary(min_size=1, max_size=3)


@given(
    st.dictionaries(KEYS, st.just(b"old"), max_size=12),
    st.dictionaries(KEYS, st.none() | st.just(b"new"), max_size=12),
    KEYS,
)
def test_floor_sees_what_is_staged(stored: dict[bytes, bytes], staged: dict[bytes, bytes | None], key: bytes) -> None:
    """The greatest key that is not above, of all rows as they will be: staged over stored, without those taken away."""
    store = MemoryEngine()
    batch = Batch()
    for place, row in stored.items():
        batch.put(Table.LOT_RUNS, place, row)
    store.commit(batch)
    with store.snapshot() as snapshot:
        staging = Staging(snapshot)
        for place, change in staged.items():
            staging.put(Table.LOT_RUNS, place, change)
        rows = {place: row for place, row in {**stored, **staged}.items() if row is not None}
        below = max((place for place in rows if place <= key), default=None)
        assert staging.floor(Table.LOT_RUNS, key) == (None if below is None else (below, rows[below]))


@pytest.mark.parametrize(("table", "key", "used"), [
    (Table.ALIASES_OF, b"88.118.7/x", True), (Table.ALIASES_OF, b"88.118.70/x", False),
    (Table.LOTS, b"88.118.7/L1", True), (Table.LOTS, b"88.118.70/L1", False), (Table.LOTS, b"88.118/L1", False),
    (Table.LOTS, b"88.118.7.1/L1", False),
])  # fmt: skip
def test_a_prefix_with_lots_or_aliases_is_used(table: Table, key: bytes, used: bool) -> None:
    """Nobody else gets it: bags with its codes are on their way."""
    store = MemoryEngine()
    batch = Batch()
    batch.put(table, key, b"row")
    store.commit(batch)
    with store.snapshot() as snapshot:
        assert is_used(Staging(snapshot), PrefixKey(b"88.118.7")) == used


@given(
    st.dictionaries(KEYS, st.just(b"old")),
    st.lists(st.tuples(KEYS, st.sampled_from([b"new", None])), max_size=12),
    KEYS,
    KEYS,
)
def test_rows_upwards_and_downwards_are_those_that_will_be(
    stored: dict[bytes, bytes], staged: list[tuple[bytes, bytes | None]], low: bytes, high: bytes
) -> None:
    """In order, each key once; what is staged as deleted is told as None, also while more is staged between."""
    store, batch = MemoryEngine(), Batch()
    for key, row in stored.items():
        batch.put(Table.META, key, row)
    store.commit(batch)
    model: dict[bytes, bytes | None] = dict(stored)
    with store.snapshot() as snapshot:
        staging = Staging(snapshot)
        for key, row in staged:
            staging.put(Table.META, key, row)
            model[key] = row
            rows = sorted(model.items())
            assert list(staging.ascend(Table.META)) == rows
            assert list(staging.ascend(Table.META, low, high)) == [each for each in rows if low <= each[0] < high]
            assert list(staging.descend(Table.META, low)) == [each for each in rows if each[0] <= low][::-1]
            there = [each for each in rows if each[1] is not None]
            assert list(staging.scan(Table.META, low)) == [each for each in there if low <= each[0]]
            assert staging.floor(Table.META, high) == next((each for each in there[::-1] if each[0] <= high), None)

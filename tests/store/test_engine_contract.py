"""What every engine promises (the rules of core/store/engine.py), by cases and against a dictionary."""

from __future__ import annotations

import contextlib
import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core import limits
from core.changes import Serial
from core.errors import Outcome, StoreError
from core.store.engine import Batch, Engine, ExpectationError, Snapshot, Table
from core.store.lmdb_engine import LmdbEngine
from core.store.memory_engine import MemoryEngine

R = Table.RECORDS
START = Serial(0)
LONGEST = b"k" * limits.STORE_KEY_BYTES_MAX
ENGINES: dict[str, Callable[[Path], Engine]] = {
    "memory": lambda _: MemoryEngine(),
    "lmdb": lambda folder: LmdbEngine(folder / "store", create=True),
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Each engine in turn, empty."""
    opened = ENGINES[request.param](tmp_path)
    yield opened
    opened.close()


def batch(
    rows: dict[bytes, bytes | None] | None = None,
    *,
    table: Table = R,
    expected: dict[bytes, bytes | None] | None = None,
    changes: tuple[bytes, ...] = (),
) -> Batch:
    """Return a batch on one table."""
    made = Batch()
    for key, row in (rows or {}).items():
        made.put(table, key, row)
    for key, row in (expected or {}).items():
        made.expect(table, key, row)
    made.changes = list(changes)
    return made


def contents(engine: Engine, table: Table = R) -> dict[bytes, bytes]:
    """Return all rows of a table, in the engine's order."""
    with engine.snapshot() as snapshot:
        return dict(snapshot.scan(table, b""))


# --- rows -------------------------------------------------------------------


def test_a_row_is_there_once_it_is_committed(engine: Engine) -> None:
    """Written, replaced, deleted; an empty row is a row."""
    engine.commit(batch({b"a": b"1", b"b": b""}))
    with engine.snapshot() as snapshot:
        assert snapshot.get(R, b"a") == b"1"
        assert snapshot.get(R, b"b") == b""
        assert snapshot.get(R, b"c") is None
        assert snapshot.get(R, b"") is None
    engine.commit(batch({b"a": b"2", b"b": None, b"never": None}))
    assert contents(engine) == {b"a": b"2"}


def test_each_commit_makes_another_state(engine: Engine) -> None:
    """Equal numbers, equal rows: also where a row is changed and changed back, and for a snapshot that is kept."""
    numbers = []
    for row in (b"1", b"2", b"1", None):
        with engine.snapshot() as before, engine.snapshot() as same:
            assert before.state() == same.state()
            engine.commit(batch({b"a": row}))
            assert before.state() == same.state()
            numbers.append(before.state())
    with engine.snapshot() as last:
        numbers.append(last.state())
    assert len(set(numbers)) == len(numbers)


def test_tables_do_not_share_keys(engine: Engine) -> None:
    """The same key in each table is another row."""
    made = Batch()
    for table in Table:
        made.put(table, b"key", table.value.encode())
    engine.commit(made)
    for table in Table:
        assert contents(engine, table)[b"key"] == table.value.encode()


def test_get_many_keeps_the_order_of_the_keys(engine: Engine) -> None:
    """Repeated, missing and empty keys each have their place."""
    engine.commit(batch({b"a": b"1", b"b": b"2"}))
    with engine.snapshot() as snapshot:
        assert snapshot.get_many(R, [b"b", b"x", b"a", b"b", b""]) == [b"2", None, b"1", b"2", None]
        assert snapshot.get_many(R, []) == []


ROWS = {b"\x00": b"0", b"a": b"1", b"a\x00": b"2", b"ab": b"3", b"b": b"4", b"\xff": b"5", LONGEST: b"6"}


@pytest.mark.parametrize("stop", [None, b"", b"\x00", b"a", b"a\x00", b"aa", b"b", LONGEST, b"\xff", b"\xff\xff"])
@pytest.mark.parametrize("start", [b"", b"\x00", b"a", b"a\x00", b"aa", LONGEST, LONGEST + b"k", b"\xff", b"\xff\xff"])
def test_a_scan_is_what_lies_between_in_octet_order(engine: Engine, start: bytes, stop: bytes | None) -> None:
    """Start included, stop not; no stop is the end; a stop before the start is nothing."""
    engine.commit(batch(dict(reversed(ROWS.items()))))
    expected = sorted(item for item in ROWS.items() if item[0] >= start and (stop is None or item[0] < stop))
    with engine.snapshot() as snapshot:
        assert list(snapshot.scan(R, start, stop)) == expected


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"\x00",
        b"\x00\x00",
        b"a",
        b"a\x00\x00",
        b"aa",
        b"b",
        b"c",
        LONGEST,
        LONGEST + b"z",
        b"z",
        b"\xff",
        b"\xff\xff",
    ],
)
def test_floor_is_the_greatest_key_not_above(engine: Engine, key: bytes) -> None:
    """The key itself, the one before it, or none where all lie above."""
    engine.commit(batch(ROWS))
    below = [each for each in sorted(ROWS) if each <= key]
    with engine.snapshot() as snapshot:
        assert snapshot.floor(R, key) == ((below[-1], ROWS[below[-1]]) if below else None)


def test_an_empty_table_has_nothing_to_find(engine: Engine) -> None:
    """Scan, floor, feed and serial of a new store."""
    with engine.snapshot() as snapshot:
        assert list(snapshot.scan(R, b"")) == []
        assert list(snapshot.scan(R, b"a", b"b")) == []
        assert snapshot.floor(R, b"") is None
        assert snapshot.floor(R, b"z") is None
        assert snapshot.feed(START, 10) == []
        assert snapshot.serial() == 0


def test_two_scans_may_be_under_way_at_once(engine: Engine) -> None:
    """Each has its own place."""
    engine.commit(batch({bytes([n]): b"" for n in range(5)}))
    with engine.snapshot() as snapshot:
        pairs = zip(snapshot.scan(R, b""), snapshot.scan(R, b"\x02"), strict=False)
        assert [(a[0][0], b[0][0]) for a, b in pairs] == [(0, 2), (1, 3), (2, 4)]


# --- key bounds -------------------------------------------------------------


@pytest.mark.parametrize("key", [b"", b"k" * 512, b"k" * 5_000], ids=len)
def test_a_key_that_does_not_fit_is_refused_and_nothing_is_applied(engine: Engine, key: bytes) -> None:
    """0 octets and 512: StoreError; the good rows of the batch, and its changes, are not there either."""
    with pytest.raises(StoreError) as caught:
        engine.commit(batch({b"good": b"1", key: b"2", b"z": b"3"}, changes=(b"change",)))
    assert not isinstance(caught.value, ExpectationError)
    assert contents(engine) == {}
    with engine.snapshot() as snapshot:
        assert snapshot.serial() == 0
        assert snapshot.feed(START, 10) == []
    assert engine.commit(batch({b"good": b"1"}, changes=(b"next",))) == 1


def test_the_longest_key_fits(engine: Engine) -> None:
    """STORE_KEY_BYTES_MAX octets; a longer one is asked for in vain, without an error."""
    engine.commit(batch({LONGEST: b"1"}))
    with engine.snapshot() as snapshot:
        assert snapshot.get(R, LONGEST) == b"1"
        assert snapshot.get(R, LONGEST + b"k") is None
        assert snapshot.get_many(R, [LONGEST, b"k" * 3_000]) == [b"1", None]


# --- batches ----------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 100, 5_000])
def test_a_batch_of_any_order_and_size_is_applied(engine: Engine, size: int) -> None:
    """In key order or against it, behind the last key or between, replacing or not."""
    rows: dict[bytes, bytes] = {}
    numbers = [(n * 7_919) % size for n in range(size)]
    for step in (b"m", b"z", b"a", b"m"):
        new = {step + n.to_bytes(3, "big"): step * (n % 50) for n in numbers}
        engine.commit(batch(dict(new)))
        rows |= new
    assert list(contents(engine).items()) == sorted(rows.items())


def test_a_large_row_is_stored(engine: Engine) -> None:
    """A row of a megabyte, beside small ones."""
    engine.commit(batch({b"big": b"x" * 1_000_000, b"small": b"y"}))
    engine.commit(batch({b"big": b"z" * 999_999}))
    assert contents(engine) == {b"big": b"z" * 999_999, b"small": b"y"}


def test_the_last_word_on_a_key_counts(engine: Engine) -> None:
    """A batch holds one row a key."""
    made = batch({b"a": b"1"})
    made.put(R, b"a", None)
    made.put(R, b"b", None)
    made.put(R, b"b", b"2")
    engine.commit(made)
    assert contents(engine) == {b"b": b"2"}


def test_an_empty_batch_changes_nothing(engine: Engine) -> None:
    """And returns the serial that there was."""
    assert engine.commit(Batch()) == 0
    engine.commit(batch(changes=(b"1", b"2")))
    assert engine.commit(Batch()) == 2


EXPECTED = {
    "the row": ({b"a": b"1"}, True),
    "no row": ({b"x": None}, True),
    "both": ({b"a": b"1", b"x": None}, True),
    "another row": ({b"a": b"2"}, False),
    "no row where there is one": ({b"a": None}, False),
    "a row where there is none": ({b"x": b"1"}, False),
    "an empty row where there is none": ({b"x": b""}, False),
    "one of two": ({b"a": b"1", b"x": b"1"}, False),
    "a prefix of the row": ({b"a": b""}, False),
}
WRITTEN: dict[str, dict[bytes, bytes | None]] = {
    "another key": {b"new": b"n"},
    "the same keys": {b"a": b"n", b"x": b"n"},
    "a deletion": {b"a": None, b"x": None},
    "among others": {b"0": b"n", b"a": b"n", b"m": b"n", b"x": b"n", b"z": b"n"},
    "nothing": {},
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize(("expected", "kept"), EXPECTED.values(), ids=EXPECTED)
def test_a_batch_is_applied_only_if_its_expectations_hold(
    engine: Engine, expected: dict[bytes, bytes | None], kept: bool, written: dict[bytes, bytes | None]
) -> None:
    """Whatever else it writes; a failed one leaves rows, feed and serial as they were."""
    engine.commit(batch({b"a": b"1", b"other": b"o"}, changes=(b"first",)))
    made = batch(written, expected=expected, changes=(b"second",))
    if kept:
        assert engine.commit(made) == 2
        rows = {key: row for key, row in ({b"a": b"1", b"other": b"o"} | written).items() if row is not None}
        assert contents(engine) == rows
        return
    with pytest.raises(ExpectationError) as caught:
        engine.commit(made)
    assert caught.value.ended is Outcome.CONFLICT
    assert contents(engine) == {b"a": b"1", b"other": b"o"}
    with engine.snapshot() as snapshot:
        assert (snapshot.serial(), snapshot.feed(START, 10)) == (1, [(1, b"first")])


def test_an_expectation_in_one_table_guards_rows_of_another(engine: Engine) -> None:
    """A service reads the prefix and writes the record."""
    made = batch({b"a": b"1"})
    made.expect(Table.PREFIXES, b"88", b"homed")
    with pytest.raises(ExpectationError):
        engine.commit(made)
    assert contents(engine) == {}
    engine.commit(batch({b"88": b"homed"}, table=Table.PREFIXES))
    engine.commit(made)
    assert contents(engine) == {b"a": b"1"}


def test_a_failed_batch_can_be_built_anew_and_applied(engine: Engine) -> None:
    """What a loser does: read again, and commit."""
    engine.commit(batch({b"n": b"1"}))
    with pytest.raises(ExpectationError):
        engine.commit(batch({b"n": b"x"}, expected={b"n": b"0"}))
    engine.commit(batch({b"n": b"2"}, expected={b"n": b"1"}))
    assert contents(engine) == {b"n": b"2"}


# --- the feed ---------------------------------------------------------------


def test_changes_get_the_next_serials_without_a_gap(engine: Engine) -> None:
    """In the order of the batch, in the same commit as its rows; a batch without changes takes none."""
    assert engine.commit(batch({b"a": b"1"}, changes=(b"c1", b"c2"))) == 2
    assert engine.commit(batch({b"a": b"2"})) == 2
    assert engine.commit(batch(changes=(b"c3",))) == 3
    with engine.snapshot() as snapshot:
        assert snapshot.serial() == 3
        assert snapshot.feed(START, 10) == [(1, b"c1"), (2, b"c2"), (3, b"c3")]


def test_a_row_may_hold_the_serial_of_a_change_of_its_batch(engine: Engine) -> None:
    """That which the change gets, whatever others gave since the batch was made; nothing where it is not applied."""
    waiting = batch(changes=(b"a", b"b", b"c"))
    waiting.serials[b"zone"] = 1
    engine.commit(batch(changes=(b"x", b"y")))
    assert engine.commit(waiting) == 5
    assert contents(engine, Table.META)[b"zone"] == (4).to_bytes(8, "big")
    refused = batch(changes=(b"d",), expected={b"k": b"not there"})
    refused.serials[b"zone"] = 0
    with pytest.raises(ExpectationError):
        engine.commit(refused)
    forgotten = batch({b"k": b"row"}, changes=(b"e",))
    forgotten.serials[b"zone"] = 0
    forgotten.forget_changes()
    assert engine.commit(forgotten) == 5
    assert contents(engine, Table.META)[b"zone"] == (4).to_bytes(8, "big")


def test_the_feed_is_read_in_pieces(engine: Engine) -> None:
    """From any serial, at most so many."""
    rows = [f"c{n}".encode() for n in range(1, 301)]
    engine.commit(batch(changes=tuple(rows)))
    with engine.snapshot() as snapshot:
        assert snapshot.feed(START, 0) == []
        assert snapshot.feed(Serial(254), 4) == [(serial, rows[serial - 1]) for serial in range(255, 259)]
        assert snapshot.feed(Serial(299), 10) == [(300, b"c300")]
        assert snapshot.feed(Serial(300), 10) == []
        assert snapshot.feed(Serial(10**9), 10) == []
        assert [row for _, row in snapshot.feed(START, 10_000)] == rows


# --- snapshots and statistics -----------------------------------------------


def test_a_snapshot_sees_one_state_whatever_is_written(engine: Engine) -> None:
    """Rows, scans that began before, feed and serial; a new one sees all."""
    engine.commit(batch({b"a": b"1", b"b": b"2"}, changes=(b"c1",)))
    with engine.snapshot() as old:
        scan = old.scan(R, b"")
        first = next(scan)
        engine.commit(batch({b"a": b"9", b"b": None, b"c": b"3"}, changes=(b"c2",)))
        with engine.snapshot() as new:
            assert dict(new.scan(R, b"")) == {b"a": b"9", b"c": b"3"}
            assert new.serial() == 2
            assert (old.get(R, b"a"), old.get(R, b"b"), old.get(R, b"c")) == (b"1", b"2", None)
            assert [first, *scan] == [(b"a", b"1"), (b"b", b"2")]
            assert old.floor(R, b"z") == (b"b", b"2")
            assert (old.serial(), old.feed(START, 10)) == (1, [(1, b"c1")])


def test_statistics_count_rows(engine: Engine) -> None:
    """Every table and the feed has its count."""
    engine.commit(batch({b"a": b"1", b"b": b"2"}, changes=(b"c1", b"c2", b"c3")))
    engine.commit(batch({b"a": None}))
    rows = engine.statistics().rows
    assert set(rows) == {table.value for table in Table} | {"changes"}
    assert (rows["records"], rows["changes"], rows["answers"]) == (1, 3, 0)


def test_no_reader_was_killed(engine: Engine) -> None:
    """check_readers() frees none that lives."""
    with engine.snapshot() as snapshot:
        assert engine.check_readers() == 0
        assert snapshot.serial() == 0


# --- against a dictionary ---------------------------------------------------

KEYS = st.one_of(
    st.sampled_from([b"a", b"b", b"c", b"a\x00", b"\x00", b"\xff", LONGEST]), st.binary(min_size=1, max_size=3)
)
BAD_KEYS = st.sampled_from([b"", LONGEST + b"k"])
DATA = st.one_of(st.sampled_from([b"", b"x"]), st.binary(max_size=5), st.just(b"y" * 5_000))
TABLES = st.sampled_from([Table.RECORDS, Table.ANSWERS])
OPERATIONS = st.lists(st.tuples(TABLES, KEYS, st.one_of(DATA, DATA, st.none())), max_size=8)
Model = dict[Table, dict[bytes, bytes]]


class EngineMachine(RuleBasedStateMachine):
    """Any order of writes, failed writes and reads gives what a dictionary gives."""

    make: Callable[[Path], Engine]
    reopens = False

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.engine = type(self).make(Path(self.folder.name))
        self.model: Model = {Table.RECORDS: {}, Table.ANSWERS: {}}
        self.feed: list[bytes] = []
        self.held: list[tuple[Snapshot, Model, list[bytes]]] = []

    def copy(self) -> Model:
        return {table: dict(rows) for table, rows in self.model.items()}

    def apply(self, made: Batch) -> None:
        for table, rows in made.rows.items():
            for key, row in rows.items():
                if row is None:
                    self.model[table].pop(key, None)
                else:
                    self.model[table][key] = row
        self.feed += made.changes

    @rule(
        operations=OPERATIONS,
        changes=st.lists(st.binary(max_size=3), max_size=3),
        expected=st.lists(st.tuples(TABLES, KEYS), max_size=4),
        too=st.booleans(),
    )
    def commit(
        self,
        operations: list[tuple[Table, bytes, bytes | None]],
        changes: list[bytes],
        expected: list[tuple[Table, bytes]],
        too: bool,
    ) -> None:
        """Every expectation names what is there; with ``too`` also for the keys that are written."""
        made = Batch()
        for table, key, row in operations:
            made.put(table, key, row)
        named = expected + ([(table, key) for table, key, _ in operations] if too else [])
        for table, key in named:
            made.expect(table, key, self.model[table].get(key))
        made.changes = changes
        self.apply(made)
        assert self.engine.commit(made) == len(self.feed)

    @rule(operations=OPERATIONS, wrong=st.tuples(TABLES, KEYS), row=st.one_of(DATA, st.none()), same=st.booleans())
    def commit_on_a_wrong_expectation(
        self,
        operations: list[tuple[Table, bytes, bytes | None]],
        wrong: tuple[Table, bytes],
        row: bytes | None,
        same: bool,
    ) -> None:
        table, key = wrong
        if self.model[table].get(key) == row:
            return
        made = Batch()
        for each in operations:
            made.put(*each)
        if same:
            made.put(table, key, b"never")
        made.expect(table, key, row)
        made.changes = [b"never"]
        with pytest.raises(ExpectationError):
            self.engine.commit(made)

    @rule(operations=OPERATIONS, table=TABLES, key=BAD_KEYS)
    def commit_with_a_bad_key(
        self, operations: list[tuple[Table, bytes, bytes | None]], table: Table, key: bytes
    ) -> None:
        made = Batch()
        for each in operations:
            made.put(*each)
        made.put(table, key, b"never")
        made.changes = [b"never"]
        with pytest.raises(StoreError):
            self.engine.commit(made)

    @rule(table=TABLES, start=st.one_of(st.just(b""), KEYS), stop=st.one_of(st.none(), KEYS))
    def scan(self, table: Table, start: bytes, stop: bytes | None) -> None:
        with self.engine.snapshot() as snapshot:
            found = list(snapshot.scan(table, start, stop))
        rows = sorted(self.model[table].items())
        assert found == [item for item in rows if item[0] >= start and (stop is None or item[0] < stop)]

    @rule(table=TABLES, key=st.one_of(BAD_KEYS, KEYS))
    def floor(self, table: Table, key: bytes) -> None:
        keys = sorted(self.model[table])
        position = bisect_right(keys, key)
        expected = (keys[position - 1], self.model[table][keys[position - 1]]) if position else None
        with self.engine.snapshot() as snapshot:
            assert snapshot.floor(table, key) == expected

    @rule(table=TABLES, keys=st.lists(st.one_of(BAD_KEYS, KEYS), max_size=5))
    def get_many(self, table: Table, keys: list[bytes]) -> None:
        with self.engine.snapshot() as snapshot:
            assert snapshot.get_many(table, keys) == [self.model[table].get(key) for key in keys]

    @rule(after=st.integers(0, 20), count=st.integers(0, 10))
    def read_feed(self, after: int, count: int) -> None:
        expected = list(enumerate(self.feed, 1))[after : after + count]
        with self.engine.snapshot() as snapshot:
            assert snapshot.feed(Serial(after), count) == expected

    @rule()
    @precondition(lambda self: len(self.held) < 4)
    def hold_a_snapshot(self) -> None:
        self.held.append((self.engine.snapshot(), self.copy(), list(self.feed)))

    @rule(data=st.data())
    @precondition(lambda self: self.held)
    def let_a_snapshot_go(self, data: st.DataObject) -> None:
        snapshot, _, _ = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        snapshot.close()

    @rule()
    @precondition(lambda self: self.reopens)
    def reopen(self) -> None:
        self.let_all_go()
        self.engine.close()
        self.engine = LmdbEngine(Path(self.folder.name) / "store")

    def let_all_go(self) -> None:
        for snapshot, _, _ in self.held:
            snapshot.close()
        self.held = []

    @invariant()
    def the_store_is_the_model(self) -> None:
        if not hasattr(self, "engine"):
            return
        with self.engine.snapshot() as now:
            for snapshot, model, feed in [*self.held, (now, self.model, self.feed)]:
                for table, rows in model.items():
                    assert list(snapshot.scan(table, b"")) == sorted(rows.items())
                assert snapshot.serial() == len(feed)
                assert snapshot.feed(START, 1_000) == list(zip(itertools.count(1), feed, strict=False))
        counted = self.engine.statistics().rows
        assert {table.value: len(rows) for table, rows in self.model.items()}.items() <= counted.items()

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            with contextlib.ExitStack() as stack:
                stack.callback(self.folder.cleanup)
                stack.callback(self.engine.close)
                self.let_all_go()


MODEL_SETTINGS = settings(
    max_examples=min(settings.default.max_examples or 0, 2_000), stateful_step_count=30, deadline=None
)


class MemoryMachine(EngineMachine):
    """The engine that is a dictionary itself."""

    make = staticmethod(ENGINES["memory"])


class LmdbMachine(EngineMachine):
    """The engine on disk, closed and opened between."""

    make = staticmethod(ENGINES["lmdb"])
    reopens = True


TestMemoryEngineModel = MemoryMachine.TestCase
TestMemoryEngineModel.settings = MODEL_SETTINGS
TestLmdbEngineModel = LmdbMachine.TestCase
TestLmdbEngineModel.settings = MODEL_SETTINGS

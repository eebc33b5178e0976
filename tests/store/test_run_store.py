"""What lives between two messages: against a dictionary, with quotas, shared by processes that may be killed."""

from __future__ import annotations

import ast
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core import limits
from core.errors import StoreError
from core.store.run_store import CHALLENGE, KINDS, LOGIN, SESSION, Kind, Row, RunStore, taken

OTHER = Path(__file__).parent / "other_run_process.py"
NOW = 1_000
LIVES = NOW + 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    opened = RunStore(tmp_path / "run")
    yield opened
    opened.close()


@contextlib.contextmanager
def process(role: str, folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a role of other_run_process.py beside this process; killed at the end if it still runs."""
    command = [sys.executable, str(OTHER), role, str(folder), *map(str, arguments)]
    running = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=OTHER.parent.parent.parent, env={"PYTHONPATH": str(OTHER.parent.parent.parent)},
    )  # fmt: skip
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def line(running: subprocess.Popen[str]) -> str:
    """Wait for the next word of a process."""
    assert running.stdout is not None
    said = running.stdout.readline().strip()
    if not said:
        raise AssertionError(f"it ended with {running.wait()}: {running.stderr and running.stderr.read()}")
    return said


def go(running: subprocess.Popen[str]) -> None:
    assert running.stdin is not None
    running.stdin.write("\n")
    running.stdin.flush()


def number(of: int) -> bytes:
    return of.to_bytes(4, "big")


# --- rows -----------------------------------------------------------------------


def test_a_row_is_there_until_its_time(store: RunStore) -> None:
    """Up to, and not at, the millisecond at which it ends."""
    assert store.add(SESSION, b"a", Row(b"one", 2_000), NOW)
    assert store.get(SESSION, b"a", 1_999) == Row(b"one", 2_000)
    assert store.get(SESSION, b"a", 2_000) is None
    assert store.take(SESSION, b"a", 2_000) is None


def test_a_row_is_added_once(store: RunStore) -> None:
    """Another of its id is refused while it lives, and takes its place when it does not."""
    assert store.add(SESSION, b"a", Row(b"one", 2_000), NOW)
    assert not store.add(SESSION, b"a", Row(b"two", 9_000), 1_999)
    assert store.get(SESSION, b"a", 1_999) == Row(b"one", 2_000)
    assert store.add(SESSION, b"a", Row(b"two", 9_000), 2_000)
    assert store.get(SESSION, b"a", 2_000) == Row(b"two", 9_000)
    assert store.count(SESSION) == 1


def test_kinds_do_not_share_ids(store: RunStore) -> None:
    """The same id is another row in each."""
    for kind in KINDS:
        assert store.add(kind, b"same", Row(kind.tag, LIVES), NOW)
    assert [store.take(kind, b"same", NOW) for kind in KINDS] == [Row(kind.tag, LIVES) for kind in KINDS]


def test_a_change_that_fails_changes_nothing(store: RunStore) -> None:
    """The row is as it was, and the next change works."""
    store.add(SESSION, b"a", Row(b"one", LIVES), NOW)

    def fails(_: Row | None) -> tuple[Row | None, None]:
        raise StoreError("a row that cannot be read")

    with pytest.raises(StoreError, match="cannot be read"):
        store.update(SESSION, b"a", NOW, fails)
    assert store.get(SESSION, b"a", NOW) == Row(b"one", LIVES)
    assert store.take(SESSION, b"a", NOW) is not None


def test_a_sweep_removes_what_has_ended_and_no_more_than_it_may(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RUN_SWEEP_ROWS rows of all kinds together; what lives stays."""
    monkeypatch.setattr(limits, "RUN_SWEEP_ROWS", 7)
    for kind in KINDS:
        for each in range(4):
            store.add(kind, number(each), Row(b"x", 2_000 if each else 3_000), NOW)
    assert [store.sweep(2_000) for _ in range(3)] == [7, 2, 0]
    assert [store.count(kind) for kind in KINDS] == [1, 1, 1]
    assert store.get(LOGIN, number(0), 2_000) == Row(b"x", 3_000)


@pytest.mark.parametrize("size", [505, 600, 5_000])
def test_an_id_that_does_not_fit_is_a_store_error(store: RunStore, size: int) -> None:
    """It never comes from outside, and would not crash if it did; nothing of it stays."""
    with pytest.raises(StoreError, match="try again"):
        store.add(LOGIN, b"k" * size, Row(b"x", LIVES), NOW)
    assert store.get(LOGIN, b"k" * size, NOW) is store.take(LOGIN, b"k" * size, NOW) is None
    assert store.count(LOGIN) == 0
    assert store.add(LOGIN, b"k", Row(b"x", LIVES), NOW)


# --- against a dictionary ---------------------------------------------------------

SMALL = (Kind(b"c", 5, 100_000), Kind(b"s", 1_000, 1_000), Kind(b"l", 4, 700))
IDS = st.sampled_from([bytes([first, second]) for first in b"ab" for second in b"123"])
KIND = st.sampled_from(SMALL)
TIMES = st.integers(0, 12)


def size_of(row: Row) -> int:
    """What it counts towards its quota."""
    return taken(8 + len(row.payload))


class RunStoreModel(RuleBasedStateMachine):
    """Rows in a dictionary with their ends; those that end first go when there are too many rows or octets."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[tuple[bytes, bytes], Row] = {}
        self.now_ms = 0

    @initialize()
    def open(self) -> None:
        self.folder = TemporaryDirectory()
        self.store = RunStore(Path(self.folder.name) / "run")

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def living(self, kind: Kind, identifier: bytes) -> Row | None:
        row = self.rows.get((kind.tag, identifier))
        return row if row is not None and row.ends_ms > self.now_ms else None

    def put(self, kind: Kind, identifier: bytes, row: Row | None) -> None:
        self.rows.pop((kind.tag, identifier), None)
        if row is None:
            return
        mine = sorted((row.ends_ms, key[1]) for key, row in self.rows.items() if key[0] == kind.tag)
        octets = sum(size_of(row) for key, row in self.rows.items() if key[0] == kind.tag)
        while mine and (len(mine) >= kind.rows_max or octets + size_of(row) > kind.bytes_max):
            _, first = mine.pop(0)
            octets -= size_of(self.rows.pop((kind.tag, first)))
        self.rows[kind.tag, identifier] = row

    @rule(kind=KIND, identifier=IDS, size=st.integers(0, 40), lives=TIMES)
    def add(self, kind: Kind, identifier: bytes, size: int, lives: int) -> None:
        row = Row(bytes(size), self.now_ms + lives)
        known = self.living(kind, identifier)
        assert self.store.add(kind, identifier, row, self.now_ms) == (known is None)
        self.put(kind, identifier, row if known is None else known)

    @rule(kind=KIND, identifier=IDS)
    def take(self, kind: Kind, identifier: bytes) -> None:
        assert self.store.take(kind, identifier, self.now_ms) == self.living(kind, identifier)
        self.put(kind, identifier, None)

    @rule(kind=KIND, identifier=IDS, octets=st.binary(max_size=20), lives=TIMES)
    def replace(self, kind: Kind, identifier: bytes, octets: bytes, lives: int) -> None:
        new = Row(octets, self.now_ms + lives)
        seen = self.store.update(kind, identifier, self.now_ms, lambda known: (new, known))
        assert seen == self.living(kind, identifier)
        self.put(kind, identifier, new)

    @rule(passes=st.integers(0, 8))
    def time(self, passes: int) -> None:
        self.now_ms += passes

    @rule()
    def sweep(self) -> None:
        ended = [key for key, row in self.rows.items() if row.ends_ms <= self.now_ms]
        assert self.store.sweep(self.now_ms) == len(ended)
        for key in ended:
            del self.rows[key]

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = RunStore(Path(self.folder.name) / "run")

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        if not hasattr(self, "store"):
            return
        for kind in SMALL:
            mine = {key[1]: row for key, row in self.rows.items() if key[0] == kind.tag}
            assert self.store.count(kind) == len(mine)
            for identifier in mine:
                assert self.store.get(kind, identifier, self.now_ms) == self.living(kind, identifier)
            assert len(mine) <= kind.rows_max
            assert len(mine) == 1 or sum(map(size_of, mine.values())) <= kind.bytes_max


class TestRunStoreModel(RunStoreModel.TestCase):  # type: ignore[misc,name-defined]
    """The machine above; each run opens a store of its own."""

    settings: ClassVar[settings] = settings(
        max_examples=max(settings().max_examples // 5, 30), deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip


# --- quotas -----------------------------------------------------------------------


def test_those_that_end_first_go_first(store: RunStore) -> None:
    """Whatever the order in which they came: what was proven lives longer than what was not."""
    kind = Kind(b"s", 3, 10_000)
    for identifier, ends in ((b"long", 9_000), (b"short", 2_000), (b"middle", 5_000), (b"new", 2_500)):
        store.add(kind, identifier, Row(b"x", ends), NOW)
    assert [store.get(kind, each, NOW) is not None for each in (b"long", b"short", b"middle", b"new")] == [
        True, False, True, True,
    ]  # fmt: skip


def test_a_row_that_is_longer_than_its_kind_may_be_is_alone(store: RunStore) -> None:
    """It drives all others out, and the next one drives it out."""
    kind = Kind(b"s", 100, 3_000)
    for each in range(5):
        store.add(kind, number(each), Row(b"x" * 10, LIVES), NOW)
    store.add(kind, b"long", Row(b"x" * 3_000, LIVES), NOW)
    assert store.count(kind) == 1
    store.add(kind, b"next", Row(b"x", LIVES), NOW)
    assert store.get(kind, b"long", NOW) is None


def test_the_map_holds_every_quota_at_once(store: RunStore) -> None:
    """Rows of the size that wastes most of their pages: what is full makes room, and never fails."""
    size = 4_090
    rows = {kind: min(kind.rows_max, kind.bytes_max // taken(8 + size)) for kind in KINDS}
    for each in range(max(rows.values()) + 500):
        for kind in KINDS:
            if each < rows[kind] + 500:
                assert store.add(kind, number(each * 7_919 % 2**31), Row(bytes(size), LIVES + each % 60), NOW)
    assert {kind: store.count(kind) for kind in KINDS} == rows


def test_one_kind_that_is_flooded_takes_nothing_from_the_others(store: RunStore) -> None:
    """Each has a quota of its own."""
    store.add(SESSION, b"mine", Row(b"x", LIVES), NOW)
    for each in range(600):
        store.add(CHALLENGE, number(each), Row(bytes(250_000), LIVES + each), NOW)
    assert store.count(CHALLENGE) == limits.CHALLENGES_BYTES_MAX // taken(8 + 250_000)
    assert store.get(SESSION, b"mine", NOW) is not None


# --- a full map, a full disk --------------------------------------------------------


def test_a_full_map_is_a_store_error_and_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there stays, can be taken and makes room again."""
    monkeypatch.setattr(limits, "RUN_STORE_BYTES", 1 << 20)
    store = RunStore(tmp_path / "run")
    kept = []
    with pytest.raises(StoreError, match="try again"):
        for each in range(1_000):
            store.add(SESSION, number(each), Row(number(each) * 1_000, LIVES), NOW)
            kept.append(each)
    assert len(kept) > 50
    assert store.count(SESSION) == len(kept)
    for each in kept:
        assert store.get(SESSION, number(each), NOW) == Row(number(each) * 1_000, LIVES)
    assert sum(store.take(SESSION, number(each), NOW) is not None for each in kept) == len(kept)
    assert store.add(SESSION, b"next", Row(bytes(100_000), LIVES), NOW)
    store.close()


def test_a_full_disk_is_a_store_error_and_passes(tmp_path: Path) -> None:
    """The process lives, what it kept is there, and with room it goes on."""
    RunStore(tmp_path / "run").close()
    with process("full_disk", tmp_path / "run", 300_000) as other:
        assert [line(other) for _ in range(4)] == ["True"] * 4
        assert other.wait(30) == 0


def test_a_folder_that_cannot_be_used_is_a_store_error(tmp_path: Path) -> None:
    """With its name."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot open"):
        RunStore(tmp_path / "file" / "run")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "data.mdb").write_bytes(b"no store" * 1_000)
    with pytest.raises(StoreError, match="cannot open"):
        RunStore(tmp_path / "torn")


# --- several processes ----------------------------------------------------------------


def test_each_row_is_taken_by_exactly_one(store: RunStore, tmp_path: Path) -> None:
    """Three processes take all rows as fast as they can: no row twice, none left."""
    rows = 2_000
    for each in range(rows):
        store.add(CHALLENGE, number(each), Row(b"x", LIVES), NOW)
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(process("take_all", tmp_path / "run", rows)) for _ in range(2)]
        assert [line(other) for other in others] == ["ready"] * 2
        for other in others:
            go(other)
        mine = [each for each in range(rows) if store.take(CHALLENGE, number(each), NOW) is not None]
        taken = mine + [each for other in others for each in ast.literal_eval(line(other))]
    assert sorted(taken) == list(range(rows))
    assert store.count(CHALLENGE) == 0


def test_no_change_is_lost_between_processes(store: RunStore, tmp_path: Path) -> None:
    """Three count up one row: the sum is that of all."""
    store.add(SESSION, b"sum", Row(number(0), LIVES), NOW)
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(process("count_up", tmp_path / "run", 1_000)) for _ in range(3)]
        assert [line(other) for other in others] == ["ready"] * 3
        for other in others:
            go(other)
        assert [line(other) for other in others] == ["done"] * 3
    assert store.get(SESSION, b"sum", NOW) == Row(number(3_000), LIVES)


def test_a_process_that_is_killed_half_way_leaves_nothing(store: RunStore, tmp_path: Path) -> None:
    """It had the lock of all writers: the next one gets it, and finds no row of the half."""
    store.add(CHALLENGE, b"mine", Row(b"x", LIVES), NOW)
    for _ in range(3):
        with process("stop_half_way", tmp_path / "run") as other:
            assert line(other) == "half"
            other.kill()
            other.wait()
        assert store.count(CHALLENGE) == 1
        assert store.get(CHALLENGE, number(1), NOW) is None
        assert store.update(CHALLENGE, b"mine", NOW, lambda row: (row, row)) == Row(b"x", LIVES)
    store.check_readers()


@pytest.mark.parametrize("after", [1, 7, 50, 300])
def test_a_process_that_is_killed_while_it_writes(store: RunStore, tmp_path: Path, after: int) -> None:
    """SIGKILL at any moment: what it said is there, counts are right, the others go on."""
    mine = 0
    with process("write_without_end", tmp_path / "run") as other:
        for _ in range(after):
            last = int(line(other))
            if last % 5 == 0:
                mine += store.add(SESSION, b"mine-%d" % last, Row(b"x", 10**9), NOW)
        other.kill()
        assert other.stdout is not None
        last = int([str(last), *other.stdout.read().split("\n")[:-1]][-1])
    for each in range(1, last + 1):
        assert store.get(SESSION, number(each), NOW) == Row(number(each) * 5, NOW + each)
    assert store.get(CHALLENGE, number(last), NOW) == Row(number(last) * 500, NOW + last)
    assert 0 <= store.count(SESSION) - last - mine <= 1
    assert store.count(CHALLENGE) in (1, 2, 3)
    store.sweep(10**8)
    assert [store.count(kind) for kind in KINDS] == [0, mine, 0]

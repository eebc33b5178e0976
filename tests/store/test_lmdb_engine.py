"""The LMDB engine with real processes, real kills and real limits of the system."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from core import limits
from core.changes import Serial
from core.errors import Outcome, StoreError
from core.store.engine import Batch, StorePanicError, Table
from core.store.lmdb_engine import EarlierStoreError, LmdbEngine

R = Table.RECORDS
SCRIPT = Path(__file__).with_name("other_process.py")
ROOT = SCRIPT.parents[2]
TIMEOUT_S = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a new store that holds the pair 1, 1."""
    made = tmp_path / "store"
    store = LmdbEngine(made, create=True)
    store.commit(pair(1))
    store.close()
    return made


@pytest.fixture
def store(folder: Path) -> Iterator[LmdbEngine]:
    """That store, open in this process."""
    opened = LmdbEngine(folder)
    yield opened
    opened.close()


def pair(number: int) -> Batch:
    """Return a batch that writes the same number twice, with a change."""
    batch = Batch()
    batch.put(R, b"left", b"%d" % number)
    batch.put(R, b"right", b"%d" % number)
    batch.changes = [b"%d" % number]
    return batch


def rows_of(store: LmdbEngine) -> dict[bytes, bytes]:
    with store.snapshot() as snapshot:
        return dict(snapshot.scan(R, b""))


@contextlib.contextmanager
def process(role: str, folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run another process on the store; it is killed at the end if it lives."""
    child = subprocess.Popen(
        [sys.executable, str(SCRIPT), role, str(folder), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


def line(child: subprocess.Popen[str]) -> str:
    """Return the next line that the process says."""
    assert child.stdout is not None
    said = child.stdout.readline().strip()
    if not said:
        assert child.stderr is not None
        raise AssertionError(child.stderr.read())
    return said


def tell(child: subprocess.Popen[str]) -> None:
    """Let the process go on."""
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def ended(child: subprocess.Popen[str]) -> tuple[list[str], str]:
    """Wait for the end; return what it said, and its standard error."""
    out, error = child.communicate(timeout=TIMEOUT_S)
    assert child.returncode == 0, error
    return out.split("\n")[:-1], error


# --- several processes ------------------------------------------------------


def test_readers_in_other_processes_see_whole_batches(folder: Path, store: LmdbEngine) -> None:
    """While one process writes pairs, two others never see halves, nor a feed that differs from the rows."""
    last = 400
    with process("read_pairs", folder, last) as first, process("read_pairs", folder, last) as second:
        assert (line(first), line(second)) == ("ready", "ready")
        for number in range(2, last + 1):
            store.commit(pair(number))
        assert ended(first)[0] == ended(second)[0] == ["consistent True"]


def test_two_processes_that_write_at_once_lose_nothing(folder: Path, store: LmdbEngine) -> None:
    """Each adds to one counter, reading again where the other was faster: no step is lost, no serial twice."""
    times = 150
    with process("count_up", folder, times) as first, process("count_up", folder, times) as second:
        assert (line(first), line(second)) == ("ready", "ready")
        tell(first)
        tell(second)
        assert ended(first)[0] == ended(second)[0] == [f"done {times}"]
    with store.snapshot() as snapshot:
        assert snapshot.get(R, b"count") == b"%d" % (2 * times)
        feed = snapshot.feed(Serial(0), 10_000)
        assert [serial for serial, _ in feed] == list(range(1, 2 * times + 2))
        assert snapshot.serial() == 2 * times + 1


def test_a_row_written_between_reading_and_committing_refuses_the_batch(folder: Path, store: LmdbEngine) -> None:
    """The loser is told, reads again, and its second batch is applied."""
    batch = Batch()
    batch.put(R, b"count", b"this process")
    with process("write_what_was_read", folder) as child:
        assert line(child) == "read"
        store.commit(batch)
        tell(child)
        assert line(child) == "refused"
        assert rows_of(store)[b"count"] == b"this process"
        assert line(child) == "read"
        tell(child)
        assert line(child) == "applied"
    assert rows_of(store)[b"count"] == b"other process"


def test_the_slot_of_a_killed_reader_is_freed(folder: Path, store: LmdbEngine) -> None:
    """check_readers() frees one slot for one reader that was killed, and none for the living."""
    with process("hold_a_snapshot", folder) as living, process("hold_a_snapshot", folder) as killed:
        assert (line(living), line(killed)) == ("b'1'", "b'1'")
        assert store.check_readers() == 0
        killed.send_signal(signal.SIGKILL)
        killed.wait(TIMEOUT_S)
        assert store.check_readers() == 1
        assert store.check_readers() == 0
        tell(living)
        ended(living)


def test_a_killed_readers_pages_are_used_again(folder: Path, store: LmdbEngine) -> None:
    """While its slot is held the file grows with every commit; afterwards it does not."""

    def growth() -> int:
        before = store.statistics().file_bytes
        for _ in range(20):
            batch = Batch()
            batch.put(R, b"big", os.urandom(100_000))
            store.commit(batch)
        return store.statistics().file_bytes - before

    growth()
    with process("hold_a_snapshot", folder) as child:
        line(child)
        child.send_signal(signal.SIGKILL)
        child.wait(TIMEOUT_S)
    assert growth() > 1_000_000
    assert store.check_readers() == 1
    assert growth() < 1_000_000


def test_a_writer_killed_in_the_middle_leaves_the_last_state(folder: Path, store: LmdbEngine) -> None:
    """Nothing of its transaction is there, its lock is free, and the next write goes on."""
    before = rows_of(store)
    with process("write_half", folder) as child:
        assert line(child) == "half"
        child.send_signal(signal.SIGKILL)
        child.wait(TIMEOUT_S)
    assert rows_of(store) == before
    assert store.commit(pair(2)) == 2
    assert rows_of(store) == {b"left": b"2", b"right": b"2"}


@pytest.mark.parametrize("commits", [1, 2, 5, 20, 50])
def test_a_writer_killed_at_any_moment_leaves_what_it_acknowledged(folder: Path, commits: int) -> None:
    """What was said to be committed is there after a new start, whole; at most the next batch besides."""
    with process("write_pairs", folder) as child:
        for _ in range(commits):
            acknowledged = int(line(child))
        child.send_signal(signal.SIGKILL)
        child.wait(TIMEOUT_S)
        assert child.stdout is not None
        late = child.stdout.read().split("\n")[:-1]
    acknowledged = int(late[-1]) if late else acknowledged
    store = LmdbEngine(folder)
    with contextlib.closing(store), store.snapshot() as snapshot:
        left, right = snapshot.get_many(R, [b"left", b"right"])
        assert left == right
        assert left is not None
        assert acknowledged <= int(left) <= acknowledged + 1
        feed = snapshot.feed(Serial(0), 10_000)
        assert [serial for serial, _ in feed] == list(range(1, int(left) + 2))
        assert snapshot.serial() == int(left) + 1
        assert sum(1 for _ in snapshot.scan(Table.ANSWERS, b"")) == 50 * int(left)


# --- files ------------------------------------------------------------------


def test_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    """0600 and 0700, whatever the umask of the one who starts the node."""
    before = os.umask(0)
    try:
        LmdbEngine(tmp_path / "a" / "store", create=True).close()
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a" / "store").iterdir()}
    assert modes == {"data.mdb": 0o600, "lock.mdb": 0o600}
    assert stat.S_IMODE((tmp_path / "a" / "store").stat().st_mode) == 0o700


def test_the_map_is_sparse(folder: Path, store: LmdbEngine) -> None:
    """1 TiB of address space, and a file as small as what it holds."""
    assert store._environment.info()["map_size"] == limits.MAP_SIZE_BYTES == 2**40
    assert (folder / "data.mdb").stat().st_size < 200_000
    assert 0 < store.statistics().file_bytes < 200_000


def test_a_store_goes_on_after_it_was_closed(folder: Path) -> None:
    """Rows, feed and serial; twice over."""
    for number in (2, 3):
        opened = LmdbEngine(folder)
        with contextlib.closing(opened):
            assert opened.commit(pair(number)) == number
            assert rows_of(opened)[b"left"] == b"%d" % number


def test_making_a_store_again_keeps_it(folder: Path) -> None:
    """`create` on a store that exists opens it."""
    opened = LmdbEngine(folder, create=True)
    with contextlib.closing(opened):
        assert rows_of(opened) == {b"left": b"1", b"right": b"1"}


def test_serials_go_on_when_old_changes_are_removed(folder: Path) -> None:
    """The serial stands by itself: it is never the number of rows that are left."""
    raw = lmdb.open(str(folder), max_dbs=16)
    with raw.begin(write=True) as transaction:
        transaction.delete((1).to_bytes(8, "big"), db=raw.open_db(b"changes", transaction, create=False))
    raw.close()
    opened = LmdbEngine(folder)
    with contextlib.closing(opened):
        assert opened.commit(pair(2)) == 2
        with opened.snapshot() as snapshot:
            assert snapshot.feed(Serial(0), 10) == [(2, b"2")]


def test_a_read_only_store_is_not_written(folder: Path) -> None:
    """Reading works; a commit is a StoreError and leaves it as it was."""
    opened = LmdbEngine(folder, read_only=True)
    with contextlib.closing(opened):
        with pytest.raises(StoreError):
            opened.commit(pair(2))
        assert rows_of(opened) == {b"left": b"1", b"right": b"1"}


# --- stores that cannot be opened -------------------------------------------


def test_a_missing_store_names_the_command_that_makes_one(tmp_path: Path) -> None:
    """And does not make one by itself."""
    with pytest.raises(StoreError, match="saltern init"):
        LmdbEngine(tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("row", [b"\x02", b"", None], ids=["a later one", "empty", "none"])
def test_a_store_of_another_format_is_refused(folder: Path, row: bytes | None) -> None:
    """Neither read nor changed: the version that wrote it opens it again."""
    opened = LmdbEngine(folder)
    batch = Batch()
    batch.put(Table.META, b"format", row)
    opened.commit(batch)
    opened.close()
    before = (folder / "data.mdb").read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="format"):
            LmdbEngine(folder, read_only=read_only)
    assert (folder / "data.mdb").read_bytes() == before


def test_a_store_of_an_earlier_version_is_completed_by_a_writer(tmp_path: Path) -> None:
    """Tables that came later are made, empty; who only reads does not make them, and is told by an error of its own."""
    environment = lmdb.open(str(tmp_path), max_dbs=len(Table) + 1)
    later = {Table.PARTIES, Table.PARTY_NUMBERS}
    for name in [b"changes", *(table.value.encode() for table in Table if table not in later)]:
        environment.open_db(name)
    with environment.begin(write=True) as transaction:
        transaction.put(b"format", b"\x01", db=environment.open_db(b"meta", transaction))
    environment.close()
    with pytest.raises(EarlierStoreError, match="earlier version"):
        LmdbEngine(tmp_path, read_only=True)
    LmdbEngine(tmp_path).close()
    engine = LmdbEngine(tmp_path, read_only=True)
    with engine.snapshot() as snapshot:
        assert [list(snapshot.scan(table, b"")) for table in later] == [[], []]
    engine.close()


def test_an_incomplete_store_is_refused(tmp_path: Path) -> None:
    """A table is missing; so is all of an empty file, which must not become a new store unasked."""
    (tmp_path / "a").mkdir()
    raw = lmdb.open(str(tmp_path / "a"), max_dbs=16)
    raw.open_db(Table.META.value.encode())
    raw.close()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "data.mdb").touch()
    for name in ("a", "b"):
        for read_only in (True, False, True):
            with pytest.raises(StoreError, match="incomplete"):
                LmdbEngine(tmp_path / name, read_only=read_only)


@pytest.mark.parametrize("content", [b"no database" * 1_000, b"\xff" * 8_192, b"x"], ids=["text", "octets", "short"])
def test_a_file_that_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    """With our own error, and the file is left as it was."""
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(StoreError, match="cannot open the store"):
        LmdbEngine(tmp_path)
    assert (tmp_path / "data.mdb").read_bytes() == content


# --- limits of the system ---------------------------------------------------


def test_limited_address_space_is_said_and_lived_with(folder: Path) -> None:
    """With 2 GiB the map is made smaller until it fits; the log says what the store may grow to."""
    with process("little_address_space", folder, 2 << 30) as child:
        said, error = ended(child)
    assert said == ["read b'1'"]
    assert "address space is limited" in error
    assert f"wants {limits.MAP_SIZE_BYTES >> 20} MiB" in error


def test_too_little_address_space_is_refused(folder: Path) -> None:
    """Where not even MAP_SIZE_BYTES_MIN fits, the store says so and does not open."""
    with process("little_address_space", folder, limits.MAP_SIZE_BYTES_MIN // 4) as child:
        said, _ = ended(child)
    assert said[0].startswith(f"{Outcome.OVERLOADED.value}: cannot open the store")


FULL = [(0, 10, 100), (4_096, 1_000, 100), (8_192, 50, 5_000), (40_000, 3, 100_000), (100, 1, 3_000_000)]


@pytest.mark.parametrize(("room", "rows", "row_bytes"), FULL, ids=str)
def test_a_full_disk_is_named_and_loses_nothing(folder: Path, room: int, rows: int, row_bytes: int) -> None:
    """The file may not grow: STORE_FULL, nothing applied, reads go on, and it works once there is room."""
    with process("full_disk", folder, room, rows, row_bytes) as child:
        said, error = ended(child)
    assert said == [Outcome.STORE_FULL.value, "True", "2"]
    assert "full" in error
    opened = LmdbEngine(folder)
    with contextlib.closing(opened):
        assert len(rows_of(opened)) == rows + 2
        assert opened.commit(pair(3)) == 3


def test_a_full_map_is_a_full_disk(folder: Path) -> None:
    """The smallest map, and a row that does not fit: STORE_FULL, nothing applied, small rows go on."""
    opened = LmdbEngine(folder, map_size_bytes=limits.MAP_SIZE_BYTES_MIN)
    with contextlib.closing(opened):
        batch = pair(2)
        batch.put(R, b"big", bytes(2 * limits.MAP_SIZE_BYTES_MIN))
        with pytest.raises(StoreError) as caught:
            opened.commit(batch)
        assert caught.value.ended is Outcome.STORE_FULL
        assert rows_of(opened) == {b"left": b"1", b"right": b"1"}
        assert opened.commit(pair(2)) == 2


def test_too_many_readers_are_refused(store: LmdbEngine) -> None:
    """READERS_MAX snapshots at once; one more is a StoreError; when they have ended it goes on."""
    with contextlib.ExitStack() as held:
        for _ in range(limits.READERS_MAX):
            held.enter_context(store.snapshot())
        with pytest.raises(StoreError, match=f"more than {limits.READERS_MAX}"):
            store.snapshot()
    assert rows_of(store) == {b"left": b"1", b"right": b"1"}


class Panicked:
    """An environment whose meta page could not be written."""

    def begin(self, **_: object) -> object:
        raise lmdb.PanicError("mdb_txn_begin: MDB_PANIC")


def test_a_panic_is_no_store_error(store: LmdbEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """No service may catch it and answer: the process must end (rule 5 of the engine)."""
    monkeypatch.setattr(store, "_environment", Panicked())
    with pytest.raises(StorePanicError):
        store.commit(pair(2))
    with pytest.raises(StorePanicError):
        store.snapshot()
    monkeypatch.undo()
    assert not issubclass(StorePanicError, StoreError)

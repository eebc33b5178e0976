"""The spool: one write a turn, every fault of it told, and segments that can be read whatever happened."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import spool as spools
from audit.frame import Row
from audit.spool import MAGIC, Spool, read_segment, segments
from core import limits
from core.clock import Millis
from core.errors import WireError

NOW = Millis(1_790_000_000_000)


def row(number: int) -> Row:
    return (1, "ok", bytes(6), b"88.1/%d" % number, "")


def written(folder: Path) -> list[int]:
    """Return the numbers of the rows in all segments, in their order."""
    return [int(entry.identifier[5:]) for path in segments(folder) for entry in read_segment(path)]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    """Make spools that are closed at the end."""
    made: list[Spool] = []

    def make_one(**options: object) -> Spool:
        made.append(Spool(tmp_path, "worker-0", 0.001, now_ms=lambda: NOW, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make_one
    for each in made:
        each.close()


def test_below_the_reserve_nothing_is_written(make: Callable[..., Spool], tmp_path: Path) -> None:
    """Not a segment is begun; with room the next turn is logged. Each turn of a full disk is refused."""
    room = [False]
    spool = make(has_room=lambda: room[0])
    assert [spool.write([row(n)]) for n in (1, 2)] == [False, False]
    assert segments(tmp_path) == []
    room[0] = True
    assert spool.write([row(3)])
    room[0] = False
    assert not spool.write([row(4)])
    room[0] = True
    assert spool.write([row(5)])
    assert written(tmp_path) == [3, 5]


class Disk:
    """Stands before os.write and os.ftruncate. ``takes``: octets that the next writes take; -1 an error, None all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.takes: list[int | None] = []
        self.cuts = True
        self.writes = 0
        self._write, self._cut = os.write, os.ftruncate
        monkeypatch.setattr(spools.os, "write", self.write)
        monkeypatch.setattr(spools.os, "ftruncate", self.cut)

    def write(self, descriptor: int, octets: bytes) -> int:
        self.writes += 1
        takes = self.takes.pop(0) if self.takes else None
        if takes is not None and takes < 0:
            raise OSError(28, "No space left on device")
        return self._write(descriptor, octets[:takes])

    def cut(self, descriptor: int, length: int) -> None:
        if not self.cuts:
            raise OSError(5, "Input/output error")
        self._cut(descriptor, length)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_turn_is_one_write(make: Callable[..., Spool], disk: Disk, tmp_path: Path) -> None:
    """However many entries it has."""
    spool = make()
    assert spool.write([row(number) for number in range(100)])
    assert disk.writes == 1
    assert written(tmp_path) == list(range(100))


def test_a_turn_of_many_entries_has_many_frames(make: Callable[..., Spool], disk: Disk, tmp_path: Path) -> None:
    """Still one write; a reader never needs more than one frame at a time."""
    spool, count = make(), 2 * limits.LOG_FRAME_ROWS_MAX + 1
    assert spool.write([row(number) for number in range(count)])
    assert disk.writes == 1
    assert written(tmp_path) == list(range(count))


def test_files_are_private(make: Callable[..., Spool], tmp_path: Path) -> None:
    """They hold addresses of clients."""
    spool = make()
    spool.write([row(1)])
    assert [path.stat().st_mode & 0o777 for path in segments(tmp_path)] == [0o600]


def test_each_start_begins_a_segment(make: Callable[..., Spool], tmp_path: Path) -> None:
    """Even within one millisecond; an old segment is never touched again."""
    for number in range(3):
        spool = make()
        assert spool.write([row(number)])
    assert len(segments(tmp_path)) == 3
    assert written(tmp_path) == [0, 1, 2]


def test_a_segment_that_is_full_is_followed_by_another(make: Callable[..., Spool], tmp_path: Path) -> None:
    """In the order of their names."""
    spool = make(segment_bytes=200)
    for number in range(40):
        assert spool.write([row(number)])
    assert len(segments(tmp_path)) > 3
    assert written(tmp_path) == list(range(40))


@pytest.mark.parametrize("takes", [-1, 0, 1, 9, 20])
@pytest.mark.parametrize("cuts", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_write_that_fails_or_is_short_is_told_and_taken_back(
    make: Callable[..., Spool], disk: Disk, tmp_path: Path, takes: int, cuts: bool, first: bool
) -> None:  # fmt: skip
    """Its entries are in no segment, those before and behind are; also where the segment cannot be mended."""
    spool, expected = make(), []
    if not first:
        assert spool.write([row(1)])
        expected.append(1)
    disk.takes, disk.cuts = [takes], cuts
    assert not spool.write([row(2)])
    assert written(tmp_path) == expected
    disk.cuts = True
    assert spool.write([row(3)])
    assert written(tmp_path) == [*expected, 3]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 3), st.one_of(st.none(), st.integers(-1, 60)), st.booleans()), max_size=12))
def test_what_was_told_to_be_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[int, int | None, bool]]
) -> None:
    """Whatever the disk takes and cuts: the entries of the turns that were told to be written, in order, no other."""
    folder = tmp_path_factory.mktemp("spool")
    number, expected = 0, []
    with pytest.MonkeyPatch.context() as patched:
        disk = Disk(patched)
        spool = Spool(folder, "worker-0", 0.001, now_ms=lambda: NOW, segment_bytes=150)
        for count, takes, cuts in turns:
            numbers = list(range(number, number + count))
            number += count
            disk.takes, disk.cuts = [takes], cuts
            if spool.write([row(each) for each in numbers]):
                expected += numbers
        spool.close()
    assert written(folder) == expected


def test_a_sync_that_fails_ends_the_segment(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A failed fsync is never tried again: one turn is told to be lost, and the next has a new segment."""
    asked = iter([OSError(5, "Input/output error")])

    def sync(descriptor: int) -> None:
        for error in asked:
            raise error

    monkeypatch.setattr(spools.os, "fdatasync", sync)
    spool = make()
    assert spool.write([row(1)])
    lost = []
    while not lost:  # the thread meets the error soon
        if not spool.write([row(2)]):
            lost.append(2)
    assert spool.write([row(3)])
    assert len(segments(tmp_path)) == 2
    assert written(tmp_path)[-1] == 3


def test_a_close_that_fails_stops_nothing(
    make: Callable[..., Spool], disk: Disk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Some file systems tell only then what they could not write: it is said, and the next turns are logged."""
    real, failed = os.close, []

    def close(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        real(descriptor)
        if not failed and name.endswith(".spool") and threading.current_thread().name == "log-sync":
            failed.append(descriptor)
            raise OSError(5, "Input/output error")

    spool = make(segment_bytes=10)
    monkeypatch.setattr(spools.os, "close", close)
    number = 0
    while not failed:  # the thread closes a segment soon
        assert spool.write([row(number)])
        number += 1
    synced: list[int] = []
    monkeypatch.setattr(spools.os, "fdatasync", synced.append)
    while not synced:
        assert spool.write([row(number)])
        number += 1
    assert written(tmp_path) == list(range(number))


def test_a_full_disk_is_told_once(make: Callable[..., Spool], disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """Not for each question; and once that it is over, with how many were lost."""
    spool = make()
    disk.takes = [-1] * 100
    assert not any(spool.write([row(1)]) for _ in range(100))
    assert spool.write([row(2)])
    assert [record.getMessage() for record in caplog.records] == [
        "the resolution log cannot be written: No space left on device",
        "the resolution log is written again; 100 writes had failed",
    ]


def test_closing_syncs_what_is_written(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., Spool], tmp_path: Path
) -> None:
    """At the end of a worker nothing is left open."""
    synced: list[int] = []
    monkeypatch.setattr(spools.os, "fdatasync", synced.append)
    before = len(os.listdir("/proc/self/fd"))
    spool = Spool(tmp_path, "worker-1", 60.0)
    assert spool.write([row(1)])
    spool.close()
    assert synced
    assert len(os.listdir("/proc/self/fd")) == before
    assert written(tmp_path) == [1]


def test_a_segment_that_a_crash_tore_is_read_up_to_there(make: Callable[..., Spool], tmp_path: Path) -> None:
    """At whatever octet: whole frames are entries, the rest never left; an empty file is a segment too."""
    spool = make()
    for number in range(3):
        spool.write([row(number)])
    path = segments(tmp_path)[0]
    whole = path.read_bytes()
    frame = (len(whole) - len(MAGIC)) // 3
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert len(list(read_segment(path))) == max(0, length - len(MAGIC)) // frame


def test_a_segment_longer_than_one_reading_is_read(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., Spool], tmp_path: Path
) -> None:
    """Frames that lie across two readings are found."""
    monkeypatch.setattr(limits, "SEGMENT_READ_BYTES", 7)
    spool = make()
    for number in range(20):
        spool.write([row(number)])
    assert written(tmp_path) == list(range(20))


@pytest.mark.parametrize("content", [b"something else altogether", MAGIC[:-1] + b"X", MAGIC + bytes(9)])
def test_what_is_no_segment_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """The file is named, so that somebody can look at it."""
    path = tmp_path / "worker-9-1.spool"
    path.write_bytes(content)
    with pytest.raises(WireError, match=r"worker-9-1\.spool"):
        list(read_segment(path))


_KILLED = """
import os, signal, sys
from pathlib import Path
from audit.spool import Spool
spool = Spool(Path(sys.argv[1]), "worker-0", 60.0)
for number in range(int(sys.argv[2])):
    assert spool.write([(1, "ok", bytes(6), b"88.1/%d" % number, "")])
    os.write(1, b".")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_written_survives_the_process(tmp_path: Path) -> None:
    """SIGKILL right behind the last write: every turn that was told to be written is there."""
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), "25"], capture_output=True, check=False)
    assert done.returncode < 0, done.stderr.decode()
    assert len(done.stdout) == 25
    assert written(tmp_path) == list(range(25))

"""Segments are read, whatever became of them: each whole frame once, and what is damaged is named by its place."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.files import Files
from audit.frame import encode_frame, find_frame
from audit.spool import MAGIC, Spool, segments
from audit.spool_reading import Taken, remove_read, take
from core import limits
from core.clock import Millis
from tests.kit.sequencing import PEER, Segment, frame_of

NOW = 1_790_000_000_000
END = NOW + 10_000
MANY = 10_000


def names(taken: Taken) -> list[str]:
    return [row[3].decode() for frame in taken.frames for row in frame.rows]


def taken_from(data: Path, offsets: dict[str, int] | None = None, rows: int = MANY) -> Taken:
    return take(data / "spool", offsets or {}, END, rows)


def segment_of(data: Path, *frames: bytes, held: bool, worker: str = "worker-0") -> Segment:
    segment = Segment(data, worker, NOW, held=held)
    segment.file.write(b"".join(frames))
    if not held:
        segment.end()
    return segment


FRAMES = [frame_of(NOW + number, f"a-{number}", f"b-{number}") for number in range(4)]
ALL = [f"{letter}-{number}" for number in range(4) for letter in "ab"]


def test_what_is_read_is_not_read_again(tmp_path: Path) -> None:
    """From an offset on; and a segment of a worker that lives stays, one that is over goes once it is read."""
    segment = segment_of(tmp_path, *FRAMES[:2], held=True)
    first = taken_from(tmp_path)
    assert names(first) == ALL[:4]
    segment.file.write(b"".join(FRAMES[2:]))
    second = taken_from(tmp_path, first.offsets)
    assert names(second) == ALL[4:]
    assert remove_read(Files(), tmp_path / "spool", second.offsets) == []
    segment.end()
    assert remove_read(Files(), tmp_path / "spool", first.offsets) == [], "not read to its end"
    assert remove_read(Files(), tmp_path / "spool", second.offsets) == [segment.path.name]
    assert taken_from(tmp_path, second.offsets) == Taken([], {}, [], None, more=False)


@pytest.mark.parametrize("held", [True, False], ids=["growing", "ended"])
def test_a_flipped_octet_costs_one_frame(tmp_path: Path, held: bool) -> None:
    """At every place of the second frame, of a segment that grows or is over: named, and all others are read."""
    begin = len(MAGIC) + len(FRAMES[0])
    for place in range(len(FRAMES[1])):
        data = tmp_path / f"{place}"
        damaged = bytearray(FRAMES[1])
        damaged[place] ^= 0x41
        segment = segment_of(data, FRAMES[0], bytes(damaged), *FRAMES[2:], held=held)
        taken = taken_from(data)
        assert names(taken) == [*ALL[:2], *ALL[4:]], place
        assert [fault[:3] for fault in taken.faults] == [(segment.path.name, begin, len(FRAMES[1]))]
        assert taken.faults[0].what
        segment.end()


@pytest.mark.parametrize("held", [True, False], ids=["growing", "ended"])
def test_a_first_line_that_is_wrong_costs_no_frame(tmp_path: Path, held: bool) -> None:
    """It is named; a segment that grows goes on to be read."""
    segment = segment_of(tmp_path, *FRAMES, held=held)
    with segment.path.open("r+b") as file:
        file.write(b"X")
    taken = taken_from(tmp_path)
    assert names(taken) == ALL
    assert [fault[:3] for fault in taken.faults] == [(segment.path.name, 0, len(MAGIC))]
    segment.end()


def test_a_torn_frame_waits_while_it_may_become_whole(tmp_path: Path) -> None:
    """Cut at every octet: nothing of it while the worker lives; a fault once it does not; whole if it is completed."""
    for length in range(1, len(FRAMES[1])):
        data = tmp_path / f"{length}"
        segment = segment_of(data, FRAMES[0], FRAMES[1][:length], held=True)
        growing = taken_from(data)
        assert (names(growing), growing.faults) == (ALL[:2], [])
        if length % 2:
            segment.file.write(FRAMES[1][length:])
            assert names(taken_from(data, growing.offsets)) == ALL[2:4]
            segment.end()
        else:
            segment.end()
            over = taken_from(data, growing.offsets)
            begin = len(MAGIC) + len(FRAMES[0])
            assert [fault[:3] for fault in over.faults] == [(segment.path.name, begin, length)]
            assert remove_read(Files(), data / "spool", over.offsets) == [segment.path.name]


def test_empty_and_begun_segments(tmp_path: Path) -> None:
    """Nothing, or a part of the first line: no fault while the worker lives; what is over goes."""
    for length in range(len(MAGIC)):
        data = tmp_path / f"{length}"
        segment = Segment(data, "worker-0", NOW)
        os.truncate(segment.path, length)
        assert taken_from(data).faults == []
        segment.end()
        over = taken_from(data)
        assert [fault[1:3] for fault in over.faults] == ([(0, length)] if length else [])
        assert remove_read(Files(), data / "spool", over.offsets) == [segment.path.name]


def test_a_segment_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    """Its offset is not kept, whatever was read of it."""
    segment_of(tmp_path, *FRAMES, held=False)
    taken = taken_from(tmp_path, {"worker-9-1.spool": 77})
    assert names(taken) == ALL
    assert list(taken.offsets) == [path.name for path in segments(tmp_path / "spool")]


def test_a_file_that_is_no_segment_is_named(tmp_path: Path) -> None:
    """As a whole, if no frame is in it."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "worker-9-1.spool").write_bytes(b"something else altogether")
    assert [fault[:3] for fault in taken_from(tmp_path).faults] == [("worker-9-1.spool", 0, 25)]


def test_frames_larger_than_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside small ones; and damage in front of them costs none."""
    monkeypatch.setattr(limits, "SEGMENT_READ_BYTES", 256)
    large = frame_of(NOW, *(f"large-{number}-{'x' * 100}" for number in range(50)))
    segment_of(tmp_path / "a", FRAMES[0], large, FRAMES[1], large, held=False)
    assert len(names(taken_from(tmp_path / "a"))) == 104
    segment_of(tmp_path / "b", FRAMES[0], bytes(300), large, FRAMES[1], held=True)
    taken = taken_from(tmp_path / "b")
    assert (len(names(taken)), [fault.octets for fault in taken.faults]) == (54, [300])


@pytest.mark.parametrize("held", [True, False], ids=["growing", "ended"])
def test_a_hole_larger_than_what_is_looked_at_costs_no_frame(tmp_path: Path, held: bool) -> None:
    """What a loss of power may leave: zeros, and whole frames behind them, wherever they begin."""
    hole = limits.LOG_FRAME_BYTES_MAX + 2 * limits.LOG_RESYNC_BYTES - 5
    segment_of(tmp_path, FRAMES[0], bytes(hole), *FRAMES[1:], held=held)
    taken = taken_from(tmp_path)
    assert names(taken) == ALL
    assert sum(fault.octets for fault in taken.faults) == hole


def test_no_more_than_was_asked_for(tmp_path: Path) -> None:
    """Of each segment, to the end of a frame; and it says that there is more."""
    for worker in ("worker-0", "worker-1"):
        segment_of(tmp_path, *FRAMES, held=False, worker=worker)
    offsets: dict[str, int] = {}
    found = []
    for _ in range(20):
        taken = taken_from(tmp_path, offsets, rows=3)
        assert len(names(taken)) <= 2 * 4
        found += names(taken)
        offsets = taken.offsets
        if not taken.more:
            break
    assert sorted(found) == sorted(ALL * 2)


def test_frames_of_a_later_month_are_left(tmp_path: Path) -> None:
    """And what stands behind them, which keeps the order; of the others, all."""
    segment_of(tmp_path, FRAMES[0], frame_of(END + 5, "later"), FRAMES[1], held=False)
    segment_of(tmp_path, FRAMES[2], held=False, worker="worker-1")
    taken = taken_from(tmp_path)
    assert (names(taken), taken.later_ms) == ([*ALL[:2], *ALL[4:6]], END + 5)
    behind = take(tmp_path / "spool", taken.offsets, END + 1_000, MANY)
    assert names(behind) == [*ALL[2:4], "later"]


@given(st.text(max_size=400), st.text(max_size=40), st.integers(0, 2**32 * 1_000 - 1))
def test_no_identifier_passes_for_a_frame(asked: str, who: str, at_ms: int) -> None:
    """Whatever is asked: who searches behind the beginning of a frame finds none in it."""
    identifier = asked.encode()[: limits.LOGGED_IDENTIFIER_BYTES]
    assert find_frame(encode_frame(at_ms, [(1, "ok", PEER, identifier, who)]), 1) is None


@given(st.binary(max_size=300), st.booleans())
def test_reading_is_total_on_any_bytes(tmp_path_factory: pytest.TempPathFactory, octets: bytes, begun: bool) -> None:
    """It ends, at the end; nothing is read twice."""
    data = tmp_path_factory.mktemp("total")
    (data / "spool").mkdir()
    path = data / "spool" / "worker-0-1.spool"
    path.write_bytes(MAGIC * begun + octets)
    taken = take(data / "spool", {}, 2**62, MANY)
    assert taken.offsets == {path.name: path.stat().st_size}


# --- while it is written ---


_WORKER = """
import os, sys
from pathlib import Path
from audit.spool import Spool
spool = Spool(Path(sys.argv[1]), "worker-0", 0.001, segment_bytes=int(sys.argv[3]))
for number in range(int(sys.argv[2])):
    assert spool.write([(1, "ok", bytes(6), b"88.1/%d-%d" % (number, row), "") for row in range(1 + number % 7)])
os.write(1, b".")
sys.stdin.read()
"""


def test_a_worker_that_writes_meanwhile(tmp_path: Path) -> None:
    """A real process, with segments that rotate, and is killed: each entry once, in order, no fault."""
    folder = tmp_path / "spool"
    turns, size = 2_000, 20_000
    with subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(folder), str(turns), str(size)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as worker:  # fmt: skip
        offsets: dict[str, int] = {}
        found: list[str] = []

        def read() -> int:
            taken = take(folder, offsets, 2**62, MANY)
            assert taken.faults == []
            found.extend(names(taken))
            offsets.clear()
            offsets.update(taken.offsets)
            return len(remove_read(Files(), folder, offsets))

        assert worker.stdout is not None
        os.set_blocking(worker.stdout.fileno(), False)
        while worker.stdout.read(1) != b".":
            assert worker.poll() is None
            read()
        while len(segments(folder)) > 1:  # its thread syncs and closes those that are full
            read()
        (last,) = segments(folder)
        assert read() == 0, f"{last} is held by its worker"
        worker.kill()
        worker.wait()
        assert read() == 1
    assert found == [f"88.1/{number}-{row}" for number in range(turns) for row in range(1 + number % 7)]


def test_readers_do_not_disturb_each_other(tmp_path: Path) -> None:
    """A segment that another one reads at this moment is not taken to be written."""
    segment = segment_of(tmp_path, FRAMES[0], FRAMES[1][:5], held=False)
    with segment.path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert len(taken_from(tmp_path).faults) == 1


def test_a_whole_frame_that_was_read_is_not_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn of two frames of which one and a half were written: the segment ends with it, and is read once."""
    folder = tmp_path / "spool"
    spool = Spool(folder, "worker-0", 60.0, now_ms=lambda: Millis(NOW))
    real, takes = os.write, [len(MAGIC) + 40_000]
    monkeypatch.setattr("audit.spool.os.write", lambda descriptor, octets: real(descriptor, octets[: takes.pop()]))
    rows = [(1, "ok", PEER, b"88.1/%d" % number, "") for number in range(limits.LOG_FRAME_ROWS_MAX + 700)]
    assert not spool.write(rows)
    first = taken_from(tmp_path)
    assert len(names(first)) == limits.LOG_FRAME_ROWS_MAX
    monkeypatch.undo()
    assert spool.write(rows[:1])
    spool.close()
    second = taken_from(tmp_path, first.offsets)
    assert (names(second), len(second.faults)) == (["88.1/0"], 1)

"""Dropping a month: recorded first, whole, once; whatever fails at whatever step, the next run ends it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.clients import UNKNOWN
from audit.dropping import DROP, Dropped, drop_due, newest_month, size_on_disk
from audit.entry import Software, dump, entry_document
from audit.files import Files
from audit.retention import Clocks, Verdict, judge
from core.clock import month_start
from core.store.log_rows import LogEntry
from core.streams import Stream
from core.who import Who
from tests.kit.log_folders import LogFolder, write_months_key

OLD, NEXT, OPEN = "2026-03", "2026-04", "2026-10"
NOW = month_start(OPEN)
STREAMS = tuple(stream for stream in Stream if stream is not Stream.MAINTENANCE)
NAMES = {f"{stream.value}/{OLD}" for stream in STREAMS}


class Crash(BaseException):
    """The process ended."""


class Failing(Files):
    """Counts what is done to the disk; ends the process, or fails, at one step: before it is done, or behind it."""

    def __init__(self, at: int = -1, *, done: bool = False, error: Callable[[], BaseException] = Crash) -> None:
        self.at, self.done, self.error = at, done, error
        self.steps = 0

    def step(self, action: Callable[[], None]) -> None:
        number = self.steps
        self.steps += 1
        if number == self.at and not self.done:
            raise self.error()
        action()
        if number == self.at:
            raise self.error()

    def rename(self, beside: Path, path: Path) -> None:
        self.step(lambda: super(Failing, self).rename(beside, path))

    def sync_folder(self, folder: Path) -> None:
        assert folder.is_dir()
        self.step(lambda: None)  # nothing is lost here that was not synced

    def remove(self, path: Path) -> None:
        self.step(lambda: super(Failing, self).remove(path))


class World:
    """A data folder in October, with logs of March, April and October; March is due."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.logs: dict[tuple[Stream, str], LogFolder] = {}
        for stream in Stream:
            before = b""
            for month in (OLD, NEXT, OPEN):
                made = self.logs[stream, month] = LogFolder(data / "log", stream, month, before=before)
                made.publish(*(b"%d" % number for number in range(3)))
                before = made.checkpoint
        for month in (OLD, NEXT, OPEN):
            write_months_key(data, month, bytes(32))
            for stream in Stream:
                (data / "clients" / month / stream.value).write_bytes(b"addresses")
            mirror = data / "mirror" / "resolution" / month / "01"
            mirror.mkdir(parents=True)
            (mirror / "00.parquet").write_bytes(b"PAR1")
        self.checkpoints = {log: made.checkpoint for log, made in self.logs.items()}
        self.held: dict[str, tuple[str, ...]] = {}
        self.clocks = Clocks(NOW, NOW)

    def judge(self, stream: Stream, month: str) -> Verdict:
        return judge(stream, month, 6, self.clocks, self.held.get(f"{stream.value}/{month}", ()))

    def publish(self, entry: LogEntry) -> None:
        who = Who("local", "keeper")
        document = entry_document(entry, NOW, who, UNKNOWN, 0, protocol="", request="1", software=Software("n", "1"))
        self.logs[Stream.MAINTENANCE, OPEN].publish(dump(document))

    def drop(self, files: Failing | None = None) -> Dropped:
        files = files or Failing()
        return drop_due(self.data, self.judge, lambda entry: files.step(lambda: self.publish(entry)), files)

    def records(self) -> list[dict[str, object]]:
        leaves = self.logs[Stream.MAINTENANCE, OPEN].leaves
        return [json.loads(leaf) for leaf in leaves if b'"log.drop"' in leaf]

    def left(self) -> set[str]:
        """Return what there is of March."""
        return {str(path.relative_to(self.data)) for path in self.data.rglob("*") if OLD in path.name}

    def tree(self, stream: Stream, month: str) -> set[str]:
        folder = self.data / "log" / stream.value / month
        return {str(path.relative_to(folder)) for path in folder.rglob("*")}

    def assert_sound(self, whole: set[str]) -> None:
        """At any moment: a month is there whole or not at all, and none is gone that no entry tells of."""
        told = {record["obj"] for record in self.records()}
        for stream in STREAMS:
            tree = self.tree(stream, OLD)
            assert tree in (set(), whole)
            assert tree or f"{stream.value}/{OLD}" in told
            assert self.tree(stream, NEXT) == whole
        assert self.tree(Stream.MAINTENANCE, OLD) == whole
        if not (self.data / "clients" / OLD / "key").exists():
            assert not any(self.tree(stream, OLD) for stream in STREAMS)

    def assert_done(self) -> None:
        """The month is gone with all that led to addresses; one entry each tells of its final checkpoint."""
        assert self.left() == {f"log/maintenance/{OLD}"}
        records = self.records()
        assert len(records) == len(STREAMS)
        for record in records:
            stream, month = str(record["obj"]).split("/")
            lines = self.checkpoints[Stream(stream), month].decode().split("\n")
            assert (record["act"], record["res"]) == (DROP, {"code": "ok", "reason": " ".join(lines[:3])})
        assert {str(record["obj"]) for record in records} == NAMES
        for month in (NEXT, OPEN):
            assert sorted(path.name for path in (self.data / "clients" / month).iterdir()) == sorted(
                ["key", *(stream.value for stream in Stream)]
            )
            assert (self.data / "mirror" / "resolution" / month / "01" / "00.parquet").exists()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_month_whose_time_is_over_goes(world: World) -> None:
    """And nothing else; a second time there is nothing to do, and nothing is looked for."""
    done = world.drop()
    assert (set(done.logs), done.problems) == (NAMES, ())
    world.assert_done()
    again = Failing()
    assert world.drop(again) == Dropped((), ())
    assert again.steps == 0
    world.assert_done()


def test_a_day_before_nothing_goes(world: World) -> None:
    """By either clock."""
    for clocks in (Clocks(NOW - 1, NOW), Clocks(NOW, NOW - 1)):
        world.clocks = clocks
        files = Failing()
        assert world.drop(files) == Dropped((), ())
        assert files.steps == 0
        assert not world.records()


def steps_of_a_run(folder: Path) -> int:
    files = Failing()
    World(folder).drop(files)
    return files.steps


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_whatever_step_the_process_ends_at_the_next_one_finishes(tmp_path: Path, done: bool) -> None:
    """At each step, before and behind it: sound at that moment, done after the next run, and told of once."""
    steps = steps_of_a_run(tmp_path / "clean")
    assert steps > 30
    for at in range(steps):
        world = World(tmp_path / f"{at}")
        whole = world.tree(Stream.CHANGE, OLD)
        with pytest.raises(Crash):
            world.drop(Failing(at, done=done))
        world.assert_sound(whole)
        with contextlib.suppress(Crash):  # and once more, in the middle of what is left, if anything is
            world.drop(Failing(0, done=done))
        world.assert_sound(whole)
        assert world.drop().problems == ()
        world.assert_done()


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_an_error_of_the_disk_is_told_and_stops_no_other(tmp_path: Path, done: bool) -> None:
    """The others go; the next day the rest does."""
    for at in range(0, steps_of_a_run(tmp_path / "clean"), 3):
        world = World(tmp_path / f"{at}")
        whole = world.tree(Stream.CHANGE, OLD)
        told = world.drop(Failing(at, done=done, error=lambda: OSError(5, "Input/output error")))
        world.assert_sound(whole)
        assert all("Input/output error" in problem for problem in told.problems)
        assert len(told.problems) == 1
        assert world.drop().problems == ()
        world.assert_done()


@pytest.mark.parametrize("held", Stream, ids=lambda stream: stream.value)
def test_a_legal_hold_keeps_the_log_its_addresses_and_the_key(world: World, held: Stream) -> None:
    """Also of the maintenance log; the others go. When it is released the rest goes."""
    name = f"{held.value}/{OLD}"
    world.held[name] = ("令1",)
    assert set(world.drop().logs) == NAMES - {name}
    kept = {f"clients/{OLD}", f"log/{name}", f"log/maintenance/{OLD}"}
    if held is Stream.RESOLUTION:
        kept.add(f"mirror/resolution/{OLD}")
    assert world.left() == kept
    assert sorted(path.name for path in (world.data / "clients" / OLD).iterdir()) == sorted(["key", held.value])
    world.held.clear()
    world.drop()
    world.assert_done()


def test_a_hold_that_comes_in_between_stops_what_is_left(world: World) -> None:
    """What had left the log is not deleted before the hold ends."""
    steps = 0
    while not list(world.data.glob(".dropped-*")):
        with pytest.raises(Crash):
            world.drop(Failing(steps))
        steps += 1
    (away,) = world.data.glob(".dropped-*")
    stream = away.name.removeprefix(".dropped-").removesuffix(f"-{OLD}")
    world.held[f"{stream}/{OLD}"] = ("1",)
    world.drop()
    assert away.is_dir()
    assert (away / "checkpoint").exists()
    assert (world.data / "clients" / OLD / "key").exists()
    world.held.clear()
    world.drop()
    world.assert_done()


def test_a_hold_that_comes_while_it_is_recorded_is_heeded(world: World) -> None:
    """The log stays whole, with its addresses; when it is released it goes, without another entry."""

    def publish(entry: LogEntry) -> None:
        world.publish(entry)
        if entry.object == f"change/{OLD}":
            world.held[entry.object] = ("1",)

    whole = world.tree(Stream.CHANGE, OLD)
    told = drop_due(world.data, world.judge, publish, Failing())
    assert (set(told.logs), told.problems) == (NAMES - {f"change/{OLD}"}, ())
    assert world.tree(Stream.CHANGE, OLD) == whole
    assert sorted(path.name for path in (world.data / "clients" / OLD).iterdir()) == ["change", "key"]
    world.held.clear()
    assert world.drop().logs == (f"change/{OLD}",)
    world.assert_done()


def test_a_month_that_is_not_final_stays(tmp_path: Path) -> None:
    """None follows it: the next one would begin with its checkpoint."""
    LogFolder(tmp_path / "log", Stream.CHANGE, OLD)
    published: list[LogEntry] = []
    clocks = Clocks(NOW, NOW)
    told = drop_due(tmp_path, lambda stream, month: judge(stream, month, 6, clocks), published.append, Files())
    assert (told.logs, published) == ((), [])
    assert "not final" in told.problems[0]
    assert (tmp_path / "log" / "change" / OLD / "checkpoint").exists()


@pytest.mark.parametrize("octets", [b"", b"\xff\xfe", b"x\n\n", b"a\nb\nc\n\n\xe2\x80\x94 x AAAA\n"])
def test_a_checkpoint_that_cannot_be_read_is_told_of(world: World, octets: bytes) -> None:
    """Nothing of that log goes, nor what leads to its addresses; the others do."""
    (world.data / "log" / "change" / OLD / "checkpoint").write_bytes(octets)
    told = world.drop()
    assert set(told.logs) == NAMES - {f"change/{OLD}"}
    assert len(told.problems) == 1
    assert f"change/{OLD}" in told.problems[0]
    assert (world.data / "clients" / OLD / "change").exists()
    assert (world.data / "clients" / OLD / "key").exists()


def test_a_link_in_the_place_of_a_month_is_told_of(world: World, tmp_path: Path) -> None:
    folder = world.data / "log" / "change" / OLD
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    (world.data / "clients" / OLD / "change").unlink()
    (problem,) = world.drop().problems
    assert "symbolic link" in problem
    assert (world.data / "clients" / OLD / "key").exists(), "its hashes are still there"
    assert (tmp_path / "elsewhere" / "checkpoint").exists()


def test_what_is_no_month_is_let_alone(world: World) -> None:
    """Whatever else lies there; a month beyond all time is told of."""
    for name in ("log/change/lost+found", "log/change/9999-12", "clients/x", ".dropped-x", ".dropped-change-2026"):
        (world.data / name).mkdir()
    told = world.drop()
    assert set(told.logs) == NAMES
    assert [problem.partition(":")[0] for problem in told.problems] == ["change/9999-12"]
    assert (world.data / ".dropped-x").is_dir()


def test_the_newest_month_is_that_of_what_is_published(world: World) -> None:
    """A folder without a checkpoint is none."""
    (world.data / "log" / "change" / "2027-01").mkdir()
    assert newest_month(world.data / "log") == OPEN
    assert newest_month(world.data / "nothing") is None


def test_a_size_is_what_the_disk_gives(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(os.urandom(100_000))
    assert size_on_disk(tmp_path / "a") >= 100_000
    assert size_on_disk(tmp_path / "a" / "b") >= 100_000
    assert size_on_disk(tmp_path / "none") == 0

"""Each step of the sequencer fails, in each way: docs/explanation/log-publication.md is the table, and this its proof.

A scenario of several rounds is run once for each of its steps and each way of failing: before the step is done, after
it is done, with half of the content written on a full disk, and with the power going, which takes every name that was
not synced. Then it goes on, by the same object or by a new one. At the end everything that went in is in the logs
exactly once and in order, and nothing that was ever published is contradicted.
"""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from audit import files as files_module
from audit.files import Files
from core.clock import Millis, month_start
from core.errors import StoreError
from core.store.log_queue import LogQueue
from core.store.log_rows import LogEntry, LogRow
from core.streams import Stream
from tests.kit.sequencing import (
    Rows,
    Segment,
    Watching,
    assert_consistent,
    assert_nothing_is_left_over,
    entry_of,
    logged,
    run_out,
    sequencer_of,
)

OCTOBER: Final = month_start("2026-10")
NOVEMBER: Final = month_start("2026-11")
SECOND: Final = 1_000
WAYS: Final = ("not persisted", "persisted", "torn", "power")
PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "log-publication.md"


class StepError(OSError):
    """The step that was to fail."""


class Steps:
    """Counts steps and fails one of them. ``log``: what each was."""

    def __init__(self, fails: int, way: str) -> None:
        self.fails = fails
        self.way = way
        self.log: list[str] = []

    def step(self, name: str, do: Callable[[], object], half: Callable[[], object] | None = None) -> None:
        self.log.append(name)
        if len(self.log) - 1 != self.fails:
            do()
            return
        if self.way == "persisted":
            do()
        elif self.way == "torn" and half is not None:
            half()
        raise StepError(errno.ENOSPC if self.way == "torn" else errno.EIO, f"{name} was to fail")


class FailingFiles(Watching):
    """Files whose steps are counted, and whose names are lost with the power until their folder is synced."""

    def __init__(self, data: Path, steps: Steps) -> None:
        super().__init__({}, [])
        self.data = data
        self.steps = steps
        self.durable: dict[Path, dict[str, Path | None]] = {}
        self.shadow = data.with_name("shadow")
        self.shadow.mkdir()

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> Path:
        self.steps.step(
            f"write {self._kind(path)}",
            lambda: Files.write(self, path, data, mode),
            lambda: Files.write(self, path, data[: len(data) // 2], mode),
        )
        return path.with_name(f".{path.name}.new")

    def rename(self, beside: Path, path: Path) -> None:
        self.steps.step(f"rename {self._kind(path)}", lambda: Watching.rename(self, beside, path))

    def sync_folder(self, folder: Path) -> None:
        def sync() -> None:
            Files.sync_folder(self, folder)
            self.keep(folder)

        self.steps.step(f"sync {self._kind(folder)}", sync)

    def make_folder(self, folder: Path, mode: int = 0o755) -> None:
        if folder.is_dir():
            Files.make_folder(self, folder, mode)
        else:
            self.steps.step(f"make {self._kind(folder)}", lambda: Files.make_folder(self, folder, mode))

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        self.steps.step(
            "write side",
            lambda: Files.write_at(self, path, offset, data),
            lambda: Files.write_at(self, path, offset, data[: len(data) // 2]),
        )

    def remove(self, path: Path) -> None:
        self.steps.step(f"remove {self._kind(path)}", lambda: Files.remove(self, path))

    def _kind(self, path: Path) -> str:
        parts = path.relative_to(self.data).parts
        if not parts:
            return "data"
        if parts[0] == "log" and len(parts) > 3:
            return {"checkpoint": "checkpoint", "vkey": "vkey"}.get(
                parts[3], "tile" if len(parts) < 5 else f"tile/{parts[4]}"
            )
        if parts[0] == "clients" and len(parts) > 2:
            return "key"
        return {1: parts[0], 2: parts[0], 3: "month"}[len(parts)]

    # --- power ---
    def keep(self, folder: Path) -> None:
        """Have the names of a folder survive a loss of power, with what is behind them."""
        names: dict[str, Path | None] = {}
        for path in folder.iterdir():
            link: Path | None = None
            if not path.is_dir():
                link = self.shadow / str(path.stat().st_ino)
                if not link.exists():
                    os.link(path, link)
            names[path.name] = link
        self.durable[folder] = names

    def lose_power(self, chance: random.Random) -> None:
        """Take the names that no sync made durable, or half of them: nobody knows which."""
        self._lose(self.data, chance.choice([0.0, 0.5]), chance)

    def _lose(self, folder: Path, survive: float, chance: random.Random) -> None:
        names = self.durable.get(folder, {})
        for path in list(folder.iterdir()):
            if path.name not in names and chance.random() >= survive:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, link in names.items():
            path = folder / name
            if link is None:
                path.mkdir(exist_ok=True)
            elif not (path.exists() and path.samefile(link)) and chance.random() >= survive:
                path.unlink(missing_ok=True)
                os.link(link, path)
        for path in folder.iterdir():
            if path.is_dir():
                self._lose(path, survive, chance)


class FailingQueue(LogQueue):
    """A queue whose calls are steps, too."""

    def __init__(self, rows: Rows, steps: Steps) -> None:
        super().__init__(rows.store)
        self.steps = steps

    def read(self, after: int, count: int) -> list[tuple[int, LogRow]]:
        found: list[tuple[int, LogRow]] = []
        self._step("read queue", lambda: found.extend(LogQueue.read(self, after, count)))
        return found

    def remove(self, number: int) -> None:
        self._step("remove queue", lambda: LogQueue.remove(self, number))

    def _step(self, name: str, do: Callable[[], object]) -> None:
        try:
            self.steps.step(name, do)
        except StepError as error:
            raise StoreError(str(error)) from None


class Scenario:
    """Rounds over two months: full tiles, side tables, segments and rows that are taken away, a late entry."""

    def __init__(self, data: Path, fails: int, way: str, *, fresh: bool, chance: random.Random) -> None:
        data.mkdir()
        self.data = data
        self.chance = chance
        self.fresh = fresh
        self.steps = Steps(fails, way)
        self.rows = Rows()
        self.rows.queue = FailingQueue(self.rows, self.steps)
        self.files = FailingFiles(data, self.steps)
        self.sequencer = sequencer_of(data, self.rows, self.files)
        self.asked: list[str] = []
        self.acts: list[str] = []
        self.notes: list[tuple[str, int]] = []
        self.segments = {name: self.segment(name, OCTOBER) for name in ("worker-0", "worker-1")}

    def segment(self, worker: str, at_ms: int) -> Segment:
        segment = Segment(self.data, worker, at_ms)
        self.files.keep(self.data)
        self.files.keep(self.data / "spool")
        return segment

    def turns(self, worker: str, begin_ms: int, count: int) -> None:
        """A turn a second, each a block of its own."""
        for number in range(count):
            names = [f"{worker}/{begin_ms}/{number}"]
            self.segments[worker].add(begin_ms + 2 * SECOND * number, *names)
            self.asked += names

    def act(self, at_ms: int, count: int, stream: Stream = Stream.REGISTRATION) -> None:
        names = [f"{stream.value}/{at_ms}/{number}" for number in range(count)]
        self.rows.add(at_ms, *(entry_of(name, stream) for name in names))
        self.acts += names

    def note(self, name: str, at_ms: int) -> None:
        self.notes.append((name, at_ms))
        self._note(name, at_ms)

    def _note(self, name: str, at_ms: int) -> None:
        entry = LogEntry(Stream.MAINTENANCE.value, "note", name)
        self.sequencer.note(entry, Millis(at_ms), (name, "noted"))

    def rounds(self, now_ms: int) -> None:
        """Run rounds until nothing waits; go on after the failure."""
        try:
            run_out(self.sequencer, now_ms)
        except (StepError, StoreError):
            self._go_on()
            run_out(self.sequencer, now_ms)
            self._note_again()
            run_out(self.sequencer, now_ms)

    def _go_on(self) -> None:
        power = self.steps.way == "power"
        if self.fresh or power:
            self.sequencer.close()
            if power:
                self.files.lose_power(self.chance)
            self.sequencer = sequencer_of(self.data, self.rows, self.files)

    def _note_again(self) -> None:
        """What a keeper does that was started again: note what is not marked."""
        if self.fresh or self.steps.way == "power":
            for name, at_ms in self.notes:
                if name not in self.sequencer.marks:
                    self._note(name, at_ms)

    def run(self) -> None:
        now = OCTOBER + 86_400 * SECOND
        self.act(now, 3)
        self.turns("worker-0", now, 2)
        self.note("note-1", now)
        self.rounds(now + SECOND)
        self.act(now + SECOND, 260)  # a tile becomes full, and its partial one goes
        self.act(now + SECOND, 2, Stream.CHANGE)
        self.turns("worker-1", now + 2 * SECOND, 258)
        self.rounds(now + 600 * SECOND)
        self.segments["worker-0"].end()  # read to its end: it goes
        self.segments["worker-0"] = self.segment("worker-0", now + 700 * SECOND)
        self.turns("worker-0", now + 700 * SECOND, 1)
        self.rounds(now + 702 * SECOND)
        self.turns("worker-1", NOVEMBER - 2 * SECOND, 3)  # the last two are of November
        self.act(NOVEMBER - 1, 1)
        self.act(NOVEMBER, 1)
        self.note("note-2", NOVEMBER + SECOND)
        self.rounds(NOVEMBER + 3 * SECOND)
        self.segments["worker-0"].add(NOVEMBER - SECOND, "late")
        self.asked.append("late")
        for segment in self.segments.values():
            segment.end()
        self.rounds(NOVEMBER + 5 * SECOND)
        self.rounds(NOVEMBER + 6 * SECOND)

    def check(self) -> None:
        found = logged(self.data)
        assert sorted(found.resolutions) == sorted(self.asked)
        for worker in ("worker-0", "worker-1"):
            mine = [name for name in found.resolutions if name.startswith(worker)]
            assert mine == [name for name in self.asked if name.startswith(worker)]
        acts = [name for act, name in found.all_acts if act == "record.create"]
        assert sorted(acts) == sorted(self.acts)
        for stream in (Stream.REGISTRATION, Stream.CHANGE):
            mine = [name for name in self.acts if name.startswith(stream.value)]
            assert [name for _, name in found.acts[stream]] == mine
        notes = [name for act, name in found.all_acts if act == "note"]
        assert notes == [name for name, _ in self.notes]
        assert_consistent(self.files.checkpoints)
        assert_nothing_is_left_over(self.data, partial=self.steps.way == "power")  # what was removed may be back
        assert not LogQueue(self.rows.store).read(0, 1)
        assert not list((self.data / "spool").iterdir())
        self.sequencer.close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sync makes durable is modelled here: the real one only takes time."""
    monkeypatch.setattr(files_module.os, "fsync", lambda _: None)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of files are made."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def steps_to_fail(log: Sequence[str], chance: random.Random, *, first: bool) -> list[int]:
    """Return numbers of steps: of each kind the first, or one by chance; all of them for `make fuzz`."""
    if os.environ.get("SALTERN_FUZZ"):
        return list(range(len(log)))
    chosen: set[int] = set()
    for kind in set(log):
        places = [number for number, each in enumerate(log) if each == kind]
        chosen.add(places[0] if first else chance.choice(places))
    return sorted(chosen)


def run_one(folder: Path, fails: int, way: str, *, fresh: bool, chance: random.Random) -> list[str]:
    """Run the scenario with one step failing, and check it; return its steps."""
    place = folder / str(fails)
    place.mkdir()
    scenario = Scenario(place / "data", fails, way, fresh=fresh, chance=chance)
    try:
        scenario.run()
        scenario.check()
    except BaseException as error:
        error.add_note(f"step {fails}: {scenario.steps.log[fails]}")
        raise
    shutil.rmtree(place)
    return scenario.steps.log


def test_the_page_names_every_step(folder: Path) -> None:
    """Each by the word that is used here, and no other one."""
    steps = run_one(folder, -1, "", fresh=False, chance=random.Random(0))
    named = set(re.findall(r"^\| `([a-z/0-9. ]+)` ", PAGE.read_text(), re.MULTILINE))
    assert {step.replace("tile/2", "tile/1") for step in steps} == named


@pytest.mark.parametrize(
    ("way", "fresh"),
    [(way, fresh) for way in WAYS for fresh in (False, True) if fresh or way != "power"],
)
def test_whatever_step_fails_everything_is_logged_once(folder: Path, way: str, fresh: bool, seed: int) -> None:
    """And no published octet is ever another one. ``fresh``: a new sequencer goes on, as after a crash."""
    chance = random.Random(seed)
    steps = run_one(folder, -1, "", fresh=False, chance=chance)
    chosen = steps_to_fail(steps, chance, first=fresh)
    for number in chosen:
        run_one(folder, number, way, fresh=fresh, chance=chance)
    assert len(chosen) > 20

"""The keeper's side of the logs: what the node writes about itself, once, and what it says when they fail."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from audit.dropping import Dropped
from audit.files import Files
from audit.places import LOCK, PENDING
from audit.sequencer import Sequencer
from core import limits
from core.clock import Millis, month_start
from core.config import Config, load
from core.streams import Stream
from node import log_keeper
from node.log_keeper import Clocks, ClockWatch, LogKeeper, config_digest
from tests.kit.node import Node
from tests.kit.sequencing import Rows, entry_of, leaves_of, logged, months_of, sequencer_of
from tests.kit.worker_kills import process_with

NOVEMBER = month_start("2026-11")


class Time:
    """The time of day, and a clock that never jumps."""

    def __init__(self) -> None:
        self.now_ms = NOVEMBER + 5_000_000
        self.monotonic_s = 100.0

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: Millis(self.now_ms), lambda: self.monotonic_s)

    def go_on(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1_000)
        self.monotonic_s += seconds


class Bench(NamedTuple):
    """A keeper with everything behind it. ``failed``: an item a round that failed."""

    time: Time
    rows: Rows
    sequencer: Sequencer
    keeper: LogKeeper
    failed: list[None]
    data: Path

    def said(self) -> list[tuple[str, str | None]]:
        """Return acts of the maintenance log, with their reasons."""
        found = []
        for month in months_of(self.data, Stream.MAINTENANCE):
            found += [json.loads(leaf) for leaf in month.leaves if leaf[:1] == b"{"]
        return [(each["act"], each["res"]["reason"]) for each in found if each["act"] != "log.begin"]


def bench(data: Path, files: Files | None = None, time: Time | None = None) -> Bench:
    time, rows = time or Time(), Rows()
    sequencer = sequencer_of(data, rows, files)
    failed: list[None] = []
    keeper = LogKeeper(sequencer, time.clocks, lambda *_: Dropped((), ()), lambda: failed.append(None))
    return Bench(time, rows, sequencer, keeper, failed, data)


def config(tmp_path: Path, **settings: str) -> Config:
    path = tmp_path / "node.toml"
    path.write_text('[node]\nprefix = "88.118"\n')
    return load(path, [f"{name.replace('__', '.')}={value}" for name, value in settings.items()])


def test_the_clock_that_jumps_is_noticed_and_one_that_goes_on_is_not() -> None:
    """By either way, beyond CLOCK_STEP_MS; each jump once."""
    time = Time()
    watch = ClockWatch(time.clocks)
    time.go_on(86_400.0)
    assert watch.step_ms() == 0
    for step_ms in (3_600_000, -3_600_000, 31 * 86_400_000, -31 * 86_400_000, limits.CLOCK_STEP_MS):
        time.now_ms += step_ms
        time.go_on(1.0)
        assert (watch.step_ms(), watch.step_ms()) == (step_ms, 0)
    time.now_ms += limits.CLOCK_STEP_MS - 1
    assert watch.step_ms() == 0


def test_what_the_node_does_is_written_down_once(tmp_path: Path) -> None:
    """The start although the keeper is started again, also if it was killed before anything was published."""
    settings = config(tmp_path)
    for _ in range(2):  # killed behind its first round
        one = bench(tmp_path)
        one.keeper.begin(settings, "first")
        one.sequencer.close()
    for _ in range(2):
        one = bench(tmp_path)
        one.keeper.begin(settings, "second")
        one.keeper.run()
        one.sequencer.close()
    starts = [act for act, _ in one.said()]
    assert starts == ["node.start", "node.start"]
    changes = [act for act, _ in logged(tmp_path).acts[Stream.CHANGE]]
    assert changes == ["configuration.change"]


def test_the_configuration_is_told_when_it_changes(tmp_path: Path) -> None:
    """By digests, before and after."""
    digests = []
    for name in ("a.example", "a.example", "b.example"):
        one, settings = bench(tmp_path), config(tmp_path, node__public_url=f"https://{name}")
        one.keeper.begin(settings, "x")
        one.sequencer.close()
        digests.append(config_digest(settings))
    (month,) = months_of(tmp_path, Stream.CHANGE)
    told = [json.loads(leaf) for leaf in month.leaves[1:]]
    assert [(each["before"], each["after"]) for each in told] == [(None, digests[0]), (digests[0], digests[2])]


def test_a_clock_behind_the_newest_entry_is_told(tmp_path: Path) -> None:
    """At the start, and when it jumps while the node runs."""
    settings, time = config(tmp_path), Time()
    one = bench(tmp_path, time=time)
    one.keeper.begin(settings, "x")
    time.now_ms -= 3_600_000
    one.keeper.run()
    one.sequencer.close()
    time.now_ms -= 60_000
    two = bench(tmp_path, time=time)
    two.keeper.begin(settings, "x")
    assert [(act, reason) for act, reason in two.said() if act != "node.start"] == [
        ("clock.step", "-3600000 ms"),
        ("clock.behind", "3660000 ms before the newest entry"),
    ]


class FullDisk(Files):
    """Nothing can be written while ``full``."""

    full = True

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> Path:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(path, data, mode)


def test_a_failure_is_said_once_and_said_to_be_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each round that fails is counted; what waits is published then, and the beginning is noted once."""
    disk = FullDisk()
    one = bench(tmp_path, disk)
    one.keeper.begin(config(tmp_path), "x")
    one.rows.add(one.time.now_ms, entry_of("act"))
    for _ in range(5):
        one.time.go_on(1.0)
        one.keeper.run()
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    assert "No space left" in caplog.text
    assert len(one.failed) == 6
    disk.full = False
    one.keeper.run()
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL, logging.WARNING]
    assert [act for act, _ in one.said()] == ["node.start"]
    assert logged(tmp_path).acts[Stream.REGISTRATION] == [("record.create", "act")]
    assert [act for act, _ in logged(tmp_path).acts[Stream.CHANGE]] == ["configuration.change"]


_HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.write(1, b".")
sys.stdin.read()
"""


def test_a_second_keeper_is_named_and_writes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another process has the lock; once it ends, this one goes on, and notes nothing that it did not know."""
    settings = config(tmp_path)
    one = bench(tmp_path)
    one.keeper.begin(settings, "first")
    one.sequencer.close()
    before = (tmp_path / PENDING).read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path / LOCK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.read(1) == b"."
        two = bench(tmp_path)
        two.keeper.begin(settings, "first")
        two.rows.add(two.time.now_ms, entry_of("act"))
        two.keeper.run()
        assert "Another process writes the logs" in caplog.text
        assert (tmp_path / PENDING).read_bytes() == before
        holder.kill()
    two.keeper.run()
    assert logged(tmp_path).acts[Stream.REGISTRATION] == [("record.create", "act")]
    assert [act for act, _ in logged(tmp_path).acts[Stream.CHANGE]] == ["configuration.change"]
    assert [act for act, _ in two.said()] == ["node.start"]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda data: (data / PENDING).unlink(), "is not there, but logs are"),
        (lambda data: (data / PENDING).write_bytes(b"x"), "is damaged"),
        (lambda data: _newest(data, "checkpoint").write_bytes(b"x"), "is damaged"),
        (lambda data: _newest(data, "checkpoint").unlink(), "has 0 entries"),
        (lambda data: _newest(data, "tile/0/000.p/2").write_bytes(bytes(64)), "is damaged"),
        (lambda data: _newest(data, "tile/entries/000.p/2").unlink(), "is damaged"),
        (lambda data: (data / "clients" / "2026-11" / "key").write_bytes(b"x"), "key is damaged"),
    ],
    ids=["no pending", "pending", "checkpoint", "no checkpoint", "tile", "no entries", "key"],
)
def test_what_was_altered_needs_a_person(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: object, said: str
) -> None:
    """It is named, and nothing is published until what was there is put back."""
    settings = config(tmp_path)
    one = bench(tmp_path)
    one.keeper.begin(settings, "x")
    one.sequencer.close()
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    harm(tmp_path)  # type: ignore[operator]
    harmed = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    two = bench(tmp_path)
    two.rows.add(two.time.now_ms, entry_of("act"))
    two.keeper.begin(settings, "x")
    assert said in caplog.text
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == harmed
    for path, octets in whole.items():
        path.write_bytes(octets)
    two.keeper.run()
    assert logged(tmp_path).acts[Stream.REGISTRATION] == [("record.create", "act")]


def _newest(data: Path, name: str) -> Path:
    return data / "log" / "maintenance" / "2026-11" / name


def test_a_checkpoint_that_was_rolled_back_is_not_gone_on_from(tmp_path: Path) -> None:
    """Two checkpoints of which one is not the beginning of the other would be a fork."""
    one = bench(tmp_path)
    one.keeper.begin(config(tmp_path), "x")
    path = _newest(tmp_path, "checkpoint").parents[1].parent / "registration" / "2026-11" / "checkpoint"
    old = path.read_bytes()
    one.rows.add(one.time.now_ms, entry_of("act"))
    one.keeper.run()
    one.rows.add(one.time.now_ms, entry_of("change", Stream.CHANGE))
    one.keeper.run()
    one.sequencer.close()
    path.write_bytes(old)
    two = bench(tmp_path)
    two.keeper.begin(config(tmp_path), "x")
    assert len(two.failed) == 1
    assert path.read_bytes() == old


def test_the_end_is_written_down(tmp_path: Path) -> None:
    """Behind what came last."""
    one = bench(tmp_path)
    one.keeper.begin(config(tmp_path), "x")

    async def keep() -> None:
        stopping = asyncio.Event()
        stopping.set()
        await one.keeper.keep(stopping)

    asyncio.run(keep())
    assert [act for act, _ in one.said()] == ["node.start", "node.stop"]


def test_another_key_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the digests of both; the first one of a node is none that was exchanged."""
    for start, key in (("first", b"a"), ("second", b"a"), ("third", b"b")):
        monkeypatch.setattr(log_keeper, "public_key", lambda _, key=key: key * 32)
        one = bench(tmp_path)
        one.keeper.begin(config(tmp_path), start)
        one.sequencer.close()
    assert [act for act, _ in one.said()] == ["node.start", "node.start", "node.start", "node.key"]


def test_a_node_tells_its_start_once_and_its_stop(tmp_path: Path) -> None:
    """A real one, whose keeper is killed twice."""
    with Node(tmp_path / "node", "88.118.7") as node:
        for kills in (1, 2):
            os.kill(process_with(node, "log.lock"), signal.SIGKILL)
            while node.log().count("is ready again") < kills:
                assert node.process is not None
                assert node.process.poll() is None
        assert node.stop() == 0
    acts = []
    for folder in sorted((node.folder / "data" / "log" / "maintenance").iterdir()):
        size = int((folder / "checkpoint").read_text().splitlines()[1])
        acts += [json.loads(leaf)["act"] for leaf in leaves_of(folder, size) if leaf[:1] == b"{"]
    assert [act for act in acts if act.startswith("node.")] == ["node.start", "node.stop"]

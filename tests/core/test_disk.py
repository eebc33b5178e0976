"""The disk guard: what is free, of which disks, how often it is asked; settings that belong together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from core import limits
from core.config import load
from core.disk import DiskGuard, free_bytes
from core.errors import ConfigError


class Disk:
    """A disk whose room a test sets; ``asked`` counts."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.asked = 0
        self.now_s = 0.0

    def free(self, _: Sequence[Path]) -> int:
        self.asked += 1
        return self.room

    def guard(self, below: int) -> DiskGuard:
        return DiskGuard((), below, lambda: self.now_s, self.free)


def test_room_is_what_is_not_below_the_bound() -> None:
    """To the octet; without a bound nobody asks."""
    for room, has in ((99, False), (100, True), (101, True)):
        assert Disk(room).guard(100).has_room() is has
    disk = Disk(0)
    assert disk.guard(0).has_room()
    assert not disk.asked


def test_the_disk_is_asked_again_after_a_while_and_not_before() -> None:
    """However often a request asks; then what has changed counts, both ways."""
    disk = Disk(100)
    guard = disk.guard(100)
    for _ in range(1_000):
        assert guard.has_room()
    assert disk.asked == 1
    disk.room = 99
    disk.now_s = limits.DISK_LOOK_S * 0.99
    assert guard.has_room()
    disk.now_s = limits.DISK_LOOK_S
    assert not guard.has_room()
    disk.room = 100
    disk.now_s = 2 * limits.DISK_LOOK_S
    assert guard.has_room()
    assert disk.asked == 3


def test_the_fullest_disk_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not there yet lies where the one above it does; one that cannot be asked has no room."""
    here = os.statvfs(tmp_path)
    assert abs(free_bytes([tmp_path, tmp_path / "no" / "such"]) - here.f_bavail * here.f_frsize) < 1 << 30
    rooms = {tmp_path / "a": 7, tmp_path / "b": 5}

    class Told:
        def __init__(self, blocks: int) -> None:
            self.f_bavail, self.f_frsize, self.f_bfree = blocks, 10, blocks + 1

    monkeypatch.setattr("core.disk.os.statvfs", lambda path: Told(rooms[path]))
    assert free_bytes(list(rooms)) == 50

    def broken(_: Path) -> Told:
        raise PermissionError

    monkeypatch.setattr("core.disk.os.statvfs", broken)
    assert free_bytes(list(rooms)) == 0


def settings(folder: Path, *overrides: str) -> None:
    (folder / "node.toml").write_text("")
    load(folder / "node.toml", overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["log.disk_stop=2", "log.disk_reserve=1"],
        ["log.disk_stop=0", "log.disk_reserve=0"],
        ["log.disk_reserve=0"],
        ["log.retention=6"],
        ["log.origin=id.example.cn"],
        ["log.origin=88.118"],
        ["log.origin=localhost:8000"],
    ],
)
def test_what_the_settings_may_be(tmp_path: Path, overrides: list[str]) -> None:
    settings(tmp_path, *overrides)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["log.disk_stop=2", "log.disk_reserve=2"], "须小于 log.disk_stop"),
        (["log.disk_stop=0"], "registration stops first"),
        (["log.retention=5"], "6 … "),
        (["log.retention=0"], "6 … "),
        (["log.origin=a b"], "log.origin"),
        (["log.origin=a+b"], "log.origin"),
        (["log.origin=https://a.example"], "log.origin"),
        (["log.origin=a.example/"], "log.origin"),
        (['log.origin="' + "a" * 201 + '"'], "log.origin"),
    ],
)
def test_what_they_may_not_be(tmp_path: Path, overrides: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        settings(tmp_path, *overrides)

"""Paths of the published logs: those of the layout, and nothing else, whatever lies on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.published import months_of, open_published, parse_path, vkeys_of
from core import limits

MONTH = "change/2026-11"
GOOD = (
    "checkpoint", "checkpoint.cosigned", "vkey", "tile/0/000", "tile/0/273.p/112", "tile/63/000.p/1",
    "tile/1/x001/x234/067", "tile/entries/000", "tile/entries/x001/000.p/255", "tile/0/000.p/9", "tile/10/000",
)  # fmt: skip
BAD = (
    "", "/", "checkpoint/", "Checkpoint", "pending", "key", "timestamps/1.tsr", "checkpoint.tmp", ".checkpoint",
    "vkey\n",
    "tile", "tile/", "tile/64/000", "tile/00/000", "tile/-1/000", "tile/0/00", "tile/0/0000", "tile/0/001/000",
    "tile/0/x000", "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
    "tile/data/000", "tile/entries/000/", "tile//000", "tile/0/../000", "../2026-10/checkpoint", "tile/0/００0",
    "%63heckpoint", "tile%2F0/000", "tile/0/000?x", "tile/0/000\0", "tile\\0\\000",
)  # fmt: skip


@pytest.mark.parametrize("file", GOOD)
def test_what_is_a_path(file: str) -> None:
    """Checkpoint, key, tiles; only tiles never change."""
    path = parse_path(f"{MONTH}/{file}")
    assert path is not None
    assert (path.stream, path.month, path.file) == ("change", "2026-11", file)
    assert path.tile is file.startswith("tile/")


@pytest.mark.parametrize("file", BAD)
def test_what_is_none(file: str) -> None:
    """Another spelling, another file of the folder, a way out."""
    assert parse_path(f"{MONTH}/{file}") is None


@pytest.mark.parametrize(
    "text", ["change", "change/2026-13/checkpoint", "change/2026-1/vkey", "spool/2026-11/vkey", "pending", "changes/x"]
)
def test_streams_and_months_are_those_of_the_layout(text: str) -> None:
    """No other folder is looked at."""
    assert parse_path(text) is None


@given(st.text(alphabet="./x019tilecheckpointvk-p~%\0", max_size=40))
def test_no_path_leads_out(text: str) -> None:
    """Whatever is read as one has no step that goes up or stays."""
    path = parse_path(f"{MONTH}/{text}")
    if path is not None:
        assert not {"", ".", ".."} & set(path.file.split("/"))


def made(root: Path) -> None:
    for month, name in (("2026-10", "a"), ("2026-11", "b")):
        folder = root / "change" / month
        (folder / "tile" / "0").mkdir(parents=True)
        (folder / "checkpoint").write_text("x")
        (folder / "vkey").write_text(f"node.example/log/change/{month}+{name}\n")
        (folder / "tile" / "0" / "000").write_bytes(b"t" * 8_192)


def read(root: Path, text: str) -> bytes | None:
    path = parse_path(text)
    assert path is not None
    opened = open_published(root, path)
    if opened is None:
        return None
    try:
        return os.pread(opened.descriptor, opened.size_bytes, 0)
    finally:
        os.close(opened.descriptor)


def test_files_are_read_and_what_is_not_there_is_none(tmp_path: Path) -> None:
    """Also where a folder stands in the place of a file, and where there are no logs yet."""
    assert read(tmp_path / "none", f"{MONTH}/checkpoint") is None
    made(tmp_path)
    assert read(tmp_path, f"{MONTH}/tile/0/000") == b"t" * 8_192
    (tmp_path / MONTH / "tile" / "0" / "001").mkdir()
    os.mkfifo(tmp_path / MONTH / "tile" / "0" / "002")
    for file in ("tile/0/001", "tile/0/002", "tile/0/003", "tile/1/000", "checkpoint.cosigned"):
        assert read(tmp_path, f"{MONTH}/{file}") is None


@pytest.mark.parametrize(
    ("link", "file"),
    [("checkpoint", "checkpoint"), ("tile/0/005", "tile/0/005"), ("tile/1", "tile/1/000"), ("tile", "tile/0/000")],
)
def test_no_link_is_followed(tmp_path: Path, link: str, file: str) -> None:
    """Neither as the file nor as a folder on the way."""
    made(tmp_path)
    other = tmp_path / "other"
    (other / "0").mkdir(parents=True)
    for name in ("0/000", "000"):
        (other / name).write_text("secret")
    target = tmp_path / MONTH / link
    if target.exists():
        target.rename(tmp_path / "away")
    target.symlink_to(other if link in ("tile", "tile/1") else other / "000")
    assert read(tmp_path, f"{MONTH}/{file}") is None


def test_months_and_vkeys(tmp_path: Path) -> None:
    """Months that have a checkpoint, in order; each vkey once; links and other names are nothing."""
    assert months_of(tmp_path / "none") == {
        "registration": [], "resolution": [], "maintenance": [], "change": [],
    }  # fmt: skip
    made(tmp_path)
    for name in ("pending", "2026-13", "2026-12"):
        (tmp_path / "change" / name).mkdir()
    (tmp_path / "change" / "2026-09").symlink_to(tmp_path / "change" / "2026-10")
    (tmp_path / "maintenance").symlink_to(tmp_path / "change")
    (tmp_path / "resolution" / "2026-11").mkdir(parents=True)
    (tmp_path / "resolution" / "2026-11" / "checkpoint").write_text("x")
    (tmp_path / "resolution" / "2026-11" / "vkey").write_bytes(b"\xff\n")
    assert months_of(tmp_path) == {
        "registration": [], "resolution": ["2026-11"], "maintenance": [], "change": ["2026-10", "2026-11"],
    }  # fmt: skip
    (tmp_path / "change" / "2026-11" / "vkey").write_text("node.example/log/change/2026-10+a\nother+b\n")
    assert vkeys_of(tmp_path) == ["node.example/log/change/2026-10+a", "other+b"]


def test_nothing_stays_open(tmp_path: Path) -> None:
    """However often it was looked for what is there and what is not."""
    made(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        for text in (f"{MONTH}/checkpoint", f"{MONTH}/tile/7/000", f"{MONTH}/tile/0/009", "resolution/2026-11/vkey"):
            read(tmp_path, text)
        months_of(tmp_path)
        vkeys_of(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_list_of_months_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are told."""
    made(tmp_path)
    monkeypatch.setattr(limits, "LOG_MONTHS_MAX", 1)
    assert months_of(tmp_path)["change"] == ["2026-11"]

"""Every file in the folder of a month: which belong there, partial ones that were left, and what nobody signed.

A partial tile may stay when a fuller one is there: it must agree with it. What lies behind the checkpoint is covered
by no signature: a log that is copied while it grows has that, and so has one whose checkpoint was put back. In the
newest month it is a note, in a month that is over a problem.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from audit.merkle import HASH_BYTES
from audit.tile import WIDTH, Address, TileError, bundle_path, parse_path, tile_path
from audit.verify.findings import Findings
from audit.verify.month import BUNDLE_BYTES_MAX, TILE_BYTES
from audit.verify.place import MissingError, Place, UnreadError

FILES: Final = frozenset({"checkpoint", "checkpoint.cosigned", "vkey"})
DEPTH_MAX: Final = 9  # folders below a month's: tile, level, five groups of digits, .p
_TIMESTAMP: Final = re.compile(r"timestamps/(?:0|[1-9][0-9]{0,18})\.tsr")
_UNFINISHED: Final = re.compile(r"\.[0-9a-z.]{1,24}\.new")  # as audit/files.py calls it
_STRANGE: Final = (
    "文件名不属于日志的格式：此文件不受检查",
    "a file of this name is no part of a log: nothing vouches for it",
)


class Beyond:
    """How far files reach behind the checkpoint. ``last``: leaves that they would make."""

    def __init__(self) -> None:
        self.files = 0
        self.last = 0
        self.first = ""


def look_over(place: Place, size: int, findings: Findings) -> Beyond:
    """Look at every file of a month whose tree has been read. Memory: one bundle."""
    beyond = Beyond()
    if place.folder is None:
        return beyond
    looking = _Looking(place, size, findings, beyond)
    for path in _files(place.folder, "", findings, place.label, 0):
        if path in FILES or _TIMESTAMP.fullmatch(path):
            continue
        try:
            address = parse_path(path)
        except TileError:
            _tell_stranger(path, place.label, findings)
            continue
        looking.take(path, address)
    return beyond


def _tell_stranger(path: str, label: str, findings: Findings) -> None:
    """Tell of a file that is none of a log. One that was being written is only noted: its name leads nowhere."""
    name = path.rpartition("/")[2]
    if _UNFINISHED.fullmatch(name):
        findings.note(f"{label}/{path}：未写完的临时文件", f"{label}/{path}: a file that was being written")
    else:
        findings.problem(f"{label}/{path}", *_STRANGE)


def _files(folder: Path, below: str, findings: Findings, label: str, depth: int) -> Iterator[str]:
    """Yield the paths of all files, those of one folder in order of their names."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.is_dir()) for entry in found)
    except OSError as error:
        findings.problem(f"{label}/{below}", f"目录无法读取（{error}）", f"the folder cannot be read ({error})")
        return
    for name, is_folder in entries:
        path = below + name
        if not is_folder:
            yield path
        elif depth < DEPTH_MAX:
            yield from _files(folder / name, f"{path}/", findings, label, depth + 1)
        else:
            findings.problem(f"{label}/{path}", *_STRANGE)


class _Looking:
    """Compares what is left over. The fuller file of a tile is read once for all that is left of it."""

    def __init__(self, place: Place, size: int, findings: Findings, beyond: Beyond) -> None:
        self._place, self._size, self._findings, self._beyond = place, size, findings, beyond
        self._of = ""
        self._octets: bytes | None = None

    def take(self, path: str, address: Address) -> None:
        """Look at one tile or bundle."""
        level = address.level or 0
        count = self._size >> 8 * level
        there = min(count - address.number * WIDTH, WIDTH)
        if address.width > there:
            self._is_beyond(path, address, level)
        if there <= 0 or address.width == there:
            return
        reference = self._reference(address, there)
        if reference is None:
            return  # told when the tree was read
        try:
            octets = self._place.read(path, BUNDLE_BYTES_MAX if address.level is None else TILE_BYTES)
        except MissingError:
            return  # the log grows, and a fuller one has taken its place
        except UnreadError as error:
            self._findings.problem(f"{self._place.label}/{path}", error.zh, error.en)
            return
        if not self._agrees(octets, reference, address, there):
            self._findings.problem(
                f"{self._place.label}/{path}", "遗留的不完整文件与后来的文件不符：其中之一被改动",
                "this partial file does not agree with the fuller one: one of the two was altered",
            )  # fmt: skip

    def _is_beyond(self, path: str, address: Address, level: int) -> None:
        self._beyond.files += 1
        self._beyond.first = self._beyond.first or path
        self._beyond.last = max(self._beyond.last, (address.number * WIDTH + address.width) << 8 * level)

    def _reference(self, address: Address, width: int) -> bytes | None:
        """Return the octets that the checkpoint covers, of the same tile."""
        level, number, _ = address
        path = bundle_path(number, width) if level is None else tile_path(level, number, width)
        full = bundle_path(number) if level is None else tile_path(level, number)
        if path != self._of:
            self._of, self._octets = path, None
            for each in dict.fromkeys((path, full)):
                try:
                    self._octets = self._place.read(each, BUNDLE_BYTES_MAX if level is None else TILE_BYTES)
                    break
                except UnreadError:
                    continue
        return self._octets

    def _agrees(self, octets: bytes, reference: bytes, address: Address, there: int) -> bool:
        """Whether a file has what it must: its own number of hashes or entries, as far as both go the same."""
        common = min(address.width, there)
        if address.level is None:
            end = _span(octets, common)
            whole = address.width > there or end == len(octets)
            return whole and end > 0 and _span(reference, common) == end and octets[:end] == reference[:end]
        end = common * HASH_BYTES
        return len(octets) == address.width * HASH_BYTES and octets[:end] == reference[:end]


def _span(bundle: bytes, entries: int) -> int:
    """Return where so many entries of a bundle end; 0 where it is too short."""
    at = 0
    for _ in range(entries):
        if at + 2 > len(bundle):
            return 0
        at += 2 + int.from_bytes(bundle[at : at + 2])
    return at if at <= len(bundle) else 0

"""One month of one stream: the root over all entries, then the tiles, then every other file in the folder.

1. Each bundle of entries is read once and hashed. What grows out of the hashes is compared with the tiles.
2. What is kept: the right edge of the tree, one bundle. Memory is flat, whatever the size.
3. A bundle that cannot be read is a problem; to find more of them, the hashes of its tile stand in for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from audit.merkle import HASH_BYTES
from audit.tile import ENTRY_BYTES_MAX, WIDTH, Edge, bundle_path, tile_path
from audit.verify.findings import Findings
from audit.verify.leaves import Drop, Leaves
from audit.verify.place import MissingError, Place, UnreadError

BUNDLE_BYTES_MAX: Final = WIDTH * (2 + ENTRY_BYTES_MAX)
TILE_BYTES: Final = WIDTH * HASH_BYTES
LOST_MAX: Final = 200  # bundles that cannot be read, until a month is given up
SHOWN_MAX: Final = 3  # of many that differ in one tile


class Tree(NamedTuple):
    """What the entries of a month make. ``whole``: all of them could be read; ``roots``: at the sizes asked for."""

    root: bytes
    whole: bool
    roots: dict[int, bytes]
    entries: int
    begins: bool
    previous: bytes | None
    drops: list[Drop]


def read_tree(place: Place, size: int, stream: str, sizes: Iterable[int], findings: Findings) -> Tree:
    """Read all entries of a month and compare its tiles with them. ``sizes``: of which the roots are wanted."""
    reading = _Reading(place, size, stream, findings)
    roots: dict[int, bytes] = {}
    wanted = sorted(each for each in set(sizes) if 0 < each <= size)
    for number in range(-(-size // WIDTH)):
        if reading.lost > LOST_MAX:
            findings.problem(
                f"{place.label} index {number * WIDTH}", "缺失的文件太多，其后不再检查",
                "too many files are missing; nothing behind this was looked at",
            )  # fmt: skip
            break
        width = min(size - number * WIDTH, WIDTH)
        hashes = reading.bundle(number, width)
        start = number * WIDTH
        while wanted and wanted[0] <= start + width:
            asked = wanted.pop(0)
            roots[asked] = reading.edge.grow(hashes[: asked - start])[0].root()
        reading.grow(hashes)
    else:
        reading.end()
    leaves = reading.leaves
    root = reading.edge.root()
    return Tree(root, reading.whole, roots, leaves.entries, leaves.begins, leaves.previous, leaves.drops)


class _Reading:
    """A month that is being read. ``lost``: bundles that could not be read."""

    def __init__(self, place: Place, size: int, stream: str, findings: Findings) -> None:
        self._place, self._size, self._findings = place, size, findings
        self.leaves = Leaves(stream, findings)
        self.edge = Edge()
        self.whole = self._known = True
        self.lost = 0

    def bundle(self, number: int, width: int) -> list[bytes]:
        """Return the hashes of the leaves of a bundle."""
        path, data = self._read(bundle_path(number, width), bundle_path(number), width, BUNDLE_BYTES_MAX)
        hashes = [] if data is None else self._leaves(data, number * WIDTH, width, path, width < WIDTH)
        if len(hashes) == width:
            return hashes
        self.whole = False
        self.lost += 1
        tile = tile_path(0, number, width)
        try:
            stand_in = self._place.read(tile, TILE_BYTES)
        except UnreadError:
            stand_in = b""
        if len(stand_in) != width * HASH_BYTES:
            self._known = False
            stand_in = bytes(width * HASH_BYTES)
        return hashes + [stand_in[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(len(hashes), width)]

    def _leaves(self, data: bytes, start: int, width: int, path: str, partial: bool) -> list[bytes]:
        """Return the hashes of so many leaves; fewer where the bundle is cut short. A full one may stand for a part."""
        where = f"{self._place.label}/{path}"
        take, sha256 = self.leaves.take, hashlib.sha256
        hashes: list[bytes] = []
        at, end = 0, len(data)
        for index in range(start, start + width):
            begin = at + 2
            stop = begin + int.from_bytes(data[at:begin])
            if begin > end or stop > end:
                self._findings.problem(
                    f"{where} index {index}", f"文件被截短：自第 {index} 条起的条目缺失",
                    f"the file is cut short: entries from index {index} on are missing",
                )  # fmt: skip
                return hashes
            leaf = data[begin:stop]
            hashes.append(sha256(b"\0" + leaf).digest())
            take(index, leaf, where)
            at = stop
        if at < end and not (partial and ".p/" not in path):
            self._findings.problem(
                where, f"文件末尾多出 {end - at} 字节，检查点不包含它们",
                f"{end - at} octets too many at the end of the file, which no checkpoint covers",
            )  # fmt: skip
        return hashes

    def grow(self, hashes: list[bytes]) -> None:
        """Add the hashes of a bundle, and compare the tiles that are full by them."""
        self.edge, tiles = self.edge.grow(hashes)
        for (level, number, width), octets in tiles:
            if width == WIDTH:
                self._compare(level, number, octets)

    def end(self) -> None:
        """Compare the tiles of the right edge."""
        for level, octets in enumerate(self.edge.rows):
            if octets:
                self._compare(level, (self._size >> 8 * level) // WIDTH, octets)

    def _compare(self, level: int, number: int, octets: bytes) -> None:
        """Compare a tile with what it must be."""
        width = len(octets) // HASH_BYTES
        path, data = self._read(
            tile_path(level, number, width), tile_path(level, number), width, TILE_BYTES, width * HASH_BYTES
        )
        if data is None or (level and not self._known):
            return
        where = f"{self._place.label}/{path}"
        expected = TILE_BYTES if ".p/" not in path else width * HASH_BYTES
        if len(data) != expected:
            self._findings.problem(
                where, f"哈希文件应为 {expected} 字节，实为 {len(data)} 字节：被截短或加长",
                f"the tile must have {expected} octets and has {len(data)}: it was cut short or lengthened",
            )  # fmt: skip
        if data[: len(octets)] == octets:
            return
        wrong = [
            at for at in range(min(width, len(data) // HASH_BYTES))
            if data[at * HASH_BYTES : (at + 1) * HASH_BYTES] != octets[at * HASH_BYTES : (at + 1) * HASH_BYTES]
        ]  # fmt: skip
        for at in wrong[:SHOWN_MAX]:
            self._differs(where, level, number * WIDTH + at)
        if len(wrong) > SHOWN_MAX:
            self._findings.problem(
                where, f"此文件中另有 {len(wrong) - SHOWN_MAX} 个哈希与条目不符",
                f"{len(wrong) - SHOWN_MAX} more hashes of this file are not those of the entries",
            )  # fmt: skip

    def _differs(self, where: str, level: int, at: int) -> None:
        if level == 0:
            self._findings.problem(
                f"{where} index {at}", f"第 {at} 条与其哈希不符：条目或哈希文件在发布之后被改动",
                f"entry {at} and its hash do not fit: the entry or the tile was altered after it was published",
            )  # fmt: skip
            return
        first, last = at << 8 * level, ((at + 1) << 8 * level) - 1
        self._findings.problem(
            f"{where} index {first}–{last}", f"第 {first} 至 {last} 条与其上层哈希不符：其中有条目或哈希被改动",
            f"entries {first} to {last} and the hash above them do not fit: an entry or a tile was altered",
        )  # fmt: skip

    def _read(self, path: str, full: str, width: int, most: int, exact: int = 0) -> tuple[str, bytes | None]:
        """Return a file and its path; the full one where the partial one is gone; None if there is neither."""
        try:
            return path, self._place.read(path, exact or most)
        except UnreadError as error:
            first = error
        if width < WIDTH:
            try:
                return full, self._place.read(full, most)
            except UnreadError:
                pass
        where = f"{self._place.label}/{path}"
        if isinstance(first, MissingError):
            self._findings.problem(
                where, "文件缺失：此部分日志被删除或未复制", "the file is missing: this part was deleted, or not copied"
            )
        else:
            self._findings.problem(where, first.zh, first.en)
        return path, None

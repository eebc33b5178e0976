"""Tiles of a log: paths, octets, bundles of entries (C2SP tlog-tiles; facts: transparency-log §1).

| file | octets |
|---|---|
| ``tile/<L>/<N>`` | 256 hashes; hash i is that of the full block of 256**L leaves number N * 256 + i |
| ``tile/<L>/<N>.p/<W>`` | the same of the right edge: the first W hashes, 1 to 255 |
| ``tile/entries/<N>`` and ``.p/<W>`` | 256 or W entries, each behind its length in two octets, big-endian |

L is 0 to 63. N stands in groups of three digits, all but the last behind an x: 1234067 is ``x001/x234/067``. Only full
tiles are hashed into the level above, and there is no tile of no hash.

Who writes a log holds an ``Edge``: the octets of the partial tiles, at most 8 160 a level. ``grow`` says what to write.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from audit.merkle import EMPTY_ROOT, HASH_BYTES, SIZE_MAX, root_of

WIDTH: Final = 256
LEVEL_MAX: Final = 63
NUMBER_MAX: Final = SIZE_MAX // WIDTH
ENTRY_BYTES_MAX: Final = 65_535
_HEIGHT: Final = 8  # levels of the tree in one tile: 2**8 = WIDTH
_TILE_BYTES: Final = WIDTH * HASH_BYTES
_READ_TILES: Final = 32  # kept by subtree_of, 256 KiB: a proof reads each of its tiles several times
_LENGTH: Final = struct.Struct(">H")
_PATH: Final = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")

Place = tuple[int, int, int]
"""Of a tile of hashes: level, number, width (1 to 256)."""


class TileError(ValueError):
    """A path, a tile or a bundle is none."""


class Address(NamedTuple):
    """What a path leads to. ``level``: none for a bundle of entries."""

    level: int | None
    number: int
    width: int


def tile_path(level: int, number: int, width: int = WIDTH) -> str:
    """Return the path of a tile of hashes. Errors: TileError."""
    if not 0 <= level <= LEVEL_MAX:
        raise TileError(f"no tile has the level {level}")
    return f"tile/{level}/{_numbered(number, width)}"


def bundle_path(number: int, width: int = WIDTH) -> str:
    """Return the path of a bundle of entries. Errors: TileError."""
    return f"tile/entries/{_numbered(number, width)}"


def _numbered(number: int, width: int) -> str:
    if not (0 <= number <= NUMBER_MAX and 0 < width <= WIDTH):
        raise TileError(f"no tile has the number {number} and the width {width}")
    path = f"{number % 1000:03}"
    while number := number // 1000:
        path = f"x{number % 1000:03}/{path}"
    return path if width == WIDTH else f"{path}.p/{width}"


def parse_path(path: str) -> Address:
    """Read the path of a tile or bundle: the one spelling that the functions above write. Errors: TileError."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise TileError("the path is none of a tile")
    kind, digits, width = match.groups()
    level = None if kind == "entries" else int(kind)
    address = Address(level, int(digits.replace("x", "").replace("/", "")), int(width or WIDTH))
    spelt = bundle_path(*address[1:]) if level is None else tile_path(level, *address[1:])
    if spelt != path:
        raise TileError("the path is not spelt as that of a tile is")
    return address


def pack_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the octets of a bundle. Bounds: 1 to 256 entries of at most 65 535 octets. Errors: TileError."""
    if not 0 < len(entries) <= WIDTH:
        raise TileError(f"a bundle has 1 to {WIDTH} entries")
    if max(map(len, entries)) > ENTRY_BYTES_MAX:
        raise TileError(f"an entry is longer than {ENTRY_BYTES_MAX} octets")
    return b"".join([part for entry in entries for part in (_LENGTH.pack(len(entry)), entry)])


def unpack_bundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle, 1 to 256. Errors: TileError."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start = at + _LENGTH.size
        if start > end or len(entries) == WIDTH:
            raise TileError("the bundle has octets left over")
        at = start + (data[start - 2] << 8 | data[start - 1])
        entries.append(data[start:at])
    if at > end or not entries:
        raise TileError("the bundle is cut short")
    return entries


def edges(size: int) -> list[Place]:
    """Return the partial tiles of a tree of a size, levels ascending. Errors: TileError."""
    return [(level, count // WIDTH, count % WIDTH) for level, count in _counts(size) if count % WIDTH]


def tiles_between(old: int, new: int) -> list[Place]:
    """Return the tiles whose octets are new when a tree grows, levels ascending, each level from the left.

    Those that have become full, and the partial ones of the new size. Level 0 stands for the bundles too.
    Errors: TileError for a tree that shrinks.
    """
    if not 0 <= old <= new:
        raise TileError(f"no tree grows from {old} to {new}")
    places: list[Place] = []
    for level, count in _counts(new):
        before = old >> _HEIGHT * level
        places.extend((level, number, WIDTH) for number in range(before // WIDTH, count // WIDTH))
        if count % WIDTH and count > before:
            places.append((level, count // WIDTH, count % WIDTH))
    return places


def _counts(size: int) -> list[tuple[int, int]]:
    """Return levels, and how many hashes there are at each."""
    if not 0 <= size <= SIZE_MAX:
        raise TileError(f"no tree has the size {size}")
    counts: list[tuple[int, int]] = []
    while size:
        counts.append((len(counts), size))
        size >>= _HEIGHT
    return counts


def split_tile(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile. Errors: TileError for a tile of another length."""
    if len(data) != width * HASH_BYTES:
        raise TileError(f"a tile of {width} hashes has {len(data)} octets")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def tile_hash(data: bytes) -> bytes:
    """Return the hash over a full tile: what stands for it in the level above. Errors: TileError."""
    return root_of(split_tile(data, WIDTH))


class Edge(NamedTuple):
    """The right edge of a tree: all that its writer must know of it. Never changed: ``grow`` returns another.

    ``rows``: the octets of the partial tile of each level, empty where there is none. The empty tree is ``Edge()``.
    """

    size: int = 0
    rows: tuple[bytes, ...] = ()

    def grow(self, hashes: Iterable[bytes]) -> tuple[Edge, list[tuple[Place, bytes]]]:
        """Add hashes of leaves; return the new edge, and the tiles to write with their octets.

        The tiles are those of ``tiles_between``. Cost: about 0.6 µs a hash. Errors: TileError.
        """
        added = list(hashes)
        if not set(map(len, added)) <= {HASH_BYTES}:
            raise TileError(f"a hash has not {HASH_BYTES} octets")
        tiles: list[tuple[Place, bytes]] = []
        rows: list[bytes] = []
        size = self.size + len(added)
        for level, count in _counts(size):
            row = (self.rows[level] if level < len(self.rows) else b"") + b"".join(added)
            number = (count - len(row) // HASH_BYTES) // WIDTH
            full, grown, added = len(row) - len(row) % _TILE_BYTES, bool(added), []
            for at in range(0, full, _TILE_BYTES):
                tile = row[at : at + _TILE_BYTES]
                tiles.append(((level, number + at // _TILE_BYTES, WIDTH), tile))
                added.append(tile_hash(tile))
            row = row[full:]
            if row and grown:
                tiles.append(((level, number + full // _TILE_BYTES, len(row) // HASH_BYTES), row))
            rows.append(row)
        return Edge(size, tuple(rows)), tiles

    def root(self) -> bytes:
        """Return the root of the tree. Cost: at most 256 hashes a level."""
        folded: list[bytes] = []  # the node of all that stands to the right of full tiles
        for row in self.rows:
            hashes = split_tile(row, len(row) // HASH_BYTES) + folded
            folded = [root_of(hashes)] if hashes else []
        return folded[0] if folded else EMPTY_ROOT


def read_edge(read: Callable[[str], bytes], size: int) -> Edge:
    """Read the right edge of a tree from its tiles, as subtree_of does: compare its root with what was signed.

    Errors: TileError; those of read.
    """
    reading = _reader(read, size)
    return Edge(
        size,
        tuple(b"".join(reading(level, count // WIDTH)) if count % WIDTH else b"" for level, count in _counts(size)),
    )


def subtree_of(read: Callable[[str], bytes], size: int) -> Callable[[int, int], bytes]:
    """Return what gives the hashes of full blocks (``audit/merkle.py``) out of the tiles of a tree of a size.

    ``read``: octets by path; FileNotFoundError or KeyError where nothing is. The full tile is read where the partial
    one is gone. Tiles are as true as their source: check what is made of them. Errors: TileError; those of read.
    """
    reading = _reader(read, size)

    def subtree(level: int, number: int) -> bytes:
        if level < 0 or number < 0 or (number + 1) << level > size:
            raise TileError(f"no full block {number} of level {level} in a tree of {size}")
        tile_level, height = divmod(level, _HEIGHT)
        tile, first = divmod(number << height, WIDTH)
        return root_of(reading(tile_level, tile)[first : first + (1 << height)])

    return subtree


def _reader(read: Callable[[str], bytes], size: int) -> Callable[[int, int], list[bytes]]:
    """Return what reads the hashes that a tree of a size has in a tile, by level and number."""
    counts = dict(_counts(size))

    @lru_cache(_READ_TILES)
    def reading(level: int, number: int) -> list[bytes]:
        width = min(counts[level] - number * WIDTH, WIDTH)
        try:
            return split_tile(read(tile_path(level, number, width)), width)
        except (FileNotFoundError, KeyError):
            if width == WIDTH:
                raise
        return split_tile(read(tile_path(level, number)), WIDTH)[:width]

    return reading

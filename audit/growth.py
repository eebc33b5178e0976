"""A log that grows: which files it gets, in the order in which they are published.

Entries, level-0 tiles, higher tiles; the checkpoint is the caller's (facts: transparency-log §1, §5). Pure: what is
kept in memory is the right edge, at most 255 entries and 255 hashes a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from audit.merkle import leaf_hash
from audit.tile import (
    WIDTH,
    Edge,
    bundle_path,
    pack_bundle,
    read_edge,
    split_tile,
    tile_path,
    tiles_between,
    unpack_bundle,
)  # fmt: skip

STAGES: Final = 3
"""Entries, level-0 tiles, higher tiles."""

_PARTIAL: Final = ".p"


class GrowthError(ValueError):
    """What lies in the folder is not the right edge of a log of that size."""


class File(NamedTuple):
    """A file to be published. ``path``: below the month's folder."""

    path: str
    data: bytes


class Growth:
    """A log of one month, as far as it is needed to append to it."""

    def __init__(self, edge: Edge, entries: list[bytes]) -> None:
        self._edge = edge
        self._entries = entries  # of the bundle that is not full

    @classmethod
    def of(cls, size: int, read: Callable[[str], bytes]) -> Growth:
        """Return a log of that size; ``read`` gives its files by path. Errors: GrowthError, TileError, its own."""
        edge = read_edge(read, size)
        width = size % WIDTH
        if not width:
            return cls(edge, [])
        path = bundle_path(size // WIDTH, width)
        entries = unpack_bundle(read(path))
        if [leaf_hash(entry) for entry in entries] != split_tile(edge.rows[0], width):
            raise GrowthError(f"{path} 与其哈希不符。{path} does not hold the entries of its tile")
        return cls(edge, entries)

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._edge.size

    def root(self) -> bytes:
        """Return the root hash."""
        return self._edge.root()

    def grow(self, entries: Sequence[bytes]) -> list[list[File]]:
        """Append entries; return the files by stages. Errors: TileError for an entry that is too long."""
        number = self.size // WIDTH
        self._edge, tiles = self._edge.grow([leaf_hash(entry) for entry in entries])
        waiting = [*self._entries, *entries]
        full = len(waiting) - len(waiting) % WIDTH
        self._entries = waiting[full:]
        bundles = [
            File(bundle_path(number + at // WIDTH), pack_bundle(waiting[at : at + WIDTH]))
            for at in range(0, full, WIDTH)
        ]
        if self._entries and entries:
            bundles.append(File(bundle_path(number + full // WIDTH, len(self._entries)), pack_bundle(self._entries)))
        lowest = [File(tile_path(*place), data) for place, data in tiles if not place[0]]
        higher = [File(tile_path(*place), data) for place, data in tiles if place[0]]
        return [bundles, lowest, higher]


def superseded_between(old: int, new: int) -> list[str]:
    """Return the folders of partial files whose full ones are there once a log has grown. Errors: TileError."""
    full = [(level, number) for level, number, width in tiles_between(old, new) if width == WIDTH]
    tiles = [tile_path(level, number) + _PARTIAL for level, number in full]
    return tiles + [bundle_path(number) + _PARTIAL for level, number in full if not level]

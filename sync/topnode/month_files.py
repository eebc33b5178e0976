"""The files of a month of a log of a size, in the order in which they are taken, and how each one is proven.

| order | files | proven by |
|---|---|---|
| 1 | the partial tiles of the right edge | together they lead to the root that was signed |
| 2 | full tiles, the highest level first | their hash stands in the tile above |
| 3 | bundles of entries | the hashes of the entries stand in the tile of level 0 |
| 4 | ``vkey`` | it has a key of the node |

So each file is proven when it is there, and what is wrong is known by its name. Nothing else is taken.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from audit.merkle import HASH_BYTES, SIZE_MAX
from audit.published import VKEY
from audit.tile import ENTRY_BYTES_MAX, WIDTH, TileError, bundle_path, edges, tile_path
from core import limits

_HEIGHT: Final = 8  # levels of the tree in one tile
_BUNDLE_BYTES_MAX: Final = WIDTH * (2 + ENTRY_BYTES_MAX)


class MonthFile(NamedTuple):
    """A file. ``level``: of a tile of hashes, None of a bundle and of the vkey; ``width``: 0 of the vkey.

    ``edge``: it is the last one of the right edge. ``bytes_max``: how long it can be.
    """

    path: str
    level: int | None
    number: int
    width: int
    bytes_max: int
    edge: bool = False


class MonthFiles:
    """The files of a month with so many leaves. Cost: a few numbers. Errors: TileError for a size that is none."""

    def __init__(self, size: int) -> None:
        if not 0 < size <= SIZE_MAX:
            raise TileError(f"no month has {size} entries")
        self.size = size
        self._edges = edges(size)
        self._full = [
            (level, count // WIDTH) for level, count in enumerate(self.counts) if count >= WIDTH
        ][::-1]  # fmt: skip
        self._bundles = -(-size // WIDTH)

    @property
    def counts(self) -> list[int]:
        """How many hashes there are at each level."""
        return [self.size >> each for each in range(0, self.size.bit_length(), _HEIGHT)]

    def __len__(self) -> int:
        return len(self._edges) + sum(count for _, count in self._full) + self._bundles + 1

    def __getitem__(self, place: int) -> MonthFile:
        """Errors: IndexError."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        if place < len(self._edges):
            level, number, width = self._edges[place]
            return _tile(level, number, width, edge=place == len(self._edges) - 1)
        place -= len(self._edges)
        for level, count in self._full:
            if place < count:
                return _tile(level, place, WIDTH)
            place -= count
        if place < self._bundles:
            width = min(self.size - place * WIDTH, WIDTH)
            return MonthFile(bundle_path(place, width), None, place, width, _BUNDLE_BYTES_MAX)
        return MonthFile(VKEY, None, 0, 0, limits.LOG_VKEY_FILE_BYTES_MAX)

    def tile(self, level: int, number: int) -> MonthFile:
        """Return the tile with this number of a level."""
        return _tile(level, number, min((self.size >> _HEIGHT * level) - number * WIDTH, WIDTH))


def _tile(level: int, number: int, width: int, *, edge: bool = False) -> MonthFile:
    return MonthFile(tile_path(level, number, width), level, number, width, width * HASH_BYTES, edge)

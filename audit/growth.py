"""A log that grows: which files it gets, in the order in which they are published.

Entries, level-0 tiles, higher tiles; the checkpoint is the caller's (facts: transparency-log §1, §5). Pure: what is
kept in memory is the right edge, at most 255 entries and 255 hashes a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from audit.merkle import EMPTY_ROOT, HASH_BYTES, leaf_hash, root_of
from audit.tile import WIDTH, bundle_path, edges, pack_bundle, tile_path, unpack_bundle

PARTIAL: Final = ".p"


class GrowthError(ValueError):
    """What lies in the folder is not the right edge of a log of that size."""


class File(NamedTuple):
    """A file to be published. ``path``: below the month's folder."""

    path: str
    data: bytes


class Growth:
    """A log of one month, as far as it is needed to append to it."""

    def __init__(self) -> None:
        self.size = 0
        self._entries: list[bytes] = []  # of the bundle that is not full
        self._edges: list[list[bytes]] = [[]]  # hashes of the tile that is not full, a level each

    @classmethod
    def of(cls, size: int, read: Callable[[str], bytes]) -> Growth:
        """Return a log of that size; ``read`` gives its files. Errors: GrowthError, those of ``read``."""
        growth = cls()
        growth.size = size
        for level, number, width in edges(size):
            data = read(tile_path(level, number, width))
            if len(data) != width * HASH_BYTES:
                raise GrowthError(f"{tile_path(level, number, width)} has {len(data)} octets")
            growth._edge(level).extend(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))
        width = size % WIDTH
        if width:
            path = bundle_path(size // WIDTH, width)
            growth._entries = list(unpack_bundle(read(path)))
            if [leaf_hash(entry) for entry in growth._entries] != growth._edges[0]:
                raise GrowthError(f"{path} does not hold the entries of its tile")
        return growth

    def root(self) -> bytes:
        """Return the root hash."""
        below: list[bytes] = []
        for hashes in self._edges:
            together = [*hashes, *below]
            below = [root_of(together)] if together else []
        return below[0] if below else EMPTY_ROOT

    def grow(self, entries: Sequence[bytes]) -> tuple[list[list[File]], list[str]]:
        """Append entries; return the files by their order, and folders of partial ones that are superseded now."""
        done: list[str] = []
        stages = [self._bundles(entries, done)]
        new: list[bytes] = [leaf_hash(entry) for entry in entries]
        level, before = 0, self.size
        while new:
            stages.append(self._tiles(level, before >> (8 * level), new, done))
            level += 1
        self.size += len(entries)
        return [stage for stage in stages if stage], done

    def _bundles(self, entries: Sequence[bytes], done: list[str]) -> list[File]:
        number = self.size // WIDTH
        waiting = [*self._entries, *entries]
        files = []
        at = 0
        while len(waiting) - at >= WIDTH:
            files.append(File(bundle_path(number), pack_bundle(waiting[at : at + WIDTH])))
            if at or self._entries:
                done.append(bundle_path(number) + PARTIAL)
            at += WIDTH
            number += 1
        self._entries = waiting[at:]
        if self._entries and entries:
            files.append(File(bundle_path(number, len(self._entries)), pack_bundle(self._entries)))
        return files

    def _tiles(self, level: int, before: int, new: list[bytes], done: list[str]) -> list[File]:
        """Return the files of a level; ``new`` is left with the hashes of the level above."""
        number = before // WIDTH
        waiting = [*self._edge(level), *new]
        new.clear()
        files = []
        at = 0
        while len(waiting) - at >= WIDTH:
            hashes = waiting[at : at + WIDTH]
            files.append(File(tile_path(level, number), b"".join(hashes)))
            done.append(tile_path(level, number) + PARTIAL)
            new.append(root_of(hashes))
            at += WIDTH
            number += 1
        self._edges[level] = waiting[at:]
        if waiting[at:]:
            files.append(File(tile_path(level, number, len(waiting) - at), b"".join(waiting[at:])))
        return files

    def _edge(self, level: int) -> list[bytes]:
        while len(self._edges) <= level:
            self._edges.append([])
        return self._edges[level]

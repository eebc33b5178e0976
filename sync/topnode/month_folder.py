"""One month of a log of a node, as it comes in: a folder that is whole and proven, or one that waits for its next file.

    <stream>/<YYYY-MM>/        complete: checkpoint, vkey, tile/…, as the node published them; never touched again
    <stream>/.<YYYY-MM>.part/  under way: the files so far, in the order of ``month_files.py``; ``.file``: part of one

1. A file is there once it is proven, synced and has its name; so the first one that is missing is what comes next.
2. What is thrown away loses its checkpoint first: a part folder without one is nothing.
3. A month is complete by one rename.
"""

from __future__ import annotations

import shutil
from bisect import bisect_left
from pathlib import Path
from typing import Final

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.files import Files
from audit.merkle import HASH_BYTES, leaf_hash
from audit.note import open_note, parse_vkey
from audit.published import CHECKPOINT
from audit.tile import WIDTH, Edge, bundle_path, split_tile, tile_hash, unpack_bundle
from sync.topnode.month_files import MonthFile, MonthFiles

_PART: Final = ".file"


class DamagedError(Exception):
    """What is here is not what was proven when it came."""


class MonthFolder:
    """A month under way, or complete. ``stream``: the folder of the stream. Errors of all methods: OSError."""

    def __init__(self, stream: Path, month: str, files: Files) -> None:
        self._stream = stream
        self._complete = stream / month
        self._under_way = stream / f".{month}.part"
        self._files = files

    def checkpoint(self) -> bytes | None:
        """Return the checkpoint of the month that is complete, None before."""
        return _read(self._complete / CHECKPOINT)

    def under_way(self) -> bytes | None:
        """Return the checkpoint of the month that is under way, None if none is."""
        return _read(self._under_way / CHECKPOINT)

    def begin(self, checkpoint: bytes) -> None:
        """Begin anew with a checkpoint."""
        self.throw_away()
        self._files.make_folder(self._under_way)
        self._files.replace(self._under_way / CHECKPOINT, checkpoint)
        self._files.sync_folder(self._under_way)

    def throw_away(self) -> None:
        """Remove what is under way."""
        if self._under_way.is_dir():
            (self._under_way / CHECKPOINT).unlink(missing_ok=True)
            self._files.sync_folder(self._under_way)
            shutil.rmtree(self._under_way)

    def next(self, files: MonthFiles) -> tuple[int, int]:
        """Return the place of the next file, and how much of it is there; past the last one where all are."""
        place = bisect_left(range(len(files)), True, key=lambda at: not self._path(files[at]).is_file())
        try:
            return place, (self._under_way / _PART).stat().st_size
        except FileNotFoundError:
            return place, 0

    def add(self, offset: int, data: bytes) -> None:
        """Add to the file that is under way, from an offset on."""
        self._files.write_at(self._under_way / _PART, offset, data)

    def forget(self) -> None:
        """Remove the file that is under way."""
        (self._under_way / _PART).unlink(missing_ok=True)

    def whole(self, last: bytes) -> bytes:
        """Return the file that is under way with its last part."""
        return (_read(self._under_way / _PART) or b"") + last

    def put(self, file: MonthFile, offset: int, last: bytes) -> None:
        """Give a file, whose last part this is, its name, durably."""
        path = self._path(file)
        self._files.make_folder(path.parent)
        if offset:
            self.add(offset, last)
            self._files.rename(self._under_way / _PART, path)
        else:
            self._files.replace(path, last)
            self.forget()
        self._files.sync_folder(path.parent)

    def complete(self, files: MonthFiles, checkpoint: Checkpoint) -> None:
        """End the month, whose files are all there. Errors: DamagedError if one is not, or its edge is another."""
        for place in range(len(files)):
            if not self._path(files[place]).is_file():
                raise DamagedError(files[place].path)
        self._require_edge(files, checkpoint)
        self.forget()
        self._files.sync_folder(self._under_way)
        self._files.rename(self._under_way, self._complete)
        self._files.sync_folder(self._stream)

    def first_entry(self) -> bytes | None:
        """Return the first entry of the month that is complete; None if it is none. Errors: DamagedError."""
        note = self.checkpoint()
        if note is None:
            return None
        try:
            size = parse_checkpoint(open_note(note, ()).text).size
            return unpack_bundle((self._complete / bundle_path(0, min(size, WIDTH))).read_bytes())[0]
        except (ValueError, FileNotFoundError) as error:
            raise DamagedError(f"{self._complete}: {error}") from None

    # --- proof ---
    def is_proven(
        self, file: MonthFile, data: bytes, files: MonthFiles, root: bytes, publics: frozenset[bytes]
    ) -> bool:
        """Whether a file is what was signed, by what is here already. Errors: DamagedError."""
        try:
            if file.level is not None:
                return self._is_tile(file, data, files, root)
            if file.width:
                return [leaf_hash(each) for each in unpack_bundle(data)] == self._hashes(files, 0, file.number)
            return not publics.isdisjoint([parse_vkey(line).public for line in data.decode().splitlines()])
        except ValueError:
            return False

    def require_whole_above(self, file: MonthFile, files: MonthFiles, checkpoint: Checkpoint) -> None:
        """Errors: DamagedError unless the tiles that prove a file are what they were."""
        self._require_edge(files, checkpoint)
        try:
            level, number = (0, file.number) if file.level is None else (file.level + 1, file.number // WIDTH)
            while level < len(files.counts):
                tile = files.tile(level, number)
                if tile.width == WIDTH:
                    data = self._path(tile).read_bytes()
                    if tile_hash(data) != self._hashes(files, level + 1, number // WIDTH)[number % WIDTH]:
                        raise DamagedError(tile.path)
                level, number = level + 1, number // WIDTH
        except (ValueError, FileNotFoundError) as error:
            raise DamagedError(str(error)) from None

    def _require_edge(self, files: MonthFiles, checkpoint: Checkpoint) -> None:
        try:
            root = self._edge(files, None).root()
        except (ValueError, FileNotFoundError) as error:
            raise DamagedError(str(error)) from None
        if root != checkpoint.root:
            raise DamagedError("右缘 its right edge")

    def _is_tile(self, file: MonthFile, data: bytes, files: MonthFiles, root: bytes) -> bool:
        assert file.level is not None
        if len(data) != file.width * HASH_BYTES:
            return False
        if file.edge:
            return self._edge(files, data).root() == root
        if file.width < WIDTH:
            return True  # the last one of the edge proves all of them
        return tile_hash(data) == self._hashes(files, file.level + 1, file.number // WIDTH)[file.number % WIDTH]

    def _edge(self, files: MonthFiles, last: bytes | None) -> Edge:
        """Return the right edge. ``last``: the tile of its highest level, which may not be there yet."""
        rows = []
        for level, count in enumerate(files.counts):
            if level == len(files.counts) - 1 and last is not None:
                rows.append(last)
            else:
                rows.append(self._path(files.tile(level, count // WIDTH)).read_bytes() if count % WIDTH else b"")
        return Edge(files.size, tuple(rows))

    def _hashes(self, files: MonthFiles, level: int, number: int) -> list[bytes]:
        """Return the hashes of a tile that is here. Errors: DamagedError."""
        tile = files.tile(level, number)
        try:
            return split_tile(self._path(tile).read_bytes(), tile.width)
        except (ValueError, FileNotFoundError) as error:
            raise DamagedError(f"{tile.path}: {error}") from None

    def _path(self, file: MonthFile) -> Path:
        return self._under_way / file.path


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None

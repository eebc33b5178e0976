"""The published layout of the logs as others read it: which paths there are, and no way out of them.

Below the folder of all logs: ``<stream>/<YYYY-MM>/`` with ``checkpoint``, ``checkpoint.cosigned``, ``vkey`` and
``tile/…`` (C2SP tlog-tiles; facts: transparency-log §1). A path is read as it is written, without decoding, and is one
of this layout or none; each folder on the way is opened by itself and never by a symbolic link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from audit.tile import TileError
from audit.tile import parse_path as parse_tile_path
from core import limits
from core.streams import Stream

CHECKPOINT: Final = "checkpoint"
COSIGNED: Final = "checkpoint.cosigned"
VKEY: Final = "vkey"
_STREAMS: Final = "|".join(stream.value for stream in Stream)
_MONTH: Final = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])", re.ASCII)
_PATH: Final = re.compile(
    rf"(?P<stream>{_STREAMS})/(?P<month>{_MONTH.pattern})/(?P<file>{CHECKPOINT}|{re.escape(COSIGNED)}|{VKEY}|tile/.+)",
    re.ASCII,
)
_NONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LogPath(NamedTuple):
    """A path of the layout. ``tile``: its file never changes."""

    stream: str
    month: str
    file: str
    tile: bool


class OpenFile(NamedTuple):
    """A file that is open for reading. Whoever has it closes ``descriptor``."""

    descriptor: int
    size_bytes: int


def parse_path(text: str) -> LogPath | None:
    """Read a path below the folder of all logs; None for what is none of the layout."""
    match = _PATH.fullmatch(text)
    if match is None:
        return None
    tile = match["file"].startswith("tile/")
    if tile:
        try:
            parse_tile_path(match["file"])
        except TileError:
            return None
    return LogPath(match["stream"], match["month"], match["file"], tile)


def open_published(root: Path, path: LogPath) -> OpenFile | None:
    """Open a file of the layout, None if there is none. Errors: OSError."""
    *between, name = path.file.split("/")
    with _folder(root, path.stream, path.month, *between) as folder:
        return None if folder is None else _open_file(folder, name)


def months_of(root: Path) -> dict[str, list[str]]:
    """Return the months of each stream that have a checkpoint, the earliest first.

    Bounds: LOG_MONTHS_MAX of a stream, the newest. Errors: OSError.
    """
    return {stream.value: _months(root, stream.value) for stream in Stream}


def vkeys_of(root: Path) -> list[str]:
    """Return the vkeys of all months, each once. Errors: OSError."""
    found: dict[str, None] = {}
    for stream, months in months_of(root).items():
        for month in months:
            with _folder(root, stream, month) as folder:
                found.update(dict.fromkeys(_lines(folder)))
    return list(found)


def _months(root: Path, stream: str) -> list[str]:
    with _folder(root, stream) as folder:
        if folder is None:
            return []
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if _MONTH.fullmatch(entry.name))
        return [name for name in names[-limits.LOG_MONTHS_MAX :] if _has_checkpoint(folder, name)]


def _has_checkpoint(folder: int, month: str) -> bool:
    descriptor = _open(month, _FOLDER | os.O_NOFOLLOW, folder)
    if descriptor is None:
        return False
    try:
        return stat.S_ISREG(os.stat(CHECKPOINT, dir_fd=descriptor, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
    finally:
        os.close(descriptor)


def _lines(folder: int | None) -> list[str]:
    """Return the lines of the vkey file of a month; none of what is no text."""
    opened = None if folder is None else _open_file(folder, VKEY)
    if opened is None:
        return []
    try:
        text = os.read(opened.descriptor, limits.LOG_VKEY_FILE_BYTES_MAX).decode()
    except UnicodeDecodeError:
        return []
    finally:
        os.close(opened.descriptor)
    return [line for line in text.split("\n") if line and line.isprintable()]


def _open_file(folder: int, name: str) -> OpenFile | None:
    descriptor = _open(name, _FILE, folder)
    if descriptor is None:
        return None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return OpenFile(descriptor, status.st_size)
    os.close(descriptor)
    return None


@contextlib.contextmanager
def _folder(root: Path, *names: str) -> Iterator[int | None]:
    """Open a folder below the root, one step after the other; None if it is not there.

    The root itself may be a link: an operator puts the logs where there is room.
    """
    descriptor = _open(os.fspath(root), _FOLDER)
    for name in names:
        if descriptor is None:
            break
        parent = descriptor
        try:
            descriptor = _open(name, _FOLDER | os.O_NOFOLLOW, parent)
        finally:
            os.close(parent)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open(name: str, flags: int, folder: int | None = None) -> int | None:
    """Open a file or a folder; None if it is not there, is a link, or is no such thing. Errors: OSError."""
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise

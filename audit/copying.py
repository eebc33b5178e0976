"""Copies the logs of a node that may run: exactly what their checkpoints count, with addresses and keys of the months.

    log/<stream>/<YYYY-MM>/…           as ``audit/inspection.py`` reads it: checkpoint first, every leaf checked
    clients/<YYYY-MM>/<stream>, key    records of leaves that the checkpoint counts, and no later ones
    log-before/<host>/…                the same of the logs of a node that this one was put back from

What is published meanwhile is not in the copy. Memory: one bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from audit.inspection import Month, read_parts, take_months
from audit.places import BEFORE, FOLDER
from audit.reading import LogReadError
from audit.side import FOLDER as CLIENTS
from audit.side import KEY_FILE, SideError, month_folder, pack_side, read_side
from core import clock

_TRIES: Final = 5
_TORN_S: Final = 0.2  # until the end of a side table that is just being written is whole

Put = Callable[[str, Iterable[bytes]], None]
"""Takes a file: its name below the copy, and its octets in parts."""


def former_logs(data: Path) -> list[Path]:
    """Return the folders of the logs that were begun before this node was put back; each is laid out as ``data``."""
    folder = data / BEFORE
    return sorted(each for each in folder.iterdir() if (each / FOLDER).is_dir()) if folder.is_dir() else []


def copy_logs(data: Path, put: Put) -> list[Month]:
    """Copy all logs below the data folder; return the months of those that the node writes.

    Errors: LogReadError that names a file; OSError; those of ``put``.
    """
    taken = _copy(data, "", put)
    for root in former_logs(data):
        _copy(root, f"{BEFORE}/{root.name}/", put)
    return taken


def _copy(root: Path, below: str, put: Put) -> list[Month]:
    taken = take_months(root / FOLDER)
    for month in taken:
        for part in read_parts(root / FOLDER, month):
            put(f"{below}{FOLDER}/{month.path}/{part.path}", (part.octets,))
    for month in taken:
        side = month_folder(root, month.month) / month.stream.value
        if side.exists():
            put(f"{below}{CLIENTS}/{month.month}/{month.stream.value}", _records(side, month.checkpoint.size))
    for name in sorted({month.month for month in taken}):
        key = month_folder(root, name) / KEY_FILE
        if key.exists():
            put(f"{below}{CLIENTS}/{name}/{KEY_FILE}", (key.read_bytes(),))
    return taken


def _records(path: Path, size: int) -> Iterator[bytes]:
    """Yield the records of leaves below ``size``. Errors: LogReadError where the table is damaged, OSError."""
    done = 0
    for tries in range(_TRIES):
        try:
            for number, (leaf, addresses) in enumerate(read_side(path)):
                if leaf >= size:
                    return
                if number == done:
                    done += 1
                    yield pack_side(leaf, addresses)
        except SideError as error:
            if tries == _TRIES - 1:
                raise LogReadError(f"{path} 已损坏。The side table is damaged: {error}") from None
            clock.pause(_TORN_S)
        else:
            return

"""How much room the disks of the node have, and what stops while there is too little (design §6).

Registration stops long before the logs could be lost (``log.disk_stop``). Resolution goes on down to the reserve
(``log.disk_reserve``), which is left to what publishes the logs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from core import clock, limits


def free_bytes(folders: Sequence[Path]) -> int:
    """Return the free octets of the fullest file system of these folders, 0 where one cannot be asked.

    A folder that is not there yet lies where the one above it does.
    """
    return min(map(_free, folders))


def _free(folder: Path) -> int:
    for place in (folder, *folder.absolute().parents):
        try:
            told = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return 0
        return told.f_bavail * told.f_frsize
    return 0


class DiskGuard:
    """Whether there is room. ``below_bytes``: less than that is none; 0 is no guard. Used by one thread.

    Cost: the clock; the file systems are asked every DISK_LOOK_S, some microseconds.
    """

    def __init__(
        self, folders: Sequence[Path], below_bytes: int,
        now_s: Callable[[], float] = clock.monotonic_s, free: Callable[[Sequence[Path]], int] = free_bytes,
    ) -> None:  # fmt: skip
        self._folders = tuple(folders)
        self._below_bytes = below_bytes
        self._now_s = now_s
        self._free = free
        self._next_s = float("-inf")
        self._room = True

    def has_room(self) -> bool:
        """Whether there is room; as old as DISK_LOOK_S at most."""
        if not self._below_bytes:
            return True
        now_s = self._now_s()
        if now_s >= self._next_s:
            self._next_s = now_s + limits.DISK_LOOK_S
            self._room = self._free(self._folders) >= self._below_bytes
        return self._room


def always() -> bool:
    """There is room: no guard."""
    return True

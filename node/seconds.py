"""Seconds: how many answers left in each of the last seconds, and how long they took; in shared memory.

Each worker, and the registrar, has one small file in ``run/``, a ring of SECONDS_KEPT slots. The process adds to the
slot of the running second, the monitor reads those that are over (``node/monitoring.py``).

A slot is five integers of eight octets: Unix second, answers, then microseconds: their sum, the least, the most. It is
emptied when its second begins, and the second is written last. What a process writes later than SECONDS_LAG_S behind a
second is not read any more; what it answered while the clock was put back counts in no second that was read before.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from core import clock, limits
from sync.monitor.adding import Second

_LOG: Final = logging.getLogger("saltern.telemetry")
_SUFFIX: Final = ".seconds"
_MEMBERS: Final = len(Second._fields)
_SIZE: Final = limits.SECONDS_KEPT * _MEMBERS * 8
_REGISTRAR: Final = f"registrar{_SUFFIX}"
_SECOND_US: Final = 1_000_000


class Seconds:
    """The ring of one process, its only writer. ``now_ns``: a clock that never jumps; ``now_us``: the time of day."""

    def __init__(
        self, folder: Path, process: str, now_ns: Callable[[], int] = clock.monotonic_ns,
        now_us: Callable[[], int] = clock.now_us,
    ) -> None:  # fmt: skip
        descriptor = os.open(folder / f"{process}{_SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _SIZE)  # a page that the full disk cannot hold would be a SIGBUS
            shared = mmap.mmap(descriptor, _SIZE)
        except OSError as error:
            _LOG.warning("%s: no room for its seconds, they are not measured: %s", process, error.strerror)
            shared = mmap.mmap(-1, _SIZE)
        finally:
            os.close(descriptor)
        self._slots = memoryview(shared).cast("Q")
        self._now_ns = now_ns
        self._now_us = now_us
        self._at = 0
        self._until_ns = 0

    def add(self, answers: int, came_ns: int) -> None:
        """Count answers that left now. ``came_ns``: when what they answer came, on the clock that never jumps."""
        now_ns = self._now_ns()
        if now_ns >= self._until_ns:
            self._begin_second(now_ns)
        took_us = (now_ns - came_ns) // 1_000
        slots, at = self._slots, self._at
        if not slots[at + 1] or took_us < slots[at + 3]:
            slots[at + 3] = took_us
        slots[at + 4] = max(slots[at + 4], took_us)
        slots[at + 2] += answers * took_us
        slots[at + 1] += answers

    def _begin_second(self, now_ns: int) -> None:
        """Find the slot of the running second; one of an earlier second is emptied. The clock is read once a second."""
        second, past_us = divmod(self._now_us(), _SECOND_US)
        self._until_ns = now_ns + (_SECOND_US - past_us) * 1_000
        slots, at = self._slots, second % limits.SECONDS_KEPT * _MEMBERS
        if slots[at] != second:
            for place in range(at, at + _MEMBERS):
                slots[place] = 0
            slots[at] = second
        self._at = at


def read_seconds(folder: Path, after_s: int, to_s: int) -> tuple[list[Second], list[Second]]:
    """Return what was answered behind second ``after_s`` up to ``to_s``: of the workers, and of the registrar.

    ``to_s`` lies SECONDS_LAG_S or more before the running second. Cost: some 30 us a file.
    """
    resolutions: list[Second] = []
    registrations: list[Second] = []
    for path in folder.glob(f"*{_SUFFIX}"):
        found = registrations if path.name == _REGISTRAR else resolutions
        found += (each for each in _ring(path.read_bytes()) if after_s < each.second <= to_s and each.answers)
    return resolutions, registrations


def _ring(octets: bytes) -> Iterator[Second]:
    if len(octets) == _SIZE:
        slots = memoryview(octets).cast("Q")
        yield from (Second(*slots[at : at + _MEMBERS]) for at in range(0, len(slots), _MEMBERS))

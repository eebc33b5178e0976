"""The second half of the spool: its segments are read, sequenced, and taken away.

1. A worker holds a lock on the segment that it writes (flock(2)); the kernel gives it up with the process. What is not
   locked will not grow: it is removed once all of it is sequenced.
2. A frame that is not whole ends a segment that grows: the rest is on its way. At the end of one that does not, it was
   torn by a crash before its answers left: a Fault says so.
3. A frame that is damaged is a Fault, and reading goes on with the next whole one; so is a first line that is none.
   No identifier can pass for a frame: a frame has a time of our days, whose octets no UTF-8 has (``audit/frame.py``).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from audit.files import Files
from audit.frame import HEAD_BYTES, Row, find_frame, read_frame
from audit.spool import MAGIC, segments
from core import limits
from core.errors import WireError

_WINDOW_BYTES: Final = HEAD_BYTES + limits.LOG_FRAME_BYTES_MAX + limits.LOG_RESYNC_BYTES
"""Of a segment that begins with no whole frame, so much is looked at: a frame that begins within the first
LOG_RESYNC_BYTES of it is there as a whole."""


class Frame(NamedTuple):
    """The entries of one turn."""

    at_ms: int
    rows: Sequence[Row]


class Fault(NamedTuple):
    """What could not be read of a segment. ``what``: in words; ``octets`` of it from ``offset`` on."""

    segment: str
    offset: int
    octets: int
    what: str


class Taken(NamedTuple):
    """What one reading found.

    ``offsets``: where the next one begins. ``later_ms``: time of the first frame that was left. ``more``: whether
    there may be more than was asked for.
    """

    frames: list[Frame]
    offsets: dict[str, int]
    faults: list[Fault]
    later_ms: int | None
    more: bool


def take(folder: Path, offsets: Mapping[str, int], end_ms: int, rows_max: int) -> Taken:
    """Read what lies behind the offsets, up to frames of ``end_ms`` and later. Errors: OSError.

    Bounds: ``rows_max`` entries of each segment, and the rest of the frame that they end in.
    """
    frames: list[Frame] = []
    reached: dict[str, int] = {}
    faults: list[Fault] = []
    later: list[int] = []
    more = False
    for path in segments(folder):
        with path.open("rb") as file:
            reading = _Segment(path.name, file.fileno(), offsets.get(path.name, 0), end_ms)
            frames += reading.read(rows_max)
        reached[path.name] = reading.offset
        faults += reading.faults
        more = more or reading.more
        if reading.later_ms is not None:
            later.append(reading.later_ms)
    frames.sort(key=_time_of)
    return Taken(frames, reached, faults, min(later, default=None), more)


def _time_of(frame: Frame) -> int:
    return frame.at_ms


def remove_read(files: Files, folder: Path, offsets: Mapping[str, int]) -> list[str]:
    """Remove the segments that nobody writes and that were read to their end; return their names. Errors: OSError."""
    removed = []
    for path in segments(folder):
        with path.open("rb") as file:
            if _is_written(file.fileno()) or path.stat().st_size > offsets.get(path.name, 0):
                continue
            files.remove(path)
        removed.append(path.name)
    return removed


def _is_written(descriptor: int) -> bool:
    """Whether a worker holds the segment. The lock that finds it out is shared: readers do not disturb each other."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


class _Segment:
    """The reading of one segment."""

    def __init__(self, name: str, descriptor: int, offset: int, end_ms: int) -> None:
        self._name = name
        self._descriptor = descriptor
        self._end_ms = end_ms
        self.offset = offset
        self.faults: list[Fault] = []
        self.later_ms: int | None = None
        self.more = False

    def read(self, rows_max: int) -> list[Frame]:
        """Return the frames that are whole. Errors: OSError."""
        frames: list[Frame] = []
        growing = _is_written(self._descriptor)  # looked at first: what is there then is all, if it is not
        if not self.offset and not self._begin(growing):
            return frames
        rows, asked = 0, limits.SEGMENT_READ_BYTES
        while rows < rows_max:
            data = os.pread(self._descriptor, asked, self.offset)
            found = self._frames(data, rows_max - rows)
            frames += found
            rows += sum(len(frame.rows) for frame in found)
            if self.later_ms is not None:
                return frames
            if found:
                asked = limits.SEGMENT_READ_BYTES
            elif len(data) == asked < _WINDOW_BYTES:
                asked = _WINDOW_BYTES
            elif not self._mend(data, growing):
                return frames
        self.more = True
        return frames

    def _begin(self, growing: bool) -> bool:
        """Step over the first line; False where it is not there yet. One that is wrong is left to be mended."""
        head = os.pread(self._descriptor, len(MAGIC), 0)
        if head == MAGIC:
            self.offset = len(MAGIC)
        elif not head or (growing and MAGIC.startswith(head)):
            return False
        return True

    def _frames(self, data: bytes, rows_max: int) -> list[Frame]:
        """Return the whole frames that the data begins with."""
        frames: list[Frame] = []
        at, rows = 0, 0
        while rows < rows_max:
            try:
                found = read_frame(data, at)
            except WireError:
                break
            if found is None:
                break
            at_ms, entries, end = found
            if at_ms >= self._end_ms:
                self.later_ms = at_ms
                break
            frames.append(Frame(at_ms, entries))
            rows += len(entries)
            at = end
        self.offset += at
        return frames

    def _mend(self, data: bytes, growing: bool) -> bool:
        """Look at data that begin with no whole frame; True if what is damaged was stepped over."""
        if not data:
            return False
        behind = find_frame(data, 1)
        if behind is not None:
            octets = behind
        elif len(data) == _WINDOW_BYTES:
            octets = limits.LOG_RESYNC_BYTES
        elif growing:
            return False  # it may yet be whole
        else:
            octets = len(data)
        self.faults.append(Fault(self._name, self.offset, octets, _what_is_wrong(data, torn=behind is None)))
        self.offset += octets
        return True


def _what_is_wrong(data: bytes, *, torn: bool) -> str:
    try:
        read_frame(data)
    except WireError as error:
        return error.message
    return "torn by a crash before its answers left" if torn else "a frame that is not whole"

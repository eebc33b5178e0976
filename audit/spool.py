"""The first half of the resolution log: what a worker answered, in files of its own.

1. One ``write`` a turn, before the answers leave: an answer that left is in the page cache,
   whatever becomes of the process.
2. A thread syncs what was written, every ``sync_s``: what a loss of power takes with it is
   no older.
3. A write that fails or is short is taken back, and the turn is not logged: its answers must
   not leave. A segment that cannot be mended is left as it is; a torn frame ends it.
   Below the reserve of the disk nothing is written.
4. A worker that starts begins a new segment, and never touches an old one. It holds a lock (flock(2)) on the one
   that it writes, taken before the segment has its name: the sequencer removes what nobody holds and it has read.
5. The sequencer reads while a worker writes: a whole frame that it may have read is never taken back.

A segment is the file ``<worker>-<Unix milliseconds>.spool``: MAGIC, then frames as in
``audit/frame.py``.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from audit.frame import Entry, Row, decode_frame, encode_frame
from core import clock, limits
from core.clock import Millis
from core.disk import always
from core.durable import sync_path
from core.errors import WireError

_LOG: Final = logging.getLogger("saltern.log")
MAGIC: Final = b"saltern spool 1\n"
SUFFIX: Final = ".spool"
_BESIDE: Final = ".new"


class Spool:
    """One worker's segments; used by one thread."""

    def __init__(
        self, folder: Path, worker: str, sync_s: float, *,
        now_ms: Callable[[], Millis] = clock.now_ms, segment_bytes: int = limits.SEGMENT_BYTES,
        now_s: Callable[[], float] = clock.monotonic_s, has_room: Callable[[], bool] = always,
    ) -> None:  # fmt: skip
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._worker = worker
        self._now_ms = now_ms
        self._now_s = now_s
        self._end_at_s = 0.0
        self._segment_bytes = segment_bytes
        self._has_room = has_room
        self._descriptor = -1
        self._written = 0
        self._refused = 0  # writes that failed since one did not
        self._syncer = _Syncer(sync_s)

    def write(self, rows: Sequence[Row]) -> bool:
        """Write the entries of a turn, one or more; False if that failed, and then none of them is logged."""
        frames = _frames(self._now_ms(), rows)
        return self._write(b"".join(frames), len(frames[0]))

    def close(self) -> None:
        """Sync what is written."""
        self._end_segment()
        self._syncer.close()

    def _write(self, octets: bytes, first: int) -> bool:
        """Write frames, of which the first one is so long."""
        if self._syncer.failed:  # what it left of the segment is unknown: go on in a new one, later
            self._end_segment()
            self._syncer.failed = False
            return False
        taken = 0
        try:
            if not self._has_room():
                raise OSError(errno.ENOSPC, "the disk is full down to its reserve (log.disk_reserve)")
            if self._descriptor < 0 or self._written > self._segment_bytes or self._now_s() > self._end_at_s:
                self._begin_segment()
            if not self._written:
                octets, first = MAGIC + octets, len(MAGIC) + first
            taken = os.write(self._descriptor, octets)
            if taken != len(octets):
                raise OSError(f"{taken} of {len(octets)} octets were taken")
        except OSError as error:
            self._complain(error)
            self._take_back(whole=taken >= first)
            return False
        if self._refused:
            _LOG.warning("the resolution log is written again; %d writes had failed", self._refused)
            self._refused = 0
        self._written += taken
        self._syncer.dirty()
        return True

    def _complain(self, error: OSError) -> None:
        """Say so once: on a full disk each question would write a line."""
        self._refused += 1
        if self._refused == 1:
            _LOG.error("the resolution log cannot be written: %s", error.strerror or error)

    def _begin_segment(self) -> None:
        """Errors: OSError."""
        self._end_segment()
        beside = self._folder / f"{self._worker}{_BESIDE}"
        beside.unlink(missing_ok=True)  # of a worker that was killed
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._name(beside)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._written = 0
        self._end_at_s = self._now_s() + limits.SEGMENT_S
        self._syncer.watch(self._descriptor, self._folder)

    def _name(self, beside: Path) -> None:
        """Give the segment its name. Errors: OSError."""
        number = self._now_ms()
        while (path := self._folder / f"{self._worker}-{number:013}{SUFFIX}").exists():
            number = Millis(number + 1)  # the clock went back, or two segments of one millisecond
        beside.rename(path)

    def _take_back(self, *, whole: bool) -> None:
        """Cut off what was written in part; a segment that cannot be cut ends with it.

        ``whole``: a frame of it was written as a whole, and may have been read.
        """
        if self._descriptor < 0:
            return
        if whole:
            self._end_segment()
            return
        try:
            os.ftruncate(self._descriptor, self._written)
        except OSError:
            self._end_segment()

    def _end_segment(self) -> None:
        if self._descriptor >= 0:
            self._syncer.release(self._descriptor)
        self._descriptor = -1


class _Syncer:
    """The thread that syncs. A descriptor that is released is synced once more, and closed."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._changed = threading.Event()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._watched = -1
        self._released: list[int] = []
        self._folder: Path | None = None
        self.failed = False
        self._thread = threading.Thread(target=self._run, name="log-sync", daemon=True)
        self._thread.start()

    def watch(self, descriptor: int, folder: Path) -> None:
        """Sync this descriptor from now on; its folder once."""
        with self._lock:
            self._watched, self._folder = descriptor, folder

    def release(self, descriptor: int) -> None:
        """Close the descriptor once it is synced; at once where syncing failed: that is never tried again."""
        with self._lock:
            self._watched = -1
            if self.failed:
                _close(descriptor)
            else:
                self._released.append(descriptor)
        self.dirty()

    def dirty(self) -> None:
        """There is something to be synced."""
        if not self._changed.is_set():
            self._changed.set()

    def close(self) -> None:
        """Sync and end."""
        self._ending.set()
        self._changed.set()
        self._thread.join()
        self._sync()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._changed.wait()
            self._ending.wait(self._every_s)
            self._changed.clear()
            self._sync()

    def _sync(self) -> None:
        """Sync what is there. The lock is held: nobody closes a descriptor meanwhile, and few begin a segment."""
        with self._lock:
            try:
                for descriptor in (*self._released, self._watched):
                    if descriptor >= 0:
                        os.fdatasync(descriptor)
                if self._folder is not None:
                    sync_path(self._folder)
                    self._folder = None
            except OSError as error:
                _LOG.critical("the resolution log cannot be synced: %s", error.strerror)
                self.failed = True
            released, self._released = self._released, []
            for descriptor in released:
                _close(descriptor)


def segments(folder: Path) -> list[Path]:
    """Return the segments of all workers, each worker's in their order."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def read_segment(path: Path) -> Iterator[Entry]:
    """Yield the entries of a segment, up to its end or to the frame that was torn by a crash.

    Cost: one frame in memory at a time. Errors: WireError for what is no segment, or a frame that is damaged.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC[: path.stat().st_size]:
            raise WireError(f"{path.name} is no segment of the spool")
        data = b""
        while chunk := file.read(limits.SEGMENT_READ_BYTES):
            data += chunk
            at = 0
            while (found := _next(path, data, at)) is not None:
                entries, at = found
                yield from entries
            data = data[at:]


def _next(path: Path, data: bytes, at: int) -> tuple[list[Entry], int] | None:
    try:
        return decode_frame(data, at)
    except WireError as error:
        raise WireError(f"{path.name}: {error.message}") from None


def _frames(at_ms: Millis, rows: Sequence[Row]) -> list[bytes]:
    step = limits.LOG_FRAME_ROWS_MAX
    return [encode_frame(at_ms, rows[start : start + step]) for start in range(0, len(rows), step)]


def _close(descriptor: int) -> None:
    """Close it. What was not synced before may be told only now; the descriptor is gone all the same (close(2))."""
    try:
        os.close(descriptor)
    except OSError as error:
        _LOG.critical("a segment of the resolution log was closed with an error: %s", error.strerror)

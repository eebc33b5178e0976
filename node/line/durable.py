"""Files that survive a kill and a loss of power: written whole or not at all, or appended line by line.

1. What was told as done is on the disk: the file is synced, and a new name's folder, too.
2. An append that failed ends the file for this process; it is never tried again on the same descriptor.
3. A torn tail is cut by the one writer, who holds a lock. A line that cannot be read with a whole one behind it
   is damage, not a torn tail: nothing is cut, and a person has to look.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from core import clock, limits
from core.durable import sync_path
from core.errors import NodeError, Outcome, StoreError, WireError
from node.line.frames import FRAME_HEAD_BYTES_MAX, decode_frame, encode_frame, is_later_frame

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RETRY_S: Final = 0.02
_LINE_BYTES_MAX: Final = limits.LINE_FRAME_BYTES_MAX + FRAME_HEAD_BYTES_MAX


def make_folder(path: Path) -> None:
    """Make a folder, mode 0700, and those above it, durably. Errors: NodeError."""
    with telling(path):
        missing: list[Path] = []
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        for each in reversed(missing):
            with contextlib.suppress(FileExistsError):
                each.mkdir(0o700)
            sync_path(each.parent)


def write_whole(path: Path, octets: bytes) -> None:
    """Write a file, mode 0600, that is there whole or not at all. Errors: NodeError."""
    beside = path.with_name(f".{path.name}.partial")
    with telling(path):
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)
        sync_path(path.parent)


@contextmanager
def locked(path: Path, *, wait_s: float | None = None) -> Iterator[None]:
    """Hold the lock of a file; every process that holds it ends or lets it go. Errors: NodeError if somebody keeps it.

    The file is empty and stays.
    """
    with telling(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = clock.monotonic_s() + (limits.LOCK_WAIT_S if wait_s is None else wait_s)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if clock.monotonic_s() >= deadline:
                    raise NodeError(
                        f"另一个进程正在使用 {path}。Another process is working with {path}",
                        outcome=Outcome.CONFLICT, rule="line-busy",
                    ) from None  # fmt: skip
                clock.pause(_RETRY_S)
        yield
    finally:
        os.close(descriptor)


class Tail(NamedTuple):
    """Where the whole lines of a file end: their number and octets. ``torn``: more follows."""

    lines: int
    size_bytes: int
    torn: bool


NOTHING: Final = Tail(0, 0, torn=False)


def scan(path: Path, *, sync: bool = False) -> Generator[tuple[int, bytes], None, Tail]:
    """Yield number and payload of each whole line; return where they end. A file that is missing is empty.

    What another process appends meanwhile is not looked at. ``sync``: put all that is read on the disk first.
    Memory: one line. Errors: StoreError for damage, NodeError.
    """
    count = size_bytes = 0
    with telling(path):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return NOTHING
        with file:
            there_bytes = os.fstat(file.fileno()).st_size
            if sync:
                os.fsync(file.fileno())
            while size_bytes < there_bytes:
                line = file.readline(_LINE_BYTES_MAX)
                if size_bytes + len(line) > there_bytes:
                    return Tail(count, size_bytes, torn=True)
                try:
                    payload = decode_frame(line, count)
                except WireError as error:
                    while file.tell() < there_bytes and (line := file.readline(_LINE_BYTES_MAX)):
                        if is_later_frame(line, count):
                            raise _damaged(path, size_bytes, error.message) from None
                    return Tail(count, size_bytes, torn=True)
                yield count, payload
                count += 1
                size_bytes += len(line)
    return Tail(count, size_bytes, torn=False)


def read_frames(path: Path, take: Callable[[int, bytes], None]) -> Tail:
    """Give each whole line to ``take``, by number; return where they end. See scan()."""
    lines = scan(path)
    while True:
        try:
            number, payload = next(lines)
        except StopIteration as ended:
            tail: Tail = ended.value
            return tail
        take(number, payload)


def _damaged(path: Path, offset: int, why: str) -> StoreError:
    return StoreError(
        f"{path} 在第 {offset} 字节处损坏，其后仍有完好的行，未作改动。"
        f"{path} is damaged at octet {offset}, with whole lines behind it; nothing was changed: {why}",
        outcome=Outcome.INTERNAL, rule="line-damaged",
    )  # fmt: skip


class Appender:
    """Appends lines behind the whole ones; cuts a torn tail first. The caller holds a lock."""

    def __init__(self, path: Path, tail: Tail) -> None:
        """Open the file, or make it. Errors: NodeError."""
        self._path = path
        self._count = tail.lines
        with telling(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._descriptor, tail.size_bytes)
            os.lseek(self._descriptor, tail.size_bytes, os.SEEK_SET)
            os.fsync(self._descriptor)  # also what a process that was killed wrote and had not synced
            sync_path(path.parent)

    def append(self, payloads: Sequence[bytes]) -> None:
        """Append lines; they are on the disk when this returns. Errors: NodeError, after which nothing is appended."""
        octets = b"".join([encode_frame(self._count + index, payload) for index, payload in enumerate(payloads)])
        with telling(self._path):
            written = 0
            while written < len(octets):
                written += os.write(self._descriptor, octets[written:])
            os.fdatasync(self._descriptor)
        self._count += len(payloads)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Errors: NodeError for an OSError."""
    try:
        yield
    except OSError as error:
        outcome = Outcome.STORE_FULL if error.errno in _FULL else Outcome.INTERNAL
        raise NodeError(
            f"无法读写 {path}。Cannot read or write {path}: {error.strerror}", outcome=outcome, rule="line-file"
        ) from None

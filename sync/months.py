"""Months of the logs that are over, as they go up: which ones may, and the parts of their files.

A month goes once nothing can come to it any more: the log of a later month begins with its last checkpoint, or with
that of a month between. The top node names the files; only what is published of that very month is ever read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from audit.checkpoint import parse_checkpoint
from audit.note import open_note
from audit.published import OpenFile, open_published, parse_path
from audit.tile import ENTRY_BYTES_MAX, WIDTH, bundle_path
from core import limits
from sync import messages
from sync.checkpoints import Current, LogFaultError

_LENGTH_BYTES: Final = 2


def require_over(logs: Path, log: str, current: Current, later: str) -> None:
    """Errors: LogFaultError unless the next month that there is, ``later``, begins behind this one, which is whole."""
    try:
        note = first_entry(logs, later)
        before = parse_checkpoint(open_note(note, ()).text).origin
    except ValueError:
        raise LogFaultError(f"{later} 的首条不是检查点。The first entry of {later} is no checkpoint") from None
    except OSError as error:
        raise LogFaultError(f"{later} 的首条无法读取。The first entry of {later} cannot be read: {error}") from None
    origin = current.checkpoint.origin
    if before == origin and note != current.note:
        raise LogFaultError(
            f"{later} 的首条不是 {log} 的检查点。The first entry of {later} is another checkpoint than that of {log}"
        )
    if before.rpartition("/")[2] < origin.rpartition("/")[2]:
        raise LogFaultError(f"{later} 未接续 {log}。{later} does not begin where {log} ends")


def first_entry(logs: Path, log: str) -> bytes:
    """Return the first entry of a log. Errors: OSError, ValueError."""
    most = _LENGTH_BYTES + ENTRY_BYTES_MAX
    for width in (WIDTH, *range(1, WIDTH)):
        opened = _open(logs, log, bundle_path(0, width))
        if opened is not None:
            break
    else:
        raise FileNotFoundError(f"{log}/{bundle_path(0)}")
    try:
        data = os.pread(opened.descriptor, most, 0)
    finally:
        os.close(opened.descriptor)
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES])
    if len(data) < end:
        raise ValueError("the entry is cut short")
    return data[_LENGTH_BYTES:end]


def part_of(logs: Path, log: str, wanted: messages.Wanted) -> messages.MonthFile:
    """Return the part of a file that the top node wants. Errors: LogFaultError."""
    name = f"{log}/{wanted.path}"
    try:
        opened = _open(logs, log, wanted.path)
        if opened is None:
            raise LogFaultError(f"{name} 缺失。{name} is missing")
        try:
            data = os.pread(opened.descriptor, limits.UPSTREAM_PART_BYTES, wanted.offset)
        finally:
            os.close(opened.descriptor)
    except (OSError, OverflowError, ValueError) as error:
        raise LogFaultError(f"{name} 无法读取。{name} cannot be read: {error}") from None
    end = wanted.offset + len(data)
    if wanted.offset > opened.size_bytes or (not data and end < opened.size_bytes):
        raise LogFaultError(
            f"{name} 只有 {opened.size_bytes} 字节，上级节点已有 {wanted.offset} 字节。"
            f"{name} has {opened.size_bytes} octets, and the top node {wanted.offset} of them"
        )
    stream, month = log.split("/")
    return messages.MonthFile(stream, month, wanted.path, wanted.offset, data, end >= opened.size_bytes)


def _open(logs: Path, log: str, path: str) -> OpenFile | None:
    """Open a file that is published of a log. Errors: ValueError for any other path; OSError."""
    found = parse_path(f"{log}/{path}")
    if found is None:
        raise ValueError("此路径不属于已发布的文件 no path of what is published")
    return open_published(logs, found)

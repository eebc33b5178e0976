"""Drops logs whose time is over: published record first, then the month's folder whole, then what led to addresses.

Of each month that ``audit/retention.py`` lets go, in this order:

1. The entry ``log.drop`` is published in the maintenance log, with the final checkpoint; once, which is looked up.
2. The folder leaves ``log/`` by one rename to ``.dropped-<stream>-<month>``, and is deleted there.
3. The mirror of a month of resolutions, and the side table of addresses; of the maintenance log these alone.
4. The key of the month, once no log and no side table needs it: nothing leads from a hash to an address any more.

A process that ends at any step has done nothing that the next one does not finish: what is left tells what is to do.
One process at a time: whoever holds the lock of the logs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from audit.checkpoint import CheckpointError, parse_checkpoint
from audit.files import Files
from audit.places import BEFORE
from audit.reading import months, open_months
from audit.retention import Verdict
from core.clock import month_after, parse_month
from core.errors import NodeError
from core.limits import RETENTION_MONTHS_MIN
from core.store.log_rows import LogEntry
from core.streams import Stream, format_log, parse_log

DROP: Final = "log.drop"
_AWAY: Final = ".dropped-"

Judge = Callable[[Stream, str], Verdict]
Publish = Callable[[LogEntry], None]
"""Publishes an entry of the maintenance log, durably, before it returns."""


class DropError(NodeError):
    """A month cannot be dropped as it is."""


class Dropped(NamedTuple):
    """What was done. ``logs``: names of those that went, as ``registration/2026-03``; ``problems``: for people."""

    logs: tuple[str, ...]
    problems: tuple[str, ...]


def drop_due(data: Path, judge: Judge, publish: Publish, files: Files) -> Dropped:
    """Drop what may go below the data folder. A month that cannot is told of, and stops no other.

    Cost: reads the names of folders; where something goes the maintenance log since it could. Errors: those of
    ``publish``.
    """
    logs, problems = [], []
    for stream, month in sorted(set(_found(data)), key=lambda log: (log[1], log[0].value)):
        try:
            verdict = judge(stream, month)
            if verdict.log_goes:
                if _drop_log(data, stream, month, judge, publish, files):
                    logs.append(format_log(stream, month))
                verdict = judge(stream, month)
            addresses = data / "clients" / month / stream.value
            if verdict.clients_go and addresses.exists():
                files.remove(addresses)
        except (OSError, ValueError, NodeError) as error:
            problems.append(f"{format_log(stream, month)}: {error}")
    for month in _months_of(data / "clients"):
        try:
            _drop_key(data, month, judge, files)
        except (OSError, ValueError) as error:
            problems.append(f"clients/{month}: {error}")
    return Dropped(tuple(logs), tuple(problems))


def size_on_disk(folder: Path) -> int:
    """Return what a folder takes of its disk, in octets; 0 for none. Cost: looks at every file in it."""
    if folder.is_file():
        return folder.stat().st_blocks * 512
    return sum(path.lstat().st_blocks * 512 for path in (folder, *folder.rglob("*"))) if folder.is_dir() else 0


def newest_month(log: Path) -> str | None:
    """Return the newest month that anything is published of, None before there is any."""
    published = (
        month for stream in Stream for month in months(log, stream) if _checkpoint(log, stream, month).is_file()
    )
    return max(published, default=None)


# --- what there is ---
def _found(data: Path) -> Iterator[tuple[Stream, str]]:
    """Yield each stream and month of which anything is left."""
    for stream in Stream:
        for month in months(data / "log", stream):
            yield stream, month
        for month in _months_of(data / "clients"):
            if (data / "clients" / month / stream.value).exists():
                yield stream, month
    for month in _months_of(data / "mirror" / Stream.RESOLUTION.value):
        yield Stream.RESOLUTION, month
    for folder in _aways(data):
        for path in folder.glob(f"{_AWAY}*"):
            log = parse_log(path.name.removeprefix(_AWAY).replace("-", "/", 1))
            if log is not None:
                yield log


def _months_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if parse_month(path.name)) if folder.is_dir() else []


def _aways(data: Path) -> tuple[Path, Path]:
    """Return where a folder may be renamed to: the data folder, or ``log/`` where that is a disk of its own."""
    return data, data / "log"


def _away(folder: Path, stream: Stream, month: str) -> Path:
    return folder / f"{_AWAY}{stream.value}-{month}"


def _checkpoint(log: Path, stream: Stream, month: str) -> Path:
    return log / stream.value / month / "checkpoint"


# --- a log ---
def _drop_log(data: Path, stream: Stream, month: str, judge: Judge, publish: Publish, files: Files) -> bool:  # noqa: PLR0917
    """Return whether the log went now, and not before. Errors: DropError, OSError, NodeError."""
    folder = data / "log" / stream.value / month
    there = folder.is_dir()
    for place in _aways(data):  # of a process that ended
        _remove_tree(files, _away(place, stream, month))
    if there:
        record = LogEntry(
            Stream.MAINTENANCE.value, DROP, format_log(stream, month), reason=_final_checkpoint(data, stream, month)
        )
        if not _is_recorded(data / "log", record, month):
            publish(record)
        if not judge(stream, month).log_goes:
            return False  # a hold was placed meanwhile: the log stays until it is released
        inner = folder.stat().st_dev == data.stat().st_dev
        away = _away(_aways(data)[not inner], stream, month)
        files.rename(folder, away)
        files.sync_folder(folder.parent)
        files.sync_folder(away.parent)
        _remove_tree(files, away)
    if stream is Stream.RESOLUTION:
        _remove_tree(files, data / "mirror" / stream.value / month)
    return there


def _final_checkpoint(data: Path, stream: Stream, month: str) -> str:
    """Return origin, size and root of the final checkpoint, joined by blanks. Errors: DropError, OSError."""
    log = data / "log"
    if (log / stream.value / month).is_symlink():
        raise DropError("是符号链接，请自行处理。It is a symbolic link: what it leads to is yours to delete")
    ended = data.parent.name == BEFORE  # of a node that this one was put back from: nobody writes it any more
    if not ended and not any(
        later > month and _checkpoint(log, stream, later).is_file() for later in months(log, stream)
    ):
        raise DropError("其后没有月份，末检查点尚未确定。No later month follows: its checkpoint is not final")
    text, _, _ = _checkpoint(log, stream, month).read_bytes().decode().partition("\n\n")
    try:
        parse_checkpoint(f"{text}\n")
    except CheckpointError as error:
        raise DropError(f"检查点有误。The checkpoint cannot be read: {error}") from None
    return " ".join(text.split("\n")[:3])


def _is_recorded(log: Path, record: LogEntry, month: str) -> bool:
    """Whether the maintenance log has this entry: it is none of before the log could be dropped. Errors: NodeError."""
    since = month_after(month, RETENTION_MONTHS_MIN + 1)
    needle = record.object.encode()
    for opened in open_months(log, Stream.MAINTENANCE, since):
        for _, leaf in opened.leaves():
            if needle in leaf and _says(leaf, record):
                return True
    return False


def _says(leaf: bytes, record: LogEntry) -> bool:
    try:
        entry: Any = json.loads(leaf)
        told = (entry["act"], entry["obj"], entry["res"]["code"], entry["res"]["reason"])
    except (ValueError, KeyError, TypeError):
        return False  # the checkpoint at its begin, or an entry of something else
    return bool(told == (record.action, record.object, record.outcome, record.reason))


# --- what leads to addresses ---
def _drop_key(data: Path, month: str, judge: Judge, files: Files) -> None:
    """Remove the key of a month that nothing needs any more. Errors: ValueError, OSError."""
    folder = data / "clients" / month
    if not all(judge(stream, month).clients_go for stream in Stream):
        return
    if any((data / "log" / stream.value / month).is_dir() for stream in Stream if stream is not Stream.MAINTENANCE):
        return
    if any((folder / stream.value).exists() for stream in Stream):
        return
    files.remove(folder)
    files.sync_folder(folder.parent)


def _remove_tree(files: Files, folder: Path) -> None:
    """Remove a folder with all that is in it; it may be gone already."""
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            _remove_tree(files, path)
    files.remove(folder)

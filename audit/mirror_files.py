"""Which files the mirror of a month has, and which leaves they stand for: told by their names, so none is opened.

    <data>/mirror/resolution/<YYYY-MM>/<DD>T<HH>/<first>-<end>-<rows>-<earliest>-<latest>-<tag>.parquet

``first``, ``end``: the leaves from one index to the other, which is not among them; day and hour (Asia/Shanghai) of
``earliest``; times of the earliest and the latest entry, Unix milliseconds; ``tag``: twelve hexadecimal digits that no
other log and no other form of the mirror has. A file whose tag is wrong is none of this log's: it is passed over, and
removed by whoever makes the mirror. Files of one month may overlap for a moment, while some are replaced by one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from audit.reading import LogReadError, MonthLog
from core.clock import TIME_MS_END, format_shanghai

FORM: Final = "saltern mirror 1"
TEMPORARY: Final = ".new"
HOUR_MS: Final = 3_600_000
_TAG_DIGITS: Final = 12
_MAGIC: Final = b"PAR1"
_NAME: Final = re.compile(r"(\d{1,15})-(\d{1,15})-(\d{1,15})-(\d{1,15})-(\d{1,15})-([0-9a-f]{12})\.parquet", re.ASCII)


class Part(NamedTuple):
    """What a file of the mirror stands for. ``rows``: entries in it."""

    first: int
    end: int
    rows: int
    earliest_ms: int
    latest_ms: int
    tag: str

    @property
    def hour(self) -> int:
        """Number of the hour that it lies in."""
        return self.earliest_ms // HOUR_MS

    def path(self, folder: Path) -> Path:
        """Return where the file lies. ``folder``: of its month."""
        return folder / format_shanghai(self.earliest_ms)[8:13] / f"{'-'.join(map(str, self))}.parquet"

    def within(self, since_ms: int, until_ms: int) -> bool:
        """Whether an entry of it may lie in a range of times; the end is not in it."""
        return self.latest_ms >= since_ms and self.earliest_ms < until_ms


def tag_of(log: MonthLog, last_hash: bytes, *, case_sensitive: bool) -> str:
    """Return the tag of a file whose last leaf has this hash. The keys in it depend on how handles are compared."""
    text = f"{FORM}\n{log.origin}\n{int(case_sensitive)}\n{last_hash.hex()}\n"
    return hashlib.sha256(text.encode()).hexdigest()[:_TAG_DIGITS]


def read_name(folder: Path, path: Path) -> Part | None:
    """Return what a file's name tells; None for one that is none of the mirror's. ``folder``: of its month."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    first, end, rows, earliest_ms, latest_ms = map(int, match.groups()[:5])
    part = Part(first, end, rows, earliest_ms, latest_ms, match[6])
    return part if first < end and max(earliest_ms, latest_ms) < TIME_MS_END and part.path(folder) == path else None


def good_parts(log: MonthLog, folder: Path, *, case_sensitive: bool) -> list[Part]:
    """Return the files of a month that stand for leaves of this log, rising; none of them overlap.

    Where some do, the one that begins first is kept, of two the longer one.
    """
    named = filter(None, (read_name(folder, path) for path in folder.glob("*/*.parquet")))
    kept: list[Part] = []
    at = 0
    for part in sorted(named, key=lambda part: (part.first, -part.end)):
        if part.first >= at and part.end <= log.size and _is_good(log, part, folder, case_sensitive=case_sensitive):
            kept.append(part)
            at = part.end
    return kept


def gaps(parts: Iterable[Part], size: int) -> list[range]:
    """Return the leaves that no file stands for. ``parts``: rising."""
    found: list[range] = []
    at = 0
    for part in parts:
        if part.first > at:
            found.append(range(at, part.first))
        at = part.end
    if at < size:
        found.append(range(at, size))
    return found


def _is_good(log: MonthLog, part: Part, folder: Path, *, case_sensitive: bool) -> bool:
    try:
        tag = tag_of(log, log.leaf_hash(part.end - 1), case_sensitive=case_sensitive)
        with part.path(folder).open("rb") as file:
            begin = file.read(len(_MAGIC))
            file.seek(-len(_MAGIC), 2)
            return part.tag == tag and begin == file.read() == _MAGIC
    except (OSError, LogReadError):
        return False

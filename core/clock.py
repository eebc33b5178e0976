"""The only place that reads time, and the only one that writes it as text.

Inside the node time is an integer: Unix seconds in records (RFC 3651 §3.1),
Unix milliseconds everywhere else.
"""

from __future__ import annotations

import datetime
import re
import time
from calendar import timegm
from email.utils import formatdate
from functools import lru_cache
from typing import NewType

UnixSeconds = NewType("UnixSeconds", int)
Millis = NewType("Millis", int)

DAY_MS = 86_400_000
_SHANGHAI_S = 8 * 3_600
_SHANGHAI_MS = _SHANGHAI_S * 1_000
_SHANGHAI = datetime.timezone(datetime.timedelta(seconds=_SHANGHAI_S))
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
TIME_MS_END = 2**32 * 1_000  # Unix milliseconds that format_utc() writes lie before it
_UTC = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?Z", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)
_GIVEN = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?(Z|[+-]\d\d:[0-5]\d)?", re.ASCII)
_OFFSET_MINUTES_MAX = 14 * 60


def now_ms() -> Millis:
    """Return the time of day, in Unix milliseconds."""
    return Millis(time.time_ns() // 1_000_000)


def now_us() -> int:
    """Return the time of day, in Unix microseconds: numbers of messages that rise."""
    return time.time_ns() // 1_000


def now_s() -> UnixSeconds:
    """Return the time of day, in Unix seconds."""
    return UnixSeconds(int(time.time()))


monotonic_s = time.monotonic
"""Returns seconds on a clock that never jumps, for deadlines and durations."""

monotonic_ns = time.monotonic_ns
"""Returns nanoseconds on that clock; all processes of this machine read the same."""


def pause(seconds: float) -> None:
    """Block the calling process; only the supervisor, the command line and threads that wait for a top node do so."""
    time.sleep(seconds)


def shanghai_date(at_ms: int) -> datetime.date:
    """Return the day of Unix milliseconds in Asia/Shanghai, which has no summer time (+08:00)."""
    return datetime.datetime.fromtimestamp(at_ms / 1_000, _SHANGHAI).date()


def shanghai_midnight(day: datetime.date) -> Millis:
    """Return the first millisecond of a day in Asia/Shanghai."""
    return Millis(timegm((day.year, day.month, day.day, 0, 0, 0)) * 1_000 - _SHANGHAI_MS)


def shanghai_month(at_ms: int) -> str:
    """Return the month of Unix milliseconds in Asia/Shanghai, ``YYYY-MM``."""
    return format_shanghai(at_ms)[:7]


def month_start(month: str) -> Millis:
    """Return the first millisecond of a month ``YYYY-MM`` in Asia/Shanghai. Errors: ValueError."""
    return shanghai_midnight(datetime.date.fromisoformat(f"{month}-01"))


def month_after(month: str, months: int = 1) -> str:
    """Return the month that lies so many months behind one, before it where they are negative. Errors: ValueError."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + months, 12)
    return f"{year:04}-{number + 1:02}"


def parse_month(text: str) -> str | None:
    """Return ``YYYY-MM`` if it is a month; None for anything else."""
    return text if parse_day(f"{text}-01") else None


def parse_day(text: str) -> datetime.date | None:
    """Return the day that ``YYYY-MM-DD`` names; None for anything else."""
    try:
        return datetime.date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:  # the 31st of February
        return None


def format_shanghai(at_ms: int) -> str:
    """Return ``YYYY-MM-DDThh:mm:ss+08:00`` for Unix milliseconds: the time in Asia/Shanghai."""
    return format_utc(at_ms // 1_000 + _SHANGHAI_S).replace("Z", "+08:00")


def parse_given(text: str) -> Millis | None:
    """Read a time that a person gave: ``YYYY-MM-DDThh:mm[:ss]``, then ``Z``, an offset, or nothing for Shanghai.

    Bounds: what format_utc() takes; offsets up to 14 hours. None for anything else.
    """
    match = _GIVEN.fullmatch(text)
    if match is None:
        return None
    minute, second, zone = match.groups()
    local = parse_utc(f"{minute}{second or ':00'}Z")
    minutes = _offset_minutes(zone)
    if local is None or abs(minutes) > _OFFSET_MINUTES_MAX:
        return None
    at_ms = (local - minutes * 60) * 1_000
    return Millis(at_ms) if 0 <= at_ms < TIME_MS_END else None


def parse_instant(text: str) -> Millis | None:
    """Read a time that a machine gave: RFC 3339 with its zone, ``2026-11-21T08:00:00.123+08:00``.

    Bounds: what format_utc() takes. None for anything else. What is below a millisecond is cut.
    """
    if _INSTANT.fullmatch(text) is None:
        return None
    try:
        since = datetime.datetime.fromisoformat(text) - _EPOCH
    except (ValueError, OverflowError):
        return None
    at_ms = since // _MILLISECOND
    return Millis(at_ms) if 0 <= at_ms < TIME_MS_END else None


def format_instant(at_ms: int) -> str:
    """Return ``YYYY-MM-DDThh:mm:ss.mmmZ`` for Unix milliseconds."""
    return f"{format_utc(at_ms // 1_000)[:-1]}.{at_ms % 1_000:03d}Z"


def _offset_minutes(zone: str | None) -> int:
    if zone is None:
        return _SHANGHAI_S // 60
    if zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:])
    return (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)


def read_millis(stored: object) -> Millis:
    """Return a time of a stored row. Bounds: what format_utc() takes. Errors: ValueError for what is no time."""
    if type(stored) is not int or not 0 <= stored < TIME_MS_END:
        raise ValueError("no time")
    return Millis(stored)


@lru_cache(maxsize=1_024)
def format_utc(seconds: int) -> str:
    """Return ``YYYY-MM-DDThh:mm:ssZ`` for Unix seconds 0 … 2³²-1."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def http_date() -> bytes:
    """Return the time of day as RFC 9110 §5.6.7 writes it, with the empty line behind it."""
    return _http_date(int(time.time()))


@lru_cache(maxsize=2)
def _http_date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode() + b"\r\n\r\n"


def parse_utc(text: str) -> UnixSeconds | None:
    """Return Unix seconds for ``YYYY-MM-DDThh:mm:ss[.fff]Z``; None for anything else."""
    match = _UTC.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    try:
        seconds = timegm((year, month, day, hour, minute, second))
    except ValueError:  # month 13, year 0
        return None
    # timegm() carries overflowing fields over: the 31st of February would be the 3rd of March.
    if time.gmtime(seconds)[:6] != (year, month, day, hour, minute, second):
        return None
    return UnixSeconds(seconds)

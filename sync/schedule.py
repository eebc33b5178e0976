"""When a table is due, and when a top node that is away is asked again. Days and months are those of Asia/Shanghai."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Final

from core import limits
from core.clock import DAY_MS, Millis, month_after, month_start, shanghai_date, shanghai_midnight, shanghai_month
from sync.table import Cadence

_HOUR_MS: Final = 3_600_000
_AFTER_MS: Final = 600_000
"""Behind midnight: what the day brought has been published by then."""

_NIGHT_MS: Final = 3 * _HOUR_MS
"""Behind midnight: both sides are compared."""


def next_due(cadence: Cadence, now_ms: Millis) -> Millis:
    """Return when a table is due next. One in real time is told once an hour how far it is, be there nothing new."""
    if cadence is Cadence.MONTHLY:
        return Millis(month_start(month_after(shanghai_month(now_ms))) + _AFTER_MS)
    if cadence is Cadence.DAILY:
        return Millis(shanghai_midnight(shanghai_date(now_ms)) + DAY_MS + _AFTER_MS)
    return Millis((now_ms // _HOUR_MS + 1) * _HOUR_MS)


def waits(until_ms: int, now_ms: Millis, most_ms: int) -> bool:
    """Whether a time is not there yet. One that lies further ahead than ``most_ms`` was set by another clock."""
    return now_ms < until_ms <= now_ms + most_ms


def is_due(cadence: Cadence, next_ms: Millis, now_ms: Millis) -> bool:
    """Whether a table is to be sent. ``next_ms``: when it is due, as ``next_due`` said once."""
    return not waits(next_ms, now_ms, next_due(cadence, now_ms) - now_ms)


def night_of(now_ms: Millis) -> Millis:
    """Return the last time at which both sides were to be compared."""
    day = shanghai_date(now_ms)
    night = shanghai_midnight(day) + _NIGHT_MS
    if night <= now_ms:
        return Millis(night)
    return Millis(shanghai_midnight(day - datetime.timedelta(days=1)) + _NIGHT_MS)


def retry_s(tries: int, chance: Callable[[], float]) -> float:
    """Return how long to wait before the next try. ``chance``: from 0 to 1; half of the time is left to it."""
    longest: float = min(limits.UPSTREAM_RETRY_S_MAX, limits.UPSTREAM_RETRY_S_MIN * 2.0 ** min(tries, 16))
    return longest * (0.5 + chance() / 2)

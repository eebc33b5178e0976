"""When which log is sent to its witness: a table without a clock; times are seconds that the caller gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from core import limits
from core.streams import Stream


class LogName(NamedTuple):
    """One log. ``month``: YYYY-MM."""

    stream: Stream
    month: str

    def __str__(self) -> str:
        return f"{self.stream.value}/{self.month}"


class Pace(NamedTuple):
    """How often, in s: between two checkpoints of a log; after the first failure; after many."""

    interval_s: float = limits.WITNESS_INTERVAL_S
    retry_s: float = limits.WITNESS_RETRY_S
    retry_s_max: float = limits.WITNESS_RETRY_S_MAX


class Timetable:
    """Which logs are to be sent, and when. ``jitter``: gives 0 … 1, so that nodes do not ask all at once."""

    def __init__(self, pace: Pace, jitter: Callable[[], float]) -> None:
        self._pace = pace
        self._jitter = jitter
        self._wanted: set[LogName] = set()
        self._not_before: dict[LogName, float] = {}
        self._delays: dict[LogName, float] = {}

    def want(self, log: LogName) -> None:
        """Have a log sent as soon as it may be."""
        self._wanted.add(log)

    def due(self, now_s: float) -> list[LogName]:
        """Return what is to be sent, the newest months first."""
        due = [log for log in self._wanted if self._not_before.get(log, now_s) <= now_s]
        return sorted(due, key=lambda log: (log.month, log.stream.value), reverse=True)

    def next_s(self) -> float | None:
        """Return when something is due, None while nothing is wanted. An earlier time means at once."""
        return min((self._not_before.get(log, 0.0) for log in self._wanted), default=None)

    def begin(self, log: LogName) -> None:
        """Take note that a log is being sent; what is published from now on is wanted anew."""
        self._wanted.discard(log)

    def sent(self, log: LogName, now_s: float) -> None:
        """Take note that it went well."""
        self._delays.pop(log, None)
        self._not_before[log] = now_s + self._pace.interval_s

    def failed(self, log: LogName, now_s: float) -> None:
        """Have it sent again, later each time: half to all of a delay that doubles."""
        delay = min(self._delays.get(log, self._pace.retry_s / 2) * 2, self._pace.retry_s_max)
        self._delays[log] = delay
        self._not_before[log] = now_s + delay * (0.5 + self._jitter() / 2)
        self._wanted.add(log)

    def drop(self, log: LogName) -> None:
        """Forget a log."""
        self._wanted.discard(log)
        self._not_before.pop(log, None)
        self._delays.pop(log, None)

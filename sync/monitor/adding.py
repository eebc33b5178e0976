"""Adds up what is measured: seconds of this node, probes of it and of enterprise nodes, to the hours of each subject.

Pure: the time is passed in. An hour stays open for MONITOR_HOUR_GRACE_MS behind its end, for seconds are read and
probes end a moment later; two of a subject may be open at once. What comes for an hour that was closed is left out.

Of this node latencies come from what was really answered, of an enterprise node from probes of its resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis, format_shanghai
from sync.monitor.figures import NODE, Hour, Latency, Probes, join
from sync.monitor.observation import Observation, Way

HOUR_MS: Final = 3_600_000
_HOUR_CHARS: Final = len("2026-11-22T08")
_FAILED_PERCENT: Final = 51  # of the ways that were asked (national node §4)


class Second(NamedTuple):
    """What one process answered in one Unix second; microseconds."""

    second: int
    answers: int
    sum_us: int
    min_us: int
    max_us: int


def hour_of(at_ms: int) -> str:
    """Return the hour of Asia/Shanghai that Unix milliseconds lie in, ``YYYY-MM-DDTHH``."""
    return format_shanghai(at_ms)[:_HOUR_CHARS]


def add_seconds(latency: Latency, seconds: Iterable[Second]) -> Latency:
    """Return the latency with these seconds added; all that is known of one second comes in one call, in any order."""
    for second, parts in groupby(sorted(seconds), key=attrgetter("second")):
        known = [part for part in parts if part.answers]
        if known:
            answers = sum(part.answers for part in known)
            most, least = max(part.max_us for part in known), min(part.min_us for part in known)
            total = sum(part.sum_us for part in known)
            latency = join(latency, Latency(answers, total, most, second, least, second, answers, second))
    return latency


class _Round(NamedTuple):
    """One round of probes of one subject: which ways were asked, and which of them answered."""

    at_ms: Millis
    answered: dict[Way, bool]


class Hours:
    """The hours that are open. ``period_s``: between two rounds; ``closed``: the newest hour that is closed, or empty.

    ``known``: hours that were open when the process ended.
    """

    def __init__(self, period_s: int, closed: str = "", known: Iterable[Hour] = ()) -> None:
        self._period_s = period_s
        self._closed = closed
        self._open = {(hour.subject, hour.hour): hour for hour in known}
        self._rounds: dict[str, _Round] = {}

    def begin(self, now_ms: Millis) -> None:
        """Have an hour of this node that is now, be anything measured or not: the node runs."""
        self._hour(NODE, hour_of(now_ms))

    def add(self, resolutions: Iterable[Second], registrations: Iterable[Second]) -> None:
        """Add seconds of this node; all that is known of one second comes in one call, in any order."""
        for hour, parts in self._of_hours(resolutions):
            self._keep(hour._replace(resolution=add_seconds(hour.resolution, parts)))
        for hour, parts in self._of_hours(registrations):
            self._keep(hour._replace(registration=add_seconds(hour.registration, parts)))

    def observe(self, seen: Observation) -> None:
        """Add one probe. The first one of a new round ends the one before."""
        known = self._rounds.get(seen.subject)
        if known is not None and known.at_ms != seen.at_ms:
            if 0 < known.at_ms - seen.at_ms <= limits.MONITOR_HOUR_GRACE_MS:  # its round was counted
                return
            self._end_round(seen.subject)
        self._rounds.setdefault(seen.subject, _Round(seen.at_ms, {})).answered[seen.way] = seen.rtt_us is not None
        hour = self._hour(seen.subject, hour_of(seen.at_ms))
        if hour is None or seen.subject == NODE or seen.rtt_us is None or seen.way is Way.REGISTRATION:
            return
        second, took_us = seen.at_ms // 1_000, seen.rtt_us
        latency = join(hour.resolution, Latency(1, took_us, took_us, second, took_us, second))
        self._keep(hour._replace(resolution=latency))

    def all(self) -> list[Hour]:
        """Return the open hours; the round that is under way is not in them yet."""
        return [self._open[key] for key in sorted(self._open)]

    def over(self, now_ms: Millis) -> list[Hour]:
        """Return the hours that are to be closed, oldest first, each one as it will stay."""
        until = hour_of(now_ms - limits.MONITOR_HOUR_GRACE_MS)
        for subject in [name for name, each in self._rounds.items() if hour_of(each.at_ms) < until]:
            self._end_round(subject)
        return sorted(
            (each for each in self._open.values() if each.hour < until), key=lambda each: (each.hour, each.subject)
        )

    def close(self, hours: Iterable[Hour]) -> None:
        """Forget hours that are stored as closed."""
        for hour in hours:
            self._open.pop((hour.subject, hour.hour), None)
            self._closed = max(self._closed, hour.hour)

    def _of_hours(self, seconds: Iterable[Second]) -> Iterator[tuple[Hour, Iterable[Second]]]:
        """Yield each open hour of this node, and the seconds that lie in it."""
        for text, parts in groupby(sorted(seconds), key=lambda each: hour_of(each.second * 1_000)):
            hour = self._hour(NODE, text)
            if hour is not None:
                yield hour, parts

    def _hour(self, subject: str, text: str) -> Hour | None:
        """Return an open hour, begun if need be; None for one that is closed."""
        known = self._open.get((subject, text))
        if known is None and text > self._closed:
            known = self._open[subject, text] = Hour(subject, text)
        return known

    def _keep(self, hour: Hour) -> None:
        self._open[hour.subject, hour.hour] = hour

    def _end_round(self, subject: str) -> None:
        done = self._rounds.pop(subject)
        hour = self._hour(subject, hour_of(done.at_ms))
        if hour is not None:
            self._keep(hour._replace(probes=_count(hour.probes, done.answered, self._period_s)))


def _count(probes: Probes, answered: dict[Way, bool], period_s: int) -> Probes:
    """Return the probes of an hour with a round more. What was not asked for neither is available nor fails."""
    ways = [answer for way, answer in answered.items() if way is not Way.REGISTRATION]
    resolves = bool(ways) and ways.count(False) * 100 < _FAILED_PERCENT * len(ways)
    registers = answered.get(Way.REGISTRATION, False)
    both = resolves and answered.get(Way.REGISTRATION, True)
    if probes.period_s != period_s:  # the setting was changed within the hour: what was counted stands for its time
        counted = [count * probes.period_s // period_s if period_s else count for count in probes[1:]]
        probes = Probes(period_s, *counted)
    return Probes(
        period_s, probes.periods + 1, probes.resolution + resolves, probes.registration + registers, probes.both + both
    )

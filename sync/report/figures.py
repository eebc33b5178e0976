"""Figures of a month, from what was gathered of the logs: pure, whole numbers, so that anybody gets the same.

1. Availability = seconds that were available / seconds that were owed. Owed are those of all hours of the month since
   the node's first hour, less planned downtime. A second was available if its round of self-probes found it so; an
   hour without an entry was not. Of an hour no more counts than is owed of it.
2. A round of probes stands for its period. Where no round of an hour is missing, all of them stand for 3 600 s.
3. The node ran as long as it probed itself, whatever it found.
4. Effective: from the last approval of a prefix to the transaction that made its prefix handle.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis, format_shanghai, month_after, month_start
from core.store.incident_rows import Incident
from sync.monitor.figures import Latency, Probes, join
from sync.monitor.happening import Happening, Status
from sync.report.gathering import Gathered, Plan, Step, is_approval, makes_prefix_handle

HOUR_S: Final = 3_600
HOUR_MS: Final = HOUR_S * 1_000
TABLE_MONTHS: Final = 6


class Span(NamedTuple):
    """A month, or so much of it as is over: whole hours. ``end_ms``: of the month."""

    month: str
    begin_ms: Millis
    until_ms: Millis
    end_ms: Millis

    @property
    def is_whole(self) -> bool:
        """Whether the month is over."""
        return self.until_ms == self.end_ms


class Share(NamedTuple):
    """Seconds that were available, of those that were owed."""

    available_s: int
    owed_s: int


class Figures(NamedTuple):
    """Sums of one month. ``hours``: entries; ``planned_s``: planned downtime within the hours that count."""

    month: str
    hours: int
    running_s: int
    planned_s: int
    both: Share
    resolution: Share
    registration: Share
    resolution_latency: Latency
    registration_latency: Latency


class Effective(NamedTuple):
    """A prefix that came to resolve. ``approved_ms``: None where no log that is left tells of its approval."""

    prefix: str
    approved_ms: Millis | None
    resolves_ms: Millis


class Pair(NamedTuple):
    """An anomaly, and the recovery that ended it, if it did."""

    anomaly: Happening
    recovery: Happening | None


def span_of(month: str, now_ms: Millis) -> Span:
    """Return what of a month is over. Hours take REPORT_GRACE_MS to be in the log."""
    begin, end = month_start(month), month_start(month_after(month))
    over = (now_ms - limits.REPORT_GRACE_MS) // HOUR_MS * HOUR_MS
    return Span(month, begin, Millis(max(begin, min(end, over))), end)


def month_figures(gathered: Gathered, span: Span) -> Figures:
    """Add up the hours of a month."""
    first = min(gathered.hours, default="")
    hours = running = planned = 0
    away = [(plan.from_ms, plan.until_ms) for plan in join_plans(gathered.plans.values())]
    both = resolution = registration = Share(0, 0)
    resolved = registered = Latency()
    for at_ms in range(span.begin_ms, span.until_ms, HOUR_MS):
        name = format_shanghai(at_ms)[:13]
        if not first or name < first:
            continue
        away_s = sum(max(0, min(until, at_ms + HOUR_MS) - max(since, at_ms)) for since, until in away) // 1_000
        planned += away_s
        owed = HOUR_S - away_s
        hour = gathered.hours.get(name)
        probes = Probes() if hour is None else hour.probes
        both = _add(both, probes, probes.both, owed)
        resolution = _add(resolution, probes, probes.resolution, owed)
        registration = _add(registration, probes, probes.registration, owed)
        running += seconds_of(probes, probes.periods)
        if hour is not None:
            hours += 1
            resolved = join(resolved, hour.resolution)
            registered = join(registered, hour.registration)
    return Figures(span.month, hours, running, planned, both, resolution, registration, resolved, registered)


def _add(share: Share, probes: Probes, periods: int, owed_s: int) -> Share:
    return Share(share.available_s + min(owed_s, seconds_of(probes, periods)), share.owed_s + owed_s)


def seconds_of(probes: Probes, periods: int) -> int:
    """Return how many seconds so many periods of an hour stand for; see rule 2."""
    if probes.periods * probes.period_s > HOUR_S - probes.period_s:
        return HOUR_S * periods // probes.periods
    return periods * probes.period_s


def six_months(gathered: Gathered, span: Span, logged: Iterable[str]) -> list[Figures | str]:
    """Return the figures of the six months up to this one; of one without a log its name. ``logged``: those with."""
    known = set(logged)
    months = [month_after(span.month, back - TABLE_MONTHS + 1) for back in range(TABLE_MONTHS)]
    return [
        month if month not in known else month_figures(gathered, span if month == span.month else _whole(month))
        for month in months
    ]  # fmt: skip


def _whole(month: str) -> Span:
    end = month_start(month_after(month))
    return Span(month, month_start(month), end, end)


class Joined(NamedTuple):
    """Planned downtimes that overlap, as one. ``reasons``: of each; ``noted_ms``: when the first was entered."""

    from_ms: Millis
    until_ms: Millis
    reasons: tuple[str, ...]
    noted_ms: Millis


def join_plans(plans: Iterable[Plan]) -> list[Joined]:
    """Return planned downtimes in order of time, those that overlap as one."""
    joined: list[Joined] = []
    for plan in sorted(plans):
        (since, until), last = plan.downtime, joined[-1] if joined else None
        if last is None or since >= last.until_ms:
            joined.append(Joined(since, until, (plan.reason,), plan.noted_ms))
            continue
        reasons = last.reasons if plan.reason in last.reasons else (*last.reasons, plan.reason)
        joined[-1] = Joined(last.from_ms, max(last.until_ms, until), reasons, min(last.noted_ms, plan.noted_ms))
    return joined


def touches(from_ms: Millis, until_ms: Millis | None, span: Span) -> bool:
    """Whether something happened in the month; ``until_ms`` None: it goes on."""
    return from_ms < span.end_ms and (until_ms is None or until_ms > span.begin_ms)


def pairs(gathered: Gathered, span: Span) -> list[Pair]:
    """Return the anomalies of a month, those that a month before had begun and that went on included."""
    happenings = gathered.happenings.values()
    ends = {each.ends: each for each in happenings if each.status is Status.RECOVERED}
    found = [Pair(each, ends.get(each.number)) for each in happenings if each.status is Status.ANOMALY]
    return sorted(
        (each for each in found
         if touches(each.anomaly.at_ms, None if each.recovery is None else each.recovery.at_ms, span)),
        key=lambda each: (each.anomaly.at_ms, each.anomaly.number),
    )  # fmt: skip


def effective(steps: Iterable[Step], span: Span) -> list[Effective]:
    """Return the prefixes that came to resolve in a month."""
    found: list[Effective] = []
    approved: dict[str, Millis] = {}
    ordered = sorted(steps, key=lambda step: (step.at_ms, step.request, step.prefix))
    for (_, prefix), group in groupby(ordered, lambda step: (step.request, step.prefix)):
        together = list(group)
        acts = {step.act for step in together}
        for step in together:
            if is_approval(step):
                approved[prefix] = step.at_ms
        made = [step.at_ms for step in together if makes_prefix_handle(step, acts)]
        if made:
            found.append(Effective(prefix, approved.pop(prefix, None), made[0]))
    return sorted(
        (each for each in found if span.begin_ms <= each.resolves_ms < span.end_ms),
        key=lambda each: (each.resolves_ms, each.prefix),
    )  # fmt: skip


def emergencies(incidents: Iterable[tuple[str, Incident]], span: Span) -> list[tuple[str, Incident]]:
    """Return the incidents that occurred in a month, or were not over before it."""
    return [
        (name, each) for name, each in incidents
        if touches(each.occurred_ms, each.recovered_ms or each.closed_ms or None, span)
        or span.begin_ms <= each.occurred_ms < span.end_ms
    ]  # fmt: skip

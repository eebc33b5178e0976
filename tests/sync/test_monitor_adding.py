"""Hours are what somebody gets who keeps everything and computes it at the end."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from sync.monitor.adding import HOUR_MS, Hours, Second, hour_of
from sync.monitor.figures import NODE, Hour, Latency, Probes
from sync.monitor.observation import Observation, Way

BEGIN = 1_800_000_000 // 3_600 * 3_600  # seconds; an hour begins
PERIOD_S = 15


@st.composite
def parts(draw: st.DrawFn) -> Second:
    """What one process answered in one second: single latencies, added up."""
    took = draw(st.lists(st.integers(0, 50), min_size=1, max_size=4))
    return Second(BEGIN + draw(st.integers(-3, 3)), len(took), sum(took), min(took), max(took))


def naively(seconds: list[Second]) -> Latency:
    """Return the figures by looking at all of it at once."""
    if not seconds:
        return Latency()
    answers = defaultdict(int)
    for each in seconds:
        answers[each.second] += each.answers
    most, least, peak = max(x.max_us for x in seconds), min(x.min_us for x in seconds), max(answers.values())
    return Latency(
        sum(answers.values()), sum(x.sum_us for x in seconds),
        most, min(x.second for x in seconds if x.max_us == most),
        least, min(x.second for x in seconds if x.min_us == least),
        peak, min(second for second, count in answers.items() if count == peak),
    )  # fmt: skip


@given(st.lists(parts(), max_size=30), st.lists(parts(), max_size=5), st.integers(-3, 3), st.randoms())
def test_hours_are_computed_as_naively(
    resolutions: list[Second], registrations: list[Second], cut: int, random: object
) -> None:
    """Seconds of any workers in any order, read in one look or in two."""
    random.shuffle(resolutions)  # type: ignore[attr-defined]
    hours = Hours(PERIOD_S)
    for looked in (lambda s: s <= BEGIN + cut, lambda s: s > BEGIN + cut):
        hours.add([x for x in resolutions if looked(x.second)], [x for x in registrations if looked(x.second)])
    expected = []
    for hour in (hour_of((BEGIN - 1) * 1_000), hour_of(BEGIN * 1_000)):
        of = [[x for x in each if hour_of(x.second * 1_000) == hour] for each in (resolutions, registrations)]
        if any(of):
            expected.append(Hour(NODE, hour, naively(of[0]), naively(of[1])))
    assert hours.all() == expected


def seen(way: Way, round_: int, rtt_us: int | None = 900, subject: str = NODE) -> Observation:
    return Observation(subject, way, Millis(BEGIN * 1_000 + round_ * PERIOD_S * 1_000), rtt_us)


def test_a_round_counts_where_less_than_51_percent_of_the_ways_failed() -> None:
    """Of three ways one may fail, of two one as well (50 %); registration is asked by itself."""
    hours = Hours(PERIOD_S)
    rounds: list[list[Observation]] = [
        [seen(Way.UDP, 0), seen(Way.TCP, 0, None), seen(Way.HTTP, 0), seen(Way.REGISTRATION, 0)],
        [seen(Way.UDP, 1), seen(Way.TCP, 1, None), seen(Way.HTTP, 1, None), seen(Way.REGISTRATION, 1)],
        [seen(Way.UDP, 2), seen(Way.TCP, 2), seen(Way.HTTP, 2), seen(Way.REGISTRATION, 2, None)],
        [seen(Way.UDP, 3), seen(Way.TCP, 3, None)],
    ]
    for each in rounds:
        for observation in each:
            hours.observe(observation)
    hours.observe(seen(Way.HTTP, 2, None))  # late, and of a round that was counted
    assert [hour.probes for hour in hours.all()] == [Probes(PERIOD_S, 3, 2, 2, 1)]
    (done,) = hours.over(Millis(BEGIN * 1_000 + HOUR_MS + limits.MONITOR_HOUR_GRACE_MS))
    assert done == Hour(NODE, hour_of(BEGIN * 1_000), probes=Probes(PERIOD_S, 4, 3, 2, 2))


def test_latencies_of_an_enterprise_node_are_those_of_its_probes() -> None:
    """Of this node they are not; and nobody knows the busiest second of another."""
    hours = Hours(PERIOD_S)
    for subject in (NODE, "88.118.9"):
        for number, rtt_us in enumerate((900, 300, None, 700)):
            hours.observe(seen(Way.UDP, number, rtt_us, subject))
    enterprise, node = hours.all()
    assert (node.resolution, enterprise.subject) == (Latency(), "88.118.9")
    assert enterprise.resolution == Latency(3, 1_900, 900, BEGIN, 300, BEGIN + PERIOD_S)
    assert enterprise.probes == Probes(PERIOD_S, 3, 2, 0, 2)


def test_what_is_closed_is_never_begun_again() -> None:
    """Neither by a second that comes late, nor by a probe, nor by a clock that is put back."""
    hours = Hours(PERIOD_S)
    hours.begin(Millis(BEGIN * 1_000))
    at = Millis(BEGIN * 1_000 + HOUR_MS + limits.MONITOR_HOUR_GRACE_MS)
    assert hours.over(Millis(at - 1)) == []
    done = hours.over(at)
    assert [(each.subject, each.hour) for each in done] == [(NODE, hour_of(BEGIN * 1_000))]
    hours.close(done)
    hours.add([Second(BEGIN, 1, 1, 1, 1)], [])
    hours.observe(seen(Way.UDP, 0))
    hours.begin(Millis(BEGIN * 1_000))
    assert hours.all() == []
    hours.begin(at)
    assert [hour.hour for hour in hours.all()] == [hour_of(at)]


def test_the_end_of_an_hour() -> None:
    """Of Shanghai: the last one of a day ends with it."""
    assert hour_of(BEGIN * 1_000) == "2027-01-15T16"
    assert hour_of((BEGIN + 3_600) * 1_000) == "2027-01-15T17"


def test_a_period_that_is_changed_within_an_hour_changes_nothing_that_was_counted() -> None:
    """Twenty minutes each 15 s, twenty in which nothing ran, twenty each minute: not the whole hour."""
    first = Hours(15)
    for number in range(81):
        first.observe(seen(Way.UDP, number))
    then = Hours(60, "", first.all())
    for number in range(160, 240, 4):
        then.observe(seen(Way.UDP, number))
    (hour,) = then.over(Millis((BEGIN + 3_600) * 1_000 + limits.MONITOR_HOUR_GRACE_MS))
    assert (hour.probes.period_s, hour.probes.resolution) == (60, 40)

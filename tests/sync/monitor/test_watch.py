"""What is an anomaly, and when it is over: one condition after another, then any inputs in any order."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from sync.monitor.figures import NODE
from sync.monitor.happening import Happening, Kind, Status
from sync.monitor.observation import Observation, Way
from sync.monitor.watch import Facts, Upstream, Watch

NOW = Millis(1_795_312_800_000)  # 2026-11-22, 10:00 in Shanghai
LATE_MS = 2_000
PERIOD_MS = 15_000
ROOM = 100_000
WELL = Facts(ROOM, stop=50_000, reserve=10_000)
WAYS = (Way.UDP, Way.TCP, Way.HTTP)
CJK = re.compile("[\u4e00-\u9fff]")
TOP = "0" * 32


class Story:
    """A watch, and a clock."""

    def __init__(self, known: list[Happening] | None = None) -> None:
        self.watch = Watch(known or [], late_ms=LATE_MS)
        self.now = NOW
        self.told: list[Happening] = list(known or [])

    def tick(self, facts: Facts = WELL, after_ms: int = 1_000) -> list[Happening]:
        self.now = Millis(self.now + after_ms)
        happened = self.watch.tick(self.now, facts)
        self.told += happened
        return happened

    def round(self, *failed: Way, subject: str = NODE, asked: tuple[Way, ...] = WAYS) -> list[Happening]:
        """Have one round of probes, and look when it is over."""
        self.now = Millis(self.now + PERIOD_MS)
        for way in asked:
            self.watch.observe(Observation(subject, way, self.now, None if way in failed else 900, "没有。None"))
        return self.tick(after_ms=LATE_MS)


def shown(happened: list[Happening]) -> list[tuple[str, str, int, str]]:
    return [(each.number, each.condition, int(each.status), each.ends) for each in happened]


def test_resolution_fails_by_most_of_its_ways_twice_and_recovers_in_two_good_rounds() -> None:
    """One of three is no outage, nor is one round; the second is that of the first bad round, and of the first good."""
    story = Story()
    assert story.round(Way.UDP) == story.round(Way.HTTP) == []
    assert story.round(Way.UDP, Way.TCP) == []
    assert story.round() == []
    assert story.round(Way.UDP, Way.TCP) == []
    first = story.now - LATE_MS
    (anomaly,) = story.round(*WAYS)
    assert anomaly[:6] == ("E00000001", Status.ANOMALY, NODE, "resolution", Kind.SYSTEM, first)
    assert "udp: 没有。None" in anomaly.cause
    assert CJK.search(anomaly.cause)
    assert story.round(*WAYS) == story.round() == story.round(*WAYS) == story.round() == []
    good = story.now - LATE_MS
    (recovered,) = story.round(Way.UDP)
    assert (recovered.number, recovered.status, recovered.ends) == ("E00000002", Status.RECOVERED, "E00000001")
    assert (recovered.at_ms, recovered.kind) == (good, Kind.SYSTEM)
    assert story.watch.open == ()


def test_half_of_the_ways_is_no_outage() -> None:
    """51 %: of two ways both have to fail."""
    story = Story()
    for _ in range(4):
        assert story.round(Way.UDP, asked=(Way.UDP, Way.TCP), subject="88.118.7") == []
    story.round(Way.UDP, Way.TCP, asked=(Way.UDP, Way.TCP), subject="88.118.7")
    (anomaly,) = story.round(Way.UDP, Way.TCP, asked=(Way.UDP, Way.TCP), subject="88.118.7")
    assert (anomaly.subject, anomaly.kind) == ("88.118.7", Kind.NETWORK)


def test_registration_is_a_condition_of_its_own() -> None:
    """It fails while resolution goes on."""
    story = Story()
    asked = (*WAYS, Way.REGISTRATION)
    story.round(Way.REGISTRATION, asked=asked)
    assert shown(story.round(Way.REGISTRATION, asked=asked)) == [("E00000001", "registration", 1, "")]


def test_what_comes_late_is_no_round_of_its_own() -> None:
    """A round is judged once, without what came behind its time, and before it where the next one has begun."""
    story = Story()
    for _ in range(3):
        story.round()
        late = story.now - LATE_MS
        for way in WAYS:
            story.watch.observe(Observation(NODE, way, Millis(late), None))
        assert story.tick() == []
    at = story.now
    for way in WAYS:
        story.watch.observe(Observation(NODE, way, at, None))
    for way in WAYS:
        story.watch.observe(Observation(NODE, way, Millis(at + 1_500), None))
    assert len(story.tick(after_ms=1_500 + LATE_MS)) == 1


def test_an_enterprise_node_that_is_gone_is_no_anomaly_any_more() -> None:
    """Its prefix is hosted here, or deleted."""
    story = Story()
    story.round(*WAYS, subject="88.118.7")
    assert len(story.round(*WAYS, subject="88.118.7")) == 1
    assert shown(story.tick(WELL._replace(delegated=lambda _: False))) == [("E00000002", "resolution", 2, "E00000001")]


def test_the_disk() -> None:
    """Below the bound twice; over it by a margin twice. The reserve is one of its own."""
    story = Story()
    less = WELL._replace(free_bytes=49_999)
    assert story.tick(less) == []
    (anomaly,) = story.tick(less)
    assert (anomaly.condition, anomaly.kind, anomaly.at_ms) == ("disk", Kind.SYSTEM, story.now - 1_000)
    for _ in range(5):
        assert story.tick(WELL._replace(free_bytes=50_001)) == []
    story.tick(WELL._replace(free_bytes=9_999))
    assert shown(story.tick(WELL._replace(free_bytes=9_999))) == [("E00000002", "disk-reserve", 1, "")]
    story.tick()
    assert shown(story.tick()) == [("E00000003", "disk", 2, "E00000001"), ("E00000004", "disk-reserve", 2, "E00000002")]
    assert story.tick(Facts(0)) == story.tick(Facts(0)) == []  # no guard


def test_a_top_node_that_is_away() -> None:
    """Once it was for a while, since it was; it is over when it answers, or is disconnected."""
    story = Story()
    away = WELL._replace(upstreams={TOP: Upstream(NOW, "连不上。No way")})
    assert story.tick(away) == story.tick(away) == []
    story.tick(away, after_ms=limits.WATCH_UPSTREAM_MS)
    (anomaly,) = story.tick(away)
    assert (anomaly.condition, anomaly.kind, anomaly.at_ms) == (f"upstream {TOP}", Kind.NETWORK, NOW)
    assert "连不上" in anomaly.cause
    back = WELL._replace(upstreams={TOP: Upstream(0)})
    assert story.tick(back) == []
    assert shown(story.tick(back)) == [("E00000002", f"upstream {TOP}", 2, "E00000001")]
    for _ in range(2):
        told = story.tick(away, after_ms=limits.WATCH_UPSTREAM_MS)
    assert shown(told) == [("E00000003", f"upstream {TOP}", 1, "")]
    assert shown(story.tick(WELL)) == [("E00000004", f"upstream {TOP}", 2, "E00000003")]


def counted(member: str, count: int, condition: str, kind: Kind, calm_ms: int) -> None:
    story = Story()
    begun: dict[str, Any] = {member: 7}
    assert story.tick(WELL._replace(**begun)) == []
    fewer = WELL._replace(**{member: 7 + count - 1})
    assert story.tick(fewer) == story.tick(fewer) == []
    more = WELL._replace(**{member: 7 + count})
    assert story.tick(more) == []
    (anomaly,) = story.tick(more)
    assert (anomaly.condition, anomaly.kind) == (condition, kind)
    assert str(count) in anomaly.cause
    assert story.tick(more, after_ms=calm_ms - 10_000) == []
    begun_anew = WELL._replace(**{member: 0})
    assert story.tick(begun_anew, after_ms=10_000) == []
    assert shown(story.tick(begun_anew)) == [("E00000002", condition, 2, "E00000001")]


def test_what_is_counted() -> None:
    """As many in a time; over when there are few. The number may begin anew with the node."""
    counted("log_failures", 1, "logs", Kind.SYSTEM, 60_000)
    counted("restarts", limits.WATCH_RESTARTS, "processes", Kind.SYSTEM, 600_000)
    counted("limited", limits.WATCH_LIMITED, "rate-limited", Kind.ATTACK, 60_000)
    counted("refused_logins", limits.WATCH_LOGINS, "log-ins", Kind.ATTACK, 60_000)


def test_a_node_that_did_not_run() -> None:
    """Both are told at once, with the times; a new version takes no time; one that was told to stop is told so."""
    story = Story()
    assert story.watch.was_away(NOW, Millis(NOW + limits.WATCH_AWAY_MS - 1), planned=False) == []
    for planned, word in ((False, "had not been told"), (True, "was told to stop")):
        since = NOW + 1_000 * planned
        anomaly, back = story.watch.was_away(since + 999, Millis(NOW + 600_000), planned=planned)
        assert (anomaly.condition, anomaly.at_ms, back.at_ms, back.ends) == (
            "away", since, NOW + 600_000, anomaly.number,
        )  # fmt: skip
        assert word in anomaly.cause
        assert "T02:00:0" in anomaly.cause or "10:00:0" in anomaly.cause
        assert not story.watch.was_away(since + 999, Millis(NOW + 600_000), planned=planned), "it is told already"


def test_open_anomalies_are_found_again() -> None:
    """By those who come after, who number on; also one whose recovery was not written any more."""
    story = Story()
    story.round(*WAYS)
    story.round(*WAYS)
    anomaly, _ = story.watch.was_away(NOW, Millis(NOW + 600_000), planned=False)
    later = Story([*story.told, anomaly])
    assert [each.number for each in later.watch.open] == ["E00000001", "E00000002"]
    later.now = story.now
    later.round(*WAYS)
    assert shown(later.told[2:]) == []
    assert shown(later.tick()) == [("E00000003", "away", 2, "E00000002")]
    later.round()
    assert shown(later.round()) == [("E00000004", "resolution", 2, "E00000001")]


def test_there_are_no_more_anomalies_than_somebody_can_read() -> None:
    """Those that are left out are told of as one, and begin when there is room."""
    story = Story()
    prefixes = [f"88.118.{number}" for number in range(limits.WATCH_OPEN_MAX + 3)]
    for _ in range(2):
        story.now = Millis(story.now + PERIOD_MS)
        for prefix in prefixes:
            story.watch.observe(Observation(prefix, Way.TCP, story.now, None))
        story.tick(after_ms=LATE_MS)
    assert len(story.told) == limits.WATCH_OPEN_MAX + 1
    assert story.told[-1].condition == "events"
    gone = WELL._replace(delegated=lambda prefix: prefix not in prefixes[:10])
    story.tick(gone)
    story.now = Millis(story.now + PERIOD_MS)
    for prefix in prefixes[10:]:
        story.watch.observe(Observation(prefix, Way.TCP, story.now, None))
    assert len(story.tick(gone, after_ms=LATE_MS)) == 3
    (calm,) = story.tick(gone, after_ms=limits.WATCH_CALM_MS)
    assert (calm.condition, calm.status) == ("events", Status.RECOVERED)


def test_a_day_has_its_bound_and_the_next_one_its_own(monkeypatch: Any) -> None:
    """What comes and goes all day is told so often, and what is open still recovers."""
    monkeypatch.setattr(limits, "WATCH_ANOMALIES_A_DAY", 3)
    story = Story()
    less = WELL._replace(free_bytes=0, reserve=0)
    for _ in range(6):
        for facts in (less, less, WELL, WELL):
            story.tick(facts)
    assert [each.condition for each in story.told].count("disk") == 6
    assert [each.condition for each in story.told].count("events") == 1
    story.tick(less, after_ms=86_400_000)
    assert "disk" in [each.condition for each in story.tick(less)]


SUBJECTS = (NODE, "88.118.7", "88.118.8")
OBSERVATIONS = st.builds(
    Observation, st.sampled_from(SUBJECTS), st.sampled_from(Way), st.integers(NOW - 50_000, NOW + 50_000),
    st.none() | st.integers(0, 10**9), st.just("x"),
)  # fmt: skip
NUMBERS = st.integers(0, 5_000)
FACTS = st.builds(
    Facts, NUMBERS, NUMBERS, NUMBERS,
    st.dictionaries(st.sampled_from([TOP, "1" * 32]), st.builds(Upstream, st.integers(0, NOW))),
    NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from([lambda _: True, lambda _: False]),
)  # fmt: skip
AWAY = st.tuples(st.integers(NOW - 10**6, NOW + 10**6), st.booleans())
STEPS = st.lists(
    OBSERVATIONS | st.tuples(st.integers(-5_000, 40_000), FACTS, st.integers(1, 3)) | AWAY | st.just("restart"),
    max_size=60,
)


@given(STEPS)
def test_whatever_comes_pairs_alternate_and_numbers_rise(steps: list[Any]) -> None:
    """In any order, with a clock that jumps and processes that end: no event without a change of state."""
    told: list[Happening] = []
    watch, now = Watch(late_ms=LATE_MS), NOW
    for step in steps:
        match step:
            case Observation():
                watch.observe(step)
            case "restart":
                watch = Watch(told, late_ms=LATE_MS)
            case (int(since), bool(planned)):
                told += watch.was_away(since, now, planned=planned)
            case (after, facts, times):
                now = Millis(now + after)
                for _ in range(times):
                    told += watch.tick(now, facts)
    assert [each.number for each in told] == [f"E{number:08d}" for number in range(1, len(told) + 1)]
    opened: dict[tuple[str, str], Happening] = {}
    for each in told:
        place = (each.subject, each.condition)
        assert each.at_ms % 1_000 == 0
        assert CJK.search(each.cause)
        if each.status is Status.ANOMALY:
            assert place not in opened
            assert not each.ends
            opened[place] = each
        else:
            begun = opened.pop(place)
            assert (each.ends, each.kind) == (begun.number, begun.kind)
            assert each.at_ms >= begun.at_ms
    assert set(watch.open) == set(opened.values())

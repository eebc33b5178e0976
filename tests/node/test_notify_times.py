"""Who is told of a changed zone, and when: times are passed in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.notify_times import NotifyTimes, Pace, Pair

A, B = Pair("192.0.2.1@53", "oid-res.org"), Pair("192.0.2.2@53", "oid-res.org")


def test_each_is_told_once_at_the_start_and_once_for_a_change() -> None:
    times = NotifyTimes([A, B], Pace(5, 60))
    assert times.due(0) == [], "before the first look there is nothing to tell"
    times.look(7)
    assert times.due(0) == [A, B]
    for pair in (A, B):
        times.sent(pair, 0)
        times.acknowledged(pair)
    times.look(7)
    assert times.due(1_000) == [] and times.heard() == {A: 7, B: 7}
    times.look(9)
    assert times.due(1_000) == [A, B]


def test_what_is_not_acknowledged_is_told_later_each_time_and_never_given_up() -> None:
    times = NotifyTimes([A], Pace(5, 60))
    times.look(1)
    told, now = [], 0
    while len(told) < 8:
        if times.due(now):
            times.sent(A, now)
            told.append(now)
        now += 1
    assert told == [0, 5, 15, 35, 75, 135, 195, 255]
    times.look(2)
    assert times.due(259) == [] and times.due(260) == [A], "a change begins anew, not at once behind another telling"
    times.sent(A, 260)
    assert times.due(264) == [] and times.due(265) == [A]


def test_changes_that_follow_closely_are_told_together() -> None:
    times = NotifyTimes([A], Pace(5, 60))
    told = []
    for now in range(20):
        times.look(100 + now)
        if times.due(now):
            times.sent(A, now)
            times.acknowledged(A)
            told.append(now)
    assert told == [0, 5, 10, 15]
    assert times.due(20) == [A] and times.heard() == {A: 115}, "the last ones are still to be told"


def test_an_answer_counts_for_what_was_told_and_not_for_what_came_since() -> None:
    times = NotifyTimes([A], Pace(5, 60))
    times.look(1)
    times.sent(A, 0)
    times.look(2)
    times.acknowledged(A)
    assert times.heard() == {A: 1} and times.due(5) == [A]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=60))
def test_whatever_happens_the_newest_serial_is_told_in_the_end(steps: list[tuple[int, int]]) -> None:
    times, now, serial = NotifyTimes([A, B], Pace(5, 60)), 0, 1
    times.look(serial)
    last: dict[Pair, int] = {}
    for what, pause in steps:
        now += pause
        if what == 0:
            serial += 1
            times.look(serial)
        elif what == 1 and A in last:
            times.acknowledged(A)
        else:
            for pair in times.due(now):
                assert now - last.get(pair, now - 5) >= 5
                times.sent(pair, now)
                last[pair] = now
    for _ in range(2):
        now += 61
        for pair in times.due(now):
            times.sent(pair, now)
            times.acknowledged(pair)
    assert times.heard() == {A: serial, B: serial} and times.serial == serial

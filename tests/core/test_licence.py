"""The licence over time: days of Shanghai, both edges included."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import parse_day, parse_utc, shanghai_date, shanghai_midnight
from core.licence import ALWAYS, Licence, LicenceState, state_of

DAY_MS = 86_400_000
DAYS = st.dates(datetime.date(1971, 1, 1), datetime.date(2100, 12, 31))
FIRST, LAST = datetime.date(2026, 1, 1), datetime.date(2026, 12, 31)
LICENCE = Licence(FIRST, LAST)


def at(text: str) -> int:
    """Return Unix milliseconds of a moment in UTC."""
    seconds = parse_utc(text)
    assert seconds is not None
    return seconds * 1_000


@pytest.mark.parametrize(
    ("moment", "state", "left"),
    [
        ("2025-12-31T15:59:59Z", LicenceState.NOT_BEGUN, 365),
        ("2025-12-31T16:00:00Z", LicenceState.IN_FORCE, 364),
        ("2026-10-01T15:59:59Z", LicenceState.IN_FORCE, 91),
        ("2026-10-01T16:00:00Z", LicenceState.ENDING, 90),
        ("2026-12-30T15:59:59Z", LicenceState.ENDING, 1),
        ("2026-12-30T16:00:00Z", LicenceState.ENDING, 0),
        ("2026-12-31T15:59:59Z", LicenceState.ENDING, 0),
        ("2026-12-31T16:00:00Z", LicenceState.ENDED, -1),
        ("2027-01-01T16:00:00Z", LicenceState.ENDED, -2),
    ],
)
def test_it_changes_at_midnight_in_shanghai(moment: str, state: LicenceState, left: int) -> None:
    """16:00 UTC; the last day counts as a whole."""
    assert (LICENCE.state(at(moment)), LICENCE.days_left(at(moment))) == (state, left)
    assert LICENCE.window.is_open(at(moment)) == (state in (LicenceState.IN_FORCE, LicenceState.ENDING))


@given(first=DAYS, length=st.integers(0, 2_000), offset=st.integers(-200, 2_200), part=st.integers(0, DAY_MS - 1))
def test_state_days_left_and_window_say_the_same(first: datetime.date, length: int, offset: int, part: int) -> None:
    """At any millisecond of any day before, within and after; the days are those of a calendar."""
    last = first + datetime.timedelta(days=length)
    licence = Licence(first, last)
    now_ms = shanghai_midnight(first) + offset * DAY_MS + part
    today = shanghai_date(now_ms)
    left = (last - today).days
    assert licence.days_left(now_ms) == left
    state = licence.state(now_ms)
    assert (state is LicenceState.NOT_BEGUN) == (today < first)
    assert (state is LicenceState.ENDED) == (left < 0)
    assert (state is LicenceState.ENDING) == (today >= first and 0 <= left <= limits.LICENCE_WARN_DAYS)
    assert licence.window.is_open(now_ms) == (first <= today <= last)


@given(DAYS)
def test_midnight_is_the_first_millisecond_of_a_day(day: datetime.date) -> None:
    """One before is the day before."""
    begins = shanghai_midnight(day)
    assert shanghai_date(begins) == day
    assert shanghai_date(begins - 1) == day - datetime.timedelta(days=1)
    assert parse_day(day.isoformat()) == day


@pytest.mark.parametrize(
    "text",
    ["", "2026-02-30", "2026-2-3", "20260203", "2026-W01-1", "２０２６-01-01", "2026-01-01T00", " 2026-01-01"],
)
def test_what_is_no_day_is_none(text: str) -> None:
    """Nothing else is taken for one."""
    assert parse_day(text) is None


def test_without_a_licence_there_is_no_state_and_nothing_closes() -> None:
    """As in development."""
    assert state_of(None, 0) is LicenceState.NONE
    assert ALWAYS.is_open(0)
    assert ALWAYS.is_open(2**62)


@pytest.mark.parametrize("state", LicenceState)
def test_each_state_is_told_in_two_languages(state: LicenceState) -> None:
    """Chinese and English."""
    assert state.en.isascii()
    assert not state.zh.isascii()

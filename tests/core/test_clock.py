"""Time as text and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.clock import format_utc, monotonic_ns, monotonic_s, now_ms, now_s, parse_utc

WRITTEN = {
    0: "1970-01-01T00:00:00Z",
    1_700_000_000: "2023-11-14T22:13:20Z",
    951_782_400: "2000-02-29T00:00:00Z",
    2**31: "2038-01-19T03:14:08Z",
    2**32 - 1: "2106-02-07T06:28:15Z",
}
NO_TIMES = [
    "",
    "now",
    "2026-01-31",
    "2026-01-31T12:00:00",
    "2026-01-31 12:00:00Z",
    "2026-01-31t12:00:00z",
    "2026-01-31T12:00:00+08:00",
    "2026-01-31T12:00:00Z\n",
    " 2026-01-31T12:00:00Z",
    "2026-1-31T12:00:00Z",
    "２０２６-01-31T12:00:00Z",
    "2026-02-31T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-32T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-12-31T23:59:60Z",
    "2026-01-01T00:00:00.Z",
]


@pytest.mark.parametrize(("seconds", "text"), WRITTEN.items())
def test_times_are_written_in_utc(seconds: int, text: str) -> None:
    """As the reference server writes timestamps; unsigned 32 bits reach to 2106."""
    assert format_utc(seconds) == text
    assert parse_utc(text) == seconds


def test_a_fraction_of_a_second_is_read_and_dropped() -> None:
    """Some clients send milliseconds."""
    assert parse_utc("2023-11-14T22:13:20.999Z") == 1_700_000_000


@pytest.mark.parametrize("text", NO_TIMES, ids=ascii)
def test_what_is_no_time_is_none(text: str) -> None:
    """A day that does not exist is never taken as another day, and never raises."""
    assert parse_utc(text) is None


@given(seconds=st.integers(0, 2**32 - 1))
def test_time_round_trip(seconds: int) -> None:
    """Every second that the wire form can hold, as the standard library has it."""
    text = format_utc(seconds)
    assert parse_utc(text) == seconds
    assert text == datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@given(
    text=st.one_of(
        st.text(max_size=30), st.from_regex(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z\Z"),
    )
)  # fmt: skip
@example(text="9999-99-99T99:99:99Z")
def test_time_total_on_any_text(text: str) -> None:
    """Seconds or None, whatever the digits say."""
    seconds = parse_utc(text)
    if seconds is not None:
        moment = datetime.strptime(text.partition(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        assert moment.timestamp() == seconds


def test_now_is_one_moment_in_every_unit() -> None:
    """Milliseconds and seconds are of the same clock; the other clock never goes back."""
    before, between, after = now_s(), now_ms(), now_s()
    assert before <= between / 1000 < after + 1
    assert monotonic_s() <= monotonic_s()
    before = monotonic_s()
    assert before - 1e-6 <= monotonic_ns() / 1e9 <= monotonic_s() + 1e-6
